//! The inbox: what waits, first what waits for the person who looks, the oldest on top.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::action::{ReviewId, Timestamp};
use countersign_core::card::{self, Card};
use countersign_core::review::Review;
use countersign_core::review::attention::Attention;
use countersign_core::review::burst::{self, Burst};
use serde::Deserialize;

use super::Console;
use super::filter::{Filter, Form, Show};
use super::follow_ups::{self, Banner};
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, excerpt, line, span, when};
use super::start;
use crate::gate::Moment;
use crate::ports::{CredentialKind, ReviewFilter};
use crate::resolve::Standing;

/// Reviews read for one look at the inbox.
const READ_MAX: u32 = 1_000;
/// Rows shown of each part where both are; a page stays below 100 KB.
const ROWS_OF_BOTH_MAX: usize = 25;
/// Rows on a page of one part.
const ROWS_MAX: usize = 40;
/// Of a statement in a row, in characters.
const EXCERPT_CHARS: usize = 180;
/// How long people are told of what was made in their name: a week.
const MADE_LATELY_SECONDS: i64 = 7 * 24 * 60 * 60;
/// How many such things are named.
const MADE_MAX: usize = 5;
/// Messages that fail, looked through for the places they were for.
const UNDELIVERED_MAX: u32 = 200;
/// How many such places are named.
const UNTOLD_MAX: usize = 5;
/// A review that closes within 5 minutes is marked.
const SOON_SECONDS: i64 = 5 * 60;

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    frame: Frame,
    /// What was made in the reader's name on the gateway's host lately.
    made: Vec<Made>,
    list: List,
}

/// A credential that somebody made who commands the gateway's host.
struct Made {
    what: &'static str,
    at: Html,
}

#[derive(Template)]
#[template(path = "inbox_list.html")]
struct InboxPart {
    list: List,
}

/// Which reviews: all, or a burst unfolded.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    /// A review of that burst.
    pub(super) like: Option<String>,
}

/// What the list shows.
struct List {
    /// How many first steps are still to be done, where nothing waits.
    missing: usize,
    /// The review whose burst is unfolded; none shows everything.
    like: Option<String>,
    form: Form,
    /// Broken glass that nobody has looked at yet.
    broken: Vec<Banner>,
    /// Places that could not be told, and why.
    untold: Vec<(Html, Html)>,
    mine: Part,
    others: Part,
    /// More reviews are open than were read.
    truncated: bool,
    read_max: u32,
}

/// One part of the list.
struct Part {
    rows: Vec<Row>,
    /// How many reviews it is, however many rows tell of them.
    count: usize,
    /// How many of them no row tells of.
    more: usize,
    /// Whether it is on this page at all.
    shown: bool,
    /// The page of it, from 1, and of how many; one of one where both parts are shown.
    page: (usize, usize),
    /// The addresses of its other pages, or of the whole of it.
    sooner: Option<String>,
    later: Option<String>,
}

impl Part {
    /// The page of one part that a filter asks for, with `row` for each burst on it.
    fn new(bursts: &[Burst<'_>], which: Show, filter: &Filter, row: impl Fn(&Burst<'_>) -> Row) -> Self {
        let (both, shown) = (filter.show() == Show::Both, filter.show() == Show::Both || filter.show() == which);
        let size = if both { ROWS_OF_BOTH_MAX } else { ROWS_MAX };
        let pages = if both { 1 } else { bursts.len().div_ceil(size).max(1) };
        let page = filter.page().min(pages - 1);
        let count = |bursts: &[Burst<'_>]| bursts.iter().map(Burst::size).sum::<usize>();
        let of_page = bursts.chunks(size).nth(page).filter(|_| shown).unwrap_or_default();
        let more = count(bursts) - count(of_page);
        let next = if both { 0 } else { page + 1 }; // the whole of a part begins where its beginning does
        Self {
            rows: of_page.iter().map(row).collect(),
            count: count(bursts),
            more,
            shown,
            page: (page + 1, pages),
            sooner: (page > 0).then(|| filter.address(which, page - 1)),
            later: (shown && more > 0 && next < pages.max(1)).then(|| filter.address(which, next)),
        }
    }
}

/// One review at a glance.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) who: Html,
    pub(super) for_whom: Html,
    /// Whether the gate itself would change.
    pub(super) is_gate: bool,
    pub(super) verbs: Html,
    pub(super) object: Html,
    pub(super) effect: &'static str,
    pub(super) target: Html,
    pub(super) environment: String,
    pub(super) statement: Html,
    pub(super) is_excerpt: bool,
    pub(super) opened: Html,
    pub(super) left: String,
    pub(super) soon: bool,
    pub(super) standing: String,
    pub(super) decides: bool,
    /// The groups it was escalated to.
    pub(super) escalated: Option<Html>,
    /// Whether people were reminded of it.
    pub(super) reminded: bool,
    /// How many more of its burst are told of by this row.
    pub(super) others: usize,
}

/// The inbox.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Query(filter): Query<Filter>,
) -> Result<Response, Failure> {
    let list = list(&console, &session, &filter).await?;
    let made = made_on_the_host(&console, &session).await?;
    let title = if list.mine.count > 0 { format!("({}) Inbox", list.mine.count) } else { "Inbox".to_owned() };
    Ok(render(StatusCode::OK, &InboxPage { frame: Frame::new(title, "/", &session), made, list }))
}

/// Whoever commands the host can make a link or a token in anybody's name: with an identity provider nobody should need to, so
/// the person it is for is told.
async fn made_on_the_host(console: &Console, session: &Session) -> Result<Vec<Made>, Failure> {
    if console.gate.sign_in.is_none() {
        return Ok(Vec::new());
    }
    let now = console.gate.scribe.now();
    let own = console.gate.directory.credentials(Some(&session.signed_in.person.id), now).await?;
    let lately = own.into_iter().filter(|(_, credential)| {
        credential.local && now.seconds_since(credential.authenticated_at) < MADE_LATELY_SECONDS
    });
    let made = lately.map(|(kind, credential)| Made {
        what: match kind {
            CredentialKind::Token => "A token",
            CredentialKind::LoginLink => "A login link",
            CredentialKind::Session => "A session, by a login link,",
        },
        at: when(credential.authenticated_at, now),
    });
    Ok(made.take(MADE_MAX).collect())
}

/// Its list alone, for updating an open page.
pub(super) async fn part(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
    Query(filter): Query<Filter>,
) -> Result<Response, Failure> {
    let list = list(&console, &session, &filter).await?;
    Ok(render(StatusCode::OK, &InboxPart { list }))
}

async fn list(console: &Console, session: &Session, filter: &Filter) -> Result<List, Failure> {
    let open = console.gate.store.reviews(ReviewFilter::Open, READ_MAX + 1).await?;
    let moment = console.gate.moment();
    let truncated = open.len() > READ_MAX as usize;
    let seen = |review: &Review| session.signed_in.reads(&review.matter().described);
    let live = open.into_iter().filter(|review| seen(review) && review.matter().expires_at > moment.now);
    let live: Vec<Review> = live.collect();
    let ids = live.iter().map(|review| review.matter().id.clone()).collect();
    let attentions = console.gate.store.attentions(ids).await?;
    let none = Attention::default();
    let attention = |review: &Review| attentions.get(&review.matter().id).unwrap_or(&none);
    let (of, like) = unfolded(&live, filter.like());
    let (mut mine, others): (Vec<_>, Vec<_>) = filter
        .of(of)
        .into_iter()
        .partition(|review| Standing::is_asked(&moment, review, attention(review), &session.signed_in));
    mine.sort_by_key(|review| due(review, attention(review))); // stable: the oldest first among those of one kind
    let part = |reviews: &[&Review], which: Show| {
        let bursts = if like.is_some() { alone(reviews) } else { burst::fold(reviews) };
        Part::new(&bursts, which, filter, |burst: &Burst<'_>| Row {
            others: burst.others.len(),
            ..row(&moment, burst.first, attention(burst.first), session)
        })
    };
    let quiet = live.is_empty() && session.signed_in.reads_all();
    let steps = if quiet { start::steps(console, session).await? } else { Vec::new() };
    Ok(List {
        missing: steps.iter().filter(|step| !step.done).count(),
        mine: part(&mine, Show::Mine),
        others: part(&others, Show::Others),
        like,
        form: filter.form(&live),
        broken: follow_ups::banners(console, session, &moment).await?,
        untold: untold(console, session).await?,
        truncated,
        read_max: READ_MAX,
    })
}

/// The places where messages about reviews fail, each with what is wrong there lately.
async fn untold(console: &Console, session: &Session) -> Result<Vec<(Html, Html)>, Failure> {
    if !session.signed_in.reads_all() {
        return Ok(Vec::new());
    }
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for posting in console.gate.store.undelivered(UNDELIVERED_MAX).await? {
        places.entry(posting.place.to_string()).or_insert(posting.error.unwrap_or_default());
    }
    Ok(places.into_iter().take(UNTOLD_MAX).map(|(place, why)| (line(&place), line(&why))).collect())
}

/// The reviews to show, and the one whose burst they are, if it is still open.
pub(super) fn unfolded<'a>(live: &'a [Review], like: Option<&str>) -> (Vec<&'a Review>, Option<String>) {
    let like = like.map(ReviewId::new);
    let one = like.and_then(|id| live.iter().find(|review| review.matter().id == id));
    match one {
        Some(review) => (burst::like(review, live), Some(review.matter().id.to_string())),
        None => (live.iter().collect(), None),
    }
}

/// Each by itself.
fn alone<'a>(reviews: &[&'a Review]) -> Vec<Burst<'a>> {
    reviews.iter().map(|first| Burst { first, others: Vec::new() }).collect()
}

/// Those of which people were reminded come first, the next to close on top.
fn due(review: &Review, attention: &Attention) -> (bool, Option<Timestamp>) {
    let reminded = attention.reminded_at.is_some();
    (!reminded, reminded.then_some(review.matter().expires_at))
}

pub(super) fn row(moment: &Moment, review: &Review, attention: &Attention, session: &Session) -> Row {
    let matter = review.matter();
    let card = Card::new(&matter.described, matter.action, &matter.terms);
    let standing = Standing::of(moment, review, &session.signed_in);
    let left = matter.expires_at.seconds_since(moment.now);
    let (statement, is_excerpt) = excerpt(&card.statement.text, EXCERPT_CHARS);
    Row {
        id: matter.id.to_string(),
        who: line(&card.requester.name),
        for_whom: line(&card.on_behalf_of),
        verbs: verbs(&card.resource.verbs),
        is_gate: card.changes().is_some(),
        object: object(&card),
        effect: effect(&card.resource.class),
        target: line(&card.target),
        environment: card.environment.clone(),
        statement,
        is_excerpt: is_excerpt || card.statement.cut_bytes > 0,
        opened: when(matter.opened_at, moment.now),
        left: span(left),
        soon: left < SOON_SECONDS,
        standing: standing.words().label,
        decides: standing.decides(),
        escalated: escalated(attention),
        reminded: attention.reminded_at.is_some(),
        others: 0,
    }
}

/// The groups that a review was escalated to, if any.
fn escalated(attention: &Attention) -> Option<Html> {
    let groups: Vec<&str> = attention.escalated.iter().map(|there| there.group.as_str()).collect();
    (!groups.is_empty()).then(|| line(&groups.join(", ")))
}

/// What an action of a class does.
pub(super) fn effect(class: &str) -> &'static str {
    match class {
        "read" => "reads",
        "session" => "changes settings of its session",
        "write" => "changes data",
        "exec" => "runs something",
        "reveal" => "reveals credentials",
        "ddl" => "changes the schema",
        "admin" => "changes rights or the server",
        "change" => "changes what is permitted",
        _ => "effect not known",
    }
}

/// What an action is aimed at.
pub(super) fn object(card: &Card) -> Html {
    line(&card.aimed_at())
}

/// Verbs in order.
pub(super) fn verbs(all: &[String]) -> Html {
    line(&card::verbs(all))
}

/// How long a review stays open, in words; for pages that show one.
pub(super) fn left(expires_at: Timestamp, now: Timestamp) -> (String, bool) {
    let seconds = expires_at.seconds_since(now);
    (span(seconds), seconds < SOON_SECONDS)
}
