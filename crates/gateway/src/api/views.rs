//! The wire types, and how domain values become them. Reviews and actions are shown through the one card.
//!
//! Names of fields are a contract with scripts: they are added to, never changed.

use std::collections::BTreeMap;

use countersign_core::action::digest::NotCanonical;
use countersign_core::action::redact::{Hidden, ShownStream};
use countersign_core::action::{Job, PersonId};
use countersign_core::card::{Card, Touched};
use countersign_core::policy::Quorum;
use countersign_core::review::attention::{Attention, Escalation};
use countersign_core::review::{Breaking, PasskeyUse, Review, Verdict, Vote, tokens};
use serde::Serialize;
use utoipa::ToSchema;

use super::patterns::{ChoiceView, OfferView};
use crate::config::{Config, Target};
use crate::gate::{Gate, Moment};
use crate::identity::Caller;
use crate::resolve::{self, Standing};
use crate::targets::Targets;

/// A review as scripts see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Review)]
pub(super) struct ReviewView {
    /// Its id.
    id: String,
    /// `open`, `approved`, `rejected`, `expired`, `withdrawn`, or `glass_broken`: one person let it run alone.
    #[schema(example = "open")]
    state: &'static str,
    requester: RequesterView,
    /// The person for whom it would be done.
    on_behalf_of: String,
    /// The target's name.
    target: String,
    /// `dev`, `staging` or `production`.
    environment: String,
    /// The action of the most dangerous statement.
    #[schema(example = "sql:write")]
    action: String,
    resource: ResourceView,
    /// The statement; what looks like a secret or personal data is a placeholder such as `‹email 1›`.
    statement: String,
    /// Bind parameters in order, redacted likewise; `null` is NULL.
    statement_parameters: Vec<Option<String>>,
    /// How many bytes at the statement's end are not shown.
    statement_cut_bytes: usize,
    /// The data that comes with the statement, such as that of a `COPY`, if there is any.
    #[schema(required = true)]
    statement_stream: Option<StreamView>,
    /// What changes in the definition that stands now and would be replaced, line by line: `- ` goes, `+ ` comes, two spaces stay,
    /// `==` counts what is left out. Empty for anything else, and for the requester's side, which policy may not let read it.
    replaces: Vec<String>,
    /// Whether the requester's own words have the marks of a placeholder, so that not all that looks hidden is.
    placeholders_imitated: bool,
    /// How many values are hidden behind placeholders.
    redacted: usize,
    /// What is hidden, one entry for each value.
    hidden: Vec<HiddenView>,
    /// The requester's stated reason: its own words, unchecked.
    #[schema(required = true)]
    reason: Option<String>,
    impact: ImpactView,
    /// Whether a transaction is open, which holds locks while people read.
    in_transaction: bool,
    /// Session settings that are part of the action's meaning, by name, redacted likewise.
    settings: BTreeMap<String, String>,
    /// The policies that asked for it.
    policies: Vec<PolicyNoteView>,
    /// The smallest sets of quorums of which any one suffices, as `group:people`.
    #[schema(example = json!([["dba:1"]]))]
    suffices: Vec<Vec<String>>,
    /// Whether an approval needs a reason.
    reason_required: bool,
    /// Whether an approval must be signed by a passkey.
    passkey_required: bool,
    /// The quorums that the approvals so far make up.
    approvals: Vec<String>,
    /// What can be approved besides this once, where policy allows patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<OfferView>,
    /// Why nothing can be, where policy would allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_pattern: Option<String>,
    /// People on the requester's side, who cannot approve.
    cannot_approve: Vec<String>,
    votes: Vec<VoteView>,
    /// Who broke the glass, if that is how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    glass_broken: Option<BrokenView>,
    /// The action by meaning; goes back with a vote.
    #[schema(example = "sha256:…")]
    action_digest: String,
    /// The card by content; goes back with a vote.
    #[schema(example = "sha256:…")]
    card_digest: String,
    /// RFC 3339.
    opened_at: String,
    /// When it closes by itself, RFC 3339.
    expires_at: String,
    /// The groups it was escalated to while nobody decided.
    escalations: Vec<EscalationView>,
    /// The group it will be escalated to next, if it stays open.
    #[schema(required = true)]
    next_escalation: Option<EscalationView>,
    /// When those who are asked were last reminded, RFC 3339.
    #[schema(required = true)]
    reminded_at: Option<String>,
    /// When it closed, RFC 3339.
    #[schema(required = true)]
    closed_at: Option<String>,
    /// Seconds until it closes by itself; 0 when it is closed.
    seconds_left: i64,
    /// Where people look at it.
    url: String,
    /// Where the person who reads stands towards it; absent for an agent's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    you: Option<StandingView>,
}

/// Where a person stands towards a review, as things are now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Standing)]
pub(super) struct StandingView {
    /// Whether their vote would count.
    may_decide: bool,
    /// In a few words.
    #[schema(example = "You can decide")]
    label: String,
    /// In a sentence.
    why: String,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Requester)]
pub(super) struct RequesterView {
    /// `agent` or `person`.
    kind: String,
    name: String,
    /// The person who answers for it.
    owner: String,
    /// What a trusted issuer says of the job that logged in as the agent, by name: `issuer`, `subject`, `repository`,
    /// `ref`, `environment`, `workflow`, `event`, `runner`; absent where no job did.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<BTreeMap<&'static str, String>>,
}

/// What would be touched.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Resource)]
pub(super) struct ResourceView {
    /// `database`, `service`, `cluster`, `account`, or `gate`: the gateway itself.
    kind: String,
    /// The target's name.
    name: String,
    /// Of a statement `read`, `session`, `write`, `ddl`, `admin` or `opaque`; of a request `read`, `write`, `exec`, `reveal`,
    /// `admin` or `opaque`.
    class: String,
    /// The verbs of its statements, in order; of a request its operation.
    verbs: Vec<String>,
    tables: TablesView,
    /// Functions called.
    functions: Vec<String>,
    /// What a request is aimed at: an object of a cluster, a path of a service, resources of an account.
    objects: Vec<String>,
}

/// Tables named.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tables)]
pub(super) struct TablesView {
    read: Vec<String>,
    write: Vec<String>,
}

/// The measured effect.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Impact)]
pub(super) struct ImpactView {
    /// Whether it was measured.
    known: bool,
    /// Rows it will change, as the server's planner estimates.
    #[schema(required = true)]
    rows: Option<u64>,
    /// The most rows it may change: an execution that changes more is rolled back.
    #[schema(required = true)]
    rows_max: Option<u64>,
    /// All that was measured, in words, a line each.
    words: Vec<String>,
}

/// A policy that asked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyNote)]
pub(super) struct PolicyNoteView {
    id: String,
    /// What its author wrote for reviewers; may be empty.
    text: String,
}

/// One person's vote.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Vote)]
pub(super) struct VoteView {
    /// Their name.
    person: String,
    /// `approve` or `reject`.
    verdict: &'static str,
    /// How they were authenticated: `passkey`, `console`, `api`, `cli`, `chat` or `local`.
    method: &'static str,
    /// The passkey that signed it, for votes by `passkey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    passkey: Option<PasskeyView>,
    /// In whose place they spoke too, or only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deputy_for: Vec<String>,
    /// What they let vary, if they approved the like of it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<ChoiceView>,
    /// RFC 3339.
    at: String,
    #[schema(required = true)]
    reason: Option<String>,
}

/// A group that is asked too, because nobody decided.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Escalation)]
pub(super) struct EscalationView {
    group: String,
    /// RFC 3339.
    at: String,
}

/// One person let the action run, without those who had been asked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BrokenGlass)]
pub(super) struct BrokenView {
    /// Their name.
    person: String,
    /// How they were authenticated: `passkey`, `console`, `api`, `cli` or `local`.
    method: &'static str,
    reason: String,
    /// The groups that had been asked, which are told of it; `any` for everybody's.
    asked: Vec<String>,
    /// RFC 3339.
    at: String,
}

/// The passkey behind a vote.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VotePasskey)]
pub(super) struct PasskeyView {
    /// Its handle, which the record of its enrolment names.
    id: String,
    /// Whether copies of it can exist on other devices.
    synced: bool,
    /// Enrolled by somebody who had signed in with what the gateway's own host minted.
    local: bool,
}

impl ReviewView {
    /// With where a caller stands.
    pub(super) fn told_to(mut self, moment: &Moment, review: &Review, caller: &Caller) -> Self {
        if let Caller::Person(who) = caller
            && !resolve::is_own_side(moment, review, &who.person.id)
        {
            self.replaces.clone_from(&review.matter().described.shown.replaces);
        }
        self.you = match caller {
            Caller::Person(who) => {
                let standing = Standing::of(moment, review, who);
                let (may_decide, words) = (standing.decides(), standing.words());
                Some(StandingView { may_decide, label: words.label, why: words.sentence })
            }
            Caller::Agent(_) => None,
        };
        self
    }
}

/// A value that is hidden behind a placeholder.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hidden)]
pub(super) struct HiddenView {
    /// What stands between the placeholder's marks: `email 1` for `‹email 1›`.
    #[schema(example = "email 1")]
    mark: String,
    /// Where it stands: `written` (or nobody can say), `setting` (the session has a setting of this value), `predicate` (it
    /// decides what is touched), `output` (it is only given back) or `remark` (in a comment or the stated reason).
    #[schema(example = "written")]
    position: &'static str,
    /// The column it is written to or compared with, where that is known; the setting's name.
    #[schema(required = true)]
    column: Option<String>,
    /// Whether whoever approves has to reveal it first, or compare it with what they expect.
    must_look: bool,
}

impl From<&Hidden> for HiddenView {
    fn from(hidden: &Hidden) -> Self {
        Self {
            mark: hidden.mark.clone(),
            position: hidden.position.name(),
            column: hidden.column.clone(),
            must_look: hidden.is_decisive(),
        }
    }
}

/// Data that comes with a statement: all of it by length and hash, its first rows in words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stream)]
pub(super) struct StreamView {
    /// How many bytes it has.
    bytes: u64,
    /// How many rows it holds; absent where its format does not tell.
    #[schema(required = true)]
    rows: Option<u64>,
    /// Its SHA-256, in hexadecimal digits.
    sha256: String,
    /// Its first rows, one a line; what looks like a secret or personal data is a placeholder.
    sample: String,
    /// How many values of the sample are hidden behind placeholders.
    redacted: usize,
    /// How many bytes of it are not in the sample.
    cut_bytes: u64,
}

/// An upstream; its address and credential stay inside.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Target)]
pub(super) struct TargetView {
    name: String,
    /// `postgres`.
    protocol: &'static str,
    /// `dev`, `staging` or `production`.
    environment: &'static str,
    /// `none`, `low`, `medium` or `high`.
    sensitivity: &'static str,
    /// Whether it is in force in some form, so that agents reach it. The rest of this is what is in force; of a target that
    /// is not, what the configuration says.
    in_force: bool,
    /// Where the configuration says something else that waits for people: the digest to propose it by.
    #[schema(required = true, example = "sha256:…")]
    waits: Option<String>,
}

/// A review, as it stands.
///
/// The card is built anew and its digest is what goes out: a vote on a card that differs from the stored one does not
/// match, and is refused.
pub(super) fn review(gate: &Gate, review: &Review, attention: &Attention) -> Result<ReviewView, NotCanonical> {
    let matter = review.matter();
    let card = Card::new(&matter.described, matter.action, &matter.terms);
    let card_digest = card.digest()?.to_string();
    let now = gate.scribe.now();
    let offered = match review {
        Review::Open(_) => resolve::pattern::offered(&gate.moment(), review),
        Review::Closed(_) => Err(None),
    };
    let (closed_at, seconds_left, next_escalation) = match review {
        Review::Open(_) => (None, matter.expires_at.seconds_since(now).max(0), attention.next_escalation(matter)),
        Review::Closed(closed) => (Some(closed.closed_at().to_string()), 0, None),
    };
    Ok(ReviewView {
        id: matter.id.to_string(),
        state: review.state(),
        requester: requester(&card),
        on_behalf_of: card.on_behalf_of,
        target: card.target,
        environment: card.environment,
        action: card.action,
        resource: resource(card.resource),
        statement: card.statement.text,
        statement_parameters: card.statement.parameters,
        statement_cut_bytes: card.statement.cut_bytes,
        statement_stream: card.statement.stream.map(stream),
        replaces: Vec::new(),
        placeholders_imitated: card.statement.imitated,
        redacted: card.statement.redacted,
        hidden: card.statement.hidden.iter().map(HiddenView::from).collect(),
        reason: card.reason,
        impact: ImpactView {
            known: card.impact.known,
            rows: card.impact.rows,
            rows_max: card.impact.rows_max,
            words: card.impact.words(),
        },
        in_transaction: card.in_transaction,
        settings: card.settings,
        policies: card.policies.into_iter().map(|note| PolicyNoteView { id: note.id, text: note.text }).collect(),
        suffices: card.suffices.iter().map(|set| set.iter().map(Quorum::to_string).collect()).collect(),
        reason_required: matter.terms.obligations.justify,
        passkey_required: matter.terms.obligations.passkey,
        pattern: offered.as_ref().ok().map(|(shape, most)| OfferView::new(shape, *most)),
        no_pattern: offered.err().flatten().map(str::to_owned),
        approvals: tokens(review.votes()).iter().map(Quorum::to_string).collect(),
        cannot_approve: names(gate, matter.described.closure.iter()),
        votes: review.votes().iter().map(vote).collect(),
        glass_broken: review.breaking().map(broken),
        action_digest: card.action_digest.to_string(),
        card_digest,
        opened_at: matter.opened_at.to_string(),
        expires_at: matter.expires_at.to_string(),
        escalations: attention.escalated.iter().map(escalation).collect(),
        next_escalation: next_escalation.as_ref().map(escalation),
        reminded_at: attention.reminded_at.map(|at| at.to_string()),
        closed_at,
        seconds_left,
        url: format!("{}/reviews/{}", gate.config.public_url, matter.id),
        you: None,
    })
}

fn stream(shown: ShownStream) -> StreamView {
    let ShownStream { bytes, rows, sha256, sample, redacted, cut_bytes } = shown;
    StreamView { bytes, rows, sha256, sample, redacted, cut_bytes }
}

fn escalation(escalation: &Escalation) -> EscalationView {
    EscalationView { group: escalation.group.clone(), at: escalation.at.to_string() }
}

fn broken(breaking: &Breaking) -> BrokenView {
    BrokenView {
        person: breaking.name.clone(),
        method: breaking.method.name(),
        reason: breaking.reason.clone(),
        asked: breaking.asked.iter().cloned().collect(),
        at: breaking.at.to_string(),
    }
}

/// Every target that is in force or waits for people.
pub(super) fn targets(targets: &Targets, config: &Config) -> Vec<TargetView> {
    let in_force = targets.current();
    let known = in_force.values().map(|one| target(one, true, targets));
    let new = config.targets.iter().filter(|wish| !in_force.contains_key(&wish.name));
    known.chain(new.map(|wish| target(wish, false, targets))).collect()
}

fn target(target: &Target, in_force: bool, targets: &Targets) -> TargetView {
    let waiting = targets.waiting(&target.name);
    TargetView {
        in_force,
        waits: waiting.and_then(|waiting| crate::targets::digest(&target.name, Some(&waiting.after))),
        name: target.name.clone(),
        protocol: target.protocol.name(),
        environment: target.environment.name(),
        sensitivity: target.sensitivity.name(),
    }
}

/// The names behind handles, in order; a handle that nobody has any more stays a handle.
fn names<'a>(gate: &Gate, ids: impl Iterator<Item = &'a PersonId>) -> Vec<String> {
    let people = gate.roster.current();
    let name = |id: &PersonId| people.people.persons.get(id).map_or_else(|| id.to_string(), |facts| facts.name.clone());
    let mut names: Vec<String> = ids.map(name).collect();
    names.sort();
    names
}

/// Who asks.
pub(super) fn requester(card: &Card) -> RequesterView {
    let asker = card.requester.clone();
    let named = |job: &Job| job.attributes().map(|(name, value)| (name, value.to_owned())).collect();
    RequesterView { job: asker.job.as_ref().map(named), kind: asker.kind, name: asker.name, owner: asker.owner }
}

/// What would be touched.
pub(super) fn resource(touched: Touched) -> ResourceView {
    ResourceView {
        kind: touched.kind,
        name: touched.name,
        class: touched.class,
        verbs: touched.verbs,
        tables: TablesView {
            read: touched.tables.read.into_iter().collect(),
            write: touched.tables.write.into_iter().collect(),
        },
        functions: touched.functions.into_iter().collect(),
        objects: touched.objects.into_iter().collect(),
    }
}

fn vote(vote: &Vote) -> VoteView {
    VoteView {
        person: vote.name.clone(),
        verdict: match vote.verdict {
            Verdict::Approve => "approve",
            Verdict::Reject => "reject",
        },
        method: vote.method.name(),
        passkey: vote.passkey.clone().map(|PasskeyUse { id, synced, local }| PasskeyView { id, synced, local }),
        deputy_for: resolve::duty::names(&vote.duties),
        pattern: vote.pattern.as_ref().map(ChoiceView::from),
        at: vote.at.to_string(),
        reason: vote.reason.clone(),
    }
}
