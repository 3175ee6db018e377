//! Bundles of policies by digest, one of them in force; and the bytes of changes that wait for people.

use async_trait::async_trait;
use countersign_core::action::{ActionDigest, BundleDigest, Timestamp};
use countersign_core::grant::Grant;
use countersign_core::record::Record;
use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::{SqliteStore, bodies, failed, from_json, records, to_json};
use crate::ports::{Bundles, KeptBundle, StoreError};

/// How many former bundles are kept besides those that a review or a grant still refers to.
const FORMER_MAX: u32 = 200;
/// How long the bytes of a change are kept that nobody approved: 30 days, longer than any review is open.
const CHANGE_KEPT_SECONDS: i64 = 30 * 24 * 60 * 60;

#[async_trait]
impl Bundles for SqliteStore {
    async fn bundle_in_force(&self) -> Result<Option<KeptBundle>, StoreError> {
        self.db.read(|c| one(c, "SELECT body FROM bundle WHERE in_force = 1", [])).await
    }

    async fn bundle(&self, digest: BundleDigest) -> Result<Option<KeptBundle>, StoreError> {
        self.db.read(move |c| one(c, "SELECT body FROM bundle WHERE digest = ?1", [digest.as_bytes()])).await
    }

    async fn activate_bundle(
        &self,
        from: Option<BundleDigest>,
        to: KeptBundle,
        at: Timestamp,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        self.db.write(move |c| activate(c, from, &to, at, &records)).await
    }

    async fn keep_change(&self, action: ActionDigest, payload: String, at: Timestamp) -> Result<(), StoreError> {
        self.db.write(move |c| keep_change(c, action, &payload, at)).await
    }

    async fn change(&self, action: ActionDigest) -> Result<Option<String>, StoreError> {
        self.db.read(move |c| text(c, "SELECT payload FROM gate_change WHERE action = ?1", [action.as_bytes()])).await
    }

    async fn granted_changes(&self, now: Timestamp) -> Result<Vec<Grant>, StoreError> {
        let sql = "SELECT approval.body FROM approval JOIN gate_change ON gate_change.action = approval.action
                   WHERE consumed_by IS NULL AND revoked = 0 AND expires_at > ?1";
        self.db.read(move |c| bodies(c, sql, [now.micros()])).await
    }
}

fn one(c: &Connection, sql: &str, params: impl Params) -> Result<Option<KeptBundle>, StoreError> {
    text(c, sql, params)?.map(|body| from_json(&body)).transpose()
}

fn text(c: &Connection, sql: &str, params: impl Params) -> Result<Option<String>, StoreError> {
    c.prepare_cached(sql).and_then(|mut s| s.query_row(params, |row| row.get(0)).optional()).map_err(failed)
}

fn activate(
    c: &Connection,
    from: Option<BundleDigest>,
    to: &KeptBundle,
    at: Timestamp,
    appended: &[Record],
) -> Result<(), StoreError> {
    let current: Option<Vec<u8>> = c
        .prepare_cached("SELECT digest FROM bundle WHERE in_force = 1")
        .and_then(|mut s| s.query_row([], |row| row.get(0)).optional())
        .map_err(failed)?;
    if current.as_deref() != from.as_ref().map(|digest| digest.as_bytes().as_slice()) {
        return Err(StoreError::Conflict);
    }
    let body = to_json(to)?;
    c.prepare_cached("UPDATE bundle SET in_force = 0 WHERE in_force = 1")
        .and_then(|mut s| s.execute([]))
        .map_err(failed)?;
    c.prepare_cached("INSERT OR REPLACE INTO bundle (digest, in_force, activated_at, body) VALUES (?1, 1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![to.digest.as_bytes(), at.micros(), body]))
        .map_err(failed)?;
    forget(c, at)?;
    records::append(c, appended)
}

/// Drops the oldest bundles that nothing refers to: a review that can still be released needs the one it opened under.
fn forget(c: &Connection, at: Timestamp) -> Result<(), StoreError> {
    let referred: Vec<String> = {
        let sql = "SELECT coalesce(json_extract(body, '$.open.matter.terms.bundle'),
                                   json_extract(body, '$.closed.matter.terms.bundle')) FROM review
                   WHERE state = 'open' OR id IN (SELECT json_extract(body, '$.review') FROM approval
                                                  WHERE consumed_by IS NULL AND revoked = 0 AND expires_at > ?1)";
        let mut statement = c.prepare_cached(sql).map_err(failed)?;
        let rows = statement.query_map([at.micros()], |row| row.get(0)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)?
    };
    let sql = "SELECT body FROM bundle WHERE in_force = 0 ORDER BY activated_at DESC LIMIT -1 OFFSET ?1";
    let old: Vec<KeptBundle> = bodies(c, sql, [FORMER_MAX])?;
    for bundle in old.iter().filter(|bundle| !referred.contains(&bundle.digest.to_string())) {
        c.prepare_cached("DELETE FROM bundle WHERE digest = ?1")
            .and_then(|mut s| s.execute([bundle.digest.as_bytes()]))
            .map_err(failed)?;
    }
    Ok(())
}

fn keep_change(c: &Connection, action: ActionDigest, payload: &str, at: Timestamp) -> Result<(), StoreError> {
    let before = at.plus_seconds(-CHANGE_KEPT_SECONDS).micros();
    c.prepare_cached("DELETE FROM gate_change WHERE kept_at < ?1")
        .and_then(|mut s| s.execute([before]))
        .map_err(failed)?;
    c.prepare_cached("INSERT OR REPLACE INTO gate_change (action, kept_at, payload) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![action.as_bytes(), at.micros(), payload]))
        .map(drop)
        .map_err(failed)
}
