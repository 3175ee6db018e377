//! A review as a letter: plain text, and the same as simple HTML.
//!
//! What came from the requester stands in the body alone, never in a header. HTML escapes it; in text its lines are marked, so
//! that it cannot look like the letter's own; and in both a zero-width space keeps mail programs from making links of it.

use askama::Template;
use countersign_core::card::unseen::{visible, visible_line};
use countersign_core::review::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Excerpt, Happening, Notice, Room, cut};

/// Of a statement; the rest is in the console.
const ROOM: Room = Room { statement: 4_000, part: 1_000, lines: 120 };
/// Of the requester's own words.
const REASON_CHARS_MAX: usize = 1_000;
/// Of any line of the gateway's.
const LINE_CHARS_MAX: usize = 500;
/// Votes that are told one by one.
const VOTES_MAX: usize = 20;
/// The longest name in a subject.
const SUBJECT_NAME_CHARS_MAX: usize = 60;

/// What is sent: everything in it is told as it stands, and what is not the gateway's own is unlinked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) review: String,
    pub(super) subject: String,
    /// Whether nothing is left to decide.
    pub(super) is_over: bool,
    /// What happened, in bold.
    headline: String,
    standing: String,
    facts: Vec<String>,
    parts: Vec<Part>,
    notes: Vec<String>,
    reason: Option<Quote>,
    lines: Vec<String>,
    votes: Vec<String>,
    /// What the link says.
    open: String,
    url: String,
}

/// Something that would run, with its title where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    title: String,
    lines: Vec<String>,
}

/// The requester's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Quote {
    lines: Vec<String>,
    missing: usize,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    letter: &'a Letter,
}

impl Letter {
    /// As text, and as HTML.
    pub(super) fn bodies(&self) -> Result<(String, String), askama::Error> {
        Ok((Text { letter: self }.render()?, Html { letter: self }.render()?))
    }
}

impl From<Letter> for Value {
    fn from(letter: Letter) -> Self {
        serde_json::to_value(letter).unwrap_or_default() // strings and lists always are JSON
    }
}

impl TryFrom<&Value> for Letter {
    type Error = serde_json::Error;

    fn try_from(value: &Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(value.clone())
    }
}

/// The letter that tells of a review; as long as it waits it says the same, whoever has voted.
pub(super) fn of(notice: &Notice) -> Letter {
    let excerpt = Excerpt::of(notice, ROOM);
    let is_over = notice.outcome.is_some();
    let part = |(title, text): &(&'static str, String)| Part { title: (*title).to_owned(), lines: lines(text) };
    let open = if notice.needs_passkey { "Open and sign" } else { "Open and decide" };
    let parts = if is_over { Vec::new() } else { excerpt.parts.iter().map(part).collect() };
    let until = format!(", until {} (UTC)", notice.expires_at);
    Letter {
        review: notice.review.to_string(),
        subject: subject(notice),
        is_over,
        headline: line(&notice.headline()),
        standing: format!("{}{}", line(&notice.standing()), if is_over { "" } else { &until }),
        facts: facts(notice),
        parts,
        notes: if is_over { Vec::new() } else { excerpt.notes },
        reason: reason(notice).filter(|_| !is_over),
        lines: if is_over { Vec::new() } else { asking(notice) },
        votes: if is_over { votes(notice) } else { Vec::new() },
        open: if is_over { "Open".to_owned() } else { open.to_owned() },
        url: notice.url.clone(),
    }
}

/// The one letter that tells of a burst; how many wait changes by the minute and is told by the page behind the link.
pub(super) fn of_burst(notice: &Notice) -> Letter {
    Letter {
        subject: format!("More like it: {}", subject(notice)),
        is_over: false,
        headline: format!("More requests like one that waits: {}", line(&notice.asks())),
        standing: "They are told of in this letter alone; the page says how many of them wait.".to_owned(),
        parts: Vec::new(),
        notes: Vec::new(),
        reason: None,
        lines: Vec::new(),
        votes: Vec::new(),
        open: "Show them all".to_owned(),
        url: notice.burst_url.clone(),
        ..of(&notice.as_opened())
    }
}

/// The letter that says what happened to a review that still waits.
pub(super) fn of_happening(notice: &Notice, happening: &Happening) -> Letter {
    let until = happening.until.map(|at| format!(", until {at} (UTC)")).unwrap_or_default();
    let standing = format!("{}{until}", line(&happening.text));
    Letter { standing, parts: Vec::new(), notes: Vec::new(), reason: None, lines: Vec::new(), ..of(notice) }
}

/// Names of the configuration and of the grammar alone: nothing that a requester wrote.
fn subject(notice: &Notice) -> String {
    let name = |text: &str| cut(&visible_line(text), SUBJECT_NAME_CHARS_MAX).0;
    let what = match notice.card.changes() {
        Some(_) => "A change of the gateway".to_owned(),
        None => format!("{} on {}", name(&notice.card.action), name(&notice.card.target)),
    };
    format!("[Countersign] {what} ({}) waits: {}", name(&notice.card.environment), notice.review)
}

fn facts(notice: &Notice) -> Vec<String> {
    let card = &notice.card;
    let mut facts = vec![
        line(&card.environment),
        line(&card.target),
        line(&card.action),
        format!("for {}", line(&card.on_behalf_of)),
        format!("review {}", notice.review),
    ];
    if card.in_transaction {
        facts.push("a transaction is open".to_owned());
    }
    facts
}

fn reason(notice: &Notice) -> Option<Quote> {
    let (text, missing) = cut(&visible(notice.card.reason.as_deref()?), REASON_CHARS_MAX);
    Some(Quote { lines: lines(&text), missing })
}

/// What policy asks, what was measured, whom it was escalated to.
fn asking(notice: &Notice) -> Vec<String> {
    let policies = notice.card.policies.iter().map(|note| line(&note.text));
    policies.chain(notice.card.impact.words().iter().map(|words| line(words))).collect()
}

fn votes(notice: &Notice) -> Vec<String> {
    let told = notice.votes.iter().take(VOTES_MAX).map(|said| {
        let word = if said.verdict == Verdict::Approve { "approved" } else { "rejected" };
        let why = said.reason.as_deref().map_or_else(String::new, |why| format!(": “{why}”"));
        line(&format!("{} {word}{why}", said.name))
    });
    told.collect()
}

fn line(text: &str) -> String {
    unlinked(&cut(&visible_line(text), LINE_CHARS_MAX).0)
}

fn lines(text: &str) -> Vec<String> {
    unlinked(text).split('\n').map(str::to_owned).collect()
}

/// A text of which mail programs make no links: a zero-width space stands where an address would have `://`, `@`, or a dot before
/// a letter. One that the requester wrote is named, so that the two are not confused.
fn unlinked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        let is_joint = match c {
            ':' | '/' => next == '/',
            '@' => true,
            '.' | '。' | '．' | '｡' => next.is_alphanumeric() && !(before.is_numeric() && next.is_numeric()),
            _ => false,
        };
        out.push(c);
        if is_joint {
            out.push('\u{200b}');
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reads_as_an_address() {
        for (text, expected) in [
            ("https://evil.test/a", "https:\u{200b}/\u{200b}/evil.\u{200b}test/a"),
            ("me@evil.test", "me@\u{200b}evil.\u{200b}test"),
            ("credit = 900.50 -- v1.2", "credit = 900.50 -- v1.2"),
            ("1.a", "1.\u{200b}a"),
        ] {
            assert_eq!(unlinked(text), expected);
        }
    }
}
