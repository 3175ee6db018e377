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
/// Of the requester's own words, and of a voter's.
const REASON_CHARS_MAX: usize = 600;
/// Of each line that says what is asked, or what it is about.
const LINE_CHARS_MAX: usize = 300;
/// Of all that is said of where it stands: that fits always.
const STANDING_CHARS_MAX: usize = 900;
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
    blocks.push(match notice.outcome {
        None => buttons(notice, excerpt.decides(notice)),
        Some(_) => context(&format!("<{}|Open>", notice.url)),
    });
    let text = format!("{}: {headline}", notice.standing());
    json!({"text": escaped_within(&text, TEXT_CHARS_MAX), "blocks": blocks})
}

/// Of a burst: how many more of its kind wait, and where they are.
pub(super) fn burst(notice: &Notice, waiting: usize) -> Value {
    let asks = notice.asks();
    let text = match waiting {
        0 => format!("None of the further requests waits any more: {asks}"),
        1 => format!("1 more like these waits: {asks}"),
        _ => format!("{waiting} more like these wait: {asks}"),
    };
    let text = escaped_within(&text, TEXT_CHARS_MAX);
    let mut blocks = vec![section(&format!(":card_index_dividers: {text}"))];
    if waiting > 0 {
        let open = json!({"type": "button", "action_id": "open", "url": notice.burst_url,
            "text": {"type": "plain_text", "text": "Show them all"}});
        blocks.push(json!({"type": "actions", "block_id": "decide", "elements": [open]}));
    }
    json!({"text": text, "blocks": blocks})
}

/// What happened, beneath the message.
pub(super) fn reply(happening: &Happening) -> Value {
    let until = happening.until.map(|at| format!(", until {}", date(at.micros() / 1_000_000, &at.to_string())));
    let text = format!("{}{}", escaped_within(&happening.text, TEXT_CHARS_MAX), until.unwrap_or_default());
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
        escaped_within(&visible_line(&card.target), LINE_CHARS_MAX),
        escaped(&card.action),
        format!("for {}", escaped_within(&visible_line(&card.on_behalf_of), LINE_CHARS_MAX)),
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

/// What policy asks and what was measured, as far as it fits, and where it stands.
fn asking(notice: &Notice) -> String {
    let standing = standing(notice);
    let policies = notice.card.policies.iter().map(|note| note.text.clone());
    let all: Vec<String> = policies.chain(notice.card.impact.words()).collect();
    let (mut lines, mut room) = (Vec::new(), TEXT_CHARS_MAX.saturating_sub(standing.chars().count() + LINE_CHARS_MAX));
    for text in &all {
        let line = format!("• {}", escaped_within(&visible_line(text), LINE_CHARS_MAX));
        let Some(left) = room.checked_sub(line.chars().count() + 1) else { break };
        room = left;
        lines.push(line);
    }
    if lines.len() < all.len() {
        lines.push(format!("• {} lines more in the console", all.len() - lines.len()));
    }
    lines.push(standing);
    lines.join("\n")
}

fn standing(notice: &Notice) -> String {
    let mut lines = Vec::new();
    if !notice.escalated.is_empty() {
        let groups = escaped_within(&visible_line(&notice.escalated.join(", ")), STANDING_CHARS_MAX);
        lines.push(format!("*Escalated to {groups}*, because nobody had decided."));
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
    lines.push(format!("{mark} *{}*{until}", escaped_within(&notice.standing(), STANDING_CHARS_MAX)));
    lines.join("\n")
}

/// Who said what, as far as it fits: the rest is counted.
fn votes(notice: &Notice) -> Option<Value> {
    let told = notice.votes.len().min(VOTES_MAX);
    let room = (TEXT_CHARS_MAX / (told + 1)).min(REASON_CHARS_MAX);
    let mut lines: Vec<String> = notice
        .votes
        .iter()
        .take(told)
        .map(|said| {
            let word = if said.verdict == Verdict::Approve { "approved" } else { "rejected" };
            let why = said.reason.as_deref().map_or_else(String::new, |why| format!(": “{}”", visible_line(why)));
            escaped_within(&format!("{} {word}{why}", visible_line(&said.name)), room)
        })
        .collect();
    if told < notice.votes.len() {
        lines.push(format!("{} more in the console", notice.votes.len() - told));
    }
    (!lines.is_empty()).then(|| context(&lines.join("\n")))
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

/// The same, as far as it fits once it is escaped: it ends before the character that does not, and says so.
pub(super) fn escaped_within(text: &str, chars: usize) -> String {
    let whole = escaped(text);
    if whole.chars().count() <= chars {
        return whole;
    }
    let (mut out, mut room) = (String::new(), chars.saturating_sub(1));
    for c in text.chars() {
        let piece = escaped(c.encode_utf8(&mut [0; 4]));
        let Some(left) = room.checked_sub(piece.chars().count()) else { break };
        room = left;
        out.push_str(&piece);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_fits_and_is_never_cut_within() {
        let check = |text: &str, chars: usize, expected: &str| assert_eq!(escaped_within(text, chars), expected);
        check("a<b", 6, "a&lt;b");
        check("a<b", 5, "a…");
        check("a<b&c", 7, "a&lt;b…");
        check("<<<", 4, "…");
        check("", 1, "");
        for chars in 1..60 {
            let text = escaped_within(&"&<*".repeat(20), chars);
            assert!(text.chars().count() <= chars, "{text}");
            assert!(!text.trim_end_matches('…').ends_with(['&', 'a', 'm', 'p', 'l', 't']), "{text}");
        }
    }
}
