//! Claims are refuted where a bad policy was planted, and proved where none is: with the real solver.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use countersign_core::policy::{Bundle, Source, Vocabulary};
use serde_json::json;

use super::*;

const STARTER: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/starter.cedar"));
const INVARIANTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/invariants/starter.cedar"));
const LIMITS: Limits = Limits { goal: Duration::from_secs(60), run: Duration::from_secs(300) };

fn bundle(text: &str) -> Bundle {
    let source = Source { name: "planted.cedar".to_owned(), text: text.to_owned() };
    Bundle::load(vec![source], Vocabulary::starter()).expect("the policies are valid")
}

fn plan(bundle: &Bundle, without: &[&str]) -> Arc<Plan> {
    let source = Source { name: "starter.cedar".to_owned(), text: INVARIANTS.to_owned() };
    let invariants = bundle.invariants(&[source]).expect("the invariants are valid");
    let without: Vec<String> = without.iter().map(|id| (*id).to_owned()).collect();
    Arc::new(Plan::new(bundle, &invariants, &without).expect("a plan"))
}

/// The same with one goal.
fn only(plan: Arc<Plan>, goal: &str) -> Arc<Plan> {
    let plan = Arc::into_inner(plan).expect("nobody else has it");
    Arc::new(plan.only(goal).expect("it is a goal"))
}

fn cvc5() -> PathBuf {
    find(None).expect("cvc5 is needed; `cargo xtask test` installs it")
}

/// What came of each goal, in order.
fn verdicts(plan: &Arc<Plan>, solver: PathBuf, limits: Limits) -> Vec<(String, Verdict)> {
    let (mut told, work) = start(plan.clone(), solver, limits).expect("it starts");
    let mut all = Vec::new();
    while let Some(event) = told.blocking_recv() {
        if let Event::Finished { goal, verdict, .. } = event {
            assert_eq!(goal, all.len());
            all.push((plan.goals()[goal].id.clone(), verdict));
        }
    }
    work.join().expect("it ends");
    all
}

/// The goals that are refuted; none may be left open.
fn refuted_in(plan: &Arc<Plan>) -> BTreeMap<String, Counterexample> {
    let mut refuted = BTreeMap::new();
    for (id, verdict) in verdicts(plan, cvc5(), LIMITS) {
        match verdict {
            Verdict::Proved => {}
            Verdict::Refuted(found) => drop(refuted.insert(id, *found)),
            Verdict::NotProved(why) => panic!("{id}: {why}"),
        }
    }
    refuted
}

/// Runs a counterexample as a policy test: the decision point itself must answer so.
fn holds_for_real(bundle: &Bundle, found: &Counterexample, decision: &str, reasons: &[&str]) {
    let errors = found.errors.len();
    let test = json!([{"name": "counterexample", "request": found.request, "entities": found.entities,
        "decision": decision, "reason": reasons, "num_errors": errors}]);
    let results = bundle.run_tests(&test.to_string()).expect("it is a test");
    assert_eq!(results[0].failure, None, "{found:#?}");
}

/// The starter policies with one text in the place of another, which must be there.
fn planted(from: &str, to: &str) -> String {
    assert!(STARTER.contains(from), "{from}");
    STARTER.replacen(from, to, 1)
}

#[test]
fn the_starter_policies_are_proved() {
    let plan = plan(&bundle(STARTER), &[]);
    assert_eq!(refuted_in(&plan), BTreeMap::new());
}

/// Every claim can fail: for each a policy is planted that breaks it, and what the solver finds is so for real.
#[test]
fn every_claim_is_refuted_where_it_is_broken() {
    let one_dba = "unless { context.approvals.contains(Quorum::\"dba:1\") }";
    let two_dbas = "unless { context.approvals.contains(Quorum::\"dba:2\") }";
    let add = |text: &str| format!("{STARTER}\n{text}");
    let change = |unless: &str| format!("action == Action::\"gate:change\",\n  resource\n)\n{unless}");
    let changed = [
        (
            "agents-write-to-production-only-approved",
            planted(one_dba, "unless { context.approvals.contains(Quorum::\"dba:1\") || context.sql.verb != \"\" }"),
        ),
        ("agents-write-to-production-only-approved", planted(one_dba, "unless { context.time.hour == 3 }")),
        ("schema-changes-have-two-dbas", planted(two_dbas, one_dba)),
        ("rules-change-by-two-dbas", planted(&change(two_dbas), &change(one_dba))),
        (
            "no-writes-to-every-row",
            planted(
                "when { !context.sql.hasWhere }",
                "when { context.sql.verb == \"DELETE\" && !context.sql.hasWhere }",
            ),
        ),
        ("nothing-for-the-suspended", planted("context.onBehalfOf.suspended ||", "")),
        ("chat-is-not-enough-for-the-sensitive", planted("!resource.admin &&", "")),
        (
            "core:monotone",
            add(
                "@id(\"x\") forbid (principal, action == Action::\"sql:read\", resource) when { context.approvals.contains(Quorum::\"sre:1\") };",
            ),
        ),
    ];
    let mut seen = BTreeSet::from(["core:default-deny".to_owned()]); // no policy file can break it; see core's tests
    for (goal, text) in changed {
        let bundle = bundle(&text);
        let found = refuted_in(&only(plan(&bundle, &[]), goal));
        holds_for_real(&bundle, found.get(goal).expect(goal), "allow", &[]);
        seen.extend(found.into_keys());
    }
    let failing_text = "@id(\"x\") forbid (principal, action == Action::\"sql:read\", resource) when { context.impact.records + 1 > 5 };";
    let found = refuted_in(&only(plan(&bundle(&add(failing_text)), &[]), "core:no-errors"));
    let overflow = found.get("core:no-errors").expect("it overflows");
    assert!(overflow.errors[0].contains("overflow"), "{overflow:#?}");
    holds_for_real(&self::bundle(failing_text), overflow, "deny", &[]); // no other policy has a say there
    seen.extend(found.into_keys());

    let bundle = bundle(STARTER);
    let absent = [
        ("core:no-self-approval", "core:own-action"),
        ("core:not-the-agents-owner", "core:own-agent"),
        ("core:live-person", "core:suspended"),
        ("core:member-of-the-quorum", "core:outsider"),
    ];
    for (policy, goal) in absent {
        let found = refuted_in(&only(plan(&bundle, &[policy]), goal));
        holds_for_real(&bundle, found.get(goal).expect(goal), "deny", &[policy]);
        seen.extend(found.into_keys());
    }
    let admin = add("@id(\"x\") permit (principal, action, resource is Database);");
    let admin = plan(&self::bundle(&admin), &["no-server-administration"]);
    let found = refuted_in(&only(admin, "no-administration"));
    seen.extend(found.into_keys());
    let all: BTreeSet<String> = plan(&bundle, &[]).goals().iter().map(|goal| goal.id.clone()).collect();
    assert_eq!(seen, all);
}

/// A claim that can never apply is not proved, and neither is one that cannot be put to the solver.
#[test]
fn a_claim_about_nothing_is_not_proved() {
    let bundle = bundle(STARTER);
    let text = "@id(\"idle\") @invariant(\"never\") forbid (principal, action == Action::\"sql:read\", resource) \
                when { context.time.hour > 23 };";
    let source = Source { name: "idle.cedar".to_owned(), text: text.to_owned() };
    let invariants = bundle.invariants(&[source]).expect("valid");
    let plan = Arc::new(Plan::new(&bundle, &invariants, &[]).expect("a plan"));
    let all = verdicts(&plan, cvc5(), LIMITS);
    let idle = all.iter().find(|(id, _)| id == "idle").expect("a goal");
    assert_eq!(idle.1, Verdict::NotProved("it speaks of no situation that can occur".to_owned()));
}

#[test]
fn what_a_bundle_permits_more_is_found() {
    let old = bundle(STARTER);
    let lifted = "unless { context.approvals.contains(Quorum::\"dba:1\") || context.breakGlass }";
    let new = bundle(&planted("unless { context.approvals.contains(Quorum::\"dba:1\") }", lifted));
    let more = refuted_in(&Arc::new(Plan::against(&new, &old).expect("a plan")));
    assert_eq!(more.len(), 3, "people, agents, jobs: {more:#?}");
    for (kind, found) in &more {
        assert!(kind.contains("sql:write"), "{kind}");
        assert!(found.facts.iter().any(|fact| fact.name == "context.breakGlass" && fact.value == "true"), "{found:#?}");
        holds_for_real(&new, found, "allow", &[]);
        holds_for_real(&old, found, "deny", &["production-write"]);
    }
    assert_eq!(refuted_in(&Arc::new(Plan::against(&old, &new).expect("a plan"))), BTreeMap::new());
}

fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("solver");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it is written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is made executable");
    path
}

#[test]
fn a_solver_that_is_none_proves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = plan(&bundle(STARTER), &[]);
    for text in ["exit 3", "echo unknown", "echo '(error \"no\")'; cat >/dev/null", "echo sat; echo nonsense; exec cat"]
    {
        for (id, verdict) in verdicts(&plan, script(folder.path(), text), LIMITS) {
            // a forbid of the very situation: the compiler sees it, and has nothing to ask
            let plain = ["core:default-deny", "no-administration"].contains(&id.as_str());
            let proved = plain && verdict == Verdict::Proved;
            assert!(proved || matches!(verdict, Verdict::NotProved(_)), "{text}: {id}: {verdict:?}");
        }
    }
    let (_, first) = verdicts(&plan, folder.path().to_owned(), LIMITS).swap_remove(0);
    assert!(matches!(&first, Verdict::NotProved(why) if why.contains("cannot be used")), "{first:?}");
}

/// A process that has been waited for is gone, not a zombie.
fn gone(pids: &Path) {
    let pids = std::fs::read_to_string(pids).expect("it was started");
    for pid in pids.lines() {
        let alive = std::process::Command::new("kill").args(["-0", pid]).output().expect("it runs").status.success();
        assert!(!alive, "{pid}");
    }
}

#[test]
fn a_solver_that_takes_too_long_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let pids = folder.path().join("pids");
    let solver = script(folder.path(), &format!("echo $$ >>{}; exec sleep 1000", pids.display()));
    let limits = Limits { goal: Duration::from_millis(300), run: Duration::from_secs(2) };
    let begun = Instant::now();
    let all = verdicts(&plan(&bundle(STARTER), &[]), solver.clone(), limits);
    let mut asked = all.iter().filter(|(goal, _)| *goal != "core:default-deny"); // that one needs no solver
    assert!(asked.all(|(_, verdict)| *verdict == Verdict::NotProved(TOO_LONG.to_owned())), "{all:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));
    gone(&pids);

    let (told, work) = start(plan(&bundle(STARTER), &[]), solver, LIMITS).expect("it starts");
    let before = std::fs::read_to_string(&pids).expect("it is there").lines().count();
    while std::fs::read_to_string(&pids).expect("it is there").lines().count() == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(told);
    work.join().expect("it ends");
    gone(&pids);
}
