//! A refusal in PostgreSQL's words: one total function from our codes to SQLSTATEs.
//!
//! SQLSTATE classes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use super::wire::notice::{Notice, Severity, SqlState};
use crate::codes::Code;
use crate::pipeline::Waiting;
use crate::refusal::Refusal;

/// The error a client sees. The message carries the reason, DETAIL our code and the review, HINT what to do.
pub(super) fn notice(refusal: &Refusal) -> Notice {
    let mut detail = format!("code: {}", refusal.code);
    if let Some(review) = &refusal.review {
        detail.push_str(&format!(", review: {review}"));
    }
    let notice = Notice::error(sqlstate(refusal.code), format!("countersign: {}", refusal.message)).with_detail(detail);
    match &refusal.hint {
        Some(hint) => notice.with_hint(hint.clone()),
        None => notice,
    }
}

/// The same, ending the connection.
pub(super) fn fatal(refusal: &Refusal) -> Notice {
    Notice { severity: Severity::Fatal, ..notice(refusal) }
}

fn sqlstate(code: Code) -> SqlState {
    match code {
        Code::PolicyDenied
        | Code::NoPermit
        | Code::PolicyError
        | Code::MaskImpossible
        | Code::ReviewRejected
        | Code::ReviewWithdrawn
        | Code::RejectedRecently
        | Code::ApprovalVoid
        | Code::BoundExceeded
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
        | Code::IssuerUnavailable
        | Code::JobUnmatched
        | Code::AccountUnlinked
        | Code::DelegationRefused
        | Code::Forbidden
        | Code::ReviewClosed
        | Code::VotedAlready
        | Code::DigestMismatch
        | Code::ReasonInvalid
        | Code::NotRevealed
        | Code::ComparedTooOften
        | Code::ProposalNeeded
        | Code::ProposalsOff
        | Code::ProposalStale
        | Code::CrossSite
        | Code::SettingRefused
        | Code::PasskeyRequired
        | Code::PasskeyRefused
        | Code::NoBreakGlass
        | Code::FollowUpDone
        | Code::IncidentDeclared
        | Code::PatternRefused
        | Code::NotYourTurn
        | Code::ChallengeVoid
        | Code::CallbackInvalid
        | Code::CallbackUsed
        | Code::CallbackExpired
        | Code::IdempotencyKeyUsed
        | Code::IdempotencyKeyReused
        | Code::TooManyPasskeys
        | Code::RecordUnavailable => SqlState::INSUFFICIENT_PRIVILEGE,
        Code::Unparsed => state("42601"),
        Code::ReviewExpired | Code::HoldEnded | Code::Cancelled => SqlState::QUERY_CANCELED,
        Code::TooManyReviews => state("53400"),
        Code::TooManyConnections => SqlState::TOO_MANY_CONNECTIONS,
        Code::UpstreamUnavailable | Code::NamesUnresolved => SqlState::CONNECTION_FAILURE,
        Code::Unsupported | Code::PasskeysUnavailable => SqlState::FEATURE_NOT_SUPPORTED,
        Code::TooLarge => SqlState::PROGRAM_LIMIT_EXCEEDED,
        Code::ProtocolViolation | Code::BadRequest => SqlState::PROTOCOL_VIOLATION,
        Code::Unauthenticated => SqlState::INVALID_PASSWORD,
        Code::TlsRequired => SqlState::INVALID_AUTHORIZATION,
        Code::UnknownTarget | Code::TargetWaits | Code::NotFound | Code::NameTaken => SqlState::INVALID_CATALOG_NAME,
    }
}

fn state(code: &str) -> SqlState {
    SqlState::new(code).unwrap_or(SqlState::INTERNAL_ERROR)
}

/// What a waiting client is told.
pub(super) fn waiting(waiting: &Waiting) -> Notice {
    let sets: Vec<String> = waiting
        .suffices
        .iter()
        .map(|set| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))
        .collect();
    let message = format!(
        "countersign: waiting for review {} (needs {}); holding {} s",
        waiting.review,
        sets.join(" or "),
        waiting.hold_seconds
    );
    Notice::new(Severity::Notice, SqlState::SUCCESSFUL, message).with_detail(format!(
        "{} ; the review stays open for {} s",
        waiting.url,
        waiting.expires_seconds.max(0)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_sqlstate_that_is_an_error() {
        for code in Code::ALL {
            assert!(!sqlstate(*code).as_str().starts_with("00"), "{code}");
        }
    }
}
