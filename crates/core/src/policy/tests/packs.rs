//! The policy packs for protocols over HTTP, each with its own tests.

use super::*;

macro_rules! pack {
    ($name:literal) => {
        (
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/packs/", $name, ".cedar")),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/packs/tests/", $name, ".tests.json")),
        )
    };
}

#[test]
fn packs_pass_their_own_tests() {
    for (policies, tests) in [pack!("github"), pack!("aws"), pack!("vault")] {
        let results = bundle(policies).run_tests(tests).expect("a list of tests");
        let failures: Vec<_> = results.iter().filter(|result| result.failure.is_some()).collect();
        assert!(failures.is_empty(), "{failures:#?}");
        assert!(results.len() >= 10, "the file holds the tests");
        let formatted = Bundle::format(policies).expect("it parses");
        assert_eq!(formatted, policies, "run `countersign policy format`");
    }
}
