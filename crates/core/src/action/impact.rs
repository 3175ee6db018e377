//! What the gateway measured of an action's effect before it ran: estimates of the upstream's, never the requester's claims.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The largest count that JSON keeps exactly (RFC 8785 §3.2.2.3).
const COUNT_MAX: u64 = (1 << 53) - 1;
/// An action may touch so many times the rows that were estimated.
const BOUND_FACTOR: u64 = 10;
/// And at least so many: estimates of few rows are often off by more than a factor.
const BOUND_MIN: u64 = 100;

/// The effect of one action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// Whether it was measured. Where it was not, policy reads the worst there could be.
    pub known: bool,
    /// Rows it will change, as the upstream's planner estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The most rows it may change: an execution that changes more is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_max: Option<u64>,
    /// Objects that would be others than they are, as the upstream's own rehearsal has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<u64>,
    /// The planner's cost, in its own units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u64>,
    /// Whether it finds the rows by an index; absent where it looks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<bool>,
    /// The tables it changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableSize>,
    /// Tables that foreign keys carry the change on to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cascades: BTreeSet<String>,
    /// Triggers that fire, and rules.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub triggers: BTreeSet<String>,
    /// Why it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_because: Option<String>,
}

/// How large a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// Its name.
    pub name: String,
    /// Rows, as its statistics have it.
    pub rows: u64,
    /// Bytes, with indexes.
    pub bytes: u64,
}

impl Impact {
    /// Not measured, and why.
    pub fn unknown(because: impl Into<String>) -> Self {
        Self { unknown_because: Some(because.into()), ..Self::default() }
    }

    /// The bound that goes with an estimate of rows.
    pub fn bound(rows: u64) -> u64 {
        rows.saturating_mul(BOUND_FACTOR).clamp(BOUND_MIN, COUNT_MAX)
    }

    /// For people, a line each.
    pub fn words(&self) -> Vec<String> {
        if !self.known {
            let because = self.unknown_because.as_deref().map_or(String::new(), |because| format!(" ({because})"));
            return vec![format!("not measured: how much this touches is not known{because}")];
        }
        let mut words = Vec::new();
        if let Some(rows) = self.rows {
            let rows = if rows == 1 { "1 row changes".to_owned() } else { format!("{} rows change", grouped(rows)) };
            words.push(format!("about {rows}, by the server's estimate"));
        }
        if let Some(most) = self.rows_max {
            words.push(format!("approved for at most {} rows; more are rolled back", grouped(most)));
        }
        match self.objects {
            Some(0) => words.push("nothing would change, by the server's own rehearsal".to_owned()),
            Some(1) => words.push("1 object would change, by the server's own rehearsal".to_owned()),
            Some(objects) => {
                words.push(format!("{} objects would change, by the server's own rehearsal", grouped(objects)))
            }
            None => {}
        }
        match self.index {
            Some(true) => words.push("finds the rows by an index".to_owned()),
            Some(false) => words.push("looks at every row of the table: no index serves the WHERE".to_owned()),
            None => {}
        }
        words.extend(self.tables.iter().map(|TableSize { name, rows, bytes }| {
            format!("{name} has about {} rows in {}", grouped(*rows), size(*bytes))
        }));
        words.extend(self.cascades.iter().map(|table| format!("cascades to {table}")));
        words.extend(self.triggers.iter().map(|trigger| format!("fires {trigger}")));
        words
    }

    /// A count that the record and the card can hold exactly.
    pub fn count(value: f64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
        let count = value.clamp(0.0, 9.0e15) as u64;
        count.min(COUNT_MAX)
    }
}

/// A count with its thousands apart: `1,234`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in the largest unit that it fills, rounded up.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut whole, mut unit) = (bytes.div_ceil(1024), 0);
    while whole >= 1024 && unit + 1 < UNITS.len() {
        (whole, unit) = (whole.div_ceil(1024), unit + 1);
    }
    format!("{} {}", grouped(whole), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 1_024, 156_852_224].map(size), ["0 KiB", "1 KiB", "1 KiB", "150 MiB"]);
        assert_eq!(size(u64::MAX), "16,384 PiB");
    }

    #[test]
    fn bounds_leave_room_and_stay_exact() {
        assert_eq!((Impact::bound(0), Impact::bound(1), Impact::bound(50)), (100, 100, 500));
        assert_eq!(Impact::bound(u64::MAX), COUNT_MAX);
        assert_eq!((Impact::count(-1.0), Impact::count(f64::NAN), Impact::count(1e300)), (0, 0, 9_000_000_000_000_000));
    }
}
