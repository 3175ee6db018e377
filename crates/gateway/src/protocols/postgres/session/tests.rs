//! What the machine says of transactions, batches, streams and settings; the module `model` holds it against a server.

use std::collections::BTreeMap;
use std::time::Instant;

use countersign_core::action::PayloadDigest;

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
fn what_a_batch_did_is_one_digest_however_it_was_sent() {
    let mut together = Session::new(BTreeMap::new());
    together.status = TransactionStatus::InTransaction;
    let mut apart = Session::new(BTreeMap::new());
    for id in ["a", "b", "c"] {
        let before = together.transaction();
        let done = outcome(&running(id), Some(1), None, None);
        together.finish(running(id), done.clone());
        together.finish(running("failed"), Outcomes { status: Status::Failed, ..done });
        apart.note_in_transaction(running(id).digest);
        assert_eq!(together.transaction(), apart.transaction());
        assert_ne!(together.transaction(), before);
    }
    together.settle_finished(TransactionStatus::InTransaction, false);
    assert_eq!(together.transaction(), apart.transaction());
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
    session.sent(Expected::Bind { portal: String::new() });
    session.sent(Expected::Execute {
        running: Some(running("first")),
        prepared: None,
        disturbance: Disturbance::default(),
        mask: None,
    });
    session.sent(Expected::Bind { portal: String::new() });
    session.sent(Expected::Execute {
        running: Some(running("second")),
        prepared: None,
        disturbance: Disturbance::default(),
        mask: None,
    });
    session.sent(Expected::Bind { portal: String::new() });
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

/// An index made in one step is not there when that fails; one made concurrently is, and is invalid.
#[test]
fn what_commits_in_steps_may_be_there_when_it_fails() {
    for (sql, status) in [
        ("CREATE INDEX i ON t (x)", Status::Failed),
        ("DROP INDEX i", Status::Failed),
        ("CREATE INDEX CONCURRENTLY i ON t (x)", Status::Unknown),
        ("DROP INDEX CONCURRENTLY i", Status::Unknown),
        ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", Status::Unknown),
        ("REINDEX TABLE t", Status::Unknown),
    ] {
        let mut session = Session::new(BTreeMap::new());
        session.sent(query(sql, sql));
        session.failed("23505");
        session.ready(TransactionStatus::Idle);
        assert_eq!(statuses(&mut session), [ended(sql, status)]);
    }
}

#[test]
fn a_decoy_speaks_our_words() {
    let mut session = Session::new(BTreeMap::new());
    session.sent(Expected::Decoy { notice: Some(Box::new(aborted())), simple: false });
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

#[test]
fn what_the_server_says_beside_our_own_commands_is_not_the_clients() {
    for (step, own) in [(OwnStep::Parse, true), (OwnStep::Execute, true), (OwnStep::End, false)] {
        let mut session = Session::new(BTreeMap::new());
        session.sent(Expected::Own(step));
        assert_eq!(session.own_runs(), own, "{step:?}");
    }
    let mut session = Session::new(BTreeMap::new());
    session.sent(query("SELECT 1", "q"));
    session.sent(Expected::Own(OwnStep::Execute));
    assert!(!session.own_runs(), "the client's comes first");
}
