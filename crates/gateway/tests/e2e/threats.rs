//! What broke in products like this one, tried here; `docs/threats.md` maps each threat to what counters it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use xtask::process::wait_until;

use crate::harness::clients::Client;
use crate::harness::raw::{Raw, batch};
use crate::harness::{Plan, ROW, SOON, TARGET, World};

/// Reads and settings of the own session run at once; everything else is refused for good.
const READ_ONLY: &str = r#"
@id("reads") permit (principal, action in [Action::"sql:read", Action::"sql:session"], resource);
"#;

/// Everything in the database, its definitions included.
const EVERYTHING: &str = "SELECT md5(concat((SELECT string_agg(c::text, ';' ORDER BY id) FROM customers c), \
    (SELECT string_agg(o::text, ';' ORDER BY id) FROM orders o), \
    (SELECT string_agg(concat(oid, relname, relowner, relacl, reloptions), ';' ORDER BY oid) FROM pg_class), \
    (SELECT string_agg(concat(oid, proname), ';' ORDER BY oid) FROM pg_proc WHERE oid >= 16384), \
    (SELECT string_agg(concat(oid, rolname, rolsuper, rolconfig), ';' ORDER BY oid) FROM pg_roles), \
    (SELECT count(*) FROM pg_largeobject_metadata), (SELECT last_value FROM numbers), (SELECT pg_conf_load_time())))";

/// Changes that do not look like it: to a pattern, to a prefix, to a splitter of another mind than PostgreSQL's.
const DISGUISED: &[&str] = &[
    "/* SELECT */ DELETE FROM orders",
    "-- SELECT 1\nDELETE FROM orders",
    "\t\n\u{c}\r DeLeTe\nFrOm\rOrDeRs",
    "SELECT 1; DELETE FROM orders",
    ";;DELETE FROM orders;;",
    "COMMIT; DROP TABLE orders CASCADE",
    "BEGIN READ WRITE; DELETE FROM orders; COMMIT",
    "SET TRANSACTION READ WRITE; DELETE FROM orders",
    "SET default_transaction_read_only = off; DELETE FROM orders",
    "SELECT E'\\''; DELETE FROM orders; --'",
    "SELECT 'a\\'; DELETE FROM orders; --'",
    "SELECT 1 -- it's\r; DELETE FROM orders --'",
    "SELECT 1 AS a$$; DELETE FROM orders; SELECT 2 AS b$$",
    "SELECT $a$ $b$ $a$; DELETE FROM orders; --$b$",
    "SELECT 1 /* /* */ ; */; DELETE FROM orders",
    "SELECT \"\"\"\" FROM (SELECT 1 AS \"\"\"\") x; DELETE FROM orders",
    "SELECT U&'\\0027'; DELETE FROM orders; --'",
    "SELECT 'a'\n'; '; DELETE FROM orders",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "EXPLAIN (ANALYZE ON, BUFFERS) DELETE FROM orders",
    "EXPLAIN (ANALYZE) CREATE TABLE made AS SELECT 1",
    "COPY (DELETE FROM orders RETURNING *) TO STDOUT",
    "COPY orders TO '/tmp/somewhere'",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "COPY orders FROM PROGRAM 'true'",
    "DO $$ BEGIN DELETE FROM orders; END $$",
    "PREPARE p AS DELETE FROM orders; EXECUTE p",
    "PREPARE p AS SELECT 1; DEALLOCATE p; PREPARE p AS DELETE FROM orders; EXECUTE p",
    "BEGIN; DECLARE c CURSOR FOR SELECT * FROM orders FOR UPDATE; FETCH c; DELETE FROM orders WHERE CURRENT OF c; COMMIT",
    "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
    "WITH a AS (SELECT 1), b AS (WITH c AS (UPDATE orders SET amount = 0 RETURNING 1) SELECT * FROM c) SELECT * FROM a",
    "SELECT * INTO made FROM orders",
    "CREATE TABLE made AS TABLE orders",
    "TABLE orders FOR UPDATE",
    "SELECT nextval('numbers')",
    "SELECT setval('numbers', 50)",
    "SELECT lo_creat(-1)",
    "SELECT query_to_xml('DELETE FROM orders', true, true, '')",
    "SELECT * FROM query_to_xml($$SELECT nextval('numbers')$$, true, true, '')",
    "SELECT ts_stat('SELECT NULL::tsvector')",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT pg_catalog.set_config('default_transaction_read_only'::text, 'off', false); SELECT nextval('numbers')",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_reload_conf()",
    "SELECT (SELECT 1 WHERE EXISTS (SELECT nextval('numbers')))",
    "VALUES (nextval('numbers'))",
    "SELECT 1 ORDER BY nextval('numbers')",
    "SELECT 1 LIMIT nextval('numbers')",
    "SELECT count(*) FILTER (WHERE nextval('numbers') > 0) FROM orders",
    "SELECT * FROM generate_series(1, nextval('numbers'))",
    "SELECT * FROM orders TABLESAMPLE bernoulli (nextval('numbers'))",
    "SHOW search_path; SELECT nextval('numbers')",
    "SELECT mischief()",
    "SELECT * FROM mischievous",
    "SELECT orders.mischief_of FROM orders",
    "DROP OWNED BY app",
    "REASSIGN OWNED BY app TO postgres",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "ALTER ROLE app SUPERUSER",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "GRANT ALL ON orders TO PUBLIC",
    "SECURITY LABEL ON TABLE orders IS 'x'",
    "CREATE EXTENSION dblink",
    "LOAD 'auto_explain'",
    "REFRESH MATERIALIZED VIEW nothing",
    "TRUNCATE orders",
    "MERGE INTO orders o USING customers c ON o.customer_id = c.id WHEN MATCHED THEN DELETE",
    "CALL mischief()",
    "LOCK TABLE orders",
    "NOTIFY orders",
    "VACUUM FULL orders",
    "CLUSTER orders USING orders_pkey",
    "IMPORT FOREIGN SCHEMA s FROM SERVER x INTO public",
    "CREATE PUBLICATION everything FOR ALL TABLES",
];

/// A world in which only reads are allowed and the gateway's account may do everything.
fn read_only() -> World {
    let world = Plan::default().only_policies(READ_ONLY).start();
    world.truth(
        "ALTER ROLE app SUPERUSER; CREATE SEQUENCE numbers; \
         CREATE FUNCTION mischief() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'; \
         CREATE FUNCTION mischief_of(orders) RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'; \
         CREATE VIEW mischievous AS SELECT mischief()",
    );
    world
}

fn refused(said: &[String]) -> bool {
    said.iter().any(|gist| gist.starts_with("E "))
}

/// Threat 5: no command is judged by its look. The same statements directly do what they say, so that the comparison of
/// everything before and after is one that can fail.
#[test]
fn disguised_changes_change_nothing() {
    let world = read_only();
    let before = world.truth(EVERYTHING);
    let mut raw = Raw::login(&world);
    for sql in DISGUISED {
        let said = raw.ask(&batch().query(sql));
        assert!(refused(&said), "{sql}: {said:?}");
        assert_eq!(said.last().unwrap(), "Z I", "{sql}: {said:?}");
    }
    assert_eq!(world.truth(EVERYTHING), before);
    assert!(raw.ask(&batch().query("SELECT 1")).contains(&"C SELECT 1".to_owned()));
    let in_itself = |sql: &&&str| !sql.contains("COMMIT") && !sql.contains("COPY");
    let moves = |sql: &&str| {
        let told = world.cluster.admin(TARGET, &format!("BEGIN; {sql}; {EVERYTHING}; ROLLBACK"));
        told.is_ok_and(|told| told.lines().last() != Some(&before))
    };
    let moved = DISGUISED.iter().filter(in_itself).filter(|sql| moves(sql)).count();
    assert!(moved > 20, "only {moved} of them would have changed what is compared");
}

/// Threat 6: the extended protocol is gated alike, and what follows a refused `Parse` is not run on an older statement.
#[test]
fn disguised_changes_change_nothing_when_prepared() {
    let world = read_only();
    let before = world.truth(EVERYTHING);
    let mut raw = Raw::login(&world);
    for sql in DISGUISED {
        let said = raw.ask(&batch().run("SELECT 1").parse("", sql).bind("", "").execute("").sync());
        assert!(refused(&said), "{sql}: {said:?}");
        let said = raw.ask(&batch().parse("s", sql).sync().close("s").sync());
        raw.until_ready();
        assert_eq!(said.last().unwrap(), "Z I", "{sql}: {said:?}");
    }
    assert_eq!(world.truth(EVERYTHING), before);
}

/// Connections of one address that strangers hold open without a word, and how many of them are let in.
const STRANGERS: usize = 300;
const STRANGERS_IN: usize = 256;

/// A connection from another address of this machine.
fn from_elsewhere(port: u16) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        socket.connect(([127, 0, 0, 1], port).into()).await.unwrap()
    });
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Whether the other side has closed, without waiting for it to.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Threat 12: before a client has proved who it is, it gets little: few bytes are read, nothing is answered to junk, and
/// many who say nothing keep nobody out, least of all those of another address.
#[test]
fn strangers_at_the_door() {
    let world = World::start();
    let port = world.gateway.postgres_port();
    let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut silent: Vec<TcpStream> = (0..STRANGERS).map(|_| from_elsewhere(port)).collect();
    let surplus =
        || (silent.iter().filter(|stream| is_closed(stream)).count() == STRANGERS - STRANGERS_IN).then_some(());
    wait_until("those beyond one address's share to be closed", SOON, surplus).unwrap();
    for (number, stream) in silent.iter_mut().enumerate().filter(|(number, _)| number % 3 > 0) {
        let half: &[u8] = if number % 3 == 1 { &[0, 0, 0, 200, 0, 3] } else { &[22, 3, 1, 2, 0, 1] };
        let _ = stream.write_all(half); // a start-up packet, or a TLS hello, that never ends
    }
    for length in [0_u32, 3, 7, 10_001, 0x7fff_ffff, 0xffff_ffff] {
        let mut stream = connect();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let _ = stream.write_all(&[&length.to_be_bytes()[..], &[0, 3, 0, 0]].concat());
        let began = Instant::now();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(began.elapsed() < Duration::from_secs(10), "a length of {length} is refused before its body comes");
        assert!(answer.len() < 1_000, "{answer:?}");
    }
    let began = Instant::now();
    world.send(Client::Psql, "read", None).outcome().rows();
    assert!(began.elapsed() < SOON);
    let ended = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).is_ok()
    };
    assert!(silent.iter_mut().all(ended), "whoever does not log in is sent away");
    assert!(!world.gateway.log().contains("panicked"));
}

/// Threat 22: a statement that is cancelled while it runs is rolled back, said to be, and its approval is used up.
#[test]
fn cancelled_while_it_runs() {
    let world = World::start();
    let slow = "UPDATE customers SET credit_limit = 900 WHERE id = 3 AND pg_sleep(60) IS NOT NULL";
    let mut raw = Raw::login(&world);
    raw.send(&batch().query(slow));
    let review = world.review_beyond(0);
    world.dora().approve(&review).ok();
    wait_until("the write to run", SOON, || world.executing("pg_sleep").then_some(())).unwrap();
    raw.cancel();
    assert_eq!(raw.until_ready(), ["E 57014", "Z I"]);
    let run = world.until_recorded("the approval used", |leaf| leaf["kind"] == "grant.consumed");
    let outcome =
        world.until_recorded("the outcome", |leaf| leaf["kind"] == "action.outcome" && leaf["id"] == run["id"]);
    assert_eq!(outcome["status"], "failed", "{outcome}");
    assert_eq!(world.truth(ROW), "200");
    let (call, again) = world.paused(slow);
    assert_ne!(again.id(), review.id(), "the approval was for one execution");
    world.dora().reject(&again, "no").ok();
    assert!(call.ended().contains("42501"));
}
