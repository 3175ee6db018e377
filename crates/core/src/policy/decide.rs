//! The three-way decision.
//!
//! Each statement is evaluated with the approvals there are; what that denies, with every quorum any policy mentions.
//! The strictest statement holds, and any evaluation error of a `forbid`, in any evaluation, is a refusal: Cedar itself
//! would skip the policy and might allow.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    AuthorizationError, Context, Decision as CedarDecision, Effect, Entities, EntityUid, Request,
    RestrictedExpression as Value,
};

use crate::action::{ActionDigest, Described, Facts};
use crate::pattern::Limits;

use super::bundle::{Bundle, Meta};
use super::decision::{Decision, Denial, Obligations, Permitted, PolicyNote, Quorum, Terms};
use super::mask::Masks;
use super::protocol::{self, Ask};
use super::suffice;
use super::vocabulary::implied;
use super::world::{Circumstances, WorldError};

/// The most statements of one message that are decided on: 1,000 × some 30 µs stay below 50 ms.
pub const STATEMENTS_MAX: usize = 1_000;

/// The most evaluations spent on finding which quorums suffice: 2,048 × some 20 µs stay below 50 ms.
pub const SUFFICE_EVALUATIONS_MAX: usize = 2_048;

/// Why no decision could be reached; always a refusal.
#[derive(Debug)]
pub(super) enum Broken {
    /// The facts do not make a question.
    World(WorldError),
    /// The message holds too many statements.
    TooLong(usize),
    /// Forbids that failed to evaluate, with Cedar's words.
    Forbids(Vec<PolicyNote>),
}

impl From<WorldError> for Broken {
    fn from(error: WorldError) -> Self {
        Broken::World(error)
    }
}

impl Broken {
    fn code(&self) -> &'static str {
        match self {
            Broken::World(WorldError::UnknownPerson(_)) => "unknown_person",
            Broken::World(WorldError::UnknownAgent(_)) => "unknown_agent",
            Broken::World(WorldError::Facts(_)) | Broken::Forbids(_) => "policy_error",
            Broken::TooLong(_) => "too_many_statements",
        }
    }

    pub(super) fn notes(self) -> Vec<PolicyNote> {
        let core = |id: &str, text: String| vec![PolicyNote { id: id.to_owned(), text }];
        match self {
            Broken::World(error @ WorldError::Facts(_)) => core("core:facts", error.to_string()),
            Broken::World(error) => core("core:known-parties", error.to_string()),
            Broken::TooLong(count) => core(
                "core:statements",
                format!("the message holds {count} statements; at most {STATEMENTS_MAX} are decided on"),
            ),
            Broken::Forbids(notes) => notes,
        }
    }
}

/// One evaluation.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) allow: bool,
    /// The policies that determined it: the permits of an Allow, the forbids of a Deny.
    pub(super) reasons: BTreeSet<String>,
    /// Policies that failed to evaluate, with Cedar's words.
    pub(super) errors: BTreeMap<String, String>,
}

/// One statement's answers.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) action: &'static str,
    pub(super) label: String,
    /// With the approvals there are.
    pub(super) real: Answer,
    /// With every quorum; absent where `real` allows.
    pub(super) lifted: Option<Answer>,
}

/// Everything asked about one message.
pub(super) struct Message<'a> {
    bundle: &'a Bundle,
    principal: EntityUid,
    resource: EntityUid,
    entities: Cow<'a, Entities>,
    common: Vec<(String, Value)>,
    break_glass: bool,
    incident: bool,
    asks: Vec<Ask>,
}

impl Bundle {
    /// Decides on a message as things stand.
    ///
    /// Never fails: what cannot be decided is a [`Denial`], with the code `policy_error` (a forbid failed to evaluate, or
    /// the facts do not fit the schema), `unknown_person`, `unknown_agent` or `too_many_statements`.
    pub fn decide(&self, described: &Described, circumstances: &Circumstances<'_>) -> Decision {
        self.try_decide(described, circumstances).unwrap_or_else(|broken| self.broken(broken))
    }

    fn try_decide(&self, described: &Described, circumstances: &Circumstances<'_>) -> Result<Decision, Broken> {
        let digest = described.digest().map_err(|error| Broken::World(WorldError::facts(error)))?;
        let entities = self.world.for_action(described, circumstances.people)?;
        self.decide_among(described, digest, circumstances, &entities)
    }

    /// Decides among the entities of the question, which the caller has built or kept. `digest` is the action's.
    pub(super) fn decide_among(
        &self,
        described: &Described,
        digest: ActionDigest,
        circumstances: &Circumstances<'_>,
        entities: &Entities,
    ) -> Result<Decision, Broken> {
        let message = Message::new(self, described, circumstances, entities)?;
        let traces = message.traces(circumstances.approvals)?;
        if traces.iter().all(|trace| trace.real.allow) {
            let ids = traces.iter().flat_map(|trace| &trace.real.reasons);
            let masks = message.masks(&traces, circumstances.approvals)?;
            let policies = self.notes(ids, Meta::asking).into();
            return Ok(Decision::Permit(Permitted::new(digest, self.digest(), policies, masks)));
        }
        let finals: Vec<&Answer> =
            traces.iter().filter_map(|trace| trace.lifted.as_ref()).filter(|lifted| !lifted.allow).collect();
        if finals.is_empty() {
            return Ok(Decision::Review(message.terms(&traces, circumstances.approvals)?));
        }
        let ids: BTreeSet<&String> = finals.iter().flat_map(|answer| &answer.reasons).collect();
        let code = if ids.is_empty() { "no_permit" } else { "policy_denied" };
        Ok(self.deny(code, self.notes(ids, Meta::refusing)))
    }

    pub(super) fn broken(&self, broken: Broken) -> Decision {
        self.deny(broken.code(), broken.notes())
    }

    /// Whether no policy about these facts reads anything that changes by itself. Long messages are not looked at.
    pub(super) fn steady(&self, facts: &Facts, statements_max: usize) -> bool {
        let steady = |ask: &Ask| self.world.action(ask.action).is_ok_and(|action| self.index.steady(&action));
        protocol::length(facts) <= statements_max && protocol::asks(facts).iter().all(steady)
    }

    fn deny(&self, code: &str, policies: Vec<PolicyNote>) -> Decision {
        Decision::Deny(Denial { code: code.to_owned(), policies, bundle: self.digest() })
    }

    pub(super) fn notes<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a String>,
        note: impl Fn(&Meta) -> PolicyNote,
    ) -> Vec<PolicyNote> {
        let ids: BTreeSet<&String> = ids.into_iter().collect();
        ids.into_iter().filter_map(|id| self.meta.get(id)).map(note).collect()
    }

    /// Evaluates one request: any drawer's forbid denies; else any drawer's permit allows.
    pub(super) fn answer(&self, request: &Request, entities: &Entities) -> Answer {
        let (mut permits, mut forbids, mut errors) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        for policies in self.index.policies(request, entities) {
            let response = self.authorizer.is_authorized(request, policies, entities);
            let diagnostics = response.diagnostics();
            let reasons = diagnostics.reason().map(|id| AsRef::<str>::as_ref(id).to_owned());
            match response.decision() {
                CedarDecision::Allow => permits.extend(reasons),
                CedarDecision::Deny => forbids.extend(reasons),
            }
            errors.extend(diagnostics.errors().map(|error| match error {
                AuthorizationError::PolicyEvaluationError(error) => {
                    (AsRef::<str>::as_ref(error.policy_id()).to_owned(), error.inner().to_string())
                }
            }));
        }
        let allow = forbids.is_empty() && !permits.is_empty();
        Answer { allow, reasons: if allow { permits } else { forbids }, errors }
    }

    /// The same, where a forbid that fails is a refusal.
    pub(super) fn strict(&self, request: &Request, entities: &Entities) -> Result<Answer, Broken> {
        let answer = self.answer(request, entities);
        let broken: Vec<PolicyNote> = answer
            .errors
            .iter()
            .filter(|(id, _)| self.meta.get(*id).is_none_or(|meta| meta.effect == Effect::Forbid))
            .map(|(id, error)| PolicyNote { id: id.clone(), text: format!("this policy failed to evaluate: {error}") })
            .collect();
        if broken.is_empty() { Ok(answer) } else { Err(Broken::Forbids(broken)) }
    }
}

impl Meta {
    fn asking(&self) -> PolicyNote {
        self.annotations.asking()
    }

    pub(super) fn refusing(&self) -> PolicyNote {
        self.annotations.refusing()
    }
}

impl<'a> Message<'a> {
    pub(super) fn new(
        bundle: &'a Bundle,
        described: &Described,
        circumstances: &Circumstances<'_>,
        entities: &'a Entities,
    ) -> Result<Self, Broken> {
        let length = protocol::length(&described.facts);
        if length > STATEMENTS_MAX {
            return Err(Broken::TooLong(length));
        }
        let world = &bundle.world;
        let own = protocol::entities(&described.facts)?;
        let entities = match own.is_empty() {
            true => Cow::Borrowed(entities),
            false => {
                let with_own = entities.clone().add_entities(own, world.checked());
                Cow::Owned(with_own.map_err(WorldError::facts)?)
            }
        };
        Ok(Self {
            bundle,
            principal: world.principal_uid(&described.requester)?,
            resource: world.resource_uid(described)?,
            entities,
            common: world.context(described, circumstances)?,
            break_glass: circumstances.break_glass,
            incident: circumstances.incident,
            asks: protocol::asks(&described.facts),
        })
    }

    fn evaluate(&self, ask: &Ask, approvals: &BTreeSet<Quorum>) -> Result<Answer, Broken> {
        let request = self.request(ask, approvals)?;
        self.bundle.strict(&request, &self.entities)
    }

    /// As if nobody had approved, and no glass were broken.
    fn untouched(&self, ask: &Ask) -> Result<Answer, Broken> {
        self.bundle.strict(&self.question(ask, &BTreeSet::new(), false)?, &self.entities)
    }

    pub(super) fn request(&self, ask: &Ask, approvals: &BTreeSet<Quorum>) -> Result<Request, WorldError> {
        self.question(ask, approvals, self.break_glass)
    }

    fn question(&self, ask: &Ask, approvals: &BTreeSet<Quorum>, break_glass: bool) -> Result<Request, WorldError> {
        let world = &self.bundle.world;
        let own = [
            ("approvals".to_owned(), world.approvals(approvals)),
            ("breakGlass".to_owned(), Value::new_bool(break_glass)),
            (ask.group.to_owned(), super::world::record(ask.facts.iter().cloned())?),
        ];
        let incident = ask.sees_incidents.then(|| ("incident".to_owned(), Value::new_bool(self.incident)));
        let all = self.common.iter().cloned().chain(own).chain(incident);
        let context = Context::from_pairs(all).map_err(WorldError::facts)?;
        let action = world.action(ask.action)?;
        let (principal, resource) = (self.principal.clone(), self.resource.clone());
        Request::new(principal, action, resource, context, world.checked()).map_err(WorldError::facts)
    }

    /// Each statement with the approvals there are, and where that denies, with every quorum.
    pub(super) fn traces(&self, approvals: &BTreeSet<Quorum>) -> Result<Vec<Trace>, Broken> {
        let approvals = implied(approvals);
        self.asks.iter().map(|ask| self.trace(ask, &approvals)).collect()
    }

    pub(super) fn trace(&self, ask: &Ask, approvals: &BTreeSet<Quorum>) -> Result<Trace, Broken> {
        let real = self.evaluate(ask, approvals)?;
        let lifted = match real.allow {
            true => None,
            false => Some(self.evaluate(ask, &implied(self.bundle.every_quorum()))?),
        };
        Ok(Trace { action: ask.action, label: ask.label.clone(), real, lifted })
    }

    pub(super) fn asks(&self) -> &[Ask] {
        &self.asks
    }

    /// The terms of a review for statements that quorums can lift.
    ///
    /// What suffices, and the obligations, are those of the whole message as if nobody had approved yet, so that they stay
    /// the same while approvals come in; the policies are those that still stand in the way.
    pub(super) fn terms(&self, traces: &[Trace], approvals: &BTreeSet<Quorum>) -> Result<Terms, Broken> {
        let in_the_way = traces.iter().filter(|trace| !trace.real.allow).flat_map(|trace| &trace.real.reasons);
        let policies = self.bundle.notes(in_the_way, Meta::asking);
        let waiting = self.waiting(traces, approvals)?;
        let mut obligations = Obligations::default();
        for meta in waiting.policies.iter().filter_map(|id| self.bundle.meta.get(id)) {
            obligations.add(&meta.annotations.obligations);
        }
        obligations.pattern = self.pattern(&waiting);
        obligations.masks = self.masks(traces, approvals)?.columns().clone();
        let suffices = self.suffices(&waiting)?;
        Ok(Terms { policies, suffices, obligations, bundle: self.bundle.digest() })
    }

    /// How often and for how long the like may be approved: what every forbid in the way lets.
    fn pattern(&self, waiting: &Waiting<'_>) -> Option<Limits> {
        let forbids = waiting.policies.iter().filter_map(|id| self.bundle.meta.get(id));
        let mut limits =
            forbids.filter(|meta| meta.effect == Effect::Forbid).map(|meta| meta.annotations.obligations.pattern);
        let first = limits.next()?;
        limits.fold(first, |all, one| Some(all?.stricter(one?)))
    }

    /// The masks of every policy with a say in the message: the permits it has or would have, and the forbids in its way
    /// before anybody approved or broke the glass. These lift a forbid; they do not lift what it asks to be hidden.
    fn masks(&self, traces: &[Trace], approvals: &BTreeSet<Quorum>) -> Result<Masks, Broken> {
        let mut masks = Masks::default();
        if !self.bundle.masks {
            return Ok(masks);
        }
        for (ask, trace) in self.asks.iter().zip(traces) {
            let none = match approvals.is_empty() && !self.break_glass {
                true => None,
                false => Some(self.untouched(ask)?),
            };
            let answers = [Some(&trace.real), trace.lifted.as_ref(), none.as_ref()];
            for id in answers.into_iter().flatten().flat_map(|answer| &answer.reasons) {
                if let Some(meta) = self.bundle.meta.get(id) {
                    masks.add(id, &meta.annotations.obligations.masks);
                }
            }
        }
        Ok(masks)
    }

    /// The statements that need approvals, whether or not those are there already, and the policies with a say in it: the
    /// forbids in their way, and the permits they have once these are lifted.
    fn waiting<'t>(&'t self, traces: &'t [Trace], approvals: &BTreeSet<Quorum>) -> Result<Waiting<'t>, Broken> {
        let mut waiting = Waiting { asks: Vec::new(), policies: BTreeSet::new() };
        for (ask, trace) in self.asks.iter().zip(traces) {
            let none = match approvals.is_empty() {
                true => trace.real.clone(),
                false => self.evaluate(ask, &BTreeSet::new())?,
            };
            if none.allow && trace.real.allow {
                continue;
            }
            let lifted = trace.lifted.iter().flat_map(|lifted| lifted.reasons.iter().cloned());
            waiting.policies.extend(none.reasons.into_iter().chain(trace.real.reasons.iter().cloned()).chain(lifted));
            waiting.asks.push(ask);
        }
        Ok(waiting)
    }

    /// The minimal sets of quorums with which every waiting statement is allowed.
    ///
    /// Looks among the quorums of the policies that are in the way; where those do not suffice (a policy that approvals
    /// call into play), among all.
    fn suffices(&self, waiting: &Waiting<'_>) -> Result<Vec<BTreeSet<Quorum>>, Broken> {
        let meta = waiting.policies.iter().filter_map(|id| self.bundle.meta.get(id));
        let near: BTreeSet<Quorum> = meta.flat_map(|meta| meta.quorums.iter().cloned()).collect();
        let points_max = SUFFICE_EVALUATIONS_MAX / waiting.asks.len().max(1);
        let enough = |approvals: &BTreeSet<Quorum>| self.allowed(&waiting.asks, approvals);
        let found = suffice::minimal_sets(&near, points_max, enough)?;
        if !found.is_empty() {
            return Ok(found);
        }
        suffice::minimal_sets(self.bundle.every_quorum(), points_max, enough)
    }

    fn allowed(&self, asks: &[&Ask], approvals: &BTreeSet<Quorum>) -> Result<bool, Broken> {
        for ask in asks {
            if !self.evaluate(ask, approvals)?.allow {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The part of a message that needs approvals.
struct Waiting<'a> {
    asks: Vec<&'a Ask>,
    policies: BTreeSet<String>,
}
