//! A log behind a web address.
//!
//! Plain `GET`s of the same paths as in a folder. Answers are bounded in size and time, redirects are not followed (a
//! log is where its address says), and TLS trusts the system's roots. What is fetched is trusted no more than a file.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::source::{SourceError, TileSource, read_bounded};

/// How long one connection attempt may take.
const CONNECT_SECONDS_MAX: u64 = 10;
/// How long one answer may take, but for the checkpoint history, which may be long.
const ANSWER_SECONDS_MAX: u64 = 60;
/// How long reading the checkpoint history may take.
const HISTORY_SECONDS_MAX: u64 = 6 * 3600;

/// A log at an `http://` or `https://` address.
#[derive(Debug, Clone)]
pub struct HttpSource {
    agent: Agent,
    base: String,
}

/// An answer that is neither the file nor its absence.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {0}")]
struct UnexpectedStatus(StatusCode);

impl HttpSource {
    /// A log below `base`; nothing is fetched yet. Fails if no trusted TLS root is found for an `https://` address.
    pub fn new(base: &str) -> Result<Self, SourceError> {
        let tls = base.starts_with("https://").then(|| tls_config(base)).transpose()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(Duration::from_secs(CONNECT_SECONDS_MAX)))
            .timeout_recv_response(Some(Duration::from_secs(ANSWER_SECONDS_MAX)))
            .user_agent(concat!("countersign-verify/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.unwrap_or_default());
        Ok(Self { agent: config.build().new_agent(), base: base.trim_end_matches('/').to_owned() })
    }

    fn get(&self, path: &str, seconds_max: u64) -> Result<Option<impl Read + use<>>, SourceError> {
        let request = self.agent.get(format!("{}/{path}", self.base));
        let request = request.config().timeout_recv_body(Some(Duration::from_secs(seconds_max))).build();
        let response = request.call().map_err(|e| SourceError::read(path, e))?;
        match response.status() {
            StatusCode::OK => Ok(Some(response.into_body().into_with_config().limit(u64::MAX).reader())),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            other => Err(SourceError::read(path, UnexpectedStatus(other))),
        }
    }
}

fn tls_config(base: &str) -> Result<TlsConfig, SourceError> {
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<_> = found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if roots.is_empty() {
        return Err(SourceError::read(base, "the system has no trusted TLS roots"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    Ok(config.root_certs(RootCerts::Specific(Arc::new(roots))).build())
}

impl TileSource for HttpSource {
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        self.get(path, ANSWER_SECONDS_MAX)?.map(|body| read_bounded(path, body)).transpose()
    }

    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>, SourceError> {
        Ok(self.get(path, HISTORY_SECONDS_MAX)?.map(|body| Box::new(body) as Box<dyn Read>))
    }
}
