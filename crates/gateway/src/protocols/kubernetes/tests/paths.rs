//! Paths, verbs and parameters.

use countersign_core::action::request::RequestClass;

use super::*;

#[test]
fn a_path_is_read_as_the_server_does() {
    check("GET /api/v1/pods", "read list pods /");
    check("HEAD /api/v1/pods", "read list pods /");
    check("GET /api/v1/namespaces/shop/pods", "read list pods shop/");
    check("GET /api/v1/namespaces/shop/pods/web", "read get pods shop/web");
    check("HEAD /api/v1/namespaces/shop/pods/web", "read get pods shop/web");
    check("GET /apis/apps/v1/namespaces/shop/deployments/web/scale", "read get deployments.apps/scale shop/web");
    check("GET /api/v1/nodes/n1", "read get nodes /n1");
    check("GET /apis/example.com/v1alpha1/widgets", "read list widgets.example.com /");
    check("GET /api/v1/namespaces/shop/pods?watch=1", "read watch pods shop/");
    check("GET /api/v1/namespaces/shop/pods?watch", "read watch pods shop/");
    check("GET /api/v1/namespaces/shop/pods?watch=false", "read list pods shop/");
    check("GET /api/v1/namespaces/shop/pods/web?watch=1", "read get pods shop/web");
    check("GET /api/v1/watch/namespaces/shop/pods", "read watch pods shop/");
    check("GET /api/v1/watch/namespaces/shop/pods/web", "read watch pods shop/web");
    check("GET /api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3Dweb", "read list pods shop/web");
    check("GET /api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3Dweb&watch=true", "read watch pods shop/web");
    check("DELETE /api/v1/namespaces/shop/pods", "write deletecollection pods shop/");
    check("DELETE /api/v1/namespaces/shop/pods/web", "write delete pods shop/web");
    check("PUT /apis/apps/v1/namespaces/shop/deployments/web", "write update deployments.apps shop/web");
    check("PATCH /apis/apps/v1/namespaces/shop/deployments/web/status", "write patch deployments.apps/status shop/web");
    check(
        "GET /apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
        "read get clusterroles.rbac.authorization.k8s.io /system:node",
    );
}

#[test]
fn namespaces_are_resources_too() {
    check("GET /api/v1/namespaces", "read list namespaces /");
    check("GET /api/v1/namespaces/shop", "read get namespaces shop/shop");
    check("GET /api/v1/namespaces/shop/status", "read get namespaces/status shop/shop");
    check("PUT /api/v1/namespaces/shop/finalize", "admin update namespaces/finalize shop/shop");
    check("DELETE /api/v1/namespaces/shop", "admin delete namespaces shop/shop");
    check("GET /api/v1/watch/namespaces/shop", "read watch namespaces shop/shop");
    check("DELETE /apis/apps/v1/namespaces/shop", "opaque");
}

#[test]
fn what_is_no_resource_is_read_or_opaque() {
    for path in [
        "/",
        "/version",
        "/healthz",
        "/healthz/etcd",
        "/livez",
        "/readyz/ping",
        "/api",
        "/apis",
        "/api/v1",
        "/apis/apps",
        "/apis/apps/v1",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/apis/apps/v1",
        "/metrics",
        "/logs/kube.log",
        "/.well-known/openid-configuration",
        "/openid/v1/jwks",
        "/swagger.json",
    ] {
        check(&format!("GET {path}"), &format!("read get {path}"));
        check(&format!("HEAD {path}"), &format!("read head {path}"));
        check(&format!("POST {path}"), "opaque");
        check(&format!("DELETE {path}"), "opaque");
    }
    for path in
        ["/debug/pprof/profile", "/configz", "/ui", "/a", "/api/", "/apis/", "/version/", "/healthz/", "/API/v1/pods"]
    {
        check(&format!("GET {path}"), "opaque");
    }
}

#[test]
fn what_could_be_read_otherwise_is_opaque() {
    for request in [
        "GET //api/v1/pods",
        "GET /api//v1/pods",
        "GET /api/v1/pods/",
        "GET /api/v1//pods",
        "GET /api/v1/namespaces//pods",
        "GET /api/v1%2Fsecrets",
        "GET /api/v1/namespaces/shop%2Fsecrets",
        "GET /api/v1/namespaces/shop/pods/a%2Fb",
        "GET /api/v1/namespaces/shop/pods/a%25",
        "GET /api/v1/namespaces/Shop/pods",
        "GET /api/v1/Secrets",
        "GET /api/v1/nothing",
        "GET /api/v2/pods",
        "GET /api/v1/watch",
        "GET /api/v1/proxy",
        "GET /apis/Apps/v1/deployments",
        "GET /api/v1/namespaces/shop/pods/web/log/more",
        "GET /api/v1/namespaces/shop/pods/web/nothing",
        "GET /apis/kubevirt.io/v1/namespaces/shop/virtualmachines/a/console",
        "POST /api/v1/watch/pods",
        "HEAD /api/v1/watch/pods",
        "OPTIONS /api/v1/pods",
        "TRACE /api/v1/pods",
        "get /api/v1/pods",
        "CONNECT /api/v1/pods",
        "GET /api/v1/watch/namespaces/shop/pods/web/log",
        "PUT /api/v1/namespaces/shop/pods",
        "PATCH /api/v1/namespaces/shop/pods",
        "POST /api/v1/namespaces/shop/pods/web",
        "POST /api/v1/namespaces/shop/pods/web/log",
        "DELETE /api/v1/namespaces/shop/pods/web/status",
        "POST /api/v1/namespaces/shop/pods/web/status",
        "GET /api/v1/pods?watch=1&watch=0",
        "GET /api/v1/pods?watch=1;x=2",
        "GET /api/v1/pods?x=%zz",
        "GET /api/v1/pods?fieldSelector=metadata.name%3Da&fieldSelector=b%3Dc",
        "GET /api/v1/pods%20",
    ] {
        check(request, "opaque");
    }
}

#[test]
fn channels_are_opened_by_many_methods() {
    let pod = "/api/v1/namespaces/shop/pods/web";
    for (method, verb) in [("GET", "get"), ("POST", "create")] {
        for sub in ["exec", "attach", "portforward"] {
            check(&format!("{method} {pod}/{sub}?command=sh&command=-c"), &format!("exec {verb} pods/{sub} shop/web"));
            check(&format!("{method} {pod}/{sub}/more"), "opaque");
        }
    }
    let verbs = [("GET", "get"), ("POST", "create"), ("PUT", "update"), ("PATCH", "patch"), ("DELETE", "delete")];
    for (method, verb) in verbs {
        for rest in ["", "/", "/metrics", "/a/b/", "/a?dryRun=All"] {
            check(&format!("{method} {pod}/proxy{rest}"), &format!("exec {verb} pods/proxy shop/web"));
        }
        check(&format!("{method} /api/v1/nodes/n1/proxy/run/shop/web/c"), &format!("exec {verb} nodes/proxy /n1"));
        let service = "/api/v1/namespaces/shop/services/https:db:443/proxy/x";
        check(&format!("{method} {service}"), &format!("exec {verb} services/proxy shop/https:db:443"));
        check(&format!("{method} /api/v1/proxy/namespaces/shop/pods/web/x/y"), "exec proxy pods shop/web");
        check(&format!("{method} /api/v1/proxy/nodes/n1"), "exec proxy nodes /n1");
        check(&format!("{method} /api/v1/proxy/namespaces/shop/secrets/db"), "opaque");
    }
    check("PATCH /api/v1/namespaces/shop/pods/web/ephemeralcontainers", "exec patch pods/ephemeralcontainers shop/web");
    check("GET /api/v1/namespaces/shop/pods/web/ephemeralcontainers", "read get pods/ephemeralcontainers shop/web");
}

#[test]
fn headers_that_change_the_meaning() {
    let class = |headers: &[(&str, &str)]| describe(&head("GET /api/v1/pods", headers), Content::Whole(b"")).class;
    assert_eq!(class(&[]), RequestClass::Read);
    assert_eq!(class(&[("upgrade", "websocket")]), RequestClass::Opaque);
    assert_eq!(class(&[("x-http-method-override", "DELETE")]), RequestClass::Opaque);
    assert_eq!(class(&[("impersonate-user", "root")]), RequestClass::Admin);
    let read = head("GET /api/v1/pods", &[]);
    assert_eq!(describe(&read, Content::Whole(b"{}")).class, RequestClass::Opaque);
    assert_eq!(describe(&read, Content::Unread).class, RequestClass::Opaque);
}
