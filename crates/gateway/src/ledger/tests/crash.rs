//! Crashes and failures at every step: after the next start the log verifies, and each record is in it exactly once.

use std::fs;

use super::*;
use crate::ledger::sequencer::{Engine, Opening};

/// The steps of one round after which a crash may fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Gathered,
    Sealed,
    Advanced,
    Published,
    Swept,
}

const STEPS: [Step; 5] = [Step::Gathered, Step::Sealed, Step::Advanced, Step::Published, Step::Swept];

async fn engine(dir: &Path, source: &Arc<MemorySource>) -> Engine {
    let root = folder(dir);
    let head = source.log_head().await.unwrap();
    let opening = Opening {
        root: &root,
        signer: super::super::keys::open(&root, None, head.is_some(), &*crate::vault::testing::sealer(dir)).unwrap(),
        head,
        source: Arc::clone(source) as Arc<dyn RecordSource>,
        journal: journal::Settings::default(),
        health: Health::default(),
    };
    Engine::open(opening).await.unwrap()
}

/// One round up to and including `last`; then everything in memory is gone.
async fn crash_after(last: Step, mut engine: Engine) {
    let goal = engine.journal().sync().await.unwrap();
    let before = engine.size();
    let mut batch = engine.gather(goal).await.unwrap();
    if last == Step::Gathered {
        return;
    }
    let signed = engine.seal(&mut batch).await.unwrap();
    if last == Step::Sealed {
        return;
    }
    engine.advance(batch, signed).await.unwrap();
    if last == Step::Advanced {
        return;
    }
    engine.publish().await.unwrap();
    if last == Step::Swept {
        engine.sweep(before).await.unwrap();
    }
}

/// `count` records, half of them in each side, from `first` on.
fn append(source: &MemorySource, journal: &FileJournal, first: u64, count: u64, at: i64) -> Vec<Record> {
    let mut records = Vec::new();
    for number in first..first + count {
        let at = at + number as i64;
        if number % 2 == 0 {
            records.push(alarm(number, at));
            source.append(&alarm(number, at));
        } else {
            records.push(outcome(number, at));
            journal.append(&outcome(number, at)).unwrap();
        }
    }
    records
}

async fn check(step: Step, before: u64, pending: u64) {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    let mut expected = append(&source, &ledger.journal(), 0, before, 1_000_000);
    ledger.flush().await.unwrap();
    ledger.shutdown().await.unwrap();

    let engine = engine(dir.path(), &source).await;
    let journal = engine.journal();
    expected.extend(append(&source, &journal, before, pending, 2_000_000));
    crash_after(step, engine).await;
    // What comes now bears an earlier time, so that the same records are sequenced in another order.
    expected.extend(append(&source, &journal, before + pending, 100, 1_000));
    drop(journal);

    let ledger = open(dir.path(), &source).await.unwrap();
    assert_eq!(ledger.flush().await, Ok(expected.len() as u64), "{step:?}");
    assert_same(&verified(dir.path()), &expected);
    let outcomes = expected.iter().filter(|record| matches!(record.event, Event::ActionOutcome { .. })).count();
    assert_eq!(source.with(|memory| memory.ended.len()), outcomes, "{step:?}");
    expected.extend(append(&source, &ledger.journal(), 1_000_000, 300, 3_000_000));
    ledger.flush().await.unwrap();
    assert_same(&verified(dir.path()), &expected);
}

#[tokio::test]
async fn a_crash_after_any_step_loses_and_doubles_nothing() {
    for step in STEPS {
        for (before, pending) in [(0, 3), (100, 20), (250, 10), (255, 1), (256, 700), (513, 2_500)] {
            check(step, before, pending).await;
        }
    }
}

#[tokio::test]
async fn a_crash_at_the_very_first_checkpoint_is_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    open(dir.path(), &source).await.unwrap().shutdown().await.unwrap();
    for name in ["checkpoint", "checkpoints"] {
        fs::remove_file(folder(dir.path()).join(name)).unwrap();
    }
    fs::remove_dir_all(folder(dir.path()).join("journal")).unwrap();
    open(dir.path(), &source).await.unwrap().shutdown().await.unwrap();
    assert!(verified(dir.path()).is_empty());
}

#[tokio::test]
async fn a_torn_history_line_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    (0..3).for_each(|number| source.append(&alarm(number, 0)));
    ledger.flush().await.unwrap();
    ledger.shutdown().await.unwrap();
    let path = folder(dir.path()).join("checkpoints");
    let whole = fs::read(&path).unwrap();
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in [0, 1, second - 1, second, second + 1, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        open(dir.path(), &source).await.unwrap().shutdown().await.unwrap();
        let after = fs::read(&path).unwrap();
        let expected = if length < second { &whole[second..] } else { &whole[..] };
        assert_eq!(after, expected, "cut at {length}");
        assert_eq!(verified(dir.path()).len(), 3);
    }
}

/// The store fails while the ledger runs: everything stops, and the next start makes up for it.
async fn store_fails(fault: Fault) {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    let mut expected = append(&source, &ledger.journal(), 0, 300, 0);
    ledger.flush().await.unwrap();
    source.with(|memory| memory.fault = fault);
    expected.extend(append(&source, &ledger.journal(), 300, 300, 0));
    let failure = ledger.flush().await.unwrap_err();
    assert!(failure.part == Part::Sequencer && failure.reason.contains("injected"), "{failure}");
    source.with(|memory| memory.fault = Fault::None);
    assert_eq!(ledger.health().check(), Err(failure.clone()), "the alarm must not end by itself");
    assert_eq!(ledger.flush().await, Err(failure.clone()));
    assert_eq!(ledger.shutdown().await, Err(failure));
    let ledger = open(dir.path(), &source).await.unwrap();
    ledger.flush().await.unwrap();
    assert_same(&verified(dir.path()), &expected);
}

#[tokio::test]
async fn a_store_that_fails_stops_everything() {
    for fault in [Fault::BeforeAdvance, Fault::AfterAdvance, Fault::Read] {
        store_fails(fault).await;
    }
}

/// Something in the way of a file: the write fails, everything stops, and the next start makes up for it.
async fn folder_fails(path: &str, is_folder: bool) {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    let obstacle = folder(dir.path()).join(path);
    let aside = dir.path().join("aside");
    let is_there = obstacle.exists();
    if is_there {
        fs::rename(&obstacle, &aside).unwrap();
    }
    fs::create_dir_all(obstacle.parent().unwrap()).unwrap();
    if is_folder {
        fs::create_dir_all(obstacle.join("x")).unwrap()
    } else {
        fs::write(&obstacle, "").unwrap()
    }
    let expected = append(&source, &ledger.journal(), 0, 300, 0);
    let failure = ledger.flush().await.unwrap_err();
    assert!(failure.part == Part::Sequencer && failure.reason.contains("cannot use"), "{failure}");
    drop(ledger.shutdown().await);
    if is_folder {
        fs::remove_dir_all(&obstacle).unwrap()
    } else {
        fs::remove_file(&obstacle).unwrap()
    }
    if is_there {
        fs::rename(&aside, &obstacle).unwrap();
    }
    let ledger = open(dir.path(), &source).await.unwrap();
    ledger.flush().await.unwrap();
    assert_same(&verified(dir.path()), &expected);
}

#[tokio::test]
async fn a_folder_that_fails_stops_everything() {
    folder_fails("tile", false).await;
    folder_fails("tile/entries/000", true).await;
    folder_fails("tile/1", false).await;
    folder_fails("checkpoint", true).await;
    folder_fails("checkpoints", true).await;
    folder_fails(".staging", false).await;
}

#[tokio::test]
async fn signed_leaves_are_never_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let source = Arc::<MemorySource>::default();
    let ledger = open(dir.path(), &source).await.unwrap();
    (0..100).for_each(|number| source.append(&alarm(number, 0)));
    ledger.flush().await.unwrap();
    ledger.shutdown().await.unwrap();
    let tile = |name: &str| folder(dir.path()).join("tile/entries/000.p").join(name);
    fs::rename(tile("100"), tile("101")).unwrap();
    let words = refused(dir.path(), &source).await;
    assert!(tile("101").exists(), "{words}");
    fs::rename(tile("101"), tile("100")).unwrap();
    open(dir.path(), &source).await.unwrap();
}
