//! As much of the relay as the describers name.

#[path = "../../crates/gateway/src/relay/content.rs"]
pub mod dialect;
#[path = "../../crates/gateway/src/relay/head.rs"]
pub mod head;
#[path = "../../crates/gateway/src/relay/json.rs"]
pub mod json;
#[path = "../../crates/gateway/src/relay/page.rs"]
pub mod page;
