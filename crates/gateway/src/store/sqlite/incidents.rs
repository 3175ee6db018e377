//! Incidents.

use async_trait::async_trait;
use countersign_core::record::Record;
use rusqlite::{Connection, params};

use super::{SqliteStore, bodies, failed, records, to_json};
use crate::ports::{Incident, Incidents, StoreError};

#[async_trait]
impl Incidents for SqliteStore {
    async fn declare_incident(&self, incident: Incident, max: u32, records: Vec<Record>) -> Result<(), StoreError> {
        self.db.write(move |c| declare(c, &incident, max, &records)).await
    }

    async fn incidents(&self) -> Result<Vec<Incident>, StoreError> {
        self.db.read(move |c| bodies(c, "SELECT body FROM incident ORDER BY declared_at, id", [])).await
    }

    async fn end_incident(&self, id: &str, records: Vec<Record>) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.db.write(move |c| end(c, &id, &records)).await
    }
}

fn declare(c: &Connection, incident: &Incident, max: u32, given: &[Record]) -> Result<(), StoreError> {
    let body = to_json(incident)?;
    let added = c
        .prepare_cached(
            "INSERT INTO incident (id, by_person, declared_at, until, body) SELECT ?1, ?2, ?3, ?4, ?5
             WHERE (SELECT count(*) FROM incident WHERE until > ?3) < ?6
               AND NOT EXISTS (SELECT 1 FROM incident WHERE until > ?3 AND by_person = ?2)",
        )
        .and_then(|mut s| {
            let (by, at, until) = (incident.by.as_str(), incident.declared_at.micros(), incident.until.micros());
            s.execute(params![incident.id, by, at, until, body, max])
        })
        .map_err(failed)?;
    if added == 0 {
        return Err(StoreError::Conflict);
    }
    records::append(c, given)
}

/// The record keeps what there was.
fn end(c: &Connection, id: &str, given: &[Record]) -> Result<(), StoreError> {
    let ended = c
        .prepare_cached("DELETE FROM incident WHERE id = ?1")
        .and_then(|mut s| s.execute(params![id]))
        .map_err(failed)?;
    if ended == 0 {
        return Err(StoreError::NotFound("incident"));
    }
    records::append(c, given)
}
