//! What can happen: one [`Step`] between two awaits of the gateway, with everything it needs to happen again.
//!
//! Ids are chosen when a step is made and not when it runs, so a log from which steps were dropped still means the same;
//! a step whose subject is not there does nothing.

use countersign_core::action::sql::SqlClass;
use countersign_core::action::{Environment, ReviewId};
use countersign_core::review::{Method, Verdict};
use serde::{Deserialize, Serialize};

/// One captured message and the client that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u32);

/// One attempt to change a review: a vote, a withdrawal, a run of the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub u32);

/// What the storage does in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It works.
    #[default]
    None,
    /// It fails, and nothing was written.
    Fail,
    /// It reports a failure, and everything was written.
    FailPersisted,
}

/// Which digests a vote carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Those of the review.
    Right,
    /// Another action's.
    OtherAction,
    /// Another card's.
    OtherCard,
}

/// One step of the world. Nodes, people, requesters and bundles are named by their place in the world's lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields say what the variants do")]
pub enum Step {
    /// A client sends a statement; `actor` is one more person of the delegation chain of this connection.
    Capture {
        call: CallId,
        node: u8,
        requester: u8,
        class: SqlClass,
        environment: Environment,
        text: u8,
        actor: Option<u8>,
    },
    /// A call goes on to its next await.
    Advance { call: CallId, fault: Fault },
    /// The client of a call leaves.
    Leave { call: CallId },
    /// Somebody votes; the vote is on its way.
    Cast { op: OpId, node: u8, voter: u8, review: ReviewId, verdict: Verdict, seen: Seen, method: Method, mfa: bool },
    /// Somebody takes a review back; on its way.
    Withdraw { op: OpId, node: u8, by: u8, review: ReviewId },
    /// The expiry timer of a node looks for what is due.
    Timer { op: OpId, node: u8 },
    /// The same request arrives once more, at any node, at any time later.
    Replay { op: OpId, of: OpId, node: u8 },
    /// What is on its way arrives: the review is read, and the request judged.
    Deliver { op: OpId, fault: Fault },
    /// What was judged is saved.
    Commit { op: OpId, fault: Fault },
    /// A node hears that another one closed a review.
    Wake { node: u8, review: ReviewId },
    /// The sequencer applies the outcomes that the journals hold.
    Sequence,
    /// A node dies with everything it held in memory.
    Crash { node: u8 },
    /// It starts again.
    Restart { node: u8 },
    /// Time passes.
    Tick { seconds: u32 },
    /// A person is suspended, or reinstated.
    Suspend { person: u8, suspended: bool },
    /// A person's groups change.
    Groups { person: u8, groups: Vec<String> },
    /// An agent gets another owner.
    Owner { agent: u8, person: u8 },
    /// A node takes another policy bundle into force.
    Activate { node: u8, bundle: u8, fault: Fault },
}

impl Step {
    /// Its kind, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::Capture { .. } => "capture",
            Step::Advance { .. } => "advance",
            Step::Leave { .. } => "leave",
            Step::Cast { .. } => "cast",
            Step::Withdraw { .. } => "withdraw",
            Step::Timer { .. } => "timer",
            Step::Replay { .. } => "replay",
            Step::Deliver { .. } => "deliver",
            Step::Commit { .. } => "commit",
            Step::Wake { .. } => "wake",
            Step::Sequence => "sequence",
            Step::Crash { .. } => "crash",
            Step::Restart { .. } => "restart",
            Step::Tick { .. } => "tick",
            Step::Suspend { .. } => "suspend",
            Step::Groups { .. } => "groups",
            Step::Owner { .. } => "owner",
            Step::Activate { .. } => "activate",
        }
    }
}
