//! The describer against the server: what a statement is said to be may never be less than what it does.
//!
//! Statements (every function, operator, cast and type of the server's catalogs with arguments that fit, and random queries
//! over an adversary's objects) are put to the gateway under policies that refuse everything and say as what. What it takes
//! for a read, a change of the session or a write is then run directly, and the server is watched ([`observer`]). A
//! statement that did more than its class says is a hole, whatever else would have stopped it.
//!
//! `COUNTERSIGN_ORACLE_STATEMENTS` (of each kind) and `COUNTERSIGN_ORACLE_SEED` make it longer and different.

mod generate;
mod grammar;
mod observer;

use std::collections::BTreeMap;

use countersign_core::action::sql::SqlClass;
use xtask::loopback::random_secret;

use self::generate::Random;
use self::observer::{Observer, differences, rows, session};
use crate::harness::raw::Raw;
use crate::harness::{Plan, UPSTREAM_USER, World};

/// Refuses everything, and says what it was taken for.
const POLICIES: &str = r#"
@id("read") @deny("class:read") forbid (principal, action == Action::"sql:read", resource);
@id("session") @deny("class:session") forbid (principal, action == Action::"sql:session", resource);
@id("write") @deny("class:write") forbid (principal, action == Action::"sql:write", resource);
@id("ddl") @deny("class:ddl") forbid (principal, action == Action::"sql:ddl", resource);
@id("admin") @deny("class:admin") forbid (principal, action == Action::"sql:admin", resource);
@id("opaque") @deny("class:opaque") forbid (principal, action == Action::"sql:opaque", resource);
"#;

const CLASSES: [SqlClass; 6] =
    [SqlClass::Read, SqlClass::Session, SqlClass::Write, SqlClass::Ddl, SqlClass::Admin, SqlClass::Opaque];

/// What the server must not do by itself while it is watched.
const QUIET: &[&str] = &[
    "ALTER SYSTEM SET autovacuum = off",
    "ALTER SYSTEM SET wal_level = minimal",
    "ALTER SYSTEM SET max_wal_senders = 0",
    "ALTER SYSTEM SET checkpoint_timeout = '1d'",
];

/// Functions that only read, and take the lock of a change (`ROW EXCLUSIVE`, on `pg_largeobject` or on a sequence) for it. It
/// keeps nobody from reading or changing rows; `ALTER SEQUENCE` waits for it, as definitions wait for any reader.
const LOCK_AS_A_CHANGE: &[&str] = &["lo_get(", "pg_sequence_last_value("];

/// Statements of each kind, unless told otherwise.
const STATEMENTS: usize = 250;
/// The longest that a statement runs, in milliseconds.
const STATEMENT_MS_MAX: &str = "1000";
/// How often something must be seen to count: the server now and then tidies up a page on its own.
const SEEN_TIMES: usize = 3;
/// After so many changes the adversary's rows are made anew.
const CHANGES_MAX: usize = 200;

/// Who runs the statements: the owner of everything, whom row security binds, or somebody whom nothing but the gateway
/// would stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Owner,
    Superuser,
}

/// The gateway, a session directly at its server, and who watches it.
struct Oracle {
    world: World,
    gateway: Raw,
    direct: Raw,
    observer: Observer,
    _bystander: Raw,
    bystander: String,
    at_rest: observer::Marks,
    changes: usize,
    seen: BTreeMap<&'static str, usize>,
    ran_well: usize,
    holes: Vec<String>,
}

impl Oracle {
    fn start(who: As) -> Self {
        let mut world = Plan::default().only_policies(POLICIES).start();
        let watcher = random_secret().unwrap();
        let hba = world.truth("SHOW hba_file");
        let mut rules = std::fs::read_to_string(&hba).unwrap();
        rules.push_str(&format!("host all {UPSTREAM_USER},watcher 127.0.0.1/32 scram-sha-256\n"));
        std::fs::write(&hba, rules).unwrap();
        QUIET.iter().for_each(|setting| drop(world.truth(setting)));
        world.truth(&format!("CREATE ROLE watcher SUPERUSER LOGIN PASSWORD '{watcher}'"));
        world.cluster.stop();
        world.cluster.start_server().unwrap();
        world.truth(&format!("GRANT CREATE ON SCHEMA public TO {UPSTREAM_USER}"));
        world.truth(&format!("ALTER ROLE {UPSTREAM_USER} SUPERUSER")); // for the operator class
        world.truth(&format!("SET ROLE {UPSTREAM_USER}; {}", include_str!("adversary.sql")));
        if who == As::Owner {
            world.truth(&format!("ALTER ROLE {UPSTREAM_USER} NOSUPERUSER"));
        }
        SETTLE.iter().for_each(|sql| drop(world.truth(sql)));
        Self::among(world, &watcher)
    }

    fn among(world: World, watcher: &str) -> Self {
        let port = world.cluster.port();
        let own = (UPSTREAM_USER, world.gateway.upstream_password());
        let mut direct = Raw::login_to(port, own, &[("statement_timeout", STATEMENT_MS_MAX)]);
        direct.simple("DO 'BEGIN END'"); // loading the language adds its settings
        let mut bystander = Raw::login_to(port, own, &[("application_name", "bystander")]);
        let observer =
            Observer::new(Raw::login_to(port, ("watcher", watcher), &[]), &ask(&mut direct, "SELECT pg_backend_pid()"));
        Self {
            gateway: Raw::login(&world),
            bystander: ask(&mut bystander, "SELECT pg_backend_pid()"),
            _bystander: bystander,
            at_rest: session(&mut direct),
            direct,
            observer,
            world,
            changes: 0,
            seen: BTreeMap::new(),
            ran_well: 0,
            holes: Vec::new(),
        }
    }

    /// What the gateway takes a message for; `None` for what it refuses for other reasons.
    fn class(&mut self, sql: &str) -> Option<SqlClass> {
        let replies = self.gateway.simple(sql);
        let said: String = replies.iter().map(|reply| String::from_utf8_lossy(&reply.1).into_owned()).collect();
        let known = CLASSES.into_iter().rev().find(|class| said.contains(&format!("class:{}", class.name())));
        assert!(replies.iter().any(|reply| reply.0 == 'E'), "`{sql}` was not refused: {said}");
        known
    }

    /// Holds one message against what it does.
    fn check(&mut self, sql: &str) {
        let Some(class) = self.class(sql) else {
            *self.seen.entry("not described").or_default() += 1;
            return;
        };
        *self.seen.entry(class.name()).or_default() += 1;
        if class > SqlClass::Write {
            return;
        }
        let mut beyond = self.beyond(sql, class);
        for _ in 1..SEEN_TIMES {
            if beyond.is_empty() {
                return;
            }
            let again = self.beyond(sql, class);
            beyond.retain(|effect| again.contains(effect));
        }
        if !beyond.is_empty() {
            self.holes.push(format!("{} is not all of it ({}): {sql}", class.name(), beyond.join(", ")));
        }
    }

    /// What running it does beyond what its class says.
    fn beyond(&mut self, sql: &str, class: SqlClass) -> Vec<String> {
        let before = if class == SqlClass::Read { Vec::new() } else { self.observer.catalogs() };
        let mut effects = self.effects(sql);
        if class > SqlClass::Read {
            effects.extend(differences(&before, &self.observer.catalogs()));
        }
        self.tidy_up(!effects.is_empty());
        effects.sort();
        effects.dedup();
        let plans = sql.starts_with("EXPLAIN") && !sql.contains("ANALYZE"); // planning a change locks as the change does
        if plans || LOCK_AS_A_CHANGE.iter().any(|function| sql.contains(function)) {
            effects.retain(|effect| effect != "write: locks on relations");
        }
        effects.retain(|effect| CLASSES.iter().any(|lowest| effect.starts_with(lowest.name()) && *lowest > class));
        effects
    }

    /// Runs it, in a transaction of its own so that its locks can be seen, unless it has its own.
    fn effects(&mut self, sql: &str) -> Vec<String> {
        let open = !sql.contains("BEGIN");
        if open {
            self.direct.simple("BEGIN");
        }
        let (before, settings) = (self.observer.marks(), session(&mut self.direct));
        let replies = self.direct.simple(sql);
        let held = self.observer.marks();
        let mut effects = differences(&before, &held);
        self.ran_well += usize::from(!replies.iter().any(|reply| reply.0 == 'E'));
        match replies.last().unwrap().1.as_slice() {
            b"T" => {
                effects.extend(differences(&settings, &session(&mut self.direct)));
                self.direct.simple("COMMIT");
            }
            b"E" => drop(self.direct.simple("ROLLBACK")),
            _ => {}
        }
        effects.extend(differences(&self.at_rest, &session(&mut self.direct)));
        effects.extend(differences(&before, &self.observer.marks()));
        effects
    }

    /// Leaves nothing of a statement in the session, and now and then nothing in the rows.
    fn tidy_up(&mut self, changed: bool) {
        self.direct.simple("DISCARD ALL");
        self.changes += usize::from(changed);
        if self.changes >= CHANGES_MAX {
            self.world.truth(RENEWAL);
            SETTLE.iter().for_each(|sql| drop(self.world.truth(sql)));
            self.changes = 0;
        }
    }

    /// The server's answer to one of the catalogs' questions.
    fn catalog(&mut self, sql: &str) -> Vec<String> {
        rows(&self.direct.simple(sql)).into_iter().flatten().collect()
    }

    fn run(&mut self, statements: impl IntoIterator<Item = String>) {
        statements.into_iter().for_each(|sql| self.check(&sql));
    }

    /// No hole was found, and there was something to find: enough was let through, and ran.
    fn finish(self, ran_well_min: usize) {
        let told = format!("{:?}, {} ran without an error", self.seen, self.ran_well);
        eprintln!("{told}");
        assert!(self.holes.is_empty(), "{told}\n{}", self.holes.join("\n"));
        assert!(self.ran_well >= ran_well_min, "{told}");
    }
}

/// Fresh rows for the adversary's tables.
const RENEWAL: &str = "TRUNCATE ticks, accounts, triggered, child, parent, numbered, schematic, computed, parted, defaulted; \
    INSERT INTO accounts SELECT n, 'name ' || n, n * 10, '{\"a\": 1}', ARRAY['x'] FROM generate_series(1, 20) n; \
    INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1), (2)";
/// After this, reading leaves no trace in the server's log.
const SETTLE: &[&str] = &["VACUUM FREEZE", "CHECKPOINT"];

fn ask(raw: &mut Raw, sql: &str) -> String {
    rows(&raw.simple(sql)).remove(0).remove(0)
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// So many of a list, evenly spread, beginning at a place that the seed says.
fn sample(all: Vec<String>, count: usize) -> Vec<String> {
    let step = (all.len() / count.max(1)).max(1);
    let first = number("COUNTERSIGN_ORACLE_SEED", 0) % step;
    all.into_iter().skip(first).step_by(step).collect()
}

/// The watcher sees what there is to see: else the rest proves nothing.
#[test]
fn the_watcher_sees() {
    let mut oracle = Oracle::start(As::Superuser);
    for (sql, effect) in [
        ("SELECT tick()", "write: transaction numbers"),
        ("SELECT nextval('counter')", "write: the log"),
        ("SELECT tick_immutable(1)", "write: the log"),
        ("SELECT pg_advisory_lock(1)", "write: advisory locks"),
        ("SELECT pg_try_advisory_xact_lock(1)", "write: advisory locks"),
        ("LOCK TABLE accounts IN EXCLUSIVE MODE", "write: locks on relations"),
        ("SELECT id FROM accounts FOR UPDATE", "write: transaction numbers"),
        ("SELECT settle()", "session: settings"),
        ("SELECT set_config('work_mem', '8MB', true)", "session: settings"),
        ("LISTEN channel", "session: channels"),
        ("SET ROLE watcher", "session: user"),
        ("NOTIFY channel", "write: transaction numbers"),
        ("SELECT lo_creat(-1)", "write: transaction numbers"),
        ("SELECT pg_stat_reset()", "write: statistics"),
        ("SELECT pg_reload_conf(), pg_sleep(0.5)", "admin: configuration"),
        ("COPY accounts TO '/dev/null'; COPY (SELECT 1) TO PROGRAM 'cat > made-by-copy'", "admin: files"),
    ] {
        let effects = oracle.effects(sql);
        assert!(effects.iter().any(|seen| seen == effect), "{sql}: {effects:?}");
        oracle.tidy_up(false);
    }
    let bystander = oracle.bystander.clone();
    let effects = oracle.effects(&format!("SELECT pg_terminate_backend({bystander}, 5000)"));
    assert!(effects.contains(&"admin: sessions".to_owned()), "{effects:?}");
    assert_eq!(oracle.effects("SELECT count(*) FROM accounts"), Vec::<String>::new());
    let before = oracle.observer.catalogs();
    oracle.effects("CREATE TABLE made (id int)");
    assert!(differences(&before, &oracle.observer.catalogs()).contains(&"ddl: pg_class".to_owned()));
}

#[test]
fn every_function_operator_and_cast() {
    let mut oracle = Oracle::start(As::Superuser);
    let bystander = oracle.bystander.clone();
    let mut all = Vec::new();
    for (question, uses) in generate::SWEEPS {
        all.extend(oracle.catalog(question).iter().flat_map(|line| uses(line, &bystander)));
    }
    let count = number("COUNTERSIGN_ORACLE_STATEMENTS", STATEMENTS);
    oracle.run(sample(all, count));
    oracle.finish(count / 4);
}

fn random(who: As) {
    let mut oracle = Oracle::start(who);
    let mut random = Random::seeded(number("COUNTERSIGN_ORACLE_SEED", 0));
    let count = number("COUNTERSIGN_ORACLE_STATEMENTS", STATEMENTS);
    oracle.run((0..count).map(|_| random.statement()).collect::<Vec<_>>());
    oracle.finish(count / 50);
}

#[test]
fn random_statements_of_the_owner() {
    random(As::Owner);
}

#[test]
fn random_statements_of_a_superuser() {
    random(As::Superuser);
}
