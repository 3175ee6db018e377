//! Who votes, and by what: how strong a vote is.

use countersign_core::policy::{Authn, PasskeyFacts};
use countersign_core::review::{Method, PasskeyUse, Vote};

use crate::identity::SignedIn;

/// A person with the passkey that signs their vote, if one does.
#[derive(Debug, Clone)]
pub struct Voter<'a> {
    /// Who, by the credential they came with.
    pub signed_in: &'a SignedIn,
    /// What signs.
    pub passkey: Option<PasskeyUse>,
}

impl<'a> Voter<'a> {
    /// Without a passkey.
    pub fn plain(signed_in: &'a SignedIn) -> Self {
        Self { signed_in, passkey: None }
    }

    /// As policy sees them. A passkey proves its holder anew, with a second factor. One that was enrolled with what the
    /// gateway's host minted proves no more than that did: it is as strong as the credential beside it.
    pub fn authn(&self) -> Authn {
        let SignedIn { method, mfa, age_seconds, .. } = *self.signed_in;
        match &self.passkey {
            None => Authn { mfa, age_seconds, method, passkey: None },
            Some(passkey) => {
                let (mfa, age_seconds) = if passkey.local { (mfa, age_seconds) } else { (true, 0) };
                Authn { mfa, age_seconds, method: Method::Passkey, passkey: Some(PasskeyFacts::from(passkey)) }
            }
        }
    }

    /// By what way the vote counts: one that a locally enrolled passkey signs, like any local one.
    pub fn counted_as(&self) -> Method {
        counted_as(self.signed_in.method, self.passkey.as_ref())
    }

    /// Whether this is what `@stepup("passkey")` asks for. Where local credentials count at all is asked apart from it.
    pub fn steps_up(&self) -> bool {
        self.passkey.is_some()
    }
}

/// By what way a vote counts.
pub(super) fn counted_as(method: Method, passkey: Option<&PasskeyUse>) -> Method {
    match passkey {
        Some(passkey) if passkey.local => Method::Local,
        Some(_) => Method::Passkey,
        None => method,
    }
}

/// How a vote's voter was authenticated when they voted.
pub(super) fn frozen(vote: &Vote) -> Authn {
    let passkey = vote.passkey.as_ref().map(PasskeyFacts::from);
    Authn { mfa: vote.mfa, age_seconds: 0, method: vote.method, passkey }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use countersign_core::action::{PersonId, Timestamp};

    use super::*;
    use crate::ports::{Person, Scope};

    fn signed_in(method: Method, mfa: bool, age_seconds: i64) -> SignedIn {
        let at = Timestamp::from_seconds(0);
        let person = Person::new(PersonId::new("p1"), "dora".to_owned(), None, BTreeSet::new(), at);
        SignedIn { person, credential: "c1".to_owned(), scope: Scope::ReviewVote, method, mfa, age_seconds }
    }

    fn check(signed_in: &SignedIn, local: Option<bool>, strong: bool, counted_as: Method) {
        let passkey = local.map(|local| PasskeyUse { id: "k".to_owned(), synced: false, local });
        let voter = Voter { signed_in, passkey };
        let authn = voter.authn();
        assert_eq!((authn.mfa && authn.age_seconds <= 900, voter.counted_as()), (strong, counted_as), "{voter:?}");
    }

    #[test]
    fn a_locally_enrolled_passkey_is_as_strong_as_the_credential_beside_it() {
        let (before, since) = (signed_in(Method::Local, true, 0), signed_in(Method::Local, false, 0));
        let (fresh, stale) = (signed_in(Method::Console, true, 60), signed_in(Method::Console, true, 9_000));
        for session in [&before, &since, &fresh, &stale] {
            check(session, Some(false), true, Method::Passkey);
        }
        check(&before, Some(true), true, Method::Local);
        check(&since, Some(true), false, Method::Local); // an identity provider is configured by now
        check(&fresh, Some(true), true, Method::Local);
        check(&stale, Some(true), false, Method::Local);
        check(&fresh, None, true, Method::Console);
    }
}
