//! An action that nobody sent: what a person wants an answer of the policies about, without anything being let through.

use std::collections::BTreeSet;

use countersign_core::action::{
    ActionId, AgentId, Described, Facts, Job, PayloadDigest, PersonRef, Requester, SessionFacts, Target, Timestamp,
    impact, redact,
};

/// Who would ask for it, what, where and when.
pub struct Hypothesis<'a> {
    /// The agent: its handle and its name.
    pub agent: (AgentId, String),
    /// The person who answers for the agent, and for whom it would be done.
    pub owner: PersonRef,
    /// The job behind the agent, if any.
    pub job: Option<Box<Job>>,
    /// The target.
    pub target: Target,
    /// The text that would be sent.
    pub text: &'a str,
    /// What the text means.
    pub facts: Facts,
    /// The time of asking.
    pub at: Timestamp,
}

impl Hypothesis<'_> {
    /// The action as it would be asked for, in a session that differs in nothing; nothing of its effect is measured.
    pub fn described(self) -> Described {
        let (id, name) = self.agent;
        Described {
            id: ActionId::new("hypothesis"),
            requester: Requester::Agent { id, name, owner: self.owner.clone(), job: self.job }.into(),
            on_behalf_of: self.owner.clone().into(),
            closure: BTreeSet::from([self.owner.id]).into(),
            target: self.target.into(),
            facts: self.facts.into(),
            session: SessionFacts::default().into(),
            shown: redact::Shown::default(),
            impact: impact::Impact::default(),
            reason: None,
            payload: PayloadDigest::of(self.text.as_bytes()),
            at: self.at,
        }
    }
}
