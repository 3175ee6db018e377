//! An approved change of the gate comes into force: decided once more, recorded, made, and its outcome recorded.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use countersign_core::action::gate::{GateFacts, GatePart};
use countersign_core::action::{ActionId, ActionRequest, Described, Facts, PersonId, ReviewId, SealedPayload};
use countersign_core::grant::Grant;
use countersign_core::record::Status;
use countersign_core::review::{Review, Verdict};
use tokio::time::timeout;

use super::{people, policies, targets};
use crate::codes::Code;
use crate::gate::Gate;
use crate::pipeline::{self, Outcomes};
use crate::refusal::Refusal;

/// How long an approved change waits to be looked at, should nothing have told of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Makes whatever was approved, until the future is dropped. What was approved before a restart is among it.
pub async fn release_all(gate: &Gate) {
    let mut changes = gate.changes.listen();
    loop {
        match gate.bundles.granted_changes(gate.scribe.now()).await {
            Ok(grants) => {
                for grant in grants {
                    let review = grant.review.clone();
                    if let Err(refusal) = release(gate, grant).await {
                        tracing::warn!(%review, code = %refusal.code, "an approved change of the gate was not made: {}", refusal.message);
                    }
                }
            }
            Err(error) => tracing::error!(%error, "approved changes of the gate cannot be read; trying again"),
        }
        let _ = timeout(LOOK_EVERY, changes.recv()).await; // told, behind, or nothing told: look again
    }
}

/// Makes one approved change. A grant that nothing comes of is voided, so that it is not tried again.
///
/// # Errors
/// [`Refusal`], recorded; what was in force stays.
pub(super) async fn release(gate: &Gate, grant: Grant) -> Result<(), Refusal> {
    let released = try_release(gate, &grant).await;
    if let Err(refusal) = &released
        && refusal.code != Code::RecordUnavailable
    {
        pipeline::revoke::<()>(gate, &grant, &refusal.message).await?; // one that was used, or is void, stays so
    }
    released
}

/// What people approved, about to be made.
pub(super) struct Approved<'a> {
    /// What it is.
    pub(super) facts: &'a GateFacts,
    /// All of what would come into force.
    pub(super) payload: &'a [u8],
    /// In which review.
    pub(super) review: ReviewId,
    /// Who proposed it.
    pub(super) author: PersonId,
    /// Them, and everyone who approved it or in whose place somebody did.
    pub(super) responsible: BTreeSet<PersonId>,
}

/// Nothing can come of an approval.
pub(super) fn void(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::ApprovalVoid, message)
}

async fn try_release(gate: &Gate, grant: &Grant) -> Result<(), Refusal> {
    let (review, request) = approved(gate, grant).await?;
    if let Some(why) = gate.moment().stale(request.described()) {
        let stale = Refusal::new(Code::ProposalStale, format!("{why} in the meantime"));
        return pipeline::record_refusal(gate, &request, Err(stale)).await;
    }
    let authorized = pipeline::authorize(gate, &request, grant.clone()).await;
    let Some((authority, _)) = pipeline::record_refusal(gate, &request, authorized).await? else {
        return Err(void("the approval no longer holds")); // voided, and why is recorded
    };
    let (described, released) = (request.described().clone(), pipeline::release(gate, &request, authority).await);
    let (permit, _) = pipeline::record_refusal(gate, &request, released).await?;
    let (action, level, begun) = (permit.action().clone(), permit.level(), Instant::now());
    let opened = request.into_payload().open(permit).map_err(pipeline::unrecorded)?;
    let done = make(gate, &described, &opened, &review).await;
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (status, error) = match &done {
        Ok(()) => (Status::Succeeded, None),
        Err(refusal) => (Status::Failed, Some(refusal.code.name().to_owned())),
    };
    let outcome = Outcomes { status, rows: None, stream: None, micros, error };
    if let Some(owed) = pipeline::finish(gate, &action, level, outcome)? {
        pipeline::pay(gate, owed).await?;
    }
    done
}

/// The review behind a grant, and its action as it would run now.
async fn approved(gate: &Gate, grant: &Grant) -> Result<(Review, ActionRequest), Refusal> {
    let void = |message: &str| void(message).review(&grant.review);
    let review = gate.store.review(&grant.review).await.map_err(pipeline::unrecorded)?;
    let review = review.ok_or_else(|| void("its review is gone"))?.review;
    let payload = gate.bundles.change(grant.action).await.map_err(pipeline::unrecorded)?;
    let payload = SealedPayload::seal(payload.ok_or_else(|| void("its text is gone"))?.into_bytes());
    let id = ActionId::new(uuid::Uuid::now_v7().to_string());
    let described = Described { id, at: gate.scribe.now(), ..review.matter().described.clone() };
    let request = ActionRequest::new(described, payload).map_err(|_| void("its text is another than was approved"))?;
    Ok((review, request))
}

async fn make(gate: &Gate, described: &Described, payload: &[u8], review: &Review) -> Result<(), Refusal> {
    let Facts::Gate(facts) = &*described.facts else { return Err(void("it is no change of the gate")) };
    let author = described.requester.owner().id.clone();
    let responsible = responsible(&author, review);
    let approved = Approved { facts, payload, review: review.matter().id.clone(), author, responsible };
    match facts.part {
        GatePart::Policies => policies::make(gate, &approved).await,
        GatePart::People => people::make(gate, &approved).await,
        GatePart::Targets => targets::make(gate, &approved).await,
    }
}

fn responsible(author: &PersonId, review: &Review) -> BTreeSet<PersonId> {
    let approving = review.votes().iter().filter(|vote| vote.verdict == Verdict::Approve);
    let voices = approving.flat_map(|vote| vote.duties.iter().map(|duty| &duty.of).chain([&vote.person]));
    voices.chain([author]).cloned().collect()
}
