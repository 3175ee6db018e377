//! A model of the store: reviews with versions, grants, attempts, and the records that commit with them.
//!
//! Each method is one transaction, as the gateway's store promises: everything in it happens, or nothing. Bodies are kept
//! as JSON and read back for each use, so that what survives is what the core's types write. A [`Fault`] makes a
//! transaction fail, or fail to the caller's eyes alone.

use std::collections::BTreeMap;

use countersign_core::action::{ActionDigest, ActionId, Described, GrantId, ReviewId, Timestamp};
use countersign_core::grant::Grant;
use countersign_core::record::{Event, Record, Status};
use countersign_core::review::{Matter, Open, Review};

use crate::mutation::Mutation;
use crate::step::Fault;

/// Open reviews one owner's agents may have at once.
pub(crate) const OPEN_PER_OWNER_MAX: usize = 6;
/// Open reviews in all.
pub(crate) const OPEN_MAX: usize = 14;
/// How long the same fingerprint waits after a rejection: 5 minutes.
const REJECTED_WAIT_SECONDS: i64 = 300;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// It failed.
    Unavailable,
    /// Something else got there first.
    Conflict,
}

/// What became of the wish to have an action reviewed.
#[derive(Debug)]
pub(crate) enum Asked {
    Opened(ReviewId),
    Joined(ReviewId),
    Granted(Grant),
    RejectedRecently,
    TooMany,
}

/// A review to be opened, unless the same one is there.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) matter: Matter,
    pub(crate) fingerprint: String,
    pub(crate) record: Record,
}

#[derive(Debug)]
pub(crate) struct ReviewRow {
    pub(crate) version: u64,
    pub(crate) state: String,
    pub(crate) requester: String,
    pub(crate) owner: String,
    pub(crate) action: ActionDigest,
    fingerprint: String,
    pub(crate) expires_at: Timestamp,
    closed_at: Option<Timestamp>,
    pub(crate) body: String,
}

#[derive(Debug)]
pub(crate) struct GrantRow {
    requester: String,
    consumed_by: Option<ActionId>,
    revoked: bool,
    body: String,
    expires_at: Timestamp,
    action: ActionDigest,
}

/// An attempt as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptRow {
    /// `None` while it runs; the outer status of a refusal is its code.
    pub(crate) status: AttemptStatus,
    pub(crate) node: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptStatus {
    Running,
    Refused,
    Ended(Status),
}

/// The tables, and the records in the order of their commits.
#[derive(Debug)]
pub(crate) struct Store {
    mutation: Mutation,
    pub(crate) reviews: BTreeMap<ReviewId, ReviewRow>,
    pub(crate) grants: BTreeMap<GrantId, GrantRow>,
    pub(crate) attempts: BTreeMap<ActionId, AttemptRow>,
    /// Outcomes that a journal holds and no table shows yet.
    journaled: Vec<(ActionId, Status)>,
    pub(crate) log: Vec<Record>,
    /// How many transactions met a conflict.
    pub(crate) conflicts: u64,
}

type Done<T> = Result<T, StoreError>;

impl Store {
    pub(crate) fn new(mutation: Mutation) -> Self {
        Self {
            mutation,
            reviews: BTreeMap::new(),
            grants: BTreeMap::new(),
            attempts: BTreeMap::new(),
            journaled: Vec::new(),
            log: Vec::new(),
            conflicts: 0,
        }
    }

    fn transaction<T>(&mut self, fault: Fault, work: impl FnOnce(&mut Self) -> Done<T>) -> Done<T> {
        if fault == Fault::Fail {
            return Err(StoreError::Unavailable);
        }
        let done = work(self);
        self.conflicts += u64::from(matches!(done, Err(StoreError::Conflict)));
        if fault == Fault::FailPersisted { Err(StoreError::Unavailable) } else { done }
    }

    /// Finds the unused grant, joins the open review, or opens one; in the order of the gateway's store.
    pub(crate) fn ask(&mut self, fault: Fault, ask: Ask) -> Done<Asked> {
        self.transaction(fault, |store| {
            let now = ask.matter.opened_at;
            let requester = ask.matter.described.requester.handle().to_owned();
            if let Some(grant) = store.unused_grant(&requester, ask.matter.action, now)? {
                return Ok(Asked::Granted(grant));
            }
            let same = |row: &ReviewRow| row.requester == requester && row.action == ask.matter.action;
            let open = |row: &ReviewRow| row.state == "open" && row.expires_at > now;
            if let Some((id, _)) = store.reviews.iter().find(|(_, row)| same(row) && open(row)) {
                return Ok(Asked::Joined(id.clone()));
            }
            if store.rejected_recently(&requester, &ask.fingerprint, now) {
                return Ok(Asked::RejectedRecently);
            }
            if store.too_many(ask.matter.described.requester.owner().id.as_str()) {
                return Ok(Asked::TooMany);
            }
            store.open(requester, ask).map(Asked::Opened)
        })
    }

    fn unused_grant(&self, requester: &str, action: ActionDigest, now: Timestamp) -> Done<Option<Grant>> {
        let unused = |row: &&GrantRow| {
            let good = row.consumed_by.is_none() && !row.revoked && self.in_time(row, now);
            row.requester == requester && row.action == action && good
        };
        let found = self.grants.values().filter(unused).min_by_key(|row| row.expires_at);
        found.map(|row| from_json(&row.body)).transpose()
    }

    fn in_time(&self, row: &GrantRow, now: Timestamp) -> bool {
        row.expires_at > now || self.mutation == Mutation::GrantNeverEnds
    }

    fn rejected_recently(&self, requester: &str, fingerprint: &str, now: Timestamp) -> bool {
        let since = now.plus_seconds(-REJECTED_WAIT_SECONDS);
        self.reviews.values().any(|row| {
            let same = row.requester == requester && row.fingerprint == fingerprint;
            same && row.state == "rejected" && row.closed_at.is_some_and(|at| at > since)
        })
    }

    fn too_many(&self, owner: &str) -> bool {
        let open = self.reviews.values().filter(|row| row.state == "open");
        let (all, own) = open.fold((0, 0), |(all, own), row| (all + 1, own + usize::from(row.owner == owner)));
        own >= OPEN_PER_OWNER_MAX || all >= OPEN_MAX
    }

    fn open(&mut self, requester: String, ask: Ask) -> Done<ReviewId> {
        let (id, action, expires_at) = (ask.matter.id.clone(), ask.matter.action, ask.matter.expires_at);
        let owner = ask.matter.described.requester.owner().id.to_string();
        let body = to_json(&Review::Open(Open::new(ask.matter)))?;
        self.append_now(vec![ask.record])?;
        let row = ReviewRow {
            version: 0,
            state: "open".to_owned(),
            requester,
            owner,
            action,
            fingerprint: ask.fingerprint,
            expires_at,
            closed_at: None,
            body,
        };
        self.reviews.insert(id.clone(), row);
        Ok(id)
    }

    /// A review and the version that a change must name.
    pub(crate) fn review(&self, id: &ReviewId) -> Done<Option<(Review, u64)>> {
        self.reviews.get(id).map(|row| Ok((from_json(&row.body)?, row.version))).transpose()
    }

    /// Open reviews whose time has run out.
    pub(crate) fn due(&self, now: Timestamp) -> Done<Vec<(Review, u64)>> {
        let due = self.reviews.values().filter(|row| row.state == "open" && row.expires_at <= now);
        due.map(|row| Ok((from_json(&row.body)?, row.version))).collect()
    }

    /// Replaces a review if it still has this version and is open, issues its grant, appends the records.
    pub(crate) fn save(
        &mut self,
        fault: Fault,
        version: u64,
        review: &Review,
        grant: Option<&Grant>,
        records: Vec<Record>,
    ) -> Done<()> {
        self.transaction(fault, |store| {
            let unchecked = store.mutation == Mutation::NoCompareAndSwap;
            let (body, state) = (to_json(review)?, review.state().to_owned());
            let issued = grant.map(|grant| grant_row(review, grant)).transpose()?;
            let row = store.reviews.get_mut(&review.matter().id).ok_or(StoreError::Conflict)?;
            if (row.version != version || row.state != "open") && !unchecked {
                return Err(StoreError::Conflict);
            }
            row.version += 1;
            row.closed_at = match review {
                Review::Open(_) => None,
                Review::Closed(closed) => Some(closed.closed_at()),
            };
            (row.body, row.state) = (body, state);
            store.grants.extend(issued);
            store.append_now(records)
        })
    }

    /// Consumes a grant and appends the intent.
    pub(crate) fn begin(
        &mut self,
        fault: Fault,
        described: &Described,
        grant: Option<(&Grant, ActionDigest)>,
        records: Vec<Record>,
    ) -> Done<()> {
        if self.mutation == Mutation::IntentNotWritten {
            return Ok(());
        }
        self.transaction(fault, |store| {
            let node = records.first().map(|record| record.node.clone()).unwrap_or_default();
            let now = records.first().map_or(described.at, |record| record.at);
            if store.attempts.contains_key(&described.id) {
                return Err(StoreError::Conflict);
            }
            if let Some((grant, digest)) = grant {
                store.consume(grant, digest, described, now)?;
            }
            store.attempts.insert(described.id.clone(), AttemptRow { status: AttemptStatus::Running, node });
            store.append_now(records)
        })
    }

    fn consume(&mut self, grant: &Grant, digest: ActionDigest, by: &Described, now: Timestamp) -> Done<()> {
        let again = self.mutation == Mutation::GrantConsumedAgain;
        let row = self.grants.get(&grant.id).ok_or(StoreError::Conflict)?;
        let unused = (row.consumed_by.is_none() || again) && !row.revoked && self.in_time(row, now);
        if !unused || row.requester != by.requester.handle() || row.action != digest {
            return Err(StoreError::Conflict);
        }
        if let Some(row) = self.grants.get_mut(&grant.id) {
            row.consumed_by = Some(by.id.clone());
        }
        Ok(())
    }

    /// Keeps a refused attempt and its record.
    pub(crate) fn refuse(&mut self, fault: Fault, id: &ActionId, record: Record) -> Done<()> {
        if self.mutation == Mutation::RefusalNotWritten {
            return Ok(());
        }
        self.transaction(fault, |store| {
            if store.attempts.contains_key(id) {
                return Err(StoreError::Unavailable); // its primary key is taken
            }
            let row = AttemptRow { status: AttemptStatus::Refused, node: record.node.clone() };
            store.attempts.insert(id.clone(), row);
            store.append_now(vec![record])
        })
    }

    /// Voids a grant that was not used.
    pub(crate) fn revoke(&mut self, fault: Fault, grant: &GrantId, record: Record) -> Done<()> {
        self.transaction(fault, |store| {
            let row = store.grants.get_mut(grant).ok_or(StoreError::Conflict)?;
            if row.consumed_by.is_some() || row.revoked {
                return Err(StoreError::Conflict);
            }
            row.revoked = true;
            store.append_now(vec![record])
        })
    }

    /// Appends records that change no state.
    pub(crate) fn append(&mut self, fault: Fault, records: Vec<Record>) -> Done<()> {
        self.transaction(fault, |store| store.append_now(records))
    }

    /// Appends to a node's journal: a read, or an outcome that the tables learn of later.
    pub(crate) fn journal(&mut self, fault: Fault, record: Record) -> Done<()> {
        self.transaction(fault, |store| {
            if let Event::ActionOutcome { id, status, .. } = &record.event {
                store.journaled.push((id.clone(), *status));
            }
            store.append_now(vec![record])
        })
    }

    /// Applies the outcomes that the journals hold; what is `unknown` stays so.
    pub(crate) fn sequence(&mut self) {
        for (id, status) in std::mem::take(&mut self.journaled) {
            if let Some(row) = self.attempts.get_mut(&id).filter(|row| row.status == AttemptStatus::Running) {
                row.status = AttemptStatus::Ended(status);
            }
        }
    }

    /// Closes every attempt that a former run of this node left running, as unknown. Returns how many.
    pub(crate) fn close_unknown(&mut self, node: &str, now: Timestamp) -> Done<u64> {
        if self.mutation == Mutation::IntentsLeftOpen {
            return Ok(0);
        }
        let open = |row: &AttemptRow| row.node == node && row.status == AttemptStatus::Running;
        let ids: Vec<ActionId> = self.attempts.iter().filter(|(_, row)| open(row)).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            if let Some(row) = self.attempts.get_mut(id) {
                row.status = AttemptStatus::Ended(Status::Unknown);
            }
            let event = outcome(id.clone(), Status::Unknown);
            self.append_now(vec![Record { at: now, node: node.to_owned(), event }])?;
        }
        Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
    }

    fn append_now(&mut self, records: Vec<Record>) -> Done<()> {
        for record in &records {
            record.leaf().map_err(|_| StoreError::Unavailable)?;
        }
        self.log.extend(records);
        Ok(())
    }
}

/// The record of an outcome.
pub(crate) fn outcome(id: ActionId, status: Status) -> Event {
    Event::ActionOutcome { id, status, rows: None, stream_bytes: None, stream_sha256: None, micros: 0, error: None }
}

fn grant_row(review: &Review, grant: &Grant) -> Done<(GrantId, GrantRow)> {
    let row = GrantRow {
        requester: review.matter().described.requester.handle().to_owned(),
        consumed_by: None,
        revoked: false,
        body: to_json(grant)?,
        expires_at: grant.expires_at,
        action: grant.action,
    };
    Ok((grant.id.clone(), row))
}

fn to_json<T: serde::Serialize>(value: &T) -> Done<String> {
    serde_json::to_string(value).map_err(|_| StoreError::Unavailable)
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Done<T> {
    serde_json::from_str(text).map_err(|_| StoreError::Unavailable)
}
