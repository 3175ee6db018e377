//! The syncing thread: brings what was written to the disk, many records at once, and begins new files.

use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::{GATHER, Position, Progress, Shared, State, files};

/// Runs until the journal is dropped or closed.
pub(super) fn run(shared: &Shared) {
    while let Some((file, target)) = next_target(shared) {
        let synced = file.sync_data();
        let mut state = shared.lock();
        if let Err(cause) = synced {
            shared.close(&mut state, "the journal could not be synced", &cause);
            return;
        }
        advance(shared, &mut state, target);
        if target.offset >= shared.settings.file_bytes_max
            && let Err(cause) = rotate(shared, &mut state)
        {
            shared.close(&mut state, "a new journal file could not be begun", &cause);
            return;
        }
    }
    // Closed by a failed write, perhaps: what was written before is brought to the disk as far as it goes. Nobody is told.
    let file = Arc::clone(&shared.lock().file);
    let _ = file.sync_data();
}

/// Waits for something to sync; `None` when the journal ends.
fn next_target(shared: &Shared) -> Option<(Arc<std::fs::File>, Position)> {
    let mut state = shared.lock();
    while state.written == state.synced {
        if state.stopping || state.closed.is_some() {
            return None;
        }
        state = wait(shared, state);
    }
    if !state.urgent && !state.stopping {
        let idle = |state: &mut State| !state.urgent && !state.stopping && state.closed.is_none();
        let gathered = shared.work.wait_timeout_while(state, GATHER, idle);
        state = gathered.unwrap_or_else(PoisonError::into_inner).0;
    }
    state.urgent = false;
    if state.closed.is_some() {
        return None;
    }
    Some((Arc::clone(&state.file), state.written))
}

fn wait<'a>(shared: &Shared, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    shared.work.wait(state).unwrap_or_else(PoisonError::into_inner)
}

fn advance(shared: &Shared, state: &mut State, end: Position) {
    state.synced = end;
    shared.progress.send_replace(Progress::Synced(end));
    shared.progressed.notify_all();
}

/// Brings the rest of the file to the disk and begins the next. Appends wait meanwhile.
fn rotate(shared: &Shared, state: &mut State) -> io::Result<()> {
    if state.closed.is_some() {
        return Ok(());
    }
    state.file.sync_data()?;
    let number = state.written.file + 1;
    let file = files::create(&shared.dir, number).map_err(io::Error::other)?;
    state.file = Arc::new(file);
    state.written = Position { file: number, offset: 0 };
    advance(shared, state, state.written);
    Ok(())
}
