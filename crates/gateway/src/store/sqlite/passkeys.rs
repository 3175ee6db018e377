//! Passkeys: rows whose counter only grows.

use async_trait::async_trait;
use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Record;
use countersign_core::review::Review;
use rusqlite::{Connection, OptionalExtension, params};

use super::{SqliteStore, bodies, failed, from_json, records, taken, to_body, to_json};
use crate::ports::{Passkey, Passkeys, StoreError};

#[async_trait]
impl Passkeys for SqliteStore {
    async fn add_passkey(&self, passkey: Passkey, max: u32, record: Record) -> Result<(), StoreError> {
        self.db.write(move |c| add(c, &passkey, max, &record)).await
    }

    async fn passkeys(&self, person: &PersonId) -> Result<Vec<Passkey>, StoreError> {
        let person = person.clone();
        self.db.read(move |c| of(c, &person)).await
    }

    async fn use_passkey(&self, id: &str, counter: u32, synced: bool, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.db.write(move |c| advance(c, &id, counter, synced, now)).await
    }

    async fn rename_passkey(&self, person: &PersonId, id: &str, label: String) -> Result<(), StoreError> {
        let (person, id) = (person.clone(), id.to_owned());
        self.db.write(move |c| rename(c, &person, &id, label)).await
    }

    async fn remove_passkey(&self, person: &PersonId, id: &str, record: Record) -> Result<(), StoreError> {
        let (person, id) = (person.clone(), id.to_owned());
        self.db.write(move |c| remove(c, &person, &id, &record)).await
    }
}

fn add(c: &Connection, passkey: &Passkey, max: u32, record: &Record) -> Result<(), StoreError> {
    let person = passkey.person.as_str();
    let has: u32 = c
        .prepare_cached("SELECT count(*) FROM passkey WHERE person = ?1 AND ended = 0")
        .and_then(|mut s| s.query_row([person], |row| row.get(0)))
        .map_err(failed)?;
    if has >= max {
        return Err(StoreError::Conflict);
    }
    c.prepare_cached("INSERT INTO passkey (id, person, credential, counter, body) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut s| {
            s.execute(params![passkey.id, person, passkey.credential, passkey.counter, to_body(passkey)?])
        })
        .map_err(|e| taken(e, "of this passkey"))?;
    records::append(c, std::slice::from_ref(record))
}

fn of(c: &Connection, person: &PersonId) -> Result<Vec<Passkey>, StoreError> {
    bodies(c, "SELECT body FROM passkey WHERE person = ?1 AND ended = 0 ORDER BY rowid", [person.as_str()])
}

/// A counter that is not 0, before or after, must grow (WebAuthn level 3, section 6.1.1).
fn advance(c: &Connection, id: &str, counter: u32, synced: bool, now: Timestamp) -> Result<bool, StoreError> {
    let found: Option<String> = c
        .prepare_cached(
            "SELECT body FROM passkey WHERE id = ?1 AND ended = 0 AND (counter < ?2 OR (counter = 0 AND ?2 = 0))",
        )
        .and_then(|mut s| s.query_row(params![id, counter], |row| row.get(0)).optional())
        .map_err(failed)?;
    let Some(body) = found else { return Ok(false) };
    let passkey = Passkey { counter, synced, used_at: Some(now), ..from_json(&body)? };
    write(c, &passkey)?;
    Ok(true)
}

fn rename(c: &Connection, person: &PersonId, id: &str, label: String) -> Result<(), StoreError> {
    let passkey = of(c, person)?.into_iter().find(|passkey| passkey.id == id).ok_or(StoreError::NotFound("passkey"))?;
    write(c, &Passkey { label, ..passkey })
}

fn write(c: &Connection, passkey: &Passkey) -> Result<(), StoreError> {
    let body = to_json(passkey)?;
    c.prepare_cached("UPDATE passkey SET counter = ?2, body = ?3 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![passkey.id, passkey.counter, body]))
        .map(drop)
        .map_err(failed)
}

fn remove(c: &Connection, person: &PersonId, id: &str, record: &Record) -> Result<(), StoreError> {
    let removed = c
        .prepare_cached("UPDATE passkey SET ended = 1 WHERE id = ?1 AND person = ?2 AND ended = 0")
        .and_then(|mut s| s.execute([id, person.as_str()]))
        .map_err(failed)?;
    if removed == 0 {
        return Err(StoreError::NotFound("passkey"));
    }
    records::append(c, std::slice::from_ref(record))
}

/// Refuses a review whose newest vote, or whose breaking, was signed by a passkey that is gone: in the record, nothing that
/// is signed follows the removal of the passkey behind it.
pub(super) fn newest_vote_stands(c: &Connection, review: &Review) -> Result<(), StoreError> {
    let signed = match review.breaking() {
        Some(breaking) => breaking.passkey.as_ref(),
        None => review.votes().last().and_then(|vote| vote.passkey.as_ref()),
    };
    let Some(passkey) = signed else { return Ok(()) };
    let lives: bool = c
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM passkey WHERE id = ?1 AND ended = 0)")
        .and_then(|mut s| s.query_row([&passkey.id], |row| row.get(0)))
        .map_err(failed)?;
    if lives { Ok(()) } else { Err(StoreError::NotFound("passkey")) }
}
