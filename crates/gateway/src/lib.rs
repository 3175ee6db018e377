//! Countersign, the gateway: everything that does I/O around the pure core.
//!
//! Start reading at [`pipeline`], the straight line of one action, then [`resolve`], the one place where a vote is cast,
//! and [`ports`], the traits between them and the adapters.

pub mod admin;
pub mod api;
pub mod app;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod codes;
pub mod config;
pub mod console;
pub mod fetch;
pub mod gate;
pub mod host;
pub mod http;
pub mod identity;
pub mod lanes;
pub mod ledger;
pub mod pipeline;
pub mod policies;
pub mod ports;
pub mod proposals;
pub mod protocols;
pub mod prover;
pub mod refusal;
pub mod relay;
pub mod resolve;
pub mod scim;
pub mod spool;
pub mod store;
pub mod targets;
pub mod telemetry;
pub mod tls;
pub mod vault;
pub mod waiting;
