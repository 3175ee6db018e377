//! The walk through the demo: allowed, refused, paused, recorded. Unattended, every step is also an assertion.

use std::io::BufRead;
use std::time::{Duration, Instant};

use xtask::process::wait_until;
use xtask::trouble::{Doing, Result, Trouble};

use super::Wishes;
use super::agent::Call;
use super::sample::DATABASE;
use super::world::World;
use crate::voice::{Tone, Voice};

const ANSWER_BOUND: Duration = Duration::from_secs(30);
/// As long as the gateway holds a call, and a little.
const CLICK_BOUND: Duration = Duration::from_secs(310);
const VERIFY_BOUND: Duration = Duration::from_secs(15);

const READ: &str = "SELECT id, name, credit_limit FROM customers ORDER BY id";
const UNBOUNDED: &str = "DELETE FROM customers";
const PROGRAM: &str = "COPY customers TO PROGRAM 'cat > /tmp/customers'";
const WRITE: &str = "/* reason: customer 3 paid in advance */ UPDATE customers SET credit_limit = 900 WHERE id = 3";
const CHECK: &str = "SELECT credit_limit FROM customers WHERE id = 3";
const BEFORE: &str = "200";
const AFTER: &str = "900";

pub(super) fn walk(world: &mut World, wishes: &Wishes, voice: Voice) -> Result<()> {
    links(world, voice);
    allowed(world, voice)?;
    refused(world, voice)?;
    let last_kind = paused(world, wishes, voice)?;
    recorded(world, last_kind, voice)?;
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
    voice.heading("2. Allowed: the agent reads");
    voice.say("The agent has an ordinary psql and its own key. It never sees the database's password.");
    voice.typed("coder", &world.agent.typed(READ));
    let answer = world.agent.ask(READ, ANSWER_BOUND, &world.sweeper)?;
    voice.quote(&answer.text);
    if !answer.ok || !answer.text.contains("customer 3") {
        xtask::fail!("the read was expected to pass");
    }
    voice.good("reads run at once, and the record has them");
    Ok(())
}

fn refused(world: &World, voice: Voice) -> Result<()> {
    voice.heading("3. Refused: what policy never lets through");
    for sql in [UNBOUNDED, PROGRAM] {
        voice.typed("coder", &world.agent.typed(sql));
        let answer = world.agent.ask(sql, ANSWER_BOUND, &world.sweeper)?;
        voice.quote(&answer.text);
        if answer.ok || !answer.text.contains("42501") {
            xtask::fail!("`{sql}` was expected to be refused with SQLSTATE 42501");
        }
    }
    if world.truth("SELECT count(*) FROM customers")? != "4" {
        xtask::fail!("a refused statement changed the table");
    }
    voice.good("refused in PostgreSQL's own words; no byte of either reached the database");
    Ok(())
}

/// Returns the kind of record that the last step leaves.
fn paused(world: &World, wishes: &Wishes, voice: Voice) -> Result<&'static str> {
    voice.heading("4. Paused: a write to production waits for a person");
    voice.typed("coder", &world.agent.typed(WRITE));
    let mut call = world.agent.send(WRITE, &world.sweeper)?;
    voice.quote(&call.until("NOTICE", ANSWER_BOUND)?);
    if world.truth(CHECK)? != BEFORE {
        xtask::fail!("the statement ran before anybody approved it");
    }
    let id = the_review(world)?;
    voice.waiting(&format!("psql hangs; the row is as it was. This is what reviewers of {id} see:"));
    let card = world.gateway.as_person(&world.people.dora_token, &["review", "show", &id])?;
    voice.quote(&card.success("`countersign review show`")?);
    owner_tries(world, &id, voice)?;
    if call.answered() {
        xtask::fail!("the statement was answered although only its owner had voted");
    }
    if wishes.auto {
        approve(world, &id, voice)?
    } else {
        invite(world, &id, voice)
    }
    outcome(world, call, wishes, voice)
}

fn the_review(world: &World) -> Result<String> {
    let open = world.gateway.open_reviews(&world.people.dora_token)?;
    match open.as_slice() {
        [id] => Ok(id.clone()),
        others => xtask::fail!("one open review was expected, there are {}", others.len()),
    }
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
    if world.truth(CHECK)? != BEFORE {
        xtask::fail!("the owner's refused approval released the statement");
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

fn outcome(world: &World, call: Call, wishes: &Wishes, voice: Voice) -> Result<&'static str> {
    let begun = Instant::now();
    let answer = call.answer(if wishes.auto { ANSWER_BOUND } else { CLICK_BOUND }, &world.sweeper)?;
    voice.say(&format!("\nThe very psql that was waiting says, after {:.1} s:", begun.elapsed().as_secs_f64()));
    voice.quote(&answer.text);
    let now = world.truth(CHECK)?;
    if answer.ok && answer.text.contains("UPDATE 1") && now == AFTER {
        voice.good("approved: it ran once, exactly as reviewed, with a password the agent never had");
        return Ok("action.outcome");
    }
    if wishes.auto || answer.ok || now != BEFORE {
        xtask::fail!("the approved statement was expected to change one row to {AFTER}; it is {now}");
    }
    voice.good("not approved: nothing ran, the row is as it was");
    Ok("review.closed")
}

fn recorded(world: &World, last_kind: &str, voice: Voice) -> Result<()> {
    voice.heading("5. Recorded: anyone can check it, offline");
    let data = world.dir.join("data");
    let data = data.to_string_lossy();
    let mut last = String::new();
    // Checkpoints are signed about every second: the last step is in the next one.
    let said = wait_until("a checkpoint that covers the last step", VERIFY_BOUND, || {
        let verified = world.gateway.as_person("", &["ledger", "verify", "--data", &data]).ok()?;
        last = format!("{}{}", verified.stdout, verified.stderr);
        (verified.ok() && last.contains(last_kind)).then(|| last.clone())
    });
    voice.typed("auditor", &format!("countersign ledger verify --data {data}"));
    voice.quote(&said.map_err(|trouble| Trouble(format!("{trouble}: {last}")))?);
    voice.good("every step above is a leaf of a signed Merkle log");
    Ok(())
}

fn stay(world: &World, voice: Voice) -> Result<()> {
    voice.heading("The demo stays up: try it yourself");
    voice.say(&format!("psql \"{}\"", world.agent.url()));
    voice.say(&format!("target {DATABASE}, console {}", world.gateway.url()));
    voice.waiting("press Enter (or Ctrl-C) to end it; everything is removed");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).doing("waiting for Enter").map(drop)
}
