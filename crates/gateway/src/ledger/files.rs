//! The log's folder: every write is whole or absent, and durable when it returns.
//!
//! A file is written aside, synced, renamed into place, and the folder that names it synced. Tiles come first, then
//! `checkpoint`, then its line in `checkpoints`, so that a reader never sees a checkpoint without its tiles. What lies
//! beyond the signed size is never believed: a start removes it, because the same records may come in another order.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_tlog::source::{CHECKPOINT_PATH, HISTORY_PATH};
use countersign_tlog::tile::{TILE_HEIGHT, TILE_WIDTH};
use countersign_tlog::{DirSource, TileKind, TilePath, TileSource as _, TileWrite};

use super::error::Error;

/// Where the folder is in which files are written.
const STAGING: &str = ".staging";
/// Levels that a tree of at most 2^63 leaves has.
const LEVELS: u8 = 8;
/// How much of the history is read to find its last line; a line of ours is a few hundred bytes.
const HISTORY_TAIL_BYTES: u64 = 64 * 1024;

/// The log's folder, for its one writer.
#[derive(Debug)]
pub(super) struct LogFiles {
    root: PathBuf,
    /// Where files are written before they are renamed into place: a folder inside [`STAGING`].
    staging: PathBuf,
}

impl LogFiles {
    /// Takes over the folder, which must exist.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let staging = root.join(STAGING);
        match fs::remove_dir_all(&staging) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::file(&staging, e)),
            _ => {}
        }
        let staging = create_apart(&staging).map_err(|e| Error::file(&staging, e))?;
        Ok(Self { root: root.to_owned(), staging })
    }

    /// The folder as a source of tiles.
    pub(super) fn source(&self) -> DirSource {
        DirSource::new(&self.root)
    }

    /// Writes tiles: all of them are durable when this returns.
    pub(super) fn write_tiles(&self, writes: &[TileWrite]) -> Result<(), Error> {
        let mut staged = Vec::with_capacity(writes.len());
        for (number, write) in writes.iter().enumerate() {
            staged.push((self.stage(&number.to_string(), &write.bytes)?, self.root.join(write.path.to_string())));
        }
        let mut folders = BTreeSet::new();
        for ((file, staged), target) in staged {
            file.sync_data().map_err(|e| Error::file(&staged, e))?;
            let folder = target.parent().unwrap_or(&self.root);
            create_folder(folder)?;
            fs::rename(&staged, &target).map_err(|e| Error::file(&target, e))?;
            folders.insert(folder.to_owned());
        }
        folders.iter().try_for_each(|folder| sync_dir(folder).map_err(|e| Error::file(folder, e)))
    }

    /// Replaces `checkpoint`.
    pub(super) fn publish(&self, note: &str) -> Result<(), Error> {
        let (file, staged) = self.stage(CHECKPOINT_PATH, note.as_bytes())?;
        file.sync_data().map_err(|e| Error::file(&staged, e))?;
        let target = self.root.join(CHECKPOINT_PATH);
        fs::rename(&staged, &target).map_err(|e| Error::file(&target, e))?;
        sync_dir(&self.root).map_err(|e| Error::file(&self.root, e))
    }

    /// Adds a published checkpoint to the history.
    pub(super) fn append_history(&self, note: &str) -> Result<(), Error> {
        let path = self.root.join(HISTORY_PATH);
        let is_new = !path.exists();
        let append = || -> io::Result<()> {
            let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
            file.write_all(format!("{}\n", STANDARD.encode(note)).as_bytes())?;
            file.sync_data()?;
            if is_new { sync_dir(&self.root) } else { Ok(()) }
        };
        append().map_err(|e| Error::file(&path, e))
    }

    /// The signed note in the history's last whole line; what a crash left after it is cut off.
    pub(super) fn last_in_history(&self) -> Result<Option<Vec<u8>>, Error> {
        let path = self.root.join(HISTORY_PATH);
        let tail = match read_tail(&path) {
            Ok(tail) => tail,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::file(&path, e)),
        };
        let malformed = || Error::HistoryLine { path: path.clone() };
        let Some(end) = tail.bytes.iter().rposition(|byte| *byte == b'\n') else {
            return if tail.start > 0 { Err(malformed()) } else { cut(&path, 0).map(|()| None) };
        };
        if end + 1 < tail.bytes.len() {
            cut(&path, tail.start + end as u64 + 1)?;
        }
        let lines = &tail.bytes[..end];
        let line = match lines.iter().rposition(|byte| *byte == b'\n') {
            Some(before) => &lines[before + 1..],
            None if tail.start == 0 => lines,
            None => return Err(malformed()),
        };
        STANDARD.decode(line).map(Some).map_err(|_| malformed())
    }

    /// Removes every tile, up to `leaves_max` leaves further, that is not in the tree of the first `size` leaves.
    ///
    /// Fails where that would take away the only copy of signed leaves or hashes.
    pub(super) fn discard_beyond(&self, size: u64, leaves_max: u64) -> Result<(), Error> {
        for (kind, level) in kinds() {
            let (first, width) = edge(level, size);
            let (last, _) = edge(level, size.saturating_add(leaves_max));
            self.discard_tile(kind, first, width)?;
            for index in first + 1..=last {
                self.discard_tile(kind, index, 0)?;
            }
        }
        Ok(())
    }

    /// Removes the versions of a tile that are wider than `signed`.
    fn discard_tile(&self, kind: TileKind, index: u64, signed: u16) -> Result<(), Error> {
        let Ok(full) = TilePath::new(kind, index, TILE_WIDTH) else { return Ok(()) };
        let widths = self.source().partial_widths(&full)?;
        let mut unsigned: Vec<_> = widths.iter().filter_map(|width| full.with_width(*width)).collect();
        unsigned.push(full);
        unsigned.retain(|path| path.width() > signed && self.root.join(path.to_string()).exists());
        if unsigned.is_empty() {
            return Ok(());
        }
        if signed > 0 && !widths.contains(&signed) {
            let missing = full.with_width(signed).unwrap_or(full);
            return Err(Error::EdgeTileMissing { path: missing.to_string() });
        }
        for path in unsigned {
            let path = self.root.join(path.to_string());
            fs::remove_file(&path).map_err(|e| Error::file(&path, e))?;
            let folder = path.parent().unwrap_or(&self.root);
            sync_dir(folder).map_err(|e| Error::file(folder, e))?;
        }
        Ok(())
    }

    /// Removes the partial versions of tiles that became full between two published sizes. Best effort: they only take up
    /// room.
    pub(super) fn sweep_partials(&self, from: u64, to: u64) {
        for (kind, level) in kinds() {
            for index in edge(level, from).0..edge(level, to).0 {
                let Ok(full) = TilePath::new(kind, index, TILE_WIDTH) else { continue };
                let folder = self.root.join(full.partials_folder());
                match fs::remove_dir_all(&folder) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        tracing::warn!(folder = %folder.display(), error = %e, "superseded partial tiles are still there");
                    }
                    _ => {}
                }
            }
        }
    }

    fn stage(&self, name: &str, bytes: &[u8]) -> Result<(File, PathBuf), Error> {
        let path = self.staging.join(name);
        let write = || -> io::Result<File> {
            let mut file = File::create(&path)?;
            file.write_all(bytes)?;
            Ok(file)
        };
        let file = write().map_err(|e| Error::file(&path, e))?;
        Ok((file, path))
    }
}

/// Creates a folder and one inside it, which is returned: on ext4 one that lies apart from others on the disk, by a name that was
/// not there before. New files lie beside their folder, and ext4 without a journal looks past every file that was deleted there
/// in the last minutes: with some thousands of them, a tile took 0.6 ms of processor time.
fn create_apart(path: &Path) -> io::Result<PathBuf> {
    fs::create_dir(path)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
        let folder = File::open(path)?;
        // other file systems do not know it, and need it less
        let _ = ioctl_getflags(&folder).and_then(|flags| ioctl_setflags(&folder, flags | IFlags::TOPDIR));
    }
    let apart = path.join(uuid::Uuid::new_v4().simple().to_string());
    fs::create_dir(&apart)?;
    Ok(apart)
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Creates a folder and those above it, durably.
pub(super) fn create_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folder(parent)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(Error::file(path, e)),
        _ => sync_dir(parent).map_err(|e| Error::file(parent, e)),
    }
}

/// Every kind of tile, with the level whose hashes it stands beside.
fn kinds() -> impl Iterator<Item = (TileKind, u8)> {
    (0..LEVELS).map(|level| (TileKind::Hashes(level), level)).chain([(TileKind::Entries, 0)])
}

/// The tile of `level` that grows in a tree of `size` leaves, and its width (0: it does not exist yet).
fn edge(level: u8, size: u64) -> (u64, u16) {
    let hashes = size.checked_shr(u32::from(level) * TILE_HEIGHT).unwrap_or(0);
    let width = u64::from(TILE_WIDTH);
    (hashes / width, (hashes % width) as u16)
}

struct Tail {
    bytes: Vec<u8>,
    start: u64,
}

fn read_tail(path: &Path) -> io::Result<Tail> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(HISTORY_TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(HISTORY_TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(Tail { bytes, start })
}

fn cut(path: &Path, length: u64) -> Result<(), Error> {
    let cut = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    };
    cut().map_err(|e| Error::file(path, e))
}
