//! Names mean what the executing session takes them to mean, and the server is held to what was decided.

use std::process::Command;
use std::time::Duration;

use xtask::process::{Finished, run};

use crate::harness::{AGENT, Plan, ROW, SOON, TARGET, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

/// psql with a script on several `-c`, all on one connection.
pub(crate) fn script(world: &World, commands: &[&str]) -> Finished {
    let mut psql = Command::new(world.cluster.binaries().psql());
    psql.args(["-X", "-A", "-t", "-v", "VERBOSITY=verbose"]).env("PGPASSWORD", &world.key);
    psql.env("PGHOST", "127.0.0.1").env("PGPORT", world.gateway.postgres_port().to_string());
    psql.env("PGUSER", AGENT).env("PGDATABASE", TARGET).env("PGSSLMODE", "require");
    for command in commands {
        psql.args(["-c", command]);
    }
    run(&mut psql, SOON).unwrap()
}

/// An approval of a write is of no use in a session where a temporary table has taken the table's name.
#[test]
fn a_temporary_table_in_the_tables_place() {
    let world = World::start();
    let (call, review) = world.paused(WRITE);
    call.leave();
    world.dora().approve(&review).ok();
    let make = "CREATE TEMPORARY TABLE customers AS SELECT id, credit_limit FROM public.customers";
    std::thread::scope(|scope| {
        let client = scope.spawn(|| script(&world, &[make, WRITE]));
        let made = world.review_beyond(0);
        world.dora().approve(&made).ok();
        world.finn().approve(&made).ok();
        let shadowed = world.review_beyond(0);
        let names = shadowed.0["resource"]["tables"]["write"].to_string();
        assert!(names.contains("pg_temp"), "the card names the temporary table: {}", shadowed.0);
        world.dora().reject(&shadowed, "not that table").ok();
        let said = client.join().unwrap();
        assert!(said.stderr.contains("42501"), "{said:?}");
    });
    assert_eq!(world.truth(ROW), "200");
}

/// What a session with temporary objects believed of a name is over as soon as it makes or drops one of that name.
#[test]
fn a_temporary_table_comes_and_goes_within_a_moment() {
    const NOT_THE_REAL_ONE: &str = r#"
        @id("ask") permit (principal, action, resource);
        @id("real") @deny("not that one")
        forbid (principal, action == Action::"sql:read", resource)
        when { context.sql.readTables.contains("public.customers") };"#;
    let world = Plan::default().only_policies(NOT_THE_REAL_ONE).start();
    let read = "SELECT 'rows ' || count(*) FROM customers";
    let (make, drop) = ("CREATE TEMPORARY TABLE customers (id int)", "DROP TABLE pg_temp.customers");
    let other = "CREATE TEMPORARY TABLE other (id int)";
    let said = script(&world, &[other, read, make, read, read, drop, read, make, read]);
    assert_eq!(
        (said.stdout.matches("rows 0").count(), said.stderr.matches("not that one").count()),
        (3, 2),
        "{said:?}"
    );
}

/// Somebody puts a view in the table's place while people read: what was approved no longer is what would run.
#[test]
fn a_view_in_the_tables_place_while_people_read() {
    let world = World::start();
    let (call, review) = world.paused(WRITE);
    world.truth("ALTER TABLE customers RENAME TO people; CREATE VIEW customers AS SELECT * FROM people; ALTER VIEW customers OWNER TO app");
    world.dora().approve(&review).ok();
    let said = call.ended();
    assert!(said.contains("no longer mean what was reviewed"), "{said}");
    assert_eq!(world.truth("SELECT credit_limit FROM people WHERE id = 3"), "200");
}

/// A read that would run a function of somebody's own is not a read: directly, behind a view, as an operator, as an
/// overload that may match, as an attribute.
#[test]
fn code_of_the_users_is_not_free() {
    let world = World::start();
    world.truth(
        "CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS 'UPDATE customers SET credit_limit = 1; SELECT 1'; \
         CREATE VIEW behind AS SELECT evil() AS x; CREATE VIEW deeper AS SELECT * FROM behind; \
         CREATE FUNCTION same(int, text) RETURNS bool LANGUAGE sql AS 'SELECT true'; \
         CREATE OPERATOR = (leftarg = int, rightarg = text, function = same); \
         CREATE FUNCTION abs(text) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         CREATE FUNCTION worth(customers) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         CREATE VIEW counts AS SELECT count(*) FROM customers; CREATE SEQUENCE ticks; \
         CREATE VIEW ticking AS SELECT nextval('ticks'); \
         GRANT SELECT ON behind, deeper, counts, ticking TO app; GRANT USAGE ON SEQUENCE ticks TO app",
    );
    for sql in [
        "SELECT evil()",
        "SELECT * FROM behind",
        "SELECT * FROM deeper",
        "SELECT 1 = 1",
        "SELECT abs(1)",
        "SELECT c.worth FROM customers c",
        "SELECT * FROM ticking",
    ] {
        let before = world.dora().open_reviews().len();
        let call = world.send(crate::harness::clients::Client::Psql, "write", Some(sql));
        let review = world.review_beyond(before);
        assert_eq!(review.0["statement"], sql);
        world.dora().reject(&review, "no").ok();
        assert!(call.ended().contains("42501"), "{sql}");
    }
    assert_eq!(script(&world, &["SELECT * FROM counts"]).stdout.trim(), "4");
    assert_eq!(world.truth(ROW), "200");
}

/// The server itself is told to refuse what has no permit to write.
#[test]
fn reads_are_held_read_only() {
    let world = World::start();
    let mode = "SELECT current_setting('transaction_read_only')";
    let said = script(
        &world,
        &[mode, "BEGIN", "SHOW transaction_read_only", mode, "SHOW transaction_read_only", "COMMIT", mode],
    );
    assert_eq!(
        said.stdout.lines().collect::<Vec<_>>(),
        ["on", "BEGIN", "off", "on", "off", "COMMIT", "on"],
        "{said:?}"
    );
}

/// Drivers tell a primary from a standby by what `SHOW` says: that is what the client set, not the hold.
#[test]
fn what_show_says_is_the_clients_own() {
    let world = World::start();
    let (show, mode) = ("SHOW transaction_read_only", "SELECT current_setting('transaction_read_only')");
    let set = "SET default_transaction_read_only = on";
    let said = script(&world, &[show, mode, show, "SHOW default_transaction_read_only", set, show, "RESET ALL", show]);
    assert_eq!(
        said.stdout.lines().collect::<Vec<_>>(),
        ["off", "on", "off", "off", "SET", "on", "RESET", "off"],
        "{said:?}"
    );
}

/// A transaction that reads and writes in turn does both, and the record says what came of it.
#[test]
fn a_transaction_reads_and_writes() {
    let world = World::start();
    let read = "SELECT credit_limit FROM customers WHERE id = 3";
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            script(&world, &["BEGIN", read, WRITE, read, "SAVEPOINT s", read, "ROLLBACK TO s", read, "COMMIT", read])
        });
        let review = world.review_beyond(0);
        world.dora().approve(&review).ok();
        let said = client.join().unwrap();
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert_eq!(
            lines,
            ["BEGIN", "200", "UPDATE 1", "900", "SAVEPOINT", "900", "ROLLBACK", "900", "COMMIT", "900"],
            "{said:?}"
        );
    });
    assert_eq!(world.truth(ROW), "900");
}

/// Whatever may have changed how the session is held, or undone its change: what is approved next is written, and what is
/// read next is held.
#[test]
fn a_session_of_unknown_mode_is_set_anew() {
    let world = World::start();
    world.truth("CREATE FUNCTION anything() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    let mode = "SELECT current_setting('transaction_read_only')";
    let write = |limit: u32| format!("UPDATE customers SET credit_limit = {limit} WHERE id = 3");
    let (first, second, third) = (write(901), write(902), write(903));
    let commands = [
        "BEGIN",
        "SELECT anything()",
        "ROLLBACK",
        &first,
        mode,
        &second,
        "RESET ALL",
        mode,
        &third,
        "SELECT anything()",
        mode,
    ];
    let said = approved(&world, &commands);
    let lines: Vec<&str> = said.stdout.lines().collect();
    let expected = ["BEGIN", "1", "ROLLBACK", "UPDATE 1", "on", "UPDATE 1", "RESET", "on", "UPDATE 1", "1", "on"];
    assert_eq!(lines, expected, "{said:?}");
    assert_eq!(world.truth(ROW), "903");
}

/// Runs a script while everything that it asks for is approved.
fn approved(world: &World, commands: &[&str]) -> Finished {
    std::thread::scope(|scope| {
        let client = scope.spawn(|| script(world, commands));
        while !client.is_finished() {
            for review in world.dora().open_reviews() {
                world.dora().approve(&review);
                world.finn().approve(&review);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        client.join().unwrap()
    })
}

/// What a cursor was approved for happens as its rows are fetched, also after a read.
#[test]
fn a_cursor_changes_what_it_was_approved_for() {
    let world = World::start();
    world.truth(
        "CREATE FUNCTION raise_limit(int) RETURNS int LANGUAGE sql AS \
         'UPDATE customers SET credit_limit = credit_limit + 1 WHERE id = $1 RETURNING credit_limit'",
    );
    let declare = "DECLARE c CURSOR FOR SELECT raise_limit(3) FROM generate_series(1, 3)";
    let read = "SELECT count(*) FROM customers";
    let said = approved(&world, &["BEGIN", declare, read, "FETCH c", read, "FETCH ALL FROM c", "COMMIT"]);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines, ["BEGIN", "DECLARE CURSOR", "4", "201", "4", "202", "203", "COMMIT"], "{said:?}");
    assert_eq!(world.truth(ROW), "203");
}

/// A failed transaction is over after `PREPARE TRANSACTION`, as after `COMMIT`.
#[test]
fn a_failed_transaction_that_is_prepared_is_rolled_back() {
    let world = World::start();
    let read = "SELECT count(*) FROM customers";
    let said = approved(&world, &["BEGIN", "SELECT 1 / 0", read, " ; ", "PREPARE TRANSACTION 'never'", read]);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines, ["BEGIN", "ROLLBACK", "4"], "{said:?}");
    assert_eq!(said.stderr.matches("25P02").count(), 1, "the empty one is answered: {said:?}");
}

/// The questions about names need no more than anybody has, even where the built-in casts were taken away.
#[test]
fn names_are_resolved_without_the_built_in_casts() {
    let world = World::start();
    world.truth("REVOKE ALL ON FUNCTION pg_catalog.int8(integer) FROM PUBLIC");
    assert_eq!(script(&world, &["SELECT count(*) FROM customers"]).stdout.trim(), "4");
}
