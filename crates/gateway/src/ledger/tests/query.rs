//! What API, console and `/log/` read.

use countersign_tlog::TlogProof;
use futures::TryStreamExt as _;

use super::*;
use crate::ledger::query::{ENTRIES_MAX, QueryError};

async fn log_of(dir: &Path, leaves: u64) -> Ledger {
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir, &source).await.unwrap();
    (0..leaves).for_each(|number| source.append(&alarm(number, number as i64)));
    ledger.flush().await.unwrap();
    ledger
}

#[tokio::test]
async fn entries_are_found_by_index() {
    let dir = tempfile::tempdir().unwrap();
    let query = log_of(dir.path(), 1_300).await.query();
    let check = |range: std::ops::Range<u64>, expected: std::ops::Range<u64>| {
        let found: Vec<_> = query.entries(range).unwrap().into_iter().map(|entry| (entry.index, entry.leaf)).collect();
        let expected: Vec<_> = expected.map(|at| (at, alarm(at, at as i64).leaf().unwrap())).collect();
        assert_eq!(found, expected);
    };
    check(0..1, 0..1);
    check(250..520, 250..520);
    check(1_299..5_000, 1_299..1_300);
    check(1_300..5_000, 0..0);
    check(u64::MAX..u64::MAX, 0..0);
    check(10..5_000, 10..10 + ENTRIES_MAX);
    assert_eq!(query.latest(3).unwrap().iter().map(|entry| entry.index).collect::<Vec<_>>(), [1_297, 1_298, 1_299]);
    assert_eq!(query.entry(700).unwrap().leaf, alarm(700, 700).leaf().unwrap());
    assert!(matches!(query.entry(1_300), Err(QueryError::NotFound { index: 1_300, size: 1_300 })));
}

#[tokio::test]
async fn proofs_hold() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = log_of(dir.path(), 700).await;
    let query = ledger.query();
    for index in [0, 255, 256, 511, 698, 699] {
        let proof: TlogProof = query.prove(index).unwrap().parse().unwrap();
        let leaf = alarm(index, index as i64).leaf().unwrap();
        assert_eq!(proof.verify(&leaf, ledger.verifier_key(), &[], None).unwrap().index(), index);
        assert!(proof.verify(b"other", ledger.verifier_key(), &[], None).is_err());
    }
    assert!(matches!(query.prove(700), Err(QueryError::NotFound { .. })));
    assert_eq!(verify::prove(dir.path(), 5).unwrap(), query.prove(5).unwrap());
    assert_eq!(verify::prove(dir.path(), 700).unwrap_err().code, "not_found");
}

#[tokio::test]
async fn only_the_logs_own_published_files_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let query = log_of(dir.path(), 300).await.query();
    let check = |path: &str, expected: Option<&str>| {
        assert_eq!(query.open_file(path).unwrap().map(|file| file.content_type), expected, "`{path}`");
    };
    for text in ["checkpoint", "checkpoints", "log.vkey"] {
        check(text, Some("text/plain; charset=utf-8"));
    }
    for tile in ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"] {
        check(tile, Some("application/octet-stream"));
    }
    std::fs::write(folder(dir.path()).join("tile/0/001.p/45"), "unsigned").unwrap();
    std::fs::write(folder(dir.path()).join("tile/0/002"), "unsigned").unwrap();
    for other in [
        "",
        "log.key",
        "lock",
        "journal/00000000.log",
        "../ledger/log.key",
        "/etc/passwd",
        "tile/../log.key",
        "tile/0/001",
        "tile/0/001.p/45",
        "tile/0/002",
        "tile/0/001.p/43",
        "tile/9/000",
        "checkpoint/",
        "./checkpoint",
        "tile/0/000/",
        "tile/0/%2e%2e/log.key",
        ".staging/0",
    ] {
        check(other, None);
    }
}

#[tokio::test]
async fn a_file_streams_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let query = log_of(dir.path(), 2_000).await.query();
    let whole = std::fs::read(folder(dir.path()).join("tile/entries/001")).unwrap();
    let file = query.open_file("tile/entries/001").unwrap().unwrap();
    assert_eq!(file.length, whole.len() as u64);
    assert!(file.cache_control.contains("immutable"));
    let pieces: Vec<bytes::Bytes> = file.into_stream().try_collect().await.unwrap();
    assert_eq!(pieces.concat(), whole);
    assert_eq!(query.open_file("tile/entries/001").unwrap().unwrap().read().unwrap(), whole);
}

#[test]
fn no_log_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = verify::verify_dir(dir.path(), verify::Against::default()).unwrap_err();
    assert_eq!(refusal.code, "checkpoint_missing");
    assert_eq!(verify::prove(dir.path(), 0).unwrap_err().code, "key");
}
