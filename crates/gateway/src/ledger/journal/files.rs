//! The journal's files: their names, what a start finds in them, and how they are read again.
//!
//! A start reads every record after the head. A torn tail (no valid record after it) is what a crash leaves and is cut off;
//! anything else that is no record means lost or damaged data, and the gateway does not start on it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::frame::{self, FRAME_BYTES_MAX, Next};
use crate::ledger::files::sync_dir;

/// Room that is made before so much is known to be there: what a second's records take.
const READ_AT_ONCE_BYTES: usize = 16 * 1024 * 1024;

/// A place in the journal: a file, and the bytes of it that come before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file's number.
    pub file: u64,
    /// Bytes into it.
    pub offset: u64,
}

/// Why the journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be used.
    #[error("cannot use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Bytes before valid records, or before the head, are no record.
    #[error("`{path}` is damaged at byte {offset}, before records that are whole; restore it, or see `ledger recover`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// A file that the log has not taken over yet is gone.
    #[error("`{path}` is missing, but records in it are not in the log yet; restore it, or see `ledger recover`")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file ends before the place up to which the log took it over.
    #[error("`{path}` has {bytes} bytes, but the log took over {head} of it; restore it, or see `ledger recover`")]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The head's place in it.
        head: u64,
    },
}

impl Error {
    pub(super) fn file(path: &Path, cause: io::Error) -> Self {
        Self::File { path: path.to_owned(), cause }
    }
}

/// A journal as a start leaves it: whole, and open at its end.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The last file, opened for appending.
    pub(super) file: File,
    /// The end of the last record.
    pub(super) end: Position,
    /// Bytes of a torn tail that were cut off.
    pub(super) torn_bytes: u64,
}

pub(super) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

/// Creates file `number`, durably.
pub(super) fn create(dir: &Path, number: u64) -> Result<File, Error> {
    let path = path_of(dir, number);
    let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(|e| Error::file(&path, e))?;
    file.sync_all().map_err(|e| Error::file(&path, e))?;
    sync_dir(dir).map_err(|e| Error::file(dir, e))?;
    Ok(file)
}

/// Checks everything after `head`, cuts off a torn tail, and opens the last file.
pub(super) fn recover(dir: &Path, head: Position) -> Result<Recovered, Error> {
    remove_before(dir, head.file)?;
    let numbers = numbers(dir)?;
    if numbers.is_empty() && head == Position::default() {
        return Ok(Recovered { file: create(dir, 0)?, end: head, torn_bytes: 0 });
    }
    let expected = head.file..head.file + (numbers.len() as u64).max(1);
    if let Some(missing) = expected.clone().find(|number| !numbers.contains(number)) {
        return Err(Error::Missing { path: path_of(dir, missing) });
    }
    let last = expected.end - 1;
    for number in head.file..last {
        let from = if number == head.file { head.offset } else { 0 };
        check_whole(dir, Position { file: number, offset: from })?;
    }
    let from = if last == head.file { head.offset } else { 0 };
    open_last(dir, Position { file: last, offset: from })
}

/// Checks that a file which is followed by another holds nothing but records.
fn check_whole(dir: &Path, from: Position) -> Result<(), Error> {
    let path = path_of(dir, from.file);
    let (bytes, good) = scan(&path, from.offset)?;
    if good < bytes.len() {
        return Err(Error::Damaged { path, offset: from.offset + good as u64 });
    }
    Ok(())
}

fn open_last(dir: &Path, from: Position) -> Result<Recovered, Error> {
    let path = path_of(dir, from.file);
    let (bytes, good) = scan(&path, from.offset)?;
    let end = Position { file: from.file, offset: from.offset + good as u64 };
    let torn_bytes = (bytes.len() - good) as u64;
    if torn_bytes > 0 && frame::find_after(&bytes, good).is_some() {
        return Err(Error::Damaged { path, offset: end.offset });
    }
    let file = OpenOptions::new().append(true).open(&path).map_err(|e| Error::file(&path, e))?;
    if torn_bytes > 0 {
        tracing::warn!(path = %path.display(), torn_bytes, "cut off a record that a crash left unfinished");
        file.set_len(end.offset).map_err(|e| Error::file(&path, e))?;
    }
    // What the last run wrote and could not sync any more becomes durable before anything is built on it.
    file.sync_all().map_err(|e| Error::file(&path, e))?;
    Ok(Recovered { file, end, torn_bytes })
}

/// The bytes from `offset` on, and how many of them are whole records.
fn scan(path: &Path, offset: u64) -> Result<(Vec<u8>, usize), Error> {
    let length = fs::metadata(path).map_err(|e| Error::file(path, e))?.len();
    if length < offset {
        return Err(Error::Short { path: path.to_owned(), bytes: length, head: offset });
    }
    let bytes = read_range(path, offset, length - offset)?;
    let mut good = 0;
    while let Next::Record { end, .. } = frame::next(&bytes, good) {
        good = end;
    }
    Ok((bytes, good))
}

fn read_range(path: &Path, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default().min(READ_AT_ONCE_BYTES));
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|e| Error::file(path, e))
}

/// The numbers of the files there are, ascending. Other names are not the journal's and are left alone.
fn numbers(dir: &Path) -> Result<Vec<u64>, Error> {
    let mut numbers = Vec::new();
    for item in fs::read_dir(dir).map_err(|e| Error::file(dir, e))? {
        let name = item.map_err(|e| Error::file(dir, e))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse().ok());
        numbers.extend(number.filter(|number| path_of(dir, *number).file_name() == Some(&name)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Deletes the files before `number`: the log has taken over all they hold.
pub(super) fn remove_before(dir: &Path, number: u64) -> Result<(), Error> {
    for old in numbers(dir)?.into_iter().filter(|old| *old < number) {
        let path = path_of(dir, old);
        fs::remove_file(&path).map_err(|e| Error::file(&path, e))?;
    }
    Ok(())
}

/// A record read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The leaf.
    pub leaf: Bytes,
    /// Where the next record begins.
    pub after: Position,
}

/// How much one read returns.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Records, at most.
    pub records_max: usize,
    /// Bytes read from one file, at most; always enough for one record.
    pub bytes_max: u64,
}

/// Reads the records from `from` up to `end`, which must be a place that was synced. An empty answer means `from` is `end`.
pub(super) fn read(dir: &Path, from: Position, end: Position, limits: ReadLimits) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let mut at = from;
    while entries.is_empty() && at < end {
        read_one_file(dir, at, end, limits, &mut entries)?;
        if entries.is_empty() {
            at = Position { file: at.file + 1, offset: 0 };
        }
    }
    Ok(entries)
}

fn read_one_file(
    dir: &Path,
    from: Position,
    end: Position,
    limits: ReadLimits,
    entries: &mut Vec<Entry>,
) -> Result<(), Error> {
    let path = path_of(dir, from.file);
    let length = match from.file == end.file {
        true => end.offset,
        false => fs::metadata(&path).map_err(|e| Error::file(&path, e))?.len(),
    };
    let wanted = length.saturating_sub(from.offset);
    let bytes = read_range(&path, from.offset, wanted.min(limits.bytes_max.max(FRAME_BYTES_MAX as u64)))?;
    let bytes = Bytes::from(bytes);
    let mut at = 0;
    while let Next::Record { leaf, end } = frame::next(&bytes, at) {
        if entries.len() >= limits.records_max {
            return Ok(());
        }
        let after = Position { file: from.file, offset: from.offset + end as u64 };
        entries.push(Entry { leaf: bytes.slice_ref(leaf), after });
        at = end;
    }
    let is_cut_by_limit = (bytes.len() as u64) < wanted && at > 0;
    if at < bytes.len() && !is_cut_by_limit || (bytes.is_empty() && wanted > 0) {
        return Err(Error::Damaged { path, offset: from.offset + at as u64 });
    }
    Ok(())
}
