//! What a client may rely on in a session: transactions, several statements in one message, COPY, cancel, settings.

use std::process::Command;
use std::time::Duration;

use xtask::process::{Finished, run, wait_until};

use crate::harness::clients::Client;
use crate::harness::raw::{Raw, batch};
use crate::harness::{AGENT, ROW, SOON, TARGET, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// psql with a script on several `-c`, all on one connection.
fn script(world: &World, commands: &[&str]) -> Finished {
    let mut psql = psql(world);
    for command in commands {
        psql.args(["-c", command]);
    }
    run(&mut psql, SOON).unwrap()
}

fn psql(world: &World) -> Command {
    let mut psql = Command::new(world.cluster.binaries().psql());
    psql.args(["-X", "-A", "-t", "-v", "VERBOSITY=verbose"]).env("PGPASSWORD", &world.key);
    psql.env("PGHOST", "127.0.0.1").env("PGPORT", world.gateway.postgres_port().to_string());
    psql.env("PGUSER", AGENT).env("PGDATABASE", TARGET).env("PGSSLMODE", "require");
    psql
}

/// A refusal inside a transaction fails it as PostgreSQL would.
#[test]
fn a_refusal_fails_the_transaction() {
    let world = World::start();
    let said = script(&world, &["BEGIN", "SELECT 1", "DELETE FROM customers", "SELECT 2", "COMMIT", "SELECT 3"]);
    let errors = said.stderr.lines().filter(|line| line.starts_with("ERROR")).collect::<Vec<_>>();
    assert!(errors[0].contains("42501") && errors[1].contains("25P02"), "{errors:?}");
    assert_eq!(said.stdout.lines().collect::<Vec<_>>(), ["BEGIN", "1", "ROLLBACK", "3"]);
}

/// The statements of one message share one review, and are refused together.
#[test]
fn several_statements_in_one_message() {
    let world = World::start();
    let said = script(&world, &["SELECT 1; DELETE FROM customers; SELECT 2", "SELECT 3"]);
    assert!(said.stderr.contains("42501"), "{said:?}");
    assert_eq!(said.stdout.trim(), "3", "nothing of a refused message runs");
    let (call, review) = world.paused(
        "UPDATE customers SET credit_limit = 900 WHERE id = 3; UPDATE customers SET city = 'Ember' WHERE id = 4",
    );
    assert_eq!(world.dora().open_reviews().len(), 1);
    world.dora().approve(&review).ok();
    call.outcome().rows();
    assert_eq!(
        (world.truth(ROW).as_str(), world.truth("SELECT city FROM customers WHERE id = 4").as_str()),
        ("900", "Ember")
    );
}

/// A write inside a transaction runs with it: rolled back, it has no effect and the record says so.
#[test]
fn a_rolled_back_write_is_recorded_as_such() {
    let world = World::start();
    let mut psql = psql(&world);
    psql.args(["-c", "BEGIN", "-c", WRITE, "-c", "ROLLBACK"]);
    let running = std::thread::scope(|scope| {
        let client = scope.spawn(move || run(&mut psql, SOON).unwrap());
        let review = world.review_beyond(0);
        world.dora().approve(&review).ok();
        client.join().unwrap()
    });
    assert_eq!(running.stdout.lines().collect::<Vec<_>>(), ["BEGIN", "UPDATE 1", "ROLLBACK"], "{running:?}");
    assert_eq!(world.truth(ROW), "200");
    world.until_recorded("the roll-back", |leaf| leaf["kind"] == "action.outcome" && leaf["status"] == "rolled_back");
}

#[test]
fn copy_out_passes() {
    let world = World::start();
    let said = script(&world, &["COPY (SELECT id, city FROM customers ORDER BY id) TO STDOUT"]);
    assert!(said.stdout.starts_with("1\tAurora\n2\tBoreal\n"), "{said:?}");
}

/// A cancel request may come while the gateway prepares the session for what the client sent: the statement is cancelled, or
/// has been done by then, and the session goes on.
#[test]
fn a_cancel_at_any_moment_leaves_the_session() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    for attempt in 0..150 {
        raw.send(&batch().query("BEGIN"));
        assert_eq!(raw.until_ready(), ["C BEGIN", "Z T"]);
        let cancel = std::thread::spawn(raw.canceller());
        std::thread::sleep(Duration::from_micros(attempt * 20));
        raw.send(&batch().query("SELECT pg_sleep(0.01)"));
        cancel.join().unwrap();
        let said = raw.until_ready();
        let cancelled = said.ends_with(&["E 57014".to_owned(), "Z E".to_owned()]);
        assert!(cancelled || said == ["T", "D", "C SELECT 1", "Z T"], "{attempt}: {said:?}");
        raw.send(&batch().query("ROLLBACK"));
        assert_eq!(raw.until_ready(), ["C ROLLBACK", "Z I"]);
    }
}

/// Whoever cancels a statement that hangs has not run it.
#[test]
fn a_client_that_leaves_has_nothing_run() {
    let world = World::start();
    let (call, review) = world.paused(WRITE);
    call.leave();
    assert_eq!(world.dora().review(review.id()).state(), "open");
    world.dora().approve(&review).ok();
    world.send(Client::Psql, "read", None).outcome().rows();
    assert_eq!(world.truth(ROW), "200");
}

/// One review, one execution: two agents' connections with the same statement wait on one review, one of them runs.
#[test]
fn two_waiters_one_execution() {
    let world = World::start();
    let sql = "UPDATE customers SET credit_limit = credit_limit + 1 WHERE id = 3";
    let (mut first, review) = world.paused(sql);
    let mut second = world.send(Client::Psql, "write", Some(sql));
    second.until_notice(review.id());
    world.dora().approve(&review).ok();
    let other = world.review_beyond(0);
    assert_ne!(other.id(), review.id(), "the second waits on a review of its own");
    let one_has_run = || (first.answered() != second.answered()).then_some(());
    wait_until("exactly one of them to run", SOON, one_has_run).unwrap();
    assert_eq!(world.truth(ROW), "201");
    world.dora().reject(&other, "once is enough").ok();
    let (one, two) = (first.ended(), second.ended());
    assert_eq!([&one, &two].iter().filter(|said| said.contains("\"ok\": true")).count(), 1, "{one} {two}");
    assert_eq!(world.truth(ROW), "201");
}

/// Settings that make the server read the text differently than the parser are refused.
#[test]
fn settings_that_change_the_grammar() {
    let world = World::start();
    for setting in ["SET standard_conforming_strings = off", "SET backslash_quote = on", "SET client_encoding = 'SJIS'"]
    {
        let said = script(&world, &[setting, "SELECT 1"]);
        assert!(said.stderr.contains("42501"), "{setting}: {said:?}");
        assert_eq!(said.stdout.trim(), "1", "{setting}");
    }
    let mut startup = psql(&world);
    startup.args(["-c", "SELECT 1"]).env("PGOPTIONS", "-c standard_conforming_strings=off");
    let said = run(&mut startup, SOON).unwrap();
    assert!(!said.ok(), "{said:?}");
}

/// A CTE that writes, EXPLAIN ANALYZE, SELECT INTO, a function with effects: each is seen for what it is.
#[test]
fn writes_in_disguise_wait_too() {
    let world = World::start();
    let disguised = "WITH gone AS (DELETE FROM orders WHERE id = 105 RETURNING id) SELECT * FROM gone";
    let (call, review) = world.paused(disguised);
    assert_eq!(world.truth("SELECT count(*) FROM orders"), "5");
    world.dora().reject(&review, "no").ok();
    call.outcome().refused("42501");
    let (call, review) = world.paused("EXPLAIN ANALYZE UPDATE customers SET credit_limit = 900 WHERE id = 3");
    assert_eq!(world.truth(ROW), "200");
    world.dora().reject(&review, "no").ok();
    call.outcome().refused("42501");
}
