//! A sign-in under way. The gateway keeps nothing of it: all of it is in the browser that began it.
//!
//! Anybody may begin a sign-in, as often as they like, so that beginning one must cost the gateway nothing. The browser's
//! cookie holds a secret, when it began and which page to go on to; `state`, `nonce` and the PKCE verifier are hashes of all
//! of that. An answer that names the right `state` therefore belongs to this browser, this time and this page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::action::Timestamp;
use openidconnect::{Nonce, PkceCodeVerifier};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::keys::{self, NoRandomness};
use crate::ports::SecretHash;

/// How long a person may take at the provider: ten minutes.
pub const FLOW_SECONDS: i64 = 10 * 60;
/// The longest address that a sign-in leads back to, in bytes.
const RETURN_BYTES_MAX: usize = 200;

/// One sign-in, as its browser keeps it: `csi_SECRET.SECONDS.PAGE`.
pub struct Flow {
    kept: Zeroizing<String>,
    began: Timestamp,
    back: String,
}

impl Flow {
    /// Begins one that leads back to a page of ours.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn begin(back: &str, now: Timestamp) -> Result<Self, NoRandomness> {
        let (secret, back, seconds) = (keys::make(keys::Kind::SignIn)?, own_page(back), seconds(now));
        let kept = Zeroizing::new(format!("{}.{seconds}.{back}", *secret));
        Ok(Self { kept, began: Timestamp::from_seconds(seconds), back })
    }

    /// The one that a browser's cookie holds, unless it took too long. What else the cookie may say is proved by
    /// [`Flow::answered_by`] alone.
    pub fn of_cookie(cookie: String, now: Timestamp) -> Option<Self> {
        let kept = Zeroizing::new(cookie);
        let mut parts = kept.splitn(3, '.');
        let (secret, began, back) = (parts.next()?, parts.next()?.parse::<u32>().ok()?, own_page(parts.next()?));
        let began = Timestamp::from_seconds(began.into());
        let fresh = (0..=FLOW_SECONDS).contains(&now.seconds_since(began));
        (fresh && keys::kind(secret) == Some(keys::Kind::SignIn)).then(|| Self { began, back, kept: kept.clone() })
    }

    /// What the browser keeps.
    pub fn cookie(&self) -> &str {
        &self.kept
    }

    /// The page to go on to.
    pub fn back(&self) -> &str {
        &self.back
    }

    /// From when on it is too late.
    pub fn ends_at(&self) -> Timestamp {
        self.began.plus_seconds(FLOW_SECONDS + 1)
    }

    /// Whether an answer's `state` is this one's.
    pub fn answered_by(&self, state: &str) -> bool {
        self.state().as_bytes().ct_eq(state.as_bytes()).into()
    }

    /// By what it is remembered once an answer was used.
    pub fn key(&self) -> SecretHash {
        Sha256::digest(self.state().as_bytes()).into()
    }

    /// What comes back with the answer.
    pub(super) fn state(&self) -> String {
        self.derived("state")
    }

    pub(super) fn nonce(&self) -> Nonce {
        Nonce::new(self.derived("nonce"))
    }

    pub(super) fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.derived("pkce"))
    }

    fn derived(&self, purpose: &str) -> String {
        let hash = Sha256::new().chain_update(b"countersign/oidc/v1\0").chain_update(purpose.as_bytes());
        URL_SAFE_NO_PAD.encode(hash.chain_update(b"\0").chain_update(self.kept.as_bytes()).finalize())
    }
}

fn seconds(now: Timestamp) -> i64 {
    now.seconds_since(Timestamp::from_seconds(0))
}

/// An address of ours to go on to; anything else is the inbox. Browsers read `\` as `/`, and `//host` as another host.
fn own_page(back: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '?' | '=' | '&');
    let ours = back.starts_with('/') && !back.starts_with("//") && back.len() <= RETURN_BYTES_MAX;
    if ours && back.chars().all(plain) { back.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: Timestamp = Timestamp::from_seconds(1_700_000_000);

    #[test]
    fn a_sign_in_leads_to_our_own_pages_only() {
        for page in ["/", "/reviews/0190-ab", "/record?from=3&to=9"] {
            assert_eq!(own_page(page), page);
        }
        for other in
            ["", "//evil.net", "/\\evil.net", "https://evil.net", "evil", "/a\r\nSet-Cookie: x", "/@evil", "/:x"]
        {
            assert_eq!(own_page(other), "/", "{other}");
        }
        assert_eq!(own_page(&format!("/{}", "a".repeat(300))), "/");
    }

    #[test]
    fn all_that_the_browser_keeps_is_proved_by_the_state() {
        let flow = Flow::begin("/record?from=3.5", BEGAN).expect("random bytes");
        let read = |cookie: String, after: i64| Flow::of_cookie(cookie, BEGAN.plus_seconds(after));
        let same = read(flow.cookie().to_owned(), FLOW_SECONDS).expect("the same");
        assert!(same.answered_by(&flow.state()) && same.key() == flow.key() && same.back() == "/record?from=3.5");

        let changed =
            [flow.cookie().replace("/record", "/people"), flow.cookie().replace(".1700000000.", ".1700000001.")];
        for cookie in changed {
            let other = read(cookie, 5).expect("can be read");
            assert!(!other.answered_by(&flow.state()) && other.key() != flow.key());
        }
        assert!(!flow.answered_by("") && !flow.answered_by(&flow.state()[1..]));
    }

    #[test]
    fn what_is_late_or_strange_is_none() {
        let flow = Flow::begin("/", BEGAN).expect("random bytes");
        assert!(Flow::of_cookie(flow.cookie().to_owned(), flow.ends_at()).is_none(), "too late");
        assert!(Flow::of_cookie(flow.cookie().to_owned(), BEGAN.plus_seconds(-1)).is_none(), "not begun yet");
        let session = flow.cookie().replace("csi_", "css_");
        let strange = ["", "csi_a", "csi_a.1700000000", "csi_a.x./", "csi_a.-5./", "csi_a.99999999999./", &session];
        for cookie in strange {
            assert!(Flow::of_cookie(cookie.to_owned(), BEGAN).is_none(), "{cookie}");
        }
    }
}
