//! Defects planted on purpose: each breaks one part of the model, and the tests show that an invariant notices.
//!
//! A check that cannot fail is a defect itself. Some defects cannot be planted, because the core's types do not let them
//! be written; they are named here instead of tested:
//!
//! - *Running without a recorded intent by skipping the recorder*: only `grant::release` mints a `Permit`, after the
//!   recorder said Ok. What can be planted is a recorder that lies ([`Mutation::IntentNotWritten`]).
//! - *Using one permit twice*, or *for other bytes*: `SealedPayload::open` takes the permit by value and compares digests.
//!   What can be planted is an executor that keeps the opened bytes ([`Mutation::ResendAfterRestart`]).
//! - *Counting a person twice*: `Open::vote` refuses a second vote, and `tokens` counts sets of people.
//! - *Voting on, reopening or changing a closed review*: `Closed` has no transition. What can be planted is a store that
//!   lets a stale open copy overwrite it ([`Mutation::NoCompareAndSwap`]).
//! - *A vote without both proofs*: `EligibleVote::new` wants `Independent` and `Approvable` of one person. The proofs do
//!   not name the request, so what can be planted is a proof about another one ([`Mutation::IndependentOfAnother`]).

use serde::{Deserialize, Serialize};

/// A planted defect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutation {
    /// None: the model as it should be.
    #[default]
    None,
    /// The store saves reviews whatever their version and state.
    NoCompareAndSwap,
    /// The store consumes a grant that was consumed already.
    GrantConsumedAgain,
    /// The store consumes a grant that has ended.
    GrantNeverEnds,
    /// The recorder says Ok and writes nothing.
    IntentNotWritten,
    /// The separation of duties is checked against a request that nobody is behind.
    IndependentOfAnother,
    /// The votes behind a grant are not asked about again at release.
    VotesNotAskedAgain,
    /// Those votes are held against the reviewed request's side alone, not against that of the request that runs.
    RunnersSideForgotten,
    /// Release asks the bundle that opened the review instead of the one in force.
    OldPolicyAtRelease,
    /// A node that starts again sends what it had sent before.
    ResendAfterRestart,
    /// A node that starts again leaves its open intents alone.
    IntentsLeftOpen,
    /// Refusals are answered without a record.
    RefusalNotWritten,
    /// Rejected votes leave no record.
    VoteRefusalNotWritten,
    /// A call whose client left keeps its place and runs.
    RunsForTheAbsent,
    /// A review that closes any way yields a grant.
    GrantForAnyClosing,
}

impl Mutation {
    /// Every planted defect.
    pub const ALL: [Mutation; 14] = [
        Mutation::NoCompareAndSwap,
        Mutation::GrantConsumedAgain,
        Mutation::GrantNeverEnds,
        Mutation::IntentNotWritten,
        Mutation::IndependentOfAnother,
        Mutation::VotesNotAskedAgain,
        Mutation::RunnersSideForgotten,
        Mutation::OldPolicyAtRelease,
        Mutation::ResendAfterRestart,
        Mutation::IntentsLeftOpen,
        Mutation::RefusalNotWritten,
        Mutation::VoteRefusalNotWritten,
        Mutation::RunsForTheAbsent,
        Mutation::GrantForAnyClosing,
    ];
}
