//! APIs with an OpenAPI document: what describes and shows a request.

#[path = "../../../crates/gateway/src/protocols/http/classes.rs"]
pub mod classes;
#[path = "../../../crates/gateway/src/protocols/http/describe.rs"]
pub mod describe;
#[path = "../../../crates/gateway/src/protocols/http/openapi/mod.rs"]
pub mod openapi;
#[path = "../../../crates/gateway/src/protocols/http/packs.rs"]
pub mod packs;
#[path = "../../../crates/gateway/src/protocols/http/shown.rs"]
pub mod shown;
#[path = "../../../crates/gateway/src/protocols/http/values.rs"]
mod values;

/// What is known of an API.
#[derive(Debug)]
pub enum Api {
    /// Its document, and the name that its operations have in policies.
    Document {
        /// `github` in `github:pulls/merge`.
        name: String,
        /// The document.
        document: Box<openapi::Document>,
    },
    /// That its methods mean what RFC 9110 says.
    Generic,
    /// Nothing.
    Unknown,
}
