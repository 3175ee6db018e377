//! The command line: exit codes, words and JSON.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{TestLog, leaf};

pub(crate) fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign-verify")).args(args).output().unwrap()
}

#[track_caller]
fn check(args: &[&str], exit: i32, words: &[&str]) {
    let output = run(args);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colour without a terminal");
}

#[test]
fn a_log_that_verifies() {
    let log = TestLog::published_at(&[10, 300]);
    let (key, dir) = (log.key().to_string(), log.dir.path().to_str().unwrap());
    check(&["--key", &key, dir], 0, &["VERIFIED", "example.com/log", "300", "UNWITNESSED", "150  action.intent"]);
    log.write("log.vkey", format!("{key}\n").as_bytes());
    let key_file = log.path("log.vkey");
    check(&["--key", key_file.to_str().unwrap(), dir], 0, &["VERIFIED"]);
    std::fs::create_dir(log.path("data")).unwrap();
    std::os::unix::fs::symlink(dir, log.path("data/ledger")).unwrap();
    check(&["--key", &key, log.path("data").to_str().unwrap()], 0, &["VERIFIED"]);
    let output = run(&["--json", "--key", &key, dir]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["verified"], &report["log"]["size"]), (&Value::from(true), &Value::from(300)));
    assert_eq!(report["log"]["witnessed"], Value::from(false));
}

#[test]
fn a_log_that_does_not() {
    let log = TestLog::published_at(&[300]);
    let (key, dir) = (log.key().to_string(), log.dir.path().to_str().unwrap());
    log.edit_entries("tile/entries/000", |entries| entries[42][0] ^= 1);
    check(&["--key", &key, dir], 1, &["NOT VERIFIED", "an entry was changed", "first bad leaf  42"]);
    let output = run(&["--json", "--key", &key, dir]);
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&verdict["verified"], &verdict["problem"]), (&Value::from(false), &Value::from("changed")));
    assert_eq!((&verdict["first_bad_leaf"], &verdict["range"]), (&Value::from(42), &Value::Null));
}

#[test]
fn a_saved_checkpoint() {
    let (saved, log) = (TestLog::published_at(&[100]), TestLog::published_at(&[300]));
    let (key, dir) = (log.key().to_string(), log.dir.path().to_str().unwrap());
    let file = saved.path("checkpoint");
    let file = file.to_str().unwrap();
    check(&["--key", &key, "--since", file, dir], 0, &["VERIFIED", "the 100 leaves of the saved checkpoint"]);
    let shorter = TestLog::published_at(&[99]);
    let shorter = shorter.dir.path().to_str().unwrap();
    check(&["--key", &key, "--since", file, shorter], 1, &["NOT VERIFIED", "the log was cut back", "99"]);
}

#[test]
fn a_proof_file() {
    let log = TestLog::published_at(&[300]);
    let key = log.key().to_string();
    let hashes = countersign_tlog::proof::inclusion(&log.source(), 300, 5).unwrap();
    let checkpoint = String::from_utf8(log.read("checkpoint")).unwrap();
    let proof = countersign_tlog::TlogProof { extra: None, index: 5, hashes, checkpoint };
    log.write("5.tlog-proof", proof.to_string().as_bytes());
    log.write("right", &leaf(5));
    log.write("wrong", &leaf(6));
    let path = |name: &str| log.path(name).to_str().unwrap().to_owned();
    let (proof, right, wrong) = (path("5.tlog-proof"), path("right"), path("wrong"));
    check(&["--key", &key, "--proof", &proof, "--leaf", &right], 0, &["VERIFIED", "5 of 300 leaves"]);
    check(&["--key", &key, "--proof", &proof, "--leaf", &wrong], 1, &["NOT VERIFIED", "not in the log at index 5"]);
    check(&["--key", &key, "--proof", &right, "--leaf", &right], 1, &["NOT VERIFIED", "the proof has no checkpoint"]);
    check(&["--json", "--key", &key, "--proof", &proof, "--leaf", &right], 0, &["\"verified\": true"]);
    check(&["--witness-quorum", "1", "--key", &key, "--proof", &proof, "--leaf", &right], 1, &["NOT VERIFIED"]);
}

#[test]
fn what_cannot_be_used() {
    let log = TestLog::published_at(&[3]);
    let (key, dir) = (log.key().to_string(), log.dir.path().to_str().unwrap());
    check(&[], 2, &["--key"]);
    check(&["--key", &key], 2, &["DIR|URL"]);
    check(&["--key", "nonsense", dir], 2, &["neither a verifier key"]);
    check(&["--key", &key, "/nonexistent"], 2, &["is not a folder"]);
    check(&["--key", &key, "--since", "/nonexistent", dir], 2, &["cannot read"]);
    check(&["--key", &key, "--witness", &key, dir], 2, &["not a witness's key"]);
    check(&["--key", &key, "--proof", "x", dir], 2, &["--leaf"]);
    check(&["--help"], 0, &["Exit code", "--since"]);
}
