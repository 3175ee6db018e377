//! Random scripts, and the scripts that the fuzzer found worth keeping.

use std::path::PathBuf;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, ..ProptestConfig::default() })]

    #[test]
    fn the_session_machine_follows_the_server(script in proptest::collection::vec(any::<u8>(), 0..160)) {
        super::run(&script);
    }
}

#[test]
fn the_session_machine_follows_every_seed() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/pg_session");
    let seeds: Vec<_> = std::fs::read_dir(dir).expect("seeds").map(|entry| entry.expect("a seed").path()).collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        super::run(&std::fs::read(seed).expect("a seed"));
    }
}
