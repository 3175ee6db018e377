//! What goes on for long ends when whoever asked for it may do nothing any more.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use xtask::process::wait_until;

use crate::harness::origin::Origin;
use crate::harness::{AGENT, Plan, SOON, World};

const POLICIES: &str = r#"@id("all") permit (principal, action, resource);"#;

fn world() -> (Origin, World) {
    let origin = Origin::start();
    let world = Plan::default().only_policies(POLICIES).targets(origin.target("api", "")).start();
    (origin, world)
}

/// A stream of events without an end, of which one has arrived.
fn streaming(world: &World, key: &str, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--no-buffer", "-H", &format!("Authorization: Bearer {key}")]).args(args);
    let mut child = curl.arg(format!("{}/t/api/ticks", world.gateway.url())).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    assert_eq!(first, "data: 0\n");
    (child, said)
}

/// A connection that has gone on in another protocol, and answers.
fn tunnel(world: &World) -> TcpStream {
    let port: u16 = world.gateway.url().rsplit(':').next().unwrap().parse().unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let head = format!(
        "GET /t/api/socket HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        world.key
    );
    socket.write_all(head.as_bytes()).unwrap();
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    socket.write_all(b"hello").unwrap();
    let mut echo = [0; 5];
    socket.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"hello");
    socket
}

/// Whether it has ended, and not only paused.
fn ends(mut child: Child) -> bool {
    wait_until("the stream to end", SOON, || child.try_wait().unwrap()).is_ok_and(|status| !status.success())
}

#[test]
fn a_stream_and_a_tunnel_end_with_their_agent() {
    let (_origin, world) = world();
    let other = world.gateway.administer(&["agent", "create", "other", "--owner", "finn"]);
    let one = streaming(&world, &world.key, &["--http1.1"]);
    let two = streaming(&world, &world.key, &["--http2-prior-knowledge"]);
    let (mut others, mut said) = streaming(&world, &other, &[]);
    let mut socket = tunnel(&world);
    world.gateway.administer(&["agent", "revoke", AGENT]);
    assert!(ends(one.0) && ends(two.0));
    assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)), "nothing comes any more");
    let recorded = || {
        let actions = world.dora().actions();
        actions.into_iter().find(|action| action["code"] == "requester_gone" && action["action"] == "http:exec")
    };
    assert_eq!(wait_until("the outcome", SOON, recorded).unwrap()["status"], "unknown");
    // another's goes on, until somebody who answers for it is suspended
    for _ in 0..4 {
        said.read_line(&mut String::new()).unwrap();
    }
    assert!(others.try_wait().unwrap().is_none());
    world.gateway.administer(&["person", "suspend", "finn"]);
    assert!(ends(others));
    assert!(world.verify().ok());
}
