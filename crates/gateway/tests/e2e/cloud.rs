//! AWS's command line and boto3 against an account, by way of the gateway and its policy pack.

use std::process::Child;

use serde_json::{Value, json};

use crate::harness::api::{Api, Review};
use crate::harness::cloud::{Moto, REGION};
use crate::harness::{Plan, World};

/// The account that waits for people, and the one where agents write as they like.
const ACCOUNT: &str = "aws";
const LAB: &str = "lab";

const PACK: &str = include_str!("../../../../policies/packs/aws.cedar");
/// Nine mebibytes: two parts.
const LARGE: usize = 9 << 20;

/// An account behind a gateway, and those who decide about it.
struct Stage {
    // dropped first: it lies in the world's directory
    moto: Moto,
    world: World,
    sam: Api,
    sue: Api,
    sid: Api,
}

impl Stage {
    fn set() -> Self {
        // shorter than the pack has it, so that a hold ends within the test
        let pack = PACK.replace("\n@review(", "\n@hold(\"3s\")\n@review(");
        let mut world = Plan::default().policies_beside(Box::leak(pack.into_boxed_str())).prepare();
        let moto = Moto::start(&world.dir, world.sweeper.clone());
        let file = world.gateway.config();
        let host = format!("hosts = [\"{}\"]\n", s3_host(&world));
        let targets = moto.target(ACCOUNT, "production") + &moto.target(LAB, "dev") + &host;
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &targets).unwrap();
        world.gateway.start();
        world.enrol(&[("sam", "security"), ("sue", "security"), ("sid", "sre")]);
        let [sam, sue, sid] = ["sam", "sue", "sid"].map(|name| world.token(name));
        Self { moto, world, sam, sue, sid }
    }

    /// The command line, which has to succeed.
    fn done(&self, target: &str, args: &[&str]) -> String {
        self.moto.aws(&self.world, target, args).success("aws").unwrap()
    }

    /// The same, which has to fail. What it said.
    fn refused(&self, target: &str, args: &[&str]) -> String {
        let finished = self.moto.aws(&self.world, target, args);
        assert!(!finished.ok(), "{args:?}: {}", finished.stdout);
        finished.stderr
    }

    /// The same while it waits for a review.
    fn paused(&self, args: &[&str]) -> (Child, Review) {
        let before = self.world.dora().open_reviews().len();
        let child = self.moto.started(&self.world, ACCOUNT, args);
        (child, self.world.review_beyond(before))
    }

    /// A call that these people approve at once.
    fn approved(&self, people: &[&Api], args: &[&str]) -> (Review, String) {
        let (child, review) = self.paused(args);
        people.iter().for_each(|person| drop(person.approve(&review).ok()));
        let (ok, said) = ended(child);
        assert!(ok, "{args:?}: {said}");
        (review, said)
    }
}

/// The name that the lab has besides its path.
fn s3_host(world: &World) -> String {
    world.gateway.url().replace("http://127.0.0.1", "s3.localhost")
}

/// What a command said, and whether it succeeded.
fn ended(child: Child) -> (bool, String) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

#[test]
fn awss_own_clients_go_through_the_gateway() {
    let stage = Stage::set();
    reads_go_through(&stage);
    objects_come_and_go(&stage);
    boto3_is_served(&stage);
    a_role_waits_for_two_and_goes_on(&stage);
    a_rejected_call_is_denied(&stage);
    what_cannot_be_sent_is_refused_before_anybody_is_asked(&stage);
    keys_machines_and_secrets_wait(&stage);
    an_object_in_production_waits(&stage);
    let requests = stage.moto.requests();
    assert!(requests.contains("AKIAGATEWAY") && !requests.contains(&stage.world.key));
    assert!(stage.world.verify().ok());
}

fn reads_go_through(stage: &Stage) {
    let caller: Value = serde_json::from_str(&stage.done(ACCOUNT, &["sts", "get-caller-identity"])).unwrap();
    assert!(caller["Arn"].as_str().unwrap().starts_with("arn:aws:sts::"), "{caller}");
    stage.moto.admin(&["s3", "mb", "s3://shop"]);
    assert!(stage.done(ACCOUNT, &["s3", "ls"]).contains("shop"));
    assert!(stage.done(ACCOUNT, &["iam", "list-roles"]).contains("Roles"));
    assert!(stage.done(ACCOUNT, &["dynamodb", "list-tables"]).contains("TableNames"));
    assert!(stage.refused(ACCOUNT, &["iam", "get-role", "--role-name", "none"]).contains("NoSuchEntity"));
}

fn objects_come_and_go(stage: &Stage) {
    let (small, large) = (stage.moto.file("small", 100), stage.moto.file("large", LARGE));
    stage.done(LAB, &["s3", "mb", "s3://lab-1"]);
    stage.done(LAB, &["s3", "cp", &small, "s3://lab-1/a b/small"]);
    stage.done(LAB, &["s3", "cp", &large, "s3://lab-1/large", "--no-progress"]);
    let listed = stage.done(LAB, &["s3", "ls", "--recursive", "s3://lab-1"]);
    assert!(listed.contains(&LARGE.to_string()) && listed.contains("a b/small"), "{listed}");
    let back = format!("{large}.back");
    stage.done(LAB, &["s3", "cp", "s3://lab-1/large", &back, "--no-progress"]);
    assert!(std::fs::read(&back).unwrap() == std::fs::read(&large).unwrap());
    stage.done(LAB, &["s3", "cp", "s3://lab-1/large", "s3://lab-1/copy", "--no-progress"]);
    stage.done(LAB, &["s3", "rm", "--recursive", "s3://lab-1"]);
    assert_eq!(stage.moto.admin(&["s3", "ls", "--recursive", "s3://lab-1"]), "");
}

fn boto3_is_served(stage: &Stage) {
    let large = stage.moto.file("boto3", LARGE);
    let served = |args: &[&str]| -> Value {
        serde_json::from_str(&stage.moto.boto3(&stage.world, LAB, args).success("boto3").unwrap()).unwrap()
    };
    let said = served(&["lab-2", &large]);
    let expected = json!({
        "ok": true, "small": "hello", "metadata": {"made-by": "boto3"}, "large": true, "parts": "2",
        "keys": ["large.bin", "small.txt"],
    });
    assert_eq!(said, expected);
    // each bucket stands before the host
    assert_eq!(served(&["lab-3", &large, &s3_host(&stage.world)]), expected);
    let seen = |action: &Value| action.to_string().contains("arn:aws:s3:::lab-3/large.bin");
    assert!(stage.world.dora().actions().iter().any(seen), "the bucket is told from the host");
}

/// The hold ends after three seconds; the command line asks again by itself, and goes on once two people have approved.
fn a_role_waits_for_two_and_goes_on(stage: &Stage) {
    let create = ["iam", "create-role", "--role-name", "deploy", "--assume-role-policy-document", TRUST];
    let (child, review) = stage.paused(&create);
    let card = review.0.to_string();
    assert!(
        card.contains(&format!("iam:CreateRole in {REGION}")) && card.contains("arn:aws:iam::*:role/deploy"),
        "{card}"
    );
    stage.sam.approve(&review).ok();
    std::thread::sleep(std::time::Duration::from_secs(4)); // one hold ends meanwhile
    stage.sue.approve(&review).ok();
    let (ok, said) = ended(child);
    assert!(ok && said.contains("role/deploy"), "{said}");
    stage.moto.admin(&["iam", "get-role", "--role-name", "deploy"]);
    assert_eq!(stage.world.dora().open_reviews().len(), 0, "what was sent again joined the review that was open");
}

fn a_rejected_call_is_denied(stage: &Stage) {
    let (child, review) = stage.paused(&["iam", "delete-role", "--role-name", "deploy"]);
    stage.sam.reject(&review, "it is in use").ok();
    let (ok, said) = ended(child);
    assert!(!ok && said.contains("AccessDenied") && said.contains("it is in use"), "{said}");
    stage.moto.admin(&["iam", "get-role", "--role-name", "deploy"]);
    let said = stage.refused(ACCOUNT, &["iam", "create-access-key", "--user-name", "bot"]);
    assert!(said.contains("AccessDenied") && said.contains("use roles"), "{said}");
}

fn what_cannot_be_sent_is_refused_before_anybody_is_asked(stage: &Stage) {
    let url = stage.done(ACCOUNT, &["s3", "presign", "s3://shop/a"]);
    let mut curl = std::process::Command::new("curl");
    let finished = xtask::process::run(curl.args(["-s", "-X", "DELETE", url.trim()]), crate::harness::SOON).unwrap();
    assert!(finished.stdout.contains("no agent's key"), "a key in an address is none: {}", finished.stdout);
    assert_eq!(stage.world.dora().open_reviews().len(), 0);
}

fn keys_machines_and_secrets_wait(stage: &Stage) {
    let both = [&stage.sam, &stage.sue];
    let key = stage.moto.admin(&["kms", "create-key", "--query", "KeyMetadata.KeyId", "--output", "text"]);
    let key = key.trim();
    let (review, said) =
        stage.approved(&both, &["kms", "schedule-key-deletion", "--key-id", key, "--pending-window-in-days", "7"]);
    assert!(said.contains("DeletionDate"), "{said}");
    assert!(review.0.to_string().contains(&format!("arn:aws:kms:{REGION}:*:key/{key}")), "{}", review.0);
    let run = [
        "ec2",
        "run-instances",
        "--image-id",
        "ami-12c6146b",
        "--query",
        "Instances[0].InstanceId",
        "--output",
        "text",
    ];
    let machine = stage.moto.admin(&run);
    let (review, said) =
        stage.approved(&[&stage.sid], &["ec2", "terminate-instances", "--instance-ids", machine.trim()]);
    assert!(said.contains("shutting-down"), "{said}");
    assert!(review.0.to_string().contains("ec2:TerminateInstances"), "{}", review.0);
    stage.moto.admin(&["secretsmanager", "create-secret", "--name", "db", "--secret-string", "hunter2"]);
    let (_, said) = stage.approved(&[&stage.sam], &["secretsmanager", "get-secret-value", "--secret-id", "db"]);
    assert!(said.contains("hunter2"), "{said}");
    assert!(!stage.world.dora().actions().iter().any(|action| action.to_string().contains("hunter2")));
}

/// Longer than what is read to describe it: it waits on disk.
fn an_object_in_production_waits(stage: &Stage) {
    let file = stage.moto.file("three", 3 << 20);
    let (review, _) = stage.approved(&[&stage.sid], &["s3", "cp", &file, "s3://shop/three", "--no-progress"]);
    assert!(review.0.to_string().contains("arn:aws:s3:::shop/three"), "{}", review.0);
    assert!(stage.moto.admin(&["s3", "ls", "s3://shop"]).contains(&(3 << 20).to_string()));
    stage.approved(&[&stage.sid], &["s3", "rm", "s3://shop/three"]);
    assert!(!stage.moto.admin(&["s3", "ls", "s3://shop"]).contains("three"));
}
