//! Defects planted on purpose: each leaves out one thing that keeps a side from approving its own.

use serde::{Deserialize, Serialize};

/// A planted defect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// None: the rules as they should be.
    #[default]
    None,
    /// Votes are held against a request that nobody is behind.
    RuleTakenOut,
    /// The same for whoever breaks the glass.
    BreakerNotAsked,
    /// A duty counts although its holder is on the side.
    HolderNotAsked,
    /// Those who came through somebody are not kept in the request.
    NothingFrozen,
    /// Former owners are nobody's side.
    FormerOwnersForgotten,
    /// Today's owner is not asked about, the one of the request alone.
    NewOwnerForgotten,
    /// Whom the side made an approver may approve.
    ElevationsForgotten,
    /// Whom they made one in turn may.
    ElevationsFollowedOnce,
    /// What was accepted counts for ever.
    NotAskedAgain,
    /// What was accepted is held against the side that was reviewed, and not against that which runs it.
    RunnersSideForgotten,
    /// A duty goes on after its end.
    DutiesNeverEnd,
    /// Whoever breaks the glass also counts as a vote.
    BreakerCountsTwice,
    /// An approval outlives the vote that it came of.
    RetractionVoidsNothing,
    /// A vote for once counts for a pattern.
    OnceIsForEver,
    /// A pattern is used more often than was chosen.
    UsesNotCounted,
    /// Stages are not waited for.
    NoTurns,
    /// The requester's side follows up a broken glass.
    SideFollowsUp,
}

impl Defect {
    /// Every planted defect.
    pub const ALL: [Defect; 17] = [
        Defect::RuleTakenOut,
        Defect::BreakerNotAsked,
        Defect::HolderNotAsked,
        Defect::NothingFrozen,
        Defect::FormerOwnersForgotten,
        Defect::NewOwnerForgotten,
        Defect::ElevationsForgotten,
        Defect::ElevationsFollowedOnce,
        Defect::NotAskedAgain,
        Defect::RunnersSideForgotten,
        Defect::DutiesNeverEnd,
        Defect::BreakerCountsTwice,
        Defect::RetractionVoidsNothing,
        Defect::OnceIsForEver,
        Defect::UsesNotCounted,
        Defect::NoTurns,
        Defect::SideFollowsUp,
    ];
}
