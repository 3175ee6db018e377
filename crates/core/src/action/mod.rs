//! An action as the gateway understands it: *subject, action, resource, context*, and the sealed bytes.
//!
//! First step of the line: a protocol describes what it captured as an [`ActionRequest`]. What it cannot describe is
//! opaque, which policy treats as the most dangerous thing it could be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod canonical;
pub mod digest;
pub mod gate;
mod ids;
pub mod impact;
mod job;
mod payload;
pub mod redact;
mod repeat;
pub mod request;
pub mod sql;
mod time;

pub use digest::{ActionDigest, BundleDigest, CardDigest, FrameDigest, PatternDigest, PayloadDigest, ValueDigest};
pub use ids::{ActionId, AgentId, GrantId, PatternId, PersonId, ReviewId};
pub use job::Job;
pub use payload::{NotThisPayload, SealedPayload};
pub use repeat::Repeats;
pub use time::Timestamp;

use self::gate::GateFacts;
use self::request::{AwsFacts, HttpFacts, KubernetesFacts, RequestClass};
use self::sql::{SqlClass, SqlFacts};

/// A person as a request knows them: the handle that counts, and the name that is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PersonRef {
    /// The handle; comparisons use nothing else.
    pub id: PersonId,
    /// The name at the time of the request.
    pub name: String,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Requester {
    /// A person with a client of their own.
    Person {
        /// Who.
        person: PersonRef,
    },
    /// A workload identity with an owner.
    Agent {
        /// Its handle.
        id: AgentId,
        /// Its name: what it logs in as.
        name: String,
        /// The person who answers for it.
        owner: PersonRef,
        /// The job that logged in as it, where a trusted issuer says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<Box<Job>>,
    },
}

impl Requester {
    /// The name shown in cards and messages.
    pub fn name(&self) -> &str {
        match self {
            Requester::Person { person } => &person.name,
            Requester::Agent { name, .. } => name,
        }
    }

    /// `person` or `agent`.
    pub fn kind(&self) -> &'static str {
        match self {
            Requester::Person { .. } => "person",
            Requester::Agent { .. } => "agent",
        }
    }

    /// The handle of the requester itself.
    pub fn handle(&self) -> &str {
        match self {
            Requester::Person { person } => person.id.as_str(),
            Requester::Agent { id, .. } => id.as_str(),
        }
    }

    /// The job behind it, where a trusted issuer said which.
    pub fn job(&self) -> Option<&Job> {
        match self {
            Requester::Person { .. } => None,
            Requester::Agent { job, .. } => job.as_deref(),
        }
    }

    /// The person who answers for this requester: the owner of an agent, the person themselves otherwise.
    pub fn owner(&self) -> &PersonRef {
        match self {
            Requester::Person { person } => person,
            Requester::Agent { owner, .. } => owner,
        }
    }
}

/// Where an environment's rules apply. What is not known to be something else is production.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// A developer's own.
    Dev,
    /// A rehearsal.
    Staging,
    /// The real thing, and the default.
    #[default]
    Production,
}

impl Environment {
    /// The name used in configuration, policies and cards.
    pub fn name(self) -> &'static str {
        match self {
            Environment::Dev => "dev",
            Environment::Staging => "staging",
            Environment::Production => "production",
        }
    }
}

/// How bad it would be to get a target wrong, from 0 (nothing to lose) to 3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// 0
    None,
    /// 1
    Low,
    /// 2
    Medium,
    /// 3, and the default: what is not labelled is treated as the worst.
    #[default]
    High,
}

impl Sensitivity {
    /// The name used in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Sensitivity::None => "none",
            Sensitivity::Low => "low",
            Sensitivity::Medium => "medium",
            Sensitivity::High => "high",
        }
    }

    /// The number policies compare with, 0 to 3.
    pub fn level(self) -> i64 {
        match self {
            Sensitivity::None => 0,
            Sensitivity::Low => 1,
            Sensitivity::Medium => 2,
            Sensitivity::High => 3,
        }
    }
}

/// The upstream an action is meant for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its name in the configuration.
    pub name: String,
    /// Its environment.
    pub environment: Environment,
    /// Its sensitivity.
    pub sensitivity: Sensitivity,
    /// Which generation of its upstream address and credential this is; a rotation voids open approvals.
    pub generation: String,
}

/// What is to be done, as typed facts per protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "protocol")]
pub enum Facts {
    /// A PostgreSQL message.
    Sql(SqlFacts),
    /// A request to an HTTP API.
    Http(HttpFacts),
    /// A request to a Kubernetes API server.
    Kubernetes(KubernetesFacts),
    /// A request to AWS.
    Aws(AwsFacts),
    /// A change of the gate itself.
    Gate(GateFacts),
}

impl Facts {
    /// The name of the whole action: that of its most dangerous part.
    pub fn action(&self) -> String {
        match self {
            Facts::Sql(facts) => format!("sql:{}", facts.class.name()),
            Facts::Http(facts) => format!("http:{}", facts.class.name()),
            Facts::Kubernetes(facts) => format!("k8s:{}", facts.class.name()),
            Facts::Aws(facts) => format!("aws:{}", facts.class.name()),
            Facts::Gate(_) => "gate:change".to_owned(),
        }
    }

    /// Whether it is one of policy's `admin` actions: it changes definitions, rights or the gate, or could.
    pub fn is_admin(&self) -> bool {
        match self {
            Facts::Sql(facts) => matches!(facts.class, SqlClass::Ddl | SqlClass::Admin | SqlClass::Opaque),
            Facts::Http(HttpFacts { class, .. })
            | Facts::Kubernetes(KubernetesFacts { class, .. })
            | Facts::Aws(AwsFacts { class, .. }) => class.is_admin(),
            Facts::Gate(_) => true,
        }
    }

    /// What a person would call each part of it: the verbs of statements, the operation of a request.
    pub fn verbs(&self) -> Vec<String> {
        match self {
            Facts::Sql(facts) => facts.statements.iter().map(|statement| statement.verb.clone()).collect(),
            Facts::Http(facts) => vec![facts.verb().to_owned()],
            Facts::Kubernetes(facts) => vec![facts.verb.clone()],
            Facts::Aws(facts) => vec![facts.action.clone()],
            Facts::Gate(_) => vec!["CHANGE".to_owned()],
        }
    }

    /// The name of its class: that of its most dangerous part.
    pub fn class(&self) -> &'static str {
        match self {
            Facts::Sql(facts) => facts.class.name(),
            Facts::Http(HttpFacts { class, .. })
            | Facts::Kubernetes(KubernetesFacts { class, .. })
            | Facts::Aws(AwsFacts { class, .. }) => class.name(),
            Facts::Gate(_) => "change",
        }
    }

    /// Whether nothing in it could have an effect beyond the own session.
    pub fn effect_free(&self) -> bool {
        match self {
            Facts::Sql(facts) => facts.class <= SqlClass::Session,
            Facts::Http(HttpFacts { class, .. })
            | Facts::Kubernetes(KubernetesFacts { class, .. })
            | Facts::Aws(AwsFacts { class, .. }) => *class == RequestClass::Read,
            Facts::Gate(_) => false,
        }
    }
}

/// Where and when the action would run: what else its meaning depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Digests of the session settings that differ from the target's defaults, except the listed harmless few, by name:
    /// their values may be secrets, so they are bound, not kept.
    pub settings: BTreeMap<String, PayloadDigest>,
    /// Digests of the prepared statements and cursors the action runs, by name: their text is bound, not kept.
    pub prepared: BTreeMap<String, PayloadDigest>,
    /// What each name refers to, by object and version of its definition, as the executing session resolves it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
    /// Digests of what the open transaction did before, in order.
    pub transaction: Vec<ActionDigest>,
    /// Whether a transaction is open.
    pub in_transaction: bool,
}

/// An action, fully described, without its bytes: what is decided on, stored and shown. The parts that many actions have in
/// common are shared among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// This attempt.
    pub id: ActionId,
    /// Who asks.
    pub requester: Arc<Requester>,
    /// For whom; the owner when nothing else is said.
    pub on_behalf_of: Arc<PersonRef>,
    /// The delegation closure: everyone on the requester's side, none of whom may approve. Frozen here.
    pub closure: Arc<BTreeSet<PersonId>>,
    /// Where.
    pub target: Arc<Target>,
    /// What.
    pub facts: Arc<Facts>,
    /// In which session.
    pub session: Arc<SessionFacts>,
    /// The statement with literals that look like secrets or personal data replaced by typed placeholders.
    pub shown: redact::Shown,
    /// What the gateway measured of its effect; measured again when it runs, so no part of its meaning.
    #[serde(default)]
    pub impact: impact::Impact,
    /// The requester's stated reason, in its own words.
    pub reason: Option<String>,
    /// The digest of the bytes.
    pub payload: PayloadDigest,
    /// When it was captured.
    pub at: Timestamp,
}

/// The fields that give an action its meaning; what is absent here (its id, its time, the stated reason) may differ
/// between two attempts at the same action. Canonical text puts them in the order of their names.
#[derive(Serialize)]
struct Meaning<'a> {
    #[serde(flatten)]
    sooner: Sooner<'a>,
    payload: PayloadDigest,
    #[serde(flatten)]
    later: Later<'a>,
}

/// The fields whose names come before `payload`.
#[derive(Serialize)]
struct Sooner<'a> {
    action: String,
    facts: &'a Facts,
    generation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a Job>,
    on_behalf_of: &'a PersonId,
}

/// The fields whose names come after `payload`.
#[derive(Serialize)]
struct Later<'a> {
    requester: &'a str,
    session: &'a SessionFacts,
    target: &'a str,
}

impl<'a> Sooner<'a> {
    fn of(described: &'a Described) -> Self {
        Self {
            action: described.facts.action(),
            facts: &described.facts,
            generation: &described.target.generation,
            job: described.requester.job(),
            on_behalf_of: &described.on_behalf_of.id,
        }
    }
}

impl<'a> Later<'a> {
    fn of(described: &'a Described) -> Self {
        Self { requester: described.requester.handle(), session: &described.session, target: &described.target.name }
    }
}

impl Described {
    /// The action's digest: what was reviewed is what runs exactly when this is the same.
    ///
    /// # Errors
    /// Never for values built by this crate's own types; see [`digest::canonical`].
    pub fn digest(&self) -> Result<ActionDigest, digest::NotCanonical> {
        let meaning = Meaning { sooner: Sooner::of(self), payload: self.payload, later: Later::of(self) };
        Ok(ActionDigest::of(&digest::canonical(&meaning)?))
    }
}

/// An action and its sealed bytes: what travels down the line.
#[derive(Debug)]
pub struct ActionRequest {
    described: Described,
    digest: ActionDigest,
    payload: SealedPayload,
    values: redact::Values,
}

impl ActionRequest {
    /// Joins a description with the bytes it describes.
    ///
    /// # Errors
    /// [`Mismatch`] when the description names other bytes, or has no canonical form.
    pub fn new(described: Described, payload: SealedPayload) -> Result<Self, Mismatch> {
        if described.payload != payload.digest() {
            return Err(Mismatch::Payload);
        }
        let digest = described.digest().map_err(Mismatch::Canonical)?;
        Ok(Self { described, digest, payload, values: redact::Values::default() })
    }

    /// As [`ActionRequest::new`], for an action that may have come before with other bytes.
    ///
    /// # Errors
    /// As [`ActionRequest::new`].
    pub fn again(described: Described, payload: SealedPayload, before: &mut Repeats) -> Result<Self, Mismatch> {
        if described.payload != payload.digest() {
            return Err(Mismatch::Payload);
        }
        let digest = before.digest(&described).map_err(Mismatch::Canonical)?;
        Ok(Self { described, digest, payload, values: redact::Values::default() })
    }

    /// What it is.
    pub fn described(&self) -> &Described {
        &self.described
    }

    /// Its digest.
    pub fn digest(&self) -> ActionDigest {
        self.digest
    }

    /// Adds what a card shows of it, and what that hides; not part of its meaning, so the digest stays.
    #[must_use]
    pub fn showing(mut self, redacted: redact::Redacted) -> Self {
        let redact::Redacted { shown, reason, values } = redacted;
        self.described.shown = shown;
        if reason.is_some() {
            self.described.reason = reason;
        }
        self.values = values;
        self
    }

    /// What the card hides, for whoever seals it.
    pub fn values(&self) -> &redact::Values {
        &self.values
    }

    /// Adds what was measured of its effect; not part of its meaning, so the digest stays.
    #[must_use]
    pub fn measuring(mut self, impact: impact::Impact) -> Self {
        self.described.impact = impact;
        self
    }

    /// Gives up the sealed bytes, still sealed.
    pub fn into_payload(self) -> SealedPayload {
        self.payload
    }
}

/// A description that does not belong to the bytes beside it.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// The description names other bytes.
    #[error("the description names another payload")]
    Payload,
    /// The description has no canonical form.
    #[error("the description cannot be digested")]
    Canonical(#[source] digest::NotCanonical),
}
