//! Plans, and the facts they take for granted. The solver's own tests are the gateway's.

use cedar_policy::{Authorizer, Decision as CedarDecision, PolicySet};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::decide::Message;
use super::super::tests::{STARTER, bundle, circumstances, message, people, quorums, source, starter_and, statement};
use super::super::{Bundle, Vocabulary};
use super::*;
use crate::action::impact::Impact;
use crate::action::sql::SqlClass;
use crate::action::{Environment as TargetEnvironment, Sensitivity};

fn refused(text: &str, expected: &str) {
    let error = bundle(STARTER).invariants(&[source("i.cedar", text)]).expect_err(text);
    let problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:?}");
}

#[test]
fn invariants_are_told_apart_from_policies() {
    refused("@id(\"x\") forbid (principal, action, resource);", "@invariant");
    refused("@id(\"x\") @invariant(\"always\") forbid (principal, action, resource);", "never");
    refused("@invariant(\"never\") forbid (principal, action, resource);", "@id");
    refused("@id(\"x\") @invariant(\"never\") permit (principal, action, resource);", "`forbid`");
    refused("@id(\"core:x\") @invariant(\"never\") forbid (principal, action, resource);", "compiled in");
    refused("@id(\"x\") @invariant(\"never\") @review(\"y\") forbid (principal, action, resource);", "@review");
    let twice = "@id(\"x\") @invariant(\"never\") forbid (principal, action, resource);\n";
    refused(&format!("{twice}{twice}"), "already used");
    refused("@id(\"x\") @invariant(\"never\") forbid (principal == ?principal, action, resource);", "templates");
    refused("@id(\"x\") @invariant(\"never\") forbid (principal in Group::\"dbba\", action, resource);", "dbba");
    refused("@id(\"x\") @invariant(\"never\") forbid (principal, action, resource) when { 1 == 2 };", "");
    let text = "@id(\"x\") @invariant(\"never\") forbid (principal, action, resource);";
    let error = Bundle::load(vec![source("policy.cedar", text)], Vocabulary::starter()).expect_err("is no policy");
    assert!(error.to_string().contains("@invariant"), "{error}");
}

#[test]
fn a_plan_holds_what_is_compiled_in_and_what_is_written() {
    let bundle = bundle(STARTER);
    let text = "@id(\"mine\") @invariant(\"never\") forbid (principal, action == Action::\"sql:admin\", resource);";
    let invariants = bundle.invariants(&[source("i.cedar", text)]).expect("valid");
    let plan = Plan::new(&bundle, &invariants, &[]).expect("a plan");
    let ids: Vec<&str> = plan.goals().iter().map(|goal| goal.id.as_str()).collect();
    let core = ["core:own-action", "core:own-agent", "core:suspended", "core:outsider"];
    assert_eq!(ids, [&core[..], &["mine", "core:no-errors", "core:monotone", "core:default-deny"]].concat());
    for goal in plan.goals() {
        assert!(!goal.checks.is_empty() && goal.obstacle.is_none(), "{}", goal.id);
    }
    // three kinds of principal, one action
    assert_eq!(plan.goals()[4].checks.len(), 3);
    assert_eq!(plan.goals()[4].origin, Origin::File("i.cedar".to_owned()));
    let all = plan.environments().len();
    assert_eq!(plan.goals()[6].checks.len(), all);
    let error = Plan::new(&bundle, &invariants, &["nowhere".to_owned()]).expect_err("no such policy");
    assert_eq!(error.to_string(), "there is no policy `nowhere`");
}

/// Where approvals may be reached in a way that is not rewritten, monotony is not claimed.
#[test]
fn a_policy_that_uses_the_whole_context_is_an_obstacle() {
    let bundle = starter_and(
        "@id(\"whole\") forbid (principal, action, resource) when { [context].contains(context) && context.time.hour == 3 };",
    );
    let plan = Plan::new(&bundle, &[], &[]).expect("a plan");
    let obstacles: Vec<&str> = plan.goals().iter().filter_map(|goal| goal.obstacle.as_deref()).collect();
    assert!(matches!(obstacles[..], [one] if one.contains("`whole`")), "{obstacles:?}");
}

#[test]
fn bundles_of_different_groups_are_not_compared() {
    let other = Vocabulary::new(["dba".to_owned()].into(), 2).expect("a vocabulary");
    let permit = "@id(\"p\") permit (principal, action, resource is Database);";
    let (one, other) = (bundle(permit), Bundle::load(vec![source("p.cedar", permit)], other).expect("valid"));
    assert!(matches!(Plan::against(&one, &other), Err(PlanError::Schemas)));
    let same = Plan::against(&one, &one).expect("a plan");
    let asked = |goal: &&Goal| goal.checks.iter().any(|check| !same.is_settled(check));
    // of databases: six actions of three kinds of principals
    assert_eq!((same.goals().len(), same.goals().iter().filter(asked).count()), (75, 18));
}

fn impacts() -> impl Strategy<Value = Impact> {
    (any::<bool>(), any::<Option<u64>>(), any::<Option<u64>>()).prop_map(|(known, rows, rows_max)| Impact {
        known,
        rows,
        rows_max,
        ..Impact::default()
    })
}

/// However many groups there are, what is given stays shallow enough for Cedar's parser and evaluator.
#[test]
fn many_groups_make_no_deep_condition() {
    let groups = (0..256).map(|n| format!("group-{n}")).collect();
    let vocabulary = Vocabulary::new(groups, 5).expect("a vocabulary");
    let text = facts::text(&vocabulary.quorums().collect());
    assert!(text.parse::<PolicySet>().is_ok());
    let depth = text.chars().scan(0_i32, |depth, c| {
        *depth += i32::from(c == '(') - i32::from(c == ')');
        Some(*depth)
    });
    assert!(depth.max().is_some_and(|deepest| deepest < 20));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// What proofs take for granted holds of every question the gateway really asks.
    #[test]
    fn the_given_facts_hold(
        class in select(vec![SqlClass::Read, SqlClass::Session, SqlClass::Write, SqlClass::Ddl, SqlClass::Admin, SqlClass::Opaque]),
        approvals in subsequence(vec!["dba:1", "dba:2", "dba:5", "sre:1", "sre:2", "security:3", "any:1", "any:4"], 0..=8),
        impact in impacts(),
        seconds in -4_000_000_000_i64..8_000_000_000,
        utc_offset_minutes in -1_000_i32..1_000,
        sensitivity in select(vec![Sensitivity::None, Sensitivity::Low, Sensitivity::Medium, Sensitivity::High]),
        has_where in any::<bool>(),
    ) {
        let bundle = bundle("@id(\"p\") permit (principal, action, resource);");
        let mut described = message(vec![statement(class, "VERB")], TargetEnvironment::Production);
        described.impact = impact;
        std::sync::Arc::make_mut(&mut described.target).sensitivity = sensitivity;
        if let crate::action::Facts::Sql(facts) = std::sync::Arc::make_mut(&mut described.facts) {
            facts.statements[0].has_where = has_where;
        }
        let (approvals, people) = (quorums(&approvals), people());
        let now = crate::action::Timestamp::from_seconds(seconds);
        let circumstances = super::super::Circumstances { now, utc_offset_minutes, ..circumstances(&approvals, &people) };
        let mentioned = bundle.vocabulary().quorums().collect();
        let given: PolicySet = facts::text(&mentioned).parse().expect("it is a policy");
        let entities = bundle.world.for_action(&described, &people).expect("everybody is known");
        let message = Message::new(&bundle, &described, &circumstances, &entities).expect("it can be asked");
        for ask in message.asks() {
            let request = message.request(ask, &super::super::vocabulary::implied(&approvals)).expect("it fits the schema");
            let answer = Authorizer::new().is_authorized(&request, &given, &entities);
            prop_assert_eq!(answer.decision(), CedarDecision::Allow, "{:?}", answer.diagnostics().errors().collect::<Vec<_>>());
        }
    }
}
