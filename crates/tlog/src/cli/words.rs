//! The verdict, in words for people and in JSON for programs.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use countersign_tlog::proof::{ProvedEntry, TextError};
use countersign_tlog::verify::Witness;
use countersign_tlog::{Report, VerifyError};
use serde_json::{Value, json};

/// Colour, on a terminal that wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colour only on a terminal, and never with `NO_COLOR` set (<https://no-color.org>).
    pub(crate) fn for_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb)
    }

    fn good(self, text: &str) -> String {
        self.code("1;32", text)
    }

    fn bad(self, text: &str) -> String {
        self.code("1;31", text)
    }

    fn warn(self, text: &str) -> String {
        self.code("1;33", text)
    }

    fn code(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// What was checked and what came of it.
pub(crate) enum Verdict {
    Log(Box<Report>),
    BadLog(VerifyError),
    Entry(Box<ProvedEntry>),
    BadEntry(TextError),
    Unwitnessed { found: usize, required: usize },
}

impl Verdict {
    pub(crate) fn of_log(result: Result<Report, VerifyError>) -> Self {
        result.map_or_else(Self::BadLog, |report| Self::Log(Box::new(report)))
    }

    pub(crate) fn of_proof(result: Result<ProvedEntry, TextError>, required: usize) -> Self {
        match result {
            Err(error) => Self::BadEntry(error),
            Ok(entry) => match entry.witnesses().len() {
                found if found < required => Self::Unwitnessed { found, required },
                _ => Self::Entry(Box::new(entry)),
            },
        }
    }

    pub(crate) fn is_verified(&self) -> bool {
        match self {
            Self::Log(_) | Self::Entry(_) => true,
            Self::BadLog(_) | Self::BadEntry(_) | Self::Unwitnessed { .. } => false,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let body = match self {
            Self::Log(report) => json!({ "verified": true, "log": report.as_ref() }),
            Self::Entry(entry) => json!({ "verified": true, "entry": entry_json(entry) }),
            Self::BadLog(error) => bad_log_json(error),
            Self::BadEntry(error) => json!({ "verified": false, "problem": "proof", "message": describe(error) }),
            Self::Unwitnessed { found, required } => {
                json!({ "verified": false, "problem": "unwitnessed", "message": too_few(*found, *required) })
            }
        };
        format!("{body:#}\n")
    }

    pub(crate) fn to_text(&self, paint: Paint) -> String {
        match self {
            Self::Log(report) => log_text(report, paint),
            Self::Entry(entry) => entry_text(entry, paint),
            Self::BadLog(error) => bad_log_text(error, paint),
            Self::BadEntry(error) => refusal(paint, &describe(error)),
            Self::Unwitnessed { found, required } => refusal(paint, &too_few(*found, *required)),
        }
    }
}

/// An error and its causes, on one line. Control characters, which a log's content may bring in, are shown escaped.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Prints to standard output; a reader that went away is not our concern.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints a line to standard error.
pub(crate) fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn too_few(found: usize, required: usize) -> String {
    format!("{found} of the given witnesses cosigned; {required} are required")
}

fn entry_json(entry: &ProvedEntry) -> Value {
    let checkpoint = entry.checkpoint().checkpoint();
    json!({
        "index": entry.index(),
        "leaf_hash": entry.leaf(),
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root,
        "witnessed": !entry.witnesses().is_empty(),
        "witnesses": entry.witnesses(),
    })
}

fn bad_log_json(error: &VerifyError) -> Value {
    json!({
        "verified": false,
        "problem": error.problem().code(),
        "message": describe(error),
        "first_bad_leaf": error.first_bad_leaf(),
        "range": error.range().map(|range| [range.start, range.end - 1]),
    })
}

fn log_text(report: &Report, paint: Paint) -> String {
    let mut lines = vec![
        format!("{}  {}", paint.good("VERIFIED"), report.origin),
        format!("  leaves     {}", report.size),
        format!("  root       {}", report.root),
        format!("  key id     {}", report.key_id),
        format!("  history    {}", history_words(report.history_checkpoints)),
    ];
    if let Some(since) = report.since {
        lines.push(format!("  since      the {since} leaves of the saved checkpoint are all still there, unchanged"));
    }
    lines.extend(votes_line(report));
    lines.extend(breakings_line(report));
    lines.extend(witness_lines(&report.witnesses, paint));
    if report.unknown_signatures > 0 {
        lines.push(format!("  ignored    {} signatures by keys that were not given", report.unknown_signatures));
    }
    if report.unsigned_leaves > 0 {
        let label = paint.warn("unsigned");
        lines.push(format!("  {label}   {} more entries are written but not signed yet", report.unsigned_leaves));
    }
    let kinds = report.kinds.iter().map(|(kind, count)| (kind.escape_debug().to_string(), *count));
    let other = Some(("(other)".to_owned(), report.other_leaves)).filter(|(_, count)| *count > 0);
    let rows = kinds.chain(other).map(|(kind, count)| format!("  {count:>9}  {kind}"));
    lines.extend(rows);
    lines.join("\n") + "\n"
}

fn votes_line(report: &Report) -> Option<String> {
    let (signed, attested) = (report.signed_votes, report.attested_votes);
    let words =
        format!("  votes      {signed} signed by passkeys, each verified; {attested} on the gateway's word alone");
    (signed + attested > 0).then_some(words)
}

fn breakings_line(report: &Report) -> Option<String> {
    let (signed, attested) = (report.signed_breakings, report.attested_breakings);
    let words = format!(
        "  glass      broken {signed} times signed by passkeys, each verified; {attested} on the gateway's word"
    );
    (signed + attested > 0).then_some(words)
}

fn history_words(count: u64) -> String {
    match count {
        0 => "no earlier checkpoints are published".to_owned(),
        count => format!("{count} published checkpoints, all signed and consistent"),
    }
}

fn witness_lines(witnesses: &[Witness], paint: Paint) -> Vec<String> {
    if witnesses.is_empty() {
        let label = paint.warn("UNWITNESSED");
        return vec![format!("  {label}: only the log's own key vouches that everyone sees this same log")];
    }
    let line = |w: &Witness| format!("  witness    {} at {}", w.name, utc(w.time_seconds));
    witnesses.iter().map(line).collect()
}

fn entry_text(entry: &ProvedEntry, paint: Paint) -> String {
    let checkpoint = entry.checkpoint().checkpoint();
    let mut lines = vec![
        format!("{}  the entry is in {}", paint.good("VERIFIED"), checkpoint.origin),
        format!("  index      {} of {} leaves", entry.index(), checkpoint.size),
        format!("  leaf hash  {}", entry.leaf()),
        format!("  root       {}", checkpoint.root),
    ];
    lines.extend(witness_lines(&entry.witnesses(), paint));
    lines.join("\n") + "\n"
}

fn refusal(paint: Paint, text: &str) -> String {
    format!("{}  {text}\n", paint.bad("NOT VERIFIED"))
}

fn bad_log_text(error: &VerifyError, paint: Paint) -> String {
    let mut text = refusal(paint, &describe_problem(error));
    let _ = match (error.range(), error.first_bad_leaf()) {
        (Some(range), _) => writeln!(text, "  first bad leaf  one of {} to {}", range.start, range.end - 1),
        (None, Some(leaf)) => writeln!(text, "  first bad leaf  {leaf}"),
        (None, None) => Ok(()),
    };
    text
}

fn describe_problem(error: &VerifyError) -> String {
    describe(error.problem())
}

/// Seconds since 1970 as `YYYY-MM-DDThh:mm:ssZ` (proleptic Gregorian calendar).
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The date so many days after 1970-01-01, counted in 400-year cycles that begin on 1 March of the year 0.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let (cycle, day_of_cycle) = (days / 146_097, days % 146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_dates() {
        let check = |seconds, expected: &str| assert_eq!(utc(seconds), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_399, "2000-02-28T23:59:59Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_704_067_199, "2023-12-31T23:59:59Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
    }

    #[test]
    fn no_colour_without_a_terminal() {
        assert_eq!(Paint(false).bad("x"), "x");
        assert_eq!(Paint(true).bad("x"), "\u{1b}[1;31mx\u{1b}[0m");
    }
}
