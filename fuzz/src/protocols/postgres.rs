//! PostgreSQL: the wire codec, the describer, and the session machine with its model of the server.

#[path = "catalog.rs"]
mod catalog;
#[path = "../../../crates/gateway/src/protocols/postgres/describe/mod.rs"]
pub mod describe;
#[path = "mask.rs"]
mod mask;
#[path = "../../../crates/gateway/src/protocols/postgres/model/mod.rs"]
pub mod model;
#[path = "../../../crates/gateway/src/protocols/postgres/session/mod.rs"]
mod session;
#[path = "../../../crates/gateway/src/protocols/postgres/settings.rs"]
mod settings;
#[path = "../../../crates/gateway/src/protocols/postgres/wire/mod.rs"]
pub mod wire;
