//! The job behind an agent: what a trusted issuer said of it when it logged in.
//!
//! It is part of what is decided on and of the action's meaning: what was approved for a job of one branch is no approval
//! for a job of another. Which claims of a token become which attribute is the gateway's configuration; there is nothing
//! here but text, as the issuer wrote it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A job, as its issuer describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The issuer, by its name in the configuration.
    pub issuer: String,
    /// Whom the token is about, in the issuer's words.
    pub subject: String,
    /// The repository or project it runs for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch or tag.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// The environment it deploys to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What defines its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// What started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// What kind of machine it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
}

impl Job {
    /// The attributes that a claim may become, besides `issuer` and `subject`.
    pub const ATTRIBUTES: [&str; 6] = ["repository", "ref", "environment", "workflow", "event", "runner"];

    /// From its attributes by name. `None` without an issuer and a subject: then there is no job.
    pub fn new(attributes: &BTreeMap<String, String>) -> Option<Self> {
        let text = |name: &str| attributes.get(name).cloned();
        Some(Self {
            issuer: text("issuer")?,
            subject: text("subject")?,
            repository: text("repository"),
            git_ref: text("ref"),
            environment: text("environment"),
            workflow: text("workflow"),
            event: text("event"),
            runner: text("runner"),
        })
    }

    /// The attributes that are there, by name, those that say most first.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("issuer", Some(&self.issuer)),
            ("repository", self.repository.as_ref()),
            ("ref", self.git_ref.as_ref()),
            ("environment", self.environment.as_ref()),
            ("workflow", self.workflow.as_ref()),
            ("event", self.event.as_ref()),
            ("runner", self.runner.as_ref()),
            ("subject", Some(&self.subject)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?.as_str())))
    }

    /// The attributes in one line.
    pub fn words(&self) -> String {
        let words: Vec<String> = self.attributes().map(|(name, value)| format!("{name} {value}")).collect();
        words.join(", ")
    }
}
