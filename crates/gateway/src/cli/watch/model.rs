//! What is on the screen and what a key does about it, without a terminal.
//!
//! A vote takes two steps: a key on the card, then Enter under the reason. It is offered only once the card's end has been
//! on the screen, and carries the digests of the card that was shown.

use std::collections::BTreeSet;
use std::time::Instant;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use crate::cli::review::text;

/// The longest reason, in bytes; the API takes no more.
const REASON_BYTES_MAX: usize = 2_000;

/// What a key asks of the gateway.
#[derive(Debug)]
pub(super) enum Effect {
    Vote(Vote),
    /// Read a review again: it is open no more.
    Look(String),
    Quit,
}

/// A vote on what was shown.
#[derive(Debug)]
pub(super) struct Vote {
    pub(super) review: Value,
    pub(super) verdict: Verdict,
    pub(super) reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Approve,
    Reject,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Verdict::Approve => "approve",
            Verdict::Reject => "reject",
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    List,
    Card,
    Help,
}

/// A card on the screen.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) review: Value,
    pub(super) scroll: usize,
    /// Its lines, and how many fit, as they were last drawn.
    lines: usize,
    height: usize,
    seen_to_end: bool,
    /// The vote that is being written.
    pub(super) vote: Option<(Verdict, String)>,
}

impl Shown {
    fn of(review: &Value) -> Self {
        Self { review: review.clone(), scroll: 0, lines: usize::MAX, height: 0, seen_to_end: false, vote: None }
    }

    /// How many lines stand below what is seen.
    pub(super) fn below(&self) -> usize {
        self.lines.saturating_sub(self.scroll + self.height)
    }

    fn scroll_by(&mut self, down: bool, lines: usize) {
        let end = self.lines.saturating_sub(self.height);
        self.scroll = if down { (self.scroll + lines).min(end) } else { self.scroll.saturating_sub(lines) };
    }
}

/// What was last said, and whether it went well.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) good: bool,
    pub(super) words: String,
}

/// The whole state.
#[derive(Debug)]
pub(super) struct Model {
    reviews: Vec<Value>,
    pub(super) read_at: Instant,
    chosen: usize,
    /// Only those that await the person who looks.
    pub(super) mine: bool,
    pub(super) view: View,
    pub(super) shown: Option<Shown>,
    pub(super) said: Option<Said>,
    pub(super) away: Option<String>,
    /// A vote is on its way.
    pub(super) busy: bool,
}

impl Model {
    pub(super) fn new(reviews: Vec<Value>) -> Self {
        let mut model = Self {
            reviews: Vec::new(),
            read_at: Instant::now(),
            chosen: 0,
            mine: false,
            view: View::List,
            shown: None,
            said: None,
            away: None,
            busy: false,
        };
        model.reviews = sorted(reviews);
        model
    }

    /// What the list shows: what awaits the person first, then the oldest.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Value> {
        self.reviews.iter().filter(|review| !self.mine || awaits(review))
    }

    /// How many there are, and how many of them await the person.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.reviews.len(), self.reviews.iter().filter(|review| awaits(review)).count())
    }

    /// The row that is chosen.
    pub(super) fn chosen(&self) -> Option<usize> {
        self.rows().count().checked_sub(1).map(|last| self.chosen.min(last))
    }

    /// Takes a fresh list. Returns what is new and awaits the person, in words; and looks again at the card on the screen if
    /// it is open no more.
    pub(super) fn refresh(&mut self, reviews: Vec<Value>) -> (Vec<String>, Option<Effect>) {
        let before: BTreeSet<String> = self.reviews.iter().map(|review| text(review, "id")).collect();
        let at = self.chosen().and_then(|row| self.rows().nth(row)).map(|review| text(review, "id"));
        (self.reviews, self.read_at, self.away) = (sorted(reviews), Instant::now(), None);
        if let Some(row) = at.and_then(|id| self.rows().position(|review| text(review, "id") == id)) {
            self.chosen = row;
        }
        let fresh = self.reviews.iter().filter(|review| awaits(review) && !before.contains(&text(review, "id")));
        let fresh = fresh.map(|review| format!("{} awaits your review on {}", asker(review), text(review, "target")));
        let fresh = fresh.collect();
        (fresh, self.renew_card())
    }

    fn renew_card(&mut self) -> Option<Effect> {
        let shown = self.shown.as_mut().filter(|shown| shown.review["state"] == "open")?;
        let id = text(&shown.review, "id");
        match self.reviews.iter().find(|review| text(review, "id") == id) {
            Some(review) => {
                if review["card_digest"] != shown.review["card_digest"] {
                    *shown = Shown::of(review); // another card has to be read anew
                }
                shown.review = review.clone();
                None
            }
            None => Some(Effect::Look(id)),
        }
    }

    pub(super) fn away(&mut self, why: String) {
        self.away = Some(why);
    }

    /// What the gateway answered to a vote, or to looking again.
    pub(super) fn answered(&mut self, answer: anyhow::Result<Value>) {
        self.busy = false;
        match answer {
            Ok(review) => {
                let (id, state) = (text(&review, "id"), text(&review, "state"));
                let words = match state.as_str() {
                    "open" => "your vote counts; more people are needed".to_owned(),
                    state => format!("{state}: {} on {}", asker(&review), text(&review, "target")),
                };
                self.said = Some(Said { good: matches!(state.as_str(), "approved" | "open"), words });
                if let Some(shown) = self.shown.as_mut().filter(|shown| text(&shown.review, "id") == id) {
                    let you = shown.review["you"].clone();
                    shown.review = review;
                    if shown.review["state"] == "open" && shown.review["you"].is_null() {
                        shown.review["you"] = you;
                    }
                    shown.vote = None;
                }
            }
            Err(error) => self.said = Some(Said { good: false, words: format!("{error:#}") }),
        }
    }

    /// How the card was drawn: its lines, and how many of them fit.
    pub(super) fn drawn(&mut self, lines: usize, height: usize) {
        if let Some(shown) = &mut self.shown {
            (shown.lines, shown.height) = (lines, height);
            shown.scroll = shown.scroll.min(lines.saturating_sub(height));
            shown.seen_to_end |= height > 0 && shown.scroll + height >= lines;
        }
    }

    /// A key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Effect> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Effect::Quit);
        }
        match self.view {
            View::Help => self.view = View::List,
            View::List => return self.key_in_list(key.code),
            View::Card if self.shown.as_ref().is_some_and(|shown| shown.vote.is_some()) => {
                return self.key_in_reason(key.code);
            }
            View::Card => self.key_in_card(key.code),
        }
        None
    }

    fn key_in_list(&mut self, key: KeyCode) -> Option<Effect> {
        let (last, at) = (self.rows().count().saturating_sub(1), self.chosen().unwrap_or(0));
        self.said = None;
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Effect::Quit),
            KeyCode::Char('?') => self.view = View::Help,
            KeyCode::Char('m') | KeyCode::Tab => (self.mine, self.chosen) = (!self.mine, 0),
            KeyCode::Down | KeyCode::Char('j') => self.chosen = (at + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.chosen = at.saturating_sub(1),
            KeyCode::Home | KeyCode::Char('g') => self.chosen = 0,
            KeyCode::End | KeyCode::Char('G') => self.chosen = last,
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => {
                let shown = self.rows().nth(at).map(Shown::of);
                (self.shown, self.view) = if shown.is_some() { (shown, View::Card) } else { (None, View::List) };
            }
            _ => {}
        }
        None
    }

    fn key_in_card(&mut self, key: KeyCode) {
        let Some(shown) = &mut self.shown else {
            self.view = View::List;
            return;
        };
        let page = shown.height.saturating_sub(1).max(1);
        match key {
            KeyCode::Esc | KeyCode::Left | KeyCode::Char('q' | 'h') => {
                (self.view, self.shown, self.said) = (View::List, None, None);
            }
            KeyCode::Char('?') => (self.view, self.shown) = (View::Help, None),
            KeyCode::Down | KeyCode::Char('j') => shown.scroll_by(true, 1),
            KeyCode::Up | KeyCode::Char('k') => shown.scroll_by(false, 1),
            KeyCode::PageDown | KeyCode::Char(' ') => shown.scroll_by(true, page),
            KeyCode::PageUp => shown.scroll_by(false, page),
            KeyCode::Home | KeyCode::Char('g') => shown.scroll = 0,
            KeyCode::Char('a') => self.begin(Verdict::Approve),
            KeyCode::Char('r') => self.begin(Verdict::Reject),
            _ => {}
        }
    }

    /// Begins to write a vote, or says why none would count.
    fn begin(&mut self, verdict: Verdict) {
        let Some(shown) = &mut self.shown else { return };
        let why_not = if self.busy {
            Some("your vote is on its way".to_owned())
        } else if shown.review["state"] != "open" {
            Some(format!("it is {} already", text(&shown.review, "state")))
        } else if shown.review["you"]["may_decide"] != true {
            Some(text(&shown.review["you"], "why"))
        } else if verdict == Verdict::Approve && shown.review["passkey_required"] == true {
            Some(format!("an approval must be signed by a passkey: open {}", text(&shown.review, "url")))
        } else if verdict == Verdict::Approve && !shown.seen_to_end {
            Some(format!("read it to its end first: {} lines are below", shown.below()))
        } else {
            None
        };
        self.said = why_not.map(|words| Said { good: false, words });
        if self.said.is_none() {
            shown.vote = Some((verdict, String::new()));
        }
    }

    fn key_in_reason(&mut self, key: KeyCode) -> Option<Effect> {
        let shown = self.shown.as_mut()?;
        let (verdict, reason) = shown.vote.as_mut()?;
        match key {
            KeyCode::Esc => (shown.vote, self.said) = (None, None),
            KeyCode::Backspace => {
                reason.pop();
            }
            KeyCode::Char(c) if reason.len() + c.len_utf8() <= REASON_BYTES_MAX => reason.push(c),
            KeyCode::Enter => {
                let needed = *verdict == Verdict::Reject || shown.review["reason_required"] == true;
                if needed && reason.trim().is_empty() {
                    self.said = Some(Said { good: false, words: "write why, then press Enter".to_owned() });
                    return None;
                }
                let vote = Vote { review: shown.review.clone(), verdict: *verdict, reason: std::mem::take(reason) };
                (shown.vote, self.busy, self.said) = (None, true, None);
                return Some(Effect::Vote(vote));
            }
            _ => {}
        }
        None
    }
}

/// Whether the person's vote would count.
pub(super) fn awaits(review: &Value) -> bool {
    review["you"]["may_decide"] == true
}

/// Who asks, and for whom.
pub(super) fn asker(review: &Value) -> String {
    let (name, person) = (text(&review["requester"], "name"), text(review, "on_behalf_of"));
    if name == person { name } else { format!("{name} for {person}") }
}

fn sorted(mut reviews: Vec<Value>) -> Vec<Value> {
    reviews.sort_by_key(|review| !awaits(review)); // stable: the oldest first
    reviews
}
