//! The targets in force: one row, replaced by compare-and-swap.

use async_trait::async_trait;
use countersign_core::record::Record;
use rusqlite::Connection;

use super::{SqliteStore, bodies, failed, records, to_json};
use crate::config::Target;
use crate::ports::{StoreError, TargetStore};

#[async_trait]
impl TargetStore for SqliteStore {
    async fn targets_in_force(&self) -> Result<Option<Vec<Target>>, StoreError> {
        self.db.read(in_force).await
    }

    async fn set_targets(
        &self,
        before: Option<Vec<Target>>,
        after: Vec<Target>,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        self.db.write(move |c| set(c, before.as_ref(), &after, &records)).await
    }
}

fn in_force(c: &Connection) -> Result<Option<Vec<Target>>, StoreError> {
    Ok(bodies(c, "SELECT body FROM targets_in_force", [])?.pop())
}

fn set(c: &Connection, before: Option<&Vec<Target>>, after: &[Target], appended: &[Record]) -> Result<(), StoreError> {
    if in_force(c)?.as_ref() != before {
        return Err(StoreError::Conflict);
    }
    let body = to_json(&after)?;
    c.prepare_cached("INSERT OR REPLACE INTO targets_in_force (id, body) VALUES (1, ?1)")
        .and_then(|mut s| s.execute([body]))
        .map_err(failed)?;
    records::append(c, appended)
}
