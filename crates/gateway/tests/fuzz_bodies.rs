//! The bodies of the fuzz targets as plain tests: every seed, and a bounded number of random changes to each.
//!
//! The bodies are those of `fuzz/src/bodies`, by path and not by copy; only libFuzzer is missing. So what a fuzzer once found
//! stays found, without building everything a second time with instruments in it. The body of
//! `pg_session` needs what is private to the protocol and runs among the unit tests.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code: an unexpected answer ends the test")]

use std::path::PathBuf;

#[expect(unreachable_pub, reason = "in the fuzz targets' crate they are reached from outside")]
#[path = "../../../fuzz/src/bodies/mod.rs"]
mod bodies;

use countersign::protocols::postgres::{describe, wire};
/// Where the bodies look for the gateway's modules.
use countersign::protocols::{aws, http as apis, kubernetes};
use countersign::relay;

/// Random changes to each seed.
const CHANGES: u64 = 150;
/// The same where one run takes tens of milliseconds.
const CHANGES_OF_SLOW: u64 = 8;
const SLOW: &[&str] = &["policy_load"];
/// The longest stretch of a seed that one change repeats.
const STRETCH_BYTES_MAX: usize = 64;

/// A small generator (xorshift64*): the same changes every time, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let word = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(word).unwrap() % end.max(1)
    }

    /// Changes a byte, cuts, repeats a stretch, or splices in a stretch of another seed.
    fn change(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(data.len());
        let end = data.len().min(at + 1 + self.below(STRETCH_BYTES_MAX));
        match self.below(5) {
            0 if !data.is_empty() => data[at] = u8::try_from(self.below(256)).unwrap(),
            1 if !data.is_empty() => data[at] ^= 1 << self.below(8),
            2 => drop(data.drain(at..end)),
            3 => {
                let stretch = data[at..end].to_vec();
                data.splice(at..at, stretch);
            }
            _ => {
                let from = self.below(other.len());
                let until = other.len().min(from + 1 + self.below(STRETCH_BYTES_MAX));
                data.splice(at..at, other[from..until].iter().copied());
            }
        }
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn check(target: &str, body: fn(&[u8])) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "`{target}` has no seeds");
    for (number, seed) in seeds.iter().enumerate() {
        body(seed);
        let changes = if SLOW.contains(&target) { CHANGES_OF_SLOW } else { CHANGES };
        for change in 0..changes {
            let mut random = Random((1 + change) << 16 | number as u64);
            let mut data = seed.clone();
            for _ in 0..=random.below(4) {
                let other = &seeds[random.below(seeds.len())];
                random.change(&mut data, other);
            }
            let panicked = std::panic::catch_unwind(|| body(&data)).is_err();
            assert!(!panicked, "`{target}`: seed {number}, change {change}: {}", data.escape_ascii());
        }
    }
}

/// One test for each body, on a stack that the describer takes without a thread of its own.
macro_rules! targets {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                let run = || check(stringify!($target), bodies::$target::body);
                let worker = std::thread::Builder::new().stack_size(describe::STACK_BYTES).spawn(run).unwrap();
                worker.join().unwrap();
            }
        )*

        const TARGETS: &[&str] = &[$(stringify!($target)),*];
    };
}

targets! { aws_describe http_describe json_values k8s_describe pg_describe pg_startup pg_wire_backend pg_wire_frontend policy_load record_leaf tlog_note }

/// Every folder of seeds belongs to a body that is run here, or among the unit tests.
#[test]
fn every_target_is_run() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "pg_session");
    names.sort();
    assert_eq!(names, TARGETS);
}
