//! Vault's own library by way of the gateway, with the pack of policies for it. Behind the gateway stands what answers as Vault's
//! documentation says; its document is in the shape that a server writes.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use xtask::test_tools_dir;

use crate::harness::api::{Api, Review};
use crate::harness::vault::StandIn;
use crate::harness::{Plan, World};

const PACK: &str = include_str!("../../../../policies/packs/vault.cedar");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/openapi/vault.json");
/// The gateway's.
const TOKEN: &str = "hvs.the-gateways-own-token";

/// The library as the agent.
fn hvac(world: &World, call: &str, arguments: &Value) -> Child {
    let mut python = Command::new(test_tools_dir().join("cloud/bin/python"));
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/py_vault.py"));
    python.args([&format!("{}/t/vault", world.gateway.url()), call, &arguments.to_string()]);
    python.env("VAULT_TOKEN", &world.key).env_remove("VAULT_ADDR").env_remove("VAULT_NAMESPACE");
    python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

fn ended(child: Child) -> Value {
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

/// A call that these people approve.
fn approved(world: &World, people: &[&Api], call: &str, arguments: &Value) -> (Review, Value) {
    let before = world.dora().open_reviews().len();
    let child = hvac(world, call, arguments);
    let review = world.review_beyond(before);
    for person in people {
        let _ = person.reveal(&review, &json!([])); // what is written has to be looked at first
        person.approve(&review).ok();
    }
    (review, ended(child))
}

#[test]
fn vaults_own_library_goes_through_the_gateway() {
    let vault = StandIn::start(TOKEN);
    let people: &[(&str, &str)] = &[("sam", "security"), ("sue", "security"), ("sid", "sre")];
    let target = format!(
        "\n[[target]]\nname = \"vault\"\nprotocol = \"http\"\nupstream = \"http://127.0.0.1:{}\"\n\
         credential = {{ file = \"vault-token\" }}\nenvironment = \"production\"\n[target.http]\n\
         auth = {{ header = {{ name = \"X-Vault-Token\" }} }}\nopenapi = {{ name = \"vault\", document = \"{DOCUMENT}\" }}\n",
        vault.port
    );
    // shorter than the pack has it, so that a hold ends within the test
    let pack = PACK.replace("@id(\"vault-token-create\")", "@id(\"vault-token-create\")\n@hold(\"2s\")");
    let mut world = Plan::default().policies_beside(pack.leak()).targets(target).prepare();
    std::fs::write(world.dir.join("vault-token"), format!("{TOKEN}\n")).unwrap();
    world.gateway.start();
    world.enrol(people);
    let [sam, sue, sid] = ["sam", "sue", "sid"].map(|name| world.token(name));

    let secret = json!({"path": "app/db", "secret": {"password": "hunter2-of-the-database"}});
    let (review, told) = approved(&world, &[&sid], "secrets.kv.v2.create_or_update_secret", &secret);
    assert_eq!(told["ok"], true, "{told}");
    assert!(
        review.0.to_string().contains("vault:kv-v2-write") && !review.0.to_string().contains("hunter2"),
        "{}",
        review.0
    );
    assert_eq!(vault.holds(|held| held.secrets["app/db"]["password"].clone()), "hunter2-of-the-database");

    let read = json!({"path": "app/db", "raise_on_deleted_version": true});
    let (review, told) = approved(&world, &[&sam], "secrets.kv.v2.read_secret_version", &read);
    assert_eq!(review.0["action"], "http:reveal", "{}", review.0);
    assert_eq!(told["data"]["data"]["data"]["password"], "hunter2-of-the-database", "{told}");

    let rotate = json!({"name": "app"});
    let (_, told) = approved(&world, &[&sam, &sue], "secrets.transit.rotate_key", &rotate);
    assert_eq!((&told["ok"], vault.holds(|held| held.key)), (&json!(true), 2), "{told}");

    a_policy_is_rejected(&world, &sam);
    what_waits_is_no_token(&world);
    let told = ended(hvac(&world, "auth.token.lookup_self", &json!({})));
    assert!(told["errors"][0].as_str().unwrap().contains("the gateway's own token"), "{told}");
    let (_, told) = approved(
        &world,
        &[&sid, &sam],
        "secrets.kv.v2.destroy_secret_versions",
        &json!({"path": "app/db", "versions": [1]}),
    );
    assert_eq!((&told["ok"], vault.holds(|held| held.secrets.len())), (&json!(true), 0), "{told}");

    let asked = vault.holds(|held| held.asked.clone());
    assert!(!asked.iter().any(|line| line.contains("policies") || line.contains("auth/token")), "{asked:?}");
    assert!(!world.gateway.log().contains(TOKEN));
    assert!(!world.dora().actions().iter().any(|action| action.to_string().contains("hunter2")));
    assert!(world.verify().ok());
}

fn a_policy_is_rejected(world: &World, sam: &Api) {
    let before = world.dora().open_reviews().len();
    let call = hvac(world, "sys.create_or_update_acl_policy", &json!({"name": "ops", "policy": "path \"*\" {}"}));
    let review = world.review_beyond(before);
    sam.reject(&review, "not everything").ok();
    let told = ended(call);
    assert_eq!(told["kind"], "Forbidden", "{told}");
    assert!(told["errors"][0].as_str().unwrap().contains("not everything"), "{told}");
}

/// Its hold ends after two seconds: nothing that is taken for a token.
fn what_waits_is_no_token(world: &World) {
    let told = ended(hvac(world, "auth.token.create", &json!({"policies": ["ops"]})));
    assert_eq!((&told["ok"], &told["kind"]), (&json!(false), &json!("RateLimitExceeded")), "{told}");
    assert!(told["errors"][0].as_str().unwrap().contains("/reviews/"), "{told}");
}
