//! What a description is made of besides the head: the body as far as it was read, and what a rehearsal asks and finds.

/// What is known of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// All of it; empty for a request without one.
    Whole(&'a [u8]),
    /// It is longer than what is read to describe a request.
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

/// What to ask the upstream to know what a request would do; none of it has an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// Where the object stands now: path and query to `GET`; absent for a creation.
    pub before: Option<String>,
    /// Path and query to send the same request to, by which nothing is persisted; absent for a deletion, whose outcome is
    /// known.
    pub after: Option<String>,
}

/// What a rehearsal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// The object as it stands; `None` where there is none.
    pub before: Option<Vec<u8>>,
    /// The object as it would be; `None` where there would be none.
    pub after: Option<Vec<u8>>,
}
