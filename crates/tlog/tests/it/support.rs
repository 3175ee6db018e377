//! A log in a temporary folder, published as the gateway does it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use countersign_tlog::checkpoint::history_line;
use countersign_tlog::verify::{self, Options};
use countersign_tlog::{
    Appender, Checkpoint, DirSource, Hash, Report, Signer, SourceError, TileSource, TileWrite, TreeHead, VerifierKey,
    VerifyError,
};
use tempfile::TempDir;

pub(crate) const ORIGIN: &str = "example.com/log";

pub(crate) fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[7; 32]).unwrap()
}

/// The leaf at an index: canonical JSON of one of two kinds.
pub(crate) fn leaf(index: u64) -> Vec<u8> {
    let kind = if index.is_multiple_of(2) { "action.intent" } else { "action.outcome" };
    format!(r#"{{"kind":"{kind}","seq":{index}}}"#).into_bytes()
}

pub(crate) fn leaves(range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    range.map(leaf).collect()
}

/// Tiles in memory.
#[derive(Default)]
pub(crate) struct MemorySource(pub(crate) BTreeMap<String, Vec<u8>>);

impl MemorySource {
    pub(crate) fn write(&mut self, writes: Vec<TileWrite>) {
        self.0.extend(writes.into_iter().map(|write| (write.path.to_string(), write.bytes)));
    }

    pub(crate) fn with_leaves(count: u64) -> (Self, Appender) {
        let (mut source, mut log) = (Self::default(), Appender::new());
        source.write(log.append(&leaves(0..count)).unwrap());
        (source, log)
    }
}

impl TileSource for MemorySource {
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.0.get(path).cloned())
    }
}

pub(crate) struct TestLog {
    pub(crate) dir: TempDir,
    pub(crate) log: Appender,
    signer: Signer,
}

impl TestLog {
    /// A log with a checkpoint published at each of these sizes.
    pub(crate) fn published_at(sizes: &[u64]) -> Self {
        let mut log = Self { dir: TempDir::new().unwrap(), log: Appender::new(), signer: signer() };
        for size in sizes {
            log.grow_to(*size);
            log.publish();
        }
        log
    }

    /// Writes tiles, but signs nothing.
    pub(crate) fn grow_to(&mut self, size: u64) {
        let writes = self.log.append(&leaves(self.log.size()..size)).unwrap();
        writes.iter().for_each(|write| self.write(&write.path.to_string(), &write.bytes));
    }

    pub(crate) fn publish(&self) {
        let note = self.sign(self.log.head());
        self.write("checkpoint", note.as_bytes());
        self.add_history(&note);
    }

    pub(crate) fn add_history(&self, note: &str) {
        let mut history = fs::read(self.path("checkpoints")).unwrap_or_default();
        history.extend_from_slice(history_line(note).as_bytes());
        self.write("checkpoints", &history);
    }

    pub(crate) fn sign(&self, head: TreeHead) -> String {
        Checkpoint { origin: ORIGIN.to_owned(), size: head.size, root: head.root }.sign(&self.signer).unwrap()
    }

    pub(crate) fn key(&self) -> VerifierKey {
        self.signer.verifier_key().clone()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn source(&self) -> DirSource {
        DirSource::new(self.dir.path())
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap()
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    /// The entries of an entry tile.
    pub(crate) fn entries(&self, path: &str) -> Vec<Vec<u8>> {
        let (bytes, mut at, mut entries) = (self.read(path), 0, Vec::new());
        while at < bytes.len() {
            let length = usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
            entries.push(bytes[at + 2..at + 2 + length].to_vec());
            at += 2 + length;
        }
        entries
    }

    pub(crate) fn write_entries(&self, path: &str, entries: &[Vec<u8>]) {
        let encode = |entry: &Vec<u8>| [&(entry.len() as u16).to_be_bytes()[..], entry].concat();
        self.write(path, &entries.iter().flat_map(encode).collect::<Vec<_>>());
    }

    pub(crate) fn edit_entries(&self, path: &str, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut entries = self.entries(path);
        edit(&mut entries);
        self.write_entries(path, &entries);
    }

    pub(crate) fn edit_hashes(&self, path: &str, edit: impl FnOnce(&mut Vec<Hash>)) {
        let mut hashes: Vec<_> = self.read(path).chunks(32).map(|hash| Hash::from_slice(hash).unwrap()).collect();
        edit(&mut hashes);
        self.write(path, &hashes.iter().flat_map(|hash| hash.0).collect::<Vec<_>>());
    }

    pub(crate) fn verify(&self) -> Result<Report, VerifyError> {
        self.verify_with(&Options::default())
    }

    pub(crate) fn verify_with(&self, options: &Options) -> Result<Report, VerifyError> {
        verify::log(&self.source(), &self.key(), options)
    }

    /// Asserts what is wrong, the first bad leaf, and the last leaf it might be (the same where it is exact).
    #[track_caller]
    pub(crate) fn check_bad(&self, code: &str, leaves: Option<(u64, u64)>) {
        let error = self.verify().unwrap_err();
        let last = error.range().map(|range| range.end - 1).or(error.first_bad_leaf());
        let found = error.first_bad_leaf().zip(last);
        assert_eq!((error.problem().code(), found), (code, leaves), "{error}");
    }
}
