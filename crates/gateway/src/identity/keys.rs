//! Secrets that the gateway makes: agents' keys, people's tokens, login links and sessions.
//!
//! Each has 256 random bits behind a prefix that tells its kind (and lets secret scanners find a leaked one). Only its
//! SHA-256 is stored; a slow hash adds nothing to 256 random bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::ports::SecretHash;

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An agent's key.
    AgentKey,
    /// A person's token.
    Token,
    /// A login link's secret part.
    LoginLink,
    /// A console session's cookie.
    Session,
    /// The browser's part of a sign-in under way.
    SignIn,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::AgentKey, Kind::Token, Kind::LoginLink, Kind::Session, Kind::SignIn];

    fn prefix(self) -> &'static str {
        match self {
            Kind::AgentKey => "csk_",
            Kind::Token => "cst_",
            Kind::LoginLink => "csl_",
            Kind::Session => "css_",
            Kind::SignIn => "csi_",
        }
    }
}

/// The operating system gave no random bytes; nothing secret can be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// Makes a secret of a kind; shown once, stored as its hash only.
///
/// # Errors
/// [`NoRandomness`].
pub fn make(kind: Kind) -> Result<Zeroizing<String>, NoRandomness> {
    let mut raw = Zeroizing::new([0_u8; 32]);
    getrandom::fill(raw.as_mut())?;
    Ok(Zeroizing::new(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(raw.as_ref()))))
}

/// Random bytes for salts and handles.
///
/// # Errors
/// [`NoRandomness`].
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut raw = [0; N];
    getrandom::fill(&mut raw)?;
    Ok(raw)
}

/// What is stored of a secret.
pub fn hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// What a secret claims to be; `None` for text that none of ours looks like.
pub fn kind(secret: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| secret.starts_with(kind.prefix()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_tell_their_kind() {
        for of in Kind::ALL {
            let (one, two) = (make(of).expect("randomness"), make(of).expect("randomness"));
            assert_ne!(one, two);
            assert_eq!(kind(&one), Some(of));
            assert_eq!(one.len(), 4 + 43);
        }
        assert_eq!(kind("ghp_x"), None);
    }
}
