//! Duties given to others.

use async_trait::async_trait;
use countersign_core::action::Timestamp;
use countersign_core::record::Record;
use rusqlite::{Connection, params};

use super::{SqliteStore, bodies, failed, records, to_json};
use crate::ports::{Duties, Duty, StoreError};

#[async_trait]
impl Duties for SqliteStore {
    async fn add_duty(&self, duty: Duty, max: u32, record: Record) -> Result<(), StoreError> {
        self.db.write(move |c| add(c, &duty, max, &record)).await
    }

    async fn duties(&self, now: Timestamp) -> Result<Vec<Duty>, StoreError> {
        let sql = "SELECT body FROM duty WHERE ended = 0 AND until > ?1 ORDER BY until, id";
        self.db.read(move |c| bodies(c, sql, [now.micros()])).await
    }

    async fn end_duty(&self, id: &str, record: Record) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.db.write(move |c| end(c, &id, &record)).await
    }
}

fn add(c: &Connection, duty: &Duty, max: u32, record: &Record) -> Result<(), StoreError> {
    let body = to_json(duty)?;
    // the record keeps what there was
    c.prepare_cached("DELETE FROM duty WHERE until <= ?1")
        .and_then(|mut s| s.execute([duty.given_at.micros()]))
        .map_err(failed)?;
    let added = c
        .prepare_cached(
            "INSERT INTO duty (id, of_person, until, body) SELECT ?1, ?2, ?3, ?4
             WHERE (SELECT count(*) FROM duty WHERE of_person = ?2 AND ended = 0 AND until > ?5) < ?6",
        )
        .and_then(|mut s| {
            s.execute(params![duty.id, duty.of.as_str(), duty.until.micros(), body, duty.given_at.micros(), max])
        })
        .map_err(failed)?;
    if added == 0 {
        return Err(StoreError::Conflict);
    }
    records::append(c, std::slice::from_ref(record))
}

fn end(c: &Connection, id: &str, record: &Record) -> Result<(), StoreError> {
    let ended = c
        .prepare_cached("UPDATE duty SET ended = 1 WHERE id = ?1 AND ended = 0 AND until > ?2")
        .and_then(|mut s| s.execute(params![id, record.at.micros()]))
        .map_err(failed)?;
    if ended == 0 {
        return Err(StoreError::NotFound("duty"));
    }
    records::append(c, std::slice::from_ref(record))
}
