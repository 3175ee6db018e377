//! Passkeys (WebAuthn level 3): who the browser is told that it signs for, enrolment, and the check of an assertion.
//!
//! `webauthn-rs-core` does the cryptography and the ceremonies' checks. What it signs is ours: the challenge of a vote is
//! made of the vote ([`countersign_core::review::intent`]), not of randomness alone, so its state is put together here
//! around that challenge. Nothing here decides who may vote.

use std::time::Duration;

use serde::Serialize;
use url::{Host, Url};
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;

mod assert;
mod enrol;

pub use assert::{Asserted, Assertion, Refused};
pub use enrol::{Creation, EnrolError, Started};

/// Passkeys one person may have.
pub const PASSKEYS_MAX: u32 = 10;
/// The longest name of a passkey, in bytes.
pub const LABEL_BYTES_MAX: usize = 60;
/// How long a person has for the dialog of their browser.
const DIALOG: Duration = Duration::from_secs(120);
/// What a passkey's dialog calls the gateway.
const NAME: &str = "Countersign";

/// The gateway as browsers know it: passkeys are bound to its host's name.
pub struct RelyingParty {
    core: WebauthnCore,
    rp_id: String,
    origin: String,
}

/// Why there can be no passkeys under an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Not an address.
    #[error("`{0}` is not a web address")]
    Address(String),
    /// An IP address is no relying party (WebAuthn level 3, section 5.1.3: a valid domain).
    #[error(
        "passkeys are bound to a name, and `public_url` has the IP address `{0}`; give the gateway a name there \
         (`http://localhost:…` does on one machine) and open the console by it"
    )]
    IpAddress(String),
    /// Browsers have no passkeys over plain HTTP, except on the machine itself.
    #[error("browsers offer passkeys over HTTPS only, except on `localhost`; `public_url` is `{0}`")]
    Plaintext(String),
}

impl RelyingParty {
    /// For the gateway's `public_url`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn of(public_url: &str) -> Result<Self, Unavailable> {
        let address = || Unavailable::Address(public_url.to_owned());
        let url = Url::parse(public_url).map_err(|_| address())?;
        let rp_id = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(ip @ (Host::Ipv4(_) | Host::Ipv6(_))) => return Err(Unavailable::IpAddress(ip.to_string())),
            None => return Err(address()),
        };
        let on_the_machine = rp_id == "localhost" || rp_id.ends_with(".localhost");
        if url.scheme() != "https" && !(url.scheme() == "http" && on_the_machine) {
            return Err(Unavailable::Plaintext(public_url.to_owned()));
        }
        let origin = url.origin().ascii_serialization();
        let core = WebauthnCore::new_unsafe_experts_only(NAME, &rp_id, vec![url], DIALOG, Some(false), Some(false));
        Ok(Self { core, rp_id, origin })
    }

    /// The name that passkeys are bound to.
    pub fn rp_id(&self) -> &str {
        &self.rp_id
    }

    /// The only origin whose pages may use them.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

/// What a browser is asked to sign, as its `parseRequestOptionsFromJSON` reads it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions {
    challenge: String,
    timeout: u64,
    rp_id: String,
    allow_credentials: Vec<Descriptor>,
    user_verification: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct Descriptor {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
}

/// The challenge in what a browser says it signed for; unchecked, to find what it was asked.
fn challenge_of(client_data: &[u8]) -> Option<[u8; 32]> {
    #[derive(serde::Deserialize)]
    struct Said {
        challenge: String,
    }
    let said: Said = serde_json::from_slice(client_data).ok()?;
    from_base64(&said.challenge)?.try_into().ok()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}

/// The browser's own handle for a person: says nothing about them.
fn user_handle(person: &countersign_core::action::PersonId) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(format!("countersign/passkey/v1\0{person}").as_bytes()).into()
}

/// A ceremony's failure in words for the person before it.
fn words(error: &WebauthnError) -> String {
    match error {
        WebauthnError::UserNotVerified => {
            "the passkey did not verify its user; a PIN, a finger or a face is needed".into()
        }
        WebauthnError::InvalidRPOrigin => "it was signed on a page of another address".into(),
        WebauthnError::InvalidRPIDHash => "it was signed for another site".into(),
        WebauthnError::MismatchedChallenge => "it was signed for something else".into(),
        WebauthnError::CredentialPossibleCompromise => {
            "its counter went back: a copy of the passkey may exist; remove it and enrol another".into()
        }
        WebauthnError::CredentialNotFound => "this passkey is not one of yours, or was removed".into(),
        WebauthnError::AuthenticationFailure | WebauthnError::SignatureInvalid => "the signature is wrong".into(),
        other => format!("the passkey's answer is not acceptable ({other:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_need_a_name_and_a_secure_page() {
        for (url, rp_id, origin) in [
            ("https://sign.example.org/console", "sign.example.org", "https://sign.example.org"),
            ("https://sign.example.org:8443", "sign.example.org", "https://sign.example.org:8443"),
            ("http://localhost:8470", "localhost", "http://localhost:8470"),
        ] {
            let party = RelyingParty::of(url).ok();
            let party = party.as_ref().map(|party| (party.rp_id(), party.origin()));
            assert_eq!(party, Some((rp_id, origin)));
        }
        let why = |url: &str| RelyingParty::of(url).err();
        assert_eq!(why("http://127.0.0.1:8470"), Some(Unavailable::IpAddress("127.0.0.1".to_owned())));
        assert_eq!(why("https://[::1]:8470"), Some(Unavailable::IpAddress("[::1]".to_owned())));
        let plain = "http://sign.example.org";
        assert_eq!(why(plain), Some(Unavailable::Plaintext(plain.to_owned())));
        assert_eq!(why("nonsense"), Some(Unavailable::Address("nonsense".to_owned())));
    }
}
