//! Policy tests in the shape of Cedar's own `run-tests`, and formatting by Cedar's own formatter.
//!
//! The stock fields keep their meaning: `decision` is Cedar's answer with the approvals in the context, `reason` names
//! policies that must be among the determining ones, `num_errors` counts evaluation errors. Our own optional `outcome`
//! (`permit`, `review` or `deny`) is the three-way answer; Cedar's tools ignore it.

use std::collections::BTreeSet;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Context, Entities, EntityUid, Request};
use cedar_policy_formatter::{Config, policies_str_to_pretty};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bounds;
use super::bundle::Bundle;
use super::explain::Outcome;
use super::problem::Place;
use super::vocabulary::implied;

/// The most tests in one file.
pub const TESTS_MAX: usize = 10_000;

/// One test's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// Its name, or its place in the file.
    pub name: String,
    /// Why it failed; none when it passed.
    pub failure: Option<String>,
}

/// A file that holds no tests.
#[derive(Debug, thiserror::Error)]
pub enum TestFileError {
    /// Not a JSON array.
    #[error("a test file is a JSON array of tests")]
    Json(#[source] serde_json::Error),
    /// Too many tests.
    #[error("the file holds {0} tests; at most {TESTS_MAX} are run")]
    TooMany(usize),
}

/// Cedar's words for its two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stock {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Permit,
    Review,
    Deny,
}

/// `name` is read leniently, so that a malformed test can still be named. Unknown fields are refused: a misspelt
/// `outcome` would otherwise check nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    #[serde(default)]
    #[expect(dead_code, reason = "read before, for the report; declared so that it is not unknown")]
    name: Value,
    request: Asked,
    entities: Value,
    decision: Stock,
    reason: BTreeSet<String>,
    num_errors: usize,
    outcome: Option<Wanted>,
}

#[derive(Debug, Deserialize)]
struct Asked {
    principal: String,
    action: String,
    resource: String,
    context: Value,
}

impl Bundle {
    /// Runs the tests of one file, in order.
    ///
    /// # Errors
    /// [`TestFileError`] when the text is no list of tests; a test that is malformed itself is a failed test.
    pub fn run_tests(&self, text: &str) -> Result<Vec<TestResult>, TestFileError> {
        let tests: Vec<Value> = serde_json::from_str(text).map_err(TestFileError::Json)?;
        if tests.len() > TESTS_MAX {
            return Err(TestFileError::TooMany(tests.len()));
        }
        let run = |(at, test): (usize, Value)| {
            let name =
                test.get("name").and_then(Value::as_str).map_or_else(|| format!("test {}", at + 1), str::to_owned);
            TestResult { name, failure: self.run_test(test).err() }
        };
        Ok(tests.into_iter().enumerate().map(run).collect())
    }

    fn run_test(&self, test: Value) -> Result<(), String> {
        let test: Test = serde_json::from_value(test).map_err(|error| format!("not a test: {error}"))?;
        let entities = Entities::from_json_value(test.entities.clone(), Some(&self.world.schema))
            .map_err(|error| format!("entities: {}", plain(&error)))?;
        let request = self.asked(&test.request, test.request.context.clone())?;
        let answer = self.answer(&request, &entities);
        let decision = if answer.allow { Stock::Allow } else { Stock::Deny };
        if decision != test.decision {
            let reasons = answer.reasons.iter().cloned().collect::<Vec<_>>().join(", ");
            return Err(format!("expected {:?}, got {decision:?} by [{reasons}]", test.decision));
        }
        let missing: Vec<String> = test.reason.difference(&answer.reasons).cloned().collect();
        if !missing.is_empty() {
            return Err(format!("not among the reasons: {}", missing.join(", ")));
        }
        if answer.errors.len() != test.num_errors {
            return Err(format!(
                "expected {} errors, got {}: {:?}",
                test.num_errors,
                answer.errors.len(),
                answer.errors
            ));
        }
        match test.outcome {
            Some(wanted) => self.check_outcome(&test.request, &entities, wanted),
            None => Ok(()),
        }
    }

    fn check_outcome(&self, asked: &Asked, entities: &Entities, wanted: Wanted) -> Result<(), String> {
        let outcome = self.outcome(asked, entities)?;
        let met = match wanted {
            Wanted::Permit => outcome == Outcome::Permit,
            Wanted::Review => outcome == Outcome::Review,
            Wanted::Deny => outcome == Outcome::Deny,
        };
        if met { Ok(()) } else { Err(format!("expected the outcome {wanted:?}, got {outcome:?}")) }
    }

    /// The three-way answer; an action without `approvals` in its context (`approve` itself) has only two.
    fn outcome(&self, asked: &Asked, entities: &Entities) -> Result<Outcome, String> {
        let Ok(real) = self.strict(&self.asked(asked, asked.context.clone())?, entities) else {
            return Ok(Outcome::Deny);
        };
        if real.allow {
            return Ok(Outcome::Permit);
        }
        let mut context = asked.context.clone();
        let Some(approvals) = context.get_mut("approvals") else { return Ok(Outcome::Deny) };
        let every = implied(self.every_quorum()).into_iter();
        *approvals = every.map(|quorum| json!({"__entity": {"type": "Quorum", "id": quorum.to_string()}})).collect();
        let lifted = self.strict(&self.asked(asked, context)?, entities);
        Ok(if lifted.is_ok_and(|lifted| lifted.allow) { Outcome::Review } else { Outcome::Deny })
    }

    fn asked(&self, asked: &Asked, context: Value) -> Result<Request, String> {
        let uid = |what: &str, text: &str| {
            text.parse::<EntityUid>().map_err(|error| format!("{what} `{text}`: {}", plain(&error)))
        };
        let schema = &self.world.schema;
        let action = uid("action", &asked.action)?;
        let context = self.without_incident(&action, context);
        let context = Context::from_json_value(context, Some((schema, &action)))
            .map_err(|error| format!("context: {}", plain(&error)))?;
        let (principal, resource) = (uid("principal", &asked.principal)?, uid("resource", &asked.resource)?);
        Request::new(principal, action, resource, context, Some(schema))
            .map_err(|error| format!("request: {}", plain(&error)))
    }

    /// A test that says nothing of an incident is about a moment without one.
    fn without_incident(&self, action: &EntityUid, mut context: Value) -> Value {
        let protocol = action.id().unescaped().split_once(':').map(|(protocol, _)| protocol);
        let sees = matches!(protocol, Some("sql" | "http" | "k8s" | "aws"));
        if let Some(fields) = context.as_object_mut().filter(|_| sees) {
            fields.entry("incident").or_insert(Value::Bool(false));
        }
        context
    }

    /// A policy file in Cedar's canonical layout, 100 columns wide; the text itself must parse.
    ///
    /// # Errors
    /// The parser's words.
    pub fn format(text: &str) -> Result<String, FormatError> {
        let problems = bounds::check(Place { file: "the text", text });
        if let Some(first) = problems.first() {
            return Err(FormatError(first.to_string()));
        }
        let config = Config { line_width: 100, indent_width: 2 };
        policies_str_to_pretty(text, &config).map_err(|report| FormatError(DetailedError::from(report).message))
    }
}

/// A text that cannot be formatted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policies cannot be formatted: {0}")]
pub struct FormatError(String);

/// An error with its causes, in one line.
fn plain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}
