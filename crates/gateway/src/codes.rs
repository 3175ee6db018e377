//! Every stable code a user can meet; each has a page `docs/errors/<CODE>.md` that says what happened and what to do.

use serde::Serialize;

#[path = "codes/status.rs"] // named, so that the fuzz targets find it too
mod status;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// A stable code: scripts may compare it, and it never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// Its name in answers, records and documentation.
            pub fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    /// A policy forbids the action, whoever approves.
    PolicyDenied => "policy_denied",
    /// No policy permits the action.
    NoPermit => "no_permit",
    /// A policy failed to evaluate, or does not know a party of the action.
    PolicyError => "policy_error",
    /// The text could not be parsed.
    Unparsed => "unparsed",
    /// A reviewer rejected it.
    ReviewRejected => "review_rejected",
    /// The review expired.
    ReviewExpired => "review_expired",
    /// The requester's side withdrew it.
    ReviewWithdrawn => "review_withdrawn",
    /// The hold ended while the review is still open.
    HoldEnded => "hold_ended",
    /// Columns that policy masks cannot be masked in this statement.
    MaskImpossible => "mask_impossible",
    /// The same was rejected a short while ago.
    RejectedRecently => "rejected_recently",
    /// Too many reviews are open.
    TooManyReviews => "too_many_reviews",
    /// What was approved no longer holds.
    ApprovalVoid => "approval_void",
    /// It changed more rows than it was approved for, and was rolled back.
    BoundExceeded => "bound_exceeded",
    /// The client left, or cancelled.
    Cancelled => "cancelled",
    /// A request with this idempotency key has run, and its answer is not kept.
    IdempotencyKeyUsed => "idempotency_key_used",
    /// The idempotency key stands for another request.
    IdempotencyKeyReused => "idempotency_key_reused",
    /// The action or its outcome could not be recorded.
    RecordUnavailable => "record_unavailable",
    /// What the names in a statement refer to could not be asked.
    NamesUnresolved => "names_unresolved",
    /// The upstream could not be reached, or refused the gateway.
    UpstreamUnavailable => "upstream_unavailable",
    /// The gateway does not speak this part of the protocol.
    Unsupported => "unsupported",
    /// A setting would make the server read the text differently than the gateway.
    SettingRefused => "setting_refused",
    /// The message is larger than the gateway takes.
    TooLarge => "too_large",
    /// Bytes that are not the protocol.
    ProtocolViolation => "protocol_violation",
    /// Too many connections.
    TooManyConnections => "too_many_connections",
    /// The key or token is unknown, has ended, or was revoked.
    Unauthenticated => "unauthenticated",
    /// Plaintext where TLS is needed.
    TlsRequired => "tls_required",
    /// There is no such target.
    UnknownTarget => "unknown_target",
    /// There will be such a target once people have approved it.
    TargetWaits => "target_waits",
    /// The voter stands on the requester's side.
    SelfApproval => "self_approval",
    /// The voter is in none of the groups asked.
    NotAReviewer => "not_a_reviewer",
    /// What is known of the voter is too old.
    SignInAgain => "sign_in_again",
    /// A credential minted on the gateway's host does not count here.
    LocalCredential => "local_credential",
    /// The identity provider did not prove who this is, or nobody here is that.
    SignInFailed => "sign_in_failed",
    /// A token is no signed token, or not one of the kind that is taken.
    TokenMalformed => "token_malformed",
    /// A token's signature is not its issuer's.
    TokenSignature => "token_signature",
    /// A token is not in force.
    TokenExpired => "token_expired",
    /// A token is meant for somebody else.
    TokenAudience => "token_audience",
    /// A token was exchanged before.
    TokenReplayed => "token_replayed",
    /// Nobody configured the issuer of a token.
    IssuerUnknown => "issuer_unknown",
    /// The issuer's keys cannot be had.
    IssuerUnavailable => "issuer_unavailable",
    /// A token stands for no agent.
    JobUnmatched => "job_unmatched",
    /// An account that a token names, or that clicked in chat, belongs to nobody here.
    AccountUnlinked => "account_unlinked",
    /// Somebody through whom a job acts is unknown or suspended.
    DelegationRefused => "delegation_refused",
    /// The caller may not do this.
    Forbidden => "forbidden",
    /// The review is closed.
    ReviewClosed => "review_closed",
    /// The person has voted already.
    VotedAlready => "voted_already",
    /// The digest is not the open review's.
    DigestMismatch => "digest_mismatch",
    /// It would permit more, and people are asked about that here.
    ProposalNeeded => "proposal_needed",
    /// Changes of the gate are taken as they are here.
    ProposalsOff => "proposals_off",
    /// A change was made for policies, or for a person or agent, that are not in force any more as they were.
    ProposalStale => "proposal_stale",
    /// What is hidden and decides what an action does was not looked at by whoever would approve it.
    NotRevealed => "not_revealed",
    /// Somebody compared a hidden value as often as one may.
    ComparedTooOften => "compared_too_often",
    /// A reason is needed, or too long.
    ReasonInvalid => "reason_invalid",
    /// The policy asks for a vote that a passkey signed.
    PasskeyRequired => "passkey_required",
    /// A passkey's signature does not prove what it should.
    PasskeyRefused => "passkey_refused",
    /// A token is none that an event about this review carried.
    CallbackInvalid => "callback_invalid",
    /// A vote was counted by this event already.
    CallbackUsed => "callback_used",
    /// The time of an event's callback has run out.
    CallbackExpired => "callback_expired",
    /// A signature answers no challenge that is open for this vote.
    ChallengeVoid => "challenge_void",
    /// No policy yields to broken glass here.
    NoBreakGlass => "no_break_glass",
    /// An incident that this person declared goes on, or too many do.
    IncidentDeclared => "incident_declared",
    /// Somebody signed the follow-up off already.
    FollowUpDone => "follow_up_done",
    /// There can be no passkeys under the gateway's address.
    PasskeysUnavailable => "passkeys_unavailable",
    /// Others decide first.
    NotYourTurn => "not_your_turn",
    /// It cannot be approved as a pattern, or not as this one.
    PatternRefused => "pattern_refused",
    /// The person has as many passkeys as one may have.
    TooManyPasskeys => "too_many_passkeys",
    /// There is no such thing.
    NotFound => "not_found",
    /// The request is malformed.
    BadRequest => "bad_request",
    /// The name is taken.
    NameTaken => "name_taken",
    /// The request comes from another site, or without its form token.
    CrossSite => "cross_site",
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
