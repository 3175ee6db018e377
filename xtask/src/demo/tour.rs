//! The walk through the demo: allowed, refused, paused, rejected, recorded. Unattended, every step is also an assertion.

use std::io::BufRead;
use std::time::{Duration, Instant};

use xtask::process::wait_until;
use xtask::trouble::{Doing, Result, Trouble};

use super::Wishes;
use super::scene::{AFTER, ALL, BEFORE, Call};
use super::world::World;
use crate::voice::{Tone, Voice};

const ANSWER_BOUND: Duration = Duration::from_secs(30);
/// As long as the gateway holds a call, and a little.
const CLICK_BOUND: Duration = Duration::from_secs(310);
const VERIFY_BOUND: Duration = Duration::from_secs(15);
/// What the tour leaves at the least, the last step included: two reviews that were closed, three calls that were refused.
const LEFT: [(&str, u64); 2] = [("review.closed", 2), ("action.refused", 3)];

pub(super) fn walk(world: &mut World, wishes: &Wishes, voice: Voice) -> Result<()> {
    links(world, voice);
    allowed(world, voice)?;
    refused(world, voice)?;
    paused(world, wishes, voice)?;
    rejected(world, voice)?;
    recorded(world, voice)?;
    if wishes.auto {
        voice.heading("All of it went as it should.");
        return Ok(());
    }
    stay(world, voice)
}

fn links(world: &World, voice: Voice) {
    voice.heading("Open this beside the terminal");
    voice.say(&format!("Dora's console   {}", voice.paint(Tone::Strong, &world.people.dora_link)));
    voice.say("                 (signs in once, as dora; reviews appear there by themselves)");
}

fn allowed(world: &World, voice: Voice) -> Result<()> {
    let script = world.scene.script();
    voice.heading("2. Allowed: the agent reads");
    voice.say(script.introduction);
    world.scene.show(script.read, voice);
    let answer = world.scene.ask(script.read, ANSWER_BOUND, &world.sweeper)?;
    voice.quote(&answer.text);
    if !answer.ok || !answer.text.contains(script.read_shows) {
        xtask::fail!("the read was expected to pass");
    }
    voice.good("reads run at once, and the record has them");
    Ok(())
}

fn refused(world: &World, voice: Voice) -> Result<()> {
    let script = world.scene.script();
    voice.heading("3. Refused: what policy never lets through");
    let reached = world.scene.reached();
    for asked in script.refused {
        world.scene.show(asked, voice);
        let answer = world.scene.ask(asked, ANSWER_BOUND, &world.sweeper)?;
        voice.quote(&answer.text);
        if answer.ok || !answer.text.contains(script.refused_shows) {
            xtask::fail!("`{asked}` was expected to be refused with `{}`", script.refused_shows);
        }
    }
    intact(world, "something was removed by what was refused")?;
    if world.scene.reached() != reached {
        xtask::fail!("something that was refused reached what is behind the gateway");
    }
    voice.good(script.refused_words);
    Ok(())
}

fn intact(world: &World, otherwise: &str) -> Result<()> {
    let counts = world.scene.counts()?;
    if counts == ALL { Ok(()) } else { xtask::fail!("{otherwise}: {counts} are left") }
}

/// Sends what policy wants reviewed, and waits until it is. Returns the call that hangs and its review.
fn hanging(world: &World, asked: &str, voice: Voice) -> Result<(Call, String)> {
    let script = world.scene.script();
    world.scene.show(asked, voice);
    let mut call = world.scene.send(asked, &world.sweeper)?;
    if let Some(notice) = script.notice {
        voice.quote(&call.until(notice, ANSWER_BOUND)?);
    }
    let id = wait_until("the review", ANSWER_BOUND, || the_review(world))??;
    Ok((call, id))
}

fn the_review(world: &World) -> Option<Result<String>> {
    match world.gateway.open_reviews(&world.people.dora_token).map(<[String; 1]>::try_from) {
        Ok(Ok([id])) => Some(Ok(id)),
        Ok(Err(others)) if others.is_empty() => None,
        Ok(Err(others)) => Some(Err(Trouble(format!("one open review was expected, there are {}", others.len())))),
        Err(trouble) => Some(Err(trouble)),
    }
}

fn paused(world: &World, wishes: &Wishes, voice: Voice) -> Result<()> {
    let script = world.scene.script();
    voice.heading("4. Paused: a write to production waits for a person");
    let (mut call, id) = hanging(world, script.write, voice)?;
    if world.scene.credit_limit()? != BEFORE {
        xtask::fail!("the change was made before anybody approved it");
    }
    voice.waiting(&format!("{}. This is what reviewers of {id} see:", script.hangs));
    let card = world.gateway.as_person(&world.people.dora_token, &["review", "show", &id])?;
    voice.quote(&card.success("`countersign review show`")?);
    owner_tries(world, &id, voice)?;
    if call.answered() {
        xtask::fail!("the call was answered although only its owner had voted");
    }
    if wishes.auto {
        approve(world, &id, voice)?
    } else {
        invite(world, &id, voice)
    }
    outcome(world, call, wishes, voice)
}

fn owner_tries(world: &World, id: &str, voice: Voice) -> Result<()> {
    voice.say("\nAda owns this agent. She is a DBA, but nobody approves their own action:");
    voice.typed("ada", &format!("countersign review approve {id}"));
    let tried = world.gateway.as_person(&world.people.ada_token, &["review", "approve", id])?;
    let said = format!("{}{}", tried.stdout, tried.stderr);
    voice.quote(&said);
    if tried.ok() || !said.contains("self_approval") {
        xtask::fail!("the owner's approval was expected to be refused as `self_approval`");
    }
    if world.scene.credit_limit()? != BEFORE {
        xtask::fail!("the owner's refused approval released the change");
    }
    voice.good("refused, and the attempt is in the record");
    Ok(())
}

fn approve(world: &World, id: &str, voice: Voice) -> Result<()> {
    voice.say("\nDora is a DBA and has nothing to do with this agent:");
    voice.typed("dora", &format!("countersign review approve {id} --reason 'the payment is booked'"));
    let args = ["review", "approve", id, "--reason", "the payment is booked"];
    let said = world.gateway.as_person(&world.people.dora_token, &args)?.success("dora's approval")?;
    voice.quote(&said);
    Ok(())
}

fn invite(world: &World, id: &str, voice: Voice) {
    let (url, token) = (world.gateway.url(), &world.people.dora_token);
    voice.heading("Your turn: answer as dora");
    voice.say(&format!("in the console   {}", voice.paint(Tone::Strong, &world.people.dora_link)));
    voice.say("                 open the review and press Approve or Reject");
    voice.say("or in a terminal");
    voice.say(&format!("  export COUNTERSIGN_URL={url} COUNTERSIGN_TOKEN={token}"));
    voice.say(&format!("  target/debug/countersign review approve {id}"));
    voice.waiting("waiting for your answer (up to five minutes; Ctrl-C ends the demo and leaves nothing behind)");
}

fn outcome(world: &World, call: Call, wishes: &Wishes, voice: Voice) -> Result<()> {
    let script = world.scene.script();
    let begun = Instant::now();
    let answer = call.answer(if wishes.auto { ANSWER_BOUND } else { CLICK_BOUND }, &world.sweeper)?;
    let seconds = begun.elapsed().as_secs_f64();
    voice.say(&format!("\nThe very {} that was waiting says, after {seconds:.1} s:", script.caller));
    voice.quote(&answer.text);
    let now = world.scene.credit_limit()?;
    if answer.ok && answer.text.contains(script.write_shows) && now == AFTER {
        voice.good(&format!("approved: it ran once, exactly as reviewed, with {}", script.secret));
        return Ok(());
    }
    if wishes.auto || answer.ok || now != BEFORE {
        xtask::fail!("the approved change was expected to make the limit {AFTER}; it is {now}");
    }
    voice.good("not approved: nothing ran, the credit limit is as it was");
    Ok(())
}

fn rejected(world: &World, voice: Voice) -> Result<()> {
    const REASON: &str = "the customer still wants it";
    voice.heading("5. Rejected: the answer may be no");
    let (call, id) = hanging(world, world.scene.script().rejected, voice)?;
    voice.typed("dora", &format!("countersign review reject {id} --reason '{REASON}'"));
    let args = ["review", "reject", &id, "--reason", REASON];
    voice.quote(&world.gateway.as_person(&world.people.dora_token, &args)?.success("dora's rejection")?);
    let answer = call.answer(ANSWER_BOUND, &world.sweeper)?;
    voice.say("\nThe agent reads why:");
    voice.quote(&answer.text);
    if answer.ok || !answer.text.contains(REASON) {
        xtask::fail!("what was rejected was expected to be refused, with dora's reason");
    }
    intact(world, "what was rejected was done all the same")?;
    voice.good("nothing was removed");
    Ok(())
}

fn recorded(world: &World, voice: Voice) -> Result<()> {
    voice.heading("6. Recorded: anyone can check it, offline");
    let data = world.dir.join("data");
    let data = data.to_string_lossy();
    let mut last = String::new();
    // Checkpoints are signed about every second: the last step is in the next one.
    let said = wait_until("a checkpoint that covers the last step", VERIFY_BOUND, || {
        let verified = world.gateway.as_person("", &["ledger", "verify", "--data", &data]).ok()?;
        last = format!("{}{}", verified.stdout, verified.stderr);
        let whole = LEFT.iter().all(|(kind, least)| counted(&last, kind) >= *least);
        (verified.ok() && whole).then(|| last.clone())
    });
    voice.typed("auditor", &format!("countersign ledger verify --data {data}"));
    voice.quote(&said.map_err(|trouble| Trouble(format!("{trouble}: {last}")))?);
    voice.good("every step above is a leaf of a signed Merkle log");
    Ok(())
}

/// How many records of a kind the verifier found.
fn counted(said: &str, kind: &str) -> u64 {
    let of = |line: &str| line.trim().strip_suffix(kind)?.trim().parse().ok();
    said.lines().find_map(of).unwrap_or(0)
}

fn stay(world: &World, voice: Voice) -> Result<()> {
    voice.heading("The demo stays up: try it yourself");
    voice.say(&world.scene.invitation());
    voice.say(&format!("target {}, console {}", world.scene.script().target, world.gateway.url()));
    voice.waiting("press Enter (or Ctrl-C) to end it; everything is removed");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).doing("waiting for Enter").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_by_kind() {
        let said = "VERIFIED 9 records\n         2  review.closed\n        13  action.refused\n";
        let check = |kind, expected| assert_eq!(counted(said, kind), expected, "{kind}");
        check("review.closed", 2);
        check("action.refused", 13);
        check("action.intent", 0);
    }
}
