//! The straight way: records in, a log out that verifies; and what refuses.

use std::fs;

use super::*;

#[tokio::test]
async fn the_first_start_publishes_an_empty_log() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    assert_eq!(ledger.flush().await, Ok(0));
    assert_eq!(verified(dir.path()), Vec::<Vec<u8>>::new());
    assert!(ledger.query().checkpoint_text().unwrap().starts_with("example.com/log\n0\n"));
    ledger.shutdown().await.unwrap();
    open(dir.path(), &source).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn store_and_journal_are_merged_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    let journal = ledger.journal();
    for at in 0..50 {
        source.append(&alarm(at, 1_000 + 2 * at as i64));
        journal.append(&outcome(at, 1_000 + 2 * at as i64 + (at % 2) as i64)).unwrap();
    }
    // A clock that went back does not move records past earlier ones of the same side.
    source.append(&alarm(50, 3));
    assert_eq!(ledger.flush().await, Ok(101));
    let times: Vec<i64> = verified(dir.path()).iter().map(|leaf| at(leaf)).collect();
    assert!(times[..99].is_sorted(), "{times:?}");
    assert_eq!(times[98..], [1_098, 3, 1_099]);
    let ended = source.with(|memory| memory.ended.clone());
    assert_eq!(ended.len(), 50);
    assert_eq!((ended[7].id.as_str(), ended[7].status), ("a7", Status::Failed));
    assert_eq!(ended[7].error.as_deref(), Some("42P01"));
}

fn at(leaf: &[u8]) -> i64 {
    serde_json::from_slice::<Record>(leaf).unwrap().at.micros()
}

#[tokio::test]
async fn on_a_tie_the_store_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    ledger.journal().append(&outcome(0, 5)).unwrap();
    source.append(&alarm(0, 5));
    ledger.flush().await.unwrap();
    assert_eq!(verified(dir.path()), [alarm(0, 5).leaf().unwrap(), outcome(0, 5).leaf().unwrap()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_leaves_from_both_sides_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let settings = Settings {
        origin: Some("example.com/log".to_owned()),
        journal: journal::Settings { file_bytes_max: 256 * 1024, ..journal::Settings::default() },
    };
    let ledger = Ledger::open(
        dir.path(),
        settings,
        Arc::clone(&source) as Arc<dyn RecordSource>,
        &*crate::vault::testing::sealer(dir.path()),
    )
    .await
    .unwrap();
    let mut expected = Vec::new();
    for number in 0..10_000 {
        let (stored, journaled) = (alarm(number, 2 * number as i64), outcome(number, 2 * number as i64 + 1));
        source.append(&stored);
        ledger.journal().append(&journaled).unwrap();
        expected.extend([stored, journaled]);
        if number % 1_700 == 0 {
            ledger.flush().await.unwrap();
        }
    }
    assert_eq!(ledger.flush().await, Ok(20_000));
    assert_eq!(*ledger.published().borrow(), 20_000);
    assert_same(&verified(dir.path()), &expected);
    let journal_files = fs::read_dir(folder(dir.path()).join("journal")).unwrap().count();
    assert!(journal_files <= 2, "{journal_files} files are left");
    assert!(!folder(dir.path()).join("tile/entries/000.p").exists(), "superseded partial tiles are left");
    ledger.shutdown().await.unwrap();
    assert_eq!(source.head().size, 20_000);
    open(dir.path(), &source).await.unwrap().shutdown().await.unwrap();
    assert_same(&verified(dir.path()), &expected);
}

#[tokio::test]
async fn growing_leaf_by_leaf_verifies_at_every_size() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    for number in 0..530 {
        source.append(&alarm(number, number as i64));
        assert_eq!(ledger.flush().await, Ok(number + 1));
    }
    let report = verify::verify_dir(dir.path(), verify::Against::default()).unwrap();
    assert_eq!(report.verified.history_checkpoints, 531);
    assert!(!report.key_given);
    let key = ledger.verifier_key().clone();
    let report = verify::verify_dir(dir.path(), verify::Against { key: Some(key), since: None }).unwrap();
    assert!(report.key_given);
}

#[tokio::test]
async fn what_an_earlier_run_journaled_is_applied_before_open_returns() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    let journal = ledger.journal();
    ledger.shutdown().await.unwrap();
    journal.append(&outcome(1, 1)).unwrap();
    drop(journal);
    assert_eq!(source.with(|memory| memory.ended.len()), 0);
    let ledger = open(dir.path(), &source).await.unwrap();
    assert_eq!(source.with(|memory| memory.ended.len()), 1);
    assert_eq!(*ledger.published().borrow(), 1);
}

#[tokio::test]
async fn a_second_gateway_is_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::default();
    let first = open(dir.path(), &source).await.unwrap();
    assert!(refused(dir.path(), &source).await.contains("another gateway"));
    first.shutdown().await.unwrap();
    open(dir.path(), &source).await.unwrap();
}

#[tokio::test]
async fn a_changed_leaf_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    (0..300).for_each(|number| source.append(&alarm(number, number as i64)));
    ledger.flush().await.unwrap();
    ledger.shutdown().await.unwrap();
    let path = folder(dir.path()).join("tile/entries/001.p/44");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let refusal = verify::verify_dir(dir.path(), verify::Against::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.first_bad_leaf), ("changed", Some(299)));
    assert!(refused(dir.path(), &source).await.contains("entry 299 does not match"));
    let refusal = verify::prove(dir.path(), 299).unwrap_err();
    assert_eq!((refusal.code, refusal.first_bad_leaf), ("changed", Some(299)));
}

#[tokio::test]
async fn a_changed_hash_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    (0..600).for_each(|number| source.append(&alarm(number, number as i64)));
    ledger.flush().await.unwrap();
    ledger.shutdown().await.unwrap();
    let path = folder(dir.path()).join("tile/1/000.p/2");
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(refused(dir.path(), &source).await.contains("but the store's head says"));
}

#[tokio::test]
async fn a_restored_store_is_refused_with_both_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    (0..5).for_each(|number| source.append(&alarm(number, number as i64)));
    ledger.flush().await.unwrap();
    let backup = source.head();
    (5..12).for_each(|number| source.append(&alarm(number, number as i64)));
    ledger.flush().await.unwrap();
    ledger.shutdown().await.unwrap();
    for (head, size) in [(Some(backup), "5"), (None, "0")] {
        source.with(|memory| memory.head = head);
        let words = refused(dir.path(), &source).await;
        assert!(words.contains("the store is behind its published checkpoint"), "{words}");
        assert!(words.contains(&format!("the store has {size} leaves, the checkpoint 12")), "{words}");
        assert!(words.contains("ledger recover"), "{words}");
        assert_eq!(verified(dir.path()).len(), 12, "the log was touched");
    }
}

#[tokio::test]
async fn the_history_alone_shows_a_restored_store() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    let (backup, checkpoint) = (source.head(), folder(dir.path()).join("checkpoint"));
    let note = fs::read(&checkpoint).unwrap();
    source.append(&alarm(0, 0));
    ledger.flush().await.unwrap();
    ledger.shutdown().await.unwrap();
    source.with(|memory| memory.head = Some(backup));
    fs::write(&checkpoint, note).unwrap();
    assert!(refused(dir.path(), &source).await.contains("the store has 0 leaves, the checkpoint 1"));
}

/// Copies a folder of plain files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target)
        } else {
            drop(fs::copy(item.path(), target))
        }
    }
}

#[tokio::test]
async fn the_checkpoint_of_another_course_is_refused() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = Arc::<MemorySource>::default();
    open(ours.path(), &source).await.unwrap().shutdown().await.unwrap();
    let other = Arc::new(MemorySource::default());
    other.with(|memory| memory.head = Some(source.head()));
    copy(ours.path(), theirs.path());
    let ledger = open(theirs.path(), &other).await.unwrap();
    (100..103).for_each(|number| other.append(&alarm(number, number as i64)));
    ledger.flush().await.unwrap();
    ledger.shutdown().await.unwrap();
    for size in [3, 5] {
        let ledger = open(ours.path(), &source).await.unwrap();
        (0..size - source.head().size).for_each(|number| source.append(&alarm(number, number as i64)));
        assert_eq!(ledger.flush().await, Ok(size));
        ledger.shutdown().await.unwrap();
        let path = folder(ours.path()).join("checkpoint");
        let own = fs::read(&path).unwrap();
        fs::copy(folder(theirs.path()).join("checkpoint"), &path).unwrap();
        assert!(refused(ours.path(), &source).await.contains("contradicts the store's log"));
        fs::write(&path, own).unwrap();
    }
}

#[tokio::test]
async fn a_head_that_is_not_its_own_checkpoints_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    source.append(&alarm(0, 0));
    ledger.flush().await.unwrap();
    ledger.shutdown().await.unwrap();
    source.with(|memory| memory.head.as_mut().unwrap().size = 2);
    assert!(refused(dir.path(), &source).await.contains("does not match the checkpoint stored with it"));
}

#[tokio::test]
async fn a_damaged_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    open(dir.path(), &source).await.unwrap().shutdown().await.unwrap();
    fs::write(folder(dir.path()).join("checkpoint"), "example.com/log\n0\n").unwrap();
    assert!(refused(dir.path(), &source).await.contains("a checkpoint is refused"));
}

#[tokio::test]
async fn a_store_out_of_order_stops_the_sequencer() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    (0..3).for_each(|number| source.append(&alarm(number, 0)));
    source.with(|memory| memory.records.swap(1, 2));
    let failure = ledger.flush().await.unwrap_err();
    assert!(failure.reason.contains("not in order"), "{failure}");
}

#[tokio::test]
async fn a_journal_entry_that_is_no_record_stops_the_sequencer() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    ledger.journal().append_leaf(br#"{"kind":"action.outcome","at":"2026-01-01T00:00:00.000000Z"}"#).unwrap();
    let failure = ledger.flush().await.unwrap_err();
    assert!(failure.reason.contains("is not a record"), "{failure}");
    assert_eq!(ledger.health().check(), Err(failure));
    assert!(verified(dir.path()).is_empty());
}
