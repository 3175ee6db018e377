//! Bytes that only their own permit can open (invariants I1 and I2).

use zeroize::Zeroizing;

use super::digest::PayloadDigest;
use crate::grant::Permit;

/// The exact bytes an upstream would receive, closed until a [`Permit`] for them exists.
///
/// There is no accessor: [`SealedPayload::open`] wants the permit, and the permit can only be minted by
/// [`crate::grant::release`], after the intent is recorded. `Debug` shows the digest alone.
///
/// ```compile_fail
/// let payload = countersign_core::action::SealedPayload::seal(b"DELETE FROM t".to_vec());
/// let bytes: &[u8] = &payload.bytes; // private
/// ```
pub struct SealedPayload {
    bytes: Zeroizing<Vec<u8>>,
    digest: PayloadDigest,
}

impl SealedPayload {
    /// Closes over the bytes; from here on only their digest can be seen.
    pub fn seal(bytes: Vec<u8>) -> Self {
        let digest = PayloadDigest::of(&bytes);
        Self { bytes: Zeroizing::new(bytes), digest }
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> PayloadDigest {
        self.digest
    }

    /// The bytes, for the one permit that names them; the permit is spent.
    ///
    /// # Errors
    /// [`NotThisPayload`] when the permit was minted for other bytes; both are lost, and nothing can be sent.
    pub fn open(self, permit: Permit) -> Result<Zeroizing<Vec<u8>>, NotThisPayload> {
        if permit.payload() != self.digest {
            return Err(NotThisPayload);
        }
        Ok(self.bytes)
    }
}

impl std::fmt::Debug for SealedPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SealedPayload").field(&self.digest).finish()
    }
}

/// A permit was offered to a payload it was not minted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the permit was minted for another payload")]
pub struct NotThisPayload;
