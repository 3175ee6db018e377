//! The writing end of the log: resumed at the store's head, then tiles, signature, publication, in that order.
//!
//! Blocking; [`super::sequencer`] runs it on a thread for such work. Between signing and publishing, the sequencer moves
//! the store's head: so a published checkpoint is never ahead of the store, unless the store was put back from a backup.

use std::path::Path;

use bytes::Bytes;
use countersign_tlog::proof::{consistency, verify_consistency};
use countersign_tlog::source::CHECKPOINT_PATH;
use countersign_tlog::{Appender, Checkpoint, Signer, TileSource as _, TreeHead, VerifierKey};

use super::error::Error;
use super::files::LogFiles;
use crate::ports::LogHead;

/// A signed state of the log, not yet published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) size: u64,
    /// In hexadecimal.
    pub(super) root: String,
    pub(super) note: String,
}

/// The one writer of a log.
#[derive(Debug)]
pub(super) struct Writer {
    files: LogFiles,
    appender: Appender,
    signer: Signer,
    /// The size last signed or resumed at.
    signed_size: u64,
}

/// What the folder says was published.
struct Published {
    checkpoint: Option<TreeHead>,
    history: Option<TreeHead>,
}

impl Writer {
    /// Resumes the log in `root` at the store's head; `None` is a log that does not exist yet.
    ///
    /// Refuses a store that is behind, or contradicts, what was published, and tiles that are not the head's. Then removes
    /// every tile beyond the head, up to `leaves_max` leaves further.
    pub(super) fn resume(root: &Path, signer: Signer, head: Option<&LogHead>, leaves_max: u64) -> Result<Self, Error> {
        let files = LogFiles::open(root)?;
        let published = Published::read(&files, signer.verifier_key())?;
        let empty = TreeHead { size: 0, root: Appender::new().root() };
        let tree = head.map_or(Ok(empty), |head| signed_head(head, signer.verifier_key()))?;
        published.refuse_ahead(tree.size, head.is_some())?;
        let source = files.source();
        let appender = Appender::resume(tree.size, &source)?;
        if appender.root() != tree.root {
            let (expected, found) = (tree.root.to_string(), appender.root().to_string());
            return Err(Error::RootMismatch { size: tree.size, expected, found });
        }
        published.refuse_contradiction(&files, tree)?;
        files.discard_beyond(tree.size, leaves_max)?;
        files.sweep_partials(tree.size.saturating_sub(leaves_max), tree.size);
        let writer = Self { files, appender, signer, signed_size: tree.size };
        match head {
            Some(head) => writer.publish_missing(head, &published, tree),
            None => Ok(()),
        }?;
        Ok(writer)
    }

    /// Signs the log without leaves.
    pub(super) fn seal_empty(&mut self) -> Result<Signed, Error> {
        if self.signed_size > 0 {
            return Err(Error::NotGrowing { from: self.signed_size, to: 0 });
        }
        self.sign()
    }

    /// Adds leaves: writes their tiles, then signs.
    pub(super) fn seal(&mut self, leaves: &[Bytes]) -> Result<Signed, Error> {
        let writes = self.appender.append(leaves)?;
        if self.appender.size() <= self.signed_size {
            return Err(Error::NotGrowing { from: self.signed_size, to: self.appender.size() });
        }
        self.files.write_tiles(&writes)?;
        self.sign()
    }

    fn sign(&mut self) -> Result<Signed, Error> {
        let TreeHead { size, root } = self.appender.head();
        let origin = self.signer.verifier_key().name().to_string();
        let note = Checkpoint { origin, size, root }.sign(&self.signer)?;
        self.signed_size = size;
        Ok(Signed { size, root: hex::encode(root.as_bytes()), note })
    }

    /// Publishes a checkpoint that the store's head has, and adds it to the history.
    pub(super) fn publish(&self, note: &str) -> Result<(), Error> {
        self.files.publish(note)?;
        self.files.append_history(note)
    }

    /// Removes partial tiles that full ones have superseded since size `from`.
    pub(super) fn sweep(&self, from: u64) {
        self.files.sweep_partials(from, self.signed_size);
    }

    /// Does what a crash between the head's move and its publication left undone.
    fn publish_missing(&self, head: &LogHead, published: &Published, tree: TreeHead) -> Result<(), Error> {
        if published.checkpoint != Some(tree) {
            self.files.publish(&head.checkpoint)?;
        }
        if published.history != Some(tree) {
            self.files.append_history(&head.checkpoint)?;
        }
        Ok(())
    }
}

/// The tree that the store's head says, if its own checkpoint says the same.
fn signed_head(head: &LogHead, key: &VerifierKey) -> Result<TreeHead, Error> {
    let tree = open(head.checkpoint.as_bytes(), key)?;
    let is_same = tree.size == head.size && hex::encode(tree.root.as_bytes()) == head.root;
    if is_same { Ok(tree) } else { Err(Error::HeadMismatch) }
}

fn open(note: &[u8], key: &VerifierKey) -> Result<TreeHead, Error> {
    let signed = Checkpoint::open(note, key, &[])?;
    signed.require_origin(key.name().as_str())?;
    Ok(signed.checkpoint().head())
}

impl Published {
    fn read(files: &LogFiles, key: &VerifierKey) -> Result<Self, Error> {
        let note = files.source().fetch(CHECKPOINT_PATH)?;
        let checkpoint = note.map(|note| open(&note, key)).transpose()?;
        let history = files.last_in_history()?.map(|note| open(&note, key)).transpose()?;
        Ok(Self { checkpoint, history })
    }

    fn heads(&self) -> impl Iterator<Item = TreeHead> {
        [self.checkpoint, self.history].into_iter().flatten()
    }

    /// Refuses a store with fewer leaves than were published, or with no log where one was.
    fn refuse_ahead(&self, store: u64, is_known: bool) -> Result<(), Error> {
        let Some(published) = self.heads().map(|head| head.size).max() else { return Ok(()) };
        if published > store || !is_known {
            return Err(Error::StoreBehind { store, published });
        }
        Ok(())
    }

    /// Refuses a published tree that is not a prefix of the head's.
    fn refuse_contradiction(&self, files: &LogFiles, tree: TreeHead) -> Result<(), Error> {
        for old in self.heads() {
            let proof = consistency(&files.source(), old.size, tree.size);
            let held = proof.and_then(|proof| verify_consistency(&old, &tree, &proof));
            held.map_err(|cause| Error::Contradiction { store: tree.size, published: old.size, cause })?;
        }
        Ok(())
    }
}
