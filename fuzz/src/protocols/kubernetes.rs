//! Kubernetes: what describes and shows a request.

#[path = "../../../crates/gateway/src/protocols/kubernetes/body.rs"]
mod body;
#[path = "../../../crates/gateway/src/protocols/kubernetes/class.rs"]
mod class;
#[path = "../../../crates/gateway/src/protocols/kubernetes/describe.rs"]
pub mod describe;
#[path = "../../../crates/gateway/src/protocols/kubernetes/impact.rs"]
mod impact;
#[path = "../../../crates/gateway/src/protocols/kubernetes/path.rs"]
mod path;
#[path = "../../../crates/gateway/src/protocols/kubernetes/pretty.rs"]
mod pretty;
#[path = "../../../crates/gateway/src/protocols/kubernetes/protobuf.rs"]
mod protobuf;
#[path = "../../../crates/gateway/src/protocols/kubernetes/query.rs"]
mod query;
#[path = "../../../crates/gateway/src/protocols/kubernetes/secret.rs"]
mod secret;
#[path = "../../../crates/gateway/src/protocols/kubernetes/shown.rs"]
pub mod shown;
#[path = "../../../crates/gateway/src/protocols/kubernetes/value.rs"]
mod value;
#[path = "../../../crates/gateway/src/protocols/kubernetes/yaml.rs"]
mod yaml;
