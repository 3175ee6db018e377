//! `kubectl` against a real API server, by way of the gateway.

use std::process::Stdio;

use serde_json::Value;
use xtask::process::wait_until;

use crate::harness::gated::{CLUSTER, Gated, ended};
use crate::harness::kubernetes::{ApiServer, TOKEN, kubectl};
use crate::harness::{AGENT, SOON};

const POLICIES: &str = r#"
@id("k8s-may")
permit (principal is Agent, action in [Action::"k8s:read", Action::"k8s:write", Action::"k8s:exec"], resource is Cluster);

@id("k8s-production")
@review("change to the production cluster: one DBA")
@hold("3s")
forbid (principal is Agent, action == Action::"k8s:write", resource is Cluster)
unless { context.k8s.dryRun || context.approvals.contains(Quorum::"dba:1") };

@id("k8s-no-sessions")
@deny("nobody opens sessions in production")
forbid (principal is Agent, action == Action::"k8s:exec", resource is Cluster);
"#;

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {mode: slow}\n";
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n";

/// The harness alone: a real server that takes objects.
#[test]
fn the_api_server_runs() {
    let dir = std::env::temp_dir().join(format!("countersign-k8s-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let sweeper = std::sync::Arc::new(xtask::sweeper::Sweeper::start(&dir).unwrap());
    let server = ApiServer::start(&dir, sweeper);
    let file = server.file("settings.yaml", CONFIG);
    server.admin(&["apply", "-f", &file]);
    assert_eq!(server.admin(&["get", "configmap", "settings", "-o", "jsonpath={.data.mode}"]), "slow");
    assert!(!server.kubectl(&server.url(), "wrong", &["get", "configmaps"]).ok());
    assert!(server.kubectl(&server.url(), TOKEN, &["delete", "configmap", "settings"]).ok());
}

#[test]
fn kubectl_goes_through_the_gateway() {
    let stage = Gated::set(POLICIES);
    reads_go_through(&stage);
    a_change_waits_and_goes_on(&stage);
    a_rejected_change_is_forbidden(&stage);
    what_would_change_is_shown_and_held_to(&stage);
    no_value_of_a_secret_is_on_a_card(&stage);
    sessions_and_secrets_are_refused(&stage);
    a_watch_ends_with_its_agent(&stage);
}

fn reads_go_through(stage: &Gated) {
    stage.server.admin(&["create", "configmap", "seen", "--from-literal=a=1"]);
    assert!(stage.done(&["get", "configmaps", "-A"]).contains("seen"));
    let by_path = format!("{}/t/{CLUSTER}", stage.url().replace("localhost", "127.0.0.1"));
    let found = stage.server.kubectl(&by_path, &stage.world.key, &["get", "configmaps", "-A"]);
    assert!(found.stdout.contains("seen"), "{}", found.stderr);
    assert!(stage.done(&["describe", "configmap", "seen"]).contains('1'));
    assert!(stage.done(&["api-resources"]).contains("deployments"));
    assert!(stage.done(&["auth", "can-i", "create", "pods"]).contains("yes"));
    assert!(stage.done(&["get", "--raw", "/version"]).contains("1.20"));
    let file =
        stage.server.file("seen.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: seen}\ndata: {a: '2'}\n");
    let differs = stage.kubectl(&["diff", "-f", &file]);
    assert!(differs.stdout.contains("+  a: \"2\""), "{} {}", differs.stdout, differs.stderr);
    let dry = stage.done(&["create", "configmap", "none", "--dry-run=server", "-o", "name"]);
    assert_eq!(dry.trim(), "configmap/none");
    let mut watch =
        stage.server.command(&stage.url(), &stage.world.key, &["get", "configmaps", "--watch", "-o", "name"]);
    let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    stage.server.admin(&["create", "configmap", "arrives"]);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap() == "configmap/arrives"));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The hold ends after three seconds; `kubectl` asks again by itself, and goes on once somebody has approved.
fn a_change_waits_and_goes_on(stage: &Gated) {
    let file = stage.server.file("settings.yaml", CONFIG);
    let (child, review) = stage.paused(&["apply", "-f", &file]);
    let card = review.0.to_string();
    assert!(card.contains("create configmaps settings in namespace default"), "{card}");
    assert!(card.contains("mode: slow"), "{card}");
    // one hold ends meanwhile
    std::thread::sleep(std::time::Duration::from_secs(5));
    stage.world.dora().approve(&review).ok();
    let (ok, said) = ended(child);
    assert!(ok, "{said}");
    assert_eq!(stage.server.admin(&["get", "configmap", "settings", "-o", "jsonpath={.data.mode}"]), "slow");
    let outcome = || stage.world.dora().actions().into_iter().find(succeeded);
    wait_until("the outcome", SOON, outcome).unwrap();
}

fn succeeded(action: &Value) -> bool {
    let text = action.to_string();
    text.contains("k8s:write") && text.contains("succeeded")
}

fn a_rejected_change_is_forbidden(stage: &Gated) {
    let (child, review) = stage.paused(&["delete", "configmap", "seen"]);
    stage.world.dora().reject(&review, "it is needed").ok();
    let (ok, said) = ended(child);
    assert!(!ok && said.contains("Forbidden") && said.contains("it is needed"), "{said}");
    assert!(said.contains(review.id()), "{said}");
    stage.server.admin(&["get", "configmap", "seen"]);
}

/// The server's own dry run says what would change; what is another change by the time it is approved does not run.
fn what_would_change_is_shown_and_held_to(stage: &Gated) {
    stage.server.admin(&["create", "configmap", "plan", "--from-literal=a=1"]);
    let patch = ["patch", "configmap", "plan", "--type=merge", "-p", r#"{"data":{"a":"2"}}"#];
    let (child, review) = stage.paused(&patch);
    let card = stage.world.dora().get(&format!("/api/v1/reviews/{}", review.id())).ok();
    let lines: Vec<&str> = card["replaces"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(lines.contains(&"-   a: \"1\"") && lines.contains(&"+   a: \"2\""), "{lines:?}");
    assert!(card["impact"]["words"].to_string().contains("1 object would change"), "{}", card["impact"]);
    stage.server.admin(&["patch", "configmap", "plan", "--type=merge", "-p", r#"{"data":{"a":"7"}}"#]);
    stage.world.dora().approve(&review).ok();
    let (ok, said) = ended(child);
    assert!(!ok && said.contains("something else by now"), "{said}");
    assert_eq!(stage.server.admin(&["get", "configmap", "plan", "-o", "jsonpath={.data.a}"]), "7");
    let (child, review) = stage.paused(&patch);
    stage.world.dora().approve(&review).ok();
    assert!(ended(child).0);
    assert_eq!(stage.server.admin(&["get", "configmap", "plan", "-o", "jsonpath={.data.a}"]), "2");
}

fn no_value_of_a_secret_is_on_a_card(stage: &Gated) {
    let file = stage.server.file("secret.yaml", SECRET);
    let (child, review) = stage.paused(&["create", "-f", &file]);
    let card = review.0.to_string();
    assert!(card.contains("password: (not shown)"), "{card}");
    assert!(!card.contains("hunter2") && !card.contains("aHVudGVyMg"), "{card}");
    stage.world.dora().approve(&review).ok();
    let (ok, said) = ended(child);
    assert!(ok, "{said}");
    assert_eq!(stage.server.admin(&["get", "secret", "db", "-o", "jsonpath={.data.password}"]), "aHVudGVyMg==");
}

fn sessions_and_secrets_are_refused(stage: &Gated) {
    // no policy permits `k8s:reveal`
    let said = stage.refused(&["get", "secret", "db", "-o", "yaml"]);
    assert!(said.contains("Forbidden") && !said.contains("aHVudGVyMg"), "{said}");
    let empty_patch = ["patch", "secret", "db", "--type=merge", "-p", "{}", "--dry-run=server", "-o", "yaml"];
    let said = stage.refused(&empty_patch);
    assert!(!said.contains("aHVudGVyMg"), "{said}");
    for raw in ["/api/v1/watch/secrets", "/api/v1//secrets", "/api/v1/namespaces/default%2Fsecrets", "/api/v1/secrets/"]
    {
        let said = stage.refused(&["get", "--raw", raw]);
        assert!(!said.contains("aHVudGVyMg"), "{raw}: {said}");
    }
    stage.server.admin(&["run", "web", "--image=nginx"]);
    let said = stage.refused(&["exec", "web", "--", "ls"]);
    assert!(said.contains("nobody opens sessions in production"), "{said}");
    let said = stage.refused(&["get", "--raw", "/api/v1/namespaces/default/pods/web/proxy/"]);
    assert!(said.contains("nobody opens sessions in production"), "{said}");
    let said = stage.refused(&["get", "pods", "--as=root"]);
    assert!(said.contains("Impersonate"), "{said}");
}

fn a_watch_ends_with_its_agent(stage: &Gated) {
    let mut child = stage.begun(kubectl(), &["get", "configmaps", "--watch", "-o", "name"]);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap() == "configmap/arrives"));
    stage.world.gateway.administer(&["agent", "revoke", AGENT]);
    wait_until("the watch to end", SOON, || child.try_wait().unwrap()).unwrap();
    stage.refused(&["get", "configmaps"]);
}
