//! Whether an activity comes from Bot Framework: a token of its issuer, for this app, by a key that is endorsed for Teams, and
//! about the same service that the activity names (Bot Connector, *Authentication*).

use axum::http::{HeaderMap, header};
use countersign_core::action::Timestamp;

use super::activities::Activity;
use crate::config;
use crate::fetch;
use crate::identity::jwks::{self, Keys, Source};
use crate::identity::jwt::{self, Expectations, Signing};

/// How far Bot Framework's clock may be off: 5 minutes.
const LEEWAY_SECONDS: i64 = 5 * 60;
/// What Bot Framework calls Teams.
const CHANNEL: &str = "msteams";

/// Why an activity is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// There is no token.
    #[error("no bearer token")]
    NoToken,
    /// The keys cannot be had: nothing can be checked.
    #[error("{0}")]
    Unchecked(String),
    /// The token is not believed.
    #[error("{0}")]
    Token(String),
    /// The activity says something else than its token.
    #[error("the token is about another service than the activity")]
    Service,
    /// The token of the bot would be shown to whoever is there.
    #[error("the service is on a host that is not in `teams.service_hosts`")]
    Host,
    /// It is of another chat service.
    #[error("the activity is not from Teams")]
    Channel,
    /// It is of another organization, or does not say of which.
    #[error("the activity is of another tenant")]
    Tenant,
}

/// An activity that was checked.
pub(super) struct Genuine(Activity);

impl Genuine {
    pub(super) fn into_inner(self) -> Activity {
        self.0
    }
}

/// A token that was believed: about which service.
pub(super) struct Believed {
    service_url: Option<String>,
}

/// Checks tokens and activities.
pub(super) struct Checker {
    config: config::Teams,
    keys: Keys,
}

impl Checker {
    /// # Errors
    /// No client can be made.
    pub(super) fn new(config: config::Teams) -> Result<Self, fetch::Error> {
        let source = Source::Metadata { url: config.metadata.clone(), issuer: config.issuer.clone() };
        Ok(Self { keys: Keys::new(jwks::client(Vec::new())?, source), config })
    }

    /// Checks who sent a request, before anything else of it is read.
    pub(super) async fn sender(&self, headers: &HeaderMap, now: Timestamp) -> Result<Believed, Refused> {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Refused::NoToken)?;
        let expected = Expectations {
            issuer: Some(&self.config.issuer),
            audience: &self.config.app_id,
            algorithms: &[Signing::RS256, Signing::RS384, Signing::RS512],
            types: &["jwt"],
            age_seconds_max: None,
            leeway_seconds: LEEWAY_SECONDS,
            endorsement: Some(CHANNEL),
        };
        let claims = jwt::verify(&self.keys, token, &expected, now).await.map_err(|error| match error {
            jwt::Error::Keys(jwks::Error::Unavailable(why)) => Refused::Unchecked(why),
            other => Refused::Token(other.to_string()),
        })?;
        Ok(Believed { service_url: claims.text("serviceurl") })
    }

    /// Checks what a believed sender says.
    pub(super) fn activity(&self, sender: &Believed, activity: Activity) -> Result<Genuine, Refused> {
        if sender.service_url.as_deref() != Some(activity.service_url.as_str()) {
            return Err(Refused::Service);
        }
        if !self.config.takes(&activity.service_url) {
            return Err(Refused::Host);
        }
        if activity.channel_id != CHANNEL {
            return Err(Refused::Channel);
        }
        let mut tenants = activity.tenants();
        let first = tenants.next().ok_or(Refused::Tenant)?;
        if first != self.config.tenant || tenants.any(|other| other != first) {
            return Err(Refused::Tenant);
        }
        drop(tenants);
        Ok(Genuine(activity))
    }
}
