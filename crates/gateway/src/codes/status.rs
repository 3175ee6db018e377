//! What a stable code is in HTTP: its status, and the title of its problem (RFC 9457). Total, and the same for every surface.

use http::StatusCode;

use super::Code;

impl Code {
    /// The HTTP status of a code.
    pub fn status(self) -> StatusCode {
        match self {
            Code::BadRequest | Code::Unparsed | Code::ReasonInvalid | Code::ProtocolViolation => {
                StatusCode::BAD_REQUEST
            }
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
            | Code::IdempotencyKeyUsed
            | Code::NameTaken => StatusCode::CONFLICT,
            Code::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Code::CallbackExpired => StatusCode::GONE,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::TooManyReviews | Code::ComparedTooOften => StatusCode::TOO_MANY_REQUESTS,
            Code::Unsupported | Code::PasskeysUnavailable => StatusCode::NOT_IMPLEMENTED,
            Code::UpstreamUnavailable | Code::NamesUnresolved => StatusCode::BAD_GATEWAY,
            Code::RecordUnavailable | Code::TooManyConnections | Code::IssuerUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// What kind of problem a code is, in words that never change from case to case.
    pub fn title(self) -> &'static str {
        match self {
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
            Code::IdempotencyKeyUsed => "a request with this key has run",
            Code::IdempotencyKeyReused => "the key stands for another request",
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
}
