//! An approved change of the gate comes into force: decided once more, recorded, activated, and its outcome recorded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::action::{ActionId, ActionRequest, Described, Facts, PersonId, ReviewId, SealedPayload};
use countersign_core::grant::Grant;
use countersign_core::record::Status;
use countersign_core::review::Review;
use tokio::time::timeout;

use crate::codes::Code;
use crate::gate::Gate;
use crate::pipeline::{self, Outcomes};
use crate::policies::{self, Activation, Loaded};
use crate::ports::KeptBundle;
use crate::refusal::Refusal;

/// How long an approved change waits to be looked at, should nothing have told of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Activates whatever was approved, until the future is dropped. What was approved before a restart is among it.
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

/// Activates one approved change. A grant that nothing comes of is voided, so that it is not tried again.
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

async fn try_release(gate: &Gate, grant: &Grant) -> Result<(), Refusal> {
    let (review, request) = approved(gate, grant).await?;
    if policies::is_stale(gate.policies.current().digest(), request.described()) {
        let stale = Refusal::new(Code::ProposalStale, "other policies came into force in the meantime");
        return pipeline::record_refusal(gate, &request, Err(stale)).await;
    }
    let authorized = pipeline::authorize(gate, &request, grant.clone()).await;
    let Some((authority, _)) = pipeline::record_refusal(gate, &request, authorized).await? else {
        return Err(Refusal::new(Code::ApprovalVoid, "the approval no longer holds")); // voided, and why is recorded
    };
    let author = request.described().requester.owner().id.clone();
    let (described, released) = (request.described().clone(), pipeline::release(gate, &request, authority).await);
    let (permit, _) = pipeline::record_refusal(gate, &request, released).await?;
    let (action, level, begun) = (permit.action().clone(), permit.level(), Instant::now());
    let opened = request.into_payload().open(permit).map_err(pipeline::unrecorded)?;
    let done = activate(gate, &described, &opened, (review, author)).await;
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
async fn approved(gate: &Gate, grant: &Grant) -> Result<(ReviewId, ActionRequest), Refusal> {
    let void = |message: &str| Refusal::new(Code::ApprovalVoid, message).review(&grant.review);
    let review = gate.store.review(&grant.review).await.map_err(pipeline::unrecorded)?;
    let review: Review = review.ok_or_else(|| void("its review is gone"))?.review;
    let payload = gate.bundles.change(grant.action).await.map_err(pipeline::unrecorded)?;
    let payload = SealedPayload::seal(payload.ok_or_else(|| void("its text is gone"))?.into_bytes());
    let id = ActionId::new(uuid::Uuid::now_v7().to_string());
    let described = Described { id, at: gate.scribe.now(), ..review.matter().described.clone() };
    let request = ActionRequest::new(described, payload).map_err(|_| void("its text is another than was approved"))?;
    Ok((grant.review.clone(), request))
}

async fn activate(
    gate: &Gate,
    described: &Described,
    payload: &[u8],
    (review, by): (ReviewId, PersonId),
) -> Result<(), Refusal> {
    let void = |message: String| Refusal::new(Code::ApprovalVoid, message);
    let Facts::Gate(facts) = &*described.facts else { return Err(void("it is no change of the gate".to_owned())) };
    let kept: KeptBundle = serde_json::from_slice(payload).map_err(|error| void(error.to_string()))?;
    let loading = tokio::task::spawn_blocking(move || policies::restored(kept)).await.map_err(pipeline::unrecorded)?;
    let Loaded { bundle, kept } = loading.map_err(|error| void(error.to_string()))?;
    if bundle.digest().to_string() != facts.to {
        return Err(void("the gateway reads its text in another way than when it was approved".to_owned()));
    }
    let stale = || Refusal::new(Code::ProposalStale, "other policies came into force in the meantime");
    let from = facts.from.parse().map_err(|_| stale())?;
    let why = Activation::Approved { review, by };
    gate.policies.activate(from, (Arc::new(bundle), kept), &why, &gate.scribe).await.map_err(|error| match error {
        policies::NotActivated::Stale => stale(),
        policies::NotActivated::Store(error) => pipeline::unrecorded(error),
    })
}
