//! How long one decision takes among so many policies: ours, a plain scan by Cedar, and regorus.
//!
//!     cargo run --release --manifest-path benches/Cargo.toml
//!
//! `facts ready` is the gateway's decision about a statement it has not seen before, on a connection it has: three-way,
//! with notes, by the index, the entities kept. `repeated` is the same statement again. The scan and regorus answer a
//! prepared question with the same policies, without anything around it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use cedar_policy::{Authorizer, Context, Entities, Entity, PolicySet, Request, RestrictedExpression as Value};
use countersign_core::action::ActionRequest;
use countersign_core::policy::{Circumstances, Decision, Memo, Quorum};

mod policies;

/// How long each figure is measured.
const MEASURE: Duration = Duration::from_millis(700);

fn main() -> Result<()> {
    println!("| policies | facts ready | from nothing | repeated | Cedar, full scan | regorus |");
    println!("|---|---|---|---|---|---|");
    for count in [20, 100, 300, 1_000, 3_000, 10_000] {
        let [ready, nothing, repeated] = ours(count)?;
        let (scan, rego) = (scan(count)?, rego(count)?);
        println!("| {count} | {ready:.1} | {nothing:.1} | {repeated:.2} | {scan:.1} | {rego:.1} |");
    }
    Ok(())
}

/// The median of the microseconds that a call takes, in batches that take long enough to be timed.
fn micros(mut call: impl FnMut()) -> f64 {
    let begun = Instant::now();
    call();
    let batch = (100_000 / begun.elapsed().as_nanos().max(1)).clamp(1, 1_000) as u32;
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < MEASURE || times.len() < 5 {
        let at = Instant::now();
        (0..batch).for_each(|_| call());
        times.push(at.elapsed() / batch);
    }
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / 1_000.0
}

fn ours(count: usize) -> Result<[f64; 3]> {
    let (bundle, people) = (policies::bundle(count)?, policies::people());
    let (described, payload) = policies::read();
    let request = ActionRequest::new(described, payload)?;
    let none = BTreeSet::new();
    let some = BTreeSet::from([Quorum { group: "any".to_owned(), count: 1 }]); // what was approved is never repeated
    let now = request.described().at;
    let with = |approvals| Circumstances { now, utc_offset_minutes: 0, approvals, break_glass: false, incident: false, people: &people };
    let permits = |decision: Decision| assert!(matches!(decision, Decision::Permit(_)), "{decision:?}");
    let mut memo = Memo::default();
    let ready = micros(|| permits(bundle.decide_again(&request, &with(&some), &mut memo)));
    let nothing = micros(|| permits(bundle.decide(request.described(), &with(&none))));
    let repeated = micros(|| permits(bundle.decide_again(&request, &with(&none), &mut memo)));
    Ok([ready, nothing, repeated])
}

fn scan(count: usize) -> Result<f64> {
    let set: PolicySet = policies::cedar(count).parse()?;
    let uid = |text: &str| text.parse().context("a uid");
    let (agent, database, action) =
        (uid("Agent::\"agent0\"")?, uid("Database::\"db0\"")?, uid("Action::\"sql:read\"")?);
    let group = uid("Group::\"team0\"")?;
    let entities = [
        Entity::new(agent, HashMap::new(), [group].into())?,
        Entity::with_uid(uid("Group::\"team0\"")?),
        Entity::with_uid(uid("Database::\"db0\"")?),
    ];
    let entities = Entities::from_entities(entities, None)?;
    let tables = Value::new_set(["orders", "customers"].map(|table| Value::new_string(table.to_owned())));
    let sql = Value::new_record(BTreeMap::from([("tables".to_owned(), tables)]))?;
    let context = Context::from_pairs([("sql".to_owned(), sql)])?;
    let request = Request::new(uid("Agent::\"agent0\"")?, action, database, context, None)?;
    let authorizer = Authorizer::new();
    Ok(micros(|| {
        let response = authorizer.is_authorized(&request, &set, &entities);
        assert_eq!(response.decision(), cedar_policy::Decision::Allow);
    }))
}

fn rego(count: usize) -> Result<f64> {
    let mut engine = regorus::Engine::new();
    engine.add_policy("bench.rego".to_owned(), policies::rego(count))?;
    engine.set_input_json(policies::REGO_INPUT)?;
    let mut ask = |rule: &str| engine.eval_rule(rule.to_owned());
    anyhow::ensure!(ask("data.gate.allow")?.as_set()?.len() == 1 && ask("data.gate.deny")?.as_set()?.is_empty());
    Ok(micros(|| {
        // a rule that was evaluated is kept until the input is set again
        let set = engine.set_input_json(policies::REGO_INPUT);
        black_box((set, engine.eval_rule("data.gate.deny".to_owned()), engine.eval_rule("data.gate.allow".to_owned())))
            .1
            .ok();
    }))
}
