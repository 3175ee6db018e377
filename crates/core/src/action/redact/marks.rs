//! Marks given out on one card: the same value gets the same one.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{Hidden, Place, Values};

/// Marks given out so far.
#[derive(Default)]
pub(super) struct Marks {
    /// Which entry of `hidden` a value of a kind has.
    by_value: BTreeMap<(String, String), usize>,
    count: BTreeMap<String, usize>,
    hidden: Vec<Hidden>,
}

impl std::fmt::Debug for Marks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Marks({})", self.hidden.len())
    }
}

impl Marks {
    /// The mark of a value, such as `email 1`. Where it stands in a more decisive place than before, that counts.
    pub(super) fn mark(&mut self, kind: &str, value: &str, place: &Place) -> &str {
        let key = (kind.to_owned(), value.to_owned());
        let known = self.by_value.get(&key).copied();
        let at = known.unwrap_or_else(|| {
            let number = self.count.entry(kind.to_owned()).or_insert(0);
            *number += 1;
            let mark = format!("{kind} {number}");
            self.hidden.push(Hidden { mark, position: place.position, column: place.column.clone() });
            self.by_value.insert(key, self.hidden.len() - 1);
            self.hidden.len() - 1
        });
        let hidden = &mut self.hidden[at];
        if place.position > hidden.position {
            hidden.position = place.position;
            hidden.column = place.column.clone();
        }
        &self.hidden[at].mark
    }

    /// What was hidden, and the values.
    pub(super) fn finish(self) -> (Vec<Hidden>, Values) {
        let hidden = self.hidden;
        let value = |((_, value), at): ((String, String), usize)| (hidden[at].mark.clone(), Zeroizing::new(value));
        let values = self.by_value.into_iter().map(value).collect();
        (hidden, values)
    }
}
