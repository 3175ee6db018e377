//! A review as an Adaptive Card (schema 1.5, Universal Actions).
//!
//! Text that did not come from the gateway stands in runs of a `RichTextBlock`, which know no markup, one block a line, as
//! breaks and repeated spaces would be lost in them; what cannot be seen is named. A card stays well below what Teams takes,
//! with the count of what is missing.

use countersign_core::action::ReviewId;
use countersign_core::card::unseen::visible_line;
use countersign_core::review::{Outcome, Verdict};
use serde_json::{Value, json};

use super::super::{Excerpt, Notice, Room, cut, open_words};

/// The longest card, in UTF-16 code units: 40 KB, of which Teams takes 100 KB with all that it adds (*Format your bot messages*).
pub(super) const UNITS_MAX: usize = 20 * 1024;
/// How much is shown: as much of the first as fits, and the last fits always.
const ROOMS: [Room; 2] =
    [Room { statement: 2_500, part: 800, lines: 40 }, Room { statement: 400, part: 200, lines: 8 }];
/// The longest headline, in characters.
const HEADLINE_CHARS_MAX: usize = 150;
/// Of the requester's own words, of a voter's, and of each line that says what is asked.
const REASON_CHARS_MAX: usize = 400;
const LINE_CHARS_MAX: usize = 250;
/// Lines that say what policy asks and what was measured.
const LINES_MAX: usize = 12;
/// Votes that are told one by one.
const VOTES_MAX: usize = 10;
/// Of what a notification shows before the card is opened.
const SUMMARY_CHARS_MAX: usize = 200;

/// For whom a card is.
#[derive(Debug, Clone, Copy)]
pub(super) enum View<'a> {
    /// For all who read the conversation.
    Shared,
    /// For somebody of the requester's side, who decides nothing of it.
    Side,
    /// For somebody whose click came to nothing, and why.
    Refused(&'a str),
}

/// The whole card.
pub(super) fn of(notice: &Notice, view: View<'_>) -> Value {
    let [whole, short] = ROOMS.map(|room| within(notice, view, room));
    if whole.to_string().encode_utf16().count() <= UNITS_MAX { whole } else { short }
}

fn within(notice: &Notice, view: View<'_>, room: Room) -> Value {
    let excerpt = Excerpt::of(notice, room);
    let mut body = Vec::new();
    body.extend(refusal(view));
    body.push(block(&[run(
        &cut(&notice.headline(), HEADLINE_CHARS_MAX).0,
        json!({"size": "Large", "weight": "Bolder"}),
    )]));
    body.push(facts(notice));
    body.push(json!({"type": "Container", "style": "emphasis", "items": statement(&excerpt)}));
    body.extend(reason(notice));
    body.extend(asking(notice));
    body.extend(votes(notice));
    card(&body, &actions(notice, view, excerpt.decides(notice)))
}

fn card(body: &[Value], actions: &[Value]) -> Value {
    json!({"type": "AdaptiveCard", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "version": "1.5",
        "body": body, "actions": actions, "msteams": {"width": "Full"}})
}

/// What a notification says.
pub(super) fn summary(notice: &Notice) -> String {
    cut(&format!("{}: {}", notice.standing(), notice.headline()), SUMMARY_CHARS_MAX).0
}

/// Of a burst: how many more of its kind wait, and where they are.
pub(super) fn burst(notice: &Notice, waiting: usize) -> (String, Value) {
    let asks = notice.asks();
    let text = match waiting {
        0 => format!("None of the further requests waits any more: {asks}"),
        1 => format!("1 more like these waits: {asks}"),
        _ => format!("{waiting} more like these wait: {asks}"),
    };
    let actions = if waiting > 0 { vec![link("Show them all", &notice.burst_url)] } else { Vec::new() };
    let card = card(&[line(&cut(&text, LINE_CHARS_MAX).0)], &actions);
    (cut(&text, SUMMARY_CHARS_MAX).0, card)
}

/// Whose cards ask the bot for one of their own as soon as they are shown.
pub(super) fn refresh(review: &Value, people: &[String]) -> Value {
    json!({"action": {"type": "Action.Execute", "title": "Refresh", "verb": "refresh", "data": {"review": review}},
        "userIds": people})
}

/// Which review and card a click is about: both digests of what is shown, so that the vote names them.
fn subject(notice: &Notice) -> String {
    format!("{} {} {}", notice.review, notice.card.action_digest, notice.card_digest)
}

/// The review that a subject is about.
pub(super) fn review_of(subject: &str) -> Option<ReviewId> {
    subject.split(' ').next().filter(|id| !id.is_empty()).map(ReviewId::new)
}

fn refusal(view: View<'_>) -> Option<Value> {
    let words = match view {
        View::Shared => return None,
        View::Side => "You stand on the side of who asks: others decide this.",
        View::Refused(why) => why,
    };
    let (text, _) = cut(&visible_line(words), REASON_CHARS_MAX);
    Some(json!({"type": "Container", "style": "attention", "items": [line(&text)]}))
}

fn facts(notice: &Notice) -> Value {
    let card = &notice.card;
    let mut runs = vec![run(&card.environment, json!({"weight": "Bolder"}))];
    let rest = [visible_line(&card.target), card.action.clone(), format!("for {}", visible_line(&card.on_behalf_of))];
    runs.push(run(&cut(&format!("  ·  {}", rest.join("  ·  ")), LINE_CHARS_MAX).0, json!({})));
    if card.in_transaction {
        runs.push(run("  ·  a transaction is open", json!({"weight": "Bolder"})));
    }
    block(&runs)
}

/// The statement as it is, its parameters, the settings that it would run under, and how much of it is not shown.
fn statement(excerpt: &Excerpt) -> Vec<Value> {
    let mut items = Vec::new();
    for (title, text) in &excerpt.parts {
        if !title.is_empty() {
            items.push(block(&[run(title, json!({"weight": "Bolder"}))]));
        }
        items.extend(text.split('\n').map(code));
    }
    items.extend(excerpt.notes.iter().map(|note| block(&[run(note, json!({"weight": "Bolder"}))])));
    items
}

/// The requester's own words, marked as such.
fn reason(notice: &Notice) -> Option<Value> {
    let reason = notice.card.reason.as_deref()?;
    let (text, missing) = cut(&visible_line(reason), REASON_CHARS_MAX);
    let mut note = "In the requester’s own words, which nobody has checked:".to_owned();
    if missing > 0 {
        note = format!("{note} ({missing} characters more in the console)");
    }
    let words = block(&[run(&text, json!({"italic": true}))]);
    Some(json!({"type": "Container", "items": [line(&note), words]}))
}

/// What policy asks, what was measured, where it stands.
fn asking(notice: &Notice) -> Vec<Value> {
    let policies = notice.card.policies.iter().map(|note| note.text.clone());
    let lines = policies.chain(notice.card.impact.words());
    let lines: Vec<String> = lines.map(|line| format!("• {}", visible_line(&line))).collect();
    let mut blocks: Vec<Value> = lines.iter().take(LINES_MAX).map(|text| line(&cut(text, LINE_CHARS_MAX).0)).collect();
    if lines.len() > LINES_MAX {
        blocks.push(line(&format!("• {} lines more in the console", lines.len() - LINES_MAX)));
    }
    if !notice.escalated.is_empty() {
        let text = format!("Escalated to {}, because nobody had decided.", visible_line(&notice.escalated.join(", ")));
        blocks.push(block(&[run(&cut(&text, LINE_CHARS_MAX).0, json!({"weight": "Bolder"}))]));
    }
    let color = match notice.outcome {
        None => "Accent",
        Some(Outcome::Approved) => "Good",
        Some(Outcome::Rejected | Outcome::GlassBroken) => "Attention",
        Some(Outcome::Expired | Outcome::Withdrawn) => "Default",
    };
    let standing = cut(&notice.standing(), LINE_CHARS_MAX).0;
    blocks.push(block(&[run(&standing, json!({"weight": "Bolder", "color": color}))]));
    if notice.outcome.is_none() {
        blocks.push(until(notice));
    }
    blocks
}

/// A time in the reader's own zone: the one text that the service is to expand, and nothing in it is anybody's.
fn until(notice: &Notice) -> Value {
    let second = notice.expires_at.micros().div_euclid(1_000_000);
    let at = countersign_core::action::Timestamp::from_seconds(second).to_string();
    let at = format!("{}Z", at.split(['.', 'Z']).next().unwrap_or_default());
    json!({"type": "TextBlock", "isSubtle": true, "wrap": true, "spacing": "None",
        "text": format!("until {{{{DATE({at}, SHORT)}}}} {{{{TIME({at})}}}}")})
}

fn votes(notice: &Notice) -> Vec<Value> {
    let told = notice.votes.iter().take(VOTES_MAX).map(|said| {
        let word = if said.verdict == Verdict::Approve { "approved" } else { "rejected" };
        let why = said.reason.as_deref().map_or_else(String::new, |why| format!(": “{}”", visible_line(why)));
        line(&cut(&format!("{} {word}{why}", visible_line(&said.name)), REASON_CHARS_MAX).0)
    });
    told.collect()
}

/// What a click here could not decide is not offered.
fn actions(notice: &Notice, view: View<'_>, decides: bool) -> Vec<Value> {
    if notice.outcome.is_some() {
        return vec![link("Open", &notice.url)];
    }
    match view {
        View::Side => return vec![link("Open", &notice.url)],
        View::Shared | View::Refused(_) if !decides => return vec![link(open_words(notice, false), &notice.url)],
        View::Shared | View::Refused(_) => {}
    }
    let approve = if notice.needs_reason { asked(notice, &APPROVE) } else { execute(notice, &APPROVE) };
    vec![approve, asked(notice, &REJECT), link(open_words(notice, true), &notice.url)]
}

/// A button that decides.
struct Button {
    verb: &'static str,
    /// What the field of its form is called: no two of a card may be called alike.
    field: &'static str,
    title: &'static str,
    style: &'static str,
    /// What is asked for with it.
    asks: &'static str,
    required: bool,
}

const APPROVE: Button = Button {
    verb: "approve",
    field: "why",
    title: "Approve",
    style: "positive",
    asks: "Why this may run",
    required: true,
};
const REJECT: Button = Button {
    verb: "reject",
    field: "reason",
    title: "Reject",
    style: "destructive",
    asks: "Why not (optional)",
    required: false,
};

fn execute(notice: &Notice, button: &Button) -> Value {
    json!({"type": "Action.Execute", "verb": button.verb, "title": button.title, "style": button.style,
        "data": {"review": subject(notice)}})
}

/// A form that asks why before it decides.
fn asked(notice: &Notice, button: &Button) -> Value {
    let mut input = json!({"type": "Input.Text", "id": button.field, "label": button.asks, "isMultiline": true,
        "maxLength": 2_000, "isRequired": button.required});
    if button.required {
        input["errorMessage"] = json!("The policy asks for a reason; it is kept with your vote.");
    }
    json!({"type": "Action.ShowCard", "title": format!("{}…", button.title), "card": {
        "type": "AdaptiveCard", "version": "1.5", "body": [input], "actions": [execute(notice, button)]}})
}

fn link(title: &str, url: &str) -> Value {
    json!({"type": "Action.OpenUrl", "title": title, "url": url})
}

fn line(text: &str) -> Value {
    block(&[run(text, json!({}))])
}

/// A line of code: spaces that would be folded are made to stay. One that the requester wrote is named by now.
fn code(text: &str) -> Value {
    let text = text.replace('\t', "    ");
    let mut kept = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        kept.push(if c == ' ' && matches!(before, ' ' | '\u{a0}') { '\u{a0}' } else { c });
        before = c;
    }
    let kept = if kept.is_empty() { "\u{a0}".to_owned() } else { kept };
    block(&[run(&kept, json!({"fontType": "Monospace"}))])
}

fn block(runs: &[Value]) -> Value {
    let inlines: Vec<&Value> = runs.iter().flat_map(|run| run.as_array().into_iter().flatten()).collect();
    json!({"type": "RichTextBlock", "spacing": "None", "inlines": inlines})
}

/// Text without markup. Braces are kept apart, as `{{DATE(…)}}` would be expanded even here.
fn run(text: &str, style: Value) -> Value {
    let mut pieces = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        if c == '{' && before == '{' {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
        before = c;
    }
    let runs = pieces.into_iter().map(|piece| {
        let mut run = style.clone();
        run["type"] = json!("TextRun");
        run["text"] = json!(piece);
        run
    });
    Value::Array(runs.collect())
}
