//! The measured effect at a glance: how many rows, and what share of the table that is, as a bar.

use countersign_core::action::impact::{Impact, grouped};

use super::chart::share;
use super::show::{Html, line};

/// The width of a bar that stands for the whole table.
const WHOLE: u64 = 1_000;

/// What the measured effect looks like.
pub(super) struct Effect {
    /// Rows in a few words.
    pub(super) rows: String,
    pub(super) share: Option<Share>,
}

/// The share of a table that changes.
pub(super) struct Share {
    pub(super) table: Html,
    /// What the bar says.
    pub(super) words: String,
    /// Rows that change, of [`WHOLE`].
    pub(super) changes: u64,
    /// The bound beyond which it is rolled back, of [`WHOLE`].
    pub(super) bound: Option<u64>,
}

impl Effect {
    /// Of an impact.
    pub(super) fn of(impact: &Impact) -> Self {
        let rows = match (impact.known, impact.rows, impact.rows_max) {
            (true, None, None) if impact.objects.is_some() => match impact.objects {
                Some(1) => "1 object".to_owned(),
                objects => format!("{} objects", grouped(objects.unwrap_or_default())),
            },
            (true, Some(rows), Some(most)) => format!("about {}, at most {}", grouped(rows), grouped(most)),
            (true, Some(rows), None) => format!("about {}", grouped(rows)),
            (true, None, Some(most)) => format!("at most {}", grouped(most)),
            (true, None, None) => "none estimated".to_owned(),
            (false, _, _) => "not measured".to_owned(),
        };
        Self { rows, share: Share::of(impact) }
    }
}

impl Share {
    /// Where one table changes whose size is known.
    fn of(impact: &Impact) -> Option<Self> {
        let (rows, [table]) = (impact.rows.filter(|_| impact.known)?, impact.tables.as_slice()) else { return None };
        if table.rows == 0 {
            return None; // the server has no statistics of it
        }
        let whole = table.rows.max(rows);
        let percent = share(rows, whole, 1_000);
        let percent = match (rows, percent) {
            (1.., 0) => "less than 0.1 %".to_owned(),
            _ => format!("{}.{} %", percent / 10, percent % 10),
        };
        let bound = impact.rows_max.filter(|most| *most < whole);
        Some(Self {
            table: line(&table.name),
            words: format!("about {} of {} rows, {percent}", grouped(rows), grouped(table.rows)),
            changes: share(rows, whole, WHOLE).max(u64::from(rows > 0) * 4), // what is there can be seen
            bound: bound.map(|most| share(most, whole, WHOLE)),
        })
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::action::impact::TableSize;

    use super::*;

    fn impact(rows: u64, table: u64) -> Impact {
        let tables = vec![TableSize { name: "orders".to_owned(), rows: table, bytes: 8_192 }];
        Impact { known: true, rows: Some(rows), rows_max: Some(Impact::bound(rows)), tables, ..Impact::default() }
    }

    #[test]
    fn a_bar_never_leaves_its_place() {
        let share = |rows, table| Share::of(&impact(rows, table));
        let some = share(12, 4_000).expect("a share");
        assert_eq!((some.words.as_str(), some.changes, some.bound), ("about 12 of 4,000 rows, 0.3 %", 4, Some(30)));
        let all = share(10, 4).expect("a share");
        assert_eq!((all.changes, all.bound), (WHOLE, None));
        assert_eq!(share(1, 1_000_000).expect("a share").words, "about 1 of 1,000,000 rows, less than 0.1 %");
        assert!(share(1, 0).is_none() && Share::of(&Impact::unknown("of several")).is_none());
        assert_eq!(Effect::of(&Impact::unknown("of several")).rows, "not measured");
    }
}
