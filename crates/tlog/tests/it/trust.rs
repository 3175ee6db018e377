//! What is said about a log: its key, its history, a saved checkpoint, witnesses, and proof files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_tlog::verify::{self, Options};
use countersign_tlog::{Checkpoint, Cosigner, Signer, SourceError, TileSource, TlogProof, TreeHead, leaf_hash};

use crate::support::{ORIGIN, TestLog, leaf};

const TIME_SECONDS: u64 = 1_700_000_000;

fn witness() -> Cosigner {
    Cosigner::from_seed("witness.example", &[9; 32]).unwrap()
}

fn code(result: Result<verify::Report, verify::VerifyError>) -> &'static str {
    result.map_or_else(|error| error.problem().code(), |_| "verified")
}

#[test]
fn another_key_is_refused() {
    let log = TestLog::published_at(&[10]);
    let other = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    let result = verify::log(&log.source(), other.verifier_key(), &Options::default());
    assert_eq!(code(result), "checkpoint_signature");
}

#[test]
fn another_origin_is_refused_unless_asked_for() {
    let log = TestLog::published_at(&[10]);
    log.remove("checkpoints");
    let head = log.log.head();
    let checkpoint = Checkpoint { origin: "other.example".to_owned(), size: head.size, root: head.root };
    let signer = Signer::from_seed(ORIGIN, &[7; 32]).unwrap();
    log.write("checkpoint", checkpoint.sign(&signer).unwrap().as_bytes());
    assert_eq!(code(log.verify()), "checkpoint_origin");
    let options = Options { origin: Some("other.example".to_owned()), ..Options::default() };
    assert_eq!(code(log.verify_with(&options)), "verified");
}

#[test]
fn a_changed_checkpoint_is_refused() {
    let log = TestLog::published_at(&[10]);
    let note = String::from_utf8(log.read("checkpoint")).unwrap();
    for (from, to) in [("\n10\n", "\n11\n"), (ORIGIN, "example.com/lag"), ("\n10\n", "\n10\nextension\n")] {
        log.write("checkpoint", note.replacen(from, to, 1).as_bytes());
        assert_eq!(code(log.verify()), "checkpoint_signature", "{from:?} → {to:?}");
    }
}

/// Replaces line `number` (from 0) of the history.
fn edit_history(log: &TestLog, edit: impl FnOnce(&mut Vec<String>)) {
    let text = String::from_utf8(log.read("checkpoints")).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    edit(&mut lines);
    log.write("checkpoints", (lines.join("\n") + "\n").as_bytes());
}

#[test]
fn the_history_must_be_signed_ordered_and_consistent() {
    let sizes = [5, 10, 10, 300];
    let check = |expected: &str, edit: &dyn Fn(&TestLog, &mut Vec<String>)| {
        let log = TestLog::published_at(&sizes);
        edit_history(&log, |lines| edit(&log, lines));
        assert_eq!(code(log.verify()), expected);
    };
    let other_key = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
    let signed = |log: &TestLog, size| STANDARD.encode(log.sign(TreeHead { size, root: leaf_hash(b"other") }));
    check("verified", &|_, _| ());
    check("verified", &|_, lines| drop(lines.remove(1)));
    check("history_order", &|_, lines| lines.swap(0, 1));
    check("history_refused", &|_, lines| lines[0].insert(3, '*'));
    check("history_refused", &|_, lines| lines.insert(0, String::new()));
    check("history_refused", &|log, lines| {
        let head = log.log.head();
        let forged = Checkpoint { origin: ORIGIN.to_owned(), size: head.size, root: head.root };
        lines.push(STANDARD.encode(forged.sign(&other_key).unwrap()));
    });
    check("fork", &|log, lines| lines[2] = signed(log, 10));
    check("fork", &|log, lines| lines[0] = signed(log, 7));
    check("fork", &|log, lines| lines.push(signed(log, 300)));
    check("rollback", &|log, lines| lines.push(signed(log, 301)));
}

#[test]
fn a_fork_is_narrowed_between_the_last_good_and_the_first_bad_checkpoint() {
    let log = TestLog::published_at(&[100, 300]);
    let forged = log.sign(TreeHead { size: 120, root: leaf_hash(b"other") });
    edit_history(&log, |lines| lines.insert(1, STANDARD.encode(forged)));
    log.check_bad("fork", Some((100, 119)));
}

#[test]
fn a_history_line_in_the_writing_is_not_an_error() {
    let log = TestLog::published_at(&[5, 10]);
    let mut history = log.read("checkpoints");
    history.extend_from_slice(b"ZXhhbXBs");
    log.write("checkpoints", &history);
    assert_eq!(log.verify().unwrap().history_checkpoints, 2);
}

/// A log that grows after its checkpoint was first read.
struct Growing {
    log: TestLog,
    first: std::cell::Cell<Option<Vec<u8>>>,
}

impl TileSource for Growing {
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        match self.first.take().filter(|_| path == "checkpoint") {
            Some(note) => Ok(Some(note)),
            None => self.log.source().fetch(path),
        }
    }
}

#[test]
fn a_log_may_grow_while_it_is_verified() {
    let log = TestLog::published_at(&[100, 300, 310]);
    let at_100 = log.sign(TestLog::published_at(&[100]).log.head());
    let key = log.key();
    let growing = Growing { log, first: Some(at_100.into_bytes()).into() };
    let report = verify::log(&growing, &key, &Options::default()).unwrap();
    assert_eq!((report.size, report.history_checkpoints), (100, 3));
}

#[test]
fn a_saved_checkpoint_must_be_a_prefix() {
    let log = TestLog::published_at(&[100, 300]);
    let since = |note: String| {
        let options = Options { since: Some(note.into_bytes()), ..Options::default() };
        log.verify_with(&options)
    };
    let before = TestLog::published_at(&[40]);
    assert_eq!(since(before.sign(before.log.head())).unwrap().since, Some(40));
    assert_eq!(since(log.sign(log.log.head())).unwrap().since, Some(300));
    assert_eq!(code(since(log.sign(TreeHead { size: 40, root: leaf_hash(b"other") }))), "fork");
    assert_eq!(code(since(log.sign(TreeHead { size: 301, root: leaf_hash(b"other") }))), "rollback");
    assert_eq!(code(since("not a checkpoint".to_owned())), "since_refused");
}

#[test]
fn a_shorter_log_put_in_place_shows_only_against_a_saved_checkpoint() {
    let (longer, shorter) = (TestLog::published_at(&[300]), TestLog::published_at(&[200]));
    assert_eq!(code(shorter.verify()), "verified");
    let options = Options { since: Some(longer.read("checkpoint")), ..Options::default() };
    assert_eq!(code(shorter.verify_with(&options)), "rollback");
}

#[test]
fn witnesses_count_only_if_given_and_right() {
    let log = TestLog::published_at(&[10]);
    let note = String::from_utf8(log.read("checkpoint")).unwrap();
    let cosigned = witness().cosign(&note, TIME_SECONDS).unwrap();
    log.write("checkpoint", cosigned.as_bytes());
    let report = log.verify().unwrap();
    assert_eq!((report.witnessed, report.unknown_signatures), (false, 1));
    let options = |quorum| Options {
        witnesses: vec![witness().verifier_key().clone()],
        witness_quorum: quorum,
        ..Options::default()
    };
    let report = log.verify_with(&options(1)).unwrap();
    assert_eq!((report.witnessed, report.unknown_signatures), (true, 0));
    assert_eq!(
        (report.witnesses[0].name.as_str(), report.witnesses[0].time_seconds),
        ("witness.example", TIME_SECONDS)
    );
    assert_eq!(code(log.verify_with(&options(2))), "unwitnessed");
    let forged = cosigned.replace(&cosigned[cosigned.len() - 20..cosigned.len() - 10], "AAAAAAAAAA");
    log.write("checkpoint", forged.as_bytes());
    assert_eq!(code(log.verify_with(&options(0))), "checkpoint_signature");
}

#[test]
fn a_witness_cannot_stand_in_for_the_log() {
    let log = TestLog::published_at(&[10]);
    let note = String::from_utf8(log.read("checkpoint")).unwrap();
    let (text, _) = note.split_once("\n\n").unwrap();
    let cosigned = witness().cosign(&note, TIME_SECONDS).unwrap();
    let line = cosigned.lines().last().unwrap();
    log.write("checkpoint", format!("{text}\n\n{line}\n").as_bytes());
    let options = Options { witnesses: vec![witness().verifier_key().clone()], ..Options::default() };
    assert_eq!(code(log.verify_with(&options)), "checkpoint_signature");
    assert_eq!(code(verify::log(&log.source(), witness().verifier_key(), &options)), "key");
}

fn proof_of(log: &TestLog, index: u64) -> TlogProof {
    let note = String::from_utf8(log.read("checkpoint")).unwrap();
    let (entry, proof) = TlogProof::prove(&log.source(), &note, index).unwrap();
    assert_eq!(entry, leaf(index));
    proof
}

#[test]
fn proof_files_prove_one_entry() {
    let log = TestLog::published_at(&[300]);
    for index in [0, 17, 255, 256, 299] {
        let text = proof_of(&log, index).to_string();
        let proof: TlogProof = text.parse().unwrap();
        assert_eq!(proof.to_string(), text);
        let proved = proof.verify(&leaf(index), &log.key(), &[], None).unwrap();
        assert_eq!((proved.index(), proved.leaf()), (index, leaf_hash(&leaf(index))));
        assert!(proof.verify(&leaf(index + 1), &log.key(), &[], None).is_err());
        assert!(proof.verify(&leaf(index), &log.key(), &[], Some("other.example")).is_err());
        let elsewhere = TlogProof { index: index ^ 1, ..proof.clone() };
        assert!(elsewhere.verify(&leaf(index), &log.key(), &[], None).is_err());
    }
}

#[test]
fn a_proof_that_would_not_hold_is_not_handed_out() {
    let log = TestLog::published_at(&[300]);
    let note = String::from_utf8(log.read("checkpoint")).unwrap();
    assert!(TlogProof::prove(&log.source(), &note, 300).is_err());
    assert!(TlogProof::prove(&log.source(), "no note", 3).is_err());
    log.edit_entries("tile/entries/000", |entries| entries[3][0] ^= 1);
    assert!(TlogProof::prove(&log.source(), &note, 3).is_err());
    assert!(TlogProof::prove(&log.source(), &note, 4).is_ok());
    log.edit_hashes("tile/1/000.p/1", |hashes| hashes[0].0[0] ^= 1);
    assert!(TlogProof::prove(&log.source(), &note, 299).is_err());
}

#[test]
fn a_proof_carries_extra_data_and_witnesses() {
    let log = TestLog::published_at(&[300]);
    let plain = proof_of(&log, 3);
    let checkpoint = witness().cosign(&plain.checkpoint, TIME_SECONDS).unwrap();
    let proof = TlogProof { extra: Some(b"opening".to_vec()), checkpoint, ..plain };
    let parsed: TlogProof = proof.to_string().parse().unwrap();
    assert_eq!(parsed, proof);
    let witnesses = [witness().verifier_key().clone()];
    assert_eq!(parsed.verify(&leaf(3), &log.key(), &witnesses, None).unwrap().witnesses().len(), 1);
}
