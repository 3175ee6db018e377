//! Typed identifiers: one type per kind, so that a person can never stand where an agent is meant.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps an identifier that the caller made or stored.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A person's random handle: the unit of separation of duties. Names and addresses live outside the record.
    PersonId
}
id! {
    /// An agent's or job's random handle.
    AgentId
}
id! {
    /// One attempt at an action.
    ActionId
}
id! {
    /// One review.
    ReviewId
}
id! {
    /// One pattern that people approved.
    PatternId
}
id! {
    /// One grant: what an approved review yields.
    GrantId
}
