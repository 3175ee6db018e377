//! Formats one by one. What is here was made up, or is its standard's own example; nothing opens anything.

use std::collections::BTreeSet;

use super::*;

/// What of a value is hidden, as `kind: part`.
fn found(value: &str) -> Vec<String> {
    let mut found = Parts::default();
    find(value, &BTreeSet::new(), &mut found);
    found.in_order().iter().map(|found| format!("{}: {}", found.label, &value[found.range.clone()])).collect()
}

/// The whole of a value is hidden as this kind.
fn check(kind: Kind, value: &str) {
    assert_eq!(found(value), [format!("{}: {value}", kind.name())], "{value}");
}

fn check_shown(value: &str) {
    assert_eq!(found(value), [""; 0], "{value}");
}

#[test]
fn every_rule_can_be_used() {
    assert!(RULES.is_some());
    let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
}

#[test]
fn secrets_of_known_issuers() {
    // put together here, so that no scanner of repositories takes them for real
    for (prefix, rest) in [
        ("AKIA", "IOSFODNN7EXAMPLE"),
        ("ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"),
        ("glpat-", "XY12abCD34efGH56ijKL"),
        ("xoxb-", "263594206564-2343594206574-FGqddMF8t08v8N7Oq4i57vs1"),
        ("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"),
        ("npm_", "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5"),
        ("AIza", "SyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe"),
        ("hvs.", "CAESIJlU02LQZqR7vk9bdXKh"),
        ("dckr_pat_", "Yy4xLm9kQpR7sT2uVwXz1aBcDeF"),
    ] {
        check(Kind::Secret, &format!("{prefix}{rest}"));
    }
    check(Kind::Secret, "q8Zt1xVb93LmWc07RkPyDs5u");
    check(Kind::Secret, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY9");
}

#[test]
fn tokens_keys_and_passwords() {
    check(Kind::Token, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    check(Kind::PrivateKey, "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----");
    check(Kind::Password, "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy");
    check(Kind::Password, "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW");
    assert_eq!(found("postgres://app:hunter2@db/orders"), ["password: hunter2"]);
    assert_eq!(found("host=db user=app password=hunter2 port=1"), ["password: hunter2"]);
    assert_eq!(found(r#"{"user":"ada","password": "hunter2"}"#), ["password: hunter2"]);
    assert_eq!(found("ALTER ROLE app PASSWORD 'hunter2'"), ["password: hunter2"]);
    for none in ["password=${SECRET}", "password: ********", r#"{"password": null}"#, "the password is expired"] {
        check_shown(none);
    }
}

#[test]
fn personal_data_with_a_format() {
    check(Kind::Email, "ada@example.org");
    check(Kind::Email, "jörg.müller@straße.example");
    check(Kind::Iban, "DE89 3704 0044 0532 0130 00");
    check(Kind::Iban, "GB82WEST12345698765432");
    check(Kind::Card, "4111 1111 1111 1111");
    check(Kind::Card, "378282246310005");
    check(Kind::Phone, "+49 30 1234567");
    check(Kind::Phone, "+14155552671");
    check(Kind::Phone, "(415) 555-2671");
    check(Kind::Phone, "030 1234567");
    check(Kind::Phone, "03 64 60 83 77");
    assert_eq!(
        found("write to ada@example.org or call +44 20 7946 0958."),
        ["email: ada@example.org", "phone: +44 20 7946 0958"]
    );
}

#[test]
fn national_ids_with_their_check_digits() {
    for id in [
        "536-22-1234",      // US, made up within what is assigned
        "QQ 12 34 56 C",    // UK, the example of HMRC's manual has a prefix that is never given
        "RSSMRA85T10A562S", // IT
        "12345678Z",        // ES
        "X1234567L",        // ES, of a foreigner
        "255081416802538",  // FR
        "811228-9874",      // SE
        "85.07.30-033.28",  // BE
        "111.444.777-35",   // BR
        "86095742719",      // DE
        "44051401359",      // PL
    ] {
        if id.starts_with("QQ") {
            check_shown(id);
            check(Kind::NationalId, "AB 12 34 56 C");
        } else {
            check(Kind::NationalId, id);
        }
    }
    for none in
        ["000-12-3456", "12345678A", "RSSMRA85T10A562T", "811228-9875", "111.444.777-36", "86095742718", "44051401358"]
    {
        check_shown(none);
    }
}

#[test]
fn ordinary_values_stay() {
    for value in [
        "paid",
        "2026-11-21",
        "2026-11-21 10:15:30.123456+00",
        "42",
        "4111 1111 1111 1112",
        "order shipped to warehouse seven",
        "0190f3a2-7b1c-7def-8000-0123456789ab",
        "d670460b4b4aece5915caf5c68d12f560a9fe3e4",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "ORD-2026-11-21-000042",
        "internationalization_settings_v2",
        "src/protocols/postgres/describe/place.rs",
        "getCustomerOrderHistoryByDateRange2",
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "logo@2x.png",
        "1234567890123456",
        "10.0.0.12",
        "1.2.3-beta.4",
        "01.02.2026",
        "src/models2/OrderList2.tsx",
    ] {
        check_shown(value);
    }
}

#[test]
fn columns_tell_what_has_no_format() {
    for (column, kind) in [("First_Name", Kind::Name), ("ssn", Kind::NationalId), ("date_of_birth", Kind::BirthDate)] {
        assert_eq!(column_kind(column), Some(kind));
    }
    assert_eq!((column_kind("name"), column_kind("status")), (None, None));
}

#[test]
fn keys_of_json_tell_as_columns_do() {
    assert_eq!(
        found(r#"{"firstName":"Ada","plan":"pro","phone": 625851781,"mail":"ada@example.org"}"#),
        ["name: Ada", "phone: 625851781", "email: ada@example.org"]
    );
    assert_eq!(found(r#"{"body":"{\"surname\":\"Lovelace\"}"}"#), ["name: Lovelace"]);
    check_shown(r#"{"first_name": null, "status": "paid"}"#);
}

#[test]
fn a_long_value_is_hidden_whole_and_a_hostile_one_takes_no_longer() {
    let long = "x".repeat(VALUE_BYTES_MAX + 1);
    assert_eq!(found(&long), [format!("long value: {long}")]);
    for hostile in [
        "a@".repeat(100_000),
        "+1 ".repeat(80_000),
        "password=".repeat(25_000),
        "-----BEGIN ".repeat(20_000),
        "a@b.io ".repeat(30_000),
    ] {
        found(&hostile); // ends
    }
}
