//! What a bundle accepts, and how it says no.

use super::*;

fn problems(text: &str) -> Vec<String> {
    let sources =
        vec![source("a.cedar", "@id(\"first\")\npermit (principal, action, resource);"), source("b.cedar", text)];
    match Bundle::load(sources, Vocabulary::starter()) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems().iter().map(Problem::to_string).collect(),
    }
}

/// The only problem names its place and says this.
fn check(text: &str, place: &str, says: &str) {
    let found = problems(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(place) && found[0].contains(says), "{}", found[0]);
}

#[test]
fn mistakes_are_named_with_file_and_line() {
    let scope = "forbid (principal, action == Action::\"sql:write\", resource)";
    check(&format!("\n{scope};"), "b.cedar:2:1:", "no `@id`");
    check(&format!("@id(\"first\")\n{scope};"), "b.cedar:1:1:", "already used in `a.cedar`");
    check(&format!("@id(\"core:x\") {scope};"), "b.cedar:1:1:", "compiled in");
    check(&format!("@id(\"x\")\n@reveiw(\"x\") {scope};"), "b.cedar:2:1:", "unknown annotation `@reveiw`");
    check(&format!("@id(\"x\")\n\n@expires(\"1 day\") {scope};"), "b.cedar:3:1:", "no duration");
    check(&format!("@id(\"x\") @escalate(\"5m: boss\") {scope};"), "b.cedar:1:10:", "unknown group `boss`");
    let escalating = |text: &str| format!("@id(\"x\") @escalate(\"5m: sre\") {scope} unless {{ {text} }};");
    check(&escalating("context.approvals.contains(Quorum::\"dba:1\")"), "b.cedar:1:1:", "so they could do nothing");
    check("@id(\"x\") @review(\"x\") permit (principal, action, resource);", "b.cedar:1:10:", "permit has no effect");
    check("@id(\"x\")\npermit (principal == ?principal, action, resource);", "b.cedar:1:1:", "templates");
    check("@id(\"x\")\npermit (principal, action resource);", "b.cedar:2:", "unexpected token");
    check("@id(\"a b\") permit (principal, action, resource);", "b.cedar:1:1:", "cannot be an `@id`");
}

#[test]
fn names_are_checked_against_the_vocabulary() {
    check("@id(\"x\") permit (principal in Group::\"dab\",\n action, resource);", "b.cedar:1:", "dab");
    let unless = |text: &str| {
        format!("@id(\"x\") forbid (principal, action == Action::\"sql:write\", resource)\nunless {{ {text} }};")
    };
    check(&unless("context.approvals.contains(Quorum::\"dba:6\")"), "b.cedar:2:", "dba:6");
    check(&unless("context.approvals.contains(Quorum::\"dab:1\")"), "b.cedar:2:", "dab:1");
    check(&unless("resource.env == Env::\"prod\""), "b.cedar:2:", "prod");
    check(&unless("context.aprovals.contains(Quorum::\"dba:1\")"), "b.cedar:2:", "aprovals");
    check(&unless("context.sql.verb == 3"), "b.cedar:2:", "not compatible");
    check("@id(\"x\") permit (principal, action == Action::\"sql:wirte\", resource);", "b.cedar:1:", "sql:wirte");
}

#[test]
fn warnings_are_errors() {
    let never = "@id(\"x\") forbid (principal, action == Action::\"sql:write\", resource)\nwhen { 1 == 2 && resource.env == Env::\"dev\" };";
    assert!(!problems(never).is_empty());
    let other = "@id(\"x\") permit (principal, action == Action::\"approve\", resource is Database);";
    assert!(!problems(other).is_empty());
}

#[test]
fn every_problem_is_reported_at_once() {
    let text = "permit (principal, action, resource);\n@id(\"x\") @hodl(\"5m\") @expires(\"x\")\nforbid (principal in Group::\"y\", action, resource);";
    let found = problems(text);
    assert_eq!(found.len(), 4, "{found:#?}");
    let sources = vec![source("broken.cedar", "permit ("), source("worse.cedar", "forbid"), source("ok.cedar", text)];
    let error = Bundle::load(sources, Vocabulary::starter()).expect_err("nothing in it is right").to_string();
    for file in ["broken.cedar:1:", "worse.cedar:1:", "ok.cedar:1:", "ok.cedar:2:", "ok.cedar:3:"] {
        assert!(error.contains(file), "{error}");
    }
}

#[test]
fn sizes_are_bounded() {
    let text = format!("// {}", "x".repeat(BUNDLE_BYTES_MAX));
    let error = Bundle::load(vec![source("a", &text)], Vocabulary::starter());
    assert!(matches!(error, Err(LoadError::TooLarge { .. })), "{error:?}");
    let many: Vec<String> =
        (0..=POLICIES_MAX).map(|n| format!("@id(\"p{n}\") permit(principal,action,resource);")).collect();
    let error = Bundle::load(vec![source("a", &many.join("\n"))], Vocabulary::starter());
    assert!(matches!(error, Err(LoadError::TooMany { .. })), "{error:?}");
}

#[test]
fn two_files_of_one_name_are_refused() {
    let sources = vec![source("a.cedar", ""), source("a.cedar", "// another")];
    let error = Bundle::load(sources, Vocabulary::starter()).expect_err("one name").to_string();
    assert!(error.contains("a.cedar: two files"), "{error}");
}

#[test]
fn the_digest_covers_texts_and_vocabulary_but_not_the_order_given() {
    let load = |sources: Vec<Source>, vocabulary| Bundle::load(sources, vocabulary).expect("valid").digest();
    let (a, b) = (source("a", "@id(\"a\") permit(principal,action,resource);"), source("b", "// b"));
    let first = load(vec![a.clone(), b.clone()], Vocabulary::starter());
    assert_eq!(first, load(vec![b.clone(), a.clone()], Vocabulary::starter()));
    assert_ne!(first, load(vec![a.clone(), source("b", "// c")], Vocabulary::starter()));
    let wider = Vocabulary::new(["dba", "security", "sre", "cto"].map(str::to_owned).into(), 5).expect("valid");
    assert_ne!(first, load(vec![a, b], wider));
}

#[test]
fn the_schema_accepts_any_sensible_group_name() {
    let groups = ["équipe:prod", "Release Managers", "a'b{}", "ops;"].map(str::to_owned).into();
    let vocabulary = Vocabulary::new(groups, 9).expect("valid");
    let text = "@id(\"x\") permit (principal in Group::\"équipe:prod\", action, resource);";
    let bundle = Bundle::load(vec![source("a", text)], vocabulary).expect("valid");
    assert!(bundle.schema_text().contains("Release Managers:9"));
}

/// A policy whose condition repeats a part this often.
fn nested(part: (&str, &str, &str), times: usize) -> String {
    let (open, inner, close) = part;
    let text = format!("{}{inner}{}", open.repeat(times), close.repeat(times));
    format!("@id(\"x\") permit (principal, action, resource) when {{ {text} }};")
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let brackets = [
        ("(", "true", ")"),
        ("[", "", "]"),
        ("{a:", "1", "}"),
        ("!(", "true", ")"),
        ("principal.contains(", "1", ")"),
        ("(true && ", "true", ")"),
        ("[{a: !!!!(", "true", ")}]"),
    ];
    let chains =
        [("true && ", "true", ""), ("1+", "1", ""), ("", "true", ".a"), ("", "true", "[\"a\"]"), ("!", "1", "")];
    for part in brackets.into_iter().chain(chains) {
        assert!(!problems(&nested(part, 20_000)).is_empty(), "{part:?}");
    }
    // What the bounds let through, the parser survives.
    for part in brackets {
        for times in 1..=NESTING_MAX {
            drop(problems(&nested(part, times)));
        }
    }
    for (open, inner, close) in chains {
        let times = (POLICY_BYTES_MAX - 100) / (open.len() + close.len());
        drop(problems(&nested((open, inner, close), times)));
    }
    for part in [("if true then ", "true", " else true"), ("if true then true else ", "true", "")] {
        drop(problems(&nested(part, IFS_MAX)));
        assert!(!problems(&nested(part, IFS_MAX + 1)).is_empty(), "{part:?}");
    }
    assert!(Bundle::format(&nested(brackets[0], 20_000)).is_err());
}

#[test]
fn a_long_chain_is_evaluated_or_refused() {
    let chain = "1+".repeat(POLICY_BYTES_MAX / 2 - 100);
    let text = format!("@id(\"x\") forbid (principal, action, resource is Database) when {{ {chain}1 > 0 }};");
    let bundle = bundle(&text);
    assert!(matches!(decide(&bundle, &one(SqlClass::Read, "SELECT"), &[]), Decision::Deny(_)));
}

#[test]
fn a_bundle_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Bundle>();
}

#[test]
fn an_escalation_is_to_somebody_who_can_do_something() {
    for lifted in [
        "context.approvals.contains(Quorum::\"sre:2\")",
        "context.approvals.contains(Quorum::\"any:2\")",
        "context.breakGlass",
    ] {
        let unless = format!("context.approvals.contains(Quorum::\"dba:1\") || {lifted}");
        bundle(&format!(
            "@id(\"x\") @escalate(\"5m: sre\") forbid (principal, action == Action::\"sql:write\", resource) unless {{ {unless} }};"
        ));
    }
}
