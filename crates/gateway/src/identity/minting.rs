//! Keys of agents that end by themselves: for a job, or for one person's session.
//!
//! Such a key logs in by a name of its own, which tells the agent and is told by nobody else, so that its verifier is found
//! without knowing the key.

use countersign_core::action::Timestamp;
use countersign_core::record::Event;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::keys;
use crate::ports::{Agent, AgentKey, Delegation, Directory, NewAgentKey, ScramVerifier, Scribe, StoreError};

/// The letters of a login's random part; none that looks like another.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567890";
/// How many of them: 60 random bits.
const LETTERS_COUNT: usize = 12;

/// A new key, shown once.
pub struct Minted {
    /// The secret.
    pub secret: Zeroizing<String>,
    /// What is kept of it.
    pub key: AgentKey,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed, or the agent has too many keys or was revoked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to make secrets of.
    #[error(transparent)]
    Randomness(#[from] keys::NoRandomness),
}

/// Makes a key of an agent that ends at a time, and records it.
///
/// # Errors
/// [`Error`]; there is no key then.
pub async fn agent_key(
    directory: &dyn Directory,
    scribe: &Scribe,
    agent: &Agent,
    delegation: Delegation,
    expires_at: Timestamp,
) -> Result<Minted, Error> {
    with_secret(directory, scribe, agent, delegation, expires_at, keys::make(keys::Kind::AgentKey)?).await
}

/// The same, with a secret that its holder has already.
///
/// # Errors
/// As [`agent_key`].
pub async fn with_secret(
    directory: &dyn Directory,
    scribe: &Scribe,
    agent: &Agent,
    delegation: Delegation,
    expires_at: Timestamp,
    secret: Zeroizing<String>,
) -> Result<Minted, Error> {
    let verifier =
        ScramVerifier::generate(&SecretString::from(secret.to_string())).map_err(keys::NoRandomness::from)?;
    let person = delegation.on_behalf_of.clone().unwrap_or_else(|| agent.owner.clone());
    let key = AgentKey {
        id: format!("k_{}", uuid::Uuid::now_v7().simple()),
        agent: agent.id.clone(),
        login: login(&agent.name)?,
        delegation,
        created_at: scribe.now(),
        expires_at: Some(expires_at),
    };
    let record = scribe.record(Event::IdentityEnrolled {
        what: "agent_key".to_owned(),
        id: key.id.clone(),
        person: Some(person),
        change: "added".to_owned(),
        local: false,
        passkey: None,
    });
    let new = NewAgentKey { key: key.clone(), verifier, hash: keys::hash(&secret) };
    directory.add_agent_key(new, record).await?;
    Ok(Minted { secret, key })
}

fn login(agent: &str) -> Result<String, keys::NoRandomness> {
    let random = keys::random::<LETTERS_COUNT>()?;
    let letters = random.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    Ok(format!("{agent}+{}", letters.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_login_is_its_own_and_tells_the_agent() {
        let (one, two) = (login("deployer").expect("randomness"), login("deployer").expect("randomness"));
        assert_ne!(one, two);
        assert!(one.starts_with("deployer+") && one.len() == "deployer+".len() + LETTERS_COUNT);
    }
}
