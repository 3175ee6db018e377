//! What is secret and stored is sealed: encrypted, and bound to the place where it is stored.

use async_trait::async_trait;
use zeroize::Zeroizing;

/// Where a secret is stored. It opens there and nowhere else, so that nobody who writes to the store can put one row's
/// secret into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table and column, or the file.
    pub what: &'static str,
    /// The row's id; empty for a file.
    pub id: &'a str,
}

/// Why a secret was not sealed or opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SealError {
    /// The system gives no random bytes, or the master key's service does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// It was sealed with a key that is not here.
    #[error("it was sealed with a key that is not here (`{0}`)")]
    UnknownKey(String),
    /// It is not what was sealed here: changed, or from another place.
    #[error("it is not what was sealed in this place")]
    Broken,
}

/// Seals and opens.
pub trait Seal: Send + Sync {
    /// Seals a secret for a place.
    ///
    /// # Errors
    /// [`SealError`]; nothing is stored then.
    fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<String, SealError>;

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`SealError`].
    fn unseal(&self, place: Place<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError>;

    /// Whether this was sealed with the key in force, rather than an older one or none.
    fn is_current(&self, sealed: &str) -> bool;

    /// Puts a new key in force, under the master key as it is now. What older keys sealed still opens.
    ///
    /// # Errors
    /// [`SealError`]; the key in force stays.
    fn renew(&self) -> Result<String, SealError>;

    /// Forgets all keys but the one in force, once everything is sealed with that.
    ///
    /// # Errors
    /// [`SealError`]; they are kept.
    fn forget_older(&self) -> Result<(), SealError>;
}

/// Something that keeps sealed secrets.
#[async_trait]
pub trait Sealed: Send + Sync {
    /// Seals all of them with the key in force.
    ///
    /// # Errors
    /// [`SealError`]; what older keys sealed stays as it is.
    async fn seal_anew(&self) -> Result<(), SealError>;
}
