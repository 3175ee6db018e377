//! Who may break the glass, and what breaking it lifts.

use crate::review::Method;

use super::*;

/// Writes wait for two of the DBAs, unless an SRE breaks the glass; what is masked stays masked.
const EXCEPTION: &str = r#"
    @id("writes") @mask("orders.email: hash")
    permit (principal, action == Action::"sql:write", resource);
    @id("two-dbas") @review("two of the DBAs") @mask("orders.ssn: drop")
    forbid (principal, action == Action::"sql:write", resource)
    unless { context.approvals.contains(Quorum::"dba:2") || context.breakGlass };
    @id("no-ddl") forbid (principal, action == Action::"sql:ddl", resource)
    unless { context.approvals.contains(Quorum::"dba:2") };
    @id("ddl") permit (principal, action == Action::"sql:ddl", resource);
    @id("sre-breaks") permit (principal in Group::"sre", action == Action::"break-glass", resource)
    when { context.authn.mfa };
    @id("dbas-break-in-incidents") permit (principal in Group::"dba", action == Action::"break-glass", resource)
    when { context.incident };"#;

const FRESH: Authn = Authn { mfa: true, age_seconds: 60, method: Method::Console, passkey: None };

fn check(policies: &str, who: &str, authn: Authn, incident: bool, expected: Result<(), &'static str>) {
    let (none, people) = (BTreeSet::new(), people());
    let request = one(SqlClass::Write, "UPDATE");
    let bundle = bundle(policies);
    let circumstances = Circumstances { incident, ..circumstances(&none, &people) };
    let answer = bundle.may_break_glass(&PersonId::new(who), &authn, &request, &circumstances);
    let answer = answer.map(|proof| assert_eq!(proof.person().as_str(), who)).map_err(|denial| denial.code.name());
    assert_eq!(answer, expected, "{who} {authn:?} {incident}");
}

#[test]
fn nobody_breaks_the_glass_unless_a_policy_says_so() {
    for who in ["dora", "dan", "sam"] {
        check(STARTER, who, FRESH, true, Err("policy_denied"));
    }
}

#[test]
fn whom_policy_lets_may_and_nobody_on_the_requesters_side() {
    check(EXCEPTION, "sam", FRESH, false, Ok(()));
    check(EXCEPTION, "sam", Authn { mfa: false, ..FRESH }, false, Err("policy_denied"));
    check(EXCEPTION, "dora", FRESH, false, Err("policy_denied"));
    check(EXCEPTION, "dora", FRESH, true, Ok(()));
    check(EXCEPTION, "alice", FRESH, true, Err("self_approval"));
    check(EXCEPTION, "zoe", FRESH, true, Err("suspended"));
    check(EXCEPTION, "ghost", FRESH, true, Err("unknown_person"));
}

#[test]
fn only_what_names_it_yields_to_it() {
    let (none, people) = (BTreeSet::new(), people());
    let broken = Circumstances { break_glass: true, ..circumstances(&none, &people) };
    let bundle = bundle(EXCEPTION);
    let decide = |class, verb| line(&bundle.decide(&one(class, verb), &broken));
    assert_eq!(decide(SqlClass::Write, "UPDATE"), "permit writes");
    assert_eq!(decide(SqlClass::Ddl, "ALTER"), "review no-ddl suffices dba:2");
    let both = vec![statement(SqlClass::Write, "UPDATE"), statement(SqlClass::Ddl, "ALTER")];
    let both = bundle.decide(&message(both, Environment::Production), &broken);
    assert_eq!(line(&both), "review no-ddl suffices dba:2");
}

#[test]
fn broken_glass_lifts_no_mask() {
    let (none, people) = (BTreeSet::new(), people());
    let bundle = bundle(EXCEPTION);
    let request = one(SqlClass::Write, "UPDATE");
    let Decision::Review(terms) = bundle.decide(&request, &circumstances(&none, &people)) else {
        unreachable!("it asks")
    };
    let broken = Circumstances { break_glass: true, ..circumstances(&none, &people) };
    let Decision::Permit(permitted) = bundle.decide(&request, &broken) else { unreachable!("it yields") };
    assert_eq!(permitted.masks().columns(), &terms.obligations.masks);
    assert_eq!(permitted.masks().columns().len(), 2);
}
