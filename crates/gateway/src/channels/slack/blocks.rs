//! A review in Slack's blocks.
//!
//! Text that did not come from the gateway stands in `rich_text` or `plain_text`, which knows no markup, or is escaped; what
//! cannot be seen is named. A long statement is cut where Slack's limits are, with the count of what is missing.

use countersign_core::card::unseen::{visible, visible_line};
use countersign_core::review::{Outcome, Verdict};
use serde_json::{Value, json};

use super::super::{Excerpt, Happening, Notice, Room, cut, open_words};

/// The longest header (Block Kit: 150 characters).
const HEADER_CHARS_MAX: usize = 150;
/// The longest text of a section (Block Kit: 3,000 characters), with room for what is escaped.
const TEXT_CHARS_MAX: usize = 2_800;
/// Of a statement; the rest is in the console.
const ROOM: Room = Room { statement: 2_500, part: 800, lines: usize::MAX };
/// Of the requester's own words.
const REASON_CHARS_MAX: usize = 600;
/// Votes that are told one by one.
const VOTES_MAX: usize = 10;

/// The whole message.
pub(super) fn message(notice: &Notice) -> Value {
    let headline = notice.headline();
    let excerpt = Excerpt::of(notice, ROOM);
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": cut(&headline, HEADER_CHARS_MAX).0}}),
        context(&facts(notice)),
        shown(&excerpt),
    ];
    blocks.extend(reason(notice));
    blocks.push(section(&asking(notice)));
    blocks.extend(votes(notice));
    if notice.outcome.is_none() {
        blocks.push(buttons(notice, excerpt.decides(notice)));
    }
    let text = format!("{}: {headline}", notice.standing());
    json!({"text": escaped(&cut(&text, TEXT_CHARS_MAX).0), "blocks": blocks, "unfurl_links": false})
}

/// Of a burst: how many more of its kind wait, and where they are.
pub(super) fn burst(notice: &Notice, waiting: usize) -> Value {
    let asks = notice.asks();
    let text = match waiting {
        0 => format!("None of the further requests waits any more: {asks}"),
        1 => format!("1 more like these waits: {asks}"),
        _ => format!("{waiting} more like these wait: {asks}"),
    };
    let text = escaped(&cut(&text, TEXT_CHARS_MAX / 2).0);
    let mut blocks = vec![section(&format!(":card_index_dividers: {text}"))];
    if waiting > 0 {
        let open = json!({"type": "button", "action_id": "open", "url": notice.burst_url,
            "text": {"type": "plain_text", "text": "Show them all"}});
        blocks.push(json!({"type": "actions", "block_id": "decide", "elements": [open]}));
    }
    json!({"text": text, "blocks": blocks, "unfurl_links": false})
}

/// What happened, beneath the message.
pub(super) fn reply(happening: &Happening) -> Value {
    let until = happening.until.map(|at| format!(", until {}", date(at.micros() / 1_000_000, &at.to_string())));
    let text = format!("{}{}", escaped(&cut(&happening.text, REASON_CHARS_MAX).0), until.unwrap_or_default());
    json!({"text": text, "unfurl_links": false})
}

/// Which review and card a click is about: both digests of what is shown, so that the vote names them.
pub(super) fn subject(notice: &Notice) -> String {
    format!("{} {} {}", notice.review, notice.card.action_digest, notice.card_digest)
}

fn facts(notice: &Notice) -> String {
    let card = &notice.card;
    let mut facts = vec![
        format!("*{}*", card.environment),
        escaped(&visible_line(&card.target)),
        escaped(&card.action),
        format!("for {}", escaped(&visible_line(&card.on_behalf_of))),
    ];
    if card.in_transaction {
        facts.push("*a transaction is open*".to_owned());
    }
    facts.join("  ·  ")
}

/// The statement as it is, its parameters, the settings that it would run under, and how much of it is not shown.
fn shown(excerpt: &Excerpt) -> Value {
    let mut elements = Vec::new();
    for (title, text) in &excerpt.parts {
        if !title.is_empty() {
            elements.push(said(title));
        }
        elements.push(preformatted(text));
    }
    elements.extend(excerpt.notes.iter().map(|note| said(note)));
    json!({"type": "rich_text", "elements": elements})
}

/// The requester's own words, marked as such.
fn reason(notice: &Notice) -> Option<Value> {
    let reason = notice.card.reason.as_deref()?;
    let (text, missing) = cut(&visible(reason), REASON_CHARS_MAX);
    let mut note = "In the requester’s own words, which nobody has checked:".to_owned();
    if missing > 0 {
        note = format!("{note} ({missing} characters more in the console)");
    }
    Some(json!({"type": "rich_text", "elements": [
        said(&note),
        {"type": "rich_text_quote", "elements": [plain(&text)]},
    ]}))
}

/// What policy asks, what was measured, where it stands.
fn asking(notice: &Notice) -> String {
    let mut lines: Vec<String> = Vec::new();
    let policies = notice.card.policies.iter().map(|note| format!("• {}", escaped(&visible_line(&note.text))));
    lines.extend(policies);
    lines.extend(notice.card.impact.words().iter().map(|line| format!("• {}", escaped(&visible_line(line)))));
    if !notice.escalated.is_empty() {
        lines.push(format!("*Escalated to {}*, because nobody had decided.", escaped(&notice.escalated.join(", "))));
    }
    let mark = match notice.outcome {
        None => ":hourglass_flowing_sand:",
        Some(Outcome::Approved) => ":white_check_mark:",
        Some(Outcome::Rejected) => ":no_entry:",
        Some(Outcome::GlassBroken) => ":rotating_light:",
        Some(Outcome::Expired | Outcome::Withdrawn) => ":heavy_minus_sign:",
    };
    let until = match notice.outcome {
        None => format!(", until {}", date(notice.expires_at.micros() / 1_000_000, &notice.expires_at.to_string())),
        Some(_) => String::new(),
    };
    lines.push(format!("{mark} *{}*{until}", escaped(&notice.standing())));
    cut(&lines.join("\n"), TEXT_CHARS_MAX).0
}

fn votes(notice: &Notice) -> Option<Value> {
    let told = notice.votes.iter().take(VOTES_MAX).map(|said| {
        let word = if said.verdict == Verdict::Approve { "approved" } else { "rejected" };
        let why = said.reason.as_deref().map_or_else(String::new, |why| format!(": “{}”", visible_line(why)));
        format!("{} {word}{}", escaped(&visible_line(&said.name)), escaped(&cut(&why, REASON_CHARS_MAX).0))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| context(&told.join("\n")))
}

fn buttons(notice: &Notice, decides: bool) -> Value {
    let open = json!({"type": "button", "action_id": "open", "url": notice.url,
        "text": {"type": "plain_text", "text": open_words(notice, decides)}});
    // what a click here could not decide is not offered; what is not shown whole, or is not the card, is not voted on
    if !decides {
        return json!({"type": "actions", "block_id": "decide", "elements": [open]});
    }
    let value = subject(notice);
    let button = |action: &str, text: &str, style: &str| {
        json!({"type": "button", "action_id": action, "style": style, "value": value,
            "text": {"type": "plain_text", "text": text}})
    };
    let approve = if notice.needs_reason { "Approve…" } else { "Approve" }; // a form asks why
    let elements = [button("approve", approve, "primary"), button("reject", "Reject…", "danger"), open];
    json!({"type": "actions", "block_id": "decide", "elements": elements})
}

/// The form that asks why: what an approval has to say by policy, and a rejection may.
pub(super) fn form(value: &str, verdict: Verdict) -> Value {
    let (id, title, label, hint) = match verdict {
        Verdict::Approve => {
            let hint = "The policy asks for a reason; it is kept with your vote.";
            ("approve", "Approve", "Why this may run", hint)
        }
        Verdict::Reject => {
            ("reject", "Reject", "Why this may not run", "The requester reads it; it is kept with your vote.")
        }
    };
    json!({
        "type": "modal",
        "callback_id": id,
        "private_metadata": value,
        "title": {"type": "plain_text", "text": title},
        "submit": {"type": "plain_text", "text": title},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [{
            "type": "input", "block_id": "why", "optional": verdict == Verdict::Reject,
            "label": {"type": "plain_text", "text": label},
            "hint": {"type": "plain_text", "text": hint},
            "element": {"type": "plain_text_input", "action_id": "reason", "multiline": true, "max_length": 2_000},
        }],
    })
}

pub(super) fn section(markdown: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": markdown}})
}

pub(super) fn context(markdown: &str) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": markdown}]})
}

fn said(text: &str) -> Value {
    json!({"type": "rich_text_section", "elements": [plain(text)]})
}

fn preformatted(text: &str) -> Value {
    let text = if text.is_empty() { " " } else { text }; // Slack refuses empty text
    json!({"type": "rich_text_preformatted", "elements": [plain(text)]})
}

fn plain(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A time in the reader's own zone.
fn date(seconds: i64, otherwise: &str) -> String {
    format!("<!date^{seconds}^{{date_short_pretty}} {{time}}|{otherwise}>")
}

/// Text in markup: the three characters that Slack takes for its own are escaped, and so are those that format.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // no way to escape these: a zero-width space keeps them from pairing
            '*' | '_' | '~' | '`' => out.extend(['\u{200b}', c]),
            _ => out.push(c),
        }
    }
    out
}
