//! Filters, PATCH in the shapes that providers send, and bodies that say something else.

use std::collections::BTreeMap;

use countersign_core::action::PersonId;
use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::refusal::Refusal;
use super::{groups, list::Wish, users};
use crate::ports::{Email, GroupAttributes, UserAttributes};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("no object: {other}"),
    }
}

fn dora() -> UserAttributes {
    UserAttributes {
        user_name: "dora@example.org".to_owned(),
        external_id: Some("00u1".to_owned()),
        display_name: Some("Dora".to_owned()),
        name: BTreeMap::from([("givenName".to_owned(), "Dora".to_owned())]),
        emails: vec![Email { value: "dora@example.org".to_owned(), kind: Some("work".to_owned()), primary: true }],
        active: true,
    }
}

fn patched(operations: Value) -> Result<UserAttributes, Refusal> {
    let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
    users::patched(&dora(), &object(json!({"schemas": schemas, "Operations": operations})))
}

#[test]
fn filters_find_what_they_say() {
    let resource = object(json!({
        "id": "p_1", "userName": "Dora@example.org", "externalId": "00uAbC", "active": true, "title": null,
        "emails": [{"value": "d@work.org", "type": "work"}, {"value": "d@home.org", "type": "home"}],
        "name": {"familyName": "Díaz"}, "meta": {"lastModified": "2026-01-02T00:00:00Z"},
    }));
    let cases = [
        (r#"userName eq "dora@EXAMPLE.org""#, true),
        (r#"USERNAME Eq "dora@example.org""#, true),
        (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "dora@example.org""#, true),
        (r#"userName eq "dora""#, false),
        (r#"externalId eq "00uAbC""#, true),
        (r#"externalId eq "00uabc""#, false),
        (r#"id eq "p_1" and active eq true"#, true),
        (r#"id eq "p_1" and active eq False"#, false),
        (r#"emails eq "d@home.org""#, true),
        (r#"emails.type eq "other""#, false),
        (r#"emails[type eq "work" and value co "@work"]"#, true),
        (r#"emails[type eq "home" and value co "@work"]"#, false),
        (r#"name.familyName sw "dí""#, true),
        (r#"title pr"#, false),
        (r#"not (title pr) and (userName ew ".org" or userName pr)"#, true),
        (r#"userName ne "dora@example.org""#, false),
        (r#"meta.lastModified gt "2026-01-01T00:00:00Z""#, true),
        (r#"meta.lastModified le "2026-01-01T00:00:00Z""#, false),
        (r#"displayName eq "quoted \" and \u0041""#, false),
        (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "x""#, false),
    ];
    for (text, expected) in cases {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(filter.matches(&resource), expected, "{text}");
    }
}

#[test]
fn what_is_no_filter_is_refused() {
    let deep = format!("{}a pr{}", "(".repeat(40), ")".repeat(40));
    let long = format!("userName eq \"{}\"", "x".repeat(4_000));
    for text in [
        "",
        "userName",
        "userName eq",
        "userName is \"x\"",
        "userName eq x",
        "userName eq \"x",
        "(userName pr",
        "userName pr)",
        "emails[type pr",
        "a pr and",
        "not a pr",
        "1a eq 1",
        "\"a\" eq 1",
        "é pr é",
        "[",
        "a.b.c eq 1",
        &deep,
        &long,
    ] {
        let refusal = Filter::parse(text).expect_err(text);
        assert_eq!(refusal.kind(), Some("invalidFilter"), "{text}");
    }
}

#[test]
fn okta_and_entra_say_the_same_in_their_own_ways() {
    let inactive = UserAttributes { active: false, ..dora() };
    let renamed = UserAttributes { user_name: "dora.diaz@example.org".to_owned(), ..dora() };
    let mut family = dora();
    family.name.insert("familyName".to_owned(), "Diaz".to_owned());
    let mut address = dora();
    address.emails[0].value = "d.diaz@example.org".to_owned();
    let mut home = dora();
    home.emails.push(Email { value: "d@home.org".to_owned(), kind: Some("home".to_owned()), primary: false });
    let mut moved = home.clone();
    (moved.emails[0].primary, moved.emails[1].primary) = (false, true);
    let cases = [
        // Okta deactivates without a path
        (json!([{"op": "replace", "value": {"active": false}}]), inactive.clone()),
        // Entra ID with one, its operations with a capital, its booleans as text
        (json!([{"op": "Replace", "path": "active", "value": "False"}]), inactive.clone()),
        (json!([{"op": "Add", "path": "active", "value": false}]), inactive.clone()),
        (json!([{"op": "REPLACE", "value": {"ACTIVE": "false"}}]), inactive.clone()),
        (
            json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": false}]),
            inactive,
        ),
        (json!([{"op": "replace", "value": {"id": "p_9", "userName": "dora.diaz@example.org"}}]), renamed.clone()),
        (json!([{"op": "Replace", "path": "userName", "value": "dora.diaz@example.org"}]), renamed),
        (json!([{"op": "Add", "path": "name.familyName", "value": "Diaz"}]), family.clone()),
        (json!([{"op": "replace", "value": {"name": {"familyName": "Diaz"}}}]), family.clone()),
        (json!([{"op": "Add", "value": {"name.familyName": "Diaz"}}]), family),
        (
            json!([{"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "d.diaz@example.org"}]),
            address.clone(),
        ),
        (
            json!([{"op": "replace", "path": "emails", "value":
                [{"value": "d.diaz@example.org", "type": "work", "primary": true}]}]),
            address,
        ),
        (json!([{"op": "Add", "path": "emails[type eq \"home\"].value", "value": "d@home.org"}]), home.clone()),
        (json!([{"op": "add", "path": "emails", "value": {"value": "d@home.org", "type": "home"}}]), home.clone()),
        (
            json!([{"op": "add", "path": "emails", "value": [{"value": "d@home.org", "type": "home"}]},
                {"op": "add", "path": "emails[type eq \"home\"].primary", "value": true}]),
            moved,
        ),
        (json!([{"op": "remove", "path": "displayName"}]), UserAttributes { display_name: None, ..dora() }),
        (
            json!([{"op": "replace", "path": "displayName", "value": null}]),
            UserAttributes { display_name: None, ..dora() },
        ),
        (json!([{"op": "remove", "path": "emails[type eq \"work\"]"}]), UserAttributes { emails: vec![], ..dora() }),
        // what is not kept changes nothing
        (
            json!([{"op": "Add", "path": "title", "value": "DBA"}, {"op": "Add", "path":
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "IT"},
                {"op": "Add", "path": "addresses[type eq \"work\"].locality", "value": "Bern"},
                {"op": "replace", "value": {"password": "t1meMa$heen"}}]),
            dora(),
        ),
    ];
    for (operations, expected) in cases {
        assert_eq!(patched(operations.clone()).expect("applies"), expected, "{operations}");
    }
}

#[test]
fn a_patch_that_says_nothing_sensible_is_refused() {
    let many = Value::Array(vec![json!({"op": "replace", "path": "active", "value": true}); 501]);
    let cases = [
        (json!([]), "invalidSyntax"),
        (json!([7]), "invalidValue"),
        (json!([{"op": "erase", "path": "active"}]), "invalidSyntax"),
        (json!([{"path": "active", "value": true}]), "invalidSyntax"),
        (json!([{"op": "remove"}]), "noTarget"),
        (json!([{"op": "add", "path": "active"}]), "invalidValue"),
        (json!([{"op": "replace", "value": 7}]), "invalidValue"),
        (json!([{"op": "replace", "path": 7, "value": 7}]), "invalidPath"),
        (json!([{"op": "replace", "path": "emails[type eq", "value": 7}]), "invalidPath"),
        (json!([{"op": "replace", "path": "emails[].value", "value": "x"}]), "invalidPath"),
        (json!([{"op": "replace", "path": "active.part", "value": true}]), "invalidPath"),
        (json!([{"op": "replace", "path": "name[a pr]", "value": {}}]), "invalidPath"),
        (json!([{"op": "replace", "path": "id", "value": "p_2"}]), "mutability"),
        (json!([{"op": "remove", "path": "groups"}]), "mutability"),
        (json!([{"op": "replace", "path": "active", "value": "maybe"}]), "invalidValue"),
        (json!([{"op": "replace", "path": "active", "value": 0}]), "invalidValue"),
        (json!([{"op": "remove", "path": "userName"}]), "invalidValue"),
        (json!([{"op": "replace", "path": "userName", "value": "a\u{0}b"}]), "invalidValue"),
        (json!([{"op": "replace", "path": "name", "value": "Dora"}]), "invalidValue"),
        (json!([{"op": "add", "path": "emails", "value": "d@x.org"}]), "invalidValue"),
        (many, "tooMany"),
    ];
    for (operations, expected) in cases {
        let refusal = patched(operations.clone()).expect_err("refused");
        assert_eq!(refusal.kind(), Some(expected), "{operations}");
    }
}

fn members(ids: &[&str]) -> GroupAttributes {
    let members = ids.iter().map(|id| PersonId::new(*id)).collect();
    GroupAttributes { display_name: "Database Approvers".to_owned(), external_id: None, members }
}

#[test]
fn members_come_and_go_in_every_way() {
    let cases = [
        (json!([{"op": "add", "path": "members", "value": [{"value": "c", "display": "c@x"}]}]), vec!["a", "b", "c"]),
        (json!([{"op": "Add", "path": "members", "value": {"value": "c"}}]), vec!["a", "b", "c"]),
        (json!([{"op": "Add", "value": {"members": [{"value": "a"}, {"value": "c"}]}}]), vec!["a", "b", "c"]),
        (json!([{"op": "remove", "path": "members[value eq \"a\"]"}]), vec!["b"]),
        (json!([{"op": "Remove", "path": "members", "value": [{"value": "a"}]}]), vec!["b"]),
        (json!([{"op": "remove", "path": "members[value eq \"z\"]"}]), vec!["a", "b"]),
        (json!([{"op": "remove", "path": "members"}]), vec![]),
        (json!([{"op": "replace", "path": "members", "value": [{"value": "c"}]}]), vec!["c"]),
        (json!([{"op": "replace", "value": {"members": []}}]), vec![]),
        (json!([{"op": "replace", "path": "members", "value": []}]), vec![]),
        (
            json!([{"op": "remove", "path": "members[value eq \"a\"]"}, {"op": "add", "path": "members", "value":
                [{"value": "a"}, {"value": "c"}]}]),
            vec!["a", "b", "c"],
        ),
    ];
    for (operations, expected) in cases {
        let body = object(json!({"Operations": operations}));
        assert_eq!(groups::patched(&members(&["a", "b"]), &body).expect("applies"), members(&expected), "{operations}");
    }
    let rename = object(json!({"Operations": [{"op": "replace", "value": {"id": "g_1", "displayName": "DBAs"}}]}));
    let renamed = groups::patched(&members(&["a"]), &rename).expect("applies");
    assert_eq!((renamed.display_name.as_str(), renamed.members.len()), ("DBAs", 1));
    for (operations, expected) in [
        (json!([{"op": "replace", "path": "members[value eq \"z\"].value", "value": "c"}]), "noTarget"),
        (json!([{"op": "add", "path": "members", "value": ["c"]}]), "invalidValue"),
        (json!([{"op": "add", "path": "members", "value": [{"value": "g", "type": "Group"}]}]), "invalidValue"),
        (json!([{"op": "remove", "path": "displayName"}]), "invalidValue"),
    ] {
        let refusal =
            groups::patched(&members(&["a"]), &object(json!({"Operations": operations}))).expect_err("refused");
        assert_eq!(refusal.kind(), Some(expected), "{operations}");
    }
}

#[test]
fn a_user_as_providers_send_them_is_read_and_a_password_is_not_kept() {
    let body = object(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "dora@example.org", "externalId": "00u1", "displayName": "Dora", "password": "1mz050nq",
        "name": {"givenName": "Dora", "nick": 7}, "locale": "en-US", "groups": [{"value": "g_9"}],
        "emails": [{"primary": "True", "value": "dora@example.org", "type": "work", "display": "Dora"}, {"type": "home"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "x"}},
    }));
    assert_eq!(users::attributes(&body, true, None).expect("reads"), dora());
    let silent = object(json!({"userName": "dora@example.org"}));
    let read = users::attributes(&silent, false, Some("00u1")).expect("reads");
    assert!(!read.active && read.external_id.is_some(), "what is absent brings nobody back");
}

#[test]
fn pages_begin_where_they_are_told_to() {
    let wish = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Wish::parse(&pairs)
    };
    let page = |pairs: &[(&str, &str)]| {
        let all = (1..=5).map(|n| json!({"id": n.to_string(), "userName": format!("u{n}"), "active": n % 2 == 1}));
        wish(pairs).expect("parses").page(all)
    };
    let second = page(&[("startIndex", "2"), ("count", "2"), ("attributes", "userName")]);
    assert_eq!(second["totalResults"], 5);
    assert_eq!(second["Resources"], json!([{"id": "2", "userName": "u2"}, {"id": "3", "userName": "u3"}]));
    let found = page(&[("filter", "active eq true"), ("excludedAttributes", "active,id"), ("startIndex", "-3")]);
    assert_eq!((&found["totalResults"], &found["startIndex"]), (&json!(3), &json!(1)));
    assert_eq!(found["Resources"][0], json!({"id": "1", "userName": "u1"}));
    assert_eq!(page(&[("count", "-1")])["itemsPerPage"], 0);
    assert_eq!(page(&[("startIndex", "99")])["Resources"], json!([]));
    assert!(wish(&[("count", "x")]).is_err() && wish(&[("filter", "x")]).is_err());
}

/// A small generator (xorshift64): the same values every time.
fn below(state: &mut u64, end: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % end
}

fn anything(state: &mut u64, depth: u64) -> Value {
    let words = ["active", "members", "emails[type eq \"work\"].value", "name.familyName", "value", "op", "path", "é["];
    let word = words[usize::try_from(below(state, 8)).expect("small")];
    match below(state, if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => json!(below(state, 2) == 0),
        2 => json!(i64::MIN + i64::try_from(below(state, 9)).expect("small")),
        3 | 4 => json!(word),
        5 => Value::Array((0..below(state, 4)).map(|_| anything(state, depth - 1)).collect()),
        _ => Value::Object((0..below(state, 5)).map(|_| (word.to_owned(), anything(state, depth - 1))).collect()),
    }
}

#[test]
fn no_json_brings_it_down() {
    let mut state = 7;
    for _ in 0..20_000 {
        let op = ["add", "replace", "remove"][usize::try_from(below(&mut state, 3)).expect("small")];
        let (path, value) = (anything(&mut state, 0), anything(&mut state, 3));
        let body = object(json!({"Operations": [{"op": op, "path": path, "value": value}]}));
        let _ = users::patched(&dora(), &body); // either way: it ends
        let _ = groups::patched(&members(&["a"]), &body);
        if let Value::Object(body) = anything(&mut state, 4) {
            let _ = (users::attributes(&body, true, None), groups::attributes(&body, None));
        }
    }
}
