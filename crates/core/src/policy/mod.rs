//! The policy decision point: [`Described`](crate::action::Described) → [`Decision`]. The only user of Cedar.
//!
//! A requirement is a `forbid` that approvals lift; review is derived, not declared: evaluate with the approvals there
//! are, and if that denies, with every quorum granted. Default is deny, the strictest statement of a message holds, and
//! an evaluation error of a `forbid` is a refusal.

mod decision;

pub use decision::{Decision, Denial, Obligations, Permitted, PolicyNote, Quorum, Terms};
