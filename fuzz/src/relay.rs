//! As much of the relay as the describers name.

#[path = "../../crates/gateway/src/relay/head.rs"]
pub mod head;
#[path = "../../crates/gateway/src/relay/json.rs"]
pub mod json;
#[path = "../../crates/gateway/src/relay/page.rs"]
pub mod page;

/// As much of the dialects' trait.
pub mod dialect {
    /// What is known of a request's body.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Content<'a> {
        /// All of it.
        Whole(&'a [u8]),
        /// It is longer than what is read.
        Unread,
    }

    impl<'a> Content<'a> {
        /// All of it, where it was read.
        pub fn bytes(self) -> Option<&'a [u8]> {
            match self {
                Content::Whole(bytes) => Some(bytes),
                Content::Unread => None,
            }
        }
    }
}
