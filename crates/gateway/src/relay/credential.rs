//! The credential that the gateway adds to what was approved: fetched where the target says, used for a second, and asked for
//! anew where the upstream refuses it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::access_key::AccessKey;
use super::oauth;
use crate::config::{Auth, CredentialSource, HttpTarget, Target};
use crate::ports::Vault;

/// How long a credential is used before the vault is asked again: a rotation needs no restart.
const LIFE: Duration = Duration::from_secs(1);

/// What proves to the upstream who is asking.
#[derive(Clone)]
pub(super) enum Credential {
    None,
    Header(HeaderName, HeaderValue),
    Certificate(Arc<Zeroizing<String>>),
    Signed(AccessKey),
}

/// A credential, or why there is none; and since when that is known.
type Found = (Instant, Result<Credential, String>);

/// The credential of one upstream, as one lane has it.
#[derive(Default)]
pub(super) struct Credentials {
    /// And how many had been refused by then.
    own: Mutex<Option<(u64, Found)>>,
    shared: Arc<Shared>,
}

/// What all lanes have.
#[derive(Default)]
struct Shared {
    /// Whoever waited for it meanwhile does not ask again.
    found: tokio::sync::Mutex<Option<Found>>,
    /// How many were refused; written while `found` is held.
    refused: AtomicU64,
    token: oauth::Token,
}

impl Credentials {
    /// The same for another lane.
    pub(super) fn beside(&self) -> Self {
        Self { own: Mutex::default(), shared: self.shared.clone() }
    }

    /// The credential of a target.
    ///
    /// # Errors
    /// In words, why there is none.
    pub(super) async fn get(
        &self,
        target: &Target,
        http: &HttpTarget,
        vault: &dyn Vault,
    ) -> Result<Credential, String> {
        let Some(source) = &target.credential else { return Ok(Credential::None) };
        let refused = self.shared.refused.load(Ordering::Acquire);
        if let Some((then, found)) = &*self.own()
            && *then == refused
            && is_fresh(found)
        {
            return found.1.clone();
        }
        Box::pin(self.find(target, http, (vault, source))).await // in a box of its own: most requests find it
    }

    async fn find(
        &self,
        target: &Target,
        http: &HttpTarget,
        (vault, source): (&dyn Vault, &CredentialSource),
    ) -> Result<Credential, String> {
        let mut found = self.shared.found.lock().await;
        let (since, credential) = match found.take().filter(is_fresh) {
            Some(fresh) => fresh,
            None => {
                let credential = match vault.credential(&target.name, source).await {
                    Ok(secret) => self.made_of(http, &secret).await,
                    Err(error) => Err(error.to_string()),
                };
                (Instant::now(), credential)
            }
        };
        *found = Some((since, credential.clone()));
        let own = credential.map(Credential::apart);
        *self.own() = Some((self.shared.refused.load(Ordering::Acquire), (since, own.clone())));
        own
    }

    /// The token in this header is no good any more; another that came meanwhile stays.
    pub(super) async fn forget(&self, used: &HeaderValue) {
        let mut found = self.shared.found.lock().await;
        if matches!(&*found, Some((_, Ok(Credential::Header(_, value)))) if value == used) {
            *found = None;
            self.shared.token.forget();
            self.shared.refused.fetch_add(1, Ordering::Release); // what other lanes have of it is no good either
        }
    }

    fn own(&self) -> MutexGuard<'_, Option<(u64, Found)>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner) // valid after any panic
    }

    async fn made_of(&self, http: &HttpTarget, secret: &SecretString) -> Result<Credential, String> {
        let text = secret.expose_secret();
        Ok(match &http.auth {
            Auth::Bearer => header(AUTHORIZATION, "Bearer ", text)?,
            Auth::Basic { user } => {
                let pair = Zeroizing::new(format!("{user}:{text}"));
                header(AUTHORIZATION, "Basic ", &Zeroizing::new(STANDARD.encode(pair.as_bytes())))?
            }
            Auth::Header { name, prefix } => {
                header(name.parse().map_err(|_| format!("`{name}` is no header"))?, prefix, text)?
            }
            Auth::Certificate { .. } => Credential::Certificate(Arc::new(Zeroizing::new(text.to_owned()))),
            Auth::OAuth { token_url, client_id, scope } => {
                let client = oauth::Client { token_url, client_id, scope: scope.as_deref(), ca: http.ca.as_deref() };
                let token = self.shared.token.get(&client, secret).await?;
                header(AUTHORIZATION, "Bearer ", &token)?
            }
            Auth::SigV4 { access_key_id } => Credential::Signed(AccessKey::read(access_key_id, text)?),
        })
    }
}

impl Credential {
    /// The same in memory of its own, whose users no other lane counts.
    fn apart(self) -> Self {
        match self {
            Self::Header(name, value) => {
                let Ok(mut own) = HeaderValue::from_bytes(value.as_bytes()) else { return Self::Header(name, value) };
                own.set_sensitive(value.is_sensitive());
                Self::Header(name, own)
            }
            Self::None | Self::Certificate(_) | Self::Signed(_) => self,
        }
    }
}

fn is_fresh((since, _): &Found) -> bool {
    since.elapsed() < LIFE
}

fn header(name: HeaderName, prefix: &str, secret: &str) -> Result<Credential, String> {
    let text = Zeroizing::new(format!("{prefix}{secret}"));
    let value = HeaderValue::from_str(&text);
    let mut value = value.map_err(|_| "the credential cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(Credential::Header(name, value))
}

#[cfg(test)]
mod tests {
    use countersign_core::action::redact::Redaction;
    use countersign_core::action::{Environment, Sensitivity};

    use super::*;
    use crate::config::Protocol;
    use crate::vault::LocalVault;

    struct Stage {
        target: Target,
        secret: tempfile::NamedTempFile,
    }

    impl Stage {
        fn new() -> Self {
            let secret = tempfile::NamedTempFile::new().expect("a file");
            let target = Target {
                name: "api".to_owned(),
                protocol: Protocol::Http,
                upstream: "http://10.0.0.1".to_owned(),
                credential: Some(CredentialSource::File(secret.path().to_owned())),
                environment: Environment::Staging,
                sensitivity: Sensitivity::Low,
                redact: Redaction::default(),
                http: None,
            };
            Self { target, secret }
        }

        fn rotate(&self, secret: &str) {
            std::fs::write(self.secret.path(), secret).expect("writable");
        }

        async fn header(&self, of: &Credentials) -> HeaderValue {
            let found = of.get(&self.target, &HttpTarget::default(), &LocalVault::default()).await;
            match found.expect("a credential") {
                Credential::Header(_, value) => value,
                _ => panic!("no header"),
            }
        }
    }

    #[tokio::test]
    async fn what_is_refused_on_one_lane_is_used_on_none() {
        let stage = Stage::new();
        let one = Credentials::default();
        let other = one.beside();
        stage.rotate("first");
        let first = stage.header(&one).await;
        assert_eq!((&first, first.is_sensitive()), (&HeaderValue::from_static("Bearer first"), true));
        stage.rotate("second");
        stage.header(&other).await; // the first too, while its second lasts
        one.forget(&first).await;
        for lane in [&other, &one] {
            assert_eq!(stage.header(lane).await, HeaderValue::from_static("Bearer second"));
        }
    }
}
