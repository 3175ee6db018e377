//! Why a decision came out as it did, for people: `countersign policy explain`.

use std::collections::BTreeSet;

use cedar_policy::Effect;
use serde::Serialize;

use crate::action::{BundleDigest, Described};

use super::bundle::Bundle;
use super::decide::{Answer, Broken, Message, Trace};
use super::decision::{Decision, Denial, Obligations, Quorum, Terms};
use super::world::Circumstances;

/// The three answers, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Allowed as things stand.
    Permit,
    /// Allowed once the right people approve.
    Review,
    /// Refused, whoever approves.
    Deny,
}

/// A decision and what led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The answer for the whole message.
    pub outcome: Outcome,
    /// The code of a refusal.
    pub code: Option<String>,
    /// The policies that determined it.
    pub policies: Vec<Determining>,
    /// The smallest sets of quorums of which any one suffices, for a review.
    pub suffices: Vec<BTreeSet<Quorum>>,
    /// What the policies attach, for a review.
    pub obligations: Option<Obligations>,
    /// Statement by statement; empty when nothing could be asked.
    pub statements: Vec<StatementExplanation>,
    /// The bundle that was asked.
    pub bundle: BundleDigest,
}

/// One statement's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementExplanation {
    /// Its action in policy's words, `sql:write` say.
    pub action: String,
    /// Its verb.
    pub verb: String,
    /// Its own answer.
    pub outcome: Outcome,
    /// The policies that determined it: permits, the forbids in the way, or the forbids that nothing lifts.
    pub policies: Vec<Determining>,
    /// Policies that failed to evaluate, with the reason.
    pub errors: Vec<Determining>,
}

/// A policy that determined an answer, or failed to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Determining {
    /// Its id.
    pub id: String,
    /// `permit` or `forbid`; empty for what no policy says.
    pub effect: String,
    /// Its text for people, or the error.
    pub text: String,
}

impl Bundle {
    /// Decides as [`Bundle::decide`] does, and says why, statement by statement.
    pub fn explain(&self, described: &Described, circumstances: &Circumstances<'_>) -> Explanation {
        let statements = self.statements(described, circumstances);
        let bundle = self.digest();
        match self.decide(described, circumstances) {
            Decision::Permit(permitted) => {
                let notes = permitted.policies().iter().map(|note| self.determining(&note.id, &note.text));
                explanation(Outcome::Permit, notes.collect(), statements, bundle)
            }
            Decision::Review(Terms { policies, suffices, obligations, .. }) => {
                let notes = policies.iter().map(|note| self.determining(&note.id, &note.text)).collect();
                let base = explanation(Outcome::Review, notes, statements, bundle);
                Explanation { suffices, obligations: Some(obligations), ..base }
            }
            Decision::Deny(Denial { code, policies, .. }) => {
                let notes = policies.iter().map(|note| self.determining(&note.id, &note.text)).collect();
                let base = explanation(Outcome::Deny, notes, statements, bundle);
                Explanation { code: Some(code), ..base }
            }
        }
    }

    fn statements(&self, described: &Described, circumstances: &Circumstances<'_>) -> Vec<StatementExplanation> {
        let Ok(entities) = self.world.for_action(described, circumstances.people) else { return Vec::new() };
        let Ok(message) = Message::new(self, described, circumstances, &entities) else { return Vec::new() };
        let asks = message.asks().iter();
        asks.map(|ask| match message.trace(ask, circumstances.approvals) {
            Ok(trace) => self.statement(trace),
            Err(broken) => self.failed(ask.action, &ask.label, broken),
        })
        .collect()
    }

    fn statement(&self, trace: Trace) -> StatementExplanation {
        let (outcome, answer): (Outcome, &Answer) = match &trace.lifted {
            None => (Outcome::Permit, &trace.real),
            Some(lifted) if lifted.allow => (Outcome::Review, &trace.real),
            Some(lifted) => (Outcome::Deny, lifted),
        };
        let text = |id: &str| self.meta.get(id).map(|meta| meta.annotations.clone()).unwrap_or_default();
        let note = |id: &str| match outcome {
            Outcome::Permit | Outcome::Review => text(id).asking().text,
            Outcome::Deny => text(id).refusing().text,
        };
        StatementExplanation {
            action: trace.action.to_owned(),
            verb: trace.label,
            outcome,
            policies: answer.reasons.iter().map(|id| self.determining(id, &note(id))).collect(),
            errors: answer.errors.iter().map(|(id, error)| self.determining(id, error)).collect(),
        }
    }

    fn failed(&self, action: &str, verb: &str, broken: Broken) -> StatementExplanation {
        let errors = broken.notes().into_iter().map(|note| self.determining(&note.id, &note.text)).collect();
        StatementExplanation {
            action: action.to_owned(),
            verb: verb.to_owned(),
            outcome: Outcome::Deny,
            policies: Vec::new(),
            errors,
        }
    }

    fn determining(&self, id: &str, text: &str) -> Determining {
        let effect = match self.meta.get(id).map(|meta| meta.effect) {
            Some(Effect::Permit) => "permit",
            Some(Effect::Forbid) => "forbid",
            None => "",
        };
        Determining { id: id.to_owned(), effect: effect.to_owned(), text: text.to_owned() }
    }
}

fn explanation(
    outcome: Outcome,
    policies: Vec<Determining>,
    statements: Vec<StatementExplanation>,
    bundle: BundleDigest,
) -> Explanation {
    Explanation { outcome, code: None, policies, suffices: Vec::new(), obligations: None, statements, bundle }
}
