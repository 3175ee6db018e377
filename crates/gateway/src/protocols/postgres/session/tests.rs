//! The machine against a model of the server: whatever is sent, refused, failed or skipped, both hold the same statements.

use std::collections::BTreeMap;
use std::time::Instant;

use countersign_core::action::PayloadDigest;
use proptest::prelude::*;

use super::*;
use crate::protocols::postgres::describe::{NoSession, describe};

fn prepared(sql: &str) -> Arc<Prepared> {
    let description = Arc::new(describe(sql, &NoSession));
    Arc::new(Prepared { sql: sql.into(), part: String::new(), declared: vec![], types: vec![], description })
}

fn running(id: &str) -> Running {
    Running {
        id: ActionId::new(id),
        level: RecordLevel::Durable,
        digest: ActionDigest::of(PayloadDigest::of(id.as_bytes()).as_bytes()),
        started: Instant::now(),
    }
}

fn query(sql: &str, id: &str) -> Expected {
    let description = Arc::new(describe(sql, &NoSession));
    Expected::Query { running: Some(running(id)), description, sql: sql.into() }
}

fn statuses(session: &mut Session) -> Vec<(String, Status)> {
    std::mem::take(&mut session.ended).into_iter().map(|e| (e.id.to_string(), e.outcome.status)).collect()
}

fn ended(id: &str, status: Status) -> (String, Status) {
    (id.to_owned(), status)
}

#[test]
fn a_transaction_decides_about_what_it_did() {
    for (end, status) in [("COMMIT", Status::Succeeded), ("ROLLBACK", Status::RolledBack)] {
        let mut session = Session::new(BTreeMap::new());
        session.sent(query("BEGIN", "b"));
        session.command_done("BEGIN", None);
        session.ready(TransactionStatus::InTransaction);
        session.sent(query("UPDATE t SET x = 1 WHERE id = 1", "u"));
        session.command_done("UPDATE 1", Some(1));
        session.ready(TransactionStatus::InTransaction);
        let inside = statuses(&mut session);
        assert_eq!(inside, [ended("b", Status::Uncommitted), ended("u", Status::Uncommitted)]);
        assert_eq!(session.transaction().len(), 1, "one digest over both");
        session.sent(query(end, "e"));
        session.command_done(end, None);
        session.ready(TransactionStatus::Idle);
        assert!(statuses(&mut session).contains(&ended("u", status)));
        assert!(session.transaction().is_empty());
    }
}

#[test]
fn a_savepoint_undoes_what_came_after_it() {
    let mut session = Session::new(BTreeMap::new());
    for (sql, tag, id) in [
        ("BEGIN", "BEGIN", "b"),
        ("UPDATE t SET x = 1 WHERE id = 1", "UPDATE 1", "kept"),
        ("SAVEPOINT s", "SAVEPOINT", "s"),
        ("UPDATE t SET x = 2 WHERE id = 2", "UPDATE 1", "undone"),
        ("ROLLBACK TO s", "ROLLBACK", "r"),
        ("COMMIT", "COMMIT", "c"),
    ] {
        session.sent(query(sql, id));
        session.command_done(tag, None);
        let idle = tag == "COMMIT";
        session.ready(if idle { TransactionStatus::Idle } else { TransactionStatus::InTransaction });
    }
    let all = statuses(&mut session);
    assert!(all.contains(&ended("undone", Status::RolledBack)), "{all:?}");
    assert!(!all.contains(&ended("undone", Status::Succeeded)));
    assert!(all.contains(&ended("kept", Status::Succeeded)));
}

#[test]
fn a_failed_batch_takes_its_parts_along() {
    let mut session = Session::new(BTreeMap::new());
    session.parse_sent("", prepared("UPDATE t SET x = 1 WHERE id = 1"));
    session.sent(Expected::Bind);
    session.sent(Expected::Execute {
        running: Some(running("first")),
        prepared: None,
        disturbance: Disturbance::default(),
        mask: None,
    });
    session.sent(Expected::Bind);
    session.sent(Expected::Execute {
        running: Some(running("second")),
        prepared: None,
        disturbance: Disturbance::default(),
        mask: None,
    });
    session.sent(Expected::Bind);
    session.sent(Expected::Execute {
        running: Some(running("third")),
        prepared: None,
        disturbance: Disturbance::default(),
        mask: None,
    });
    session.sent(Expected::Sync);
    session.step_done(b'1');
    session.step_done(b'2');
    session.command_done("UPDATE 1", Some(1));
    session.step_done(b'2');
    session.failed("23505");
    session.ready(TransactionStatus::Idle);
    let all = statuses(&mut session);
    assert_eq!(
        all,
        [ended("first", Status::RolledBack), ended("third", Status::NotExecuted), ended("second", Status::Failed)]
    );
}

#[test]
fn a_decoy_speaks_our_words() {
    let mut session = Session::new(BTreeMap::new());
    session.sent(Expected::Decoy { notice: Box::new(aborted()), simple: false });
    assert!(matches!(session.failed("26000"), Reaction::Replace(_)));
    assert!(session.skipping, "the client's Sync is still to come");
}

#[test]
fn a_sync_inside_a_copy_stream_is_not_answered() {
    let mut session = Session::new(BTreeMap::new());
    session.sent(Expected::Execute {
        running: Some(running("copy")),
        prepared: None,
        disturbance: Disturbance::default(),
        mask: None,
    });
    session.sent(Expected::Sync);
    session.copy_in();
    session.streamed(b"1\n");
    session.sent(Expected::Sync);
    session.command_done("COPY 1", Some(1));
    session.ready(TransactionStatus::Idle);
    assert!(session.settled());
    assert_eq!(statuses(&mut session), [ended("copy", Status::Succeeded)]);
}

#[test]
fn a_spooled_stream_is_asked_for_once_and_not_of_the_client() {
    let mut session = Session::new(BTreeMap::new());
    session.sent(query("COPY t FROM STDIN", "copy"));
    session.feeds();
    assert!(matches!(session.copy_in(), Reaction::Swallow), "the client was asked already");
    session.streamed(b"1\n");
    assert!(matches!(session.copy_in(), Reaction::Fatal(_)), "nobody has seen what the client would send now");
    session.command_done("COPY 1", Some(1));
    session.ready(TransactionStatus::Idle);
    let outcome = session.ended.pop().expect("an end").outcome;
    assert_eq!((outcome.status, outcome.rows, outcome.stream.map(|s| s.0)), (Status::Succeeded, Some(1), Some(2)));
    session.sent(Expected::OwnSync);
    session.sent(query("COPY t FROM STDIN", "held"));
    session.feeds();
    session.ready(TransactionStatus::Idle);
    assert!(matches!(session.copy_in(), Reaction::Swallow), "what ends before it says nothing about it");
    session.command_done("COPY 0", Some(0));
    session.ready(TransactionStatus::Idle);
    session.sent(query("COPY t FROM STDIN", "next"));
    assert!(matches!(session.copy_in(), Reaction::Forward), "the next stream is the client's");
}

#[test]
fn what_was_sent_on_a_lost_connection_is_unknown() {
    let mut session = Session::new(BTreeMap::new());
    session.sent(query("UPDATE t SET x = 1 WHERE id = 1", "u"));
    session.lost();
    assert_eq!(statuses(&mut session), [ended("u", Status::Unknown)]);
}

#[test]
fn settings_follow_the_server() {
    let mut session = Session::new(BTreeMap::from([("search_path".to_owned(), "a".to_owned())]));
    for sql in ["SET search_path = b", "SET application_name = 'x'"] {
        session.sent(query(sql, sql));
        session.command_done("SET", None);
        session.ready(TransactionStatus::Idle);
    }
    assert_eq!(session.settings().get("search_path").map(String::as_str), Some("a → b"));
    assert!(!session.settings().contains_key("application_name"));
    session.sent(query("DISCARD ALL", "d"));
    session.command_done("DISCARD ALL", None);
    session.ready(TransactionStatus::Idle);
    assert_eq!(session.settings().get("search_path").map(String::as_str), Some("a"));
}

#[test]
fn a_setting_that_may_have_been_undone_binds_to_its_session() {
    let after = |own: &str, inside: bool| {
        let mut session = Session::new(BTreeMap::new()).named(own.to_owned());
        if inside {
            session.sent(query("BEGIN", "b"));
            session.command_done("BEGIN", None);
            session.ready(TransactionStatus::InTransaction);
        }
        session.sent(query("SET search_path = a", "s"));
        session.command_done("SET", None);
        session.ready(if inside { TransactionStatus::InTransaction } else { TransactionStatus::Idle });
        session.settings().clone()
    };
    assert_eq!(after("one", false), after("two", false));
    assert_ne!(after("one", true), after("two", true));
    let mut session = Session::new(BTreeMap::new()).named("one".to_owned());
    session.sent(query("SELECT set_config('search_path', 'a', false) WHERE false", "c"));
    session.command_done("SELECT 0", Some(0));
    session.ready(TransactionStatus::Idle);
    assert!(session.settings().values().any(|value| value == "one"), "it may not have run at all");
}

/// What a client may do next, as far as prepared statements are concerned.
#[derive(Debug, Clone)]
enum Step {
    Parse {
        name: u8,
        text: u8,
        fails: bool,
    },
    Bind {
        fails: bool,
    },
    Decoy,
    Close {
        name: u8,
    },
    Query {
        fails: bool,
    },
    /// A COPY of its own: the client streams, or the gateway does; it fails before or after it was asked for the stream.
    Copy {
        spooled: bool,
        asked: bool,
        fails: bool,
    },
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, any::<u8>(), any::<bool>()).prop_map(|(name, text, fails)| Step::Parse { name, text, fails }),
        2 => any::<bool>().prop_map(|fails| Step::Bind { fails }),
        1 => Just(Step::Decoy),
        1 => (0..3_u8).prop_map(|name| Step::Close { name }),
        1 => any::<bool>().prop_map(|fails| Step::Query { fails }),
        1 => any::<(bool, bool, bool)>()
            .prop_map(|(spooled, asked, fails)| Step::Copy { spooled, asked: asked || !fails, fails }),
        3 => Just(Step::Sync),
    ]
}

fn named(name: u8) -> String {
    if name == 0 { String::new() } else { format!("s{name}") }
}

/// A server that does what PostgreSQL does with prepared statements (`postgres.c`).
#[derive(Default)]
struct Server {
    statements: BTreeMap<String, String>,
    ignoring: bool,
}

impl Server {
    /// The outcome of a step; `None` when it is skipped.
    fn take(&mut self, step: &Step) -> Option<bool> {
        if self.ignoring && !matches!(step, Step::Sync) {
            return None;
        }
        let ok = match step {
            Step::Parse { name, text, fails } => self.parse(&named(*name), *text, *fails),
            Step::Bind { fails } => !fails,
            Step::Decoy => false,
            Step::Close { name } => {
                self.statements.remove(&named(*name));
                true
            }
            Step::Query { fails } | Step::Copy { fails, .. } => {
                self.statements.remove("");
                return Some(!fails); // a failed query does not skip
            }
            Step::Sync => {
                self.ignoring = false;
                true
            }
        };
        self.ignoring = !ok;
        Some(ok)
    }

    fn parse(&mut self, name: &str, text: u8, fails: bool) -> bool {
        if name.is_empty() {
            self.statements.remove("");
        }
        let taken = self.statements.contains_key(name);
        if !fails && !taken {
            self.statements.insert(name.to_owned(), text.to_string());
        }
        !fails && !taken
    }
}

/// The gateway's side: sends as the connection would, and hears the server's answers after a delay.
struct Run {
    session: Session,
    server: Server,
    answers: VecDeque<(Step, Option<bool>)>,
}

impl Run {
    fn go(&mut self, step: Step) {
        if matches!(step, Step::Parse { name: 1.., .. }) && self.session.uncertain() {
            self.hear_all(); // a named statement is prepared only when it is known whether the name is free
        }
        if matches!(step, Step::Bind { .. }) && self.session.uncertain() {
            self.hear_all(); // and one is bound only when it is known which text stands under its name
            self.check();
        }
        if self.session.skipping && !matches!(step, Step::Sync) {
            return;
        }
        match &step {
            Step::Parse { name, text, .. } => {
                let Prepared { part, declared, types, description, .. } =
                    Arc::into_inner(prepared("SELECT 1")).expect("new");
                let held = Prepared { sql: text.to_string().into(), part, declared, types, description };
                self.session.parse_sent(&named(*name), Arc::new(held));
            }
            Step::Bind { .. } => self.session.sent(Expected::Bind),
            Step::Decoy => self.session.sent(Expected::Decoy { notice: Box::new(aborted()), simple: false }),
            Step::Close { name } => self.session.close_sent(Some(&named(*name))),
            Step::Query { .. } => {
                self.hear_all(); // a query is sent only when all else was answered
                if self.session.skipping {
                    return;
                }
                self.session.sent(query("SELECT 1", "q"));
            }
            Step::Copy { spooled, .. } => {
                self.hear_all();
                if self.session.skipping {
                    return;
                }
                self.session.sent(query("COPY t FROM STDIN", "c"));
                if *spooled {
                    self.session.feeds();
                }
            }
            Step::Sync => {
                self.session.skipping = false;
                self.session.sent(Expected::Sync);
            }
        }
        let outcome = self.server.take(&step);
        let streams = matches!(step, Step::Copy { .. });
        self.answers.push_back((step, outcome));
        if streams {
            self.hear_all(); // nothing of the client is taken before its stream has ended
        }
    }

    fn hear(&mut self) {
        let Some((step, outcome)) = self.answers.pop_front() else { return };
        match (step, outcome) {
            (_, None) => {}
            (Step::Sync, _) => drop(self.session.ready(TransactionStatus::Idle)),
            (Step::Query { .. }, Some(ok)) => {
                drop(if ok { self.session.command_done("SELECT 1", Some(1)) } else { self.session.failed("22012") });
                self.session.ready(TransactionStatus::Idle);
            }
            (Step::Copy { spooled, asked, .. }, Some(ok)) => self.hear_copy(spooled, asked, ok),
            (step, Some(true)) => {
                let kind = match step {
                    Step::Parse { .. } => b'1',
                    Step::Close { .. } => b'3',
                    _ => b'2',
                };
                assert!(matches!(self.session.step_done(kind), Reaction::Forward));
            }
            (_, Some(false)) => drop(self.session.failed("XX000")),
        }
    }

    /// The client is asked for a stream exactly when the gateway has none.
    fn hear_copy(&mut self, spooled: bool, asked: bool, ok: bool) {
        if asked {
            let reaction = self.session.copy_in();
            assert_eq!(matches!(reaction, Reaction::Swallow), spooled);
            assert!(!matches!(reaction, Reaction::Fatal(_)) && self.session.streaming_in());
            self.session.streamed(b"1\n");
        }
        drop(if ok { self.session.command_done("COPY 1", Some(1)) } else { self.session.failed("22P02") });
        assert!(!self.session.streaming_in());
        self.session.ready(TransactionStatus::Idle);
        let streamed = self.session.ended.pop().and_then(|ended| ended.outcome.stream).map(|stream| stream.0);
        assert_eq!(streamed, ok.then_some(2));
    }

    fn hear_all(&mut self) {
        while !self.answers.is_empty() {
            self.hear();
        }
    }

    /// Never does the machine believe in a text that the server does not hold.
    fn check(&self) {
        for (name, prepared) in &self.session.prepared {
            assert_eq!(
                self.server.statements.get(name).map(String::as_str),
                Some(&*prepared.sql),
                "statement `{name}`"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_never_believes_in_a_text_the_server_does_not_hold(
        steps in proptest::collection::vec((step(), 0..4_usize), 1..60),
    ) {
        let mut run = Run { session: Session::new(BTreeMap::new()), server: Server::default(), answers: VecDeque::new() };
        for (step, heard) in steps {
            run.go(step);
            (0..heard).for_each(|_| run.hear());
            if run.answers.is_empty() {
                run.check();
            }
        }
        run.go(Step::Sync);
        run.hear_all();
        run.check();
    }
}
