//! One review: the whole card, what is needed, what was said, and the two buttons.

use std::collections::BTreeSet;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use countersign_core::action::{Job, PersonId, ReviewId, Timestamp};
use countersign_core::card::Card;
use countersign_core::policy::PolicyNote;
use countersign_core::review::{Method, REASON_BYTES_MAX, Review, Verdict, Vote};
use serde::Deserialize;

use super::Console;
use super::activity::status_words;
use super::disclosures::{self, HiddenRow};
use super::follow_ups::{self, Breaks, Broken};
use super::impact::Effect;
use super::inbox::{effect, left, object, verbs};
use super::page::{Failure, Frame, advice, render, status};
use super::patterns::{self, Offered};
use super::session::Session;
use super::show::{Data, Html, Statement, block, difference, line, span, when};
use super::standing;
use crate::gate::Moment;
use crate::identity::passkeys::RelyingParty;
use crate::ports::{Attempt, Passkey};
use crate::resolve::{self, Denied, Revealed, Standing, Voter};

/// Names listed of a kind; more are counted.
const NAMES_MAX: usize = 100;
/// Attempts looked through for those at this action.
const ATTEMPTS_MAX: u32 = 200;

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage {
    frame: Frame,
    view: View,
    refused: Option<Refused>,
    /// What came of comparing a hidden value: its mark, and whether it was the same.
    compared: Option<(Html, bool)>,
    /// What the person had written when their vote was refused.
    written: String,
    /// Whether the reader may ask what the policies answer now.
    asks_policies: bool,
}

#[derive(Template)]
#[template(path = "review_progress.html")]
struct ProgressPart {
    view: View,
}

/// A vote that was not accepted.
struct Refused {
    code: &'static str,
    message: Html,
    advice: &'static str,
}

/// What is said on top of the page, or in it, of what was just done.
pub(super) enum Said {
    Nothing,
    /// It was refused; with what the person had written.
    Refused(Denied, String),
    /// Hidden values, to be shown this once.
    Revealed(Vec<Revealed>),
    /// A hidden value was compared.
    Compared {
        mark: String,
        equal: bool,
    },
}

/// A list of names, and how many are not in it.
struct Names {
    shown: Vec<Html>,
    more: usize,
}

/// Everything the page says of a review.
struct View {
    id: String,
    state: &'static str,
    /// The state in words.
    state_words: String,
    version: String,
    /// After how many seconds the page looks again by itself.
    look_again: u8,
    card: CardView,
    standing: Standing,
    sentence: Html,
    /// Where to prove who one is once more, when that may help.
    sign_in: Option<String>,
    can_withdraw: bool,
    /// Whether the reader may break the glass.
    breaks: Breaks,
    /// The groups it was escalated to, each with when.
    escalations: Vec<(Html, Html)>,
    /// The group it will be escalated to next, and in how long.
    next_escalation: Option<(Html, String)>,
    /// When people were last reminded.
    reminded: Option<Html>,
    /// Who did, if that is how it ended.
    broken: Option<Broken>,
    /// Whether the reader's own vote can still be taken back, as far as this page knows.
    can_retract: bool,
    /// Whether a vote of theirs without a passkey would count.
    plain: bool,
    /// Whether one that a passkey of theirs signs would.
    signed: bool,
    /// Whether only a signed vote is taken, and they have no passkey.
    needs_passkey: bool,
    /// Where passkeys work.
    origin: String,
    /// What can be approved besides this once, or why nothing can.
    pattern: Result<Offered, Option<Html>>,
    /// Whether the like of it may run by now.
    is_pattern: bool,
    justify: bool,
    reason_bytes_max: usize,
    /// What the card hides.
    hidden: Vec<HiddenRow>,
    /// How many of these the reader has to look at before they approve.
    unseen: usize,
    /// Whether the reader may look at all.
    may_look: bool,
    /// The card as shown is not the one the review was opened with: nobody may vote on it here.
    altered: bool,
    paths: Vec<standing::Path>,
    /// Who cannot approve because it is their side that asks, and how it is theirs.
    cannot: Vec<(Html, &'static str)>,
    opened: Html,
    expires: Html,
    left: String,
    soon: bool,
    closed: Option<Html>,
    votes: Vec<VoteView>,
    attempts: Vec<AttemptView>,
    hold: Option<String>,
}

/// The card.
struct CardView {
    who: Html,
    kind: String,
    owner: Html,
    for_whom: Html,
    /// What its issuer says of the job behind the agent, name by name.
    job: Vec<(&'static str, Html)>,
    object: Html,
    effect: &'static str,
    target: Html,
    environment: String,
    action: String,
    verbs: Html,
    statement: Statement,
    /// Whether the gate itself would change.
    is_gate: bool,
    /// What changes in the definition that it would replace.
    replaces: Option<Html>,
    data: Option<Data>,
    cut_bytes: usize,
    redacted: usize,
    writes: Names,
    reads: Names,
    functions: Names,
    /// What a request is aimed at.
    objects: Names,
    /// Whether it is SQL, whose tables are known.
    is_sql: bool,
    /// Session settings that are part of what it means, and differ from the target's own.
    settings: Vec<(Html, Html)>,
    reason: Option<Html>,
    in_transaction: bool,
    /// Whether the gateway could measure the impact.
    measured: bool,
    impact: Vec<String>,
    /// The impact at a glance.
    glance: Effect,
    policies: Vec<PolicyView>,
    action_digest: String,
    card_digest: String,
}

/// A policy that asked.
struct PolicyView {
    id: Html,
    /// What it says to reviewers.
    words: Html,
    /// Its own text, where the policies in force are those that asked.
    text: Option<Html>,
}

/// A vote on the timeline.
struct VoteView {
    name: Html,
    approves: bool,
    groups: Html,
    /// In whose place they spoke too, or only.
    duties: Option<Html>,
    method: &'static str,
    /// What they let vary, if they approved the like of it too.
    pattern: Option<Html>,
    counts: bool,
    reason: Option<Html>,
    at: Html,
}

/// An attempt at the action.
struct AttemptView {
    words: &'static str,
    tone: &'static str,
    code: Option<Html>,
    at: Html,
}

/// What the page that asks already shows.
#[derive(Deserialize)]
pub(super) struct Known {
    seen: Option<String>,
}

/// The page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    show(&console, &session, &ReviewId::new(id), Said::Nothing).await
}

/// What changes while one looks; tells htmx to load the whole page anew when the review's state is another by now.
pub(super) async fn part(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Path(id): Path<String>,
    Query(known): Query<Known>,
) -> Result<Response, Failure> {
    let view = view(&console, &session, &ReviewId::new(id)).await?;
    if known.seen.as_deref() != Some(&view.version) {
        return Ok((StatusCode::OK, [("hx-refresh", "true")]).into_response());
    }
    Ok(render(StatusCode::OK, &ProgressPart { view }))
}

/// The page, with a refusal on top when there is one.
pub(super) async fn show(console: &Console, session: &Session, id: &ReviewId, said: Said) -> Result<Response, Failure> {
    let mut view = view(console, session, id).await?;
    let title = format!("Review of {} on {}", view.card.action, view.card.environment);
    let place = if view.closed.is_some() { "/history" } else { "/" };
    let frame = Frame::new(title, place, session);
    let (mut refused, mut compared, mut written, mut answer) = (None, None, String::new(), StatusCode::OK);
    match said {
        Said::Nothing => {}
        Said::Refused(Denied { code, message }, words) => {
            answer = status(code);
            refused = Some(Refused { code: code.name(), message: line(&message), advice: advice(code) });
            written = words;
        }
        Said::Compared { mark, equal } => compared = Some((line(&mark), equal)),
        Said::Revealed(values) => disclosures::fill(&mut view.hidden, &values),
    }
    let asks_policies = session.signed_in.reads_all();
    Ok(render(answer, &ReviewPage { frame, view, refused, compared, written, asks_policies }))
}

async fn view(console: &Console, session: &Session, id: &ReviewId) -> Result<View, Failure> {
    let store = &console.gate.store;
    let found = store.review(id).await?.map(|found| found.review);
    let seen = found.filter(|review| session.signed_in.reads(&review.matter().described));
    let review = seen.ok_or_else(|| Failure::not_found("review"))?;
    let attempts = match review {
        Review::Open(_) => Vec::new(), // nothing ran on it yet
        Review::Closed(_) => store.attempts(ATTEMPTS_MAX).await?,
    };
    let moment = console.gate.moment();
    let matter = review.matter();
    let card = Card::new(&matter.described, matter.action, &matter.terms);
    let altered = card.digest().ok() != Some(matter.card);
    let standing = Standing::of(&moment, &review, &session.signed_in);
    let stands = !resolve::is_own_side(&moment, &review, &session.signed_in.person.id);
    let (left, soon) = left(matter.expires_at, moment.now);
    let attention = resolve::attention(&console.gate, id).await?;
    let next = matches!(review, Review::Open(_)).then(|| attention.next_escalation(matter)).flatten();
    let is_open = matches!(review, Review::Open(_));
    let reader = &session.signed_in.person.id;
    let voted = review.votes().iter().any(|vote| &vote.person == reader);
    let broke = review.breaking().is_some_and(|breaking| &breaking.person == reader);
    let is_pattern = !is_open && patterns::of_review(console, &review, moment.now).await?;
    let can_retract = (voted || broke) && (is_open || is_pattern || store.unused_grant(id).await?.is_some());
    let may_help = console.gate.sign_in.is_some() && matches!(standing, Standing::Barred(_));
    let who = &session.signed_in;
    let passkeys = match is_open {
        true => console.gate.directory.passkeys(&who.person.id).await?,
        false => Vec::new(),
    };
    let decides = |voter: Voter<'_>| Standing::of_voter(&moment, &review, &voter).decides();
    let with = |passkey: &Passkey| decides(Voter { signed_in: who, passkey: Some(passkey.as_used()) });
    let (hidden, may_look) = disclosures::rows(&console.gate, &moment, &review, who, &passkeys).await?;
    let party = RelyingParty::of(&console.gate.config.public_url).ok();
    Ok(View {
        id: id.to_string(),
        sign_in: may_help.then(|| format!("/login/oidc?again=true&return=/reviews/{id}")),
        state: review.state(),
        state_words: review.state().replace('_', " "),
        version: format!("{}-{}", review.state(), review.votes().len()),
        look_again: look_again(&review, &attempts, moment.now),
        can_withdraw: is_open && standing == Standing::OwnSide,
        can_retract,
        escalations: attention.escalated.iter().map(|there| (line(&there.group), when(there.at, moment.now))).collect(),
        next_escalation: next.map(|next| (line(&next.group), span(next.at.seconds_since(moment.now)))),
        reminded: attention.reminded_at.map(|at| when(at, moment.now)),
        breaks: follow_ups::breaks(&moment, &review, session, if party.is_some() { &passkeys } else { &[] }),
        broken: review.breaking().map(|breaking| follow_ups::broken(&moment, breaking)),
        plain: decides(Voter::plain(who)),
        signed: party.is_some() && passkeys.iter().any(with),
        needs_passkey: matter.terms.obligations.passkey && passkeys.is_empty(),
        origin: party.map(|party| party.origin().to_owned()).unwrap_or_default(),
        sentence: line(&standing.words().sentence),
        pattern: if is_open { patterns::offered(&moment, &review) } else { Err(None) },
        is_pattern,
        justify: matter.terms.obligations.justify,
        reason_bytes_max: REASON_BYTES_MAX,
        unseen: hidden.iter().filter(|row| row.must_look()).count(),
        hidden,
        may_look,
        altered,
        paths: standing::paths(&moment, &review),
        cannot: own_side(&moment, &review),
        opened: when(matter.opened_at, moment.now),
        expires: when(matter.expires_at, moment.now),
        left,
        soon,
        closed: match &review {
            Review::Open(_) => None,
            Review::Closed(closed) => Some(when(closed.closed_at(), moment.now)),
        },
        votes: review.votes().iter().map(|vote| vote_view(&moment, &review, vote)).collect(),
        attempts: attempts_at(attempts, &review, &moment),
        hold: matter.terms.obligations.hold_seconds.map(|seconds| span(i64::from(seconds))),
        card: card_view(card, &review, &moment, stands),
        standing,
    })
}

/// `stands`: whether the reader may know what stands now, which policy may not let the requester's side read.
fn card_view(card: Card, review: &Review, moment: &Moment, stands: bool) -> CardView {
    let is_in_force = moment.bundle.digest() == review.matter().terms.bundle;
    let policy = |note: &PolicyNote| PolicyView {
        id: line(&note.id),
        words: block(&note.text),
        text: moment.bundle.policy_text(&note.id).filter(|_| is_in_force).as_deref().map(block),
    };
    CardView {
        who: line(&card.requester.name),
        kind: card.requester.kind.clone(),
        owner: line(&card.requester.owner),
        for_whom: line(&card.on_behalf_of),
        job: card.requester.job.iter().flat_map(Job::attributes).map(|(name, value)| (name, line(value))).collect(),
        object: object(&card),
        effect: effect(&card.resource.class),
        target: line(&card.target),
        environment: card.environment.clone(),
        action: card.action.clone(),
        verbs: verbs(&card.resource.verbs),
        statement: Statement::of(&card),
        is_gate: card.changes().is_some(),
        replaces: (stands && !card.statement.replaces.is_empty())
            .then(|| difference(&card.statement.replaces.join("\n"))),
        data: card.statement.stream.as_ref().map(Data::new),
        cut_bytes: card.statement.cut_bytes,
        redacted: card.statement.redacted,
        writes: names(card.resource.tables.write.iter()),
        reads: names(card.resource.tables.read.iter()),
        functions: names(card.resource.functions.iter()),
        objects: names(card.resource.objects.iter()),
        is_sql: card.resource.kind == "database",
        settings: card.settings.iter().map(|(name, value)| (line(name), line(value))).collect(),
        reason: card.reason.as_deref().map(block),
        in_transaction: card.in_transaction,
        measured: card.impact.known,
        impact: card.impact.words(),
        glance: Effect::of(&card.impact),
        policies: card.policies.iter().map(policy).collect(),
        action_digest: card.action_digest.to_string(),
        card_digest: review.matter().card.to_string(),
    }
}

fn names<'a>(all: impl ExactSizeIterator<Item = &'a String>) -> Names {
    let more = all.len().saturating_sub(NAMES_MAX);
    Names { shown: all.take(NAMES_MAX).map(|name| line(name)).collect(), more }
}

/// Everyone on the requester's side, by name where a name is known, and how they are on it.
fn own_side(moment: &Moment, review: &Review) -> Vec<(Html, &'static str)> {
    let request = &review.matter().described;
    let names = standing::names(moment);
    let own = moment.people.linked_now(request, moment.now);
    let name = |id: &PersonId| line(names.get(id).map_or_else(|| id.as_str(), String::as_str));
    let is_agent = request.requester.kind() == "agent";
    let how = |id: &PersonId| {
        if &request.requester.owner().id == id {
            return if is_agent { "answers for the agent" } else { "asks" };
        }
        if &request.on_behalf_of.id == id {
            return "it is done for them";
        }
        if request.closure.contains(id) {
            "made, owned or lent what asks"
        } else {
            "came to its side since it was asked"
        }
    };
    own.iter().map(|id| (name(id), how(id))).collect()
}

fn vote_view(moment: &Moment, review: &Review, vote: &Vote) -> VoteView {
    let approves = vote.verdict == Verdict::Approve;
    let used = vote.duties.iter().flat_map(|used| used.groups.iter());
    let groups: BTreeSet<&str> = vote.groups.iter().chain(used).map(String::as_str).collect();
    let groups: Vec<&str> = groups.into_iter().collect();
    let duties = resolve::duty::names(&vote.duties);
    let stands = || resolve::standing(moment, &review.matter().described, vote).is_some();
    VoteView {
        name: line(&vote.name),
        approves,
        groups: line(&groups.join(", ")),
        duties: (!duties.is_empty()).then(|| line(&duties.join(", "))),
        method: method_words(vote.method),
        pattern: vote.pattern.as_ref().map(|choice| line(&patterns::words(choice))),
        counts: !approves || matches!(review, Review::Closed(_)) || stands(),
        reason: vote.reason.as_deref().map(block),
        at: when(vote.at, moment.now),
    }
}

fn method_words(method: Method) -> &'static str {
    match method {
        Method::Passkey => "signed by passkey",
        Method::Console => "in the console",
        Method::Api => "by token",
        Method::Cli => "on the command line",
        Method::Chat => "by a click in chat",
        Method::Webhook => "by a webhook’s callback",
        Method::Local => "with a local credential",
    }
}

/// Soon while an approved action may be under way: an outcome is applied a moment after it is told.
fn look_again(review: &Review, attempts: &[Attempt], now: Timestamp) -> u8 {
    const UNDER_WAY_SECONDS: i64 = 60;
    let Review::Closed(closed) = review else { return 20 };
    let action = review.matter().action;
    let is_done =
        |attempt: &Attempt| attempt.digest == action && !matches!(&*attempt.status, "running" | "uncommitted");
    let fresh = now.seconds_since(closed.closed_at()) < UNDER_WAY_SECONDS;
    if closed.outcome().grants() && fresh && !attempts.iter().any(is_done) { 2 } else { 20 }
}

/// The newest first, at most ten.
fn attempts_at(all: Vec<Attempt>, review: &Review, moment: &Moment) -> Vec<AttemptView> {
    const SHOWN_MAX: usize = 10;
    let action = review.matter().action;
    let same = all.into_iter().filter(|attempt| attempt.digest == action).take(SHOWN_MAX);
    let view = |attempt: Attempt| {
        let (words, tone) = status_words(&attempt.status);
        AttemptView { words, tone, code: attempt.code.as_deref().map(line), at: when(attempt.at, moment.now) }
    };
    same.map(view).collect()
}
