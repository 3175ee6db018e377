//! Callbacks of events by which a vote was counted: each is one vote's, for good.

use countersign_core::record::{Event, Record};
use rusqlite::Connection;

use super::failed;
use crate::ports::StoreError;

/// Keeps which callbacks the votes of these records used.
///
/// # Errors
/// [`StoreError::Conflict`] where another vote has used one.
pub(super) fn use_up(c: &Connection, appended: &[Record]) -> Result<(), StoreError> {
    for record in appended {
        let Event::ReviewVote { callback: Some(id), .. } = &record.event else { continue };
        let kept = c
            .prepare_cached("INSERT OR IGNORE INTO used_callback (id) VALUES (?1)")
            .and_then(|mut s| s.execute([id]))
            .map_err(failed)?;
        if kept != 1 {
            return Err(StoreError::Conflict);
        }
    }
    Ok(())
}

pub(super) fn is_used(c: &Connection, id: &str) -> Result<bool, StoreError> {
    c.prepare_cached("SELECT 1 FROM used_callback WHERE id = ?1").and_then(|mut s| s.exists([id])).map_err(failed)
}
