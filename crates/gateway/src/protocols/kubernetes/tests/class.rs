//! How dangerous a request is.

use super::*;

#[test]
fn secrets_are_revealed() {
    check("GET /api/v1/secrets", "reveal list secrets /");
    check("GET /api/v1/namespaces/shop/secrets/db", "reveal get secrets shop/db");
    check("GET /api/v1/namespaces/shop/secrets?watch=true", "reveal watch secrets shop/");
    check("GET /api/v1/watch/namespaces/shop/secrets", "reveal watch secrets shop/");
    check(
        "GET /api/v1/namespaces/shop/secrets?limit=1&fieldSelector=metadata.name%3Ddb",
        "reveal list secrets shop/db",
    );
    check("POST /api/v1/namespaces/shop/serviceaccounts/bot/token", "reveal create serviceaccounts/token shop/bot");
    check(
        "POST /api/v1/namespaces/shop/serviceaccounts/bot/token?dryRun=All",
        "reveal create serviceaccounts/token shop/bot",
    );
}

/// What the server answers a change of Secrets with decides: only what was sent, or what it has.
#[test]
fn changes_of_secrets() {
    check("POST /api/v1/namespaces/shop/secrets", "write create secrets shop/");
    check("PUT /api/v1/namespaces/shop/secrets/db", "write update secrets shop/db");
    check("DELETE /api/v1/namespaces/shop/secrets/db", "write delete secrets shop/db");
    check("PATCH /api/v1/namespaces/shop/secrets/db", "admin patch secrets shop/db");
    check("PATCH /api/v1/namespaces/shop/secrets/db?dryRun=All", "admin patch secrets shop/db dry");
    check("DELETE /api/v1/namespaces/shop/secrets", "admin deletecollection secrets shop/");
    check("DELETE /api/v1/namespaces/shop/secrets?dryRun=All", "admin deletecollection secrets shop/ dry");
    check("DELETE /api/v1/namespaces/shop/secrets/db?propagationPolicy=Foreground", "admin delete secrets shop/db");
    check("DELETE /api/v1/namespaces/shop/secrets/db?dryRun=All", "admin delete secrets shop/db dry");
    check("DELETE /api/v1/namespaces/shop/secrets/db?orphanDependents=true", "admin delete secrets shop/db");
    let delete = "DELETE /api/v1/namespaces/shop/secrets/db";
    let with = |body: &str| line(&facts(delete, body));
    assert_eq!(with(r#"{"propagationPolicy":"Background"}"#), "write delete secrets shop/db");
    assert_eq!(with(r#"{"propagationPolicy":"Orphan","dryRun":["All"]}"#), "admin delete secrets shop/db dry");
}

#[test]
fn questions_change_nothing() {
    let access = "/apis/authorization.k8s.io/v1";
    check(
        &format!("POST {access}/selfsubjectaccessreviews"),
        "read create selfsubjectaccessreviews.authorization.k8s.io /",
    );
    check(&format!("POST {access}/subjectaccessreviews"), "read create subjectaccessreviews.authorization.k8s.io /");
    check(
        &format!("POST {access}/selfsubjectrulesreviews"),
        "read create selfsubjectrulesreviews.authorization.k8s.io /",
    );
    check(
        &format!("POST {access}/namespaces/shop/localsubjectaccessreviews"),
        "read create localsubjectaccessreviews.authorization.k8s.io shop/",
    );
    check("POST /apis/authentication.k8s.io/v1/tokenreviews", "read create tokenreviews.authentication.k8s.io /");
}

#[test]
fn what_guards_the_rest_is_admin() {
    for (group, resource) in [
        ("rbac.authorization.k8s.io/v1", "clusterroles"),
        ("rbac.authorization.k8s.io/v1", "namespaces/shop/rolebindings"),
        ("certificates.k8s.io/v1", "certificatesigningrequests"),
        ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"),
        ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
        ("apiregistration.k8s.io/v1", "apiservices"),
        ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
        ("storage.k8s.io/v1", "storageclasses"),
        ("scheduling.k8s.io/v1", "priorityclasses"),
        ("flowcontrol.apiserver.k8s.io/v1", "flowschemas"),
        ("policy/v1beta1", "podsecuritypolicies"),
        ("kyverno.io/v1", "clusterpolicies"),
    ] {
        let path = format!("/apis/{group}/{resource}");
        let class = |method: &str, path: &str| {
            let body = if method == "DELETE" { "" } else { "{}" };
            facts(&format!("{method} {path}"), body).class
        };
        assert_eq!(class("POST", &path), RequestClass::Admin, "{path}");
        for method in ["PUT", "PATCH", "DELETE"] {
            assert_eq!(class(method, &format!("{path}/x")), RequestClass::Admin, "{method} {path}");
        }
        assert_eq!(class("DELETE", &path), RequestClass::Admin, "{path}");
        assert_eq!(facts(&format!("GET {path}"), "").class, RequestClass::Read, "{path}");
    }
    check(
        "PUT /apis/certificates.k8s.io/v1/certificatesigningrequests/x/approval",
        "admin update certificatesigningrequests.certificates.k8s.io/approval /x",
    );
    check("PATCH /api/v1/nodes/n1", "admin patch nodes /n1");
    check("PATCH /api/v1/nodes/n1/status", "admin patch nodes/status /n1");
    check("PATCH /api/v1/namespaces/shop", "admin patch namespaces shop/shop");
    check("POST /api/v1/namespaces", "write create namespaces /");
    check("POST /api/v1/persistentvolumes", "admin create persistentvolumes /");
    check("DELETE /api/v1/namespaces/shop/resourcequotas/q", "admin delete resourcequotas shop/q");
}

#[test]
fn the_rest_is_write() {
    check("POST /api/v1/namespaces/shop/pods", "write create pods shop/");
    check("POST /api/v1/namespaces/shop/pods/web/eviction", "write create pods/eviction shop/web");
    check("POST /api/v1/namespaces/shop/pods/web/binding", "write create pods/binding shop/web");
    check("POST /api/v1/namespaces/shop/serviceaccounts", "write create serviceaccounts shop/");
    check("POST /apis/example.com/v1/namespaces/shop/widgets", "write create widgets.example.com shop/");
    check("PATCH /apis/apps/v1/namespaces/shop/deployments/web/scale", "write patch deployments.apps/scale shop/web");
}
