//! Counts, of columns that have an index.

use async_trait::async_trait;
use countersign_core::action::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{SqliteStore, failed};
use crate::ports::{StoreError, Tallies, Tally, Wait};

/// Microseconds in a second.
const MICROS: i64 = 1_000_000;

#[async_trait]
impl Tallies for SqliteStore {
    async fn tallies(&self, since: Timestamp, stretch_seconds: u32) -> Result<Vec<Tally>, StoreError> {
        self.db.read(move |c| tallies(c, since, stretch_seconds)).await
    }

    async fn waits(&self, since: Timestamp, limit: u32) -> Result<Vec<Wait>, StoreError> {
        self.db.read(move |c| waits(c, since, limit)).await
    }
}

fn tallies(c: &Connection, since: Timestamp, stretch_seconds: u32) -> Result<Vec<Tally>, StoreError> {
    let stretch = i64::from(stretch_seconds.max(1)) * MICROS;
    let mut statement = c
        .prepare_cached("SELECT (at - ?1) / ?2 AS stretch, status, count(*) FROM action WHERE at >= ?1 GROUP BY 1, 2")
        .map_err(failed)?;
    let whole = |row: &Row<'_>, at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs); // neither is ever negative
    let tally = |row: &Row<'_>| Ok(Tally { stretch: whole(row, 0)?, status: row.get(1)?, count: whole(row, 2)? });
    let rows = statement.query_map(params![since.micros(), stretch], tally).map_err(failed)?;
    rows.map(|row| row.map_err(failed)).collect()
}

fn waits(c: &Connection, since: Timestamp, limit: u32) -> Result<Vec<Wait>, StoreError> {
    let mut statement = c
        .prepare_cached(
            "SELECT state, (closed_at - opened_at) / ?2 FROM review WHERE state <> 'open' AND closed_at >= ?1
             ORDER BY closed_at DESC LIMIT ?3",
        )
        .map_err(failed)?;
    let wait = |row: &Row<'_>| Ok(Wait { outcome: row.get(0)?, seconds: row.get(1)? });
    let rows = statement.query_map(params![since.micros(), MICROS, limit], wait).map_err(failed)?;
    rows.map(|row| row.map_err(failed)).collect()
}
