//! What a memo may be used for, and what it must never hide.

use std::sync::Arc;

use crate::action::{ActionRequest, Job, SealedPayload};

use super::*;

fn request(described: Described) -> ActionRequest {
    ActionRequest::new(described, SealedPayload::seal(b"payload".to_vec())).expect("it names its payload")
}

fn read() -> Described {
    one(SqlClass::Read, "SELECT")
}

/// Asks with a memo and without, which must agree; says whether policy was spared.
fn ask(bundle: &Bundle, described: Described, people: &People, memo: &mut Memo) -> (String, bool) {
    let none = BTreeSet::new();
    let request = request(described);
    let before = memo.recalled;
    let decision = bundle.decide_again(&request, &circumstances(&none, people), memo);
    assert_eq!(decision, bundle.decide(request.described(), &circumstances(&none, people)));
    (line(&decision), memo.recalled > before)
}

#[test]
fn the_same_read_is_decided_once() {
    let (bundle, people, mut memo) = (starter_and(""), people(), Memo::default());
    assert_eq!(ask(&bundle, read(), &people, &mut memo), ("permit reads-are-free".to_owned(), false));
    assert_eq!(ask(&bundle, read(), &people, &mut memo), ("permit reads-are-free".to_owned(), true));
    let mut other = read();
    other.payload = PayloadDigest::of(b"payload");
    other.id = ActionId::new("act-2");
    Arc::make_mut(&mut other.session).settings.insert("role".to_owned(), PayloadDigest::of(b"x"));
    assert!(ask(&bundle, other, &people, &mut memo).1, "neither the attempt nor its session is a policy's business");
}

/// A remark or a string in the file may look like the end of a policy.
#[test]
fn every_policy_is_read_to_its_end() {
    let text = "// ;\n@id(\"a\") @deny(\"; // no\") forbid (principal, action == Action::\"sql:read\", resource) // ;\n when \
                { context.sql.verb == \"; }\" }\n unless { context.time.hour > 0 };";
    let people = people();
    for (bundle, expected) in [(bundle(&format!("{text} {READS}")), false), (bundle(READS), true)] {
        let mut memo = Memo::default();
        ask(&bundle, read(), &people, &mut memo);
        assert_eq!(ask(&bundle, read(), &people, &mut memo).1, expected);
    }
}

const READS: &str = "@id(\"reads\") permit (principal, action == Action::\"sql:read\", resource);";

#[test]
fn a_mask_holds_as_often_as_its_read() {
    let masked =
        "@id(\"masked\") @mask(\"orders.email: hash\") permit (principal, action == Action::\"sql:read\", resource);";
    let (bundle, people, none) = (starter_and(masked), people(), BTreeSet::new());
    let mut memo = Memo::default();
    for _ in 0..3 {
        let decision = bundle.decide_again(&request(read()), &circumstances(&none, &people), &mut memo);
        let Decision::Permit(permitted) = decision else { panic!("a read is permitted") };
        assert_eq!(permitted.masks().columns().len(), 1);
    }
    assert_eq!(memo.recalled, 2);
}

#[test]
fn a_permit_speaks_of_the_request_before_it() {
    let (bundle, people, none) = (starter_and(""), people(), BTreeSet::new());
    let mut memo = Memo::default();
    for session in ["a", "b", "c"] {
        let mut described = read();
        Arc::make_mut(&mut described.session).settings.insert("role".to_owned(), PayloadDigest::of(session.as_bytes()));
        let request = request(described);
        let Decision::Permit(permitted) = bundle.decide_again(&request, &circumstances(&none, &people), &mut memo)
        else {
            panic!("a read is permitted");
        };
        assert_eq!(permitted.action(), request.digest());
        assert_eq!(permitted.bundle(), bundle.digest());
    }
    assert_eq!(memo.recalled, 2);
}

#[test]
fn what_a_policy_could_see_is_asked_about_again() {
    let (bundle, people, mut memo) = (starter_and(""), people(), Memo::default());
    let changes: [fn(&mut Described); 6] = [
        |d| Arc::make_mut(&mut d.target).environment = Environment::Dev,
        |d| Arc::make_mut(&mut d.target).name = "other".to_owned(),
        |d| Arc::make_mut(&mut d.target).sensitivity = Sensitivity::None,
        |d| d.on_behalf_of = person("dora").into(),
        |d| d.requester = Requester::Person { person: person("alice") }.into(),
        |d| {
            d.facts =
                Facts::Sql(SqlFacts { class: SqlClass::Read, statements: vec![statement(SqlClass::Read, "SHOW")] })
                    .into()
        },
    ];
    for change in changes {
        ask(&bundle, read(), &people, &mut memo);
        assert!(ask(&bundle, read(), &people, &mut memo).1);
        let mut changed = read();
        change(&mut changed);
        assert!(!ask(&bundle, changed, &people, &mut memo).1);
    }
}

/// A job of another branch is another requester.
#[test]
fn what_was_permitted_to_one_job_is_asked_about_again_for_another() {
    let text = "@id(\"main-only\") permit (principal is Agent, action == Action::\"sql:read\", resource)
                when { principal has job && principal.job has ref && principal.job.ref == \"refs/heads/main\"
                       && principal.job.issuer == \"github\" };";
    let (bundle, people, mut memo) = (bundle(text), people(), Memo::default());
    let of = |git_ref: Option<&str>| {
        let mut described = read();
        let Requester::Agent { job, .. } = Arc::make_mut(&mut described.requester) else { unreachable!() };
        let (issuer, subject) = ("github".to_owned(), "repo:acme/app".to_owned());
        *job = git_ref
            .map(|git_ref| Box::new(Job { issuer, subject, git_ref: Some(git_ref.to_owned()), ..Job::default() }));
        described
    };
    let main = Some("refs/heads/main");
    assert_eq!(ask(&bundle, of(main), &people, &mut memo), ("permit main-only".to_owned(), false));
    assert_eq!(ask(&bundle, of(main), &people, &mut memo), ("permit main-only".to_owned(), true));
    for other in [Some("refs/heads/other"), None] {
        let (answer, spared) = ask(&bundle, of(other), &people, &mut memo);
        assert!(answer.starts_with("deny") && !spared, "{answer}");
    }
}

#[test]
fn a_suspension_takes_effect_at_once() {
    let (bundle, mut people, mut memo) = (starter_and(""), people(), Memo::default());
    ask(&bundle, read(), &people, &mut memo);
    assert!(ask(&bundle, read(), &people, &mut memo).1);
    people.persons.get_mut(&PersonId::new("dora")).expect("she is there").suspended = true;
    assert!(ask(&bundle, read(), &people, &mut memo).1, "somebody else's suspension changes nothing");
    people.persons.get_mut(&PersonId::new("alice")).expect("she is there").suspended = true;
    assert_eq!(ask(&bundle, read(), &people, &mut memo).0, "deny policy_denied: nobody-suspended");
    people.persons.get_mut(&PersonId::new("alice")).expect("she is there").suspended = false;
    assert_eq!(ask(&bundle, read(), &people, &mut memo), ("permit reads-are-free".to_owned(), false));
}

#[test]
fn a_revoked_agent_and_changed_groups_take_effect_at_once() {
    let in_sre = "@id(\"sre\") @deny(\"no\") forbid (principal in Group::\"sre\", action, resource is Database);";
    let (bundle, mut people, mut memo) = (starter_and(in_sre), people(), Memo::default());
    let agent = AgentId::new("a1");
    let groups = people.agents.insert(agent.clone(), AgentFacts::default());
    ask(&bundle, read(), &people, &mut memo);
    assert!(ask(&bundle, read(), &people, &mut memo).1);
    people.agents.insert(agent.clone(), groups.expect("it is there"));
    assert_eq!(ask(&bundle, read(), &people, &mut memo).0, "deny policy_denied: sre");
    people.agents.remove(&agent);
    assert!(ask(&bundle, read(), &people, &mut memo).0.starts_with("deny unknown_agent"));
}

#[test]
fn another_bundle_takes_effect_at_once() {
    let (before, people, mut memo) = (starter_and(""), people(), Memo::default());
    ask(&before, read(), &people, &mut memo);
    assert!(ask(&before, read(), &people, &mut memo).1);
    let no_reads = "@id(\"no-reads\") @deny(\"no\") forbid (principal, action == Action::\"sql:read\", resource);";
    assert_eq!(ask(&starter_and(no_reads), read(), &people, &mut memo).0, "deny policy_denied: no-reads");
    assert!(!ask(&before, read(), &people, &mut memo).1, "it was forgotten meanwhile");
}

#[test]
fn a_policy_about_the_time_is_asked_every_time() {
    let night = "@id(\"night\") @deny(\"no\") forbid (principal, action == Action::\"sql:read\", resource) \
                 when { context.time.hour < 11 };";
    let (bundle, people, none) = (starter_and(night), people(), BTreeSet::new());
    let mut memo = Memo::default();
    let request = request(read());
    for (hours, expected) in
        [(0, "permit reads-are-free"), (0, "permit reads-are-free"), (23, "deny policy_denied: night")]
    {
        let now = NOW.plus_seconds(hours * 3_600);
        let decision =
            bundle.decide_again(&request, &Circumstances { now, ..circumstances(&none, &people) }, &mut memo);
        assert_eq!(line(&decision), expected);
    }
    assert_eq!(memo.recalled, 0);
    let mut session = one(SqlClass::Session, "SET");
    session.payload = PayloadDigest::of(b"payload");
    ask(&bundle, session.clone(), &people, &mut memo);
    assert!(ask(&bundle, session, &people, &mut memo).1, "policies about other actions do not count");
}

#[test]
fn no_permit_outlives_an_incident() {
    let during = "@id(\"calm\") @deny(\"no\") forbid (principal, action == Action::\"sql:read\", resource) \
                  when { !context.incident };";
    let (bundle, people, none) = (starter_and(during), people(), BTreeSet::new());
    let (mut memo, request) = (Memo::default(), request(read()));
    for incident in [true, true, false, true, false] {
        let circumstances = Circumstances { incident, ..circumstances(&none, &people) };
        let decision = line(&bundle.decide_again(&request, &circumstances, &mut memo));
        assert_eq!(decision, if incident { "permit reads-are-free" } else { "deny policy_denied: calm" });
    }
    assert_eq!(memo.recalled, 0);
}

#[test]
fn nothing_with_an_effect_and_nothing_approved_is_kept() {
    let (bundle, people, mut memo) = (starter_and(""), people(), Memo::default());
    let write = message(vec![statement(SqlClass::Write, "UPDATE")], Environment::Dev);
    for _ in 0..2 {
        assert!(!ask(&bundle, write.clone(), &people, &mut memo).1);
    }
    ask(&bundle, read(), &people, &mut memo);
    let approvals = quorums(&["dba:1"]);
    let before = memo.recalled;
    bundle.decide_again(&request(read()), &circumstances(&approvals, &people), &mut memo);
    let none = BTreeSet::new();
    let broken_glass = Circumstances { break_glass: true, ..circumstances(&none, &people) };
    bundle.decide_again(&request(read()), &broken_glass, &mut memo);
    assert_eq!(memo.recalled, before);
}

#[test]
fn it_is_bounded_and_keeps_what_was_used_last() {
    let (bundle, people, mut memo) = (starter_and(""), people(), Memo::default());
    let about = |table: usize| {
        let mut one = statement(SqlClass::Read, "SELECT");
        one.tables.read = [format!("t{table}")].into();
        message(vec![one], Environment::Production)
    };
    for table in 0..PERMITS_MAX + 1 {
        ask(&bundle, about(table), &people, &mut memo);
        ask(&bundle, about(0), &people, &mut memo);
    }
    assert!(ask(&bundle, about(0), &people, &mut memo).1);
    assert!(!ask(&bundle, about(1), &people, &mut memo).1);
}
