//! Bad input gets a clear error, and nothing is left half done.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use xtask::process::{is_root, run, wait_until};

use crate::harness::clients::Client;
use crate::harness::{Plan, ROW, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// Replaces something in the configuration and expects `serve` to refuse it in these words.
#[track_caller]
fn not_served(world: &World, from: &str, to: &str, words: &[&str]) {
    let honest = fs::read_to_string(world.gateway.config()).unwrap();
    assert!(honest.contains(from), "the configuration has no {from}");
    fs::write(world.gateway.config(), honest.replacen(from, to, 1)).unwrap();
    refuses_to_serve(world, words);
    fs::write(world.gateway.config(), honest).unwrap();
}

#[track_caller]
fn refuses_to_serve(world: &World, words: &[&str]) {
    let ended = run(&mut world.gateway.serve_command(), SOON).unwrap();
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_malformed_configuration() {
    let world = Plan::default().prepare();
    not_served(&world, "[server]", "[server", &["countersign.toml"]);
    not_served(&world, "data_dir ", "data_dri ", &["countersign.toml", "data_dri"]);
    not_served(&world, "\"postgres\"", "\"postgras\"", &["countersign.toml", "postgras"]);
    not_served(&world, "\"production\"", "\"prodution\"", &["prodution"]);
    not_served(&world, "listen     = \"127.0.0.1:", "listen     = \"localhost:", &["countersign.toml"]);
    assert!(!world.dir.join("data").exists(), "a refused configuration leaves no data behind");
}

#[test]
fn a_missing_configuration() {
    let world = Plan::default().prepare();
    fs::remove_file(world.gateway.config()).unwrap();
    refuses_to_serve(&world, &["countersign.toml", "--config"]);
}

#[test]
fn a_malformed_policy_at_the_start() {
    let world = Plan::default().prepare();
    let broken = world.dir.join("policies/broken.cedar");
    fs::write(&broken, "@id(\"x\") permit (principal, action, resource").unwrap();
    refuses_to_serve(&world, &["broken.cedar"]);
    fs::write(
        &broken,
        "@id(\"x\") forbid (principal, action, resource) unless { context.approvals.contains(Quorum::\"dbba:1\") };",
    )
    .unwrap();
    refuses_to_serve(&world, &["broken.cedar", "dbba"]);
    fs::write(&broken, "@id(\"x\") @exipres(\"3s\") permit (principal, action, resource);").unwrap();
    refuses_to_serve(&world, &["broken.cedar", "exipres"]);
    fs::write(&broken, "@id(\"production-write\") permit (principal, action, resource);").unwrap();
    refuses_to_serve(&world, &["production-write"]);
}

/// A bad bundle while the gateway runs changes nothing; a good one counts without a restart.
#[test]
fn a_malformed_policy_while_it_runs() {
    let world = World::start();
    let file = world.dir.join("policies/starter.cedar");
    let starter = fs::read_to_string(&file).unwrap();
    fs::write(&file, "permit (principal").unwrap();
    let told = || world.gateway.log().contains("starter.cedar:1").then_some(());
    wait_until("the bad bundle to be told", SOON, told).unwrap();
    world.send(Client::Psql, "read", None).outcome().rows();
    world.send(Client::Psql, "refused", None).outcome().refused("42501");
    let stricter = "\n@id(\"nothing-at-all\") @deny(\"closed for today\") forbid (principal, action, resource);\n";
    fs::write(&file, format!("{starter}{stricter}")).unwrap();
    let activated = |leaf: &serde_json::Value| leaf["kind"] == "policy.activated";
    let twice = wait_until("the new bundle", SOON, || (world.count_recorded(activated) == 2).then_some(()));
    twice.unwrap();
    assert!(world.send(Client::Psql, "read", None).outcome().failed("42501").contains("closed for today"));
}

#[test]
fn certificates_and_keys() {
    let world = Plan::default().prepare();
    let certificate = world.dir.join("upstream.crt");
    fs::write(world.dir.join("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let key = world.dir.join("other.key");
    let mut make = std::process::Command::new("openssl");
    make.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out"]).arg(&key);
    run(&mut make, SOON).unwrap().success("openssl").unwrap();
    let with = |cert: &str, key: &str| format!("[postgres]\ntls_cert = \"{cert}\"\ntls_key = \"{key}\"");
    not_served(&world, "[postgres]", &with("broken.pem", "other.key"), &["broken.pem"]);
    not_served(&world, "[postgres]", &with("upstream.crt", "upstream.crt"), &["upstream.crt"]);
    not_served(&world, "[postgres]", &with("upstream.crt", "other.key"), &["key"]);
    not_served(&world, "[postgres]", &with("nowhere.crt", "other.key"), &["nowhere.crt"]);
    not_served(&world, "[postgres]", "[postgres]\ntls_cert = \"upstream.crt\"", &["tls_key"]);
    assert!(certificate.exists());
}

#[test]
fn text_that_is_not_sql() {
    let world = World::start();
    for garbage in ["SELEC 1", "SELECT (", "'", "\u{1F5FF}"] {
        let outcome = world.send(Client::Psql, "read", Some(garbage)).outcome();
        let message = outcome.refused("42601");
        assert!(message.contains("syntax error") || message.contains("unterminated"), "{message}");
    }
    assert_eq!(world.upstream_connections(), 0, "none of it reached the database");
    world.send(Client::Psql, "read", None).outcome().rows();
}

/// Bytes that are no protocol: the connection ends, the gateway does not.
#[test]
fn bytes_that_are_not_the_protocol() {
    let world = World::start();
    let junk: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        vec![0; 64],
        vec![0, 0, 0, 3],
        vec![0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0],
        vec![0, 0, 0, 8, 0, 3, 0, 0],
        b"\x00\x00\x00\x17\x00\x03\x00\x00user\x00coder\x00\x00".to_vec(),
        vec![22, 3, 1, 0, 5, 1, 0, 0, 1, 0],
    ];
    for bytes in junk {
        let mut stream = TcpStream::connect(("127.0.0.1", world.gateway.postgres_port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        assert!(ended.is_ok() || answer.is_empty(), "still open after {bytes:?}: {ended:?}");
    }
    world.send(Client::Psql, "read", None).outcome().rows();
}

#[test]
fn a_wrong_key_and_an_unknown_target() {
    let mut world = World::start();
    let key = std::mem::replace(&mut world.key, "not-the-key".to_owned());
    let said = world.send(Client::Psql, "read", None).ended();
    assert!(said.contains("28P01") || said.contains("authentication failed"), "{said}");
    world.key = key;
    world.send(Client::Psql, "read", None).outcome().rows();
}

#[test]
fn an_upstream_that_cannot_be_reached() {
    let mut world = World::start();
    world.cluster.stop();
    let said = world.send(Client::Psql, "read", None).ended();
    assert!(said.contains("upstream_unavailable") || said.contains("cannot be reached"), "{said}");
    world.cluster.start_server().unwrap();
    world.send(Client::Psql, "read", None).outcome().rows();
}

/// An approved write that finds no upstream has not run, says so, and does not run later by itself.
#[test]
fn an_upstream_that_is_gone_at_release() {
    let mut world = World::start();
    let (call, review) = world.paused(WRITE);
    world.cluster.stop();
    world.dora().approve(&review).ok();
    call.outcome().failed("08006");
    world.cluster.start_server().unwrap();
    assert_eq!(world.truth(ROW), "200");
}

/// A disk that is full refuses what cannot be recorded; with room again (after a restart) it goes on, and verifies.
#[test]
fn a_full_disk() {
    assert!(is_root(), "a small disk can only be mounted by root; CI is");
    let world = Plan::default().disk(6 * 1024 * 1024).start();
    world.send(Client::Psql, "read", None).outcome().rows();
    let filler = world.gateway.data_dir().join("filler");
    fill(&filler);
    let refused = wait_until("the full disk to be noticed", SOON, || {
        let call = world.send(Client::Psql, "write", Some(WRITE));
        let said = call.ended();
        said.contains("\"ok\": false").then_some(said)
    });
    let said = refused.unwrap();
    assert!(said.contains("record_unavailable") || said.contains("record"), "{said}");
    assert_eq!(world.truth(ROW), "200");
    assert!(!world.gateway.log().contains("panicked"), "{}", world.gateway.log());
}

/// Writes until nothing more fits.
fn fill(path: &std::path::Path) {
    let mut file = fs::File::create(path).unwrap();
    let block = [0_u8; 4096];
    while file.write_all(&block).is_ok() {}
    let byte = [0_u8; 1];
    while file.write_all(&byte).is_ok() {}
}
