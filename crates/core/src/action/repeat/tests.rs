//! A kept digest is the one that would be made anew, whatever came in between.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::action::sql::{SqlClass, SqlFacts};
use crate::action::{ActionId, AgentId, Environment, Job, PayloadDigest, PersonId, Sensitivity, Timestamp};

fn person(id: &str) -> PersonRef {
    PersonRef { id: PersonId::new(id), name: format!("{id} by name") }
}

/// A job, where some word says so.
fn job([agent, _, _, generation, setting, _]: &[String; 6]) -> Option<Box<Job>> {
    let (issuer, subject) = (agent.clone(), generation.clone());
    let git_ref = Some(setting.clone());
    generation.contains(['b', '"']).then(|| Box::new(Job { issuer, subject, git_ref, ..Job::default() }))
}

/// An action whose parts are all its own, made of a few words.
fn described(words: &[String; 6]) -> Described {
    let [agent, owner, target, generation, setting, payload] = words;
    Described {
        id: ActionId::new("attempt"),
        requester: Requester::Agent {
            id: AgentId::new(agent),
            name: agent.clone(),
            owner: person(owner),
            job: job(words),
        }
        .into(),
        on_behalf_of: person(owner).into(),
        closure: Arc::default(),
        target: Target {
            name: target.clone(),
            environment: Environment::Production,
            sensitivity: Sensitivity::High,
            generation: generation.clone(),
        }
        .into(),
        facts: Facts::Sql(SqlFacts { class: SqlClass::Read, statements: Vec::new() }).into(),
        session: SessionFacts {
            settings: BTreeMap::from([("search_path".to_owned(), PayloadDigest::of(setting.as_bytes()))]),
            ..SessionFacts::default()
        }
        .into(),
        shown: Default::default(),
        impact: Default::default(),
        reason: None,
        payload: PayloadDigest::of(payload.as_bytes()),
        at: Timestamp::from_micros(0),
    }
}

fn words() -> impl Strategy<Value = [String; 6]> {
    let word = || prop_oneof!["[a-c]", ".{0,6}", "[\"\\\\{},:]{0,4}"];
    [word(), word(), word(), word(), word(), word()]
}

proptest! {
    /// Whatever came before, in whatever order, kept or made anew: the digest is the action's own.
    #[test]
    fn the_digest_is_the_actions_own(
        actions in proptest::collection::vec(words(), 1..5),
        turns in proptest::collection::vec((0..5_usize, ".{0,3}"), 0..20),
    ) {
        let mut repeats = Repeats::default();
        let actions: Vec<Described> = actions.iter().map(described).collect();
        for (at, bytes) in turns {
            let mut again = actions[at % actions.len()].clone();
            again.payload = PayloadDigest::of(bytes.as_bytes());
            let own = again.digest().expect("it has one");
            prop_assert_eq!(repeats.digest(&again).expect("the same"), own);
        }
    }
}

#[test]
fn a_part_that_changes_is_another_action() {
    let mut repeats = Repeats::default();
    let one = described(&["agent", "owner", "target", "1", "public", "SELECT 1"].map(str::to_owned));
    let before = repeats.digest(&one).expect("it has one");
    let mut other = one.clone();
    other.session = SessionFacts { in_transaction: true, ..SessionFacts::clone(&one.session) }.into();
    assert_ne!(repeats.digest(&other).expect("it has one"), before);
    other = one.clone();
    other.target = Target { generation: "2".to_owned(), ..Target::clone(&one.target) }.into();
    assert_ne!(repeats.digest(&other).expect("it has one"), before);
    other = one.clone();
    let words = ["agent", "owner", "target", "b", "public", "SELECT 1"].map(str::to_owned);
    let Requester::Agent { id, name, owner, .. } = Requester::clone(&one.requester) else { unreachable!() };
    other.requester = Requester::Agent { id, name, owner, job: job(&words) }.into();
    let of_a_job = repeats.digest(&other).expect("it has one");
    assert_ne!(of_a_job, before);
    let words = ["agent", "owner", "target", "b", "another branch", "SELECT 1"].map(str::to_owned);
    let Requester::Agent { id, name, owner, .. } = Requester::clone(&one.requester) else { unreachable!() };
    other.requester = Requester::Agent { id, name, owner, job: job(&words) }.into();
    assert_ne!(repeats.digest(&other).expect("it has one"), of_a_job);
    assert_eq!(repeats.digest(&one).expect("it has one"), before);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut repeats = Repeats::default();
    for target in 0..2 * KEPT_MAX {
        let words = ["agent", "owner", &target.to_string(), "1", "public", "SELECT 1"].map(str::to_owned);
        repeats.digest(&described(&words)).expect("it has one");
    }
    assert_eq!(repeats.0.len(), KEPT_MAX);
}
