//! The annotations a policy may carry. Cedar ignores what it does not know; here a typo is an error at load.

use std::collections::BTreeSet;

use cedar_policy::Effect;

use super::decision::{Obligations, PolicyNote, Quorum};
use super::mask;
use super::vocabulary::{ANY, Vocabulary};
use crate::pattern::Limits;

/// The longest a review may stay open, a call be held or an escalation wait: one day.
pub const DURATION_SECONDS_MAX: u32 = 24 * 60 * 60;
/// The longest text for people: it must fit a card.
pub const TEXT_CHARS_MAX: usize = 1_000;

const KNOWN: &str = "id, review, deny, expires, hold, justify, stepup, channel, escalate, mask, pattern, after";

/// Annotations that mean something on a permit too.
const ON_PERMITS: &[&str] = &["id", "mask"];

/// What the annotations of one policy say.
#[derive(Debug, Clone, Default)]
pub(super) struct Annotations {
    /// `@id`; none when it is missing.
    pub(super) id: Option<String>,
    /// `@review`: what the reviewer reads.
    pub(super) review: Option<String>,
    /// `@deny`: what the requester reads when the answer is final.
    pub(super) deny: Option<String>,
    /// `@after`: the policy whose requirement comes first.
    pub(super) after: Option<String>,
    /// The rest.
    pub(super) obligations: Obligations,
}

impl Annotations {
    /// The policy as a reviewer sees it.
    pub(super) fn asking(&self) -> PolicyNote {
        self.note(self.review.as_ref().or(self.deny.as_ref()))
    }

    /// The policy as the refused see it.
    pub(super) fn refusing(&self) -> PolicyNote {
        self.note(self.deny.as_ref().or(self.review.as_ref()))
    }

    /// What is wrong when it escalates to a group whose members could do nothing: no quorum of the policy counts them, and it
    /// does not yield to broken glass either.
    pub(super) fn idle_escalation(&self, quorums: &BTreeSet<Quorum>, text: &str) -> Option<String> {
        let counts = |group: &str| quorums.iter().any(|quorum| quorum.group == group || quorum.group == ANY);
        let idle = self.obligations.escalate.values().find(|group| !counts(group))?;
        (!text.contains("breakGlass")).then(|| {
            format!(
                "`@escalate` asks the group `{idle}`, but no quorum of this policy counts its members, so they could do \
                 nothing; add one, such as `|| context.approvals.contains(Quorum::\"{idle}:1\")`"
            )
        })
    }

    fn note(&self, text: Option<&String>) -> PolicyNote {
        PolicyNote { id: self.id.clone().unwrap_or_default(), text: text.cloned().unwrap_or_default() }
    }

    /// Reads one annotation.
    ///
    /// # Errors
    /// What is wrong with it, for its author.
    pub(super) fn read(
        &mut self,
        key: &str,
        value: &str,
        effect: Effect,
        vocabulary: &Vocabulary,
    ) -> Result<(), String> {
        let known = KNOWN.split(", ").any(|name| name == key);
        if known && !ON_PERMITS.contains(&key) && effect == Effect::Permit {
            return Err(format!(
                "`@{key}` on a permit has no effect; write the requirement as a `forbid … unless {{ context.approvals.contains(…) }}`"
            ));
        }
        let obligations = &mut self.obligations;
        match key {
            "id" => self.id = Some(id(value)?),
            "review" => self.review = Some(text(key, value)?),
            "deny" => self.deny = Some(text(key, value)?),
            "expires" => obligations.expires_seconds = Some(seconds(key, value)?),
            "hold" => obligations.hold_seconds = Some(seconds(key, value)?),
            "justify" => obligations.justify = only(key, value, "required")?,
            "stepup" => obligations.passkey = only(key, value, "passkey")?,
            "channel" => drop(obligations.channels.insert(channel(value)?)),
            "escalate" => {
                let (after, group) = escalation(value, vocabulary)?;
                obligations.escalate.insert(after, group);
            }
            "after" => self.after = Some(id(value)?),
            "mask" => obligations.masks = mask::read(value)?,
            "pattern" => obligations.pattern = Some(limits(value)?),
            unknown => return Err(format!("unknown annotation `@{unknown}`; there are {KNOWN}")),
        }
        Ok(())
    }
}

impl Obligations {
    /// Both hold: the shorter times, the stricter demands, everyone told.
    pub fn add(&mut self, other: &Obligations) {
        let shorter = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        self.expires_seconds = shorter(self.expires_seconds, other.expires_seconds);
        self.hold_seconds = shorter(self.hold_seconds, other.hold_seconds);
        self.justify |= other.justify;
        self.passkey |= other.passkey;
        self.channels.extend(other.channels.iter().cloned());
        mask::stricter(&mut self.masks, &other.masks);
        for (after, group) in &other.escalate {
            add_escalation(self, *after, group);
        }
    }
}

/// The map holds one group a second: another group of the same second goes into the next free one.
fn add_escalation(obligations: &mut Obligations, after: u32, group: &str) {
    let mut at = after;
    while obligations.escalate.get(&at).is_some_and(|there| there != group) {
        at += 1;
    }
    obligations.escalate.insert(at, group.to_owned());
}

pub(super) fn id(value: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    if value.is_empty() || value.len() > 128 || !value.chars().all(plain) {
        return Err(format!("`{value}` cannot be an `@id`; use up to 128 letters, digits and `-_.:/`"));
    }
    Ok(value.to_owned())
}

pub(super) fn text(key: &str, value: &str) -> Result<String, String> {
    if value.trim().is_empty() {
        return Err(format!("`@{key}` needs a text, as in `@{key}(\"what people should read\")`"));
    }
    if value.chars().count() > TEXT_CHARS_MAX {
        return Err(format!("the text of `@{key}` is longer than {TEXT_CHARS_MAX} characters"));
    }
    if value.chars().any(misleading) {
        return Err(format!("the text of `@{key}` holds control characters or changes the direction of writing"));
    }
    Ok(value.to_owned())
}

/// Characters that could make a text read as something else: controls and bidirectional formatting (UAX #9).
fn misleading(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn seconds(key: &str, value: &str) -> Result<u32, String> {
    let unit = match value.chars().next_back() {
        Some('s') => Some(1),
        Some('m') => Some(60),
        Some('h') => Some(3_600),
        _ => None,
    };
    let digits = value.get(..value.len().saturating_sub(1)).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse::<u32>().ok());
    match unit.zip(number).and_then(|(unit, number)| number.checked_mul(unit)) {
        Some(seconds @ 1..=DURATION_SECONDS_MAX) => Ok(seconds),
        _ => Err(format!("`{value}` is no duration for `@{key}`; write `30s`, `5m` or `2h`, at most 24 hours")),
    }
}

/// The most uses that `@pattern` may allow.
const PATTERN_USES_MAX: u32 = 1_000;

/// `20 in 1h`.
fn limits(value: &str) -> Result<Limits, String> {
    let wrong = || {
        format!(
            "`{value}` is no bound for `@pattern`; write `20 in 1h`: at most {PATTERN_USES_MAX} uses, at most 24 hours"
        )
    };
    let (uses, time) = value.split_once(" in ").ok_or_else(wrong)?;
    let plain = uses.bytes().all(|b| b.is_ascii_digit());
    let uses = Some(uses).filter(|_| plain).and_then(|uses| uses.parse::<u32>().ok());
    let uses = uses.filter(|uses| (1..=PATTERN_USES_MAX).contains(uses)).ok_or_else(wrong)?;
    Ok(Limits { uses, seconds: seconds("pattern", time).map_err(|_| wrong())? })
}

fn only(key: &str, value: &str, expected: &str) -> Result<bool, String> {
    if value == expected {
        return Ok(true);
    }
    Err(format!("`@{key}` knows only \"{expected}\", not `{value}`"))
}

fn channel(value: &str) -> Result<String, String> {
    let parts = value.split_once(':');
    let scheme_ok = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    match parts {
        Some((scheme, rest)) if scheme_ok(scheme) && !rest.trim().is_empty() && !value.chars().any(misleading) => {
            Ok(value.to_owned())
        }
        _ => Err(format!("`{value}` is no channel; write `scheme:name`, as in `slack:#prod-approvals`")),
    }
}

fn escalation(value: &str, vocabulary: &Vocabulary) -> Result<(u32, String), String> {
    let Some((after, group)) = value.split_once(':') else {
        return Err(format!("`{value}` is no escalation; write `15m: group`"));
    };
    let group = group.trim();
    if !vocabulary.groups().contains(group) {
        let known = vocabulary.groups().iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(format!("`@escalate` names the unknown group `{group}`; there are {known}"));
    }
    Ok((seconds("escalate", after.trim())?, group.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, value: &str) -> Result<Obligations, String> {
        let mut annotations = Annotations::default();
        annotations.read(key, value, Effect::Forbid, &Vocabulary::starter())?;
        Ok(annotations.obligations)
    }

    #[test]
    fn well_formed_values_are_read() {
        assert_eq!(read("expires", "30m").map(|o| o.expires_seconds), Ok(Some(1_800)));
        assert_eq!(read("hold", "24h").map(|o| o.hold_seconds), Ok(Some(86_400)));
        assert_eq!(read("justify", "required").map(|o| o.justify), Ok(true));
        assert_eq!(read("stepup", "passkey").map(|o| o.passkey), Ok(true));
        let limits = |uses, seconds| Ok(Some(Limits { uses, seconds }));
        assert_eq!(read("pattern", "20 in 1h").map(|o| o.pattern), limits(20, 3_600));
        assert_eq!(read("pattern", "1000 in 24h").map(|o| o.pattern), limits(1_000, 86_400));
        assert_eq!(read("mask", "t.x: hash").map(|o| o.masks.len()), Ok(1));
        assert_eq!(read("channel", "slack:#prod").map(|o| o.channels.len()), Ok(1));
        assert_eq!(read("escalate", "15m: sre").map(|o| o.escalate), Ok([(900, "sre".to_owned())].into()));
    }

    #[test]
    fn malformed_values_are_refused() {
        let wrong = [
            ("expires", "30"),
            ("expires", "0s"),
            ("expires", "25h"),
            ("expires", "-5m"),
            ("expires", "+5m"),
            ("expires", "5é"),
            ("hold", ""),
            ("hold", "5 m"),
            ("justify", "yes"),
            ("stepup", ""),
            ("channel", "slack"),
            ("channel", "Slack:x"),
            ("channel", ":x"),
            ("escalate", "15m"),
            ("escalate", "15m: cto"),
            ("escalate", "x: sre"),
            ("review", " "),
            ("deny", "a\nb"),
            ("deny", "a\u{202e}b"),
            ("reveiw", "x"),
            ("id", "a b"),
            ("pattern", "20"),
            ("pattern", "0 in 1h"),
            ("pattern", "1001 in 1h"),
            ("pattern", "+5 in 1h"),
            ("pattern", "5 in 25h"),
            ("pattern", "5 in "),
            ("pattern", " in 1h"),
            ("mask", "customers.email"),
            ("mask", "customers.email: blur"),
        ];
        for (key, value) in wrong {
            assert!(read(key, value).is_err(), "@{key}({value:?})");
        }
    }

    #[test]
    fn obligations_add_up_to_the_strictest() {
        let mut sum = Obligations::default();
        let parts = [
            ("expires", "30m"),
            ("expires", "10m"),
            ("justify", "required"),
            ("escalate", "5m: sre"),
            ("escalate", "5m: dba"),
        ];
        for (key, value) in parts {
            sum.add(&read(key, value).expect("well formed"));
        }
        let escalate = [(300, "sre".to_owned()), (301, "dba".to_owned())].into();
        assert_eq!(sum, Obligations { expires_seconds: Some(600), justify: true, escalate, ..Obligations::default() });
    }
}
