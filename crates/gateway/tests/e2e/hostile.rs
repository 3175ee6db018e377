//! A client that sends nothing but hostile statements costs others little, and the gateway a bounded amount of memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::World;
use crate::harness::raw::Raw;

/// Length of a hostile statement: as long as one may be.
const BYTES: usize = 1024 * 1024 - 64;
/// Reads of another client that are timed.
const READS: usize = 60;
/// The longest that one of them may take. Alone it takes milliseconds; a machine may be busy with other tests.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// The longest that the hostile client itself waits for one of its answers.
const PATIENCE: Duration = Duration::from_secs(300);
/// Most memory that the gateway may ever have had, in KiB: an unoptimised build included.
const MEMORY_KIB_MAX: u64 = 1_500_000;

fn filled(open: &str, unit: &str, close: &str) -> String {
    format!("{open}{}{close}", unit.repeat((BYTES - open.len() - close.len()) / unit.len()))
}

fn hostile() -> Vec<String> {
    let numbered = |count: usize, text: &dyn Fn(usize) -> String| (0..count).map(text).collect::<String>();
    vec![
        filled("SELECT 1", "/**/", ""),
        filled("SELECT 1", "+", ""),
        filled("SELECT ", "a,", "a"),
        filled("SELECT ", "a[1],", "a"),
        filled("SELECT a WHERE ", "a OR ", "a"),
        filled("SELECT 1 IN (", "1,", "1)"),
        filled("SELECT ", "(", ""),
        filled("", "SELECT 1;", ""),
        format!("SELECT {}a", "a, ".repeat(69_000)),
        format!("SELECT {}1", numbered(100_000, &|n| format!("${}, ", n % 65_535 + 1))),
        format!("SELECT 1 FROM {}a", numbered(20_000, &|n| format!("t{n}, "))),
        numbered(900, &|n| format!("SELECT * FROM t{n};")),
    ]
}

/// The delay of each read that another client does, while `work` goes on.
fn delays(world: &World, reads: impl Iterator<Item = String>) -> Vec<Duration> {
    let mut raw = Raw::login(world);
    let mut delays: Vec<Duration> = reads
        .map(|sql| {
            let began = Instant::now();
            let replies = raw.simple(&sql);
            assert!(replies.iter().all(|reply| reply.0 != 'E'), "{sql}: {replies:?}");
            began.elapsed()
        })
        .collect();
    delays.sort();
    delays
}

#[test]
fn others_are_served_beside_hostile_statements() {
    let world = World::start();
    let over = AtomicBool::new(false);
    let again = || (0..READS).map(|_| "SELECT count(*) FROM customers".to_owned());
    let new = || (0..READS).map(|n| format!("SELECT 'read {n}', count(*) FROM customers"));
    let alone = (delays(&world, again()), delays(&world, new()));
    let (mut sent, mut beside) = (0, (Vec::new(), Vec::new()));
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| {
            let (mut raw, mut sent) = (Raw::login(&world).patient(PATIENCE), 0);
            for sql in hostile().iter().cycle() {
                let replies = raw.simple(sql);
                assert!(replies.iter().any(|reply| reply.0 == 'E'), "{}", &sql[..40]);
                sent += 1;
                if over.load(Ordering::Relaxed) && sent >= hostile().len() {
                    return sent;
                }
            }
            sent
        });
        beside = (delays(&world, again()), delays(&world, new()));
        over.store(true, Ordering::Relaxed);
        sent = attack.join().unwrap();
    });
    let shown = |delays: &[Duration]| format!("median {:?}, longest {:?}", delays[READS / 2], delays[READS - 1]);
    eprintln!("the same read: alone {}; beside {sent} hostile statements {}", shown(&alone.0), shown(&beside.0));
    eprintln!("a new read: alone {}; beside them {}", shown(&alone.1), shown(&beside.1));
    assert!(beside.0[READS - 1] < DELAY_MAX && beside.1[READS - 1] < DELAY_MAX, "{beside:?}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.gateway.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    eprintln!("peak memory {peak} KiB");
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
}
