//! Every way of changing a published log, and the leaf that must be named.
//!
//! The log has 700 leaves: two full tiles and a partial one.

use countersign_tlog::{Hash, leaf_hash};
use proptest::prelude::*;

use crate::support::{TestLog, leaf};

const TILE_1: &str = "tile/entries/001";
const LAST: &str = "tile/entries/002.p/188";

fn published() -> TestLog {
    TestLog::published_at(&[700])
}

/// The same, without the partial tiles that larger ones superseded: a publisher may delete them.
fn compacted(sizes: &[u64]) -> TestLog {
    let log = TestLog::published_at(sizes);
    let last = sizes[sizes.len() - 1];
    for folder in ["tile/0/000.p", "tile/0/001.p", "tile/0/002.p", "tile/1/000.p"] {
        for file in std::fs::read_dir(log.path(folder)).into_iter().flatten() {
            let width = file.unwrap().file_name().to_str().unwrap().to_owned();
            let path = format!("{folder}/{width}");
            if ![last % 256, last / 256].contains(&width.parse().unwrap()) {
                log.remove(&path);
            }
        }
    }
    log
}

/// Replaces an entry and its level-0 hash: the hash tile alone cannot tell.
fn change_with_hash(log: &TestLog, entries: &str, hashes: &str, within: usize) {
    log.edit_entries(entries, |entries| entries[within] = b"forged".to_vec());
    log.edit_hashes(hashes, |hashes| hashes[within] = leaf_hash(b"forged"));
}

#[test]
fn an_untouched_log_verifies() {
    let report = published().verify().unwrap();
    assert_eq!((report.size, report.kinds["action.intent"], report.kinds["action.outcome"]), (700, 350, 350));
    assert!(!report.witnessed);
}

#[test]
fn a_changed_entry() {
    for index in [0usize, 1, 255, 256, 300, 511, 512, 699] {
        let log = published();
        let path = [("tile/entries/000"), TILE_1, LAST][index / 256];
        log.edit_entries(path, |entries| *entries[index % 256].last_mut().unwrap() ^= 1);
        log.check_bad("changed", Some((index as u64, index as u64)));
    }
}

#[test]
fn any_flipped_byte_of_an_entry_tile_is_noticed() {
    let log = TestLog::published_at(&[8]);
    let original = log.read("tile/entries/000.p/8");
    let ends: Vec<_> = (0..8)
        .scan(0, |end, index| {
            Some({
                *end += 2 + leaf(index).len();
                *end
            })
        })
        .collect();
    for at in 0..original.len() {
        let mut bytes = original.clone();
        bytes[at] ^= 0x80;
        log.write("tile/entries/000.p/8", &bytes);
        let error = log.verify().unwrap_err();
        let leaf = error.first_bad_leaf().unwrap();
        assert_eq!(leaf, ends.partition_point(|end| *end <= at) as u64, "byte {at}: {error}");
        assert!(error.range().is_none(), "byte {at}: {error}");
    }
}

#[test]
fn several_changed_entries_name_the_first() {
    let log = published();
    log.edit_entries(LAST, |entries| entries[100] = b"forged".to_vec());
    log.edit_entries(TILE_1, |entries| entries[44] = b"forged".to_vec());
    log.check_bad("changed", Some((300, 300)));
}

#[test]
fn an_entry_changed_with_its_hash_is_narrowed_to_its_tile() {
    let log = published();
    change_with_hash(&log, TILE_1, "tile/0/001", 44);
    log.check_bad("changed", Some((256, 511)));
}

#[test]
fn an_entry_changed_with_its_hash_is_narrowed_by_the_history() {
    let log = compacted(&[1, 290, 298, 303, 500, 700]);
    change_with_hash(&log, TILE_1, "tile/0/001", 44);
    log.check_bad("changed", Some((298, 302)));
    let log = compacted(&[1, 300, 301, 700]);
    change_with_hash(&log, TILE_1, "tile/0/001", 44);
    log.check_bad("changed", Some((300, 300)));
}

#[test]
fn a_superseded_partial_tile_still_vouches_for_its_hashes() {
    let log = TestLog::published_at(&[1, 290, 298, 303, 500, 700]);
    change_with_hash(&log, TILE_1, "tile/0/001", 44);
    log.check_bad("changed", Some((300, 300)));
}

#[test]
fn an_entry_of_the_last_tile_changed_with_its_hash() {
    let log = published();
    change_with_hash(&log, LAST, "tile/0/002.p/188", 3);
    log.check_bad("root_mismatch", Some((0, 699)));
    let log = compacted(&[300, 510, 600, 700]);
    change_with_hash(&log, LAST, "tile/0/002.p/188", 3);
    log.check_bad("changed", Some((510, 599)));
}

#[test]
fn an_entry_changed_with_all_its_hashes_is_narrowed_by_the_history() {
    let rewrite = |log: &TestLog| {
        change_with_hash(log, TILE_1, "tile/0/001", 44);
        let mut forged = TestLog::published_at(&[256]);
        let changed = log.entries(TILE_1);
        let writes = forged.log.append(&changed).unwrap();
        let row = writes.iter().find(|write| write.path.to_string() == "tile/1/000.p/2").unwrap();
        log.write("tile/1/000.p/2", &row.bytes);
    };
    let log = published();
    rewrite(&log);
    log.check_bad("root_mismatch", Some((0, 699)));
    let log = compacted(&[256, 290, 310, 700]);
    rewrite(&log);
    log.check_bad("changed", Some((290, 309)));
}

#[test]
fn swapped_entries() {
    let log = published();
    log.edit_entries(TILE_1, |entries| entries.swap(10, 11));
    log.check_bad("reordered", Some((266, 266)));
    let log = published();
    let (mut first, mut last) = (log.entries("tile/entries/000"), log.entries(LAST));
    std::mem::swap(&mut first[7], &mut last[80]);
    log.write_entries("tile/entries/000", &first);
    log.write_entries(LAST, &last);
    log.check_bad("reordered", Some((7, 7)));
}

#[test]
fn swapped_entries_with_their_hashes() {
    for (log, code, leaves) in [
        (compacted(&[264, 268, 700]), "changed", (264, 267)),
        (TestLog::published_at(&[264, 268, 700]), "reordered", (266, 266)),
    ] {
        log.edit_entries(TILE_1, |entries| entries.swap(10, 11));
        log.edit_hashes("tile/0/001", |hashes| hashes.swap(10, 11));
        log.check_bad(code, Some(leaves));
    }
}

#[test]
fn swapped_tiles() {
    let log = published();
    let (first, second) = (log.read("tile/entries/000"), log.read(TILE_1));
    log.write("tile/entries/000", &second);
    log.write(TILE_1, &first);
    log.check_bad("reordered", Some((0, 0)));
}

#[test]
fn a_removed_entry() {
    let log = published();
    log.edit_entries(TILE_1, |entries| drop(entries.remove(20)));
    log.check_bad("missing", Some((276, 276)));
    let log = published();
    log.edit_entries(LAST, |entries| drop(entries.pop()));
    log.check_bad("missing", Some((699, 699)));
}

#[test]
fn an_inserted_entry() {
    let log = published();
    log.edit_entries(TILE_1, |entries| entries.insert(20, b"never logged".to_vec()));
    log.check_bad("extra", Some((276, 276)));
    let log = published();
    log.edit_entries(LAST, |entries| entries.push(b"never logged".to_vec()));
    log.check_bad("extra", Some((700, 700)));
}

#[test]
fn a_deleted_tile() {
    let log = published();
    log.remove(TILE_1);
    log.check_bad("missing", Some((256, 256)));
    for (path, leaf) in [("tile/0/000", 0), ("tile/0/001", 256), ("tile/0/002.p/188", 512), ("tile/1/000.p/2", 0)] {
        let log = published();
        log.remove(path);
        let error = log.verify().unwrap_err();
        assert_eq!((error.problem().code(), error.first_bad_leaf()), ("hash_tile", Some(leaf)), "{path}");
    }
}

#[test]
fn a_damaged_hash_tile() {
    let log = published();
    log.edit_hashes("tile/0/001", |hashes| hashes[44] = Hash([0; 32]));
    log.check_bad("hash_tile", Some((300, 300)));
    let log = published();
    log.edit_hashes("tile/1/000.p/2", |hashes| hashes.swap(0, 1));
    log.check_bad("hash_tile", Some((0, 255)));
    let log = published();
    log.edit_hashes("tile/0/000", |hashes| hashes.push(Hash([0; 32])));
    log.check_bad("hash_tile", Some((0, 255)));
    let log = published();
    log.edit_hashes("tile/0/002.p/188", |hashes| hashes.truncate(100));
    log.check_bad("hash_tile", Some((612, 699)));
}

#[test]
fn a_changed_entry_below_a_missing_hash_tile() {
    let log = published();
    log.remove("tile/0/000");
    log.edit_entries(TILE_1, |entries| entries[44] = b"forged".to_vec());
    log.check_bad("changed", Some((300, 300)));
}

#[test]
fn a_cut_tail() {
    let log = published();
    log.remove(LAST);
    log.remove("tile/0/002.p/188");
    log.check_bad("missing", Some((512, 512)));
    let mut log = TestLog::published_at(&[600]);
    log.grow_to(700);
    log.publish();
    log.remove(LAST);
    log.remove("tile/0/002.p/188");
    log.check_bad("missing", Some((600, 600)));
}

#[test]
fn an_older_checkpoint_put_back() {
    let mut log = TestLog::published_at(&[600]);
    let older = log.read("checkpoint");
    log.grow_to(700);
    log.publish();
    log.write("checkpoint", &older);
    log.check_bad("rollback", Some((600, 600)));
    log.remove(LAST);
    log.check_bad("rollback", Some((600, 600)));
}

#[test]
fn another_signed_root() {
    let log = published();
    let mut head = log.log.head();
    head.root.0[0] ^= 1;
    log.write("checkpoint", log.sign(head).as_bytes());
    log.check_bad("fork", None);
    log.remove("checkpoints");
    log.check_bad("root_mismatch", Some((0, 699)));
}

#[test]
fn a_smaller_or_larger_signed_size_with_the_same_root() {
    for size in [699, 701] {
        let log = published();
        log.remove("checkpoints");
        let head = countersign_tlog::TreeHead { size, root: log.log.root() };
        log.write("checkpoint", log.sign(head).as_bytes());
        assert!(log.verify().is_err(), "size {size}");
    }
}

#[test]
fn unsigned_leaves_are_reported_not_refused() {
    let mut log = published();
    log.grow_to(705);
    assert_eq!(log.verify().unwrap().unsigned_leaves, 5);
    log.grow_to(1400);
    let report = log.verify().unwrap();
    assert_eq!((report.size, report.unsigned_leaves), (700, 700));
}

#[test]
fn leftovers_of_a_crash_do_not_matter_while_the_signed_tile_is_there() {
    let mut log = published();
    log.grow_to(800);
    log.edit_entries("tile/entries/002", |entries| entries[3] = b"forged".to_vec());
    assert_eq!(log.verify().unwrap().size, 700);
    log.remove(LAST);
    log.check_bad("changed", Some((515, 515)));
}

#[test]
fn nothing_there() {
    let log = published();
    log.remove("checkpoint");
    log.check_bad("checkpoint_missing", None);
}

const FILES: [&str; 6] =
    ["tile/entries/000", "tile/entries/001.p/44", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "checkpoint"];

/// Which leaf a byte of an entry tile belongs to.
fn leaf_at(file: &str, at: usize) -> u64 {
    let first = if file == FILES[0] { 0 } else { 256 };
    let mut rest = at;
    (first..).find(|index| rest.checked_sub(2 + leaf(*index).len()).map(|left| rest = left).is_none()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever is changed or cut off, the log is refused, and where it is an entry the right one is named.
    #[test]
    fn any_change_anywhere_is_noticed(places in prop::collection::vec(any::<prop::sample::Index>(), 6), bit in 0..8u8) {
        let log = TestLog::published_at(&[300]);
        for (file, place) in FILES.iter().zip(places) {
            let original = log.read(file);
            let at = place.index(original.len());
            let mut flipped = original.clone();
            flipped[at] ^= 1 << bit;
            for changed in [&flipped[..], &original[..at]] {
                log.write(file, changed);
                let error = log.verify().expect_err(file);
                let is_entry = file.starts_with("tile/entries");
                prop_assert!(!is_entry || error.first_bad_leaf() == Some(leaf_at(file, at)), "{} {}: {}", file, at, error);
                prop_assert!(error.range().is_none() || !is_entry, "{} {}: {}", file, at, error);
            }
            log.write(file, &original);
        }
        prop_assert!(log.verify().is_ok());
    }
}
