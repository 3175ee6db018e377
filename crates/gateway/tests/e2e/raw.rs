//! Attacks that only a hand-written client can mount: messages in an order no driver sends, to make the gateway believe
//! that a name means another statement than it does for the server, or that an effect ended otherwise than it did.

use crate::harness::raw::{Raw, batch};
use crate::harness::{ROW, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";
const BROKEN: &str = "SELECT * FROM no_such_table";

/// Waits for a review of exactly this statement, rejects it, and shows that nothing ran.
#[track_caller]
fn held_for_review(world: &World, raw: &mut Raw) {
    let review = world.review_beyond(0);
    assert_eq!(review.0["statement"], WRITE, "{}", review.0);
    assert_eq!(world.truth(ROW), "200");
    world.dora().reject(&review, "no").ok();
    let said = raw.until_ready();
    assert!(said.contains(&"E 42501".to_owned()), "{said:?}");
    assert_eq!(world.truth(ROW), "200");
}

/// The server skips a `Parse` after an error: the unnamed statement is still the one before it.
#[test]
fn an_unnamed_parse_that_the_server_skipped() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    assert_eq!(raw.ask(&batch().parse("", WRITE).sync()), ["1", "Z I"]);
    let skipped = batch().parse("bad", BROKEN).parse("", "SELECT 1").sync();
    raw.send(&skipped.bind("", "").execute("").sync());
    assert_eq!(raw.until_ready(), ["E 42P01", "Z I"]);
    held_for_review(&world, &mut raw);
}

/// The same for a `Close`: the name is still taken, so that a new `Parse` of it fails.
#[test]
fn a_close_that_the_server_skipped() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    assert_eq!(raw.ask(&batch().parse("p", WRITE).sync()), ["1", "Z I"]);
    assert_eq!(raw.ask(&batch().parse("bad", BROKEN).close("p").sync()), ["E 42P01", "Z I"]);
    raw.send(&batch().parse("p", "SELECT 1").sync().bind("", "p").execute("").sync());
    assert_eq!(raw.until_ready(), ["E 42P05", "Z I"]);
    held_for_review(&world, &mut raw);
}

/// A portal that holds EXECUTE would run whatever its statement is by then: none is opened.
#[test]
fn a_statement_swapped_under_execute() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    assert_eq!(raw.ask(&batch().parse("p", "SELECT 1").parse("e", "EXECUTE p").sync()), ["1", "1", "Z I"]);
    let swapped = batch().bind("x", "e").close("p").parse("p", WRITE).execute("x").sync();
    assert_eq!(raw.ask(&swapped), ["E 0A000", "Z I"]);
    assert_eq!((world.truth(ROW).as_str(), world.dora().open_reviews().len()), ("200", 0));
}

/// The server cuts names to 63 bytes, so that two longer ones may be the same: longer ones are refused.
#[test]
fn names_that_the_server_cuts() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    let longest = "a".repeat(63);
    let (one, two) = (format!("{longest}1"), format!("{longest}2"));
    assert_eq!(raw.ask(&batch().parse(&longest, "SELECT 1").sync()), ["1", "Z I"]);
    for cut in [batch().close(&two), batch().parse(&two, WRITE), batch().bind("", &one), batch().bind(&one, &longest)] {
        assert_eq!(raw.ask(&cut.sync()), ["E 54000", "Z I"]);
    }
    assert_eq!(raw.ask(&batch().bind("", &longest).execute("").sync()), ["2", "D", "C SELECT 1", "Z I"]);
    assert_eq!((world.truth(ROW).as_str(), world.dora().open_reviews().len()), ("200", 0));
}

/// A portal replaced by a cursor of SQL would have the cursor's execution taken for the portal's effect.
#[test]
fn a_portal_replaced_in_sql() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    let prepared = batch().parse("p", WRITE).parse("w", "PREPARE p AS SELECT 1").sync();
    assert_eq!(raw.ask(&prepared), ["1", "1", "Z I"]);
    assert_eq!(raw.ask(&batch().query("BEGIN")), ["C BEGIN", "Z T"]);
    assert_eq!(raw.ask(&batch().bind("x", "w").sync()), ["2", "Z T"]);
    assert_eq!(raw.ask(&batch().query("CLOSE x")), ["E 0A000", "Z E"]);
    for aborted in [batch().query("DECLARE x CURSOR FOR SELECT 1"), batch().execute("x").sync()] {
        assert_eq!(raw.ask(&aborted), ["E 25P02", "Z E"]);
    }
    assert_eq!(raw.ask(&batch().query("ROLLBACK")), ["C ROLLBACK", "Z I"]);
    raw.send(&batch().query("EXECUTE p"));
    let review = world.review_beyond(0);
    assert!(review.0.to_string().contains(WRITE), "the reviewer sees what `p` is: {}", review.0);
    world.dora().reject(&review, "no").ok();
    assert_eq!(raw.until_ready(), ["E 42501", "Z I"]);
    assert_eq!(world.truth(ROW), "200");
}

/// A refusal fails the transaction, whatever names the client has prepared in SQL.
#[test]
fn a_decoy_name_prepared_in_sql() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    let decoy = batch().query("PREPARE \"countersign refused this statement\" AS SELECT 1");
    assert_eq!(raw.ask(&decoy), ["C PREPARE", "Z I"]);
    assert_eq!(raw.ask(&batch().query("BEGIN")), ["C BEGIN", "Z T"]);
    let refused = raw.ask(&batch().parse("d", "DROP ROLE nobody").bind("", "d").execute("").sync());
    assert_eq!(refused.last().unwrap(), "Z E", "{refused:?}");
    assert!(refused.contains(&"E 42501".to_owned()), "{refused:?}");
    assert_eq!(raw.ask(&batch().query("SELECT 1")), ["E 25P02", "Z E"]);
    assert_eq!(raw.ask(&batch().query("COMMIT")), ["C ROLLBACK", "Z I"]);
}

/// Approves the one write that hangs.
fn approve(world: &World) {
    world.dora().approve(&world.review_beyond(0)).ok();
}

/// Waits until the record says how the approved write ended.
#[track_caller]
fn outcome(world: &World) -> String {
    let run = world.until_recorded("the write's approval used", |leaf| leaf["kind"] == "grant.consumed");
    let ended = |leaf: &serde_json::Value| {
        leaf["kind"] == "action.outcome" && leaf["id"] == run["id"] && leaf["status"] != "uncommitted"
    };
    let leaf = world.until_recorded("the write's outcome", ended);
    leaf["status"].as_str().unwrap().to_owned()
}

/// An error after a COMMIT in the same batch does not undo it.
#[test]
fn committed_before_the_batch_failed() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    raw.send(&batch().run("BEGIN").run(WRITE).run("COMMIT").parse("bad", BROKEN).sync());
    approve(&world);
    let said = raw.until_ready();
    assert!(said.contains(&"C COMMIT".to_owned()) && said.contains(&"E 42P01".to_owned()), "{said:?}");
    assert_eq!((world.truth(ROW).as_str(), outcome(&world).as_str()), ("900", "succeeded"));
}

/// A ROLLBACK in the batch of the write undoes it.
#[test]
fn rolled_back_in_the_same_batch() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    raw.send(&batch().run("BEGIN").run(WRITE).run("ROLLBACK").sync());
    approve(&world);
    let said = raw.until_ready();
    assert!(said.contains(&"C ROLLBACK".to_owned()), "{said:?}");
    assert_eq!((world.truth(ROW).as_str(), outcome(&world).as_str()), ("200", "rolled_back"));
}

/// The same within one message.
#[test]
fn rolled_back_in_the_same_message() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    raw.send(&batch().query(&format!("BEGIN; {WRITE}; ROLLBACK")));
    approve(&world);
    let said = raw.until_ready();
    assert_eq!(said, ["C BEGIN", "C UPDATE 1", "C ROLLBACK", "Z I"]);
    assert_eq!((world.truth(ROW).as_str(), outcome(&world).as_str()), ("200", "rolled_back"));
}

/// A message that both commits and rolls back does not say which of the two the write met: nor does the record.
#[test]
fn committed_and_rolled_back_in_the_same_message() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    raw.send(&batch().query(&format!("BEGIN; {WRITE}; COMMIT; BEGIN; SELECT 1; ROLLBACK")));
    approve(&world);
    assert_eq!(raw.until_ready().last().unwrap(), "Z I");
    assert_eq!((world.truth(ROW).as_str(), outcome(&world).as_str()), ("900", "unknown"));
}

/// A client that leaves with its COMMIT on the way leaves a record that does not contradict the row.
#[test]
fn a_client_that_leaves_on_commit() {
    let world = World::start();
    let mut raw = Raw::login(&world);
    raw.ask(&batch().query("BEGIN"));
    raw.send(&batch().query(WRITE));
    approve(&world);
    assert_eq!(raw.until_ready(), ["C UPDATE 1", "Z T"]);
    raw.send(&batch().query("COMMIT"));
    drop(raw);
    let status = outcome(&world);
    xtask::process::wait_until("the connection to be given back", SOON, || (world.upstream_busy() == 0).then_some(()))
        .unwrap();
    match world.truth(ROW).as_str() {
        "900" => assert!(["succeeded", "unknown"].contains(&status.as_str()), "{status}"),
        row => assert!(["rolled_back", "unknown"].contains(&status.as_str()), "{row}: {status}"),
    }
}

/// A batch that moves the search path and reads by it is decided on by what the names mean then.
#[test]
fn a_path_moved_in_the_same_batch() {
    let world = World::start();
    world.truth(
        "CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO app; \
         CREATE FUNCTION evil.run() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         CREATE VIEW evil.customers AS SELECT evil.run() AS id; GRANT SELECT ON evil.customers TO app",
    );
    let read = "SELECT id FROM customers";
    let mut raw = Raw::login(&world);
    assert!(raw.ask(&batch().run(read).sync()).contains(&"C SELECT 4".to_owned()));
    raw.send(&batch().run("SET search_path = evil").run(read).sync());
    let review = world.review_beyond(0);
    assert_eq!((&review.0["statement"], &review.0["action"]), (&read.into(), &"sql:opaque".into()), "{}", review.0);
    world.dora().reject(&review, "no").ok();
    assert!(raw.until_ready().contains(&"E 42501".to_owned()));
}
