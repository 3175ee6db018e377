//! The beginning of a connection and its end from outside: versions, encryption, replication, cancel requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use bytes::BytesMut;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use xtask::process::{run, wait_until};

use crate::harness::{AGENT, SOON, TARGET, World};

const CANCEL_REQUEST: u32 = 1234 << 16 | 5678;
const SSL_REQUEST: u32 = 1234 << 16 | 5679;
const GSSENC_REQUEST: u32 = 1234 << 16 | 5680;
const V3_0: u32 = 3 << 16;
const V3_2: u32 = 3 << 16 | 2;

/// A message: its letter, and its body.
type Reply = (char, Vec<u8>);

fn connect(world: &World) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", world.gateway.postgres_port())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// A packet without a kind.
fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let own = [("user", AGENT), ("database", TARGET)];
    let all = own.iter().chain(parameters).map(|(name, value)| format!("{name}\0{value}\0"));
    packet(version, (all.collect::<String>() + "\0").as_bytes())
}

fn reply(stream: &mut TcpStream) -> Reply {
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_be_bytes(header[1..].try_into().unwrap());
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut body).unwrap();
    (char::from(header[0]), body)
}

/// Everything up to the end or `ReadyForQuery`, the agent's key proved on the way.
fn log_in(world: &World, stream: &mut TcpStream, packet: &[u8]) -> Vec<Reply> {
    stream.write_all(packet).unwrap();
    let mut scram = ScramSha256::new(world.key.as_bytes(), ChannelBinding::unsupported());
    let mut replies = Vec::new();
    loop {
        let (kind, body) = reply(stream);
        let mut out = BytesMut::new();
        match (kind, body.get(..4).map(|code| u32::from_be_bytes(code.try_into().unwrap()))) {
            ('R', Some(10)) => frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut out).unwrap(),
            ('R', Some(11)) => {
                scram.update(&body[4..]).unwrap();
                frontend::sasl_response(scram.message(), &mut out).unwrap();
            }
            ('R', Some(12)) => scram.finish(&body[4..]).unwrap(),
            _ => {}
        }
        stream.write_all(&out).unwrap();
        replies.push((kind, body));
        if matches!(kind, 'Z' | 'E') {
            return replies;
        }
    }
}

fn body(replies: &[Reply], kind: char) -> Option<&[u8]> {
    replies.iter().find(|(of, _)| *of == kind).map(|(_, body)| body.as_slice())
}

/// Whatever a client asks for beyond 3.2 is negotiated down; what it has to show for a cancel is as long as its version
/// says.
#[test]
fn versions_are_negotiated() {
    let world = World::start();
    for (version, options, negotiated, key_bytes) in [
        (V3_0, &[][..], None, 8),
        (V3_2, &[], None, 36),
        (3 << 16 | 9_999, &[("_pq_.test_protocol_negotiation", "")], Some(V3_2), 36),
    ] {
        let replies = log_in(&world, &mut connect(&world), &startup(version, options));
        assert_eq!(replies.last().unwrap(), &('Z', b"I".to_vec()), "{version:x}: {replies:?}");
        assert_eq!(body(&replies, 'K').unwrap().len(), key_bytes, "{version:x}");
        let told = body(&replies, 'v').map(|body| u32::from_be_bytes(body[..4].try_into().unwrap()));
        // servers tell the minor version alone, newer ones the whole: clients take the latter's lower half
        assert_eq!(told.map(|told| told & 0xffff), negotiated.map(|version| version & 0xffff), "{version:x}");
        let named = body(&replies, 'v').is_none_or(|body| String::from_utf8_lossy(body).contains(options[0].0));
        assert!(named, "{version:x}: {replies:?}");
    }
    let refused = log_in(&world, &mut connect(&world), &startup(4 << 16, &[]));
    assert!(String::from_utf8_lossy(body(&refused, 'E').unwrap()).contains("protocol version 4.0"), "{refused:?}");
}

/// GSS encryption is declined, TLS accepted, in either order of asking.
#[test]
fn encryption_is_answered() {
    let world = World::start();
    let mut stream = connect(&world);
    for (asked, answer) in [(GSSENC_REQUEST, b'N'), (SSL_REQUEST, b'S')] {
        stream.write_all(&packet(asked, &[])).unwrap();
        let mut answered = [0];
        stream.read_exact(&mut answered).unwrap();
        assert_eq!(answered[0], answer);
    }
}

/// TLS without asking needs ALPN, as PostgreSQL 17 has it: else another protocol's client could be led here.
#[test]
fn direct_tls_names_its_protocol() {
    let world = World::start();
    let handshake = |alpn: &[&str]| {
        let mut command = Command::new("openssl");
        let address = format!("127.0.0.1:{}", world.gateway.postgres_port());
        command.args(["s_client", "-connect", &address, "-no_ign_eof"]).args(alpn);
        run(&mut command, SOON).unwrap()
    };
    let named = handshake(&["-alpn", "postgresql"]);
    assert!(named.stdout.contains("ALPN protocol: postgresql"), "{named:?}");
    let other = handshake(&["-alpn", "http/1.1"]);
    assert!(!other.stdout.contains("ALPN protocol: http/1.1") && other.stderr.contains("alert"), "{other:?}");
}

/// A replication session would stream the log past every decision.
#[test]
fn replication_is_refused_with_a_reason() {
    let world = World::start();
    for value in ["true", "database", "1"] {
        let replies = log_in(&world, &mut connect(&world), &startup(V3_0, &[("replication", value)]));
        let told = String::from_utf8_lossy(body(&replies, 'E').unwrap()).into_owned();
        assert!(told.contains("replication") && told.contains("unsupported"), "{told}");
    }
}

/// A cancel request reaches the session whose key it shows, and no other.
#[test]
fn a_cancel_request_needs_its_own_sessions_key() {
    let world = World::start();
    let (mut busy, mut other) = (connect(&world), connect(&world));
    let key = |replies: &[Reply]| body(replies, 'K').unwrap().to_vec();
    let own = key(&log_in(&world, &mut busy, &startup(V3_2, &[])));
    let others = key(&log_in(&world, &mut other, &startup(V3_2, &[])));
    let mut out = BytesMut::new();
    frontend::query("SELECT pg_sleep(60)", &mut out).unwrap();
    busy.write_all(&out).unwrap();
    let runs = || world.executing("pg_sleep").then_some(());
    wait_until("the statement to run", SOON, runs).unwrap();
    let cancel = |key: &[u8]| {
        let mut stream = connect(&world);
        stream.write_all(&packet(CANCEL_REQUEST, key)).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "a cancel request is not answered");
    };
    cancel(&others); // the other session does nothing
    cancel(&[&own[..4], &others[4..]].concat());
    cancel(&own[..8]); // the beginning of the secret is not the secret
    assert!(world.executing("pg_sleep"), "only its own key cancels a session's statement");
    cancel(&own);
    let told = std::iter::from_fn(|| Some(reply(&mut busy))).find(|(kind, _)| *kind == 'E').unwrap();
    assert!(String::from_utf8_lossy(&told.1).contains("57014"), "{told:?}");
}
