//! What of a card fits into a message, for every channel that shows one.
//!
//! Nothing is escaped here: that is the channel's, which knows its markup. What cannot be seen is named, and what does not
//! fit is counted. On what nobody has seen whole, nobody is offered to decide by a click.

use countersign_core::action::redact::Shown;
use countersign_core::card::unseen::visible;

use super::Notice;

/// How much of a statement a channel has room for, in characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// For its text.
    pub(super) statement: usize,
    /// For its parameters, and for the settings that it would run under.
    pub(super) part: usize,
    /// For each of these, in lines.
    pub(super) lines: usize,
}

/// What would run, as far as it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The statement, which has no title, its parameters, and the settings that it would run under.
    pub(super) parts: Vec<(&'static str, String)>,
    /// What is to be said of them, first of all how much is not shown.
    pub(super) notes: Vec<String>,
    /// Whether that is all of it.
    whole: bool,
}

impl Excerpt {
    /// What fits of the card that a notice tells of.
    pub(super) fn of(notice: &Notice, room: Room) -> Self {
        let statement = &notice.card.statement;
        let parameters = statement.parameters.iter().enumerate().map(|(at, value)| {
            let value = value.as_deref().map_or_else(|| "NULL".to_owned(), visible);
            format!("${} = {value}", at + 1)
        });
        let settings =
            notice.card.settings.iter().map(|(name, value)| format!("{} = {}", visible(name), visible(value)));
        let parts = [
            ("", visible(&statement.text), room.statement),
            ("Parameters", parameters.collect::<Vec<_>>().join("\n"), room.part),
            ("Session settings that differ", settings.collect::<Vec<_>>().join("\n"), room.part),
        ];
        let (mut shown, mut missing) = (Vec::new(), statement.cut_bytes);
        for (title, text, max) in parts.into_iter().filter(|(title, text, _)| title.is_empty() || !text.is_empty()) {
            let (text, left_out) = cut(&text, max.min(length(&text, room.lines)));
            missing += left_out;
            shown.push((title, text));
        }
        let whole = missing == 0 && statement.stream.is_none() && !is_imitated(statement);
        Self { parts: shown, notes: notes(statement, missing), whole }
    }

    /// Whether a click on a message with it could decide: policy takes one, and what is voted on is shown whole.
    pub(super) fn decides(&self, notice: &Notice) -> bool {
        self.whole && notice.clicks_decide && notice.is_whole()
    }
}

fn notes(statement: &Shown, missing: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if missing > 0 {
        notes.push(format!("{missing} characters are not shown here: open it."));
    }
    if is_imitated(statement) {
        notes.push("Placeholders are imitated: open it.".to_owned());
    } else if statement.redacted > 0 {
        notes.push(format!("{} hidden values: equal marks stand for equal values.", statement.redacted));
        if statement.decisive().next().is_some() {
            notes.push("Some of them decide what it does: open it to look at them before you approve.".to_owned());
        }
    }
    if statement.stream.is_some() {
        notes.push("Data comes with it: open it to see the first rows.".to_owned());
    }
    notes
}

/// Whether some marks were written by the requester: it is known, or more stand there than values were hidden.
fn is_imitated(statement: &Shown) -> bool {
    let texts = std::iter::once(&statement.text).chain(statement.parameters.iter().flatten());
    statement.imitated || texts.map(|text| text.matches('‹').count()).sum::<usize>() > statement.redacted
}

/// What the link to the console says, beside buttons that decide or in their place.
pub(super) fn open_words(notice: &Notice, decides: bool) -> &'static str {
    match (notice.needs_passkey, decides) {
        (true, _) => "Open and sign",
        (false, false) => "Open and decide",
        (false, true) => "Open",
    }
}

/// How many characters so many lines have.
fn length(text: &str, lines: usize) -> usize {
    let mut breaks = text.chars().enumerate().filter(|(_, c)| *c == '\n').map(|(at, _)| at);
    breaks.nth(lines.saturating_sub(1)).unwrap_or(usize::MAX)
}

/// The first characters of a text, and how many are missing.
pub(super) fn cut(text: &str, chars: usize) -> (String, usize) {
    let count = text.chars().count();
    if count <= chars {
        return (text.to_owned(), 0);
    }
    let kept: String = text.chars().take(chars.saturating_sub(1)).chain(['…']).collect();
    (kept, count - chars.saturating_sub(1))
}
