//! Agents and their keys.

use countersign_core::action::Timestamp;
use countersign_core::record::Record;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::{bodies, failed, from_json, records, taken, to_body};
use crate::ports::{Agent, AgentKey, NewAgentKey, ScramVerifier, SecretHash, StoreError};

/// Keys that one agent may have at once; jobs get one each.
const KEYS_MAX: i64 = 1_000;

/// A key that is good for logging in: it and its agent are in force.
const IN_FORCE: &str = "FROM agent_key k JOIN agent a ON a.id = k.agent
    WHERE k.ended = 0 AND a.revoked = 0 AND (k.expires_at IS NULL OR k.expires_at > ?2)";

pub(super) fn add(c: &Connection, agent: &Agent, key: &NewAgentKey, record: &Record) -> Result<(), StoreError> {
    c.prepare_cached("INSERT INTO agent (id, name, body) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![agent.id.as_str(), agent.name, to_body(agent)?]))
        .map_err(|e| taken(e, &agent.name))?;
    add_key(c, key, record)
}

pub(super) fn add_key(c: &Connection, new: &NewAgentKey, record: &Record) -> Result<(), StoreError> {
    let (key, verifier) = (&new.key, to_body(&new.verifier).map_err(failed)?);
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

pub(super) fn all(c: &Connection) -> Result<Vec<Agent>, StoreError> {
    bodies(c, "SELECT body FROM agent ORDER BY name", [])
}

pub(super) fn login(
    c: &Connection,
    login: &str,
    now: Timestamp,
) -> Result<Option<(Agent, AgentKey, ScramVerifier)>, StoreError> {
    let sql = format!("SELECT a.body, k.body, k.verifier {IN_FORCE} AND k.login = ?1");
    let Some([agent, key, verifier]) = texts(c, &sql, params![login, now.micros()])? else { return Ok(None) };
    Ok(Some((from_json(&agent)?, from_json(&key)?, from_json(&verifier)?)))
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
