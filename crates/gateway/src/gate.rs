//! What the line and the votes need: the ports, the policies in force, the people, the waiting room.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use countersign_core::action::gate::{GatePart, GateSubject};
use countersign_core::action::{ActionDigest, Described, Environment, Facts, PersonId, Timestamp};
use countersign_core::policy::{Bundle, Circumstances, Quorum};
use countersign_core::record::{ActionSummary, Event};
use countersign_core::review::Method;
use tokio::sync::broadcast;

use crate::config::Config;
use crate::identity::linking::Linking;
use crate::identity::people::{Roster, Snapshot};
use crate::identity::provisioning::Provisioner;
use crate::identity::sign_in::SignIn;
use crate::identity::workload::Workloads;
use crate::policies::Policies;
use crate::ports::{Bundles, Directory, Incident, Incidents, Journal, LogView, Scribe, Seal, Store, StoreError, Vault};
use crate::targets::{self, Targets};
use crate::waiting::WaitingRoom;

/// How many changes a slow listener may be behind before it is told to read everything again.
const CHANGES_MAX: usize = 1_024;

/// The gateway's inner parts, shared by every connection.
pub struct Gate {
    /// The configuration.
    pub config: Arc<Config>,
    /// Reviews, grants and attempts.
    pub store: Arc<dyn Store>,
    /// Bundles of policies, and changes of the gate that wait.
    pub bundles: Arc<dyn Bundles>,
    /// People, agents and credentials.
    pub directory: Arc<dyn Directory>,
    /// Reads and outcomes.
    pub journal: Arc<dyn Journal>,
    /// The published log.
    pub log: Arc<dyn LogView>,
    /// What seals what others are given to bring back.
    pub seal: Arc<dyn Seal>,
    /// Upstream credentials.
    pub vault: Arc<dyn Vault>,
    /// The bundle in force.
    pub policies: Arc<Policies>,
    /// The targets in force.
    pub targets: Arc<Targets>,
    /// The people there are.
    pub roster: Arc<Roster>,
    /// Incidents, as stored.
    pub incidents: Arc<dyn Incidents>,
    /// Incidents, as decisions see them.
    pub declared: Declared,
    /// How people sign in with an identity provider, where one is configured.
    pub sign_in: Option<SignIn>,
    /// How people link their accounts in Slack, where that is configured.
    pub linking: Option<Linking>,
    /// How jobs log in with tokens of trusted issuers.
    pub workloads: Workloads,
    /// What the provider's provisioning client does, where one is configured.
    pub provisioner: Option<Provisioner>,
    /// Makes records.
    pub scribe: Scribe,
    /// Calls that wait.
    pub waiting: WaitingRoom,
    /// Changes, for pages that update live.
    pub changes: Changes,
}

/// Something that a page may want to show anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A review opened, got a vote, or closed.
    Review,
    /// An attempt was recorded.
    Action,
}

/// Tells listeners that something changed; says nothing about what, so that everyone reads it with their own rights.
#[derive(Debug, Clone)]
pub struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::channel(CHANGES_MAX).0)
    }
}

impl Changes {
    /// Tells.
    pub fn tell(&self, change: Change) {
        let _ = self.0.send(change); // nobody listening is no failure
    }

    /// Listens.
    pub fn listen(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }
}

/// Incidents that nobody has ended, as decisions see them.
#[derive(Default)]
pub struct Declared(ArcSwap<Vec<Incident>>);

impl Declared {
    /// Reads them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(store: &dyn Incidents) -> Result<Self, StoreError> {
        let declared = Self::default();
        declared.refresh(store).await?;
        Ok(declared)
    }

    /// Reads them again; called after every change, before the change is answered.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn refresh(&self, store: &dyn Incidents) -> Result<(), StoreError> {
        self.0.store(Arc::new(store.incidents().await?));
        Ok(())
    }

    /// All of them; whether their time is over, whoever asks looks at.
    pub fn current(&self) -> Arc<Vec<Incident>> {
        self.0.load_full()
    }

    /// The same, for a moment: who holds many of these, or holds one for long, makes the others slow.
    fn peek(&self) -> Guard<Arc<Vec<Incident>>> {
        self.0.load()
    }
}

/// One moment's view: the bundle and the people do not change while a question is answered. Where many are kept for
/// long on one thread, the others there take longer.
pub struct Moment {
    /// The bundle.
    pub bundle: Guard<Arc<Bundle>>,
    /// The people.
    pub people: Guard<Arc<Snapshot>>,
    /// The targets.
    targets: Guard<Arc<targets::ByName>>,
    /// The time.
    pub now: Timestamp,
    utc_offset_minutes: i32,
    /// With an identity provider: how old what it said of a voter's groups may be, in seconds.
    pub groups_max_age: Option<u32>,
    /// Whether the provider tells of changes by itself (SCIM).
    pub provisions: bool,
    incidents: Guard<Arc<Vec<Incident>>>,
}

impl Moment {
    /// Whether a vote by this way can count for a request at all: what the gateway's host mints serves a first run, and
    /// no production target once people can prove who they are.
    pub fn counts(&self, method: Method, request: &Described) -> bool {
        method != Method::Local
            || self.groups_max_age.is_none()
            || request.target.environment != Environment::Production
    }

    /// Why nothing can come of an action any more: it is a change of the gate that was made for what is gone.
    pub fn stale(&self, request: &Described) -> Option<&'static str> {
        let Facts::Gate(facts) = &*request.facts else { return None };
        let (in_force, why) = match facts.part {
            GatePart::Policies => (Some(self.bundle.digest().to_string()), "other policies came into force"),
            GatePart::People => (self.people.standing(&facts.subject), "who it is about is another than it was"),
            GatePart::Targets => (self.standing_of_target(&facts.subject), "the target is another than it was"),
        };
        (in_force.as_ref() != Some(&facts.from)).then_some(why)
    }

    fn standing_of_target(&self, subject: &GateSubject) -> Option<String> {
        match subject {
            GateSubject::Target(name) => targets::standing(&self.targets, name),
            _ => None,
        }
    }

    /// The same moment under another bundle.
    #[must_use]
    pub fn under(self, bundle: Arc<Bundle>) -> Self {
        Self { bundle: Guard::from_inner(bundle), ..self }
    }

    /// Whether an incident counts on a request: one that goes on, declared by somebody who is not suspended and stands outside
    /// the request's side.
    pub fn incident_for(&self, request: &Described) -> bool {
        self.declared_outside(request, None)
    }

    /// The same for what somebody does about a request themselves: what they declared, or somebody whom they made an
    /// approver or who made them one, is left out.
    pub fn incident_for_deed(&self, request: &Described, person: &PersonId) -> bool {
        self.declared_outside(request, Some(person))
    }

    fn declared_outside(&self, request: &Described, but: Option<&PersonId>) -> bool {
        let going_on = |incident: &&Incident| incident.declared_at <= self.now && self.now < incident.until;
        let mut declarers = self.incidents.iter().filter(going_on).map(|incident| &incident.by).peekable();
        if declarers.peek().is_none() {
            return false;
        }
        let side = self.people.linked_now(request, self.now);
        let live = |by: &PersonId| self.people.people.persons.get(by).is_some_and(|facts| !facts.suspended);
        let another = |by: &PersonId| but.is_none_or(|but| by != but && !self.people.linked(by, but, self.now));
        declarers.any(|by| live(by) && !side.contains(by) && another(by))
    }

    /// The circumstances of a question about a request, with these approvals.
    pub fn with<'a>(&'a self, request: &Described, approvals: &'a BTreeSet<Quorum>) -> Circumstances<'a> {
        self.with_glass(request, approvals, false)
    }

    /// The circumstances of whether somebody may break the glass on a request.
    pub fn of_breaking<'a>(
        &'a self,
        request: &Described,
        person: &PersonId,
        none: &'a BTreeSet<Quorum>,
    ) -> Circumstances<'a> {
        Circumstances { incident: self.incident_for_deed(request, person), ..self.with(request, none) }
    }

    /// The same, with the glass broken or whole: broken only for one grant, and to ask whether breaking it would help.
    pub fn with_glass<'a>(
        &'a self,
        request: &Described,
        approvals: &'a BTreeSet<Quorum>,
        break_glass: bool,
    ) -> Circumstances<'a> {
        Circumstances {
            now: self.now,
            utc_offset_minutes: self.utc_offset_minutes,
            approvals,
            break_glass,
            incident: self.incident_for(request),
            people: &self.people.people,
        }
    }
}

impl Gate {
    /// The view of now.
    pub fn moment(&self) -> Moment {
        Moment {
            bundle: self.policies.peek(),
            people: self.roster.peek(),
            targets: self.targets.peek(),
            now: self.scribe.now(),
            utc_offset_minutes: self.config.utc_offset_minutes,
            groups_max_age: self.config.oidc.as_ref().map(|oidc| oidc.groups_max_age_seconds),
            provisions: self.config.scim.is_some(),
            incidents: self.declared.peek(),
        }
    }

    /// Records something people must look at; a failure to record is logged, since nothing hangs on it.
    pub async fn alarm(&self, code: &str, detail: String) {
        tracing::error!(code, %detail, "alarm");
        let record = self.scribe.record(Event::SystemAlarm { code: code.to_owned(), detail });
        if let Err(error) = self.store.append(vec![record]).await {
            tracing::error!(%error, "the alarm could not be recorded");
        }
    }
}

/// An action as the record names it.
pub fn summary(described: &Described, digest: ActionDigest) -> ActionSummary {
    ActionSummary {
        id: described.id.clone(),
        digest,
        requester_kind: described.requester.kind().to_owned(),
        requester: described.requester.handle().to_owned(),
        on_behalf_of: described.on_behalf_of.id.clone(),
        target: described.target.name.clone(),
        environment: described.target.environment.name().to_owned(),
        action: described.facts.action(),
    }
}
