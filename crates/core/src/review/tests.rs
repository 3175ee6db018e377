//! The transition table, and that people are counted as people.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::separation::{EligibleVote, independent};
use super::*;
use crate::action::sql::{SqlClass, SqlFacts};
use crate::action::{
    ActionId, AgentId, BundleDigest, Environment, Facts, PayloadDigest, PersonRef, Requester, Sensitivity,
    SessionFacts, Target, redact,
};
use crate::policy::{Obligations, Quorum};

fn person(id: &str) -> PersonId {
    PersonId::new(id)
}

fn described() -> Described {
    let owner = PersonRef { id: person("ada"), name: "ada".to_owned() };
    Described {
        impact: crate::action::impact::Impact::default(),
        id: ActionId::new("a1"),
        requester: Requester::Agent {
            id: AgentId::new("g1"),
            name: "coder".to_owned(),
            owner: owner.clone(),
            job: None,
        }
        .into(),
        on_behalf_of: owner.clone().into(),
        closure: Arc::new(BTreeSet::from([owner.id])),
        target: Target {
            name: "orders".to_owned(),
            environment: Environment::Production,
            sensitivity: Sensitivity::High,
            generation: "1".to_owned(),
        }
        .into(),
        facts: Facts::Sql(SqlFacts { class: SqlClass::Write, statements: vec![] }).into(),
        session: SessionFacts::default().into(),
        shown: redact::Shown::default(),
        reason: None,
        payload: PayloadDigest::of(b"x"),
        at: Timestamp::from_seconds(0),
    }
}

pub(super) fn matter() -> Matter {
    let described = described();
    Matter {
        id: ReviewId::new("r1"),
        action: described.digest().expect("canonical"),
        card: CardDigest::of(b"card"),
        described,
        terms: Terms {
            policies: vec![],
            suffices: vec![],
            obligations: Obligations::default(),
            bundle: BundleDigest::of(b""),
        },
        offer: None,
        opened_at: Timestamp::from_seconds(0),
        expires_at: Timestamp::from_seconds(60),
    }
}

fn open() -> Open {
    Open::new(matter())
}

fn vote(who: &str, groups: &[&str], verdict: Verdict) -> EligibleVote {
    EligibleVote::of(Vote {
        person: person(who),
        name: who.to_owned(),
        verdict,
        method: Method::Api,
        mfa: true,
        passkey: None,
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        duties: Vec::new(),
        card: CardDigest::of(b"card"),
        pattern: None,
        reason: None,
        at: Timestamp::from_seconds(1),
    })
}

fn wants(quorum: &str) -> impl Fn(&[Vote]) -> bool {
    let quorum = Quorum::try_from(quorum.to_owned()).expect("well-formed");
    move |votes| tokens(votes).contains(&quorum)
}

#[test]
fn the_requesters_side_is_never_independent() {
    let linked = BTreeSet::from([person("alt-of-ada")]);
    for who in ["ada", "alt-of-ada"] {
        assert!(independent(&person(who), &described(), &linked).is_err(), "{who}");
    }
    assert!(independent(&person("dora"), &described(), &linked).is_ok());
}

#[test]
fn two_different_people_make_two() {
    let now = Timestamp::from_seconds(1);
    let Review::Open(one) = open().vote(vote("dora", &["dba"], Verdict::Approve), now, wants("dba:2")).expect("first")
    else {
        unreachable!("one approval is not two")
    };
    assert_eq!(one.vote(vote("dora", &["dba"], Verdict::Approve), now, wants("dba:2")), Err(Error::VotedAlready));
    let both = one.vote(vote("finn", &["dba"], Verdict::Approve), now, wants("dba:2")).expect("second");
    assert_eq!(both.state(), "approved");
}

#[test]
fn one_person_in_two_groups_is_one_person() {
    let votes = [vote("dora", &["dba", "sre"], Verdict::Approve).into_vote()];
    let tokens: Vec<String> = tokens(&votes).iter().map(ToString::to_string).collect();
    assert_eq!(tokens, ["any:1", "dba:1", "sre:1"]);
}

#[test]
fn the_first_rejection_closes() {
    let now = Timestamp::from_seconds(1);
    let review = open().vote(vote("dora", &["dba"], Verdict::Reject), now, |_| true).expect("counts");
    assert_eq!(review.state(), "rejected");
}

#[test]
fn deadlines_hold_to_the_microsecond() {
    let deadline = Timestamp::from_seconds(60);
    let before = Timestamp::from_micros(deadline.micros() - 1);
    assert_eq!(open().vote(vote("dora", &["dba"], Verdict::Approve), deadline, |_| true), Err(Error::Expired));
    assert!(open().vote(vote("dora", &["dba"], Verdict::Approve), before, |_| true).is_ok());
    assert_eq!(open().expire(before), Err(Error::NotYetExpired));
    assert_eq!(open().expire(deadline).map(|closed| closed.outcome()), Ok(Outcome::Expired));
}

#[test]
fn only_the_requesters_side_withdraws() {
    let now = Timestamp::from_seconds(1);
    assert_eq!(open().withdraw(&person("dora"), now), Err(Error::NotYours));
    assert_eq!(open().withdraw(&person("ada"), now).map(|closed| closed.outcome()), Ok(Outcome::Withdrawn));
}

#[test]
fn a_vote_can_be_taken_back_by_its_voter_and_cast_again() {
    let once = |review: &Open, who: &str| match review.vote(
        vote(who, &["dba"], Verdict::Approve),
        Timestamp::from_seconds(1),
        wants("dba:2"),
    ) {
        Ok(Review::Open(next)) => next,
        other => unreachable!("one of two: {other:?}"),
    };
    let one = once(&open(), "bob");
    assert_eq!(one.retract(&person("carol")), Err(Error::NotVoted));
    let none = one.retract(&person("bob")).expect("his own");
    assert_eq!(none, open());
    assert_eq!(none.retract(&person("bob")), Err(Error::NotVoted));
    assert_eq!(once(&none, "bob"), one);
}

fn deputy(who: &str, own: &[&str], duties: &[(&str, &[&str])]) -> Vote {
    let duty = |(of, groups): &(&str, &[&str])| DutyUse {
        of: person(of),
        name: (*of).to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    };
    Vote { duties: duties.iter().map(duty).collect(), ..vote(who, own, Verdict::Approve).into_vote() }
}

#[test]
fn one_duty_counts_once() {
    let counts = |votes: &[Vote], expected: &[&str]| {
        let tokens: Vec<String> = tokens(votes).iter().map(ToString::to_string).collect();
        assert_eq!(tokens, expected, "{votes:?}");
    };
    let paula = || deputy("paula", &["dba"], &[]);
    let quinn = || deputy("quinn", &["dba"], &[]);
    let dora = |duties| deputy("dora", &[], duties);
    counts(&[dora(&[("paula", &["dba"])])], &["any:1", "dba:1"]);
    counts(&[paula(), dora(&[("paula", &["dba"])])], &["any:1", "dba:1"]);
    counts(&[dora(&[("paula", &["dba"])]), paula()], &["any:1", "dba:1"]);
    counts(&[quinn(), dora(&[("paula", &["dba"])])], &["any:1", "any:2", "dba:1", "dba:2"]);
    // one person is one, however many gave them their duty
    counts(&[dora(&[("paula", &["dba"]), ("quinn", &["dba"])])], &["any:1", "dba:1"]);
    counts(&[paula(), dora(&[("paula", &["dba"]), ("quinn", &["dba"])])], &["any:1", "any:2", "dba:1", "dba:2"]);
    counts(
        &[paula(), quinn(), dora(&[("paula", &["dba"]), ("quinn", &["dba"])])],
        &["any:1", "any:2", "dba:1", "dba:2"],
    );
    // two deputies of one person
    counts(&[dora(&[("paula", &["dba"])]), deputy("emil", &[], &[("paula", &["dba"])])], &["any:1", "dba:1"]);
    // a member of the group is themselves
    counts(&[deputy("dora", &["dba"], &[("paula", &["dba"])]), paula()], &["any:1", "any:2", "dba:1", "dba:2"]);
    // in `any` whoever has a group of their own is themselves
    counts(&[deputy("dora", &["sre"], &[("paula", &["dba"])]), paula()], &["any:1", "any:2", "dba:1", "sre:1"]);
    assert!(tokens(&[Vote { verdict: Verdict::Reject, ..dora(&[("paula", &["dba"])]) }]).is_empty());
}
