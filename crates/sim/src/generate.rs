//! Chooses the next step: mostly what brings calls and votes forward, with everything that can go wrong in between.

use countersign_core::action::sql::SqlClass;
use countersign_core::action::{Environment, ReviewId};
use countersign_core::review::{Method, Verdict};

use crate::rng::Rng;
use crate::step::{CallId, Fault, OpId, Seen, Step};
use crate::truth::{AGENT_COUNT, BundleName, PERSON_COUNT, REQUESTERS};
use crate::world::{NODE_COUNT, OpState, Phase, Request, World};

/// Calls that are under way at once.
const CALLS_MAX: usize = 12;
/// How far back a statement is sent again.
const SENT_AGAIN_MAX: usize = 8;
/// Requests on their way at once.
const OPS_MAX: usize = 10;

/// Makes steps for a world.
#[derive(Debug)]
pub(crate) struct Generator {
    rng: Rng,
    /// What was sent so far: who asks, what, where. Often sent again, so that calls join, race and resume.
    sent: Vec<(u8, SqlClass, Environment, u8)>,
    calls: u32,
    ops: u32,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), sent: Vec::new(), calls: 0, ops: 0 }
    }

    /// The next step.
    pub(crate) fn next(&mut self, world: &World<'_>) -> Step {
        match self.rng.below(1_000) {
            0..370 => self.advance(world),
            370..440 => self.capture(world),
            440..560 => self.cast(world),
            560..680 => self.deliver(world),
            680..790 => self.commit(world),
            790..820 => self.wake(world),
            820..840 => self.replay(world),
            840..855 => self.withdraw(world),
            855..885 => self.timer(),
            885..900 => Step::Sequence,
            900..910 => self.leave(world),
            910..918 => Step::Crash { node: self.rng.small(NODE_COUNT) },
            918..935 => self.restart(world),
            935..965 => self.tick(),
            965..973 => self.suspend(world),
            973..983 => self.groups(),
            983..989 => Step::Owner { agent: self.rng.small(AGENT_COUNT), person: self.rng.small(PERSON_COUNT) },
            _ => self.activate(),
        }
    }

    fn fault(&mut self) -> Fault {
        match self.rng.below(100) {
            0..3 => Fault::Fail,
            3..6 => Fault::FailPersisted,
            _ => Fault::None,
        }
    }

    fn new_op(&mut self) -> OpId {
        self.ops += 1;
        OpId(self.ops)
    }

    fn node(&mut self) -> u8 {
        self.rng.small(NODE_COUNT)
    }

    fn advance(&mut self, world: &World<'_>) -> Step {
        let ready = world.calls.iter().filter(|(_, call)| match &call.phase {
            Phase::Waiting { woken, .. } => *woken || self.rng.percent(10),
            _ => true,
        });
        let ready: Vec<CallId> = ready.map(|(id, _)| *id).chain(world.ran.keys().copied()).collect();
        match self.rng.pick(&ready) {
            Some(call) => Step::Advance { call, fault: self.fault() },
            None => self.capture(world),
        }
    }

    fn capture(&mut self, world: &World<'_>) -> Step {
        if world.calls.len() >= CALLS_MAX {
            return self.cast(world);
        }
        self.calls += 1;
        let recent = self.sent.len().saturating_sub(SENT_AGAIN_MAX);
        let again = self.sent.get(recent..).and_then(|recent| self.rng.pick(recent)).filter(|_| self.rng.percent(55));
        let what = again.unwrap_or_else(|| self.statement());
        self.sent.push(what);
        let (requester, class, environment, text) = what;
        let actor = self.rng.percent(12).then(|| self.rng.small(PERSON_COUNT));
        Step::Capture { call: CallId(self.calls), node: self.node(), requester, class, environment, text, actor }
    }

    fn statement(&mut self) -> (u8, SqlClass, Environment, u8) {
        let class = match self.rng.below(20) {
            0..3 => SqlClass::Read,
            3 => SqlClass::Session,
            4..13 => SqlClass::Write,
            13..16 => SqlClass::Ddl,
            16 => SqlClass::Admin,
            _ => SqlClass::Opaque,
        };
        let environment = match self.rng.below(10) {
            0..7 => Environment::Production,
            7..9 => Environment::Staging,
            _ => Environment::Dev,
        };
        (self.rng.small(REQUESTERS), class, environment, self.rng.small(2) + 2)
    }

    fn some_review(&mut self, world: &World<'_>) -> Option<ReviewId> {
        let open_only = self.rng.percent(92);
        let rows = world.store.reviews.iter().filter(|(_, row)| !open_only || row.state == "open");
        let ids: Vec<ReviewId> = rows.map(|(id, _)| id.clone()).collect();
        self.rng.pick(&ids)
    }

    fn cast(&mut self, world: &World<'_>) -> Step {
        let Some(review) = self.some_review(world).filter(|_| under_way(world) < OPS_MAX) else {
            return self.deliver(world);
        };
        let verdict = if self.rng.percent(92) { Verdict::Approve } else { Verdict::Reject };
        let seen = match self.rng.below(50) {
            0 => Seen::OtherAction,
            1 => Seen::OtherCard,
            _ => Seen::Right,
        };
        let methods =
            [Method::Passkey, Method::Console, Method::Api, Method::Cli, Method::Local, Method::Chat, Method::Webhook];
        let method = self.rng.pick(&methods).unwrap_or(Method::Api);
        let (voter, mfa) = (self.rng.small(PERSON_COUNT), self.rng.percent(92));
        Step::Cast { op: self.new_op(), node: self.node(), voter, review, verdict, seen, method, mfa }
    }

    fn some_op(&mut self, world: &World<'_>, wanted: impl Fn(&OpState) -> bool) -> Option<OpId> {
        let ops: Vec<OpId> = world.ops.iter().filter(|(_, op)| wanted(&op.state)).map(|(id, _)| *id).collect();
        self.rng.pick(&ops)
    }

    fn deliver(&mut self, world: &World<'_>) -> Step {
        match self.some_op(world, |state| matches!(state, OpState::Sent)) {
            Some(op) => Step::Deliver { op, fault: self.fault() },
            None => self.commit(world),
        }
    }

    fn commit(&mut self, world: &World<'_>) -> Step {
        match self.some_op(world, |state| matches!(state, OpState::Judged(_))) {
            Some(op) => Step::Commit { op, fault: self.fault() },
            None => self.advance(world),
        }
    }

    fn wake(&mut self, world: &World<'_>) -> Step {
        let waited = world.nodes.iter().enumerate().flat_map(|(at, node)| node.rooms.keys().map(move |id| (at, id)));
        let closed = |id: &ReviewId| world.store.reviews.get(id).is_some_and(|row| row.state != "open");
        let waited: Vec<(usize, ReviewId)> =
            waited.filter(|(_, id)| closed(id)).map(|(at, id)| (at, id.clone())).collect();
        match self.rng.pick(&waited) {
            Some((node, review)) => Step::Wake { node: u8::try_from(node).unwrap_or(0), review },
            None => self.advance(world),
        }
    }

    fn replay(&mut self, world: &World<'_>) -> Step {
        let votes = world.ops.iter().filter(|(_, op)| matches!(op.request, Request::Vote(..)));
        let votes: Vec<OpId> = votes.map(|(id, _)| *id).collect();
        match self.rng.pick(&votes) {
            Some(of) => Step::Replay { op: self.new_op(), of, node: self.node() },
            None => self.advance(world),
        }
    }

    fn withdraw(&mut self, world: &World<'_>) -> Step {
        match self.some_review(world) {
            Some(review) => {
                Step::Withdraw { op: self.new_op(), node: self.node(), by: self.rng.small(PERSON_COUNT), review }
            }
            None => self.advance(world),
        }
    }

    fn timer(&mut self) -> Step {
        Step::Timer { op: self.new_op(), node: self.node() }
    }

    fn leave(&mut self, world: &World<'_>) -> Step {
        let calls: Vec<CallId> = world.calls.keys().copied().collect();
        match self.rng.pick(&calls) {
            Some(call) => Step::Leave { call },
            None => self.advance(world),
        }
    }

    fn restart(&mut self, world: &World<'_>) -> Step {
        let down: Vec<usize> = (0..NODE_COUNT).filter(|node| !world.up(*node)).collect();
        match self.rng.pick(&down) {
            Some(node) => Step::Restart { node: u8::try_from(node).unwrap_or(0) },
            None => self.advance(world),
        }
    }

    /// Mostly seconds; at times enough for holds, reviews and grants to end.
    fn tick(&mut self) -> Step {
        let seconds = match self.rng.below(20) {
            0..16 => self.rng.below(5),
            16..18 => self.rng.below(90),
            18 => self.rng.below(500),
            _ => self.rng.below(2_400),
        };
        Step::Tick { seconds: u32::try_from(seconds).unwrap_or(0) }
    }

    /// Suspends at most two people at a time.
    fn suspend(&mut self, world: &World<'_>) -> Step {
        let suspended = world.directory.people.persons.values().filter(|facts| facts.suspended).count();
        Step::Suspend { person: self.rng.small(PERSON_COUNT), suspended: suspended < 2 && self.rng.percent(60) }
    }

    fn groups(&mut self) -> Step {
        let groups = ["dba", "security", "sre"].into_iter().filter(|_| self.rng.percent(45));
        let groups = groups.map(str::to_owned).collect();
        Step::Groups { person: self.rng.small(PERSON_COUNT), groups }
    }

    fn activate(&mut self) -> Step {
        Step::Activate { node: self.node(), bundle: self.rng.small(BundleName::ALL.len()), fault: self.fault() }
    }
}

fn under_way(world: &World<'_>) -> usize {
    world.ops.values().filter(|op| !matches!(op.state, OpState::Done)).count()
}
