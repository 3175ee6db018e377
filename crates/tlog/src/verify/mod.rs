//! Verifying a whole log: every entry, every hash, every signed statement about it.
//!
//! [`log`] reads each entry once, computes the tree anew and compares it with every hash tile, with the signed
//! checkpoint and with every earlier checkpoint in the history. One tile of each level is in memory at a time. Only
//! when something does not fit are parts read again, to name the first bad leaf.
//!
//! Absent on purpose: trust in anything stored beside the log (the key comes from the caller), and completeness beyond
//! the log itself: whoever can rewrite a whole folder can put an older, shorter log in its place. That shows only
//! against something kept elsewhere: a saved checkpoint ([`Options::since`]) or a witness.
//!
//! The publisher's side of the contract: write tiles, then `checkpoint`, then the line in `checkpoints`; never the
//! other way round, so that a verifier reading along never sees the history ahead of the checkpoint.

mod census;
mod claims;
mod error;
mod locate;
mod scan;
mod tail;
mod votes;

use std::collections::BTreeMap;

use serde::Serialize;

pub use claims::ClaimedBy;
pub use error::{Problem, VerifyError};
pub use votes::VoteError;

pub use crate::checkpoint::Witness;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::hash::Hash;
use crate::note::VerifierKey;
use crate::source::{CHECKPOINT_PATH, TileSource};
use claims::{Claims, LogIdentity};
use scan::Findings;

/// What to check besides the log itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A signed checkpoint saved earlier: the log must still contain everything it covered.
    pub since: Option<Vec<u8>>,
    /// Keys of witnesses whose cosignatures count.
    pub witnesses: Vec<VerifierKey>,
    /// Witnesses that must have cosigned.
    pub witness_quorum: usize,
    /// The log's origin, where it is not the name of its key.
    pub origin: Option<String>,
}

/// A verified log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// Leaves that are signed for.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The id of the key that signed, in hexadecimal.
    pub key_id: String,
    /// Leaves by their `kind`.
    pub kinds: BTreeMap<String, u64>,
    /// Leaves that are not JSON objects with a `kind`, or of a kind beyond the bound on counted kinds.
    pub other_leaves: u64,
    /// Votes that a passkey signed, each verified against its enrolment.
    pub signed_votes: u64,
    /// Votes that rest on the gateway's word alone.
    pub attested_votes: u64,
    /// Breakings of glass that a passkey signed, each verified against its enrolment.
    pub signed_breakings: u64,
    /// Breakings of glass that rest on the gateway's word alone.
    pub attested_breakings: u64,
    /// Entries after the signed ones: written, but not signed yet. Nothing is known about them.
    pub unsigned_leaves: u64,
    /// Earlier checkpoints in the history, all signed and consistent.
    pub history_checkpoints: u64,
    /// The size of the saved checkpoint that this log extends.
    pub since: Option<u64>,
    /// Whether at least one given witness cosigned.
    pub witnessed: bool,
    /// The witnesses that cosigned.
    pub witnesses: Vec<Witness>,
    /// Signatures on the checkpoint by keys that were not given.
    pub unknown_signatures: usize,
}

/// Verifies a whole log against its key.
pub fn log(source: &dyn TileSource, key: &VerifierKey, options: &Options) -> Result<Report, VerifyError> {
    let identity = LogIdentity::new(key, options.origin.as_deref());
    let signed = fetch_checkpoint(source, &identity, &options.witnesses)?;
    let witnesses = witnesses(&signed, options.witness_quorum)?;
    let claims = Claims::open(source, identity.clone(), options.since.as_deref())?;
    let since = claims.since_size();
    let head = signed.checkpoint().head();
    let mut findings = scan::run(source, head, claims)?;
    judge(source, &findings)?;
    let history_checkpoints = refuse_rollback(source, &identity, &mut findings)?;
    let unsigned_leaves = tail::unsigned_leaves(source, head.size)?;
    let checkpoint = signed.checkpoint();
    Ok(Report {
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        root: checkpoint.root,
        key_id: key.id().to_string(),
        other_leaves: findings.census.other(),
        signed_votes: findings.votes.signed(),
        attested_votes: findings.votes.attested(),
        signed_breakings: findings.votes.signed_breakings(),
        attested_breakings: findings.votes.attested_breakings(),
        kinds: findings.census.into_kinds(),
        unsigned_leaves,
        history_checkpoints,
        since,
        witnessed: !witnesses.is_empty(),
        witnesses,
        unknown_signatures: signed.note().unknown_count(),
    })
}

fn fetch_checkpoint(
    source: &dyn TileSource,
    identity: &LogIdentity,
    witnesses: &[VerifierKey],
) -> Result<SignedCheckpoint, VerifyError> {
    let note = source.fetch(CHECKPOINT_PATH)?.ok_or(Problem::CheckpointMissing)?;
    let signed = Checkpoint::open(&note, &identity.key, witnesses).map_err(Problem::Checkpoint)?;
    signed.require_origin(&identity.origin).map_err(Problem::Checkpoint)?;
    Ok(signed)
}

/// The cosignatures that verified, refusing fewer than the quorum.
fn witnesses(signed: &SignedCheckpoint, quorum: usize) -> Result<Vec<Witness>, VerifyError> {
    let found = signed.witnesses();
    if found.len() < quorum {
        return Err(Problem::Unwitnessed { found: found.len(), required: quorum }.into());
    }
    Ok(found)
}

/// Turns what the scan found into a verdict.
fn judge(source: &dyn TileSource, findings: &Findings) -> Result<(), VerifyError> {
    if !findings.root_matches() {
        return Err(locate::first_bad_leaf(source, findings)?);
    }
    if let Some(claim) = &findings.bad_claim {
        let problem = Problem::Fork { size: claim.head.size, claimed_by: claim.claimed_by };
        return Err(VerifyError::within(problem, findings.good_size()..claim.head.size));
    }
    if let Some(evidence) = &findings.evidence {
        return Err(VerifyError::within(evidence.problem(), evidence.leaves.clone()));
    }
    match findings.votes.bad() {
        Some((index, error)) => Err(VerifyError::within(Problem::Vote(error.clone()), *index..index + 1)),
        None => Ok(()),
    }
}

/// Reads the claims beyond the checkpoint's size. One is fine only if the log has grown meanwhile.
fn refuse_rollback(
    source: &dyn TileSource,
    identity: &LogIdentity,
    findings: &mut Findings<'_>,
) -> Result<u64, VerifyError> {
    let size = findings.head.size;
    let mut newest = size;
    while let Some(claim) = findings.claims.next()? {
        if claim.head.size > newest && claim.claimed_by != ClaimedBy::Since {
            newest = fetch_checkpoint(source, identity, &[])?.checkpoint().size;
        }
        if claim.head.size > newest {
            let problem = Problem::Rollback { size, seen: claim.head.size, claimed_by: claim.claimed_by };
            return Err(VerifyError::within(problem, size..size + 1));
        }
    }
    Ok(findings.claims.history_count())
}
