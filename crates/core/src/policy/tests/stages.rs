//! Whose turn it is.

use super::*;

fn staged(id: &str, quorum: &str, after: &str) -> String {
    format!(
        "@id(\"{id}\") @after(\"{after}\") forbid (principal, action == Action::\"sql:write\", resource)
         unless {{ context.approvals.contains(Quorum::\"{quorum}\") }};"
    )
}

fn check(bundle: &Bundle, groups: &[&str], approvals: &[&str], expected: Result<(), &str>) {
    let (approvals, people) = (quorums(approvals), people());
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let turn = bundle.turn(&one(SqlClass::Write, "UPDATE"), &groups, &circumstances(&approvals, &people));
    assert_eq!(turn.map_err(|not_yet| not_yet.words()), expected.map_err(str::to_owned), "{groups:?} {approvals:?}");
}

#[test]
fn what_comes_later_waits_for_what_comes_first() {
    let chain = [staged("second", "sre:1", "production-write"), staged("third", "security:2", "second")];
    let bundle = starter_and(&chain.concat());
    for (groups, approvals, expected) in [
        (&["dba"][..], &[][..], Ok(())),
        (&["sre"], &[], Err("dba")),
        (&["security"], &[], Err("sre")),
        (&["security"], &["dba:1"], Err("sre")),
        (&["sre"], &["dba:1"], Ok(())),
        (&["security"], &["dba:1", "sre:1"], Ok(())),
        (&["security"], &["sre:1"], Ok(())), // what it waits for is satisfied, whenever that happened
        (&["sre"], &["sre:1"], Err("dba")),  // what another satisfied by chance waits all the same
        (&["dba"], &["dba:1"], Ok(())),
        (&["sre", "dba"], &[], Ok(())), // it serves something that waits for nobody
        (&["sre", "security"], &[], Err("dba, sre")),
        (&["nobody"], &[], Ok(())), // of no use, which others say
    ] {
        check(&bundle, groups, approvals, expected);
    }
    check(&starter_and(""), &["sre"], &[], Ok(()));
}

#[test]
fn stages_that_cannot_begin_are_errors_at_load() {
    let problems = |policies: &[String]| {
        let sources = vec![source("starter.cedar", STARTER), source("more.cedar", &policies.concat())];
        match Bundle::load(sources, Vocabulary::starter()) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems().iter().map(Problem::to_string).collect::<Vec<_>>(),
        }
    };
    let says = |policies: &[String], count: usize, words: &str| {
        let found = problems(policies);
        assert!(found.len() == count && found.iter().all(|problem| problem.contains(words)), "{found:#?}");
    };
    says(&[staged("a", "sre:1", "nowhere")], 1, "names no policy that asks for approvals");
    says(&[staged("a", "sre:1", "changes-may-be-asked-for")], 1, "names no policy that asks for approvals");
    says(&[staged("a", "sre:1", "a")], 1, "leads back to this policy");
    says(&[staged("a", "sre:1", "b"), staged("b", "dba:1", "a")], 2, "leads back to this policy");
    let into = [staged("a", "sre:1", "b"), staged("b", "dba:1", "a"), staged("c", "security:1", "a")];
    says(&into, 2, "leads back to this policy");
    let final_no =
        "@id(\"n\") @after(\"production-write\") forbid (principal, action == Action::\"sql:ddl\", resource);";
    says(&[final_no.to_owned()], 1, "asks for no approval");
}
