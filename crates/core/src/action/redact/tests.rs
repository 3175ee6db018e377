//! Placeholders on one card.

use super::*;

fn literals(text: &str, values: &[(&str, Position)]) -> Vec<Literal> {
    let mut from = 0;
    let mut literal = |(value, position): &(&str, Position)| {
        let start = from + text[from..].find(&format!("'{value}'")).expect("it stands there");
        from = start + value.len() + 2;
        Literal { start, end: from, value: (*value).to_owned(), secret: false, place: Place::of(*position) }
    };
    values.iter().map(&mut literal).collect()
}

#[test]
fn equal_values_get_equal_placeholders() {
    let text = "SELECT 'a@b.io', 'c@d.io', 'a@b.io'";
    let places = [("a@b.io", Position::Output), ("c@d.io", Position::Output), ("a@b.io", Position::Predicate)];
    let parameters = [Some("a@b.io".to_owned()), None, Some("7".to_owned())];
    let Redacted { shown, values, .. } = redact(text, &literals(text, &places), &parameters);
    assert_eq!(shown.text, "SELECT ‹email 1›, ‹email 2›, ‹email 1›");
    assert_eq!(shown.parameters, [Some("‹email 1›".to_owned()), None, Some("7".to_owned())]);
    assert_eq!(shown.redacted, 4);
    let told: Vec<_> = shown.hidden.iter().map(|hidden| (hidden.mark.as_str(), hidden.position)).collect();
    assert_eq!(told, [("email 1", Position::Written), ("email 2", Position::Output)]);
    assert_eq!((values.value("email 1"), values.value("email 2")), (Some("a@b.io"), Some("c@d.io")));
    assert_eq!(format!("{values:?}"), "Values(2)", "they show themselves to nobody");
}

#[test]
fn several_texts_of_one_card_share_their_placeholders() {
    let mut redactor = Redactor::default();
    let text = "UPDATE t SET mail = 'c@d.io'";
    redactor.text(text, &literals(text, &[("c@d.io", Position::Written)]));
    assert_eq!(redactor.words("for a@b.io, then c@d.io"), "for ‹email 2›, then ‹email 1›");
    let shown = redactor.finish(Shown::default()).shown;
    assert_eq!(shown.decisive().map(|hidden| hidden.mark.as_str()).collect::<Vec<_>>(), ["email 1"]);
}

#[test]
fn a_value_is_hidden_whole_or_in_part() {
    let mut redactor = Redactor::default();
    let anywhere = Place::default();
    assert_eq!(redactor.value("ada@example.org", &anywhere), "‹email 1›");
    assert_eq!(redactor.value(r#"{"to":"ada@example.org","n":1}"#, &anywhere), r#"{"to":"‹email 1›","n":1}"#);
    let of = |column: &str| Place { column: Some(column.to_owned()), ..Place::default() };
    assert_eq!(redactor.value("Ada", &of("first_name")), "‹name 1›");
    assert_eq!(redactor.value("Ada", &of("city")), "Ada");
    assert_eq!(redactor.value("ada@example.org", &of("first_name")), "‹email 1›", "the same value, the same mark");
    let shown = Redaction { show_columns: ["contact".to_owned()].into(), ..Redaction::default() };
    let rules = Rules::new(&shown).expect("usable");
    assert_eq!(Redactor::new(&rules).value("ada@example.org", &of("contact")), "ada@example.org");
}

#[test]
fn free_text_is_looked_at_word_by_word() {
    assert_eq!(words("password=hunter4 for ada@example.org"), "password=‹password 1› for ‹email 1›");
    assert_eq!(words("fix ticket 7"), "fix ticket 7");
}

#[test]
fn wrong_positions_hide_everything() {
    let wrong =
        [Literal { start: 3, end: 999, value: "x".to_owned(), secret: false, place: Place::of(Position::Output) }];
    let redacted = redact("SELECT 1", &wrong, &[]);
    assert_eq!((redacted.shown.text.as_str(), redacted.shown.redacted), ("‹hidden statement 1›", 1));
    assert_eq!(redacted.values.value("hidden statement 1"), Some("SELECT 1"));
    assert_eq!(redacted.shown.decisive().count(), 1);
}

#[test]
fn what_is_cut_is_counted() {
    let shown = redact(&"é".repeat(SHOWN_BYTES_MAX), &[], &[]).shown;
    assert_eq!(shown.text.len() + shown.cut_bytes, 2 * SHOWN_BYTES_MAX);
}

/// Values hidden elsewhere on the card, in the stated reason say, do not make room for imitations.
#[test]
fn words_that_imitate_a_placeholder_are_noticed() {
    let text = "DELETE FROM t WHERE mail <> '‹email 1›'";
    let value = "‹email 1›".to_owned();
    let start = text.find('\'').unwrap();
    let literal = Literal { start, end: text.len(), value, secret: false, place: Place::default() };
    let mut redactor = Redactor::default();
    let (shown, _) = redactor.text(text, &[literal]);
    redactor.words("asked by ada@example.org and dora@example.org");
    let forged = redactor.finish(Shown { text: shown, ..Shown::default() }).shown;
    assert!(forged.redacted == 2 && forged.imitated, "{forged:?}");
    let honest = redact("SELECT 1", &[], &[Some("ada@example.org".to_owned())]).shown;
    assert!(honest.redacted == 1 && !honest.imitated, "{honest:?}");
}
