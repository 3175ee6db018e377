//! One upstream: how it is reached, and what it says of itself at a session's start.
//!
//! A client is told the upstream's settings when it logs in, long before it has a connection of its own: so they are
//! asked for once, on a connection that does nothing else, and kept for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use countersign_core::action::redact::Rules;

use super::catalog::Catalog;
use super::duplex::Stream;
use super::upstream::{ConnectError, Connection, Connector, Timeouts};
use super::wire::startup::CancelKey;
use crate::codes::Code;
use crate::config;
use crate::ports::Vault;
use crate::refusal::Refusal;

/// How long what an upstream said of itself is believed.
const TOLD_LIFE: Duration = Duration::from_secs(10 * 60);

/// An upstream that clients may be connected to.
pub(super) struct Upstream {
    pub(super) config: config::Target,
    /// What its cards hide.
    pub(super) rules: Rules,
    connector: Connector,
    /// What its names refer to.
    pub(super) catalog: Catalog,
    told: Mutex<Option<(Instant, BTreeMap<String, String>)>>,
}

/// A session of the upstream.
pub(super) struct Connected {
    pub(super) stream: Box<dyn Stream>,
    pub(super) buffered: BytesMut,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) cancel_key: Option<CancelKey>,
}

/// A target's `upstream` is not usable.
#[derive(Debug, thiserror::Error)]
#[error("target `{target}`: {problem}")]
pub struct TargetError {
    target: String,
    problem: String,
}

impl Upstream {
    pub(super) fn new(config: config::Target) -> Result<Self, TargetError> {
        let fail = |problem: String| TargetError { target: config.name.clone(), problem };
        let endpoint = config.upstream.parse().map_err(|e: super::upstream::EndpointError| fail(e.to_string()))?;
        let connector = Connector::new(endpoint).map_err(|e| fail(e.to_string()))?;
        let rules = Rules::new(&config.redact).map_err(|e| fail(e.to_string()))?;
        Ok(Self { config, rules, connector, catalog: Catalog::default(), told: Mutex::new(None) })
    }

    /// Opens a session. The secret is fetched here and goes no further.
    pub(super) async fn connect(
        &self,
        vault: &dyn Vault,
        settings: &BTreeMap<String, String>,
    ) -> Result<Connected, Refusal> {
        let secret = match &self.config.credential {
            Some(source) => {
                let secret = vault.credential(&self.config.name, source).await;
                Some(secret.map_err(|e| unavailable(e.to_string()))?)
            }
            None => None,
        };
        let connected = self.connector.connect(secret.as_ref(), settings, Timeouts::default()).await;
        let Connection { stream, read_buf, parameters, cancel_key, .. } = connected.map_err(|e| refused(&e))?;
        Ok(Connected { stream: Box::new(stream), buffered: read_buf, parameters, cancel_key })
    }

    /// What the upstream says of itself; asked for when it is not known, or was asked too long ago.
    pub(super) async fn parameters(&self, vault: &dyn Vault) -> Result<BTreeMap<String, String>, Refusal> {
        if let Some((asked, parameters)) = self.lock().as_ref()
            && asked.elapsed() < TOLD_LIFE
        {
            return Ok(parameters.clone());
        }
        let parameters = self.connect(vault, &BTreeMap::new()).await?.parameters;
        *self.lock() = Some((Instant::now(), parameters.clone()));
        Ok(parameters)
    }

    pub(super) async fn cancel(&self, key: &CancelKey) {
        if let Err(error) = self.connector.cancel(key, Timeouts::default()).await {
            tracing::warn!(target = %self.config.name, %error, "a cancel request could not be passed on");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, BTreeMap<String, String>)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner) // a snapshot is valid after any panic
    }
}

fn unavailable(message: String) -> Refusal {
    Refusal::new(Code::UpstreamUnavailable, message)
        .hint("nothing was sent to the upstream; `countersign doctor` checks it")
}

fn refused(error: &ConnectError) -> Refusal {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        message.push_str(&format!(": {next}"));
        cause = next.source();
    }
    unavailable(message)
}
