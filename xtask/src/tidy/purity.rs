//! The core has no runtime, clock, randomness, files or network: what it needs of them arrives as an argument.

use super::source::{blanked, line_of, without_tests};
use super::{Finding, Text};

const CORE: &str = "crates/core/src";
const IMPURE: [&str; 13] = [
    "tokio",
    "SystemTime::now",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "getrandom",
    "thread_rng",
    "Uuid::new_v4",
];

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let core = texts.iter().filter(|text| text.is_rust() && text.path.starts_with(CORE) && text.name() != "tests.rs");
    core.flat_map(check_text).collect()
}

fn check_text(text: &Text) -> Vec<Finding> {
    let code = blanked(without_tests(&text.text));
    let places = IMPURE.iter().flat_map(|word| code.match_indices(word).map(|(at, _)| (at, *word)).collect::<Vec<_>>());
    let message = |word| format!("`{word}` in the core: take the value as an argument from the caller");
    places.map(|(at, word)| Finding::new(&text.path, line_of(&code, at), message(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{messages, text};

    #[test]
    fn a_clock_in_the_core_is_found() {
        let code = "//! Never calls Utc::now.\nfn f() { Utc::now() }\n#[cfg(test)]\nmod tests { fn g() { std::fs::read(\"x\") } }";
        assert_eq!(
            messages(&check(&[text("crates/core/src/a.rs", code)])),
            ["crates/core/src/a.rs:2: `Utc::now` in the core: take the value as an argument from the caller",]
        );
    }

    #[test]
    fn elsewhere_it_is_allowed() {
        assert!(check(&[text("crates/gateway/src/a.rs", "fn f() { Utc::now() }")]).is_empty());
    }
}
