//! What is expected of the server for each message that was forwarded, and what is done with what it sends.

use std::sync::Arc;
use std::time::Instant;

use countersign_core::action::{ActionDigest, ActionId};
use countersign_core::grant::RecordLevel;

use super::super::catalog::Disturbance;
use super::super::describe::Description;
use super::super::mask::Columns;
use super::super::wire::notice::Notice;
use super::{Session, effects};
use crate::pipeline::Outcomes;

/// A prepared statement as the server holds it.
#[derive(Debug)]
pub(in super::super) struct Prepared {
    /// Its text: of the whole message, when it was prepared by SQL.
    pub(in super::super) sql: Arc<str>,
    /// Which of the message's statements it is, when it was prepared by SQL.
    pub(in super::super) part: String,
    /// The parameters' types as the client declared them: they decide how the server reads the values.
    pub(in super::super) declared: Vec<u32>,
    /// The same as the server told them, for showing values.
    pub(in super::super) types: Vec<u32>,
    /// What it means.
    pub(in super::super) description: Arc<Description>,
}

/// An action with effect that was sent and not yet seen to end.
#[derive(Debug)]
pub(in super::super) struct Running {
    pub(in super::super) id: ActionId,
    pub(in super::super) level: RecordLevel,
    pub(in super::super) digest: ActionDigest,
    pub(in super::super) started: Instant,
}

/// What is expected back for a message that was forwarded.
#[derive(Debug)]
pub(in super::super) enum Expected {
    /// `ParseComplete`. `previous` is what stood under the name, `kept` that it still stands (the name was taken).
    Parse { name: String, previous: Option<Arc<Prepared>>, kept: bool },
    /// `BindComplete`, of this portal.
    Bind { portal: String },
    /// `ParameterDescription` of this statement, then columns or none.
    DescribeStatement { name: String },
    /// Columns or none.
    DescribePortal,
    /// Rows, then an end. With a mask, the rows are shown by it.
    Execute {
        running: Option<Running>,
        prepared: Option<Arc<Prepared>>,
        disturbance: Disturbance,
        mask: Option<Arc<Columns>>,
    },
    /// `CloseComplete`, of a portal when there is no name. `previous` is the statement that is forgotten, if it was known.
    Close { name: Option<String>, previous: Option<Arc<Prepared>> },
    /// `ReadyForQuery`.
    Sync,
    /// The same, for a `Sync` of our own that the client does not know of.
    OwnSync,
    /// Everything a `Query` answers, `ReadyForQuery` included.
    Query { running: Option<Running>, description: Arc<Description>, sql: Arc<str> },
    /// A part of a command of our own, which the client does not know of.
    Own(OwnStep),
    /// A failure, told in these words; kept from a client that was told already.
    Decoy { notice: Option<Box<Notice>>, simple: bool },
}

/// What is expected back for a message of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum OwnStep {
    /// `ParseComplete`.
    Parse,
    /// `BindComplete`.
    Bind,
    /// Rows, then an end.
    Execute,
    /// `CloseComplete`.
    Close,
    /// Columns or none, of a portal of the client's.
    Describe,
    /// The same as `Execute` for a command that ends a transaction, which may fail.
    End,
}

/// The end of a statement that the client was not told of yet.
#[derive(Debug, Default)]
pub(in super::super) struct Kept {
    /// Its words; nothing when it failed.
    pub(in super::super) tag: Option<String>,
    /// Rows, as the server counted them.
    pub(in super::super) rows: Option<u64>,
}

/// What came of an action, for the record.
#[derive(Debug)]
pub(in super::super) struct Ended {
    pub(in super::super) id: ActionId,
    pub(in super::super) level: RecordLevel,
    pub(in super::super) outcome: Outcomes,
}

/// What to do with a message of the server.
#[derive(Debug)]
pub(in super::super) enum Reaction {
    /// Pass it on as it is.
    Forward,
    /// Keep it from the client, who did not ask.
    Swallow,
    /// Tell the client this instead.
    Replace(Box<Notice>),
    /// End the session with these words.
    Fatal(Box<Notice>),
}

impl Session {
    /// Whether something on its way may change which text stands under a name: until it is answered, no name is certain.
    pub(in super::super) fn uncertain(&self) -> bool {
        self.expected.iter().any(|expected| match expected {
            Expected::Parse { .. } | Expected::Close { .. } | Expected::Query { .. } | Expected::Decoy { .. } => true,
            Expected::Execute { prepared, .. } => {
                prepared.as_ref().is_none_or(|p| p.description.effects.iter().any(effects::changes_statements))
            }
            Expected::Bind { .. }
            | Expected::DescribeStatement { .. }
            | Expected::DescribePortal
            | Expected::Own(_)
            | Expected::Sync
            | Expected::OwnSync => false,
        })
    }

    /// Whether SQL on its way may change which text stands under a name, in ways that only its answers tell.
    pub(in super::super) fn uncertain_by_sql(&self) -> bool {
        self.expected.iter().any(|expected| match expected {
            Expected::Query { description, .. } => description.effects.iter().any(effects::changes_statements),
            Expected::Execute { prepared: Some(prepared), .. } => {
                prepared.description.effects.iter().any(effects::changes_statements)
            }
            _ => false,
        })
    }

    /// Whether a statement of this name is being prepared or closed: what is answered before is about another.
    pub(super) fn renames(&self, name: &str) -> bool {
        self.expected.iter().any(|expected| match expected {
            Expected::Parse { name: of, kept: false, .. } | Expected::Close { name: Some(of), .. } => of == name,
            _ => false,
        })
    }

    /// Whether a portal of this name is being bound: it belongs to what comes after the answers heard so far.
    pub(in super::super) fn binding(&self, portal: &str) -> bool {
        self.expected.iter().any(|expected| matches!(expected, Expected::Bind { portal: of } if of == portal))
    }
}
