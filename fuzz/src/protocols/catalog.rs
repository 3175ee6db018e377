//! As much of the catalog as the session machine names: what is pure of it.

#[path = "../../../crates/gateway/src/protocols/postgres/catalog/answer.rs"]
mod answer;
#[path = "../../../crates/gateway/src/protocols/postgres/catalog/apply.rs"]
mod apply;

pub(super) use self::answer::Resolution;
pub(super) use self::apply::{Disturbance, disturbance};
