//! What waits for people is released under the stricter of two bundles: the one its review was opened under, and the one in
//! force. A change of the policies in between can take a permission away and cannot give one.

use std::sync::Arc;

use countersign_core::action::Described;
use countersign_core::policy::{Bundle, Decision, Permitted, Quorum};
use countersign_core::review::{Review, Vote, tokens};

use super::{Refusal, unrecorded};
use crate::gate::Gate;
use crate::resolve;

/// What is to be released: the review, the action as it would run, the votes that count for both, and whether the glass was
/// broken for it.
pub(super) struct Release<'a> {
    pub(super) review: &'a Review,
    pub(super) request: &'a Described,
    pub(super) standing: &'a [Vote],
    pub(super) broken: bool,
}

/// Why the bundle that the review was opened under does not let it run, if it does not; `permitted` is the answer of the
/// bundle in force.
pub(super) async fn objection(
    gate: &Gate,
    release: &Release<'_>,
    permitted: &Permitted,
) -> Result<Option<&'static str>, Refusal> {
    let opened_under = release.review.matter().terms.bundle;
    if opened_under == permitted.bundle() {
        return Ok(None);
    }
    match gate.policies.bundle(opened_under).await.map_err(unrecorded)? {
        None => Ok(Some("the policies it was opened under are not kept any more")),
        Some(bundle) => Ok(objects(gate, bundle, release, permitted)),
    }
}

fn objects(gate: &Gate, then: Arc<Bundle>, release: &Release<'_>, permitted: &Permitted) -> Option<&'static str> {
    let Release { review, request, standing, broken } = *release;
    let moment = gate.moment().under(then);
    let reviewed = &review.matter().described;
    let standing: Vec<Vote> = standing
        .iter()
        .filter_map(|vote| resolve::standing(&moment, reviewed, vote))
        .filter_map(|vote| resolve::standing(&moment, request, &vote))
        .collect();
    let approvals: std::collections::BTreeSet<Quorum> = match broken {
        true => resolve::beside(review, standing),
        false => tokens(&standing),
    };
    match moment.bundle.decide(request, &moment.with_glass(request, &approvals, broken)) {
        Decision::Permit(before) => {
            let masked = permitted.masks().columns();
            let as_hidden = before.masks().columns().iter().all(|(column, mask)| masked.get(column) == Some(mask));
            (!as_hidden).then_some("the policies it was opened under hide more of its answer")
        }
        Decision::Deny(_) | Decision::Review(_) => Some("the policies it was opened under do not permit it"),
    }
}
