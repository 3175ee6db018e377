//! Masks: what policy hides is hidden in every format and protocol, and what would get around it is refused.

use std::process::Command;

use xtask::process::{Finished, run};
use xtask::test_tools_dir;

use crate::harness::raw::{Raw, Reply, batch};
use crate::harness::{AGENT, Plan, SOON, TARGET, World};

const POLICY: &str = r#"
@id("masked-reads")
@mask("people.email: hash, people.ssn: drop, people.phone: partial, people.token: hash, people.score: hash")
permit (principal, action in [Action::"sql:read", Action::"sql:opaque"], resource);
"#;

const TABLES: &str = "
CREATE TABLE people (id integer PRIMARY KEY, city text, email text, ssn text, phone varchar(20), token uuid, score int);
INSERT INTO people VALUES
  (1, 'Aurora', 'ada@hidden.example', '111-22-3333', '+49 30 5550001', '11111111-1111-1111-1111-111111111111', 777771),
  (2, 'Boreal', 'eve@hidden.example', '222-33-4444', '+49 30 5550002', '22222222-2222-2222-2222-222222222222', 777772),
  (3, 'Aurora', 'ada@hidden.example', NULL, '5550003', NULL, NULL);
CREATE TABLE badges (id integer PRIMARY KEY, person integer, email text);
INSERT INTO badges VALUES (1, 1, 'work@plain.example');
CREATE VIEW contacts AS SELECT id, email AS contact FROM people;
CREATE VIEW of_contacts AS SELECT contact FROM contacts;
CREATE MATERIALIZED VIEW kept AS SELECT email AS k FROM people;
CREATE VIEW cities AS SELECT DISTINCT person FROM badges;
CREATE TABLE former () INHERITS (people);
INSERT INTO former (id, email, ssn) VALUES (9, 'old@hidden.example', '999-99-9999');
CREATE TABLE beings (id integer, email text);
CREATE TABLE elves () INHERITS (beings);
ALTER TABLE people INHERIT beings;
CREATE FUNCTION leak(people) RETURNS text LANGUAGE sql AS 'SELECT $1.email';
ANALYZE;
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
";

/// What must never be seen: of every masked value a part that no mask shows.
const HIDDEN: &[&str] =
    &["hidden.example", "111-22", "222-33", "999-99", "+49", "111111111111", "222222222222", "777771", "777772"];

fn world() -> World {
    let world = Plan::default().policies_beside(POLICY).start();
    world.truth(TABLES);
    world
}

fn connected(command: &mut Command, world: &World) {
    command.env("PGPASSWORD", &world.key).env("PGHOST", "127.0.0.1").env("PGUSER", AGENT);
    command.env("PGPORT", world.gateway.postgres_port().to_string());
    command.env("PGDATABASE", TARGET).env("PGSSLMODE", "require");
}

fn psql(world: &World, commands: &[&str]) -> Finished {
    let mut psql = Command::new(world.cluster.binaries().psql());
    psql.args(["-X", "-A", "-t", "-P", "null=NULL", "-v", "VERBOSITY=verbose"]);
    for command in commands {
        psql.args(["-c", command]);
    }
    connected(&mut psql, world);
    run(&mut psql, SOON).unwrap()
}

#[track_caller]
fn nothing_shows(said: &Finished) {
    for hidden in HIDDEN {
        assert!(!said.stdout.contains(hidden) && !said.stderr.contains(hidden), "{hidden}: {said:?}");
    }
}

/// Plain outputs are shown masked, through joins, sub-queries and stars; equal values look equal; the record says why.
#[test]
fn plain_outputs_by_psql() {
    let world = world();
    let said = psql(
        &world,
        &[
            "SELECT id, city, email, ssn, phone, score FROM ONLY people ORDER BY id",
            "SELECT p.email, b.email FROM ONLY people p JOIN badges b ON b.person = p.id",
            "WITH p AS (SELECT * FROM ONLY people) SELECT s.e FROM (SELECT id, email AS e FROM p) s WHERE s.id = 1",
            "SELECT email FROM former",
            "SELECT email FROM beings WHERE id = 9",
            "SELECT count(*), city FROM ONLY people GROUP BY city ORDER BY city",
            "SELECT email FROM badges WHERE email LIKE 'work%'",
            "\\d people",
        ],
    );
    nothing_shows(&said);
    assert!(said.ok(), "{said:?}");
    let lines: Vec<&str> = said.stdout.lines().collect();
    let rows: Vec<Vec<&str>> = lines[..3].iter().map(|line| line.split('|').collect()).collect();
    let hash = rows[0][2];
    assert_eq!((hash.len(), rows[2][2]), (32, hash), "{rows:?}");
    assert_ne!(rows[1][2], hash);
    assert_eq!(rows[0], ["1", "Aurora", hash, "NULL", "****0001", "NULL"]);
    assert_eq!(rows[2][4], "****", "a short text has no rest");
    assert_eq!(lines[3], format!("{hash}|work@plain.example"));
    assert_eq!(lines[4], hash);
    assert!(lines[5] == lines[6] && lines[5].len() == 32, "a child's column is masked like its parent's: {lines:?}");
    assert_eq!(&lines[7..10], ["2|Aurora", "1|Boreal", "work@plain.example"]);
    let read = world
        .until_recorded("a masked read", |leaf| leaf["kind"] == "action.read" && leaf["masks"][0] == "masked-reads");
    assert_eq!(read["masks"].as_array().map(Vec::len), Some(1));
}

const PSYCOPG: &str = r#"
import psycopg
query = "SELECT email, ssn, phone, token, score, city FROM ONLY people WHERE id < %s ORDER BY id"
with psycopg.connect("", autocommit=True) as conn:
    shown = []
    for binary in (False, True):
        for prepare in (False, True):
            cur = conn.cursor(binary=binary)
            for _ in range(2):
                shown.append(cur.execute(query, (3,), prepare=prepare).fetchall())
    assert all(rows == shown[0] for rows in shown), shown
    print(shown[0])
    with conn.pipeline():
        a = conn.execute("SELECT email FROM people WHERE id = 1")
        b = conn.execute("SELECT 'between'")
        c = conn.execute("SELECT id, email FROM people WHERE id = 1")
        print(a.fetchall()[0][0] == shown[0][0][0], b.fetchall(), c.fetchall()[0][1] == shown[0][0][0])
    for trick in ("SELECT email FROM people WHERE email LIKE %s", "SELECT upper(email) FROM people WHERE id < %s"):
        try:
            print("leaked", conn.execute(trick, ("1",)).fetchall())
        except psycopg.Error as error:
            print(error.sqlstate, "mask_impossible" in error.diag.message_detail)
    with conn.transaction():
        try:
            with conn.cursor(name="server_side") as cur:
                cur.execute("SELECT email FROM people")
                print("leaked", cur.fetchall())
        except psycopg.Error as error:
            print(error.sqlstate)
            raise psycopg.Rollback()
    print(conn.execute("SELECT 1").fetchone())
"#;

#[test]
fn by_psycopg_in_both_formats() {
    let world = world();
    let mut python = Command::new(test_tools_dir().join("python/bin/python"));
    python.args(["-c", PSYCOPG]);
    connected(&mut python, &world);
    let said = run(&mut python, SOON).unwrap();
    nothing_shows(&said);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        lines[0].contains("UUID(") && lines[0].contains("'****0001'") && lines[0].contains("None, 'Aurora'"),
        "{said:?}"
    );
    assert_eq!(lines[1..], ["True [('between',)] True", "42501 True", "42501 True", "42501", "(1,)"], "{said:?}");
}

const ASYNCPG: &str = r#"
import asyncio, asyncpg, os
async def main():
    conn = await asyncpg.connect(ssl="require", password=os.environ["PGPASSWORD"])
    first = await conn.fetch("SELECT email, token, ssn FROM ONLY people WHERE id < $1 ORDER BY id", 3)
    print(len(first[0]["email"]), first[0]["token"] is not None, first[0]["ssn"])
    statement = await conn.prepare("SELECT email FROM ONLY people ORDER BY id")
    async with conn.transaction():
        rows = [row["email"] async for row in statement.cursor(prefetch=1)]
    print(rows[0] == rows[2] == first[0]["email"], rows[1] == first[1]["email"])
    print(await conn.fetchval("SELECT city FROM people WHERE id = 2"))
asyncio.run(main())
"#;

/// Binary formats, statements described before they are bound, portals that are read in parts.
#[test]
fn by_asyncpg() {
    let world = world();
    let mut python = Command::new(test_tools_dir().join("python/bin/python"));
    python.args(["-c", ASYNCPG]);
    connected(&mut python, &world);
    let said = run(&mut python, SOON).unwrap();
    nothing_shows(&said);
    assert_eq!(said.stdout.lines().collect::<Vec<_>>(), ["32 True None", "True True", "Boreal"], "{said:?}");
}

/// Reads that try to get at a masked value another way: each is refused, and the connection stays usable.
#[test]
fn nothing_gets_around_a_mask() {
    let world = world();
    for attempts in BYPASSES.chunks(20) {
        let mut commands = Vec::new();
        for attempt in attempts {
            commands.extend(["SELECT 'usable'", *attempt]);
        }
        let said = psql(&world, &commands);
        nothing_shows(&said);
        let refused = said.stderr.lines().filter(|line| line.contains("code: mask_impossible")).count();
        let other: Vec<&str> = said.stdout.lines().filter(|line| *line != "usable").collect();
        assert_eq!((refused, other.as_slice()), (attempts.len(), &[][..]), "{attempts:#?} {said:?}");
        assert_eq!(said.stdout.lines().count(), attempts.len(), "{said:?}");
    }
}

const BYPASSES: &[&str] = &[
    "SELECT id FROM people WHERE email LIKE 'ada%'",
    "SELECT id FROM people WHERE people.ssn = '111-22' || '-3333'",
    "SELECT upper(email) FROM people",
    "SELECT email || '' FROM people",
    "SELECT email::bytea FROM people",
    "SELECT score + 0 FROM people",
    "SELECT CAST(email AS integer) FROM people",
    "SELECT CASE WHEN email > 'b' THEN 1 ELSE 0 END FROM people",
    "SELECT min(email), max(ssn) FROM people",
    "SELECT count(DISTINCT email) FROM people",
    "SELECT count(*) FILTER (WHERE ssn LIKE '1%') FROM people",
    "SELECT string_agg(city, ',' ORDER BY email) FROM people",
    "SELECT DISTINCT email FROM people",
    "SELECT DISTINCT ON (email) id FROM people",
    "SELECT id FROM people ORDER BY email",
    "SELECT email AS e FROM people ORDER BY e",
    "SELECT id, email FROM people ORDER BY 2",
    "SELECT city FROM people GROUP BY city, email",
    "SELECT id, rank() OVER (ORDER BY score) FROM people",
    "SELECT email FROM people UNION ALL SELECT 'x'",
    "SELECT email FROM badges UNION SELECT ssn FROM people",
    "SELECT people FROM people",
    "SELECT p::text FROM people p",
    "SELECT (p).email FROM people p",
    "SELECT row(p.*) FROM people p",
    "SELECT row_to_json(p) FROM people p",
    "SELECT p.row_to_json FROM people p",
    "SELECT p.leak FROM people p",
    "SELECT email(p) FROM people p",
    "SELECT array_agg(p) FROM people p",
    "SELECT to_jsonb(p) -> 'email' FROM people p",
    "SELECT (SELECT email FROM people LIMIT 1)",
    "SELECT ARRAY(SELECT ssn FROM people)",
    "SELECT id FROM badges WHERE email IN (SELECT email FROM people)",
    "SELECT EXISTS (SELECT 1 FROM people WHERE ssn LIKE '1%')",
    "SELECT upper(s.e) FROM (SELECT email AS e FROM people) s",
    "SELECT e FROM (SELECT email FROM people) s(e)",
    "WITH c(e) AS (SELECT email FROM people) SELECT e || '' FROM c",
    "WITH c AS (SELECT * FROM people), people AS (SELECT 1 AS email) SELECT upper(c.email) FROM c",
    "WITH RECURSIVE c AS (SELECT email FROM people UNION ALL SELECT email FROM c WHERE false) SELECT * FROM c",
    "SELECT b.id FROM badges b JOIN people p ON p.email = b.email",
    "SELECT b.id FROM badges b JOIN people p USING (email)",
    "SELECT * FROM badges NATURAL JOIN people",
    "SELECT x.v FROM people p, LATERAL (SELECT upper(p.email) AS v) x",
    "SELECT x.v FROM people p, LATERAL (VALUES (p.email)) AS x(v)",
    "SELECT f FROM people p, regexp_split_to_table(p.email, '') AS f",
    "SELECT json_build_object('e', email) FROM people",
    "SELECT xmlforest(ssn) FROM people",
    "SELECT * FROM people TABLESAMPLE system (100)",
    "SELECT * FROM contacts",
    "SELECT contact FROM of_contacts",
    "SELECT k FROM kept",
    "SELECT upper(email) FROM former",
    "SELECT upper(email) FROM beings",
    "SELECT upper(email) FROM public.people",
    "SELECT upper(email) FROM orders.public.people",
    "COPY people TO STDOUT",
    "COPY (SELECT email FROM people) TO STDOUT",
    "EXPLAIN SELECT id FROM people WHERE email = 'x'",
    "EXPLAIN (VERBOSE) SELECT email FROM people",
    "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'people'",
    "SELECT stavalues1 FROM pg_statistic",
    "PREPARE p AS SELECT email FROM people",
    "SELECT 1; SELECT email FROM people",
    "SET search_path = public; SELECT person FROM badges",
    "SELECT * FROM nowhere",
];

/// A policy that names a column that is not there hides nothing by accident: the table cannot be read.
#[test]
fn a_renamed_column_fails_closed() {
    let world = world();
    world.truth("ALTER TABLE people RENAME COLUMN ssn TO social");
    let said = psql(&world, &["SELECT social FROM people", "SELECT id FROM people", "SELECT id FROM badges"]);
    nothing_shows(&said);
    assert_eq!(said.stderr.matches("code: mask_impossible").count(), 2, "{said:?}");
    assert_eq!(said.stdout.trim(), "1");
}

/// Inside a transaction a refused mask fails it, and what the transaction made is seen.
#[test]
fn in_a_transaction() {
    let world = world();
    let said = psql(
        &world,
        &["BEGIN", "SELECT ssn FROM people WHERE id = 1", "SELECT upper(ssn) FROM people", "SELECT 1", "ROLLBACK"],
    );
    nothing_shows(&said);
    assert!(said.stderr.contains("mask_impossible") && said.stderr.contains("25P02"), "{said:?}");
    assert_eq!(said.stdout.lines().collect::<Vec<_>>(), ["BEGIN", "NULL", "ROLLBACK"], "{said:?}");
}

/// Everything until the server is ready, of which no row may show what is hidden.
#[track_caller]
fn replies(raw: &mut Raw) -> String {
    let mut said = String::new();
    loop {
        let Reply(kind, body) = raw.next();
        let text = String::from_utf8_lossy(&body);
        assert!(!HIDDEN.iter().any(|hidden| text.contains(hidden)), "{kind} {text:?}");
        if !matches!(kind, 'N' | 'S') {
            said.push(kind);
        }
        if kind == 'Z' {
            return said;
        }
    }
}

/// A portal stays masked whatever fails around it: a `Bind` over it, a `Close` that is skipped.
#[test]
fn a_portal_that_outlives_a_failure() {
    let world = world();
    let mut raw = Raw::login(&world);
    let named = batch().parse("begin", "BEGIN").parse("save", "SAVEPOINT s").parse("back", "ROLLBACK TO s").sync();
    raw.send(&named);
    assert_eq!(replies(&mut raw), "111Z");
    let prepared = batch().parse("masked", "SELECT email FROM people").parse("plain", "SELECT $1::text").sync();
    raw.send(&prepared);
    assert_eq!(replies(&mut raw), "11Z");
    for portal in ["", "x"] {
        raw.send(&batch().bind("b", "begin").execute("b").sync());
        assert_eq!(replies(&mut raw), "2CZ");
        raw.send(&batch().bind(portal, "masked").sync());
        assert_eq!(replies(&mut raw), "2Z");
        raw.send(&batch().bind("s", "save").execute("s").sync());
        assert_eq!(replies(&mut raw), "2CZ");
        raw.send(&batch().bind(portal, "plain").execute(portal).sync()); // without its parameter
        assert_eq!(replies(&mut raw), "EZ");
        raw.send(&batch().bind("r", "back").execute("r").sync());
        assert_eq!(replies(&mut raw), "2CZ");
        raw.send(&batch().parse("", "SELECT * FROM no_such_table WHERE false").close_portal(portal).sync());
        assert!(replies(&mut raw).starts_with('E'));
        raw.send(&batch().bind("r2", "back").execute("r2").sync());
        assert_eq!(replies(&mut raw), "2CZ");
        raw.send(&batch().execute(portal).sync());
        assert_eq!(replies(&mut raw), "DDDDCZ", "the portal is still there, and still masked");
        raw.send(&batch().query("ROLLBACK"));
        assert_eq!(replies(&mut raw), "CZ");
    }
}

/// Masked and other rows in one batch; a masked statement that fails on the server; nothing before the batch's end lost.
#[test]
fn masked_and_other_rows_in_one_batch() {
    let world = world();
    let mut raw = Raw::login(&world);
    let masked = "SELECT email, id FROM ONLY people ORDER BY id";
    raw.send(&batch().run("SELECT 1").run(masked).run("SELECT 2").run(masked).sync());
    assert_eq!(replies(&mut raw), "12DC12DDDC12DC12DDDCZ");
    raw.send(&batch().run("SELECT 1").run("SELECT upper(email) FROM people").run("SELECT 2").sync());
    assert_eq!(replies(&mut raw), "12DCEZ");
    raw.send(&batch().run("SELECT 1").run("SELECT email, 1 / (id - id) FROM people").run("SELECT 2").sync());
    assert_eq!(replies(&mut raw), "12DC12EZ");
    raw.send(&batch().run(masked).sync());
    assert_eq!(replies(&mut raw), "12DDDCZ");
}
