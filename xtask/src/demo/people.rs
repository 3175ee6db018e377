//! Who takes part: a developer with an agent, and two colleagues who may approve.

use xtask::trouble::Result;

use super::gateway::Gateway;

/// The agent's login name at the gateway.
pub(super) const AGENT: &str = "coder";

/// What each of them holds.
#[derive(Debug)]
pub(super) struct People {
    /// The agent's key: the password it connects with.
    pub(super) agent_key: String,
    /// Owner of the agent. A DBA too, and yet no approver of what her agent asks.
    pub(super) ada_token: String,
    /// A DBA.
    pub(super) dora_token: String,
    /// Signs Dora in to the console, once.
    pub(super) dora_link: String,
}

pub(super) fn enrol(gateway: &Gateway) -> Result<People> {
    for name in ["ada", "dora", "finn"] {
        let email = format!("{name}@example.org");
        gateway.administer(&["person", "add", name, "--email", &email, "--groups", "dba"])?;
    }
    let agent_key = gateway.administer(&["agent", "create", AGENT, "--owner", "ada"])?;
    let token = |name| gateway.administer(&["person", "token", "create", name, "--scope", "review:vote"]);
    let (ada_token, dora_token) = (token("ada")?, token("dora")?);
    let dora_link = gateway.administer(&["person", "login-link", "dora"])?;
    Ok(People { agent_key, ada_token, dora_token, dora_link })
}
