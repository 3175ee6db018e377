//! `helm` against a real API server, by way of the gateway. It keeps its releases as Secrets and asks for them all the time.

use std::collections::BTreeMap;
use std::process::Child;

use serde_json::Value;
use xtask::process::{Finished, run};
use xtask::{repository, test_tools_dir};

use crate::harness::gated::{Gated, ended};
use crate::harness::{SOON, World};

const POLICIES: &str = r#"
@id("k8s-may")
permit (principal is Agent, action in [Action::"k8s:read", Action::"k8s:write"], resource is Cluster);

@id("k8s-helm")
permit (principal is Agent, action in [Action::"k8s:reveal", Action::"k8s:admin"], resource is Cluster)
when { context.k8s.resource == "secrets" && ["sandbox", "shop"].contains(context.k8s.ns) };

@id("k8s-shop")
@review("change in the shop: one DBA")
@hold("3s")
forbid (principal is Agent, action in [Action::"k8s:write", Action::"k8s:admin"], resource is Cluster)
when { context.k8s.ns == "shop" }
unless { context.k8s.dryRun || context.approvals.contains(Quorum::"dba:1") };
"#;
/// The chart's password, as it stands there, and as the API has it.
const PASSWORD: [&str; 2] = ["hunter2", "aHVudGVyMg"];
/// How a compressed release begins in base64, and once more encoded.
const RELEASE: [&str; 2] = ["H4sI", "SDRzS"];

/// Helm as the agent, to be waited for.
fn begun(stage: &Gated, args: &[&str]) -> Child {
    stage.begun(test_tools_dir().join("kubernetes/helm/helm"), args)
}

fn helm(stage: &Gated, args: &[&str]) -> Finished {
    run(&mut stage.command(test_tools_dir().join("kubernetes/helm/helm"), args), SOON * 2).unwrap()
}

fn chart() -> String {
    repository().join("crates/gateway/tests/data/helm/shop").display().to_string()
}

/// Approves whatever is asked until the command has ended. What was asked, and the cards.
fn approved(world: &World, mut child: Child) -> (Child, BTreeMap<String, String>) {
    let mut cards = BTreeMap::new();
    while child.try_wait().unwrap().is_none() {
        for review in world.dora().open_reviews() {
            let card = world.dora().get(&format!("/api/v1/reviews/{}", review.id())).ok().to_string();
            if cards.insert(review.id().to_owned(), card).is_none() {
                world.dora().approve(&review).ok();
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    (child, cards)
}

#[test]
fn helm_goes_through_the_gateway() {
    let stage = Gated::set(POLICIES);
    for namespace in ["sandbox", "shop"] {
        stage.server.admin(&["create", "namespace", namespace]);
    }
    a_permitted_namespace_works(&stage);
    a_guarded_one_is_asked_about(&stage);
    what_was_rejected_is_told(&stage);
    assert!(stage.world.verify().ok());
}

fn a_permitted_namespace_works(stage: &Gated) {
    let (chart, done) = (chart(), |args: &[&str]| helm(stage, args).success("helm").unwrap());
    done(&["install", "web", &chart, "-n", "sandbox"]);
    assert!(done(&["list", "-n", "sandbox"]).contains("deployed"));
    assert!(done(&["status", "web", "-n", "sandbox"]).contains("REVISION: 1"));
    done(&["upgrade", "web", &chart, "-n", "sandbox", "--set", "mode=fast"]);
    let mode = ["get", "configmap", "web-settings", "-n", "sandbox", "-o", "jsonpath={.data.mode}"];
    assert_eq!(stage.server.admin(&mode), "fast");
    done(&["rollback", "web", "1", "-n", "sandbox"]);
    assert_eq!(stage.server.admin(&mode), "slow");
    assert_eq!(done(&["history", "web", "-n", "sandbox", "-o", "json"]).matches("\"revision\"").count(), 3);
    done(&["uninstall", "web", "-n", "sandbox"]);
    assert_eq!(stage.server.admin(&["get", "configmaps,secrets,deployments", "-n", "sandbox", "-o", "name"]), "");
    let elsewhere = helm(stage, &["list", "-A"]);
    assert!(
        !elsewhere.ok() && elsewhere.stderr.contains("no policy permits this"),
        "{} {}",
        elsewhere.stdout,
        elsewhere.stderr
    );
}

/// Each change is asked about by itself; held beyond the hold, Helm asks again as the answer tells it.
fn a_guarded_one_is_asked_about(stage: &Gated) {
    let (child, cards) = approved(&stage.world, begun(stage, &["install", "web", &chart(), "-n", "shop"]));
    let (ok, said) = ended(child);
    assert!(ok && said.contains("STATUS: deployed"), "{said}");
    let all: String = cards.into_values().collect();
    for asked in [
        "create secrets sh.helm.release.v1.web.v1 in namespace shop",
        "create secrets web-db in namespace shop",
        "create configmaps web-settings in namespace shop",
        "create services web-web in namespace shop",
        "create deployments.apps web-web in namespace shop",
        "update secrets sh.helm.release.v1.web.v1 in namespace shop",
    ] {
        assert!(all.contains(asked), "{asked}: {all}");
    }
    let (child, more) = approved(
        &stage.world,
        begun(stage, &["upgrade", "web", &chart(), "-n", "shop", "--set", "mode=fast,password=hunter22"]),
    );
    assert!(ended(child).0);
    let all = all + &more.into_values().collect::<String>();
    for value in PASSWORD.iter().chain(&RELEASE) {
        assert!(!all.contains(value), "{value} in {all}");
    }
    let log = stage.world.gateway.log();
    assert!(PASSWORD.iter().all(|value| !log.contains(value)), "{log}");
    let kept = stage.server.admin(&["get", "secret", "web-db", "-n", "shop", "-o", "jsonpath={.data.password}"]);
    assert_eq!(kept, "aHVudGVyMjI=");
}

fn what_was_rejected_is_told(stage: &Gated) {
    // a release that cannot be written down is not begun
    let child = begun(stage, &["upgrade", "web", &chart(), "-n", "shop", "--set", "mode=off"]);
    let review = stage.world.review_beyond(0);
    stage.world.dora().reject(&review, "the shop is open").ok();
    let (ok, said) = ended(child);
    assert!(!ok && said.contains("the shop is open"), "{said}");
    let left = stage.server.admin(&["get", "configmap", "web-settings", "-n", "shop", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&left).unwrap()["data"]["mode"], "fast");
}
