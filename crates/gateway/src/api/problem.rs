//! Errors as RFC 9457 problems: one total function from a stable code to a status.

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
        Self { code, status: status(code), detail: detail.into() }
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
            title: title(self.code),
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

/// The HTTP status of a code.
pub fn status(code: Code) -> StatusCode {
    match code {
        Code::BadRequest | Code::Unparsed | Code::ReasonInvalid | Code::ProtocolViolation => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PolicyDenied
        | Code::NoPermit
        | Code::PolicyError
        | Code::MaskImpossible
        | Code::ReviewRejected
        | Code::ReviewExpired
        | Code::ReviewWithdrawn
        | Code::RejectedRecently
        | Code::SelfApproval
        | Code::NotAReviewer
        | Code::SignInAgain
        | Code::LocalCredential
        | Code::SignInFailed
        | Code::TokenMalformed
        | Code::TokenSignature
        | Code::TokenExpired
        | Code::TokenAudience
        | Code::TokenReplayed
        | Code::IssuerUnknown
        | Code::JobUnmatched
        | Code::AccountUnlinked
        | Code::DelegationRefused
        | Code::Forbidden
        | Code::PasskeyRequired
        | Code::PasskeyRefused
        | Code::NoBreakGlass
        | Code::PatternRefused
        | Code::NotYourTurn
        | Code::CallbackInvalid
        | Code::SettingRefused
        | Code::TlsRequired
        | Code::CrossSite => StatusCode::FORBIDDEN,
        Code::NotFound | Code::UnknownTarget | Code::TargetWaits => StatusCode::NOT_FOUND,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::HoldEnded => StatusCode::GATEWAY_TIMEOUT,
        Code::ReviewClosed
        | Code::VotedAlready
        | Code::DigestMismatch
        | Code::ChallengeVoid
        | Code::CallbackUsed
        | Code::FollowUpDone
        | Code::IncidentDeclared
        | Code::TooManyPasskeys
        | Code::ApprovalVoid
        | Code::BoundExceeded
        | Code::ProposalNeeded
        | Code::ProposalsOff
        | Code::ProposalStale
        | Code::NotRevealed
        | Code::NameTaken => StatusCode::CONFLICT,
        Code::CallbackExpired => StatusCode::GONE,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::TooManyReviews | Code::ComparedTooOften => StatusCode::TOO_MANY_REQUESTS,
        Code::Unsupported | Code::PasskeysUnavailable => StatusCode::NOT_IMPLEMENTED,
        Code::UpstreamUnavailable | Code::NamesUnresolved => StatusCode::BAD_GATEWAY,
        Code::RecordUnavailable | Code::TooManyConnections | Code::IssuerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What kind of problem a code is, in words that never change from case to case.
fn title(code: Code) -> &'static str {
    match code {
        Code::PolicyDenied => "a policy forbids the action",
        Code::NoPermit => "no policy permits the action",
        Code::PolicyError => "a policy could not be evaluated",
        Code::MaskImpossible => "masked columns cannot be masked here",
        Code::Unparsed => "the text cannot be parsed",
        Code::ReviewRejected => "a reviewer rejected the action",
        Code::ReviewExpired => "the review expired",
        Code::ReviewWithdrawn => "the review was withdrawn",
        Code::HoldEnded => "nobody decided in time; the review is still open",
        Code::RejectedRecently => "the same was rejected a short while ago",
        Code::TooManyReviews => "too many reviews are open",
        Code::ApprovalVoid => "the approval no longer holds",
        Code::BoundExceeded => "it changed more than it was approved for",
        Code::Cancelled => "the caller left or cancelled",
        Code::RecordUnavailable => "the gateway cannot read or record",
        Code::UpstreamUnavailable => "the upstream cannot be reached",
        Code::NamesUnresolved => "names could not be resolved",
        Code::Unsupported => "this is not supported",
        Code::SettingRefused => "the setting is refused",
        Code::TooLarge => "the request is too large",
        Code::ProtocolViolation => "these bytes are not the protocol",
        Code::TooManyConnections => "too many connections",
        Code::Unauthenticated => "the caller is not known",
        Code::TlsRequired => "TLS is required",
        Code::UnknownTarget => "there is no such target",
        Code::SelfApproval => "nobody approves their own action",
        Code::NotAReviewer => "the person is not asked to review this",
        Code::SignInAgain => "the person must sign in again",
        Code::LocalCredential => "a credential of the gateway's own host does not count here",
        Code::SignInFailed => "nobody was signed in",
        Code::TokenMalformed => "the token is not one that is taken",
        Code::TokenSignature => "the token's signature is not its issuer's",
        Code::TokenExpired => "the token is not in force",
        Code::TokenAudience => "the token is meant for somebody else",
        Code::TokenReplayed => "the token was exchanged before",
        Code::IssuerUnknown => "the token's issuer is not trusted",
        Code::IssuerUnavailable => "the issuer's keys cannot be had",
        Code::JobUnmatched => "the token stands for no agent",
        Code::AccountUnlinked => "an account belongs to nobody here",
        Code::DelegationRefused => "somebody the job acts through does not count",
        Code::Forbidden => "the caller may not do this",
        Code::ReviewClosed => "the review is closed",
        Code::VotedAlready => "the person has voted already",
        Code::DigestMismatch => "what was seen is not what is under review",
        Code::TargetWaits => "the target waits for people",
        Code::ProposalNeeded => "people are asked about what permits more",
        Code::ProposalsOff => "changes are taken as they are here",
        Code::ProposalStale => "what it was made for is in force no more",
        Code::NotRevealed => "a hidden value has to be looked at first",
        Code::ComparedTooOften => "the value was compared too often",
        Code::ReasonInvalid => "the reason is missing or too long",
        Code::NoBreakGlass => "no policy yields to broken glass here",
        Code::IncidentDeclared => "an incident goes on already",
        Code::FollowUpDone => "the follow-up is done already",
        Code::PasskeyRequired => "the vote must be signed by a passkey",
        Code::NotYourTurn => "others decide first",
        Code::PatternRefused => "this cannot be approved as a pattern",
        Code::PasskeyRefused => "the passkey's signature is refused",
        Code::CallbackInvalid => "this is no token of an event about this review",
        Code::CallbackUsed => "a vote was counted by this event already",
        Code::CallbackExpired => "the time of this event’s callback has run out",
        Code::ChallengeVoid => "this was not signed for this vote, or too late",
        Code::PasskeysUnavailable => "there can be no passkeys under the gateway's address",
        Code::TooManyPasskeys => "too many passkeys",
        Code::NotFound => "there is no such thing",
        Code::BadRequest => "the request is malformed",
        Code::NameTaken => "the name is taken",
        Code::CrossSite => "the request comes from another site",
    }
}
