//! The world: nodes over one store, people, policies, a clock; [`World::apply`] makes one step happen.
//!
//! What the gateway awaits ends a step, so any other step may come between any two of them. The order of what happens in
//! a step is the gateway's: `line` mirrors its `pipeline`, `resolve` its `resolve`, `rooms` its waiting room. Every
//! decision, proof, vote, transition and permit is made by the core itself; only storage, network and time are modelled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use countersign_core::action::{ActionId, Described, PayloadDigest, PersonId, ReviewId, Timestamp};
use countersign_core::grant::Grant;
use countersign_core::policy::{Bundle, Circumstances, Quorum};
use countersign_core::record::{Event, Record};

use crate::mutation::Mutation;
use crate::step::{CallId, Fault, OpId, Step};
use crate::store::Store;
use crate::truth::{BundleName, Bundles, Directory};

mod line;
mod release;
mod resolve;
mod rooms;

pub(crate) use line::{Call, Phase, Ran};
pub(crate) use release::ready;
pub(crate) use resolve::{Op, OpState, Request};

/// The nodes' clocks differ by so many seconds from the world's.
const SKEW_SECONDS: [i64; 3] = [0, 2, -3];
/// How many nodes there are.
pub(crate) const NODE_COUNT: usize = SKEW_SECONDS.len();
/// 2026-11-21T10:00:00Z.
const START: Timestamp = Timestamp::from_seconds(1_795_255_200);

/// One gateway.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) up: bool,
    skew_seconds: i64,
    pub(crate) bundle: BundleName,
    /// Its waiting room: who waits for which review, longest-connected first.
    pub(crate) rooms: BTreeMap<ReviewId, VecDeque<CallId>>,
    /// What it sent since it started; only a planted defect ever looks at it.
    sent: Vec<(ActionId, PayloadDigest)>,
}

/// Bytes that reached the upstream.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) action: ActionId,
    pub(crate) payload: PayloadDigest,
    /// Whether the client had left while it waited.
    pub(crate) absent: bool,
}

/// An authority a call came by, as things stood then.
#[derive(Debug, Clone)]
pub(crate) struct Authorized {
    pub(crate) request: Described,
    pub(crate) bundle: BundleName,
    pub(crate) grant: Option<Grant>,
}

/// A vote that was judged eligible.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) review: ReviewId,
    pub(crate) person: PersonId,
}

/// What somebody was told.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A call was refused.
    Refused { action: ActionId, code: String },
    /// A vote or withdrawal was not accepted.
    VoteRefused { review: ReviewId, code: String },
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World<'a> {
    mutation: Mutation,
    bundles: &'a Bundles,
    pub(crate) now: Timestamp,
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) nodes: Vec<Node>,
    pub(crate) calls: BTreeMap<CallId, Call>,
    /// Calls that ran, and whose outcome is not recorded yet.
    pub(crate) ran: BTreeMap<CallId, Ran>,
    /// The right to look first at a closed review, and who comes after.
    turns: BTreeMap<CallId, (ReviewId, VecDeque<CallId>)>,
    pub(crate) ops: BTreeMap<OpId, Op>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) authorized: Vec<Authorized>,
    pub(crate) judged: Vec<Judged>,
    pub(crate) answers: Vec<Answer>,
    /// Actions that were running on a node when it died, and had no outcome.
    pub(crate) interrupted: Vec<(ActionId, usize)>,
    /// What happened in the current step, in words; for the log and the counts.
    pub(crate) seen: Vec<String>,
}

impl<'a> World<'a> {
    pub(crate) fn new(bundles: &'a Bundles, mutation: Mutation) -> Self {
        let node = |skew_seconds| Node {
            up: true,
            skew_seconds,
            bundle: BundleName::Starter,
            rooms: BTreeMap::new(),
            sent: Vec::new(),
        };
        Self {
            mutation,
            bundles,
            now: START,
            store: Store::new(mutation),
            directory: Directory::new(),
            nodes: SKEW_SECONDS.map(node).into(),
            calls: BTreeMap::new(),
            ran: BTreeMap::new(),
            turns: BTreeMap::new(),
            ops: BTreeMap::new(),
            effects: Vec::new(),
            authorized: Vec::new(),
            judged: Vec::new(),
            answers: Vec::new(),
            interrupted: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Makes one step happen; a step whose subject is not there does nothing.
    pub(crate) fn apply(&mut self, step: &Step) {
        self.seen.clear();
        match step {
            Step::Capture { .. } => self.capture(step),
            Step::Advance { call, fault } => self.advance(*call, *fault),
            Step::Leave { call } => self.leave(*call),
            Step::Cast { .. } | Step::Withdraw { .. } | Step::Timer { .. } | Step::Replay { .. } => self.send(step),
            Step::Deliver { op, fault } => self.deliver(*op, *fault),
            Step::Commit { op, fault } => self.commit(*op, *fault),
            Step::Wake { node, review } => self.hear(usize::from(*node), review),
            Step::Sequence => self.store.sequence(),
            Step::Crash { node } => self.crash(usize::from(*node)),
            Step::Restart { node } => self.restart(usize::from(*node)),
            Step::Tick { seconds } => self.now = self.now.plus_seconds(i64::from(*seconds)),
            Step::Suspend { person, suspended } => self.suspend(*person, *suspended),
            Step::Groups { person, groups } => self.regroup(*person, groups),
            Step::Owner { agent, person } => {
                if let Some(owner) = self.directory.owners.get_mut(usize::from(*agent)) {
                    *owner = usize::from(*person);
                }
            }
            Step::Activate { node, bundle, fault } => self.activate(usize::from(*node), *bundle, *fault),
        }
    }

    fn see(&mut self, what: impl Into<String>) {
        self.seen.push(what.into());
    }

    /// A node's clock.
    fn clock(&self, node: usize) -> Timestamp {
        let skew = self.nodes.get(node).map_or(0, |node| node.skew_seconds);
        self.now.plus_seconds(skew)
    }

    /// The clock that is furthest ahead.
    pub(crate) fn latest_clock(&self) -> Timestamp {
        self.now.plus_seconds(SKEW_SECONDS.into_iter().max().unwrap_or_default())
    }

    fn record(&self, node: usize, event: Event) -> Record {
        Record { at: self.clock(node), node: format!("node-{node}"), event }
    }

    /// The bundle in force at a node.
    fn bundle(&self, node: usize) -> Option<&'a Bundle> {
        self.bundles.get(self.nodes.get(node)?.bundle)
    }

    /// The bundles there are, by digest.
    pub(crate) fn bundles(&self) -> &'a Bundles {
        self.bundles
    }

    fn circumstances<'b>(&'b self, node: usize, approvals: &'b BTreeSet<Quorum>) -> Circumstances<'b> {
        Circumstances {
            now: self.clock(node),
            utc_offset_minutes: 0,
            approvals,
            break_glass: false,
            incident: false,
            people: &self.directory.people,
        }
    }

    pub(crate) fn up(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.up)
    }

    fn suspend(&mut self, person: u8, suspended: bool) {
        let id = Directory::person(usize::from(person)).id;
        if let Some(facts) = self.directory.people.persons.get_mut(&id) {
            facts.suspended = suspended;
        }
    }

    fn regroup(&mut self, person: u8, groups: &[String]) {
        let id = Directory::person(usize::from(person)).id;
        if let Some(facts) = self.directory.people.persons.get_mut(&id) {
            facts.groups = groups.iter().cloned().collect();
        }
    }

    /// Another bundle at a node: recorded first, then in force.
    fn activate(&mut self, node: usize, bundle: u8, fault: Fault) {
        let Some(name) = BundleName::at(bundle).filter(|_| self.up(node)) else { return };
        let Some(digest) = self.bundles.get(name).map(Bundle::digest) else { return };
        let event = Event::PolicyActivated {
            bundle: digest,
            changes: "file".to_owned(),
            from: None,
            why: None,
            by: None,
            review: None,
        };
        let record = self.record(node, event);
        if self.store.append(fault, vec![record]).is_ok()
            && let Some(node) = self.nodes.get_mut(node)
        {
            node.bundle = name;
            self.see(format!("policy in force: {name:?}"));
        }
    }

    /// Everything a node holds in memory is gone; its journal and the store are not.
    fn crash(&mut self, node: usize) {
        if !self.up(node) {
            return;
        }
        let lost: Vec<CallId> = self.calls.iter().filter(|(_, call)| call.node == node).map(|(id, _)| *id).collect();
        for id in &lost {
            self.turns.remove(id);
            if let Some(call) = self.calls.remove(id) {
                self.see(format!("crash: call lost while {}", call.phase.name()));
            }
        }
        let ran = self.ran.len();
        self.ran.retain(|_, ran| ran.node != node);
        if self.ran.len() < ran {
            self.see("crash: between execution and outcome");
        }
        self.ops.retain(|_, op| op.node != node || matches!(op.state, OpState::Done | OpState::Sent));
        let running = self.running_without_outcome(node);
        self.interrupted.extend(running.into_iter().map(|id| (id, node)));
        if let Some(node) = self.nodes.get_mut(node) {
            node.up = false;
            node.rooms.clear();
        }
    }

    fn running_without_outcome(&self, node: usize) -> Vec<ActionId> {
        let name = format!("node-{node}");
        let ended: BTreeSet<&ActionId> = self.store.log.iter().filter_map(|record| ended(&record.event)).collect();
        let begun =
            self.store.log.iter().filter(|record| record.node == name).filter_map(|record| begun(&record.event));
        begun.filter(|id| !ended.contains(id)).cloned().collect()
    }

    /// The journal is drained, own open intents are closed as unknown, then the node is back.
    fn restart(&mut self, node: usize) {
        if self.up(node) || node >= self.nodes.len() {
            return;
        }
        self.store.sequence();
        let now = self.clock(node);
        let Ok(closed_unknown) = self.store.close_unknown(&format!("node-{node}"), now) else { return };
        let started = self.record(node, Event::SystemStarted { version: "sim".to_owned(), closed_unknown });
        if self.store.append(Fault::None, vec![started]).is_err() {
            return;
        }
        if closed_unknown > 0 {
            self.see("restart: intents closed as unknown");
        }
        let resend = self.mutation == Mutation::ResendAfterRestart;
        if let Some(state) = self.nodes.get_mut(node) {
            state.up = true;
            let sent = std::mem::take(&mut state.sent).into_iter().filter(|_| resend);
            self.effects.extend(sent.map(|(action, payload)| Effect { action, payload, absent: false }));
        }
    }
}

fn ended(event: &Event) -> Option<&ActionId> {
    if let Event::ActionOutcome { id, .. } = event { Some(id) } else { None }
}

fn begun(event: &Event) -> Option<&ActionId> {
    if let Event::ActionIntent { action, .. } = event { Some(&action.id) } else { None }
}
