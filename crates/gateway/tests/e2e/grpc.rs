//! gRPC by way of the gateway: `grpcurl` against a server with reflection.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use xtask::process::{Finished, run, wait_until};
use xtask::test_tools_dir;

use crate::harness::{Plan, SOON, World};

const POLICIES: &str = r#"
@id("calls") permit (principal, action == Action::"http:write", resource);
@id("no") @deny("nobody fails here") forbid (principal, action == Action::"http:write", resource is Service)
when { context.http.path like "*/Fail" };
@id("ask") @review("one DBA") @hold("2s") forbid (principal, action == Action::"http:write", resource is Service)
when { context.http.path like "*/Get" } unless { context.approvals.contains(Quorum::"dba:1") };
@id("who") permit (principal, action == Action::"approve", resource);
"#;
/// The name by which the target is reached: a call's path has no room for another.
const NAME: &str = "grpc.example.org";

/// A server, and what it was called with.
struct Server {
    child: Child,
    port: u16,
    called: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(test_tools_dir().join("grpc/bin/python"));
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/grpc_server.py"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let called: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = called.clone();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        Self { child, port, called }
    }

    fn target(&self) -> String {
        format!(
            "\n[[target]]\nname = \"grpc\"\nprotocol = \"http\"\nupstream = \"http://127.0.0.1:{}\"\ncredential = {{ env = \
             \"ORDERS_PASSWORD\" }}\n[target.http]\nopenapi = {{ name = \"generic\" }}\nhttp2 = true\nhosts = [\"{NAME}\"]\n",
            self.port
        )
    }

    fn called(&self) -> Vec<String> {
        self.called.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(world: &World, key: &str, args: &[&str]) -> Command {
    let mut command = Command::new(test_tools_dir().join("grpc/bin/grpcurl"));
    command.args(["-plaintext", "-v", "-authority", NAME, "-H", &format!("authorization: Bearer {key}")]);
    let (call, options) = args.split_last().unwrap();
    command.args(options).arg(world.gateway.url().replace("http://", "")).args(call.split(' '));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn called(world: &World, args: &[&str]) -> Finished {
    run(&mut command(world, &world.key, args), SOON).unwrap()
}

#[test]
fn grpcurl_goes_through_the_gateway() {
    let server = Server::start();
    let world = Plan::default().only_policies(POLICIES).targets(server.target()).start();
    // reflection talks to and fro, which is one call with streams both ways
    let listed = called(&world, &["list"]);
    assert!(listed.stdout.contains("shop.Orders"), "{} {}", listed.stdout, listed.stderr);
    let several = called(&world, &["-d", r#"{"id":5}"#, "shop.Orders/List"]).success("grpcurl").unwrap();
    assert!(several.contains("\"id\": 7") && several.contains("x-end: List"), "{several}");
    let talked = called(&world, &["-d", r#"{"id":5} {"id":6}"#, "shop.Orders/Talk"]).success("grpcurl").unwrap();
    assert!(talked.contains("\"id\": 10") && talked.contains("\"id\": 12"), "{talked}");
    assert!(server.called().iter().all(|call| !call.contains(&world.key)), "{:?}", server.called());
    a_call_waits(&server, &world);
    refusals_are_statuses(&server, &world);
    assert!(world.verify().ok());
}

/// A call that waits beyond its hold is `Unavailable`, with the review's address; sent again once it is approved, it runs.
fn a_call_waits(server: &Server, world: &World) {
    let get = ["-d", r#"{"id":5}"#, "shop.Orders/Get"];
    let held = called(world, &get);
    assert!(!held.ok() && held.stderr.contains("Code: Unavailable"), "{}", held.stderr);
    let review = world.review_beyond(0);
    assert!(held.stderr.contains("hold_ended") && held.stderr.contains(review.id()), "{}", held.stderr);
    assert!(!server.called().iter().any(|call| call.starts_with("Get")));
    world.dora().approve(&review).ok();
    let ran = called(world, &get).success("grpcurl").unwrap();
    assert!(ran.contains("\"note\": \"one\"") && ran.contains("x-end: Get"), "{ran}");
    let child = command(world, &world.key, &get).spawn().unwrap();
    world.dora().approve(&world.review_beyond(0)).ok();
    assert!(String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).contains("\"note\": \"one\""));
    let twice = || (server.called().iter().filter(|call| call.starts_with("Get")).count() == 2).then_some(());
    wait_until("two calls", SOON, twice).unwrap();
}

fn refusals_are_statuses(server: &Server, world: &World) {
    let refused = called(world, &["-d", r#"{"id":5}"#, "shop.Orders/Fail"]);
    assert!(refused.stderr.contains("Code: PermissionDenied"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("policy_denied") && refused.stderr.contains("nobody fails here"),
        "{}",
        refused.stderr
    );
    assert!(!server.called().iter().any(|call| call.starts_with("Fail")));
    let stranger = run(&mut command(world, "csk_none", &["list"]), SOON).unwrap();
    assert!(stranger.stderr.contains("Unauthenticated"), "{}", stranger.stderr);
    let raw = Command::new("curl")
        .args(["-si", "--http2-prior-knowledge", "-X", "POST", "-H", "Content-Type: application/grpc"])
        .args(["-H", &format!("Host: {NAME}"), "-H", &format!("Authorization: Bearer {}", world.key)])
        .arg(format!("{}/shop.Orders/Fail", world.gateway.url()))
        .output()
        .unwrap();
    let raw = String::from_utf8_lossy(&raw.stdout).into_owned();
    assert!(
        raw.starts_with("HTTP/2 200") && raw.contains("grpc-status: 7") && raw.contains("application/grpc"),
        "{raw}"
    );
}
