//! Arbitrary policy text: loading answers with a bundle or with problems, and never panics.
//!
//! Everything is loaded in one file and, split at the first NUL, in two.

use countersign_core::policy::{Bundle, Source, Vocabulary};

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
    let sources = match text.split_once('\0') {
        Some((a, b)) => vec![source("a.cedar", a), source("b.cedar", b)],
        None => vec![source("a.cedar", text)],
    };
    match Bundle::load(sources.clone(), Vocabulary::starter()) {
        Ok(bundle) => {
            let again = Bundle::load(sources, Vocabulary::starter()).expect("what loads, loads again");
            assert_eq!(again.digest(), bundle.digest(), "the same texts have the same digest");
            assert!(bundle.policy_ids().any(|id| id == "core:no-self-approval"), "the compiled-in forbids are there");
        }
        Err(error) => drop(error.to_string()),
    }
}
