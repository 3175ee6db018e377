//! What a suite said, test by test, and how two runs of it compare.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::known::Known;

/// How one test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Outcome {
    /// As the reporters write it; anything else is a failure.
    pub(super) fn from_word(word: &str) -> Self {
        match word {
            "passed" => Self::Passed,
            "skipped" => Self::Skipped,
            _ => Self::Failed,
        }
    }
}

/// One test's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) outcome: Outcome,
    /// What it said, in short.
    pub(super) said: String,
    /// What must be the same on both sides, beyond the outcome.
    pub(super) answer: Option<String>,
}

/// A suite's tests by name.
pub(super) type Results = BTreeMap<String, Test>;

/// Reads what a reporter wrote: one object with `id`, `outcome` and `said` a line.
pub(super) fn from_lines(lines: &str) -> Results {
    let one = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        let outcome = Outcome::from_word(value["outcome"].as_str()?);
        let said = value["said"].as_str().unwrap_or_default().to_owned();
        Some((value["id"].as_str()?.to_owned(), Test { outcome, said, answer: None }))
    };
    lines.lines().filter_map(one).collect()
}

/// Passed, failed, skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Counts {
    pub(super) fn of(results: &Results) -> Self {
        let mut counts = Self::default();
        for test in results.values() {
            match test.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Failed => counts.failed += 1,
                Outcome::Skipped => counts.skipped += 1,
            }
        }
        counts
    }

    fn json(self) -> Value {
        json!({ "passed": self.passed, "failed": self.failed, "skipped": self.skipped })
    }
}

/// A suite's two runs side by side.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) suite: &'static str,
    pub(super) direct: Counts,
    pub(super) gateway: Counts,
    /// Tests that ended otherwise through the gateway, with a listed reason.
    pub(super) known: Vec<(String, String)>,
    /// The same without one: passed direct, not through the gateway. They fail the run.
    pub(super) lost: Vec<(String, String)>,
    /// Ended otherwise, but not worse: failed direct and passed through the gateway, or the other words.
    pub(super) other: Vec<String>,
    /// Listed as different, and not.
    pub(super) stale: Vec<String>,
    pub(super) direct_took: Duration,
    pub(super) gateway_took: Duration,
}

impl Comparison {
    pub(super) fn new(suite: &'static str, direct: &Results, gateway: &Results, known: &Known) -> Self {
        let mut comparison = Self {
            suite,
            direct: Counts::of(direct),
            gateway: Counts::of(gateway),
            known: Vec::new(),
            lost: Vec::new(),
            other: Vec::new(),
            stale: Vec::new(),
            direct_took: Duration::ZERO,
            gateway_took: Duration::ZERO,
        };
        for (name, test) in direct {
            let through = gateway.get(name);
            let same =
                through.is_some_and(|through| (through.outcome, &through.answer) == (test.outcome, &test.answer));
            match (known.reason(suite, name), same) {
                (Some(_), true) => comparison.stale.push(name.clone()),
                (None, true) => {}
                (Some(reason), false) => comparison.known.push((name.clone(), reason.to_owned())),
                (None, false) if test.outcome == Outcome::Passed => {
                    let said = through.map_or_else(|| "did not run".to_owned(), |through| through.said.clone());
                    comparison.lost.push((name.clone(), said));
                }
                (None, false) => comparison.other.push(name.clone()),
            }
        }
        comparison.other.extend(gateway.keys().filter(|name| !direct.contains_key(*name)).cloned());
        comparison
    }

    /// Notes how long each side took.
    pub(super) fn took(self, direct_took: Duration, gateway_took: Duration) -> Self {
        Self { direct_took, gateway_took, ..self }
    }

    /// Whether every test ended the same way.
    pub(super) fn same(&self) -> bool {
        self.known.is_empty() && self.lost.is_empty() && self.other.is_empty()
    }

    /// Whether it has what nobody has explained.
    pub(super) fn failed(&self) -> bool {
        !self.lost.is_empty() || self.direct.passed == 0
    }

    pub(super) fn json(&self) -> Value {
        let named = |list: &[(String, String)]| -> Value {
            list.iter().map(|(name, why)| json!({ "test": name, "why": why })).collect()
        };
        json!({
            "suite": self.suite,
            "direct": self.direct.json(),
            "gateway": self.gateway.json(),
            "same": self.same(),
            "known": named(&self.known),
            "lost": named(&self.lost),
            "other": self.other,
            "stale": self.stale,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(tests: &[(&str, &str)]) -> Results {
        let line = |(id, outcome): &(&str, &str)| json!({ "id": id, "outcome": outcome }).to_string();
        from_lines(&tests.iter().map(line).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_test_that_passes_only_direct_fails_the_run() {
        let known = Known::parse("{}").unwrap();
        let (direct, gateway) = (results(&[("a", "passed"), ("b", "passed")]), results(&[("a", "failed")]));
        let comparison = Comparison::new("x", &direct, &gateway, &known);
        assert!(comparison.failed());
        let names: Vec<_> = comparison.lost.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_listed_difference_is_told_and_does_not_fail() {
        let known = r#"{"reasons":{"r":"why"},"tests":{"x":{"r":["a"]}}}"#;
        let known = Known::parse(known).unwrap();
        let (direct, gateway) =
            (results(&[("a", "passed"), ("b", "passed")]), results(&[("a", "failed"), ("b", "passed")]));
        let comparison = Comparison::new("x", &direct, &gateway, &known);
        assert!(!comparison.failed() && !comparison.same());
        assert_eq!(comparison.known, [("a".to_owned(), "why".to_owned())]);
    }

    #[test]
    fn a_suite_that_ran_nothing_fails() {
        let comparison = Comparison::new("x", &Results::new(), &Results::new(), &Known::parse("{}").unwrap());
        assert!(comparison.failed());
    }
}
