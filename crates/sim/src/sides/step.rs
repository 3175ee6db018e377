//! What can happen. People, sessions and reviews are named by place; reviews count back from the latest.

use countersign_core::action::sql::SqlClass;

use super::facts::Who;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Read,
    Write,
    Ddl,
    Opaque,
}

impl What {
    pub(super) fn class(self) -> SqlClass {
        match self {
            What::Read => SqlClass::Read,
            What::Write => SqlClass::Write,
            What::Ddl => SqlClass::Ddl,
            What::Opaque => SqlClass::Opaque,
        }
    }
}

/// Who logs in: an agent, with whom its key acts for and came through, or a person with a client of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Agent { agent: usize, on_behalf_of: Option<Who>, through: Option<Who> },
    Person(Who),
}

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    LogIn { slot: usize, origin: Origin },
    Ask { slot: usize, what: What, value: i64 },
    Vote { who: Who, back: usize, approve: bool, pattern: bool },
    TakeBack { who: Who, back: usize },
    Break { who: Who, back: usize },
    FollowUp { who: Who, back: usize },
    Give { of: Who, deputy: Who, seconds: i64 },
    EndDuty { back: usize },
    Make { by: Who, whom: Who, group: &'static str },
    Own { agent: usize, who: Who },
    Suspend { who: Who, suspended: bool },
    Leave { who: Who, group: &'static str },
    Tick { seconds: i64 },
}
