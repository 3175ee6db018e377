//! Asking other services over HTTP: no redirects, bounded in time and size.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;

/// What one exchange may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long it may take.
    pub time: Duration,
    /// The largest answer, in bytes.
    pub bytes: usize,
}

impl Default for Limits {
    /// 10 seconds and 1 MiB; documents have a few kilobytes.
    fn default() -> Self {
        Self { time: Duration::from_secs(10), bytes: 1 << 20 }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or broke off.
    #[error("{0}")]
    Unreachable(String),
    /// The answer is too long.
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
    /// The answer is a failure or not what was asked for.
    #[error("{0}")]
    Unusable(String),
}

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = Result<http::Response<Vec<u8>>, Error>> + Send>>;

/// A client for all services that are asked within the same limits.
#[derive(Clone)]
pub struct Fetch {
    client: reqwest::Client,
    bytes_max: usize,
}

impl Fetch {
    /// # Errors
    /// No client can be made on this machine.
    pub fn new(limits: Limits) -> Result<Self, Error> {
        Self::trusting(limits, Vec::new())
    }

    /// One that trusts these roots besides the system's.
    ///
    /// # Errors
    /// As [`Fetch::new`].
    pub fn trusting(limits: Limits, roots: Vec<reqwest::Certificate>) -> Result<Self, Error> {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(limits.time);
        let client = builder.tls_certs_merge(roots).build().map_err(|error| Error::Unreachable(error.to_string()))?;
        Ok(Self { client, bytes_max: limits.bytes })
    }

    /// Sends a request as it is. Every answer is one, also a failure.
    pub fn send(self, request: http::Request<Vec<u8>>) -> Answering {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request).map_err(|e| Error::Unusable(e.to_string()))?;
            let url = request.url().clone();
            let answer = self.client.execute(request).await;
            let answer = answer.map_err(|error| Error::Unreachable(format!("{url}: {}", without_url(error))))?;
            let mut response = http::Response::new(Vec::new());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            let mut pieces = answer.bytes_stream();
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| Error::Unreachable(format!("{url}: {}", without_url(error))))?;
                if response.body().len() + piece.len() > self.bytes_max {
                    return Err(Error::TooLong(self.bytes_max));
                }
                response.body_mut().extend_from_slice(&piece);
            }
            Ok(response)
        })
    }

    /// Asks to go on in another protocol (RFC 9110 §7.8). Returns the answer's headers and the connection, which has no bound of
    /// time any more.
    ///
    /// # Errors
    /// [`Error`], also when the answer is not that it goes on.
    pub async fn upgrade(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<(http::HeaderMap, reqwest::Upgraded), Error> {
        let request = reqwest::Request::try_from(request).map_err(|e| Error::Unusable(e.to_string()))?;
        let answer = self.client.execute(request).await;
        let answer = answer.map_err(|error| Error::Unreachable(without_url(error)))?;
        if answer.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Unusable(format!("it answers {} and does not switch protocols", answer.status())));
        }
        let headers = answer.headers().clone();
        let connection = answer.upgrade().await.map_err(|error| Error::Unreachable(without_url(error)))?;
        Ok((headers, connection))
    }

    /// A JSON document, asked for with a bearer token where one is needed.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn json(&self, url: &str, bearer: Option<&str>) -> Result<Value, Error> {
        let mut request = http::Request::get(url).header(http::header::ACCEPT, "application/json");
        if let Some(token) = bearer {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Vec::new()).map_err(|error| Error::Unusable(error.to_string()))?;
        let answer = self.clone().send(request).await?;
        if !answer.status().is_success() {
            return Err(Error::Unusable(format!("{url} answers {}", answer.status())));
        }
        serde_json::from_slice(answer.body()).map_err(|error| Error::Unusable(format!("{url} is no JSON: {error}")))
    }
}

/// The scheme, host and port of an address; `None` for what is none.
pub fn origin(url: &str) -> Option<(String, String)> {
    let uri: http::Uri = url.parse().ok()?;
    Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_owned()))
}

/// The causes of a failure; the address is told apart from them.
fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// An error with what caused it, in one line: the libraries' own texts say only that a request failed.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
