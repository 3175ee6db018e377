//! Break-glass: one person lets an action run alone, where policy has made that exception, and everyone hears of it.
//!
//! A breaking enters only as an [`EligibleBreaking`], which the separation of duties and policy's `break-glass` have both
//! let through, and closes a review only together with policy's own permit for the broken glass. What it never lifts: who
//! is independent of a request, what was looked at, and what a mask hides. Each one calls for a [`SignOff`] by somebody who
//! had been asked, whether or not anything ever ran.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::action::{CardDigest, PersonId, Timestamp};
use crate::policy::{Authn, Breakable, PasskeyFacts};

use super::separation::{AnotherPerson, Independent};
use super::{Method, PasskeyUse};

/// How old a second factor may be that breaks the glass, in seconds: 15 minutes.
pub const STRONG_SECONDS_MAX: i64 = 15 * 60;

/// One use of break-glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaking {
    /// Who.
    pub person: PersonId,
    /// Their name when they did it.
    pub name: String,
    /// How they were authenticated, frozen here.
    pub method: Method,
    /// Whether a second factor was fresh.
    pub mfa: bool,
    /// The passkey that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<PasskeyUse>,
    /// The card they saw.
    pub card: CardDigest,
    /// Why; never empty.
    pub reason: String,
    /// The groups that had been asked, who hear of it and sign it off; `any` for everybody's.
    pub asked: BTreeSet<String>,
    /// When.
    pub at: Timestamp,
}

impl Breaking {
    /// How its person was authenticated at the time.
    pub fn authn(&self) -> Authn {
        let passkey = self.passkey.as_ref().map(PasskeyFacts::from);
        Authn { mfa: self.mfa, age_seconds: 0, method: self.method, passkey }
    }
}

/// Whether somebody is authenticated strongly enough to break the glass: a second factor of the last 15 minutes, and not by
/// a click in chat.
pub fn is_strong(authn: &Authn) -> bool {
    authn.mfa
        && (0..=STRONG_SECONDS_MAX).contains(&authn.age_seconds)
        && !matches!(authn.method, Method::Chat | Method::Webhook)
}

/// A breaking that separation of duties and policy both let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EligibleBreaking(Breaking);

impl EligibleBreaking {
    /// Joins the two proofs: the person is independent, and policy lets them break the glass.
    ///
    /// # Errors
    /// [`AnotherPerson`] when proofs and breaking do not all speak of one person.
    pub fn new(person: &Independent, breakable: &Breakable, breaking: Breaking) -> Result<Self, AnotherPerson> {
        if breakable.person() != person.person() || &breaking.person != person.person() {
            return Err(AnotherPerson);
        }
        Ok(Self(breaking))
    }

    pub(super) fn into_breaking(self) -> Breaking {
        self.0
    }
}

/// What a follow-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Breaking the glass was right.
    Justified,
    /// It was not.
    NotJustified,
}

impl Judgement {
    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Judgement::Justified => "justified",
            Judgement::NotJustified => "not_justified",
        }
    }
}

/// Somebody who had been asked looked at it afterwards, and says what they found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOff {
    /// Who.
    pub person: PersonId,
    /// Their name then.
    pub name: String,
    /// What they found.
    pub judgement: Judgement,
    /// In their words; never empty.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mfa: bool, age_seconds: i64, method: Method, strong: bool) {
        let authn = Authn { mfa, age_seconds, method, passkey: None };
        assert_eq!(is_strong(&authn), strong, "{authn:?}");
    }

    #[test]
    fn only_a_fresh_second_factor_is_strong() {
        check(true, 0, Method::Console, true);
        check(true, 900, Method::Api, true);
        check(true, 901, Method::Console, false);
        check(true, -1, Method::Console, false);
        check(false, 0, Method::Console, false);
        check(true, 0, Method::Chat, false);
        check(true, 0, Method::Webhook, false);
        check(true, 0, Method::Passkey, true);
    }
}
