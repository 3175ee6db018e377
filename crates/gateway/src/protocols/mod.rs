//! The protocols the gateway speaks: each captures messages of clients and turns them into actions of the line.
//!
//! One folder a protocol. A protocol knows the pipeline, the ports and the core, never another protocol.
pub mod aws;
pub mod http;
pub mod kubernetes;
pub mod postgres;
