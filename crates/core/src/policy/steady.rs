//! Whether a policy's answer can change by itself, told from its text when it is loaded.
//!
//! What a policy reads of the context is either the same as long as the parties, the approvals and the message are, or it
//! is not: `time`, `impact`, and whatever will be added. In Cedar the context is reached by the variable `context` alone, a
//! word that has no other spelling. So a policy is steady if every `context` in it is followed by `.` or `has`, and that by
//! one of [`STEADY`]. A context that stands anywhere else (compared as a whole, put into a record, read by `["time"]`) makes
//! it unsteady; so does the word where it means something else, which only makes a policy less steady than it is.
//!
//! The scan is flat and linear: a long chain of operators is as deep as a tree as it is long, and no tree is walked here.

use super::bounds::{string, until, word, word_char};

/// What of the context stays the same. Not to be extended by anything that two equal requests may differ in.
const STEADY: [&[u8]; 7] = [b"approvals", b"breakGlass", b"onBehalfOf", b"sql", b"http", b"k8s", b"aws"];

/// Whether a policy reads nothing of the context but what [`STEADY`] names. `text` is the whole policy; a part of one, or
/// what cannot be scanned, is not steady.
pub(super) fn steady(text: &str) -> bool {
    let Some(tokens) = tokens(text.as_bytes()) else { return false };
    let mut after_context = tokens.iter().enumerate().filter(|(_, token)| **token == b"context").map(|(at, _)| at + 1);
    let reads_steady = |at: usize| {
        let reads = matches!(tokens.get(at), Some(&(b"." | b"has")));
        reads && tokens.get(at + 1).is_some_and(|name| STEADY.contains(name))
    };
    tokens.last() == Some(&&b";"[..]) && after_context.all(reads_steady)
}

/// Words, strings and single characters; `None` where a string is not closed.
fn tokens(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let length = match byte {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += until(bytes, at, b'\n');
                continue;
            }
            b'"' => string(bytes, at)?,
            _ if word_char(*byte) => word(bytes, at),
            _ => 1,
        };
        let token = bytes.get(at..at + length)?;
        if !token.trim_ascii().is_empty() {
            tokens.push(token);
        }
        at += length;
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(condition: &str, expected: bool) {
        let text = format!("@id(\"x\") permit (principal, action, resource) when {{ {condition} }};");
        text.parse::<cedar_policy::PolicySet>().expect("it is a policy");
        assert_eq!(steady(&text), expected, "{condition}");
    }

    #[test]
    fn what_reads_the_moment_is_not_steady() {
        check("true", true);
        check("context.sql.verb == \"SELECT\" && context.onBehalfOf == principal", true);
        check("context.approvals.contains(Quorum::\"dba:1\") || context has sql || context.breakGlass", true);
        check("principal has time && resource.time == 3", true);
        check("context // a remark\n . sql.verb == \"context.time\"", true);
        check("context.time.hour > 8", false);
        check("context\n.\ttime.hour > 8", false);
        check("context // .sql\n .time.hour > 8", false);
        check("context[\"time\"][\"hour\"] > 8", false);
        check("context[\"sql\"].verb == \"SELECT\"", false);
        check("context has time", false);
        check("context has \"time\"", false);
        check("context has time.hour", false);
        check("context.impact.records < 5", false);
        check("context.sql.hasWhere && !(context.time.weekday == 6)", false);
        check("if context.sql.parsed then true else context.time.hour == 1", false);
        check("{ a: context }.a.time.hour == 1", false);
        check("context == { a: 1 }", false);
        check("[context].contains(context)", false);
        check("(context).time.hour == 1", false);
        check("(if true then context else context).time.hour == 1", false);
        check("context.anythingAddedLater", false);
    }

    #[test]
    fn half_a_policy_is_not_steady() {
        assert!(!steady("permit (principal, action, resource)"));
        assert!(!steady("permit (principal, action, resource) when { \"; };"));
        assert!(!steady(""));
    }
}
