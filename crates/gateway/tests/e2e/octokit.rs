//! GitHub's own client by way of the gateway, whose target has GitHub's own document; what is behind it answers anything.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use xtask::test_tools_dir;

use crate::harness::api::{Api, Review};
use crate::harness::origin::Origin;
use crate::harness::{Plan, World};

const PACK: &str = include_str!("../../../../policies/packs/github.cedar");

/// A target with the document that `cargo xtask tools` installs.
fn target(origin: &Origin) -> String {
    let document = test_tools_dir().join("node/node_modules/@octokit/openapi/generated/api.github.com.json");
    assert!(document.exists(), "GitHub's document; `cargo xtask tools` installs it");
    format!(
        "\n[[target]]\nname = \"github\"\nprotocol = \"http\"\nupstream = \"http://127.0.0.1:{}\"\n\
         credential = {{ env = \"ORDERS_PASSWORD\" }}\nenvironment = \"production\"\n[target.http]\n\
         openapi = {{ name = \"github\", document = \"{}\" }}\nheaders = [\"x-github-api-version\"]\n",
        origin.port,
        document.display()
    )
}

/// Octokit as the agent.
fn octokit(world: &World, call: &str, more: Value) -> Child {
    let mut parameters = json!({"owner": "acme", "repo": "shop"});
    parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut node = Command::new("node");
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/octokit.mjs"));
    node.args([&format!("{}/t/github", world.gateway.url()), call, &parameters.to_string()]);
    node.env("NODE_MODULES", test_tools_dir().join("node")).env("GITHUB_TOKEN", &world.key);
    node.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// What became of a call.
fn ended(child: Child) -> Value {
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

/// A call, while it waits for a review.
fn paused(world: &World, call: &str, more: Value) -> (Child, Review) {
    let before = world.dora().open_reviews().len();
    let child = octokit(world, call, more);
    (child, world.review_beyond(before))
}

#[test]
fn octokit_goes_through_the_gateway() {
    let origin = Origin::start();
    let people: &[(&str, &str)] = &[("sam", "security"), ("sid", "sre")];
    let world = Plan::default().policies_beside(PACK).people(people).targets(target(&origin)).start();
    a_read_passes(&origin, &world);
    a_merge_waits_and_goes_on(&origin, &world, &world.token("sid"));
    a_branchs_protection_is_administration(&origin, &world, &world.token("sam"));
    let told = ended(octokit(&world, "repos.createWebhook", json!({"config": {"url": 7, "Url": "x"}})));
    assert_eq!(
        (&told["ok"], &told["status"]),
        (&json!(false), &json!(403)),
        "what can be read twice is refused: {told}"
    );
    assert!(world.verify().ok());
}

fn a_read_passes(origin: &Origin, world: &World) {
    let told = ended(octokit(world, "pulls.get", json!({"pull_number": 7})));
    assert_eq!((&told["ok"], &told["data"]["target"]), (&json!(true), &json!("/repos/acme/shop/pulls/7")), "{told}");
    let asked = origin.wait_for("/repos/acme/shop/pulls/7");
    let own = asked.headers["authorization"].to_str().unwrap();
    assert!(own.starts_with("Bearer ") && !own.contains(&world.key));
}

fn a_merge_waits_and_goes_on(origin: &Origin, world: &World, sid: &Api) {
    let target = "/repos/acme/shop/pulls/7/merge";
    let (call, review) = paused(world, "pulls.merge", json!({"pull_number": 7, "merge_method": "squash"}));
    let card = review.0.to_string();
    assert!(card.contains("github:pulls/merge") && card.contains("squash"), "{card}");
    assert!(origin.asked_for(target).is_empty());
    sid.approve(&review).ok();
    let told = ended(call);
    assert_eq!((&told["ok"], &told["data"]["method"]), (&json!(true), &json!("PUT")), "{told}");
    assert_eq!(origin.asked_for(target).len(), 1);
}

fn a_branchs_protection_is_administration(origin: &Origin, world: &World, sam: &Api) {
    let wish = json!({
        "branch": "main", "required_status_checks": null, "enforce_admins": false,
        "required_pull_request_reviews": null, "restrictions": null,
    });
    let (call, review) = paused(world, "repos.updateBranchProtection", wish);
    assert!(review.0.to_string().contains("github:repos/update-branch-protection"), "{}", review.0);
    assert!(review.0.to_string().contains("two of security"), "{}", review.0);
    assert_eq!(review.0["action"], "http:admin", "{}", review.0);
    sam.reject(&review, "main stays protected").ok();
    let told = ended(call);
    assert_eq!(told["status"], 403, "{told}");
    assert!(origin.asked_for("/repos/acme/shop/branches/main/protection").is_empty());
}
