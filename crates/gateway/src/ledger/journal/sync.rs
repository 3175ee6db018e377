//! The syncing thread: brings what was staged to the disk, many records at once, and begins new files.

use std::fs::File;
use std::io;
use std::sync::{Arc, PoisonError};

use super::{Desk, GATHER, Mark, Pen, Position, Progress, Shared, files, write_once};

/// Runs until the journal is dropped or closed.
pub(super) fn run(shared: &Shared) {
    while let Some(target) = next_target(shared) {
        if shared.release(target.bytes).is_err() {
            break;
        }
        let (file, written) = written(shared);
        if let Err(cause) = file.sync_data() {
            shared.close("the journal could not be synced", &cause);
            return;
        }
        advance(shared, &mut shared.desk(), written);
        if written.position.offset >= shared.settings.file_bytes_max
            && let Err(cause) = rotate(shared)
        {
            shared.close("a new journal file could not be begun", &cause);
            return;
        }
    }
    // Closed by a failed write, perhaps: what was written before is brought to the disk as far as it goes. Nobody is told.
    let (file, _) = written(shared);
    let _ = file.sync_data();
}

/// What the operating system has, and in which file it ends.
fn written(shared: &Shared) -> (Arc<File>, Mark) {
    let pen = shared.pen();
    (Arc::clone(&pen.file), pen.end)
}

/// Waits for something to sync; `None` when the journal ends.
fn next_target(shared: &Shared) -> Option<Mark> {
    let mut desk = shared.desk();
    while desk.end == desk.synced {
        if desk.stopping || desk.closed.is_some() {
            return None;
        }
        desk.resting = true;
        desk.urgent = false; // nobody waits for what is there already
        desk = shared.work.wait(desk).unwrap_or_else(PoisonError::into_inner);
    }
    desk.resting = false;
    if !desk.urgent && !desk.stopping {
        let idle = |desk: &mut Desk| !desk.urgent && !desk.stopping && desk.closed.is_none();
        let gathered = shared.work.wait_timeout_while(desk, GATHER, idle);
        desk = gathered.unwrap_or_else(PoisonError::into_inner).0;
    }
    desk.urgent = false;
    if desk.closed.is_some() { None } else { Some(desk.end) }
}

fn advance(shared: &Shared, desk: &mut Desk, end: Mark) {
    desk.synced = end;
    shared.progress.send_replace(Progress::Synced(end));
}

/// Brings the rest of the file to the disk and begins the next. Everybody waits meanwhile.
fn rotate(shared: &Shared) -> io::Result<()> {
    let mut pen = shared.pen();
    let mut desk = shared.desk();
    if shared.take(&mut pen, &mut desk).is_err() {
        return Ok(()); // closed already
    }
    finish_file(&mut pen)?;
    let number = pen.end.position.file + 1;
    pen.file = Arc::new(files::create(&shared.dir, number).map_err(io::Error::other)?);
    pen.end.position = Position { file: number, offset: 0 };
    desk.end = pen.end;
    shared.released.store(pen.end.bytes, std::sync::atomic::Ordering::Release);
    advance(shared, &mut desk, pen.end);
    Ok(())
}

fn finish_file(pen: &mut Pen) -> io::Result<()> {
    write_once(&pen.file, &pen.frames)?;
    pen.frames.clear();
    pen.file.sync_data()
}
