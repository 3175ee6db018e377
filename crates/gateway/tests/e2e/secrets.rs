//! What is secret and stored: sealed on the disk, under keys that are replaced while agents work.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::harness::World;
use crate::harness::clients::Client;

fn has(path: &Path, part: &str) -> bool {
    fs::read(path).unwrap().windows(part.len()).any(|window| window == part.as_bytes())
}

/// Everything that the gateway has written of secrets, as whoever copies the disk would see it.
fn nothing_secret_in(world: &World) {
    let data = world.gateway.data_dir();
    for part in ["stored_key", "server_key", "PRIVATE+KEY+"] {
        for file in ["countersign.db", "countersign.db-wal", "ledger/log.key", "keys.json"] {
            assert!(!has(&data.join(file), part), "{part} in {file}");
        }
    }
    for file in ["keys.json", "master.key", "ledger/log.key"] {
        assert_eq!(fs::metadata(data.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

fn reads(world: &World) {
    world.send(Client::Psql, "read", None).outcome().rows();
}

#[test]
fn keys_are_replaced_while_agents_work() {
    let mut world = World::start();
    reads(&world);
    nothing_secret_in(&world);
    let (call, review) = world.paused("UPDATE customers SET credit_limit = 900 WHERE id = 3");
    let (data, origin) =
        (world.gateway.data_dir(), fs::read(world.gateway.data_dir().join("ledger/log.vkey")).unwrap());
    let before = fs::read(data.join("ledger/log.key")).unwrap();

    // another master key, in the place of the first
    let key = world.gateway.administer(&["secrets", "generate"]);
    fs::write(data.join("master.key"), format!("{key}\n")).unwrap();
    let said = world.gateway.administer(&["secrets", "rotate"]);
    assert!(said.contains("sealed with the new key"), "{said}");
    world.until_recorded("the change", |leaf| {
        leaf["kind"] == "config.changed" && leaf["what"].to_string().contains("new key")
    });
    assert_ne!(fs::read(data.join("ledger/log.key")).unwrap(), before);
    nothing_secret_in(&world);
    world.dora().approve(&review).ok();
    assert_eq!(call.outcome().rows(), 1, "what waited goes on");
    reads(&world);

    world.gateway.stop();
    let said = world.gateway.administer(&["secrets", "rotate"]);
    assert!(said.contains("sealed with the new key"), "without a server: {said}");
    world.gateway.start();
    reads(&world);
    assert_eq!(fs::read(data.join("ledger/log.vkey")).unwrap(), origin, "it is the same log");
    world.verify().success("verification").unwrap();
}

#[test]
fn a_store_without_its_keys_is_not_served() {
    let mut world = World::start();
    reads(&world);
    world.gateway.stop();
    let data = world.gateway.data_dir();
    let refused = |part: &str| {
        let refused = world.gateway.command(&["serve"]);
        assert!(!refused.ok() && refused.stderr.contains(part), "{part}: {refused:?}");
    };
    let master = fs::read(data.join("master.key")).unwrap();
    fs::write(data.join("master.key"), world.gateway.administer(&["secrets", "generate"])).unwrap();
    refused("a key that is not here");
    fs::remove_file(data.join("master.key")).unwrap();
    refused("master.key");
    fs::write(data.join("master.key"), &master).unwrap();
    refused("chmod 600");
    fs::set_permissions(data.join("master.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let keys = fs::read(data.join("keys.json")).unwrap();
    fs::remove_file(data.join("keys.json")).unwrap();
    refused("a key that is not here");
    fs::write(data.join("keys.json"), keys).unwrap();
    world.gateway.start();
    reads(&world);
}
