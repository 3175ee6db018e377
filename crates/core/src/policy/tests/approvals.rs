//! Who may approve.

use std::sync::Arc;

use crate::review::Method;

use super::*;

const FRESH: Authn = Authn { mfa: true, age_seconds: 60, method: Method::Console, passkey: None };

fn ask(bundle: &Bundle, voter: &str, authn: Authn, group: &str) -> Result<Vec<String>, &'static str> {
    ask_about(bundle, &one(SqlClass::Write, "UPDATE"), voter, authn, group)
}

fn ask_about(
    bundle: &Bundle,
    request: &Described,
    voter: &str,
    authn: Authn,
    group: &str,
) -> Result<Vec<String>, &'static str> {
    let (none, people) = (BTreeSet::new(), people());
    let voter = PersonId::new(voter);
    let answer = bundle.may_approve(&voter, &authn, request, group, &circumstances(&none, &people));
    answer.map(|proof| proof.groups().iter().cloned().collect()).map_err(|denial| denial.code.name())
}

fn check(voter: &str, authn: Authn, group: &str, expected: Result<&[&str], &'static str>) {
    let expected = expected.map(|groups| groups.iter().map(|g| (*g).to_owned()).collect());
    assert_eq!(ask(&bundle(STARTER), voter, authn, group), expected, "{voter} {authn:?} {group}");
}

#[test]
fn members_outside_the_closure_may_approve() {
    check("dora", FRESH, "dba", Ok(&["dba"]));
    check("dan", FRESH, "any", Ok(&["dba", "sre"]));
    check("sam", FRESH, "any", Ok(&["sre"]));
}

#[test]
fn others_may_not() {
    check("alice", FRESH, "dba", Err("self_approval"));
    check("alice", FRESH, "sre", Err("self_approval"));
    check("alice", Authn { mfa: false, ..FRESH }, "any", Err("self_approval"));
    check("sam", FRESH, "dba", Err("not_a_reviewer"));
    check("nobody", FRESH, "any", Err("not_a_reviewer"));
    check("zoe", FRESH, "dba", Err("suspended"));
    check("ghost", FRESH, "dba", Err("unknown_person"));
    check("dora", FRESH, "no-such-group", Err("not_a_reviewer"));
    check("dora", Authn { mfa: false, ..FRESH }, "dba", Err("policy_denied"));
    check("dora", Authn { age_seconds: 901, ..FRESH }, "dba", Err("policy_denied"));
    check("dora", Authn { mfa: false, method: Method::Chat, ..FRESH }, "dba", Err("policy_denied"));
    check("dora", Authn { age_seconds: 99_999, method: Method::Local, ..FRESH }, "dba", Ok(&["dba"]));
}

#[test]
fn the_text_of_the_policy_is_told() {
    let (none, people) = (BTreeSet::new(), people());
    let authn = Authn { mfa: false, ..FRESH };
    let request = one(SqlClass::Write, "UPDATE");
    let denial = bundle(STARTER)
        .may_approve(&PersonId::new("dora"), &authn, &request, "dba", &circumstances(&none, &people))
        .expect_err("no second factor");
    assert!(denial.text.contains("second factor"), "{denial}");
}

#[test]
fn no_permit_lifts_self_approval() {
    let text = r#"@id("all") permit (principal, action, resource);
        @id("alice") permit (principal == User::"alice", action == Action::"approve", resource);"#;
    let bundle = bundle(text);
    let mut request = one(SqlClass::Write, "UPDATE");
    assert_eq!(ask_about(&bundle, &request, "alice", FRESH, "dba"), Err("self_approval"));
    request.closure = Arc::new(["dora", "gone"].map(PersonId::new).into());
    assert_eq!(ask_about(&bundle, &request, "dora", FRESH, "dba"), Err("self_approval"));
    assert_eq!(ask_about(&bundle, &request, "alice", FRESH, "dba"), Err("self_approval"), "still the owner");
    request.on_behalf_of = person("dan").into();
    assert_eq!(ask_about(&bundle, &request, "dan", FRESH, "sre"), Err("self_approval"));
    request.requester = Requester::Person { person: person("sam") }.into();
    request.closure = Arc::default();
    assert_eq!(ask_about(&bundle, &request, "sam", FRESH, "sre"), Err("self_approval"));
    assert_eq!(ask_about(&bundle, &request, "dora", FRESH, "dba"), Ok(vec!["dba".to_owned()]));
}

#[test]
fn without_a_permit_nobody_approves() {
    assert_eq!(ask(&bundle(""), "dora", FRESH, "dba"), Err("policy_denied"));
}

#[test]
fn an_erroring_forbid_refuses_every_group() {
    let text = r#"@id("overflow") forbid (principal, action == Action::"approve", resource)
        when { context.quorum == Group::"sre" && 9223372036854775807 + context.authn.ageSeconds > 0 };"#;
    let bundle = starter_and(text);
    assert_eq!(ask(&bundle, "dan", FRESH, "dba"), Ok(vec!["dba".to_owned()]));
    assert_eq!(ask(&bundle, "dan", FRESH, "any"), Err("policy_error"));
}

#[test]
fn policies_tell_passkeys_apart() {
    let text = format!(
        "{STARTER}\n@id(\"one-device\")\n@deny(\"sign with a passkey of one device\")\nforbid (principal, action == Action::\"approve\", \
         resource) unless {{ context.authn has passkey && !context.authn.passkey.synced && !context.authn.passkey.local }};"
    );
    let bundle = bundle(&text);
    let by = |passkey: Option<(bool, bool)>| {
        let passkey = passkey.map(|(synced, local)| PasskeyFacts { synced, local });
        ask(&bundle, "dora", Authn { method: Method::Passkey, passkey, ..FRESH }, "dba")
    };
    assert!(by(Some((false, false))).is_ok());
    for weaker in [None, Some((true, false)), Some((false, true)), Some((true, true))] {
        assert_eq!(by(weaker), Err("policy_denied"), "{weaker:?}");
    }
}

/// A deputy speaks for one group, in the place of somebody who is in it, and policy sees whose place that is.
#[test]
fn a_deputy_speaks_for_a_member_and_policy_may_forbid_it() {
    let more = r##"@id("not-for-dan") @deny("dan decides himself")
        forbid (principal, action == Action::"approve", resource)
        when { context has deputyFor && context.deputyFor.name == "dan" };"##;
    let (people, request, none) = (people(), one(SqlClass::Write, "UPDATE"), BTreeSet::new());
    let ask = |bundle: &Bundle, who: &str, of: &str, group: &str| {
        let (who, of) = (PersonId::new(who), PersonId::new(of));
        let circumstances = circumstances(&none, &people);
        bundle.may_approve_as_deputy((&who, &of), &FRESH, &request, group, &circumstances)
    };
    let (starter, strict) = (bundle(STARTER), starter_and(more));
    let spoken = ask(&starter, "sam", "dora", "dba").expect("dora is a dba");
    assert_eq!((spoken.person(), spoken.deputy_for()), (&PersonId::new("sam"), Some(&PersonId::new("dora"))));
    assert_eq!(spoken.groups(), &BTreeSet::from(["dba".to_owned()]));
    for (who, of, group, code) in [
        ("sam", "dora", "security", ApproveCode::NotAReviewer),
        ("sam", "nobody", "dba", ApproveCode::NotAReviewer),
        ("sam", "zoe", "dba", ApproveCode::NotAReviewer), // suspended
        ("sam", "ghost", "dba", ApproveCode::NotAReviewer),
        ("ghost", "dora", "dba", ApproveCode::NotAReviewer),
        ("zoe", "dora", "dba", ApproveCode::Suspended),
        ("alice", "dora", "dba", ApproveCode::SelfApproval),
    ] {
        assert_eq!(ask(&starter, who, of, group).map_err(|denial| denial.code), Err(code), "{who} for {of}");
    }
    assert!(ask(&strict, "sam", "dora", "dba").is_ok());
    assert_eq!(ask(&strict, "sam", "dan", "dba").map_err(|denial| denial.code), Err(ApproveCode::PolicyDenied));
}
