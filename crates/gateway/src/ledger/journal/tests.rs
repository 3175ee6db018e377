//! Torn tails, rot, rotation, and what a failed write closes.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use countersign_core::action::{ActionId, Timestamp};
use countersign_core::record::{Event, Status};
use proptest::prelude::*;

use super::*;

const LIMITS: ReadLimits = ReadLimits { records_max: usize::MAX, bytes_max: u64::MAX };
const SMALL: Settings = Settings { durable: false, file_bytes_max: 4096 };

fn outcome(id: u64) -> Record {
    let event = Event::ActionOutcome {
        id: ActionId::new(format!("a{id}")),
        status: Status::Succeeded,
        rows: Some(id),
        stream_bytes: None,
        stream_sha256: None,
        micros: 1_200,
        error: None,
    };
    Record { at: Timestamp::from_seconds(1_700_000_000 + id as i64), node: "n1".to_owned(), event }
}

fn leaves(records: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    records.map(|id| outcome(id).leaf().unwrap()).collect()
}

fn open(dir: &Path, head: Position) -> Result<FileJournal, Error> {
    FileJournal::open(dir, head, Settings::default(), Health::default())
}

/// Everything after `head` that a new start finds.
fn reread(dir: &Path, head: Position) -> Vec<Vec<u8>> {
    let journal = open(dir, head).unwrap();
    let end = journal.shared.desk().synced.position;
    read_all(&journal, head, end)
}

fn read_all(journal: &FileJournal, from: Position, end: Position) -> Vec<Vec<u8>> {
    let mut at = from;
    let mut leaves = Vec::new();
    loop {
        let entries = journal.read(at, end, ReadLimits { records_max: 7, ..LIMITS }).unwrap();
        let Some(last) = entries.last() else { return leaves };
        at = last.after;
        leaves.extend(entries.into_iter().map(|entry| entry.leaf.to_vec()));
    }
}

/// A journal over a file that is not one, so that the kernel itself fails.
fn over(device: &str, health: &Health) -> FileJournal {
    let file = OpenOptions::new().write(true).open(device).unwrap();
    let recovered = Recovered { file, end: Position::default(), torn_bytes: 0 };
    FileJournal::start(Path::new("/nonexistent"), recovered, Settings::default(), health.clone()).unwrap()
}

fn is_synced(journal: &FileJournal) -> bool {
    let desk = journal.shared.desk();
    desk.synced == desk.end
}

fn closed(result: Result<(), JournalError>) -> String {
    match result {
        Err(JournalError::Closed(reason)) => reason,
        other => panic!("not closed: {other:?}"),
    }
}

#[test]
fn what_was_appended_is_found_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Position::default()).unwrap();
    (0..100).for_each(|id| journal.append(&outcome(id)).unwrap());
    drop(journal);
    assert_eq!(reread(dir.path(), Position::default()), leaves(0..100));
}

#[tokio::test]
async fn reading_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Position::default()).unwrap();
    (0..10).for_each(|id| journal.append(&outcome(id)).unwrap());
    let end = journal.sync().await.unwrap();
    let first = journal.read(Position::default(), end, ReadLimits { records_max: 4, bytes_max: 1 }).unwrap();
    assert_eq!(first.len(), 4);
    let rest = read_all(&journal, first[3].after, end);
    assert_eq!(rest, leaves(4..10));
    assert_eq!(reread(dir.path(), first[3].after), leaves(4..10));
}

#[tokio::test]
async fn a_full_file_is_followed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(dir.path(), Position::default(), SMALL, Health::default()).unwrap();
    let mut end = Position::default();
    for id in 0..200 {
        journal.append(&outcome(id)).unwrap();
        if id % 5 == 0 {
            end = journal.sync().await.unwrap();
        }
    }
    end = end.max(journal.sync().await.unwrap());
    assert!(end.file >= 4, "{end:?}");
    assert_eq!(read_all(&journal, Position::default(), end), leaves(0..200));
    let entries = journal.read(Position { file: 2, offset: 0 }, end, LIMITS).unwrap();
    let head = entries.last().unwrap().after;
    journal.remove_before(head).unwrap();
    assert!(!files::path_of(dir.path(), 1).exists());
    assert!(files::path_of(dir.path(), 2).exists());
    let rest = read_all(&journal, head, end);
    drop(journal);
    assert_eq!(reread(dir.path(), head), rest);
    assert!(matches!(open(dir.path(), Position::default()), Err(Error::Missing { .. })));
}

#[test]
fn appends_from_many_threads_all_arrive_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(dir.path(), Position::default(), SMALL, Health::default()).unwrap();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    journal.append(&outcome(next.fetch_add(1, Ordering::Relaxed))).unwrap();
                }
            });
        }
    });
    drop(journal);
    let mut found = reread(dir.path(), Position::default());
    let mut expected = leaves(0..2000);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn durable_means_synced() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { durable: true, ..Settings::default() };
    let journal = FileJournal::open(dir.path(), Position::default(), settings, Health::default()).unwrap();
    journal.record(&outcome(0)).await.unwrap();
    assert!(is_synced(&journal));
    journal.append_durable(&outcome(1)).await.unwrap();
    assert!(is_synced(&journal));
}

#[test]
fn staging_writes_nothing_and_one_release_writes_all() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Position::default()).unwrap();
    let bytes = || fs::metadata(files::path_of(dir.path(), 0)).unwrap().len();
    let pen = journal.shared.pen(); // nobody else writes meanwhile
    let first = journal.stage(&outcome(0)).unwrap();
    let last = journal.stage(&outcome(1)).unwrap();
    assert_eq!(bytes(), 0);
    assert!(first < last);
    drop(pen);
    assert_eq!(journal.release(first).unwrap(), Release::Now);
    assert_eq!(bytes(), last.bytes(), "the release of the first had the last with it");
    assert_eq!(journal.release(last).unwrap(), Release::Now);
    drop(journal);
    assert_eq!(reread(dir.path(), Position::default()), leaves(0..2));
}

#[test]
fn what_was_staged_reaches_the_disk_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Position::default()).unwrap();
    let receipt = journal.stage(&outcome(0)).unwrap();
    let mut progress = journal.shared.progress.subscribe();
    let synced =
        progress.wait_for(|progress| matches!(progress, Progress::Synced(end) if end.bytes >= receipt.bytes()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let waited = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), synced).await.is_ok() });
    assert!(waited);
    let _ = journal.stage(&outcome(1)).unwrap();
    drop(journal);
    assert_eq!(reread(dir.path(), Position::default()), leaves(0..2));
}

#[tokio::test]
async fn a_durable_release_says_that_the_answer_waits() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { durable: true, ..Settings::default() };
    let journal = FileJournal::open(dir.path(), Position::default(), settings, Health::default()).unwrap();
    let receipt = journal.stage(&outcome(0)).unwrap();
    assert_eq!(journal.release(receipt).unwrap(), Release::AfterSync);
    journal.synced(receipt).await.unwrap();
    assert!(is_synced(&journal));
}

#[test]
fn a_failed_write_takes_back_nothing_that_was_promised() {
    let journal = over("/dev/full", &Health::default());
    let receipt = journal.stage(&outcome(0)).unwrap();
    let reason = closed(journal.release(receipt).map(drop));
    assert_eq!(closed(journal.release(receipt).map(drop)), reason);
    assert_eq!(closed(journal.stage(&outcome(1)).map(drop)), reason);
}

#[test]
fn what_is_staged_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Position::default()).unwrap();
    let mut staged = 0;
    while staged < 3 * STAGED_BYTES_MAX as u64 {
        staged = journal.stage(&outcome(0)).unwrap().bytes();
        assert!(journal.shared.desk().frames.len() < STAGED_BYTES_MAX);
    }
    assert!(fs::metadata(files::path_of(dir.path(), 0)).unwrap().len() >= 2 * STAGED_BYTES_MAX as u64);
}

#[test]
fn an_undisturbed_record_reaches_the_disk_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Position::default()).unwrap();
    journal.append(&outcome(0)).unwrap();
    let mut progress = journal.shared.progress.subscribe();
    let target = journal.shared.desk().end.bytes;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let synced = progress.wait_for(|progress| matches!(progress, Progress::Synced(end) if end.bytes >= target));
    let waited = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), synced).await.is_ok() });
    assert!(waited);
}

#[tokio::test]
async fn a_full_disk_closes_the_journal_for_good() {
    let health = Health::default();
    let journal = over("/dev/full", &health);
    assert!(health.check().is_ok());
    let reason = closed(journal.append(&outcome(0)));
    assert!(reason.contains("No space left"), "{reason}");
    assert_eq!(health.check().unwrap_err().part, Part::Journal);
    assert_eq!(closed(journal.append(&outcome(1))), reason);
    assert_eq!(closed(journal.append_durable(&outcome(2)).await), reason);
}

#[tokio::test]
async fn a_failed_sync_closes_the_journal_for_good() {
    let health = Health::default();
    let journal = over("/dev/null", &health);
    let reason = closed(journal.append_durable(&outcome(0)).await);
    assert!(reason.contains("could not be synced"), "{reason}");
    assert_eq!(health.check().unwrap_err().part, Part::Journal);
    assert_eq!(closed(journal.append(&outcome(1))), reason);
    assert!(journal.sync().await.is_err());
}

#[tokio::test]
async fn a_next_file_that_cannot_be_made_closes_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { file_bytes_max: 1, ..Settings::default() };
    let journal = FileJournal::open(dir.path(), Position::default(), settings, Health::default()).unwrap();
    fs::create_dir(files::path_of(dir.path(), 1)).unwrap();
    let _ = journal.append_durable(&outcome(0)).await;
    let reason = loop {
        if let Err(error) = journal.append(&outcome(1)) {
            break error.to_string();
        }
        tokio::task::yield_now().await;
    };
    assert!(reason.contains("could not be begun"), "{reason}");
}

#[test]
fn an_oversized_leaf_is_refused_and_nothing_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Position::default()).unwrap();
    assert!(matches!(journal.append_leaf(&vec![b'x'; 65_536]), Err(JournalError::Encode(_))));
    assert!(matches!(journal.append_leaf(b""), Err(JournalError::Encode(_))));
    journal.append(&outcome(0)).unwrap();
}

/// Three records, as bytes, and where each ends.
fn three(dir: &Path) -> (PathBuf, Vec<u8>, Vec<u64>) {
    let journal = open(dir, Position::default()).unwrap();
    let ends = leaves(0..3).iter().map(|leaf| journal.append_leaf(leaf).unwrap().offset).collect();
    drop(journal);
    let path = files::path_of(dir, 0);
    let bytes = fs::read(&path).unwrap();
    (path, bytes, ends)
}

#[test]
fn a_tail_torn_anywhere_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes, ends) = three(dir.path());
    for length in ends[1]..ends[2] {
        fs::write(&path, &bytes[..length as usize]).unwrap();
        let journal = open(dir.path(), Position::default()).unwrap();
        assert_eq!(journal.torn_bytes(), length - ends[1]);
        journal.append(&outcome(7)).unwrap();
        drop(journal);
        assert_eq!(reread(dir.path(), Position::default()), [leaves(0..2), leaves(7..8)].concat());
    }
}

#[test]
fn a_tail_of_zeroes_or_garbage_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes, _) = three(dir.path());
    for tail in [vec![0; 5000], vec![0xff; 3], vec![7; 70_000]] {
        fs::write(&path, [&bytes[..], &tail].concat()).unwrap();
        let journal = open(dir.path(), Position::default()).unwrap();
        assert_eq!(journal.torn_bytes(), tail.len() as u64);
        drop(journal);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn nothing_before_the_head_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes, ends) = three(dir.path());
    let head = Position { file: 0, offset: ends[2] };
    fs::write(&path, &bytes[..ends[1] as usize + 3]).unwrap();
    assert!(matches!(open(dir.path(), head), Err(Error::Short { .. })));
    assert_eq!(fs::metadata(&path).unwrap().len(), ends[1] + 3, "the file was touched");
    fs::remove_file(&path).unwrap();
    assert!(matches!(open(dir.path(), head), Err(Error::Missing { .. })));
}

#[test]
fn damage_before_whole_records_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes, ends) = three(dir.path());
    for at in ends[0]..ends[1] {
        let mut damaged = bytes.clone();
        damaged[at as usize] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let error = open(dir.path(), Position::default()).unwrap_err();
        assert!(matches!(error, Error::Damaged { offset, .. } if offset == ends[0]), "{error}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "the file was touched");
    }
}

#[test]
fn damage_in_a_file_that_another_follows_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes, ends) = three(dir.path());
    fs::write(files::path_of(dir.path(), 1), &bytes).unwrap();
    fs::write(&path, &bytes[..ends[2] as usize - 1]).unwrap();
    assert!(matches!(open(dir.path(), Position::default()), Err(Error::Damaged { .. })));
    fs::write(&path, &bytes).unwrap();
    assert_eq!(reread(dir.path(), Position::default()).len(), 6);
    fs::rename(files::path_of(dir.path(), 1), files::path_of(dir.path(), 2)).unwrap();
    assert!(matches!(open(dir.path(), Position::default()), Err(Error::Missing { .. })));
}

#[tokio::test]
async fn damage_while_running_is_noticed_when_read() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), Position::default()).unwrap();
    (0..3).for_each(|id| journal.append(&outcome(id)).unwrap());
    let end = journal.sync().await.unwrap();
    let path = files::path_of(dir.path(), 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    OpenOptions::new().write(true).open(&path).unwrap().write_all(&bytes).unwrap();
    assert!(matches!(journal.read(Position::default(), end, LIMITS), Err(Error::Damaged { offset: 0, .. })));
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert!(matches!(journal.read(Position::default(), end, LIMITS), Err(Error::Damaged { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever a crash cuts off, the whole records before it are there after the next start, and none else.
    #[test]
    fn any_cut_leaves_a_prefix(cut in 0u64..2000) {
        let dir = tempfile::tempdir().unwrap();
        let (path, bytes, ends) = three(dir.path());
        let length = cut % (bytes.len() as u64 + 1);
        fs::write(&path, &bytes[..length as usize]).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count() as u64;
        prop_assert_eq!(reread(dir.path(), Position::default()), leaves(0..whole));
    }
}
