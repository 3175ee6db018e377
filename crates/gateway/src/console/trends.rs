//! How much was asked, what came of it, and how long people took: charts over a span, for people who may see what others ask.

use countersign_core::action::Timestamp;
use serde::Deserialize;

use super::Console;
use super::chart::{Bar, Columns, Series, Waits, bars};
use super::page::Failure;
use super::show::{Html, line};

/// Reviews looked at for how long they took.
const WAITS_MAX: u32 = 10_000;
/// What a column is made of, from the bottom up.
const SERIES: [Series; 4] =
    [("ran", "good"), ("failed or rolled back", "warn"), ("refused", "bad"), ("under way or unknown", "plain")];

/// How far back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Span {
    /// 24 hours, by the hour.
    #[default]
    Day,
    /// 7 days, by 6 hours.
    Week,
    /// 30 days, by the day.
    Month,
}

impl Span {
    /// All of them.
    pub(super) const ALL: [Span; 3] = [Span::Day, Span::Week, Span::Month];

    /// How many stretches, and of how many seconds.
    fn stretches(self) -> (u32, u32) {
        match self {
            Span::Day => (24, 3_600),
            Span::Week => (28, 6 * 3_600),
            Span::Month => (30, 24 * 3_600),
        }
    }

    /// As in an address.
    pub(super) fn name(self) -> &'static str {
        match self {
            Span::Day => "day",
            Span::Week => "week",
            Span::Month => "month",
        }
    }

    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Span::Day => "24 hours",
            Span::Week => "7 days",
            Span::Month => "30 days",
        }
    }
}

/// The charts.
pub(super) struct Trends {
    pub(super) span: Span,
    pub(super) volume: Columns,
    pub(super) reviews: u64,
    pub(super) outcomes: Vec<Bar>,
    pub(super) waits: Option<Waits>,
}

impl Trends {
    /// Over a span that ends now.
    pub(super) async fn new(console: &Console, span: Span, now: Timestamp) -> Result<Self, Failure> {
        let (count, seconds) = span.stretches();
        let since = now.plus_seconds(-i64::from(count) * i64::from(seconds));
        let from = |at: u32| since.plus_seconds(i64::from(at) * i64::from(seconds));
        let mut stretches: Vec<_> = (0..count).map(|at| (from(at), vec![0; SERIES.len()])).collect();
        for tally in console.gate.store.tallies(since, seconds).await? {
            let at = usize::try_from(tally.stretch).unwrap_or(usize::MAX).min(stretches.len() - 1);
            stretches[at].1[series(&tally.status)] += tally.count;
        }
        let waits = console.gate.store.waits(since, WAITS_MAX).await?;
        let of = |outcome: &str| waits.iter().filter(|wait| wait.outcome == outcome).count() as u64;
        let outcomes = [
            ("approved", "good"),
            ("rejected", "bad"),
            ("expired", "plain"),
            ("withdrawn", "plain"),
            ("glass_broken", "warn"),
        ];
        let outcomes = outcomes.map(|(name, tone)| (name.replace('_', " "), tone, of(name)));
        let by_people = |outcome: &str| matches!(outcome, "approved" | "rejected" | "glass_broken");
        let decided = waits.iter().filter(|wait| by_people(&wait.outcome)).map(|wait| wait.seconds).collect();
        Ok(Self {
            span,
            volume: Columns::new(&SERIES, &stretches),
            reviews: waits.len() as u64,
            outcomes: bars(outcomes.to_vec()),
            waits: Waits::new(decided),
        })
    }

    /// What the chart of columns shows, for those who do not see it.
    pub(super) fn spoken(&self) -> Html {
        let each: Vec<String> = self.volume.series.iter().map(|(name, _, count)| format!("{count} {name}")).collect();
        let most = self.volume.most;
        line(&format!(
            "{} actions in {}: {}; at most {most} in one column",
            self.volume.sum,
            self.span.words(),
            each.join(", ")
        ))
    }
}

/// Which series a status belongs to.
fn series(status: &str) -> usize {
    match status {
        "succeeded" => 0,
        "failed" | "rolled_back" | "not_executed" => 1,
        "refused" => 2,
        _ => 3,
    }
}
