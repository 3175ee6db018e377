//! A seeded world over the core: several gateways, people and agents, one store, and everything that goes wrong.
//!
//! A run is a list of [`Step`]s chosen from a seed; one step is what a gateway does between two awaits, so that crashes,
//! races, replays, policy changes and failing storage come between any two of them. Every decision, proof of
//! independence, vote, transition, grant and permit is the core's own; after each step the invariants of `check` are
//! held against what the world shows to others: records, bytes at the upstream, answers, rows.
//!
//! What this covers: the core, and the *order* in which the gateway's `pipeline` and `resolve` call it, which `world`
//! mirrors step by step. What it does not cover: the gateway's own I/O, its wire protocols and their sessions, SQL, the
//! ledger's files. Those have tests of their own; the model of the store states what the real one must do.
//!
//! A check that cannot fail is a defect: [`Mutation`] plants defects, the tests show that each is noticed, and its page
//! names the illegal steps that the core's types do not let anyone write.
//!
//! The world of `sides` asks about people instead: every way in which their word lets an action run, held against an oracle
//! that knows who is on whose side.
//!
//! ```text
//! cargo run -p countersign-sim -- --seed 7 --steps 400            one run
//! cargo run -p countersign-sim -- --seeds 1000 --steps 400        seeds 0 to 999
//! cargo run -p countersign-sim -- --seed 7 --log run.jsonl        write its event log
//! cargo run -p countersign-sim -- --replay run.jsonl              run that log again
//! ```

mod check;
mod generate;
mod mutation;
mod rng;
mod run;
mod sides;
mod step;
mod store;
mod truth;
mod world;

pub use check::Violation;
pub use mutation::Mutation;
pub use run::{Counts, Line, Report, Simulator};
pub use sides::{Defect, Sides, SidesReport};
pub use step::{CallId, Fault, OpId, Seen, Step};
