//! People and their accounts.

use countersign_core::action::PersonId;
use countersign_core::record::Record;
use rusqlite::{Connection, OptionalExtension, params};

use super::{bodies, credentials, failed, from_json, records, taken, to_body};
use crate::ports::{Account, Person, StoreError};

pub(super) fn add(
    c: &Connection,
    person: &Person,
    account: Option<&Account>,
    appended: &[Record],
) -> Result<(), StoreError> {
    c.prepare_cached("INSERT INTO person (id, name, suspended, body) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut s| s.execute(params![person.id.as_str(), person.name, person.suspended, to_body(person)?]))
        .map_err(|e| taken(e, &person.name))?;
    match account {
        Some(account) => link(c, account, appended),
        None => records::append(c, appended),
    }
}

pub(super) fn update(c: &Connection, before: &Person, person: &Person, appended: &[Record]) -> Result<(), StoreError> {
    if one(c, &person.id)?.is_some_and(|now| now != *before) {
        return Err(StoreError::Conflict);
    }
    let changed = c
        .prepare_cached("UPDATE person SET suspended = ?2, body = ?3 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![person.id.as_str(), person.suspended, to_body(person)?]))
        .map_err(failed)?;
    if changed == 0 {
        return Err(StoreError::NotFound("person"));
    }
    if person.suspended {
        credentials::end_all_of(c, &person.id)?;
    }
    records::append(c, appended)
}

pub(super) fn all(c: &Connection) -> Result<Vec<Person>, StoreError> {
    bodies(c, "SELECT body FROM person ORDER BY name", [])
}

pub(super) fn one(c: &Connection, id: &PersonId) -> Result<Option<Person>, StoreError> {
    Ok(bodies(c, "SELECT body FROM person WHERE id = ?1", [id.as_str()])?.pop())
}

pub(super) fn link(c: &Connection, account: &Account, appended: &[Record]) -> Result<(), StoreError> {
    let Account { provider, subject, person, .. } = account;
    c.prepare_cached("INSERT INTO account (provider, subject, person, body) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut s| s.execute(params![provider, subject, person.as_str(), to_body(account)?]))
        .map_err(|e| taken(e, &format!("{provider} {subject}")))?;
    records::append(c, appended)
}

pub(super) fn unlink(
    c: &Connection,
    (provider, subject): (&str, &str),
    person: &PersonId,
    appended: &[Record],
) -> Result<(), StoreError> {
    let gone = c
        .prepare_cached("DELETE FROM account WHERE provider = ?1 AND subject = ?2 AND person = ?3")
        .and_then(|mut s| s.execute(params![provider, subject, person.as_str()]))
        .map_err(failed)?;
    if gone == 0 {
        return Err(StoreError::NotFound("account"));
    }
    records::append(c, appended)
}

/// The person is compared before the account is linked: of two changes made for the same person, one is made.
pub(super) fn give_account(
    c: &Connection,
    (before, after): (&Person, &Person),
    account: &Account,
    appended: &[Record],
) -> Result<(), StoreError> {
    update(c, before, after, &[])?;
    link(c, account, appended)
}

pub(super) fn account(c: &Connection, provider: &str, subject: &str) -> Result<Option<Account>, StoreError> {
    let body: Option<String> = c
        .prepare_cached("SELECT body FROM account WHERE provider = ?1 AND subject = ?2")
        .and_then(|mut s| s.query_row([provider, subject], |row| row.get(0)).optional())
        .map_err(failed)?;
    body.map(|body| from_json(&body)).transpose()
}

pub(super) fn accounts(c: &Connection) -> Result<Vec<Account>, StoreError> {
    bodies(c, "SELECT body FROM account ORDER BY person, provider", [])
}
