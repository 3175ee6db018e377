//! Sizes around tile boundaries: which files exist, that they verify, and that a log resumes from them.

use std::time::Instant;

use countersign_tlog::append::Error;
use countersign_tlog::{Appender, LEAF_BYTES_MAX, TileKind, TilePath, TileSource};

use crate::support::{MemorySource, TestLog, leaf, leaves};

/// The size of a full entry tile and its hash tile here.
const TILE_BYTES: usize = 256 * (2 + 40 + 32);

/// The last tile of each level, as tlog-tiles names them.
fn check_last_tiles(size: u64, expected: &[&str]) {
    let (source, log) = MemorySource::with_leaves(size);
    for path in expected {
        let bytes = source.fetch(path).unwrap().unwrap_or_default();
        assert!(!bytes.is_empty(), "{path} of a tree of {size}");
        let path: TilePath = path.parse().unwrap();
        if path.kind() != TileKind::Entries {
            assert_eq!(bytes.len(), usize::from(path.width()) * 32, "{path}");
        }
    }
    assert!(source.0.values().all(|bytes| !bytes.is_empty()), "never an empty tile");
    assert_eq!(Appender::resume(size, &source).unwrap().head(), log.head());
}

#[test]
fn files_at_tile_boundaries() {
    check_last_tiles(0, &[]);
    check_last_tiles(1, &["tile/0/000.p/1", "tile/entries/000.p/1"]);
    check_last_tiles(255, &["tile/0/000.p/255", "tile/entries/000.p/255"]);
    check_last_tiles(256, &["tile/0/000", "tile/entries/000", "tile/1/000.p/1"]);
    check_last_tiles(257, &["tile/0/000", "tile/0/001.p/1", "tile/entries/001.p/1", "tile/1/000.p/1"]);
    check_last_tiles(65_535, &["tile/0/255.p/255", "tile/1/000.p/255"]);
    check_last_tiles(65_536, &["tile/0/255", "tile/1/000", "tile/2/000.p/1"]);
    check_last_tiles(
        70_000,
        &["tile/0/273.p/112", "tile/entries/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"],
    );
}

#[test]
fn logs_at_tile_boundaries_verify() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000] {
        let report = TestLog::published_at(&[size]).verify().unwrap();
        assert_eq!((report.size, report.unsigned_leaves, report.other_leaves), (size, 0, 0), "size {size}");
        assert_eq!(report.kinds.values().sum::<u64>(), size);
    }
}

#[test]
fn a_large_log_verifies_and_resumes() {
    let mut log = TestLog::published_at(&[20_000, 65_535, 65_536, 70_000]);
    assert_eq!(log.verify().unwrap().history_checkpoints, 4);
    log.log = Appender::resume(70_000, &log.source()).unwrap();
    log.grow_to(70_001);
    log.publish();
    assert_eq!(log.verify().unwrap().size, 70_001);
}

#[test]
fn superseded_partial_tiles_may_go() {
    let log = TestLog::published_at(&[100, 300]);
    log.remove("tile/0/000.p/100");
    log.remove("tile/entries/000.p/100");
    assert_eq!(log.verify().unwrap().size, 300);
    log.write("checkpoint", log.sign(Appender::resume(100, &log.source()).unwrap().head()).as_bytes());
    log.remove("checkpoints");
    let report = log.verify().unwrap();
    assert_eq!((report.size, report.unsigned_leaves), (100, 200));
}

#[test]
fn a_larger_partial_tile_serves_a_smaller_one() {
    let mut log = TestLog::published_at(&[10]);
    let signed = log.read("checkpoint");
    log.grow_to(20);
    log.remove("tile/0/000.p/10");
    log.remove("tile/entries/000.p/10");
    log.write("checkpoint", &signed);
    assert_eq!(log.verify().unwrap().unsigned_leaves, 10);
    assert_eq!(Appender::resume(10, &log.source()).unwrap().size(), 10);
}

#[test]
fn resuming_refuses_what_does_not_fit() {
    let (mut source, _) = MemorySource::with_leaves(300);
    assert!(matches!(Appender::resume(400, &source), Err(Error::Edge(_))));
    assert!(matches!(Appender::resume(u64::MAX, &source), Err(Error::TreeTooLarge)));
    let entries = source.0.get_mut("tile/entries/001.p/44").unwrap();
    *entries.last_mut().unwrap() ^= 1;
    assert!(matches!(Appender::resume(300, &source), Err(Error::EntryMismatch { index: 299 })));
    source.0.get_mut("tile/0/001.p/44").unwrap().pop();
    assert!(matches!(Appender::resume(300, &source), Err(Error::Edge(_))));
}

#[test]
fn entries_have_a_bound() {
    let mut log = Appender::new();
    let before = log.head();
    let batch = [vec![0; LEAF_BYTES_MAX], vec![0; LEAF_BYTES_MAX + 1]];
    let refused = log.append(&batch);
    assert!(matches!(refused, Err(Error::LeafTooLarge { position: 1, bytes: 65_536 })), "{refused:?}");
    assert_eq!(log.head(), before, "all or nothing");
    let writes = log.append(&batch[..1]).unwrap();
    assert_eq!(writes[0].bytes.len(), 65_537);
    assert_eq!(log.append::<Vec<u8>>(&[]).unwrap(), []);
}

/// Appending writes what changed and nothing else, so its cost does not grow with the tree.
#[test]
fn an_append_writes_only_what_changed() {
    let (_, mut log) = MemorySource::with_leaves(70_000);
    let started = Instant::now();
    let paths: Vec<_> = log.append(&[leaf(70_000)]).unwrap().iter().map(|write| write.path.to_string()).collect();
    assert_eq!(paths, ["tile/entries/273.p/113", "tile/0/273.p/113"]);
    for batch in 0..20 {
        let first = 70_001 + batch * 1000;
        let writes = log.append(&leaves(first..first + 1000)).unwrap();
        assert!(writes.len() <= 2 * 5 + 4, "{} files for 1,000 leaves", writes.len());
    }
    println!("20,001 leaves in batches of 1,000: {:?} (unoptimized)", started.elapsed());
    let started = Instant::now();
    let bytes: usize =
        (90_001..95_001).flat_map(|at| log.append(&[leaf(at)]).unwrap()).map(|write| write.bytes.len()).sum();
    println!("5,000 leaves one by one: {:?}, {bytes} bytes to write (unoptimized)", started.elapsed());
    assert!(bytes / 5000 < 2 * TILE_BYTES, "one leaf rewrites at most its own tiles");
}
