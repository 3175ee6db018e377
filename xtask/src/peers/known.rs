//! The differences that are known and meant: `xtask/peers/known.json`, each test by its name, each with a reason.

use std::collections::BTreeMap;

use serde_json::Value;
use xtask::repository;
use xtask::trouble::{Doing, Result};

/// Reasons by suite and test.
#[derive(Debug, Default)]
pub(super) struct Known {
    tests: BTreeMap<(String, String), String>,
}

impl Known {
    pub(super) fn load() -> Result<Self> {
        let path = repository().join("xtask/peers/known.json");
        let text = std::fs::read_to_string(&path).doing(format!("reading {}", path.display()))?;
        Self::parse(&text)
    }

    /// `{"reasons": {KEY: WORDS}, "tests": {SUITE: {KEY: [TEST, …]}}}`
    pub(super) fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).doing("reading the known differences")?;
        let mut tests = BTreeMap::new();
        for (suite, reasons) in value["tests"].as_object().into_iter().flatten() {
            for (key, names) in reasons.as_object().into_iter().flatten() {
                let words = value["reasons"][key].as_str().doing(format!("the reason `{key}` has no words"))?;
                for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    tests.insert((suite.clone(), name.to_owned()), words.to_owned());
                }
            }
        }
        Ok(Self { tests })
    }

    /// Why a test ends otherwise through the gateway, if that is meant.
    pub(super) fn reason(&self, suite: &str, test: &str) -> Option<&str> {
        self.tests.get(&(suite.to_owned(), test.to_owned())).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_in_the_repository_can_be_read() {
        Known::load().unwrap();
    }

    #[test]
    fn a_reason_without_words_is_an_error() {
        assert!(Known::parse(r#"{"reasons":{},"tests":{"x":{"r":["a"]}}}"#).is_err());
    }
}
