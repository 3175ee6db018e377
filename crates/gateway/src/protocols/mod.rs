//! The protocols the gateway speaks: each captures messages of clients and turns them into actions of the line.
//!
//! One folder a protocol. A protocol knows the pipeline, the ports and the core, never another protocol. Those that are
//! spoken over HTTP share the relay, to which each is a dialect.
use std::sync::Arc;

use crate::config::{Protocol, Target};
use crate::relay::dialect::Dialect;

pub mod aws;
pub mod http;
pub mod kubernetes;
pub mod postgres;

/// The dialect of a target that is spoken to over HTTP.
///
/// # Errors
/// What it needs cannot be read, or it is not spoken to over HTTP.
pub fn dialect(target: &Target) -> Result<Arc<dyn Dialect>, String> {
    match target.protocol {
        Protocol::Http => http::dialect(target),
        Protocol::Kubernetes => kubernetes::dialect(target),
        Protocol::Aws => aws::dialect(target),
        Protocol::Postgres => Err("it is not spoken to over HTTP".to_owned()),
    }
}
