//! Who clicked: the person behind an account of a chat service.

use std::sync::Arc;

use countersign_core::review::Method;

use crate::codes::Code;
use crate::gate::Gate;
use crate::identity::linking::PROVED_LOCALLY;
use crate::identity::refusals::Refusals;
use crate::identity::{Caller, SignedIn};
use crate::ports::{Account, Scope};
use crate::resolve::Denied;

/// The person whom an account is linked to, who proved by the click that they command it, and nothing more. Where people sign
/// in with a provider, an account that the gateway's host linked is worth what else the host makes: nothing for production.
pub(super) async fn person_behind(gate: &Gate, account: Option<Account>, unlinked: &str) -> Result<Caller, Denied> {
    let unlinked = || Denied::new(Code::AccountUnlinked, unlinked);
    let account = account.ok_or_else(unlinked)?;
    let person = gate.directory.person(&account.person).await?.ok_or_else(unlinked)?;
    let by_host = account.proof == PROVED_LOCALLY && gate.config.oidc.is_some();
    let signed_in = SignedIn {
        person,
        credential: format!("{}:{}", account.provider, account.subject),
        scope: Scope::ReviewVote,
        method: if by_host { Method::Local } else { Method::Chat },
        mfa: false,
        age_seconds: 0,
    };
    Ok(Caller::Person(Box::new(signed_in)))
}

/// The door at which a service tells of clicks: who was not let in is recorded, as far as there is room.
#[derive(Clone)]
pub(super) struct Door {
    /// The channel.
    what: &'static str,
    refusals: Arc<Refusals>,
}

impl Door {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, refusals: Arc::default() }
    }

    /// Records that somebody was not let in.
    pub(super) async fn refused(&self, gate: &Gate, code: Code) {
        if let Err(error) = self.refusals.record(&*gate.store, &gate.scribe, self.what, code, None).await {
            tracing::error!(%error, "a refusal could not be recorded");
        }
    }
}
