//! Properties that hold for any policies of the usual form, and any approvals.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// Quorums to build policies and approvals of.
const TOKENS: [&str; 8] = ["dba:1", "dba:2", "sre:1", "sre:2", "security:1", "any:1", "any:2", "any:3"];

/// A forbid over a few quorums, in one of the forms people write.
fn requirement() -> impl Strategy<Value = String> {
    let tokens = subsequence(TOKENS.to_vec(), 1..=3);
    (tokens, select(vec!["containsAll", "containsAny"]), select(vec!["sql:write", "sql:ddl"])).prop_map(
        |(tokens, how, action)| {
            let list: Vec<String> = tokens.iter().map(|token| format!("Quorum::\"{token}\"")).collect();
            format!(
                "forbid (principal, action == Action::\"{action}\", resource) unless {{ context.approvals.{how}([{}]) }};",
                list.join(", ")
            )
        },
    )
}

fn policies() -> impl Strategy<Value = Bundle> {
    prop::collection::vec(requirement(), 0..4).prop_map(|requirements| {
        let mut text = "@id(\"p\") permit (principal, action, resource is Database);\n".to_owned();
        for (at, requirement) in requirements.iter().enumerate() {
            text.push_str(&format!("@id(\"r{at}\") {requirement}\n"));
        }
        bundle(&text)
    })
}

fn messages() -> impl Strategy<Value = Described> {
    let classes = select(vec![SqlClass::Read, SqlClass::Write, SqlClass::Ddl]);
    prop::collection::vec(classes, 0..3).prop_map(|classes| {
        let statements = classes.into_iter().map(|class| statement(class, class_verb(class))).collect();
        message(statements, Environment::Production)
    })
}

fn class_verb(class: SqlClass) -> &'static str {
    match class {
        SqlClass::Read => "SELECT",
        SqlClass::Session => "SET",
        SqlClass::Write => "UPDATE",
        SqlClass::Ddl => "ALTER TABLE",
        SqlClass::Admin => "GRANT",
        SqlClass::Opaque => "DO",
    }
}

fn approvals() -> impl Strategy<Value = BTreeSet<Quorum>> {
    subsequence(TOKENS.to_vec(), 0..=TOKENS.len()).prop_map(|tokens| quorums(&tokens))
}

fn strictness(decision: &Decision) -> u8 {
    match decision {
        Decision::Permit(_) => 0,
        Decision::Review(_) => 1,
        Decision::Deny(_) => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn more_approvals_are_never_stricter(bundle in policies(), message in messages(), few in approvals(), more in approvals()) {
        let both: BTreeSet<Quorum> = few.union(&more).cloned().collect();
        let before = strictness(&decide_with(&bundle, &message, &few));
        prop_assert!(strictness(&decide_with(&bundle, &message, &both)) <= before);
    }

    #[test]
    fn what_suffices_permits_and_nothing_less_does(bundle in policies(), message in messages(), some in approvals()) {
        let Decision::Review(terms) = decide_with(&bundle, &message, &some) else { return Ok(()) };
        prop_assert!(!terms.suffices.is_empty());
        for set in &terms.suffices {
            prop_assert_eq!(strictness(&decide_with(&bundle, &message, set)), 0);
            for left_out in set {
                let less: BTreeSet<Quorum> = set.iter().filter(|quorum| *quorum != left_out).cloned().collect();
                prop_assert_eq!(strictness(&decide_with(&bundle, &message, &less)), 1);
            }
        }
    }

    #[test]
    fn nobody_of_the_closure_ever_approves(closure in subsequence(vec!["alice", "dora", "dan", "sam", "zoe"], 0..5), voter in select(vec!["alice", "dora", "dan", "sam", "zoe"]), group in select(vec!["dba", "sre", "any"])) {
        let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
        let mut request = one(SqlClass::Write, "UPDATE");
        request.closure = Arc::new(closure.iter().map(|name| PersonId::new(*name)).collect());
        let authn = Authn { mfa: true, age_seconds: 0, method: crate::review::Method::Passkey, passkey: None };
        let (none, people) = (BTreeSet::new(), people());
        let answer = bundle.may_approve(&PersonId::new(voter), &authn, &request, group, &circumstances(&none, &people));
        let own = closure.contains(&voter) || voter == "alice";
        prop_assert_eq!(own, matches!(&answer, Err(denial) if denial.code == ApproveCode::SelfApproval), "{:?}", answer);
    }
}
