//! The pure domain of Countersign: what an action is, who may ask and approve, and what an approval yields.
//!
//! Nothing here knows tokio, files, the clock or randomness: time and fresh bytes arrive as arguments, and maps are
//! ordered, so that the same inputs always give the same decisions, digests and records. The gateway drives this crate;
//! the simulator drives it too.
//!
//! The straight line of one action runs through these modules in order:
//! [`action`] describes it, [`policy`] decides, [`review`] collects votes, [`grant`] turns an approval into a single-use
//! [`grant::Permit`] (or, by [`pattern`], into several), [`record`] is what the log keeps of it, and [`card`] is what a reviewer sees.

pub mod action;
pub mod card;
pub mod grant;
pub mod pattern;
pub mod policy;
pub mod record;
pub mod review;
