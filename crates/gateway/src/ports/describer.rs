//! Meaning without sending: what a text would be as an action of a target.

use countersign_core::action::Facts;

/// Says what a text means, as far as the text alone tells it.
pub trait Describer: Send + Sync {
    /// Its facts; of what is not understood, those that make it opaque.
    fn describe(&self, text: &str) -> Facts;
}
