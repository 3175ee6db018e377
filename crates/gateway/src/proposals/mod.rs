//! Changes of the gate as actions: proposed by a person, decided by the rules in force, and made once.
//!
//! A proposal walks the line that every action walks ([`pipeline`](crate::pipeline)): it is described, policy is asked, a
//! review is opened, votes come in through [`resolve`](crate::resolve), and what was reviewed is what comes into force,
//! because its whole text is the sealed payload. What is different is only who waits: nobody does. The approved change is
//! made by [`release`], also after a restart.
//!
//! This file is the line that every part of the gate has in common. What a part is, what its change means and how it is made
//! is its own: [`policies`], the files in the policies folder; [`people`], people and agents with their groups and accounts;
//! [`targets`], what agents reach.

mod people;
mod policies;
mod release;
mod targets;

use std::collections::BTreeSet;

use countersign_core::action::gate::GateFacts;
use countersign_core::action::impact::Impact;
use countersign_core::action::redact::Shown;
use countersign_core::action::{
    ActionId, ActionRequest, BundleDigest, Described, Facts, PersonId, Requester, SealedPayload, SessionFacts,
    Timestamp,
};
use countersign_core::policy::{Decision, gate_target};
use countersign_core::review::{REASON_BYTES_MAX, Review};

pub use people::Take;
pub use release::release_all;

use crate::codes::Code;
use crate::config::PolicyChanges;
use crate::gate::{Change, Gate};
use crate::identity::closure::LOOK_BACK_SECONDS;
use crate::identity::{Caller, SignedIn, changes};
use crate::pipeline;
use crate::ports::{Asked, Person, Role, Scope};
use crate::refusal::Refusal;

/// The longest account of a change that a card shows. A longer change is refused: nobody approves what nobody can see.
const SHOWN_BYTES_MAX: usize = 256 * 1024;

/// What somebody proposes.
#[derive(Debug, Clone)]
pub enum Wish {
    /// That the files in the policies folder come into force, as they were looked at.
    Policies(BundleDigest),
    /// That a target comes into force as the configuration has it, with the digest that was looked at.
    Target(String, String),
    /// A change of people or agents that permits more.
    People(changes::Change),
    /// One that permits less: nobody has to be asked.
    Take(Take),
}

/// What became of a proposal.
#[derive(Debug, Clone)]
pub enum Proposed {
    /// It permits nothing more, or was approved already, and is in force.
    InForce,
    /// People are asked.
    Waits(Box<Review>),
}

/// What people would be asked about.
struct Prepared {
    facts: GateFacts,
    /// What it means, in words.
    text: String,
    /// What would come into force, byte for byte.
    payload: String,
    /// Who stands on the author's side because of what the change is.
    gainers: BTreeSet<PersonId>,
}

/// Proposes a change of the gate.
///
/// # Errors
/// [`Refusal`]; nothing was changed, and what policy refused is recorded.
pub async fn propose(gate: &Gate, caller: &Caller, wish: Wish, reason: Option<String>) -> Result<Proposed, Refusal> {
    let author = &author(caller, reason.as_deref())?.person;
    let prepared = match wish {
        Wish::Take(take) => return people::take(gate, author, &take).await.map(|()| Proposed::InForce),
        Wish::Target(name, digest) => {
            asked(gate)?;
            targets::prepare(gate, &name, &digest)?
        }
        Wish::People(change) => {
            asked(gate)?;
            people::prepare(gate, &change).await?
        }
        Wish::Policies(files) => {
            asked(gate)?;
            match policies::prepare(gate, author, files).await? {
                Some(prepared) => prepared,
                None => return Ok(Proposed::InForce),
            }
        }
    };
    ask(gate, author, prepared, reason).await
}

/// Only a person who may take part proposes.
fn author<'a>(caller: &'a Caller, reason: Option<&str>) -> Result<&'a SignedIn, Refusal> {
    let signed_in = match caller {
        Caller::Person(signed_in) if signed_in.scope >= Scope::ReviewVote => signed_in,
        Caller::Person(_) => return Err(Refusal::new(Code::Forbidden, "this token may read, not propose changes")),
        Caller::Agent(_) => return Err(Refusal::new(Code::Forbidden, "an agent proposes no changes of the gate")),
    };
    if signed_in.person.roles.contains(&Role::Auditor) {
        return Err(Refusal::new(Code::Forbidden, "an auditor reads everything and changes nothing"));
    }
    if reason.is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        let message = format!("a reason has at most {REASON_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::ReasonInvalid, message));
    }
    Ok(signed_in)
}

/// Changes are proposed only where people are asked about them.
fn asked(gate: &Gate) -> Result<(), Refusal> {
    match gate.config.changes {
        PolicyChanges::Review => Ok(()),
        PolicyChanges::File => {
            let message = "policy files, targets, and what is done on the gateway's host, are taken as they are here: set \
                           `changes = \"review\"` under `[policy]` to have people asked";
            Err(Refusal::new(Code::ProposalsOff, message))
        }
    }
}

/// Asks people about a change, unless policy refuses it or they approved the same before.
async fn ask(gate: &Gate, author: &Person, prepared: Prepared, reason: Option<String>) -> Result<Proposed, Refusal> {
    let fingerprint = format!("gate:{}:{}", prepared.facts.part.name(), prepared.facts.to);
    let kept = prepared.payload.clone();
    let request = request(gate, author, prepared, reason)?;
    let none = BTreeSet::new();
    let terms = match pipeline::decide(gate, &request, &none) {
        Decision::Review(terms) => terms,
        Decision::Deny(denial) => return refuse(gate, &request, unchangeable(Refusal::denied(denial))).await,
        Decision::Permit(_) => {
            let message = "no policy can permit a change of the gate that nobody approved";
            return refuse(gate, &request, Refusal::new(Code::PolicyError, message)).await;
        }
    };
    gate.bundles.keep_change(request.digest(), kept, gate.scribe.now()).await.map_err(pipeline::unrecorded)?;
    match pipeline::ask(gate, fingerprint, &request, &terms, None).await? {
        Asked::Opened(review) => {
            gate.changes.tell(Change::Review);
            Ok(Proposed::Waits(Box::new(review)))
        }
        Asked::Joined(review) => Ok(Proposed::Waits(Box::new(review))),
        Asked::Granted(grant) => {
            release::release(gate, grant).await?;
            Ok(Proposed::InForce)
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

/// The change as an action of its author. Its digest binds what is in force, and all of what would be.
fn request(gate: &Gate, author: &Person, prepared: Prepared, reason: Option<String>) -> Result<ActionRequest, Refusal> {
    let Prepared { facts, text, payload, gainers } = prepared;
    let at = gate.scribe.now();
    let payload = SealedPayload::seal(payload.into_bytes());
    let described = Described {
        id: ActionId::new(uuid::Uuid::now_v7().to_string()),
        requester: Requester::Person { person: author.as_ref() }.into(),
        on_behalf_of: author.as_ref().into(),
        closure: side(author, gainers, at).into(),
        target: gate_target(facts.part).into(),
        facts: Facts::Gate(facts).into(),
        session: SessionFacts::default().into(),
        shown: shown(text)?,
        impact: Impact::default(),
        reason: reason.filter(|reason| !reason.trim().is_empty()),
        payload: payload.digest(),
        at,
    };
    ActionRequest::new(described, payload).map_err(pipeline::unrecorded)
}

/// The author, whoever gave them what they are within the last 30 days, and whoever gains by the change.
fn side(author: &Person, gainers: BTreeSet<PersonId>, now: Timestamp) -> BTreeSet<PersonId> {
    let since = now.plus_seconds(-LOOK_BACK_SECONDS);
    let by = author.elevations.iter().filter(|elevation| elevation.at >= since).map(|elevation| elevation.by.clone());
    by.chain([author.id.clone()]).chain(gainers).collect()
}

fn shown(text: String) -> Result<Shown, Refusal> {
    if text.len() > SHOWN_BYTES_MAX {
        let message =
            format!("the change takes {} bytes to show; propose it in parts of at most {SHOWN_BYTES_MAX}", text.len());
        return Err(Refusal::new(Code::TooLarge, message));
    }
    Ok(Shown { text, ..Shown::default() })
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
