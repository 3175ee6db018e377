//! That nothing but an allowed value may differ, and that people never get more than each of them chose.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::action::impact::Impact;
use crate::action::sql::{SqlStatement, SqlTables};
use crate::action::{
    ActionId, AgentId, Environment, PayloadDigest, PersonRef, Requester, SealedPayload, Sensitivity, Target, redact,
};

fn integer(value: i64) -> Value {
    let digest = ValueDigest::of(value.to_string().as_bytes());
    Value { kind: "int4".to_owned(), integer: Some(value), free: false, digest, shown: value.to_string() }
}

fn text(value: &str) -> Value {
    let digest = ValueDigest::of(value.as_bytes());
    Value { kind: "text".to_owned(), integer: None, free: true, digest, shown: value.to_owned() }
}

/// `UPDATE orders SET note = ‹text› WHERE id = ‹integer› AND shop = 7`, taken apart.
#[derive(Clone)]
struct Case {
    described: Described,
    skeleton: Skeleton,
}

fn case(id: i64, note: &str) -> Case {
    let owner = PersonRef { id: PersonId::new("ada"), name: "ada".to_owned() };
    let agent = Requester::Agent { id: AgentId::new("g1"), name: "coder".to_owned(), owner: owner.clone(), job: None };
    let statement = SqlStatement {
        verb: "UPDATE".to_owned(),
        class: SqlClass::Write,
        apart: SqlClass::Write,
        code: BTreeSet::new(),
        tables: SqlTables { read: BTreeSet::new(), write: BTreeSet::from(["public.orders".to_owned()]) },
        functions: BTreeSet::new(),
        has_where: true,
    };
    let target = Target {
        name: "orders".to_owned(),
        environment: Environment::Production,
        sensitivity: Sensitivity::High,
        generation: "1".to_owned(),
    };
    let described = Described {
        impact: Impact { known: true, rows: Some(1), rows_max: Some(100), ..Impact::default() },
        id: ActionId::new("a1"),
        requester: agent.into(),
        on_behalf_of: owner.clone().into(),
        closure: Arc::new(BTreeSet::from([owner.id])),
        target: target.into(),
        facts: Facts::Sql(SqlFacts { class: SqlClass::Write, statements: vec![statement] }).into(),
        session: SessionFacts {
            settings: [("search_path".to_owned(), PayloadDigest::of(b"public"))].into(),
            names: [("orders".to_owned(), "table 16384 v1".to_owned())].into(),
            ..SessionFacts::default()
        }
        .into(),
        shown: redact::Shown::default(),
        reason: None,
        payload: crate::action::PayloadDigest::of(b""),
        at: Timestamp::from_seconds(0),
    };
    let skeleton = Skeleton {
        fixed: vec!["UPDATE orders SET note = ".to_owned(), " WHERE id = ".to_owned(), " AND shop = 7".to_owned()],
        fingerprint: "0123456789abcdef".to_owned(),
        text: "UPDATE orders SET note = ‹1› WHERE id = ‹2› AND shop = 7".to_owned(),
        values: vec![text(note), integer(id)],
    };
    Case { described, skeleton }
}

fn likeness(mut case: Case) -> Result<Likeness, Unlike> {
    let payload = SealedPayload::seal(format!("{:?}", case.skeleton).into_bytes());
    case.described.payload = payload.digest();
    Likeness::of(&ActionRequest::new(case.described, payload).expect("one payload"), case.skeleton)
}

const MOST: Limits = Limits { uses: 20, seconds: 3_600 };

fn wish(values: &[(u32, Bound)]) -> Wish {
    Wish { values: values.iter().copied().collect(), ..Wish::default() }
}

fn approved(wish: &Wish) -> Approved {
    let shape = likeness(case(15, "paid")).expect("stands alone").shape().clone();
    let choice = Choice::new(&shape, wish, MOST).expect("possible");
    let at = Timestamp::from_seconds(100);
    Approved::new(PatternId::new("p1"), ReviewId::new("r1"), shape, choice, at).expect("canonical")
}

#[test]
fn values_vary_only_as_chosen() {
    let range = approved(&wish(&[(2, Bound::Range { from: 10, to: 20 })]));
    let admits = |pattern: &Approved, id, note| pattern.is_like(&likeness(case(id, note)).expect("stands alone"));
    for (id, note, expected) in [
        (15, "paid", true),
        (10, "paid", true),
        (20, "paid", true),
        (9, "paid", false),
        (21, "paid", false),
        (15, "void", false),
    ] {
        assert_eq!(admits(&range, id, note), expected, "{id} {note}");
    }
    let free = approved(&wish(&[(1, Bound::Any)]));
    assert!(admits(&free, 15, "void") && !admits(&free, 16, "void"));
    assert!(admits(&approved(&Wish::default()), 15, "paid") && !admits(&approved(&Wish::default()), 16, "paid"));
}

#[test]
fn wishes_are_held_against_the_action_and_policy() {
    let shape = likeness(case(15, "paid")).expect("stands alone").shape().clone();
    let new = |wish: &Wish| Choice::new(&shape, wish, MOST);
    for (values, expected) in [
        ((0, Bound::Same), ChoiceError::NoSuchValue(0)),
        ((3, Bound::Same), ChoiceError::NoSuchValue(3)),
        ((1, Bound::Range { from: 1, to: 2 }), ChoiceError::NoRange(1)),
        ((2, Bound::Range { from: 16, to: 20 }), ChoiceError::Outside(2)),
        ((2, Bound::Range { from: 20, to: 10 }), ChoiceError::Outside(2)),
        ((2, Bound::Any), ChoiceError::NotFree(2)),
    ] {
        assert_eq!(new(&wish(&[values])), Err(expected));
    }
    for (uses, seconds) in [(Some(21), None), (None, Some(3_601)), (Some(0), None), (None, Some(0))] {
        assert_eq!(new(&Wish { uses, seconds, ..Wish::default() }), Err(ChoiceError::Limits(MOST)));
    }
    assert_eq!(new(&Wish::default()).map(|choice| choice.limits), Ok(MOST));
}

#[test]
fn time_and_count_end_it_by_both_clocks() {
    let pattern = approved(&Wish { uses: Some(2), seconds: Some(60), ..Wish::default() });
    let at = Timestamp::from_seconds;
    let like = likeness(case(15, "paid")).expect("stands alone");
    let admits = |now, used, policy| pattern.admits(&like, now, used, policy).map(|used| used.uses_max());
    assert_eq!(admits(at(159), 1, MOST), Some(2));
    assert_eq!((admits(at(160), 1, MOST), admits(at(159), 2, MOST)), (None, None));
    assert_eq!(admits(at(159), 1, Limits { uses: 1, seconds: 3_600 }), None, "policy allows fewer by now");
    assert_eq!(admits(at(130), 0, Limits { uses: 20, seconds: 30 }), None, "policy allows less time by now");
    let other = likeness(case(16, "paid")).expect("stands alone");
    assert_eq!(pattern.admits(&other, at(101), 0, MOST), None);
}

/// A change, by its name.
type Mutation = (&'static str, fn(&mut Case));

/// Everything that could be another in an action that is otherwise the same.
fn mutations() -> Vec<Mutation> {
    fn sql(case: &mut Case, change: impl FnOnce(&mut SqlStatement)) {
        let Facts::Sql(facts) = Arc::make_mut(&mut case.described.facts) else { panic!("a statement") };
        change(&mut facts.statements[0]);
    }
    vec![
        ("requester", |case| {
            let owner = case.described.requester.owner().clone();
            let agent = Requester::Agent { id: AgentId::new("g2"), name: "coder".to_owned(), owner, job: None };
            case.described.requester = agent.into();
        }),
        ("on behalf of", |case| Arc::make_mut(&mut case.described.on_behalf_of).id = PersonId::new("bob")),
        ("target", |case| Arc::make_mut(&mut case.described.target).name = "other".to_owned()),
        ("credential", |case| Arc::make_mut(&mut case.described.target).generation = "2".to_owned()),
        ("class", |case| {
            let Facts::Sql(facts) = Arc::make_mut(&mut case.described.facts) else { panic!("a statement") };
            facts.class = SqlClass::Read;
        }),
        ("verb", |case| sql(case, |statement| statement.verb = "DELETE".to_owned())),
        ("table", |case| {
            sql(case, |statement| {
                statement.tables.write.insert("public.other".to_owned());
            })
        }),
        ("table read", |case| {
            sql(case, |statement| {
                statement.tables.read.insert("public.other".to_owned());
            })
        }),
        ("function", |case| {
            sql(case, |statement| {
                statement.functions.insert("lower".to_owned());
            })
        }),
        ("where", |case| sql(case, |statement| statement.has_where = false)),
        ("identity", |case| {
            Arc::make_mut(&mut case.described.session).names.insert("orders".to_owned(), "table 16384 v2".to_owned());
        }),
        ("another name", |case| {
            Arc::make_mut(&mut case.described.session).names.insert("f".to_owned(), "function 1".to_owned());
        }),
        ("search path", |case| {
            let settings = &mut Arc::make_mut(&mut case.described.session).settings;
            settings.insert("search_path".to_owned(), PayloadDigest::of(b"mine, public"));
        }),
        ("another setting", |case| {
            Arc::make_mut(&mut case.described.session).settings.insert("work_mem".to_owned(), PayloadDigest::of(b"1"));
        }),
        ("transaction", |case| Arc::make_mut(&mut case.described.session).in_transaction = true),
        ("text", |case| case.skeleton.fixed[2] = " AND shop = 8".to_owned()),
        ("a piece more", |case| case.skeleton.fixed.push(" OR true".to_owned())),
        ("a cut elsewhere", |case| {
            case.skeleton.fixed = vec![case.skeleton.fixed.concat(), String::new(), String::new()];
        }),
        ("fingerprint", |case| case.skeleton.fingerprint = "fedcba9876543210".to_owned()),
        ("kind", |case| case.skeleton.values[1].kind = "int8".to_owned()),
        ("a value more", |case| case.skeleton.values.push(integer(1))),
        ("a value less", |case| case.skeleton.values.truncate(1)),
        ("no integer any more", |case| case.skeleton.values[1].integer = None),
        ("not free any more", |case| case.skeleton.values[0].free = false),
    ]
}

#[test]
fn whatever_else_differs_is_not_alike() {
    let widest = approved(&wish(&[(1, Bound::Any), (2, Bound::Range { from: 0, to: i64::MAX })]));
    assert!(widest.is_like(&likeness(case(16, "void")).expect("stands alone")));
    for (what, mutate) in mutations() {
        let mut other = case(16, "void");
        mutate(&mut other);
        assert!(!likeness(other).is_ok_and(|other| widest.is_like(&other)), "{what}");
    }
}

#[test]
fn what_cannot_stand_alone_has_no_like() {
    let refuses = |expected: Unlike, change: fn(&mut Case)| {
        let mut other = case(15, "paid");
        change(&mut other);
        assert_eq!(likeness(other), Err(expected));
    };
    fn facts(case: &mut Case) -> &mut SqlFacts {
        let Facts::Sql(facts) = Arc::make_mut(&mut case.described.facts) else { panic!("a statement") };
        facts
    }
    refuses(Unlike::Statements, |case| facts(case).statements.clear());
    refuses(Unlike::Statements, |case| {
        let statement = facts(case).statements[0].clone();
        facts(case).statements.push(statement);
    });
    refuses(Unlike::Class, |case| facts(case).class = SqlClass::Opaque);
    refuses(Unlike::Class, |case| facts(case).class = SqlClass::Session);
    refuses(Unlike::Class, |case| facts(case).class = SqlClass::Ddl);
    refuses(Unlike::Class, |case| facts(case).class = SqlClass::Admin);
    refuses(Unlike::Class, |case| {
        facts(case).statements[0].code.insert("public.f()".to_owned());
    });
    refuses(Unlike::Class, |case| facts(case).statements[0].verb = "COPY".to_owned());
    refuses(Unlike::Unbounded, |case| case.described.impact = Impact::unknown("nobody asked"));
    refuses(Unlike::History, |case| {
        Arc::make_mut(&mut case.described.session).transaction.push(ActionDigest::of(b"before"));
    });
    refuses(Unlike::History, |case| {
        let prepared = &mut Arc::make_mut(&mut case.described.session).prepared;
        prepared.insert("s".to_owned(), crate::action::PayloadDigest::of(b"s"));
    });
    refuses(Unlike::TooLong, |case| case.skeleton.values = vec![integer(1); VALUES_MAX + 1]);
    refuses(Unlike::TooLong, |case| case.skeleton.text = "x".repeat(TEXT_BYTES_MAX + 1));
}

fn bounds() -> impl Strategy<Value = (u32, Option<(i64, i64)>, u32)> {
    (1u32..=20, proptest::option::of((0i64..=15, 15i64..=40)), 1u32..=3_600)
}

fn chosen((uses, range, seconds): (u32, Option<(i64, i64)>, u32), free: bool) -> Wish {
    let range = range.map(|(from, to)| (2, Bound::Range { from, to }));
    let free = free.then_some((1, Bound::Any));
    Wish { uses: Some(uses), seconds: Some(seconds), values: range.into_iter().chain(free).collect() }
}

proptest! {
    /// What two people agree on lets through exactly what both of them let through.
    #[test]
    fn an_agreement_is_what_both_chose(
        one in bounds(), two in bounds(), free: (bool, bool), id in 0i64..50, other_note: bool,
    ) {
        let (one, two) = (approved(&chosen(one, free.0)), approved(&chosen(two, free.1)));
        let both = one.choice.meet(&two.choice).expect("both hold what was reviewed");
        let both = Approved { choice: both, ..one.clone() };
        let like = likeness(case(id, if other_note { "void" } else { "paid" })).expect("stands alone");
        let admits = |pattern: &Approved| pattern.is_like(&like);
        prop_assert_eq!(admits(&both), admits(&one) && admits(&two));
        prop_assert_eq!(both.choice.limits, one.choice.limits.stricter(two.choice.limits));
        prop_assert_eq!(one.choice.meet(&two.choice), two.choice.meet(&one.choice));
    }

    /// Another choice has another digest: what a vote signs is what it chose.
    #[test]
    fn a_digest_is_of_one_choice(one in bounds(), two in bounds(), free: (bool, bool)) {
        let (one, two) = (approved(&chosen(one, free.0)), approved(&chosen(two, free.1)));
        prop_assert_eq!(one.digest == two.digest, one.choice == two.choice);
    }
}
