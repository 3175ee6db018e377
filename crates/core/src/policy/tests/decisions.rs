//! Scenarios: what the starter pack and small policies of one's own decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

fn check(bundle: &Bundle, described: &Described, approvals: &[&str], expected: &str) {
    assert_eq!(line(&decide(bundle, described, approvals)), expected, "{described:?}");
}

#[test]
fn the_starter_pack_passes_its_tests() {
    let results = bundle(STARTER).run_tests(STARTER_TESTS).expect("a list of tests");
    let failures: Vec<_> = results.iter().filter(|result| result.failure.is_some()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(results.len() > 30, "the file holds the tests");
}

#[test]
fn the_starter_pack_decides() {
    use SqlClass::{Admin, Ddl, Opaque, Read, Session, Write};
    let bundle = bundle(STARTER);
    let check =
        |class, verb: &str, approvals: &[&str], expected| check(&bundle, &one(class, verb), approvals, expected);
    check(Read, "SELECT", &[], "permit reads-are-free");
    check(Session, "SET", &[], "permit reads-are-free");
    check(Write, "UPDATE", &[], "review production-write suffices dba:1");
    check(Write, "UPDATE", &["sre:2"], "review production-write suffices dba:1");
    check(Write, "UPDATE", &["dba:1"], "permit changes-may-be-asked-for");
    check(Ddl, "ALTER TABLE", &[], "review production-schema-change suffices dba:2");
    check(Ddl, "ALTER TABLE", &["dba:2"], "permit changes-may-be-asked-for");
    check(Opaque, "DO", &[], "review production-opaque suffices dba:2");
    check(Opaque, "UNPARSED", &[], "deny policy_denied: no-unparsed-sql");
    check(Opaque, "", &[], "deny policy_denied: no-unparsed-sql");
    check(Admin, "ALTER ROLE", &["dba:2"], "deny policy_denied: no-server-administration");
}

#[test]
fn unbounded_writes_are_refused_wherever_they_hide() {
    let bundle = bundle(STARTER);
    for (verb, environment) in
        [("DELETE", Environment::Production), ("SELECT", Environment::Production), ("UPDATE", Environment::Dev)]
    {
        let hidden = SqlStatement { has_where: false, ..statement(SqlClass::Write, verb) };
        check(&bundle, &message(vec![hidden], environment), &["dba:5"], "deny policy_denied: no-unbounded-writes");
    }
}

#[test]
fn outside_production_writes_are_free() {
    let bundle = bundle(STARTER);
    for environment in [Environment::Dev, Environment::Staging] {
        let change = message(vec![statement(SqlClass::Ddl, "CREATE TABLE")], environment);
        check(&bundle, &change, &[], "permit changes-may-be-asked-for");
    }
}

#[test]
fn the_strictest_statement_holds_and_one_review_covers_all() {
    let bundle = bundle(STARTER);
    let read = statement(SqlClass::Read, "SELECT");
    let write = statement(SqlClass::Write, "UPDATE");
    let ddl = statement(SqlClass::Ddl, "ALTER TABLE");
    let admin = statement(SqlClass::Admin, "ALTER ROLE");
    let check = |statements: Vec<SqlStatement>, approvals: &[&str], expected| {
        check(&bundle, &message(statements, Environment::Production), approvals, expected);
    };
    check(vec![], &[], "permit reads-are-free");
    check(vec![read.clone(), write.clone()], &[], "review production-write suffices dba:1");
    check(vec![read.clone(), write.clone()], &["dba:1"], "permit changes-may-be-asked-for, reads-are-free");
    check(vec![write.clone(), ddl.clone()], &[], "review production-schema-change, production-write suffices dba:2");
    check(vec![write, ddl, admin], &[], "deny policy_denied: no-server-administration");
}

#[test]
fn a_message_more_dangerous_than_its_statements_is_asked_about_as_unparsed() {
    let bundle = bundle(STARTER);
    for statements in [vec![], vec![statement(SqlClass::Read, "SELECT")]] {
        let mut described = message(statements, Environment::Production);
        let Facts::Sql(facts) = Arc::make_mut(&mut described.facts) else { panic!("a statement") };
        facts.class = SqlClass::Opaque;
        let expected = "deny policy_denied: no-unbounded-writes, no-unparsed-sql";
        check(&bundle, &described, &["dba:5"], expected);
    }
}

#[test]
fn too_many_statements_are_refused() {
    let many = vec![statement(SqlClass::Read, "SELECT"); STATEMENTS_MAX + 1];
    let expected = "deny too_many_statements: core:statements";
    check(&bundle(STARTER), &message(many, Environment::Production), &[], expected);
}

#[test]
fn unknown_parties_are_refused() {
    let bundle = bundle(STARTER);
    let mut described = one(SqlClass::Read, "SELECT");
    described.on_behalf_of = person("ghost").into();
    check(&bundle, &described, &[], "deny unknown_person: core:known-parties");
    described = one(SqlClass::Read, "SELECT");
    described.requester =
        Requester::Agent { id: AgentId::new("a9"), name: "ghost".to_owned(), owner: person("alice"), job: None }.into();
    check(&bundle, &described, &[], "deny unknown_agent: core:known-parties");
    described.requester = Requester::Person { person: person("ghost") }.into();
    check(&bundle, &described, &[], "deny unknown_person: core:known-parties");
    described.requester = Requester::Person { person: person("zoe") }.into();
    check(&bundle, &described, &[], "deny policy_denied: nobody-suspended");
}

#[test]
fn nothing_permits_what_no_policy_names() {
    check(&bundle(""), &one(SqlClass::Read, "SELECT"), &["dba:5"], "deny no_permit: ");
}

#[test]
fn alternatives_and_combinations_are_found() {
    let two = r#"@id("p") permit (principal, action, resource is Database);
        @id("either") forbid (principal, action == Action::"sql:write", resource)
        unless { context.approvals.containsAny([Quorum::"sre:1", Quorum::"security:2"]) };"#;
    check(&bundle(two), &one(SqlClass::Write, "UPDATE"), &[], "review either suffices sre:1 | security:2");
    let both = r#"@id("p") permit (principal, action, resource is Database);
        @id("both") forbid (principal, action == Action::"sql:write", resource) unless
        { context.approvals.containsAll([Quorum::"sre:1", Quorum::"security:1", Quorum::"any:2"]) };"#;
    let write = one(SqlClass::Write, "UPDATE");
    check(&bundle(both), &write, &[], "review both suffices any:2+security:1+sre:1");
    check(&bundle(both), &write, &["sre:1", "security:1"], "review both suffices any:2+security:1+sre:1");
    check(&bundle(both), &write, &["sre:2", "security:1"], "permit p");
}

#[test]
fn a_policy_that_names_no_quorum_is_lifted_by_anyone() {
    let text = r#"@id("p") permit (principal, action, resource is Database);
        @id("someone") forbid (principal, action == Action::"sql:write", resource)
        unless { !context.approvals.isEmpty() };"#;
    check(&bundle(text), &one(SqlClass::Write, "UPDATE"), &[], "review someone suffices any:1");
}

#[test]
fn an_erroring_forbid_refuses_and_an_erroring_permit_is_lost() {
    let overflow = r#"@id("overflow") forbid (principal, action == Action::"sql:write", resource)
        when { context.impact.records * 2 > 0 };"#;
    let expected = "deny policy_error: overflow";
    check(&starter_and(overflow), &one(SqlClass::Write, "UPDATE"), &["dba:1"], expected);
    check(&starter_and(overflow), &one(SqlClass::Read, "SELECT"), &[], "permit reads-are-free");
    let lazily = r#"@id("late") forbid (principal, action == Action::"sql:write", resource)
        when { context.approvals.contains(Quorum::"dba:3") && context.impact.records * 2 > 0 };"#;
    check(&starter_and(lazily), &one(SqlClass::Write, "UPDATE"), &[], "deny policy_error: late");
    let permit = r#"@id("broken") permit (principal, action == Action::"sql:admin", resource)
        when { context.impact.records * 2 > 0 };"#;
    check(&bundle(permit), &one(SqlClass::Admin, "ALTER ROLE"), &[], "deny no_permit: ");
}

#[test]
fn groups_names_and_time_reach_policies() {
    let text = r#"
        @id("agents-of-sre") permit (principal in Group::"sre", action == Action::"sql:read", resource);
        @id("by-name") permit (principal is Agent, action == Action::"sql:session", resource)
          when { principal.name == "coder" && principal.owner.name == "alice" && context.onBehalfOf in Group::"dba" };
        @id("saturday-11") permit (principal, action == Action::"sql:write", resource) when {
          context.time.weekday == 6 && context.time.hour == 11 && context.time.now == datetime("2026-11-21T10:00:00Z") };
        @id("facts") permit (principal, action == Action::"sql:ddl", resource is Database) when {
          context.sql.verb == "ALTER TABLE" && context.sql.tables == ["orders"] && context.sql.writeTables == ["orders"] &&
          context.sql.hasWhere && context.sql.parsed && !context.sql.export && resource.sensitivity == 3 &&
          resource.name == "orders" && !context.breakGlass && !context.impact.known };"#;
    let bundle = bundle(text);
    check(&bundle, &one(SqlClass::Read, "SELECT"), &[], "permit agents-of-sre");
    check(&bundle, &one(SqlClass::Session, "SET"), &[], "permit by-name");
    check(&bundle, &one(SqlClass::Write, "UPDATE"), &[], "permit saturday-11");
    check(&bundle, &one(SqlClass::Ddl, "ALTER TABLE"), &[], "permit facts");
}

#[test]
fn action_groups_reach_every_member() {
    let text = r#"@id("p") permit (principal, action, resource is Database);
        @id("w") forbid (principal, action in Action::"write", resource);
        @id("a") forbid (principal, action in Action::"admin", resource);"#;
    let bundle = bundle(text);
    check(&bundle, &one(SqlClass::Session, "SET"), &[], "permit p");
    check(&bundle, &one(SqlClass::Write, "UPDATE"), &[], "deny policy_denied: w");
    check(&bundle, &one(SqlClass::Ddl, "CREATE"), &[], "deny policy_denied: a");
    check(&bundle, &one(SqlClass::Admin, "GRANT"), &[], "deny policy_denied: a");
    check(&bundle, &one(SqlClass::Opaque, "DO"), &[], "deny policy_denied: a, w");
}

#[test]
fn copy_that_reads_is_an_export() {
    let text = r#"@id("p") permit (principal, action, resource is Database);
        @id("export") forbid (principal, action == Action::"sql:read", resource) when { context.sql.export };"#;
    let bundle = bundle(text);
    check(&bundle, &one(SqlClass::Read, "COPY TO"), &[], "deny policy_denied: export");
    check(&bundle, &one(SqlClass::Read, "SELECT"), &[], "permit p");
}

#[test]
fn what_suffices_stays_the_same_while_approvals_come_in() {
    let text = r#"@id("p") permit (principal, action, resource is Database);
        @id("w") forbid (principal, action == Action::"sql:write", resource)
        unless { context.approvals.contains(Quorum::"sre:1") };
        @id("d") forbid (principal, action == Action::"sql:ddl", resource)
        unless { context.approvals.contains(Quorum::"dba:1") };"#;
    let bundle = bundle(text);
    let statements = vec![statement(SqlClass::Write, "UPDATE"), statement(SqlClass::Ddl, "ALTER TABLE")];
    let both = message(statements, Environment::Production);
    check(&bundle, &both, &[], "review d, w suffices dba:1+sre:1");
    check(&bundle, &both, &["sre:1"], "review d suffices dba:1+sre:1");
    check(&bundle, &both, &["dba:1"], "review w suffices dba:1+sre:1");
    check(&bundle, &both, &["dba:1", "sre:1"], "permit p");
}

#[test]
fn obligations_of_all_forbids_in_the_way_add_up() {
    let more = r##"@id("strict") @review("and signed") @expires("10m") @justify("required") @stepup("passkey")
        @channel("slack:#prod") @escalate("5m: sre")
        forbid (principal, action == Action::"sql:write", resource)
        unless { context.approvals.contains(Quorum::"sre:1") };"##;
    let bundle = starter_and(more);
    for approvals in [&[][..], &["sre:1"]] {
        let Decision::Review(terms) = decide(&bundle, &one(SqlClass::Write, "UPDATE"), approvals) else {
            panic!("a review is expected")
        };
        let expected = Obligations {
            pattern: None,
            expires_seconds: Some(600),
            hold_seconds: Some(300),
            justify: true,
            passkey: true,
            channels: ["slack:#prod".to_owned()].into(),
            escalate: [(300, "sre".to_owned())].into(),
            masks: BTreeMap::new(),
        };
        assert_eq!(terms.obligations, expected);
        assert_eq!(terms.suffices, [quorums(&["dba:1", "sre:1"])]);
        assert_eq!(terms.policies.len(), 2 - approvals.len());
        assert_eq!(terms.policies[0].text, "write to production: one DBA");
        assert_eq!(terms.bundle, bundle.digest());
    }
}

/// Masks of permits and of the forbids in their way hold together; an approval does not lift them.
#[test]
fn masks_add_up_and_outlast_approvals() {
    let more = r##"
        @id("readers") @mask("customers.email: hash, customers.ssn: hash")
        permit (principal, action == Action::"sql:read", resource);
        @id("reads-wait") @mask("customers.ssn: drop") @review("reads wait")
        forbid (principal, action == Action::"sql:read", resource)
        unless { context.approvals.contains(Quorum::"dba:1") };"##;
    let bundle = starter_and(more);
    let expected = |masks: &BTreeMap<MaskedColumn, Mask>| {
        let said: Vec<String> = masks.iter().map(|(column, mask)| format!("{column}: {}", mask.name())).collect();
        assert_eq!(said, ["customers.email: hash", "customers.ssn: drop"]);
    };
    let read = one(SqlClass::Read, "SELECT");
    let Decision::Review(terms) = decide(&bundle, &read, &[]) else { panic!("a review is expected") };
    expected(&terms.obligations.masks);
    let Decision::Permit(permitted) = decide(&bundle, &read, &["dba:1"]) else { panic!("a permit is expected") };
    expected(permitted.masks().columns());
    assert_eq!(permitted.masks().policies().iter().collect::<Vec<_>>(), ["readers", "reads-wait"]);
    let Decision::Permit(other) = decide(&starter_and(""), &read, &[]) else { panic!("a permit is expected") };
    assert!(other.masks().is_empty());
}

#[test]
fn an_explanation_names_statements_policies_and_what_suffices() {
    let bundle = bundle(STARTER);
    let (none, people) = (BTreeSet::new(), people());
    let statements = vec![statement(SqlClass::Read, "SELECT"), statement(SqlClass::Write, "UPDATE")];
    let described = message(statements, Environment::Production);
    let explained = bundle.explain(&described, &circumstances(&none, &people));
    assert_eq!(explained.outcome, Outcome::Review);
    assert_eq!(explained.suffices, [quorums(&["dba:1"])]);
    let outcomes: Vec<_> = explained.statements.iter().map(|s| (s.action.as_str(), s.outcome)).collect();
    assert_eq!(outcomes, [("sql:read", Outcome::Permit), ("sql:write", Outcome::Review)]);
    assert_eq!(explained.statements[1].policies[0].effect, "forbid");
    assert!(serde_json::to_string(&explained).is_ok_and(|json| json.contains(r#""outcome":"review""#)));
}

#[test]
fn a_misjudged_test_fails_with_its_reason() {
    let bundle = bundle(STARTER);
    let text = STARTER_TESTS.replacen(r#""outcome": "permit""#, r#""outcome": "review""#, 1);
    let failed: Vec<_> = bundle.run_tests(&text).expect("tests").into_iter().filter_map(|r| r.failure).collect();
    assert_eq!(failed, ["expected the outcome Review, got Permit"]);
    let text = STARTER_TESTS.replacen(r#""outcome""#, r#""outcmoe""#, 1);
    let failed: Vec<_> = bundle.run_tests(&text).expect("tests").into_iter().filter_map(|r| r.failure).collect();
    assert!(failed.len() == 1 && failed[0].contains("outcmoe"), "{failed:?}");
    let text = STARTER_TESTS.replacen("sql:read", "sql:raed", 1);
    assert_eq!(bundle.run_tests(&text).expect("tests").iter().filter(|r| r.failure.is_some()).count(), 1);
    assert!(bundle.run_tests("{}").is_err());
}

#[test]
fn formatting_keeps_the_starter_pack_as_it_is() {
    let formatted = Bundle::format(STARTER).expect("it parses");
    assert_eq!(Bundle::format(&formatted).as_deref(), Ok(formatted.as_str()));
    assert_eq!(formatted, STARTER, "run `countersign policy format`");
    assert!(Bundle::format("permit (").is_err());
}
