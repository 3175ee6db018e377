//! Agents and their keys.

use countersign_core::action::Timestamp;
use countersign_core::record::Record;
use rusqlite::{Connection, OptionalExtension, Params, params};
use zeroize::Zeroizing;

use super::{bodies, failed, from_json, records, taken, to_body};
use crate::ports::{Agent, AgentKey, NewAgentKey, Place, ScramVerifier, Seal, SealError, SecretHash, StoreError};

/// The version of the store in which verifiers began to be sealed.
pub(super) const SEALED_SINCE: u32 = 5;
/// Keys that one agent may have at once; jobs get one each.
const KEYS_MAX: i64 = 1_000;

/// A key that is good for logging in: it and its agent are in force.
const IN_FORCE: &str = "FROM agent_key k JOIN agent a ON a.id = k.agent
    WHERE k.ended = 0 AND a.revoked = 0 AND (k.expires_at IS NULL OR k.expires_at > ?2)";

pub(super) fn add(
    c: &Connection,
    seal: &dyn Seal,
    agent: &Agent,
    key: &NewAgentKey,
    record: &Record,
) -> Result<(), StoreError> {
    c.prepare_cached("INSERT INTO agent (id, name, body) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![agent.id.as_str(), agent.name, to_body(agent)?]))
        .map_err(|e| taken(e, &agent.name))?;
    add_key(c, seal, key, record)
}

pub(super) fn add_key(c: &Connection, seal: &dyn Seal, new: &NewAgentKey, record: &Record) -> Result<(), StoreError> {
    let key = &new.key;
    let verifier = Zeroizing::new(to_body(&new.verifier).map_err(failed)?);
    let verifier = seal.seal(place(&key.id), verifier.as_bytes()).map_err(|error| unsealed(&error))?;
    let expires_at = key.expires_at.map(Timestamp::micros);
    // the record keeps what there was
    c.prepare_cached("DELETE FROM agent_key WHERE expires_at <= ?1")
        .and_then(|mut s| s.execute([record.at.micros()]))
        .map_err(failed)?;
    let added = c
        .prepare_cached(
            "INSERT INTO agent_key (id, agent, login, hash, verifier, expires_at, body)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM agent WHERE id = ?2 AND revoked = 0)
             AND (SELECT count(*) FROM agent_key WHERE agent = ?2 AND ended = 0) < ?8",
        )
        .and_then(|mut s| {
            let body = to_body(key)?;
            s.execute(params![key.id, key.agent.as_str(), key.login, new.hash, verifier, expires_at, body, KEYS_MAX])
        })
        .map_err(|e| taken(e, &key.login))?;
    if added == 0 {
        return Err(StoreError::Conflict);
    }
    records::append(c, std::slice::from_ref(record))
}

pub(super) fn update(c: &Connection, agent: &Agent, record: &Record) -> Result<(), StoreError> {
    let revoked = agent.revoked_at.is_some();
    let changed = c
        .prepare_cached("UPDATE agent SET revoked = ?2, body = ?3 WHERE id = ?1 AND revoked = 0")
        .and_then(|mut s| s.execute(params![agent.id.as_str(), revoked, to_body(agent)?]))
        .map_err(failed)?;
    if changed == 0 {
        return Err(StoreError::NotFound("agent"));
    }
    if revoked {
        c.prepare_cached("UPDATE agent_key SET ended = 1 WHERE agent = ?1")
            .and_then(|mut s| s.execute([agent.id.as_str()]))
            .map_err(failed)?;
    }
    records::append(c, std::slice::from_ref(record))
}

pub(super) fn replace(c: &Connection, before: &Agent, after: &Agent, appended: &[Record]) -> Result<(), StoreError> {
    let now: Option<Agent> =
        bodies(c, "SELECT body FROM agent WHERE id = ?1 AND revoked = 0", [after.id.as_str()])?.pop();
    if now.as_ref() != Some(before) {
        return Err(StoreError::Conflict);
    }
    c.prepare_cached("UPDATE agent SET body = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![after.id.as_str(), to_body(after)?]))
        .map_err(failed)?;
    records::append(c, appended)
}

pub(super) fn all(c: &Connection) -> Result<Vec<Agent>, StoreError> {
    bodies(c, "SELECT body FROM agent ORDER BY name", [])
}

pub(super) fn login(
    c: &Connection,
    seal: &dyn Seal,
    login: &str,
    now: Timestamp,
) -> Result<Option<(Agent, AgentKey, ScramVerifier)>, StoreError> {
    let sql = format!("SELECT a.body, k.body, k.verifier {IN_FORCE} AND k.login = ?1");
    let Some([agent, key, verifier]) = texts(c, &sql, params![login, now.micros()])? else { return Ok(None) };
    let key: AgentKey = from_json(&key)?;
    let verifier = seal.unseal(place(&key.id), &verifier).map_err(|error| unsealed(&error))?;
    let verifier = serde_json::from_slice(&verifier).map_err(|_| unsealed(&SealError::Broken))?;
    Ok(Some((from_json(&agent)?, key, verifier)))
}

pub(super) fn by_key(
    c: &Connection,
    key: &SecretHash,
    now: Timestamp,
) -> Result<Option<(Agent, AgentKey)>, StoreError> {
    let sql = format!("SELECT a.body, k.body {IN_FORCE} AND k.hash = ?1");
    let Some([agent, key]) = texts(c, &sql, params![key, now.micros()])? else { return Ok(None) };
    Ok(Some((from_json(&agent)?, from_json(&key)?)))
}

/// Seals with the key in force what is not. Only a store of an earlier version has anything that is not sealed at all.
pub(super) fn seal_all(c: &Connection, seal: &dyn Seal, plain: bool) -> Result<(), StoreError> {
    let rows: Vec<(String, Zeroizing<String>)> = {
        let mut all = c.prepare("SELECT id, verifier FROM agent_key").map_err(failed)?;
        let rows = all.query_map([], |row| Ok((row.get(0)?, Zeroizing::new(row.get(1)?)))).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)?
    };
    for (id, verifier) in rows.iter().filter(|(_, verifier)| !seal.is_current(verifier)) {
        let secret = match plain {
            true => Zeroizing::new(verifier.as_bytes().to_vec()),
            false => seal.unseal(place(id), verifier).map_err(|error| unsealed(&error))?,
        };
        let sealed = seal.seal(place(id), &secret).map_err(|error| unsealed(&error))?;
        c.prepare_cached("UPDATE agent_key SET verifier = ?2 WHERE id = ?1")
            .and_then(|mut s| s.execute(params![id, sealed]))
            .map_err(failed)?;
    }
    Ok(())
}

fn place(id: &str) -> Place<'_> {
    Place { what: "agent_key.verifier", id }
}

fn unsealed(error: &SealError) -> StoreError {
    StoreError::Unavailable(format!("an agent's key: {error}"))
}

/// The one row of a query, as `N` texts.
fn texts<const N: usize>(c: &Connection, sql: &str, params: impl Params) -> Result<Option<[String; N]>, StoreError> {
    let mut found = [const { String::new() }; N];
    let row = c.prepare_cached(sql).and_then(|mut s| {
        s.query_row(params, |row| {
            for (at, text) in found.iter_mut().enumerate() {
                *text = row.get(at)?;
            }
            Ok(())
        })
        .optional()
    });
    Ok(row.map_err(failed)?.map(|()| found))
}
