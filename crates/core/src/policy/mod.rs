//! The policy decision point: [`Described`](crate::action::Described) → [`Decision`]. The only user of Cedar.
//!
//! A requirement is a `forbid` that approvals lift; review is derived, not declared: evaluate with the approvals there
//! are, and if that denies, with every quorum granted. Default is deny, the strictest statement of a message holds, and
//! an evaluation error of a `forbid` is a refusal. Who may approve is a policy too, under forbids compiled in.
//!
//! [`Bundle::load`] turns policy texts and a [`Vocabulary`] into a decision point; [`Bundle::decide`] and
//! [`Bundle::may_approve`] ask it. Reading files, watching them and swapping bundles is the gateway's; what a
//! solver is asked to prove is in [`prove`], the solver itself is not here. Cedar's language:
//! <https://docs.cedarpolicy.com>.

mod annotation;
mod approve;
mod bounds;
mod break_glass;
mod bundle;
mod check;
mod compare;
mod decide;
mod decision;
mod explain;
mod gate;
mod index;
mod mask;
mod memo;
mod problem;
mod protocol;
pub mod prove;
mod request;
mod sql;
mod stage;
mod steady;
mod suffice;
#[cfg(test)]
mod tests;
mod vocabulary;
mod world;

pub use annotation::{DURATION_SECONDS_MAX, TEXT_CHARS_MAX};
pub use approve::{Approvable, ApproveCode, ApproveDenial, Authn, PasskeyFacts};
pub use bounds::{IFS_MAX, NESTING_MAX, POLICY_BYTES_MAX};
pub use break_glass::Breakable;
pub use bundle::{BUNDLE_BYTES_MAX, Bundle, POLICIES_MAX, Source};
pub use check::{FormatError, TESTS_MAX, TestFileError, TestResult};
pub use compare::{Difference, Differences};
pub use decide::{STATEMENTS_MAX, SUFFICE_EVALUATIONS_MAX};
pub use decision::{Decision, Denial, MalformedQuorum, Obligations, Permitted, PolicyNote, Quorum, Terms};
pub use explain::{Determining, Explanation, Outcome, StatementExplanation};
pub use gate::target as gate_target;
pub use mask::{MASKS_MAX, MalformedColumn, Mask, MaskedColumn, Masks};
pub use memo::{Memo, PERMITS_MAX};
pub use problem::{LoadError, Problem};
pub use stage::NotYet;
pub use vocabulary::{GROUP_BYTES_MAX, GROUPS_MAX, QUORUM_MAX, QUORUM_MAX_DEFAULT, Vocabulary, VocabularyError};
pub use world::{AgentFacts, Circumstances, People, PersonFacts};
