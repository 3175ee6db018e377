//! Errors as RFC 9457 problems: the API's errors, with the status of their stable code.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::codes::Code;
use crate::identity::{self, stewardship};
use crate::ports::{LogError, StoreError};
use crate::refusal::Refusal;
use crate::resolve::Denied;

/// The media type of RFC 9457 §3.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// How long a caller should wait before trying again what is refused for lack of room, in seconds.
const RETRY_SECONDS: &str = "5";

/// Why a request was not answered as wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    status: StatusCode,
    detail: String,
}

/// A problem as sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    /// `urn:countersign:error:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:countersign:error:digest_mismatch")]
    kind: String,
    /// What kind of problem this is, in words.
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// What happened this time.
    detail: &'a str,
    /// The stable code; `docs/errors/<code>.md` says what to do.
    #[schema(example = "digest_mismatch")]
    code: &'static str,
}

impl Problem {
    /// With a code, its status, and what happened.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, status: code.status(), detail: detail.into() }
    }

    /// With a status that says more than the code's own.
    #[must_use]
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// There is no such thing, or the caller may not know of it.
    pub(super) fn absent(what: &str, id: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no {what} `{id}`"))
    }

    /// A bug of ours, without detail.
    pub(super) fn internal() -> Self {
        let detail = "the gateway failed inside; its log says more";
        Self::new(Code::RecordUnavailable, detail).with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = self.code.name();
        let body = ProblemBody {
            kind: format!("urn:countersign:error:{code}"),
            title: self.code.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"countersign\""));
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied.code {
            Code::RecordUnavailable => unavailable(&denied.message),
            code => Self::new(code, denied.message),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NameTaken(_) => Self::new(Code::NameTaken, error.to_string()),
            error => unavailable(&error.to_string()),
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Absent(_) => Self::new(Code::NotFound, error.to_string()),
            LogError::Unavailable(_) => unavailable(&error.to_string()),
        }
    }
}

impl From<identity::Error> for Problem {
    fn from(error: identity::Error) -> Self {
        match error {
            identity::Error::Unknown => Self::new(Code::Unauthenticated, error.to_string()),
            identity::Error::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(Refusal { code, message, hint, .. }: Refusal) -> Self {
        match (code, hint) {
            (Code::RecordUnavailable, _) => unavailable(&message),
            (_, None) => Self::new(code, message),
            (_, Some(hint)) => Self::new(code, format!("{message}; {hint}")),
        }
    }
}

impl From<stewardship::Error> for Problem {
    fn from(error: stewardship::Error) -> Self {
        let code = match error {
            stewardship::Error::Store(error) => return error.into(),
            stewardship::Error::Randomness(_) => Code::RecordUnavailable,
            stewardship::Error::NotYours(_) => Code::NotFound,
            stewardship::Error::Invalid(_) => Code::BadRequest,
            stewardship::Error::Forbidden(_) => Code::Forbidden,
        };
        Self::new(code, error.to_string())
    }
}

/// The cause goes to the gateway's log: it may name files of the host.
fn unavailable(cause: &str) -> Problem {
    tracing::error!(cause, "a request could not be served");
    Problem::new(Code::RecordUnavailable, "the store or the log does not answer; the gateway's log says why")
}
