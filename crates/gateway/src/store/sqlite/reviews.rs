//! Reviews: opened once, changed by compare-and-swap.

use countersign_core::action::{ReviewId, Timestamp};
use countersign_core::grant::Grant;
use countersign_core::record::{Event, Record};
use countersign_core::review::{Open, Review};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{attention, callbacks, disclosures, failed, follow_ups, from_json, outbox, passkeys, records, to_json};
use crate::ports::{Ask, Asked, ReviewFilter, Seal, StoreError, Versioned};

/// The most reviews that one timer run closes; the rest follow in the next.
const DUE_MAX: u32 = 1_000;

pub(super) fn ask(c: &Connection, seal: &dyn Seal, ask: Ask) -> Result<Asked, StoreError> {
    let now = ask.matter.opened_at;
    let requester = ask.matter.described.requester.handle().to_owned();
    let action = *ask.matter.action.as_bytes();
    if let Some(grant) = unused_grant(c, &requester, &action, now)? {
        return Ok(Asked::Granted(grant));
    }
    if let Some(open) = open_review(c, &requester, &action, now)? {
        return Ok(Asked::Joined(open));
    }
    if let Some(refused) = rejected_recently(c, &requester, &ask, now)? {
        return Ok(refused);
    }
    if let Some(limit) = limit_reached(c, &ask)? {
        return Ok(Asked::TooMany { limit });
    }
    let review = Review::Open(Open::new(ask.matter));
    insert(c, &review, &ask.fingerprint)?;
    disclosures::begin(c, seal, &review.matter().id, &ask.hidden)?;
    attention::begin(c, &review)?;
    outbox::begin(c, &review.matter().id, &ask.places)?;
    records::append(c, &[ask.record])?;
    Ok(Asked::Opened(review))
}

fn unused_grant(
    c: &Connection,
    requester: &str,
    action: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Grant>, StoreError> {
    first_body(
        c,
        "SELECT body FROM approval WHERE requester = ?1 AND action = ?2 AND consumed_by IS NULL AND revoked = 0
         AND expires_at > ?3 ORDER BY expires_at LIMIT 1",
        params![requester, action, now.micros()],
    )
}

/// Unused grants are few and short-lived, and this is asked by hand: no index.
pub(super) fn unused_grant_of(c: &Connection, review: &ReviewId) -> Result<Option<Grant>, StoreError> {
    first_body(
        c,
        "SELECT body FROM approval WHERE consumed_by IS NULL AND revoked = 0 AND json_extract(body, '$.review') = ?1",
        [review.as_str()],
    )
}

fn open_review(
    c: &Connection,
    requester: &str,
    action: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Review>, StoreError> {
    first_body(
        c,
        "SELECT body FROM review WHERE requester = ?1 AND action = ?2 AND state = 'open' AND expires_at > ?3 LIMIT 1",
        params![requester, action, now.micros()],
    )
}

fn rejected_recently(c: &Connection, requester: &str, ask: &Ask, now: Timestamp) -> Result<Option<Asked>, StoreError> {
    let wait = i64::from(ask.limits.rejected_wait_seconds);
    let found: Option<(String, i64)> = c
        .prepare_cached(
            "SELECT id, closed_at FROM review WHERE requester = ?1 AND fingerprint = ?2 AND state = 'rejected'
             AND closed_at > ?3 ORDER BY closed_at DESC LIMIT 1",
        )
        .and_then(|mut s| {
            let since = now.plus_seconds(-wait).micros();
            s.query_row(params![requester, ask.fingerprint, since], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(failed)?;
    Ok(found.map(|(id, closed_at)| Asked::RejectedRecently {
        review: ReviewId::new(id),
        until: Timestamp::from_micros(closed_at).plus_seconds(wait),
    }))
}

fn limit_reached(c: &Connection, ask: &Ask) -> Result<Option<u32>, StoreError> {
    let owner = ask.matter.described.requester.owner().id.as_str();
    let (all, own): (u32, u32) = c
        .prepare_cached("SELECT count(*), count(*) FILTER (WHERE owner = ?1) FROM review WHERE state = 'open'")
        .and_then(|mut s| s.query_row([owner], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(failed)?;
    let reached = |count: u32, limit: u32| (count >= limit).then_some(limit);
    Ok(reached(own, ask.limits.open_per_owner_max).or(reached(all, ask.limits.open_max)))
}

fn insert(c: &Connection, review: &Review, fingerprint: &str) -> Result<(), StoreError> {
    let (matter, body) = (review.matter(), to_json(review)?);
    let requester = &matter.described.requester;
    c.prepare_cached(
        "INSERT INTO review (id, version, state, requester, owner, action, fingerprint, opened_at, expires_at, body)
         VALUES (?1, 0, 'open', ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .and_then(|mut s| {
        s.execute(params![
            matter.id.as_str(),
            requester.handle(),
            requester.owner().id.as_str(),
            matter.action.as_bytes(),
            fingerprint,
            matter.opened_at.micros(),
            matter.expires_at.micros(),
            body
        ])
    })
    .map(|_| ())
    .map_err(failed)
}

pub(super) fn save(
    c: &Connection,
    version: u64,
    review: &Review,
    grant: Option<&Grant>,
    appended: &[Record],
) -> Result<(), StoreError> {
    let closed_at = match review {
        Review::Open(_) => None,
        Review::Closed(closed) => Some(closed.closed_at().micros()),
    };
    let (body, version) = (to_json(review)?, i64::try_from(version).map_err(|_| StoreError::Conflict)?);
    let changed = c
        .prepare_cached(
            "UPDATE review SET version = version + 1, state = ?3, closed_at = ?4, body = ?5
             WHERE id = ?1 AND version = ?2 AND state = 'open'",
        )
        .and_then(|mut s| s.execute(params![review.matter().id.as_str(), version, review.state(), closed_at, body]))
        .map_err(failed)?;
    if changed != 1 {
        return Err(StoreError::Conflict);
    }
    if appended.iter().any(|record| matches!(record.event, Event::ReviewVote { .. })) {
        passkeys::newest_vote_stands(c, review)?;
    }
    callbacks::use_up(c, appended)?;
    attention::end(c, review)?;
    disclosures::end(c, review)?;
    outbox::touch(c, &review.matter().id)?;
    follow_ups::begin(c, review)?;
    if let Some(grant) = grant {
        issue(c, review, grant)?;
    }
    records::append(c, appended)
}

fn issue(c: &Connection, review: &Review, grant: &Grant) -> Result<(), StoreError> {
    let (requester, body) = (review.matter().described.requester.handle(), to_json(grant)?);
    c.prepare_cached("INSERT INTO approval (id, requester, action, expires_at, body) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut s| {
            let action = grant.action.as_bytes();
            s.execute(params![grant.id.as_str(), requester, action, grant.expires_at.micros(), body])
        })
        .map(|_| ())
        .map_err(failed)
}

pub(super) fn one(c: &Connection, id: &ReviewId) -> Result<Option<Versioned>, StoreError> {
    let found: Option<(i64, String)> = c
        .prepare_cached("SELECT version, body FROM review WHERE id = ?1")
        .and_then(|mut s| s.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(failed)?;
    found.map(versioned).transpose()
}

pub(super) fn due(c: &Connection, now: Timestamp) -> Result<Vec<Versioned>, StoreError> {
    let mut statement = c
        .prepare_cached(
            "SELECT version, body FROM review WHERE state = 'open' AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
        )
        .map_err(failed)?;
    let rows =
        statement.query_map(params![now.micros(), DUE_MAX], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    rows.map(|row| versioned(row.map_err(failed)?)).collect()
}

pub(super) fn list(c: &Connection, filter: ReviewFilter, limit: u32) -> Result<Vec<Review>, StoreError> {
    let sql = match filter {
        ReviewFilter::Open => "SELECT body FROM review WHERE state = 'open' ORDER BY opened_at LIMIT ?1",
        ReviewFilter::Closed => "SELECT body FROM review WHERE state <> 'open' ORDER BY closed_at DESC LIMIT ?1",
        ReviewFilter::All => "SELECT body FROM review ORDER BY opened_at DESC LIMIT ?1",
    };
    let mut statement = c.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map([limit], |row: &Row<'_>| row.get::<_, String>(0)).map_err(failed)?;
    rows.map(|row| from_json(&row.map_err(failed)?)).collect()
}

fn versioned((version, body): (i64, String)) -> Result<Versioned, StoreError> {
    let version = u64::try_from(version).map_err(|_| StoreError::Unavailable("a negative version".to_owned()))?;
    Ok(Versioned { review: from_json(&body)?, version })
}

fn first_body<T: serde::de::DeserializeOwned>(
    c: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Option<T>, StoreError> {
    let body: Option<String> =
        c.prepare_cached(sql).and_then(|mut s| s.query_row(params, |row| row.get(0)).optional()).map_err(failed)?;
    body.map(|body| from_json(&body)).transpose()
}
