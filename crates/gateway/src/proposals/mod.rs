//! Changes of the gate as actions: proposed by a person, decided by the rules in force, and activated once.
//!
//! A proposal walks the line that every action walks ([`pipeline`](crate::pipeline)): it is described, policy is asked, a
//! review is opened, votes come in through [`resolve`](crate::resolve), and what was reviewed is what comes into force,
//! because its whole text is the sealed payload. What is different is only who waits: nobody does. The approved change is
//! activated by [`release`], also after a restart.
//!
//! Proposed is what lies in the policies folder, by its digest: the person who proposes it answers for it. Files that
//! nobody proposed have no author, and stay out of force.

mod release;

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::action::gate::{GateFacts, GatePart};
use countersign_core::action::impact::Impact;
use countersign_core::action::redact::Shown;
use countersign_core::action::{
    ActionId, ActionRequest, BundleDigest, Described, Facts, PersonId, PersonRef, Requester, SealedPayload,
    SessionFacts, Timestamp,
};
use countersign_core::policy::{Decision, gate_target};
use countersign_core::review::{REASON_BYTES_MAX, Review};

pub use release::release_all;

use crate::codes::Code;
use crate::config::PolicyChanges;
use crate::gate::{Change, Gate};
use crate::identity::closure::LOOK_BACK_SECONDS;
use crate::identity::{Caller, SignedIn};
use crate::pipeline;
use crate::policies::{Activation, Examined, NotActivated};
use crate::ports::{Asked, Person, Role, Scope};
use crate::refusal::Refusal;

/// The longest account of a change that a card shows. A longer change is refused: nobody approves what nobody can see.
const SHOWN_BYTES_MAX: usize = 256 * 1024;

/// What somebody proposes.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The files in the policies folder, as they were looked at.
    pub files: BundleDigest,
    /// Why, in their own words.
    pub reason: Option<String>,
}

/// What became of a proposal.
#[derive(Debug, Clone)]
pub enum Proposed {
    /// It permits nothing more, and is in force.
    InForce(BundleDigest),
    /// People are asked.
    Waits(Box<Review>),
}

/// Proposes the files in the policies folder.
///
/// # Errors
/// [`Refusal`]; nothing was changed, and what policy refused is recorded.
pub async fn propose(gate: &Gate, caller: &Caller, wish: Wish) -> Result<Proposed, Refusal> {
    let author = author(gate, caller, &wish)?;
    let examined = examined(gate, wish.files).await?;
    if examined.effect.is_stricter() {
        return tighten(gate, &author.person, &examined).await;
    }
    let request = request(gate, &author.person, &examined, wish.reason)?;
    let none = BTreeSet::new();
    let terms = match pipeline::decide(gate, &request, &none) {
        Decision::Review(terms) => terms,
        Decision::Deny(denial) => return refuse(gate, &request, unchangeable(Refusal::denied(denial))).await,
        Decision::Permit(_) => {
            let message = "no policy can permit a change of the gate that nobody approved";
            return refuse(gate, &request, Refusal::new(Code::PolicyError, message)).await;
        }
    };
    let payload = payload(&examined)?;
    gate.bundles.keep_change(request.digest(), payload, gate.scribe.now()).await.map_err(pipeline::unrecorded)?;
    let fingerprint = format!("gate:policies:{}", examined.bundle.digest());
    match pipeline::ask(gate, fingerprint, &request, &terms, None).await? {
        Asked::Opened(review) => {
            gate.changes.tell(Change::Review);
            Ok(Proposed::Waits(Box::new(review)))
        }
        Asked::Joined(review) => Ok(Proposed::Waits(Box::new(review))),
        Asked::Granted(grant) => {
            release::release(gate, grant).await?;
            Ok(Proposed::InForce(gate.policies.current().digest()))
        }
        Asked::RejectedRecently { review, until } => {
            let message = format!("the same was rejected a short while ago; it may be proposed again at {until}");
            refuse(gate, &request, Refusal::new(Code::RejectedRecently, message).review(&review)).await
        }
        Asked::TooMany { limit } => {
            let message = format!("{limit} reviews are open already; withdraw some, or wait for them to be decided");
            refuse(gate, &request, Refusal::new(Code::TooManyReviews, message)).await
        }
    }
}

/// Only a person who may take part proposes, and only where changes are proposed at all.
fn author<'a>(gate: &Gate, caller: &'a Caller, wish: &Wish) -> Result<&'a SignedIn, Refusal> {
    let signed_in = match caller {
        Caller::Person(signed_in) if signed_in.scope >= Scope::ReviewVote => signed_in,
        Caller::Person(_) => return Err(Refusal::new(Code::Forbidden, "this token may read, not propose changes")),
        Caller::Agent(_) => return Err(Refusal::new(Code::Forbidden, "an agent proposes no changes of the gate")),
    };
    if signed_in.person.roles.contains(&Role::Auditor) {
        return Err(Refusal::new(Code::Forbidden, "an auditor reads everything and changes nothing"));
    }
    if gate.config.changes != PolicyChanges::Review {
        let message = "policy files are taken as they are here: set `changes = \"review\"` under `[policy]` to have \
                       people asked";
        return Err(Refusal::new(Code::ProposalsOff, message));
    }
    if wish.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        let message = format!("a reason has at most {REASON_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::ReasonInvalid, message));
    }
    Ok(signed_in)
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
async fn tighten(gate: &Gate, author: &Person, examined: &Examined) -> Result<Proposed, Refusal> {
    let why = Activation::Stricter { by: Some(author.id.clone()) };
    let to = (examined.bundle.clone(), examined.kept.clone());
    match gate.policies.activate(examined.from, to, &why, &gate.scribe).await {
        Ok(()) => Ok(Proposed::InForce(examined.bundle.digest())),
        // the watcher may have been first with the same files
        Err(NotActivated::Stale) if gate.policies.current().digest() == examined.bundle.digest() => {
            Ok(Proposed::InForce(examined.bundle.digest()))
        }
        Err(error @ NotActivated::Stale) => Err(Refusal::new(Code::ProposalStale, error.to_string())),
        Err(error @ NotActivated::Store(_)) => Err(pipeline::unrecorded(error)),
    }
}

/// The change as an action of its author. Its digest binds what is in force, and the whole text that would be.
fn request(
    gate: &Gate,
    author: &Person,
    examined: &Examined,
    reason: Option<String>,
) -> Result<ActionRequest, Refusal> {
    let person = PersonRef { id: author.id.clone(), name: author.name.clone() };
    let at = gate.scribe.now();
    let payload = SealedPayload::seal(payload(examined)?.into_bytes());
    let described = Described {
        id: ActionId::new(uuid::Uuid::now_v7().to_string()),
        requester: Requester::Person { person: person.clone() }.into(),
        on_behalf_of: person.into(),
        closure: side(author, at).into(),
        target: gate_target(GatePart::Policies).into(),
        facts: Facts::Gate(facts(examined)).into(),
        session: SessionFacts::default().into(),
        shown: shown(examined)?,
        impact: Impact::default(),
        reason: reason.filter(|reason| !reason.trim().is_empty()),
        payload: payload.digest(),
        at,
    };
    ActionRequest::new(described, payload).map_err(pipeline::unrecorded)
}

/// The author, and whoever gave them what they are within the last 30 days.
fn side(author: &Person, now: Timestamp) -> BTreeSet<PersonId> {
    let since = now.plus_seconds(-LOOK_BACK_SECONDS);
    let by = author.elevations.iter().filter(|elevation| elevation.at >= since).map(|elevation| elevation.by.clone());
    by.chain([author.id.clone()]).collect()
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
    GateFacts { part: GatePart::Policies, from, to, added, changed, removed }
}

fn shown(examined: &Examined) -> Result<Shown, Refusal> {
    let text = examined.effect.words();
    if text.len() > SHOWN_BYTES_MAX {
        let message =
            format!("the change takes {} bytes to show; propose it in parts of at most {SHOWN_BYTES_MAX}", text.len());
        return Err(Refusal::new(Code::TooLarge, message));
    }
    Ok(Shown { text, ..Shown::default() })
}

/// What would come into force, byte for byte.
fn payload(examined: &Examined) -> Result<String, Refusal> {
    serde_json::to_string(&examined.kept).map_err(pipeline::unrecorded)
}

async fn refuse<T>(gate: &Gate, request: &ActionRequest, refusal: Refusal) -> Result<T, Refusal> {
    pipeline::record_refusal(gate, request, Err(refusal)).await
}

/// What to do where the policies in force let nobody change them.
fn unchangeable(refusal: Refusal) -> Refusal {
    refusal.hint(
        "the policies in force let nobody approve this change; whoever runs the gateway can restart it with \
         `changes = \"file\"`, which takes the files as they are and says so in the record",
    )
}
