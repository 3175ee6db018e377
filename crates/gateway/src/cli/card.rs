//! The card of a review on a terminal: what `review show` prints and `review watch` lets people decide on.

use serde_json::Value;

use super::disclose;
use super::output::{self, Paint};
use super::review::{state_painted, text};

/// A line or more of a card, under its name.
#[derive(Debug)]
pub(super) struct Field {
    /// Empty where it goes on with the field before.
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// Prints all of it.
pub(super) fn print(review: &Value) {
    for Field { name, value } in fields(review) {
        let value = if name == "state" { state_painted(&value) } else { value.replace('\n', &format!("\n{:<15}", "")) };
        output::line(&format!("{} {value}", output::painted(Paint::Strong, &format!("{name:<14}"))));
    }
}

/// All that it shows, safe for a terminal; what it does not have is left out.
pub(super) fn fields(review: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut field = |name: &'static str, value: String| {
        if !value.is_empty() {
            fields.push(Field { name, value });
        }
    };
    let requester = &review["requester"];
    field("review", text(review, "id"));
    field("state", text(review, "state"));
    field(
        "requester",
        format!("{} {} (owner {})", text(requester, "kind"), text(requester, "name"), text(requester, "owner")),
    );
    field("on behalf of", text(review, "on_behalf_of"));
    let job = requester["job"].as_object().into_iter().flatten();
    let job: Vec<String> = job.map(|(name, value)| format!("{} {}", output::safe(name), plain(value))).collect();
    field("job", job.join(", "));
    field("target", format!("{} ({})", text(review, "target"), text(review, "environment")));
    field("action", text(review, "action"));
    field("statement", text(review, "statement"));
    if let Some(cut) = review["statement_cut_bytes"].as_u64().filter(|cut| *cut > 0) {
        field("not shown", format!("{cut} bytes at the statement's end"));
    }
    field("parameters", parameters(&review["statement_parameters"]));
    if review["statement_stream"].is_object() {
        field("data", stream(&review["statement_stream"]));
    }
    let changes: Vec<String> = review["replaces"].as_array().into_iter().flatten().map(plain).collect();
    field("changes", changes.join("\n"));
    if review["placeholders_imitated"] == true {
        field("beware", "not every ‹…› hides something: the requester wrote some of them".to_owned());
    }
    for hidden in review["hidden"].as_array().into_iter().flatten() {
        field("hidden", disclose::words(hidden));
    }
    field("verb", plain(&review["resource"]["verbs"]));
    field("object", plain(&review["resource"]["objects"]));
    field("reads", plain(&review["resource"]["tables"]["read"]));
    field("writes", plain(&review["resource"]["tables"]["write"]));
    for (name, value) in review["settings"].as_object().into_iter().flatten() {
        field("setting", format!("{} = {}", output::safe(name), plain(value)));
    }
    let reason = text(review, "reason");
    if !reason.is_empty() {
        field("reason", format!("“{reason}” (the requester's own words, unchecked)"));
    }
    for line in review["impact"]["words"].as_array().into_iter().flatten() {
        field("impact", plain(line));
    }
    for policy in review["policies"].as_array().into_iter().flatten() {
        field("asked by", format!("{}: {}", text(policy, "id"), text(policy, "text")));
    }
    field("suffices", suffices(review));
    let pattern = &review["pattern"];
    if pattern.is_object() {
        field("as a pattern", text(pattern, "text"));
        field("", format!("at most {} uses within {} seconds", pattern["uses_max"], pattern["seconds_max"]));
        for value in pattern["values"].as_array().into_iter().flatten() {
            let may = match (value["range"] == true, value["any"] == true) {
                (true, _) => "may be a range",
                (false, true) => "may be any",
                (false, false) => "stays the same",
            };
            field("", format!("{}: {}, {may}", value["number"], text(value, "value")));
        }
    }
    field("no pattern", text(review, "no_pattern"));
    for vote in review["votes"].as_array().into_iter().flatten() {
        let reason = text(vote, "reason");
        let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
        field(
            "vote",
            format!(
                "{} {} by {} at {}{reason}",
                text(vote, "person"),
                text(vote, "verdict"),
                text(vote, "method"),
                text(vote, "at")
            ),
        );
    }
    let broken = &review["glass_broken"];
    if broken.is_object() {
        let by = format!("{} by {} at {}", text(broken, "person"), text(broken, "method"), text(broken, "at"));
        field("glass broken", format!("{by}: {}", text(broken, "reason")));
    }
    for escalation in review["escalations"].as_array().into_iter().flatten() {
        field("escalated", format!("to {} at {}", text(escalation, "group"), text(escalation, "at")));
    }
    let next = &review["next_escalation"];
    if next.is_object() {
        field("escalates", format!("to {} at {}", text(next, "group"), text(next, "at")));
    }
    field("reminded", text(review, "reminded_at"));
    field("opened", text(review, "opened_at"));
    field("expires", text(review, "expires_at"));
    field("action digest", text(review, "action_digest"));
    field("card digest", text(review, "card_digest"));
    fields
}

/// Bind parameters by number.
fn parameters(values: &Value) -> String {
    let each = values.as_array().into_iter().flatten().zip(1..);
    let each = each.map(|(value, number)| match value {
        Value::Null => format!("${number} NULL"),
        value => format!("${number} = {}", plain(value)),
    });
    each.collect::<Vec<_>>().join("\n")
}

/// A value in words; nothing for what is absent.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => output::safe(text),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// What would suffice, in words.
pub(super) fn suffices(review: &Value) -> String {
    let sets = review["suffices"].as_array().into_iter().flatten();
    let sets: Vec<String> = sets
        .map(|set| {
            let quorums = set.as_array().into_iter().flatten().filter_map(Value::as_str);
            quorums.map(output::safe).collect::<Vec<_>>().join(" and ")
        })
        .collect();
    sets.join(", or ")
}

/// Data that comes with a statement: its size and hash, then its first rows.
fn stream(stream: &Value) -> String {
    let rows = stream["rows"].as_u64().map_or_else(|| "rows not counted".to_owned(), |rows| format!("{rows} rows"));
    let mut said = format!("{} bytes, {rows}, SHA-256 {}", stream["bytes"], text(stream, "sha256"));
    for row in stream["sample"].as_str().unwrap_or_default().lines() {
        said.push_str(&format!("\n{}", output::safe(row)));
    }
    if stream["cut_bytes"].as_u64().is_some_and(|cut| cut > 0) {
        said.push_str(&format!("\n({} bytes are not shown)", stream["cut_bytes"]));
    }
    said
}
