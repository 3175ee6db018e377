//! PostgreSQL: the gate between a client and its upstream, frontend/backend protocol 3.0 and 3.2.
//!
//! [`wire`] turns bytes into messages, [`scram`] authenticates, [`upstream`] connects to the real server.
//! Nothing here decides: what may run is the pipeline's business.
//! Specification: <https://www.postgresql.org/docs/current/protocol.html>.
mod aside;
mod cancel;
mod capture;
mod catalog;
mod connection;
mod copy;
pub mod describe;
mod describer;
mod doors;
mod duplex;
mod function;
mod impact;
mod likeness;
mod login;
pub mod mask;
#[cfg(test)]
mod model;
mod refuse;
pub mod scram;
pub mod serve;
mod session;
mod settings;
mod target;
pub mod upstream;
pub mod wire;
