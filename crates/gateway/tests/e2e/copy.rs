//! COPY … FROM STDIN that waits for a review: its data is taken in, shown, approved and sent as it was.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use xtask::process::{Finished, run, wait_until};
use xtask::test_tools_dir;

use crate::harness::api::Review;
use crate::harness::{AGENT, Plan, SOON, TARGET, World};

const ROWS: &str = "7\tEmber\tember@example.org\n8\tFjord\tfjord@example.org\n";
const COPY: &str = "\\copy contacts (id, city, email) from 'rows.tsv'";
const COUNT: &str = "SELECT count(*) FROM contacts";

fn world(plan: Plan) -> World {
    let world = plan.start();
    world.truth(
        "CREATE TABLE contacts (id integer PRIMARY KEY, city text, email text);
         INSERT INTO contacts SELECT n, 'Aurora', 'x' FROM generate_series(1, 4) AS n;
         GRANT ALL ON contacts TO app",
    );
    world
}

/// psql with its own idea of `rows.tsv`.
fn psql(world: &World, rows: &str, commands: &[&str]) -> Command {
    std::fs::write(world.dir.join("rows.tsv"), rows).unwrap();
    let mut psql = Command::new(world.cluster.binaries().psql());
    psql.args(["-X", "-A", "-t", "-v", "VERBOSITY=verbose"]).current_dir(&world.dir);
    for command in commands {
        psql.args(["-c", command]);
    }
    connected(&mut psql, world);
    psql
}

fn connected(command: &mut Command, world: &World) {
    command.env("PGPASSWORD", &world.key).env("PGHOST", "127.0.0.1").env("PGUSER", AGENT);
    command.env("PGPORT", world.gateway.postgres_port().to_string());
    command.env("PGDATABASE", TARGET).env("PGSSLMODE", "require");
}

/// Runs a client whose COPY waits, and decides about it.
fn decided(world: &World, client: &mut Command, decide: impl FnOnce(&Review)) -> Finished {
    std::thread::scope(|scope| {
        let client = scope.spawn(move || run(client, SOON).unwrap());
        decide(&world.review_beyond(0));
        client.join().unwrap()
    })
}

/// Values of a column that is known by its name are hidden, so they are looked at first.
fn looked_at_and_approved(world: &World, review: &Review) {
    world.dora().reveal(review, &json!([])).ok();
    world.dora().approve(review).ok();
}

fn stream(review: &Review) -> &Value {
    &review.0["statement_stream"]
}

/// The card tells the size, the rows and the hash of what would be sent, and shows its beginning without personal data.
#[test]
fn what_is_approved_is_what_is_sent() {
    let world = world(Plan::default());
    let mut client = psql(&world, ROWS, &[COPY, "SELECT 1"]);
    let said = decided(&world, &mut client, |review| {
        let data = stream(review);
        assert_eq!((data["bytes"].as_u64(), data["rows"].as_u64()), (Some(ROWS.len() as u64), Some(2)), "{data}");
        assert_eq!(data["sample"], "7\tEmber\t‹email 1›\n8\tFjord\t‹email 2›\n");
        assert_eq!(world.truth(COUNT), "4");
        assert_eq!(world.upstream_busy(), 0, "nothing of it has reached the upstream");
        let shown = world.gateway.as_person(world.dora().token(), &["review", "show", review.id()]);
        assert!(shown.stdout.contains("2 rows, SHA-256") && !shown.stdout.contains("ember@"), "{shown:?}");
        world.dora().approve(review).refused(409, "not_revealed");
        world.dora().reveal(review, &json!([])).ok();
        world.dora().approve(review).ok();
    });
    assert_eq!(said.stdout.lines().collect::<Vec<_>>(), ["COPY 2", "1"], "{said:?}");
    assert_eq!(
        world.truth("SELECT string_agg(email, ',' ORDER BY id) FROM contacts WHERE id > 4"),
        "ember@example.org,fjord@example.org"
    );
    world.until_recorded("the outcome", |leaf| {
        leaf["kind"] == "action.outcome" && leaf["status"] == "succeeded" && leaf["stream_bytes"] == ROWS.len()
    });
}

/// The client's stream ends, and then it gets the error, as from PostgreSQL; the connection stays usable.
#[test]
fn what_is_rejected_reaches_nobody() {
    let world = world(Plan::default());
    let mut client = psql(&world, ROWS, &[COPY, "SELECT 1"]);
    let said = decided(&world, &mut client, |review| drop(world.dora().reject(review, "not these").ok()));
    assert!(said.stderr.contains("42501") && said.stderr.contains("not these"), "{said:?}");
    assert_eq!((said.stdout.trim(), world.truth(COUNT).as_str()), ("1", "4"));
}

#[test]
fn what_nobody_decides_reaches_nobody() {
    let world = world(Plan::default().short_reviews());
    let said = run(&mut psql(&world, ROWS, &[COPY, "SELECT 1"]), SOON).unwrap();
    assert!(said.stderr.contains("57014"), "{said:?}");
    assert_eq!((said.stdout.trim(), world.truth(COUNT).as_str()), ("1", "4"));
}

/// Approved after the client left: the same data runs at once, other data waits anew.
#[test]
fn an_approval_is_for_these_rows() {
    let world = world(Plan::default());
    let mut child = psql(&world, ROWS, &[COPY]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let review = world.review_beyond(0);
    child.kill().unwrap();
    child.wait().unwrap();
    world.dora().reveal(&review, &json!([])).ok();
    world.dora().approve(&review).ok();
    let other = ROWS.replace("Ember", "Other");
    let mut client = psql(&world, &other, &[COPY]);
    let said = decided(&world, &mut client, |other| {
        assert_ne!(other.id(), review.id());
        world.dora().reject(other, "other rows").ok();
    });
    assert!(said.stderr.contains("42501"), "{said:?}");
    let said = run(&mut psql(&world, ROWS, &[COPY]), SOON).unwrap();
    assert_eq!((said.stdout.trim(), world.truth(COUNT).as_str()), ("COPY 2", "6"), "{said:?}");
}

/// What the server finds wrong in approved data is the server's error.
#[test]
fn a_row_that_does_not_fit() {
    let world = world(Plan::default());
    let mut client = psql(&world, "x\tEmber\te\n", &[COPY, "SELECT 1"]);
    let said = decided(&world, &mut client, |review| looked_at_and_approved(&world, review));
    assert!(said.stderr.contains("22P02"), "{said:?}");
    assert_eq!((said.stdout.trim(), world.truth(COUNT).as_str()), ("1", "4"));
    world.until_recorded("the outcome", |leaf| leaf["kind"] == "action.outcome" && leaf["status"] == "failed");
}

/// Several megabytes, and more than may be kept.
#[test]
fn large_data_is_bounded() {
    let world = world(Plan::default().copy_bytes_max(4 << 20));
    let rows: String = (100..60_100).map(|id| format!("{id}\tEmber\tnobody in particular, row {id}\n")).collect();
    assert!(rows.len() > 2 << 20);
    let mut client = psql(&world, &rows, &[COPY]);
    let said = decided(&world, &mut client, |review| {
        assert_eq!(stream(review)["rows"], 60_000);
        looked_at_and_approved(&world, review);
    });
    assert_eq!((said.stdout.trim(), world.truth(COUNT).as_str()), ("COPY 60000", "60004"), "{said:?}");
    let mut client = psql(&world, &rows.repeat(3), &[COPY, "SELECT 1"]);
    let said = run(&mut client, SOON).unwrap();
    assert!(said.stderr.contains("54000") && said.stderr.contains("too_large"), "{said:?}");
    assert_eq!((said.stdout.trim(), world.dora().open_reviews().len()), ("1", 0));
}

/// Inside a transaction the COPY shares its fate.
#[test]
fn in_a_transaction() {
    let world = world(Plan::default());
    let mut client = psql(&world, ROWS, &["BEGIN", COPY, "ROLLBACK"]);
    let said = decided(&world, &mut client, |review| {
        world.dora().reveal(review, &json!([])).ok();
        world.dora().approve(review).ok();
    });
    assert_eq!(said.stdout.lines().collect::<Vec<_>>(), ["BEGIN", "COPY 2", "ROLLBACK"], "{said:?}");
    assert_eq!(world.truth(COUNT), "4");
    let mut client =
        psql(&world, &ROWS.replace("Ember", "Other"), &["BEGIN", COPY, "SELECT 1", "ROLLBACK", "SELECT 2"]);
    let said = decided(&world, &mut client, |review| drop(world.dora().reject(review, "no").ok()));
    assert!(said.stderr.contains("42501") && said.stderr.contains("25P02"), "{said:?}");
    assert_eq!(said.stdout.lines().collect::<Vec<_>>(), ["BEGIN", "ROLLBACK", "2"], "{said:?}");
}

const PSYCOPG: &str = r#"
import psycopg, sys
with psycopg.connect("", autocommit=True) as conn:
    cur = conn.cursor()
    if sys.argv[1] == "fail":
        try:
            with cur.copy("COPY contacts (id, city, email) FROM STDIN") as copy:
                copy.write_row((7, "Ember", "e@example.org"))
                raise ValueError("taken back")
        except ValueError as error:
            print(error)
    elif sys.argv[1] == "extended":
        try:
            conn.pgconn.exec_params(b"COPY contacts (id, city, email) FROM STDIN", [])
            print("not refused")
        except Exception as error:
            print(error)
        result = conn.pgconn.exec_params(b"COPY contacts (id, city, email) FROM STDIN", [])
        print(result.error_field(67).decode())
    else:
        form = " (FORMAT binary)" if sys.argv[1] == "binary" else ""
        with cur.copy(f"COPY contacts (id, city, email) FROM STDIN{form}") as copy:
            if form:
                copy.set_types(["int4", "text", "text"])
            for row in [(7, "Ember", "e@example.org"), (8, None, "f@example.org")]:
                copy.write_row(row)
    print(cur.rowcount, conn.execute("SELECT 1").fetchone()[0])
"#;

fn psycopg(world: &World, how: &str) -> Command {
    let mut python = Command::new(test_tools_dir().join("python/bin/python"));
    python.args(["-c", PSYCOPG, how]);
    connected(&mut python, world);
    python
}

#[test]
fn by_psycopg_in_text_and_binary() {
    let world = world(Plan::default());
    for (how, rows) in [("text", "6"), ("binary", "6")] {
        let said = decided(&world, &mut psycopg(&world, how), |review| {
            assert_eq!(stream(review)["rows"], 2, "{}", review.0);
            if how == "text" {
                world.dora().reveal(review, &json!([])).ok(); // nothing of the binary format is shown
            }
            world.dora().approve(review).ok();
        });
        assert_eq!((said.stdout.trim(), world.truth(COUNT).as_str()), ("2 1", rows), "{how}: {said:?}");
        world.truth("DELETE FROM contacts WHERE id > 4");
    }
}

/// A client that takes its data back has asked nobody.
#[test]
fn a_copy_that_the_client_fails() {
    let world = world(Plan::default());
    let said = run(&mut psycopg(&world, "fail"), SOON).unwrap();
    assert!(said.stdout.starts_with("taken back"), "{said:?}");
    assert_eq!((world.truth(COUNT).as_str(), world.dora().open_reviews().len()), ("4", 0));
    world.until_recorded("the refusal", |leaf| leaf["kind"] == "action.refused" && leaf["code"] == "cancelled");
}

/// The extended protocol decides before the data comes: refused, with the way that works.
#[test]
fn in_the_extended_protocol() {
    let world = world(Plan::default());
    let said = run(&mut psycopg(&world, "extended"), SOON).unwrap();
    assert!(said.stdout.contains("0A000"), "{said:?}");
    assert_eq!((world.truth(COUNT).as_str(), world.dora().open_reviews().len()), ("4", 0));
}

/// A client that leaves in the middle of its data leaves nothing behind.
#[test]
fn a_client_that_leaves_in_its_stream() {
    let world = world(Plan::default());
    let mut psql = psql(&world, "", &["COPY contacts (id, city, email) FROM STDIN"]);
    let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"7\tEmber\te\n").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2)); // by then it streams
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the refusal to be recorded", SOON, || {
        world.dora().actions().iter().any(|action| action["code"] == "cancelled").then_some(())
    })
    .unwrap();
    assert_eq!((world.truth(COUNT).as_str(), world.dora().open_reviews().len()), ("4", 0));
}
