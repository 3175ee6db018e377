//! AWS: what describes and shows a request, and takes a body out of its chunks.

#[path = "../../../crates/gateway/src/protocols/aws/call.rs"]
mod call;
#[path = "../../../crates/gateway/src/protocols/aws/sign/chunked.rs"]
mod chunked;
#[path = "../../../crates/gateway/src/protocols/aws/classes.rs"]
mod classes;
#[path = "../../../crates/gateway/src/protocols/aws/describe.rs"]
pub mod describe;
#[path = "../../../crates/gateway/src/protocols/aws/models.rs"]
pub mod models;
#[path = "../../../crates/gateway/src/protocols/aws/resources.rs"]
mod resources;
#[path = "../../../crates/gateway/src/protocols/aws/s3.rs"]
mod s3;
#[path = "../../../crates/gateway/src/protocols/aws/scope.rs"]
mod scope;
#[path = "../../../crates/gateway/src/protocols/aws/shown.rs"]
pub mod shown;

/// As much of signing as the gateway's module has under this name.
pub mod sign {
    pub use super::chunked::unchunked;
}

/// What is known of AWS beyond the tables.
#[derive(Debug, Default)]
pub struct Aws {
    /// Operations of services that speak REST.
    pub models: models::Models,
    /// The host behind which a bucket's name stands.
    pub bucket_host: Option<String>,
}
