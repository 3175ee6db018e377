//! `countersign review watch`: deciding with a key in a real terminal, and each change as a line.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use xtask::process::wait_until;

use crate::harness::terminal::Terminal;
use crate::harness::{Plan, SOON, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";

#[test]
fn a_key_approves_what_is_on_the_screen() {
    let world = World::start();
    let mut terminal = Terminal::start(&world, world.dora().token(), "review watch --notify desktop");
    terminal.until("Nothing waits for a review.");
    let (mut call, review) = world.paused(WRITE);
    let list = terminal.until("1 open, 1 awaits you");
    assert!(list.contains("UPDATE customers"), "{list}");
    assert!(terminal.was_sent(b"\x1b]9;"), "the terminal is asked to tell");
    terminal.press("\r");
    let card = terminal.until("the end is in sight");
    assert!(card.contains(review.id()) && card.contains(WRITE), "{card}");
    terminal.press("a");
    terminal.until("Approve: why");
    assert!(!call.answered(), "a key alone decides nothing");
    terminal.press("seen\r");
    terminal.until("approved: ");
    assert_eq!(call.outcome().rows(), 1);
    let vote = world.dora().review(review.id()).0["votes"][0].clone();
    assert_eq!((vote["person"].as_str(), vote["reason"].as_str()), (Some("dora"), Some("seen")));
    terminal.press("qq");
    assert!(terminal.ended().success());
}

/// The owner of the agent sees the review and why it is not theirs to decide.
#[test]
fn nobody_approves_their_own_there() {
    let world = World::start();
    let (mut call, review) = world.paused(WRITE);
    let mut terminal = Terminal::start(&world, world.ada().token(), "review watch --notify off");
    terminal.until("1 open, 0 await you");
    terminal.press("\ra");
    terminal.until("Nobody approves their own action");
    terminal.press("r\r");
    assert!(!call.answered());
    world.dora().reject(&review, "not now").ok();
    terminal.until("rejected");
    call.outcome().refused("42501");
}

/// A gateway that is away is said to be, and its reviews are there again when it is back.
#[test]
fn it_comes_back_with_the_gateway() {
    let mut world = World::start();
    let terminal = Terminal::start(&world, world.dora().token(), "review watch --notify off");
    terminal.until("Nothing waits for a review.");
    world.gateway.stop();
    terminal.until("does not answer");
    world.gateway.start();
    let (_call, _review) = world.paused(WRITE);
    let screen = terminal.until("1 open, 1 awaits you");
    assert!(!screen.contains("does not answer"), "{screen}");
}

#[test]
fn programs_get_a_line_a_change() {
    let world = Plan::default().short_reviews().start();
    let output = world.dir.join("watch.out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["review", "watch", "--json"]).stdin(Stdio::null()).current_dir("/");
    command.env("COUNTERSIGN_URL", world.gateway.url()).env("COUNTERSIGN_TOKEN", world.dora().token());
    let mut child = command.stdout(std::fs::File::create(&output).unwrap()).spawn().unwrap();
    world.sweeper.watch(child.id());
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&output).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let told = |event: &str| lines().into_iter().find(|line| line["event"] == event);
    let (_call, review) = world.paused(WRITE);
    let opened = wait_until("it is told", SOON, || told("opened")).unwrap();
    assert_eq!(opened["review"]["id"], review.id());
    let closed = wait_until("its end is told", Duration::from_secs(60), || told("closed")).unwrap();
    assert_eq!((&closed["review"]["id"], &closed["review"]["state"]), (&review.id().into(), &"expired".into()));
    child.kill().unwrap();
    child.wait().unwrap();
    let refused = world.gateway.as_person("nonsense", &["review", "watch"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("unauthenticated"), "{}", refused.stderr);
}
