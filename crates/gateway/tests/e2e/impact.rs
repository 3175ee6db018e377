//! What a paused change would do is measured, shown, and held to.

use crate::harness::clients::Client;
use crate::harness::{SOON, World};

use xtask::process::wait_until;

/// A table of a thousand rows that the application owns.
fn world() -> World {
    let world = World::start();
    world.truth(
        "CREATE TABLE things (id int PRIMARY KEY, kind int, note text); \
         INSERT INTO things SELECT i, i % 10, 'x' FROM generate_series(1, 1000) AS i; \
         CREATE TABLE parts (id int PRIMARY KEY, thing int REFERENCES things ON DELETE CASCADE); \
         ALTER TABLE things OWNER TO app; ALTER TABLE parts OWNER TO app; ANALYZE things",
    );
    world
}

#[test]
fn the_card_shows_what_was_measured() {
    let world = world();
    let (call, review) = world.paused("DELETE FROM things WHERE kind = 3");
    let impact = &review.0["impact"];
    assert_eq!(
        (&impact["known"], &impact["rows"], &impact["rows_max"]),
        (&true.into(), &100.into(), &1000.into()),
        "{impact}"
    );
    let words = impact["words"].to_string();
    for part in ["no index serves the WHERE", "public.things has about 1,000 rows", "cascades to public.parts"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    world.dora().approve(&review).ok();
    call.outcome().rows();
    assert_eq!(world.truth("SELECT count(*) FROM things"), "900");
}

/// What turns out to change more than the bound is rolled back: as a statement of its own, and through each driver's way
/// of sending it.
#[test]
fn more_rows_than_approved_are_rolled_back() {
    let world = world();
    for client in [Client::Psql, Client::Psycopg, Client::Asyncpg] {
        // one row by the statistics, a thousand by the time it runs
        world.truth("UPDATE things SET kind = id; ANALYZE things");
        let before = world.dora().open_reviews().len();
        let call = world.send(client, "write", Some("UPDATE things SET note = 'y' WHERE kind = 7"));
        let review = world.review_beyond(before);
        assert_eq!(review.0["impact"]["rows_max"], 100, "{}", review.0);
        world.truth("UPDATE things SET kind = 7");
        world.dora().approve(&review).ok();
        let said = call.ended();
        assert!(said.contains("approved for at most 100"), "{said}");
        assert_eq!(world.truth("SELECT count(*) FROM things WHERE note = 'y'"), "0");
    }
    let undone = || {
        let actions = world.dora().actions();
        actions.iter().any(|action| action["status"] == "rolled_back").then_some(())
    };
    wait_until("the roll-back in the record", SOON, undone).unwrap();
}

/// Inside a transaction of the client's the statement fails, and with it the transaction.
#[test]
fn inside_a_transaction_it_fails_the_transaction() {
    let world = world();
    world.truth("UPDATE things SET kind = id; ANALYZE things");
    let commands = ["BEGIN", "UPDATE things SET note = 'y' WHERE kind = 7", "SELECT 1", "COMMIT"];
    let said = std::thread::scope(|scope| {
        let client = scope.spawn(|| crate::names::script(&world, &commands));
        let review = world.review_beyond(0);
        world.truth("UPDATE things SET kind = 7");
        world.dora().approve(&review).ok();
        client.join().unwrap()
    });
    assert!(said.stderr.contains("approved for at most 100") && said.stderr.contains("25P02"), "{said:?}");
    assert!(said.stdout.contains("ROLLBACK"), "{said:?}");
    assert_eq!(world.truth("SELECT count(*) FROM things WHERE note = 'y'"), "0");
}

/// What cannot be planned without running somebody's code is not planned.
#[test]
fn unknown_where_planning_would_run_code() {
    let world = world();
    world.truth(
        "CREATE FUNCTION pick() RETURNS int LANGUAGE sql STABLE AS 'SELECT 3'; GRANT EXECUTE ON FUNCTION pick TO app",
    );
    let (call, review) = world.paused("DELETE FROM things WHERE kind = pick()");
    assert_eq!(review.0["impact"]["known"], false, "{}", review.0);
    world.dora().reject(&review, "no").ok();
    drop(call);
}
