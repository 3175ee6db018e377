//! The one error of these commands: a sentence for the person at the terminal.

use std::fmt;

/// What went wrong, in words.
#[derive(Debug)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// A result whose error is a [`Trouble`].
pub type Result<T, E = Trouble> = std::result::Result<T, E>;

/// Says what was being done when an error came up.
pub trait Doing<T> {
    /// Turns the error into a [`Trouble`] that begins with `what`.
    ///
    /// # Errors
    /// The error it was given, told.
    fn doing<W: fmt::Display>(self, what: W) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing<W: fmt::Display>(self, what: W) -> Result<T> {
        self.map_err(|error| Trouble(format!("{what}: {error}")))
    }
}

impl<T> Doing<T> for Option<T> {
    fn doing<W: fmt::Display>(self, what: W) -> Result<T> {
        self.ok_or_else(|| Trouble(what.to_string()))
    }
}

/// Fails with a formatted sentence.
#[macro_export]
macro_rules! fail {
    ($($words:tt)*) => { return Err($crate::trouble::Trouble(format!($($words)*))) };
}
