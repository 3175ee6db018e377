//! The leaf of an effect-free read, written in the order of its names at once: there is one for every read, and what
//! [`canonical`](crate::action::digest::canonical) spends on finding that order was a tenth of a read's own time. The tests
//! hold every byte against it.

use super::{ActionSummary, Event, Record};
use crate::action::digest::append_quoted;

/// What a read's leaf needs, nearly always.
const BYTES_USUAL: usize = 768;

/// The leaf, if the record is of a read, and has one that can be written this way.
pub(super) fn leaf(record: &Record) -> Option<Vec<u8>> {
    let Event::ActionRead { action, bundle, masks } = &record.event else { return None };
    let mut leaf = Vec::with_capacity(BYTES_USUAL);
    leaf.extend_from_slice(b"{\"action\":");
    summary(&mut leaf, action);
    leaf.extend_from_slice(b",\"at\":\"");
    leaf.extend_from_slice(&record.at.rfc3339()?);
    leaf.extend_from_slice(b"\",\"bundle\":\"");
    leaf.extend_from_slice(&bundle.text());
    leaf.extend_from_slice(b"\",\"kind\":\"action.read\"");
    if !masks.is_empty() {
        leaf.extend_from_slice(b",\"masks\":");
        for (at, mask) in masks.iter().enumerate() {
            leaf.push(if at == 0 { b'[' } else { b',' });
            append_quoted(&mut leaf, mask);
        }
        leaf.push(b']');
    }
    member(&mut leaf, b",\"node\":", &record.node);
    leaf.push(b'}');
    Some(leaf)
}

fn summary(leaf: &mut Vec<u8>, of: &ActionSummary) {
    let ActionSummary { action, digest, environment, id, on_behalf_of, requester, requester_kind, target } = of;
    member(leaf, b"{\"action\":", action);
    leaf.extend_from_slice(b",\"digest\":\"");
    leaf.extend_from_slice(&digest.text());
    leaf.push(b'"');
    member(leaf, b",\"environment\":", environment);
    member(leaf, b",\"id\":", id.as_str());
    member(leaf, b",\"on_behalf_of\":", on_behalf_of.as_str());
    member(leaf, b",\"requester\":", requester);
    member(leaf, b",\"requester_kind\":", requester_kind);
    member(leaf, b",\"target\":", target);
    leaf.push(b'}');
}

fn member(leaf: &mut Vec<u8>, key: &[u8], value: &str) {
    leaf.extend_from_slice(key);
    append_quoted(leaf, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::action::digest::canonical;
    use crate::action::{ActionDigest, ActionId, BundleDigest, PersonId, Timestamp};

    fn record(words: [String; 8], masks: Vec<String>, at: i64) -> Record {
        let [action, environment, id, on_behalf_of, requester, requester_kind, target, node] = words;
        let action = ActionSummary {
            digest: ActionDigest::of(action.as_bytes()),
            action,
            environment,
            id: ActionId::new(id),
            on_behalf_of: PersonId::new(on_behalf_of),
            requester,
            requester_kind,
            target,
        };
        let bundle = BundleDigest::of(node.as_bytes());
        Record { at: Timestamp::from_micros(at), node, event: Event::ActionRead { action, bundle, masks } }
    }

    proptest! {
        #[test]
        fn the_leaf_is_the_canonical_one(
            words in proptest::array::uniform8(prop_oneof!["[a-z:.-]{0,12}", ".{0,6}", "[\\x00-\\x20\"\\\\/é€😀]{0,6}"]),
            masks in proptest::collection::vec(".{0,6}", 0..3),
            at in 0..253_402_300_800_000_000_i64, // the year 10000
        ) {
            let record = record(words, masks, at);
            let canonical = canonical(&record).expect("it has one");
            prop_assert_eq!(leaf(&record).map(String::from_utf8), Some(String::from_utf8(canonical)));
        }
    }

    #[test]
    fn only_reads_are_written_this_way() {
        let event = Event::SystemAlarm { code: "x".to_owned(), detail: String::new() };
        assert_eq!(leaf(&Record { at: Timestamp::from_micros(0), node: String::new(), event }), None);
    }
}
