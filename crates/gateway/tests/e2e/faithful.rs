//! What a client hears through the gateway, message by message, is what the server itself says: each script is put to both.
//! Where the two differ on purpose, the test says how.

use serde_json::Value;
use xtask::loopback::random_secret;

use crate::harness::raw::{Batch, Raw, batch};
use crate::harness::{Plan, UPSTREAM_USER, World};

/// Permits everything but what is named.
const POLICIES: &str = r#"
@id("everything") permit (principal, action in [Action::"read", Action::"write", Action::"admin"], resource);
@id("no-delete") forbid (principal, action == Action::"sql:write", resource) when { context.sql.verb == "DELETE" };
"#;
const TABLES: &str = "DROP TABLE IF EXISTS taken; CREATE TABLE taken (n int);
    CREATE OR REPLACE FUNCTION take(int) RETURNS int LANGUAGE sql AS 'INSERT INTO taken VALUES ($1) RETURNING n'";
const TAKEN: &str = "SELECT count(*) FROM taken";
const INSERT: &str = "INSERT INTO taken SELECT generate_series(1, 5) RETURNING n";

/// A gateway, and a session on either side of it.
struct Twins {
    world: World,
    direct: Raw,
    gateway: Raw,
    password: String,
}

impl Twins {
    /// The server takes connections without TLS from a role with the rights of the gateway's.
    fn start() -> Self {
        let mut world = Plan::default().only_policies(POLICIES).start();
        let password = random_secret().unwrap();
        let role = format!("CREATE ROLE direct LOGIN PASSWORD '{password}' IN ROLE {UPSTREAM_USER}");
        world.truth(&role);
        let hba = world.truth("SHOW hba_file");
        let mut rules = std::fs::read_to_string(&hba).unwrap();
        rules.push_str("host all direct 127.0.0.1/32 scram-sha-256\n");
        std::fs::write(&hba, rules).unwrap();
        world.cluster.stop();
        world.cluster.start_server().unwrap();
        let (direct, gateway) = (login(&world, &password, true), login(&world, &password, false));
        Self { world, direct, gateway, password }
    }

    fn tables_anew(&self) {
        self.world.truth(&format!("{TABLES}; ALTER TABLE taken OWNER TO {UPSTREAM_USER}"));
    }

    /// Each batch direct and through the gateway, over tables made anew; then how many rows were taken.
    fn both(&mut self, script: &[Batch]) -> [Vec<Vec<String>>; 2] {
        [true, false].map(|direct| {
            self.tables_anew();
            let raw = if direct { &mut self.direct } else { &mut self.gateway };
            let mut said: Vec<Vec<String>> = script.iter().map(|batch| raw.ask(batch)).collect();
            assert_eq!(said.last().unwrap().last().unwrap(), "Z I", "a script leaves no transaction to the next");
            raw.ask(&batch().query("DEALLOCATE ALL"));
            raw.ask(&batch().query("RESET default_transaction_read_only"));
            said.push(vec![self.world.truth(TAKEN)]);
            said
        })
    }

    #[track_caller]
    fn same(&mut self, script: &[Batch]) {
        let [direct, gateway] = self.both(script);
        assert_eq!(direct, gateway);
    }
}

fn login(world: &World, password: &str, direct: bool) -> Raw {
    match direct {
        true => Raw::login_to(world.cluster.port(), ("direct", password), &[]),
        false => Raw::login(world),
    }
}

fn queries(texts: &[&str]) -> Vec<Batch> {
    texts.iter().map(|text| batch().query(text)).collect()
}

/// What comes after the end of a transaction in the same message runs as it would without the gateway; where the session
/// cannot be set up for it, since what the gateway sets would be rolled back as well, the whole message is refused.
#[test]
fn a_message_that_goes_on_after_its_transaction() {
    let mut twins = Twins::start();
    let write = "INSERT INTO taken VALUES (1)";
    let after = |end: &str| format!("{end}; {write}");
    for script in [
        &["BEGIN", TAKEN, &after("COMMIT"), write, TAKEN][..],
        &["BEGIN", TAKEN, &after("COMMIT AND CHAIN"), "COMMIT", TAKEN, write],
        &["BEGIN", TAKEN, write, "COMMIT; BEGIN", TAKEN, write, "COMMIT", TAKEN],
        &["BEGIN", TAKEN, write, "ROLLBACK; BEGIN", TAKEN, write, "COMMIT", write],
        &["BEGIN", TAKEN, "SELECT 1 / 0", "ROLLBACK; BEGIN", TAKEN, write, "COMMIT"],
        &["BEGIN", TAKEN, "SELECT 1 / 0", &format!("ROLLBACK; {TAKEN}"), write],
        &["BEGIN READ ONLY", TAKEN, &after("COMMIT"), TAKEN],
        &["SELECT 1; BEGIN", TAKEN, "SELECT 1 / 0", &after("ROLLBACK"), write],
        &["SET default_transaction_read_only = on", "BEGIN", "SELECT 1 / 0", &after("ROLLBACK"), "ROLLBACK"],
    ] {
        twins.same(&queries(script));
    }
    for (failing, status) in [("SELECT 1 / 0", "Z E"), (TAKEN, "Z T")] {
        let [direct, gateway] = twins.both(&queries(&["BEGIN", failing, &after("ROLLBACK"), "ROLLBACK", write]));
        assert_eq!((&direct[1], &direct[4]), (&gateway[1], &gateway[4]), "what comes before and after");
        assert_eq!(gateway[1].last().unwrap(), status);
        assert_eq!(direct[2], ["C ROLLBACK", "C INSERT 0 1", "Z I"]);
        assert_eq!(gateway[2..4], [["E 0A000", "Z E"], ["C ROLLBACK", "Z I"]]);
        assert_eq!((&direct[5][0][..], &gateway[5][0][..]), ("2", "1"));
    }
}

/// Two serializable transactions that each write what the other has read do not both succeed: that each began with a read,
/// which the gateway holds read-only, does not take them out of the server's detection of conflicts.
#[test]
fn serializable_transactions_conflict() {
    let twins = Twins::start();
    let outcomes = [true, false].map(|direct| {
        twins.tables_anew();
        let [mut one, mut two] = [(); 2].map(|()| login(&twins.world, &twins.password, direct));
        let mut said = Vec::new();
        for sql in ["BEGIN ISOLATION LEVEL SERIALIZABLE", TAKEN, "INSERT INTO taken VALUES (1)", "COMMIT"] {
            said.push(one.ask(&batch().query(sql)));
            said.push(two.ask(&batch().query(sql)));
        }
        said.push(vec![twins.world.truth(TAKEN)]);
        said
    });
    assert_eq!(outcomes[0], outcomes[1]);
    assert!(outcomes[0].iter().flatten().any(|gist| gist == "E 40001"), "{outcomes:?}");
}

/// A portal that is fetched from in parts does what it was permitted to, once, whatever comes in between.
#[test]
fn a_suspended_portal_that_changes_something() {
    let mut twins = Twins::start();
    let open = |sql: &str| batch().parse("s", sql).bind("p", "s").fetch("p", 2);
    let more = || batch().fetch("p", 2).sync();
    let begin = || batch().query("BEGIN");
    let with = format!("WITH t AS ({INSERT}) SELECT n FROM t");
    for sql in [INSERT, &with, "SELECT take(n) FROM generate_series(1, 5) AS n"] {
        twins.same(&[open(sql).fetch("p", 2).fetch("p", 2).fetch("p", 2).sync()]);
        twins.same(&[open(sql).sync(), more(), more()]); // gone with its transaction
        twins.same(&[begin(), open(sql).sync(), more(), more(), batch().query("COMMIT"), more()]);
        let between = [
            batch().query(TAKEN),
            batch().run(TAKEN).sync(),
            batch().query("INSERT INTO taken VALUES (7)"),
            batch().run("UPDATE taken SET n = 8 WHERE n = 7").sync(),
            batch().parse("s2", TAKEN).bind("q", "s2").fetch("q", 1).sync(),
        ];
        for other in between {
            twins.same(&[begin(), open(sql).sync(), other, more(), more(), batch().query("COMMIT")]);
        }
        let undone = [begin(), open(sql).sync(), batch().query("SAVEPOINT a"), more(), batch().query("ROLLBACK TO a")];
        twins.same(&undone.into_iter().chain([more(), batch().query("COMMIT")]).collect::<Vec<_>>());
        twins.same(&[begin(), open(sql).sync(), batch().query("SELECT 1 / 0"), more(), batch().query("COMMIT")]);
    }
}

/// A refusal in between fails the transaction, and the portal with it, as an error of the server's would.
#[test]
fn a_refusal_beside_a_suspended_portal() {
    let mut twins = Twins::start();
    let open = || batch().parse("s", INSERT).bind("p", "s").fetch("p", 2).sync();
    let more = || batch().fetch("p", 2).sync();
    for refused in [batch().query("DELETE FROM taken"), batch().run("DELETE FROM taken").sync()] {
        let script = [batch().query("BEGIN"), open(), refused, more(), batch().query("COMMIT")];
        let [_, gateway] = twins.both(&script);
        let failing = [batch().query("BEGIN"), open(), batch().query("SELECT 1 / 0"), more(), batch().query("COMMIT")];
        let [direct, _] = twins.both(&failing);
        assert_eq!(gateway[2].last_chunk(), Some(&["E 42501".to_owned(), "Z E".to_owned()]), "{gateway:?}");
        for step in [0, 1, 3, 4, 5] {
            assert_eq!(direct[step], gateway[step], "{step}");
        }
        assert_eq!(gateway[5], ["0"]);
    }
}

/// What the server says has failed is recorded as failed, unless a part of it may have stayed.
#[test]
fn a_definition_that_fails_is_recorded_as_failed() {
    let mut twins = Twins::start();
    twins.tables_anew();
    twins.world.truth("INSERT INTO taken VALUES (1), (1)");
    let mut seen: Vec<Value> = Vec::new();
    for (sql, code, status) in [
        ("CREATE INDEX i ON nowhere (n)", "E 42P01", "failed"),
        ("CREATE UNIQUE INDEX i ON taken (n)", "E 23505", "failed"),
        ("DROP INDEX i", "E 42704", "failed"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON taken (n)", "E 23505", "unknown"),
        ("DROP INDEX CONCURRENTLY i", "C DROP INDEX", "succeeded"),
    ] {
        assert_eq!(twins.gateway.ask(&batch().query(sql)), [code, "Z I"], "{sql}");
        let outcome = |leaf: &Value| leaf["kind"] == "action.outcome" && !seen.contains(&leaf["id"]);
        let leaf = twins.world.until_recorded(sql, outcome);
        assert_eq!(leaf["status"], status, "{sql}: {leaf}");
        seen.push(leaf["id"].clone());
    }
}
