//! Small charts, drawn on the server: shapes as SVG without a script, every figure in a table beside them.
//!
//! Shapes are stretched to the place they get, so that all words stand outside of them, as text.

use countersign_core::action::Timestamp;

use super::show::{exact, span};

/// The height of a column chart, in units of its own.
const HEIGHT: u64 = 100;
/// The width of a column, gap included.
const STEP: u64 = 10;
/// The width of a bar that fills its row.
const WIDTH: u64 = 1_000;

/// What a column is made of, from the bottom up: a name, and the tone it is shown in.
pub(super) type Series = (&'static str, &'static str);

/// Columns over time.
pub(super) struct Columns {
    /// The view box's width.
    pub(super) width: u64,
    pub(super) columns: Vec<Column>,
    pub(super) series: Vec<(&'static str, &'static str, u64)>,
    /// The count of the highest column.
    pub(super) most: u64,
    pub(super) sum: u64,
}

/// What happened within one stretch of time.
pub(super) struct Column {
    /// When it began.
    pub(super) from: String,
    /// A count of each series, in their order.
    pub(super) counts: Vec<u64>,
    pub(super) shapes: Vec<Shape>,
}

/// A part of a column.
pub(super) struct Shape {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) height: u64,
    pub(super) tone: &'static str,
}

impl Columns {
    /// Of counts for each stretch, the oldest first.
    pub(super) fn new(series: &[Series], stretches: &[(Timestamp, Vec<u64>)]) -> Self {
        let most = stretches.iter().map(|(_, counts)| counts.iter().sum()).max().unwrap_or(0);
        let sums = series.iter().enumerate().map(|(at, (name, tone))| {
            let sum = stretches.iter().filter_map(|(_, counts)| counts.get(at)).sum();
            (*name, *tone, sum)
        });
        let series_sums: Vec<_> = sums.collect();
        let column = |(x, (from, counts)): (u64, &(Timestamp, Vec<u64>))| {
            let mut y = HEIGHT;
            let shapes = series.iter().zip(counts).filter(|(_, count)| **count > 0).map(|((_, tone), count)| {
                let height = share(*count, most, HEIGHT).max(1).min(y);
                y -= height;
                Shape { x: x * STEP + 1, y, height, tone }
            });
            Column { shapes: shapes.collect(), from: exact(*from), counts: counts.clone() }
        };
        Self {
            width: STEP * stretches.len() as u64,
            columns: (0_u64..).zip(stretches).map(column).collect(),
            sum: series_sums.iter().map(|(_, _, sum)| sum).sum(),
            series: series_sums,
            most,
        }
    }
}

/// A row of a table with a bar in it.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) count: u64,
    /// Of [`WIDTH`].
    pub(super) width: u64,
    pub(super) percent: u64,
    pub(super) tone: &'static str,
}

/// One bar for each count, in their order; the longest fills its row.
pub(super) fn bars(counts: Vec<(String, &'static str, u64)>) -> Vec<Bar> {
    let most = counts.iter().map(|(_, _, count)| *count).max().unwrap_or(0);
    let sum: u64 = counts.iter().map(|(_, _, count)| count).sum();
    let bar = |(name, tone, count)| Bar {
        name,
        count,
        width: share(count, most, WIDTH).max(u64::from(count > 0)),
        percent: share(count, sum, 100),
        tone,
    };
    counts.into_iter().map(bar).collect()
}

/// How many of `whole` units a part of a sum is.
pub(super) fn share(part: u64, of: u64, whole: u64) -> u64 {
    let share = u128::from(part) * u128::from(whole) / u128::from(of.max(1));
    u64::try_from(share).unwrap_or(whole).min(whole)
}

/// How long people took, by steps that matter to whoever waits.
pub(super) struct Waits {
    pub(super) bars: Vec<Bar>,
    pub(super) median: String,
    pub(super) slow: String,
}

impl Waits {
    /// Of waits in seconds; none when there is none.
    pub(super) fn new(mut seconds: Vec<i64>) -> Option<Self> {
        const STEPS: [(&str, i64); 5] = [
            ("under 1 minute", 60),
            ("1 to 5 minutes", 300),
            ("5 to 15 minutes", 900),
            ("15 to 60 minutes", 3_600),
            ("longer", i64::MAX),
        ];
        seconds.sort_unstable();
        let at = |percent: usize| seconds.get(seconds.len().checked_sub(1)? * percent / 100).copied();
        let (median, slow) = (at(50)?, at(90)?);
        let mut from = i64::MIN;
        let counts = STEPS.map(|(name, to)| {
            let count = seconds.iter().filter(|wait| (from..to).contains(wait)).count() as u64;
            from = to;
            (name.to_owned(), "accent", count)
        });
        Some(Self { bars: bars(counts.to_vec()), median: span(median), slow: span(slow) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_their_place_and_no_more() {
        let at = |hour: i64| Timestamp::from_seconds(1_790_000_000 + hour * 3_600);
        let stretches = [(at(0), vec![3, 1]), (at(1), vec![0, 0]), (at(2), vec![0, 9_999_999])];
        let chart = Columns::new(&[("ran", "good"), ("refused", "bad")], &stretches);
        assert_eq!((chart.width, chart.most, chart.sum), (30, 9_999_999, 10_000_003));
        assert_eq!(chart.columns.iter().map(|column| column.shapes.len()).collect::<Vec<_>>(), [2, 0, 1]);
        for shape in chart.columns.iter().flat_map(|column| &column.shapes) {
            assert!(shape.height >= 1 && shape.y + shape.height <= HEIGHT && shape.x < chart.width);
        }
        assert_eq!(Columns::new(&[], &[]).sum, 0);
    }

    #[test]
    fn waits_are_counted_once() {
        let waits = Waits::new(vec![5, 59, 60, 900, 100_000]).expect("some");
        assert_eq!(waits.bars.iter().map(|bar| bar.count).collect::<Vec<_>>(), [2, 1, 0, 1, 1]);
        assert_eq!((waits.median.as_str(), waits.bars[0].width, waits.bars[2].width), ("1 min", WIDTH, 0));
        assert!(Waits::new(Vec::new()).is_none());
    }
}
