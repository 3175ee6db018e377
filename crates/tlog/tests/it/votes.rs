//! Votes signed by passkeys: honest ones verify, and each way of telling them otherwise is found, even where the log's own
//! key signed for it.
//!
//! `data/signed-votes.jsonl` was made by OpenSSL's cryptography through Python, none of it ours: for ES256 and for RS256 an
//! enrolment and two votes.

use serde_json::{Value, json};

use crate::support::TestLog;

const LEAVES: &str = include_str!("data/signed-votes.jsonl");

fn leaves() -> Vec<Value> {
    LEAVES.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A log of these leaves, signed for by its own key.
fn log(leaves: &[Value]) -> TestLog {
    let mut log = TestLog::published_at(&[]);
    let leaves: Vec<Vec<u8>> = leaves.iter().map(|leaf| leaf.to_string().into_bytes()).collect();
    let writes = log.log.append(&leaves).unwrap();
    writes.iter().for_each(|write| log.write(&write.path.to_string(), &write.bytes));
    log.publish();
    log
}

/// Changes one leaf; the vote at `bad` must be named.
#[track_caller]
fn check_bad(change: impl FnOnce(&mut Vec<Value>), bad: u64) {
    let mut all = leaves();
    change(&mut all);
    log(&all).check_bad("vote", Some((bad, bad)));
}

fn flip(text: &mut Value, at: usize) {
    let mut bytes = text.as_str().unwrap().as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    *text = json!(String::from_utf8(bytes).unwrap());
}

#[test]
fn honest_votes_verify() {
    let mut all = leaves();
    all.push(json!({"kind": "review.vote", "method": "console", "review": "r_3", "person": "p_dora"}));
    let report = log(&all).verify().unwrap();
    assert_eq!((report.signed_votes, report.attested_votes), (4, 1));
}

#[test]
fn a_changed_signature_or_what_it_is_over() {
    for field in ["authenticator_data", "client_data", "signature"] {
        for (vote, at) in [(1, 10), (1, 40), (5, 12), (5, 44)] {
            check_bad(|all| flip(&mut all[vote]["signed"][field], at), vote as u64);
        }
    }
    check_bad(|all| flip(&mut all[1]["signed"]["credential"], 3), 1);
    check_bad(|all| all[2]["signed"]["signature"] = all[1]["signed"]["signature"].clone(), 2);
}

#[test]
fn a_vote_that_says_something_else_than_was_signed() {
    for field in ["verdict", "review", "person", "action_digest", "card_digest", "method"] {
        check_bad(|all| all[1][field] = json!("other"), 1);
    }
    for field in ["verdict", "reason_sha256", "policy_digest", "expires_at", "nonce", "type"] {
        check_bad(|all| all[1]["signed"]["intent"][field] = json!("other"), 1);
    }
    let both = |all: &mut Vec<Value>| {
        all[1]["verdict"] = json!("reject");
        all[1]["signed"]["intent"]["verdict"] = json!("reject");
    };
    check_bad(both, 1);
    check_bad(|all| all[1]["signed"]["intent"]["more"] = json!("x"), 1);
    check_bad(|all| drop(all[1].as_object_mut().unwrap().remove("signed")), 1);
    check_bad(|all| all[1]["signed"] = json!("yes"), 1);
}

#[test]
fn a_passkey_that_is_not_what_was_enrolled() {
    check_bad(|all| drop(all.remove(0)), 0); // never
    check_bad(|all| all.swap(0, 1), 0); // only afterwards
    check_bad(|all| all[0]["person"] = json!("p_other"), 1);
    check_bad(|all| all[0]["passkey"]["public_key"] = all[3]["passkey"]["public_key"].clone(), 1);
    check_bad(|all| all[0]["passkey"]["backup_eligible"] = json!(true), 1);
    check_bad(|all| all[0]["passkey"]["rp_id"] = json!("example.org"), 1);
    let removed = |all: &mut Vec<Value>| {
        let mut leaf = all[0].clone();
        leaf["change"] = json!("removed");
        all.insert(1, leaf);
    };
    check_bad(removed, 2);
    check_bad(|all| all.insert(1, all[0].clone()), 2); // twice: which of them is it?
}

#[test]
fn a_vote_that_is_told_twice() {
    check_bad(|all| all.insert(2, all[1].clone()), 2);
}

/// An enrolment, a breaking of glass and a vote by it; then four that are signed in another form than they claim. Made like
/// the votes.
const BREAKINGS: &str = include_str!("data/signed-breakings.jsonl");

fn breakings(taken: &[usize]) -> Vec<Value> {
    let all: Vec<Value> = BREAKINGS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    taken.iter().map(|at| all[*at].clone()).collect()
}

#[test]
fn honestly_broken_glass_verifies() {
    let mut all = breakings(&[0, 1, 2]);
    all.push(json!({"kind": "review.glass_broken", "method": "console", "review": "r_9", "person": "p_dora"}));
    let report = log(&all).verify().unwrap();
    assert_eq!((report.signed_breakings, report.attested_breakings), (1, 1));
    assert_eq!((report.signed_votes, report.attested_votes), (1, 0));
}

/// What was signed as the one never stands for the other, and its reason is the one that was given.
#[test]
fn broken_glass_that_was_not_signed_as_such() {
    for at in 3..=6 {
        log(&breakings(&[0, at])).check_bad("vote", Some((1, 1)));
    }
    let retold = |kind: &str, from: usize| {
        let mut all = breakings(&[0, from]);
        all[1]["kind"] = json!(kind);
        log(&all).check_bad("vote", Some((1, 1)));
    };
    retold("review.vote", 1);
    retold("review.glass_broken", 2);
    for field in ["review", "person", "action_digest", "card_digest", "method", "reason_sha256"] {
        let mut all = breakings(&[0, 1]);
        all[1][field] = json!("other");
        log(&all).check_bad("vote", Some((1, 1)));
    }
    log(&breakings(&[1, 0])).check_bad("vote", Some((0, 0)));
    log(&breakings(&[0, 1, 1])).check_bad("vote", Some((2, 2)));
}
