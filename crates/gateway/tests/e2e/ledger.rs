//! The record verifies offline, by our verifier and by somebody else's; whatever is changed in it is found and named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use xtask::process::{Finished, run, wait_until};

use crate::harness::clients::Client;
use crate::harness::go::built;
use crate::harness::record::{entries, leaves, tile_path};
use crate::harness::{SOON, World};

const VERIFIER_BOUND: Duration = Duration::from_secs(120);

/// A world with a little history, stopped; and where its record is.
fn history() -> (World, PathBuf) {
    let mut world = World::start();
    world.send(Client::Psql, "read", None).outcome().rows();
    world.send(Client::Psql, "refused", None).outcome().refused("42501");
    let (call, review) = world.paused("UPDATE customers SET credit_limit = 900 WHERE id = 3");
    world.dora().approve(&review).ok();
    call.outcome().rows();
    world.until_recorded("the outcome", |leaf| leaf["kind"] == "action.outcome" && leaf["status"] == "succeeded");
    world.gateway.stop();
    let ledger = world.gateway.data_dir().join("ledger");
    (world, ledger)
}

/// The small verifier for auditors, built beside the gateway.
fn stand_alone(args: &[&Path]) -> Finished {
    let program = Path::new(env!("CARGO_BIN_EXE_countersign")).with_file_name("countersign-verify");
    assert!(program.exists(), "build it: cargo build --package countersign-tlog");
    run(Command::new(program).args(args), SOON).unwrap()
}

#[test]
fn an_honest_record_verifies() {
    let (world, ledger) = history();
    let ours = world.verify().success("`countersign ledger verify`").unwrap();
    let size = leaves(&ledger).len();
    assert!(ours.contains(&size.to_string()), "the number of records is told: {ours}");
    let small = stand_alone(&[&ledger, Path::new("--key"), &ledger.join("log.vkey")]);
    small.success("`countersign-verify`").unwrap();
}

/// Every way to falsify a copy of the record is found, and the first bad leaf is named.
#[test]
fn a_changed_leaf_is_named() {
    let (world, ledger) = history();
    let size = leaves(&ledger).len() as u64;
    let tile = ledger.join(tile_path(0, size));
    let honest = fs::read(&tile).unwrap();
    let all = entries(&honest);
    let victim = all.len() / 2;
    let mut changed = all.clone();
    let last = changed[victim].len() - 3;
    changed[victim][last] ^= 1;
    let mut reordered = all.clone();
    reordered.swap(victim, victim + 1);
    for (name, falsified) in [("changed", changed), ("reordered", reordered)] {
        fs::write(&tile, encode(&falsified)).unwrap();
        let said = world.verify();
        let text = format!("{}{}", said.stdout, said.stderr);
        assert!(!said.ok() && text.contains(&victim.to_string()), "{name}: leaf {victim} is not named: {text}");
    }
    fs::write(&tile, encode(&all[..victim])).unwrap();
    assert!(!world.verify().ok(), "a record that was cut off passed");
    fs::write(&tile, &honest).unwrap();
    world.verify().success("verification of what was put back").unwrap();
}

fn encode(entries: &[Vec<u8>]) -> Vec<u8> {
    let framed = |entry: &Vec<u8>| [&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], entry].concat();
    entries.iter().flat_map(framed).collect()
}

#[test]
fn a_forged_checkpoint_is_found() {
    let (world, ledger) = history();
    let path = ledger.join("checkpoint");
    let honest = fs::read_to_string(&path).unwrap();
    let size: u64 = honest.lines().nth(1).unwrap().parse().unwrap();
    fs::write(&path, honest.replacen(&format!("\n{size}\n"), &format!("\n{}\n", size - 1), 1)).unwrap();
    assert!(!world.verify().ok(), "a smaller checkpoint with the old signature passed");
}

/// Go's own `golang.org/x/mod/sumdb` reads our checkpoint, and computes our root from our leaves.
#[test]
fn go_agrees() {
    let (world, ledger) = history();
    let program = built(&world.dir, "sumdb");
    let check = || run(Command::new(&program).arg(&ledger), VERIFIER_BOUND).unwrap();
    let said = check().success("Go's verification").unwrap();
    assert!(said.contains(&format!("{} leaves", leaves(&ledger).len())), "{said}");
    let tile = ledger.join(tile_path(0, leaves(&ledger).len() as u64));
    let mut bytes = fs::read(&tile).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&tile, bytes).unwrap();
    assert!(!check().ok(), "Go accepted a changed leaf");
}

/// The tiles are served to strangers exactly as they lie on disk.
#[test]
fn the_log_is_served() {
    let world = World::start();
    world.send(Client::Psql, "read", None).outcome().rows();
    world.until_recorded("the read", |leaf| leaf["kind"] == "action.read");
    let ledger = world.gateway.data_dir().join("ledger");
    let api = world.api("");
    let same = wait_until("the served checkpoint", SOON, || {
        let on_disk = fs::read_to_string(ledger.join("checkpoint")).ok()?;
        (api.get("/log/checkpoint").body.as_str() == Some(on_disk.as_str())).then_some(on_disk)
    });
    let size = same.unwrap().lines().nth(1).unwrap().to_owned();
    assert!(size.parse::<u64>().unwrap() > 0);
}
