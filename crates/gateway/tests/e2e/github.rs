//! GitHub's own clients by way of the gateway, whose target has GitHub's own document; what is behind it answers anything.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use xtask::process::wait_until;
use xtask::test_tools_dir;

use crate::harness::api::{Api, Review};
use crate::harness::origin::Origin;
use crate::harness::{Plan, SOON, World};

const PACK: &str = include_str!("../../../../policies/packs/github.cedar");
/// A workflow waits for two seconds only, so that a hold ends within the test.
const SHORT: &str = r#"
@id("dispatch-waits-shortly")
@review("a workflow is dispatched: one SRE")
@hold("2s")
forbid (principal, action == Action::"http:exec", resource is Service)
when { context.http.operation == "github:actions/create-workflow-dispatch" }
unless { context.approvals.contains(Quorum::"sre:1") };
"#;

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
    command(world, call, more).spawn().unwrap()
}

fn command(world: &World, call: &str, more: Value) -> Command {
    let mut parameters = json!({"owner": "acme", "repo": "shop"});
    parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut node = Command::new("node");
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/octokit.mjs"));
    node.args([&format!("{}/t/github", world.gateway.url()), call, &parameters.to_string()]);
    node.env("NODE_MODULES", test_tools_dir().join("node")).env("GITHUB_TOKEN", &world.key);
    node.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    node
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

/// A world with a target for GitHub, which has also what `[target.http]` says here of its gateway's port.
fn world(origin: &Origin, more: impl FnOnce(&str) -> String) -> World {
    let people: &[(&str, &str)] = &[("sam", "security"), ("sid", "sre")];
    let plan = Plan::default().policies_beside([PACK, SHORT].concat().leak()).people(people);
    let mut world = plan.prepare();
    let file = world.gateway.config();
    let port = world.gateway.url().rsplit(':').next().unwrap().to_owned();
    let targets = target(origin) + &more(&port);
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &targets).unwrap();
    world.gateway.start();
    world.enrol(people);
    world
}

#[test]
fn octokit_goes_through_the_gateway() {
    let origin = Origin::start();
    let world = world(&origin, |_| String::new());
    a_read_passes(&origin, &world);
    a_merge_waits_and_goes_on(&origin, &world, &world.token("sid"));
    a_branchs_protection_is_administration(&origin, &world, &world.token("sam"));
    let told = ended(octokit(&world, "repos.createWebhook", json!({"config": {"url": 7, "Url": "x"}})));
    assert_eq!(
        (&told["ok"], &told["status"]),
        (&json!(false), &json!(403)),
        "what can be read twice is refused: {told}"
    );
    assert_ne!(told["message"], "Unknown error", "{told}");
    what_waits_beyond_the_hold_is_not_done(&origin, &world, &world.token("sid"));
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
    let said = told["message"].as_str().unwrap();
    assert!(said.contains("main stays protected") && said.contains("/reviews/"), "{told}");
    assert_eq!(told["data"]["code"], "review_rejected", "{told}");
    assert!(origin.asked_for("/repos/acme/shop/branches/main/protection").is_empty());
}

/// Octokit takes every 2xx for done; its retries, and anybody's, send again what is 429.
fn what_waits_beyond_the_hold_is_not_done(origin: &Origin, world: &World, sid: &Api) {
    let target = "/repos/acme/shop/actions/workflows/deploy.yml/dispatches";
    let wish = || json!({"workflow_id": "deploy.yml", "ref": "main"});
    let (call, review) = paused(world, "actions.createWorkflowDispatch", wish());
    let told = ended(call);
    assert_eq!((&told["ok"], &told["status"]), (&json!(false), &json!(429)), "{told}");
    assert!(told["message"].as_str().unwrap().contains(&format!("/reviews/{}", review.id())), "{told}");
    assert_eq!((&told["data"]["code"], &told["headers"]["retry-after"]), (&json!("hold_ended"), &json!("5")), "{told}");
    let asked = json!({"headers": {"prefer": "respond-async"}, "workflow_id": "deploy.yml", "ref": "main"});
    let told = ended(octokit(world, "actions.createWorkflowDispatch", asked));
    assert_eq!((&told["ok"], &told["status"], &told["data"]["status"]), (&json!(true), &json!(202), &json!("waiting")));
    assert!(origin.asked_for(target).is_empty());
    sid.approve(&review).ok();
    let told = ended(octokit(world, "actions.createWorkflowDispatch", wish()));
    assert_eq!(told["ok"], true, "{told}");
    assert_eq!(origin.asked_for(target).len(), 1);
    // its own retries go on by themselves once somebody has approved
    let ended_holds = || world.dora().actions().iter().filter(|action| action["code"] == "hold_ended").count();
    let before = ended_holds();
    let call = command(world, "actions.createWorkflowDispatch", wish()).env("RETRY", "1").spawn().unwrap();
    let review = world.review_beyond(0);
    wait_until("a hold to end", SOON, || (ended_holds() > before).then_some(())).unwrap();
    sid.approve(&review).ok();
    let told = ended(call);
    assert_eq!((&told["ok"], origin.asked_for(target).len()), (&json!(true), 2), "{told}");
}

/// `gh` as the agent: it speaks to the gateway as if that were a GitHub of the company's own.
fn gh(world: &World, args: &[&str]) -> Child {
    let host = format!("localhost:{}", world.gateway.url().rsplit(':').next().unwrap());
    let mut gh = Command::new("gh");
    gh.args(args).env("GH_HOST", &host).env("GH_ENTERPRISE_TOKEN", &world.key);
    gh.env("GH_REPO", format!("{host}/acme/shop")).env("GH_CONFIG_DIR", world.dir.join("gh"));
    gh.env("SSL_CERT_FILE", world.gateway.data_dir().join("tls/cert.pem"));
    gh.env("GH_NO_UPDATE_NOTIFIER", "1").env("GH_PROMPT_DISABLED", "1").env("NO_COLOR", "1");
    gh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("`gh`")
}

/// Whether it succeeded, and all it said.
fn told(child: Child) -> (bool, String) {
    let out = child.wait_with_output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn gh_goes_through_the_gateway() {
    let origin = Origin::start();
    let names = |port: &str| format!("hosts = [\"localhost:{port}\"]\nmounts = [\"/api/v3\", \"/api\"]\n");
    let world = world(&origin, names);
    let (done, said) = told(gh(&world, &["api", "repos/acme/shop/pulls/7"]));
    assert!(done && said.contains("\"/repos/acme/shop/pulls/7\""), "{said}");
    origin.wait_for("/repos/acme/shop/pulls/7");
    // a merge hangs until somebody approves it
    let merge = "/repos/acme/shop/pulls/7/merge";
    let call = gh(&world, &["api", "-X", "PUT", "repos/acme/shop/pulls/7/merge", "-f", "merge_method=squash"]);
    let review = world.review_beyond(0);
    assert!(review.0.to_string().contains("github:pulls/merge"), "{}", review.0);
    assert!(origin.asked_for(merge).is_empty());
    world.token("sid").approve(&review).ok();
    let (done, said) = told(call);
    assert!(done && origin.asked_for(merge).len() == 1, "{said}");
    // a rejection is told in the reviewer's words
    let secret = gh(&world, &["secret", "delete", "TOKEN"]);
    let review = world.review_beyond(0);
    world.token("sam").reject(&review, "it is still used").ok();
    let (done, said) = told(secret);
    assert!(!done && said.contains("403") && said.contains("it is still used"), "{said}");
    // the end of a hold is no success; sent again once it is approved it runs
    let dispatch = "/repos/acme/shop/actions/workflows/7/dispatches";
    let run = || gh(&world, &["api", "repos/acme/shop/actions/workflows/7/dispatches", "-f", "ref=main"]);
    let (call, review) = (run(), world.review_beyond(0));
    let (done, said) = told(call);
    assert!(!done && said.contains("429") && said.contains(&format!("/reviews/{}", review.id())), "{said}");
    world.token("sid").approve(&review).ok();
    let (done, said) = told(run());
    assert!(done && origin.asked_for(dispatch).len() == 1, "{said}");
    // what its GraphQL asks for nobody describes
    let (done, said) = told(gh(&world, &["pr", "list"]));
    assert!(!done && origin.asked_for("/graphql").is_empty(), "{said}");
    assert!(world.verify().ok());
}
