//! The policies as a part of the gate: proposed is what lies in the policies folder, by its digest.
//!
//! The person who proposes it answers for it. Files that nobody proposed have no author, and stay out of force.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::action::BundleDigest;
use countersign_core::action::gate::{GateFacts, GatePart, GateStep, GateSubject};

use super::Prepared;
use super::release::{Approved, void};
use crate::codes::Code;
use crate::gate::Gate;
use crate::pipeline;
use crate::policies::{self, Activation, Examined, Loaded, NotActivated};
use crate::ports::{KeptBundle, Person};
use crate::refusal::Refusal;

/// What the files would mean; nothing where they permit nothing more, and came into force.
pub(super) async fn prepare(gate: &Gate, author: &Person, files: BundleDigest) -> Result<Option<Prepared>, Refusal> {
    let examined = examined(gate, files).await?;
    if examined.effect.is_stricter() {
        tighten(gate, author, &examined).await?;
        return Ok(None);
    }
    let payload = serde_json::to_string(&examined.kept).map_err(pipeline::unrecorded)?;
    let (facts, text) = (facts(&examined), examined.effect.words());
    Ok(Some(Prepared { facts, text, payload, gainers: BTreeSet::new() }))
}

/// The files, as they were looked at.
async fn examined(gate: &Gate, files: BundleDigest) -> Result<Arc<Examined>, Refusal> {
    let examined = gate.policies.examine(&gate.scribe).await;
    let examined = examined.map_err(|error| Refusal::new(Code::BadRequest, error.to_string()))?;
    let examined = examined.ok_or_else(|| {
        Refusal::new(Code::BadRequest, "the files in the policies folder are the policies in force already")
    })?;
    if examined.bundle.digest() != files {
        let message = "the files in the policies folder are not those that were looked at; look at them again";
        return Err(Refusal::new(Code::DigestMismatch, message));
    }
    Ok(examined)
}

/// Puts in force what permits nothing more.
async fn tighten(gate: &Gate, author: &Person, examined: &Examined) -> Result<(), Refusal> {
    let why = Activation::Stricter { by: Some(author.id.clone()) };
    let to = (examined.bundle.clone(), examined.kept.clone());
    match gate.policies.activate(examined.from, to, &why, &gate.scribe).await {
        Ok(()) => Ok(()),
        // the watcher may have been first with the same files
        Err(NotActivated::Stale) if gate.policies.current().digest() == examined.bundle.digest() => Ok(()),
        Err(error @ NotActivated::Stale) => Err(Refusal::new(Code::ProposalStale, error.to_string())),
        Err(error @ NotActivated::Store(_)) => Err(pipeline::unrecorded(error)),
    }
}

fn facts(examined: &Examined) -> GateFacts {
    let (mut added, mut changed, mut removed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for difference in &examined.effect.differences.policies {
        let among = match (&difference.before, &difference.after) {
            (None, _) => &mut added,
            (_, None) => &mut removed,
            (Some(_), Some(_)) => &mut changed,
        };
        among.insert(difference.id.clone());
    }
    let (from, to) = (examined.from.to_string(), examined.bundle.digest().to_string());
    let (part, step, subject) = (GatePart::Policies, GateStep::Policies, GateSubject::Bundle);
    GateFacts { part, step, subject, from, to, added, changed, removed }
}

/// Puts in force what was approved.
pub(super) async fn make(gate: &Gate, approved: &Approved<'_>) -> Result<(), Refusal> {
    let kept: KeptBundle = serde_json::from_slice(approved.payload).map_err(|error| void(error.to_string()))?;
    let loading = tokio::task::spawn_blocking(move || policies::restored(kept)).await.map_err(pipeline::unrecorded)?;
    let Loaded { bundle, kept } = loading.map_err(|error| void(error.to_string()))?;
    if bundle.digest().to_string() != approved.facts.to {
        return Err(void("the gateway reads its text in another way than when it was approved"));
    }
    let stale = || Refusal::new(Code::ProposalStale, "other policies came into force in the meantime");
    let from = approved.facts.from.parse().map_err(|_| stale())?;
    let why = Activation::Approved { review: approved.review.clone(), by: approved.author.clone() };
    gate.policies.activate(from, (Arc::new(bundle), kept), &why, &gate.scribe).await.map_err(|error| match error {
        NotActivated::Stale => stale(),
        NotActivated::Store(error) => pipeline::unrecorded(error),
    })
}
