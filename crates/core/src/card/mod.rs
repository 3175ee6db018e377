//! What a reviewer sees, once, for every channel.
//!
//! The command line, the API, the console and chat all render this one value; none adds or hides a fact. Its digest is
//! part of every vote, so that what was shown can be proved later. Text that came from the requester is marked as such
//! by its field and must be escaped by every renderer.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::action::digest::{NotCanonical, canonical};
use crate::action::gate::GateFacts;
use crate::action::impact::Impact;
use crate::action::{ActionDigest, CardDigest, Described, Facts, Job, redact::Shown, sql::SqlTables};
use crate::policy::{PolicyNote, Quorum, Terms};

pub mod difference;
pub mod unseen;

/// Who asks, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// `agent` or `person`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The person who answers for it.
    pub owner: String,
    /// The job behind it, as a trusted issuer describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

/// What would be touched, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// `database`, `service`, `cluster`, `account`, or `gate`: the gateway itself.
    pub kind: String,
    /// The target's name.
    pub name: String,
    /// The class of the whole message.
    pub class: String,
    /// The verbs of its statements, in order.
    pub verbs: Vec<String>,
    /// Tables read and written.
    pub tables: SqlTables,
    /// Functions called.
    pub functions: BTreeSet<String>,
    /// What a request is aimed at, one a line: an object of a cluster, a path of a service, resources of an account.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub objects: BTreeSet<String>,
}

/// The card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Who asks.
    pub requester: Asker,
    /// For whom.
    pub on_behalf_of: String,
    /// Everyone on the requester's side, by handle: none of them can approve.
    pub cannot_approve: BTreeSet<String>,
    /// Where.
    pub target: String,
    /// The target's environment.
    pub environment: String,
    /// `sql:write` and the like.
    pub action: String,
    /// What would be touched.
    pub resource: Touched,
    /// The statement, redacted.
    pub statement: Shown,
    /// The requester's stated reason: its own words, unchecked.
    pub reason: Option<String>,
    /// The measured effect.
    pub impact: Impact,
    /// Whether a transaction is open, which holds locks while people read.
    pub in_transaction: bool,
    /// Session settings that are part of the action's meaning and differ from the target's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The policies that asked, with their text.
    pub policies: Vec<PolicyNote>,
    /// The smallest sets of quorums of which any one suffices.
    pub suffices: Vec<BTreeSet<Quorum>>,
    /// The action, by meaning.
    pub action_digest: ActionDigest,
}

impl Card {
    /// The card of an action under these terms.
    pub fn new(described: &Described, action_digest: ActionDigest, terms: &Terms) -> Self {
        let requester = &described.requester;
        Self {
            requester: Asker {
                kind: requester.kind().to_owned(),
                name: requester.name().to_owned(),
                owner: requester.owner().name.clone(),
                job: requester.job().cloned(),
            },
            on_behalf_of: described.on_behalf_of.name.clone(),
            cannot_approve: described.closure.iter().map(ToString::to_string).collect(),
            target: described.target.name.clone(),
            environment: described.target.environment.name().to_owned(),
            action: described.facts.action(),
            resource: touched(described),
            statement: described.shown.clone(),
            reason: described.reason.clone(),
            impact: described.impact.clone(),
            in_transaction: described.session.in_transaction,
            settings: settings(described),
            policies: terms.policies.clone(),
            suffices: terms.suffices.clone(),
            action_digest,
        }
    }

    /// What a change of the gate would change, in words; none for anything else.
    pub fn changes(&self) -> Option<&'static str> {
        let part = match self.resource.name.as_str() {
            "people" => "who decides",
            "targets" => "what agents reach",
            _ => "the policies",
        };
        (self.resource.kind == "gate").then_some(part)
    }

    /// What it is aimed at, in words: a part of the gate, the objects of a request, the tables it changes, else those it reads,
    /// else the target as a whole.
    pub fn aimed_at(&self) -> String {
        const TABLES_MAX: usize = 2;
        if let Some(part) = self.changes() {
            return part.to_owned();
        }
        let tables = &self.resource.tables;
        let aimed = [&self.resource.objects, &tables.write, &tables.read].into_iter().find(|names| !names.is_empty());
        let Some(aimed) = aimed else { return self.target.clone() };
        let mut words: Vec<String> = aimed.iter().take(TABLES_MAX).cloned().collect();
        if aimed.len() > TABLES_MAX {
            words.push(format!("{} more", aimed.len() - TABLES_MAX));
        }
        words.join(", ")
    }

    /// The digest of everything shown.
    ///
    /// # Errors
    /// Never for values built by this crate's own types; see [`canonical`].
    pub fn digest(&self) -> Result<CardDigest, NotCanonical> {
        Ok(CardDigest::of(&canonical(self)?))
    }
}

/// Verbs in order, repeated ones counted: `UPDATE ×3, DELETE`.
pub fn verbs(all: &[String]) -> String {
    const VERBS_MAX: usize = 6;
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for verb in all {
        match runs.last_mut() {
            Some((last, count)) if last == verb => *count += 1,
            _ => runs.push((verb, 1)),
        }
    }
    let more = runs.len().saturating_sub(VERBS_MAX);
    let mut words: Vec<String> = runs
        .into_iter()
        .take(VERBS_MAX)
        .map(|(verb, count)| if count == 1 { verb.to_owned() } else { format!("{verb} ×{count}") })
        .collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

/// What is shown of each setting; of one that nobody made fit to be shown, its name alone.
fn settings(described: &Described) -> BTreeMap<String, String> {
    let shown = |name: &String| described.shown.settings.get(name).cloned();
    let names = described.session.settings.keys();
    names.map(|name| (name.clone(), shown(name).unwrap_or_else(|| "‹hidden setting›".to_owned()))).collect()
}

fn touched(described: &Described) -> Touched {
    let facts = match &*described.facts {
        Facts::Sql(facts) => facts,
        Facts::Http(facts) => return called(described, "service", [facts.path.clone()].into()),
        Facts::Kubernetes(facts) => return called(described, "cluster", [facts.object()].into()),
        Facts::Aws(facts) => return called(described, "account", facts.resources.clone()),
        Facts::Gate(facts) => return part_of_the_gate(facts),
    };
    let mut tables = SqlTables::default();
    let mut functions = BTreeSet::new();
    for statement in &facts.statements {
        tables.read.extend(statement.tables.read.iter().cloned());
        tables.write.extend(statement.tables.write.iter().cloned());
        functions.extend(statement.functions.iter().cloned());
    }
    Touched {
        kind: "database".to_owned(),
        name: described.target.name.clone(),
        class: facts.class.name().to_owned(),
        verbs: facts.statements.iter().map(|statement| statement.verb.clone()).collect(),
        tables,
        functions,
        objects: BTreeSet::new(),
    }
}

/// A request over HTTP.
fn called(described: &Described, kind: &str, objects: BTreeSet<String>) -> Touched {
    Touched {
        kind: kind.to_owned(),
        name: described.target.name.clone(),
        class: described.facts.class().to_owned(),
        verbs: described.facts.verbs(),
        tables: SqlTables::default(),
        functions: BTreeSet::new(),
        objects,
    }
}

fn part_of_the_gate(facts: &GateFacts) -> Touched {
    Touched {
        kind: "gate".to_owned(),
        name: facts.part.name().to_owned(),
        class: "change".to_owned(),
        verbs: vec!["CHANGE".to_owned()],
        tables: SqlTables::default(),
        functions: BTreeSet::new(),
        objects: BTreeSet::new(),
    }
}
