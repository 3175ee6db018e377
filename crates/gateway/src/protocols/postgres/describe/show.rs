//! A message as a card shows it: its constants redacted, each where it stands.

use std::borrow::Cow;

use countersign_core::action::redact::{self, Place, Position, Redactor, Shown};
use countersign_core::action::sql::SqlClass;

use super::{Description, Literal, LiteralKind, Places, TableColumns, literals, places};

/// What a card shows of a message, with the columns of the tables that rows are inserted into. One that cannot be scanned
/// is hidden as a whole.
pub fn show(redactor: &mut Redactor<'_>, sql: &str, description: &Description, columns: &TableColumns) -> Shown {
    let found = literals(sql);
    if found.iter().any(|literal| literal.kind == LiteralKind::Unreadable) {
        return Shown { text: redactor.whole(sql), cut_bytes: sql.len(), ..Shown::default() };
    }
    // passwords and options are anywhere in statements that change rights; what cannot be parsed may be one of them
    let rights = description.facts.statements.iter().any(|statement| statement.apart >= SqlClass::Admin);
    let secret = description.parse_error.is_some() || rights;
    let places = if found.is_empty() { Places::default() } else { places(sql, columns) };
    let constants: Vec<redact::Literal> = found
        .into_iter()
        .filter(|literal| literal.kind != LiteralKind::Parameter)
        .filter_map(|literal| redactable(sql, literal, &places, secret))
        .collect();
    let (text, cut_bytes) = redactor.text(sql, &constants);
    Shown { text, cut_bytes, ..Shown::default() }
}

/// A constant with its value and its place, for whoever redacts.
pub(in crate::protocols::postgres) fn redactable(
    sql: &str,
    literal: Literal,
    places: &Places,
    secret: bool,
) -> Option<redact::Literal> {
    let remark = literal.kind == LiteralKind::Comment;
    Some(redact::Literal {
        start: literal.start,
        end: literal.end,
        value: value(sql.get(literal.start..literal.end)?, literal.kind).into_owned(),
        secret: secret && !remark,
        place: if remark { Place::of(Position::Remark) } else { places.literal(sql, &literal) },
    })
}

/// What the server reads, near enough to tell what it looks like. With `standard_conforming_strings`, which the gateway
/// holds on, a backslash means something in `E'…'` alone.
fn value(raw: &str, kind: LiteralKind) -> Cow<'_, str> {
    match kind {
        LiteralKind::DollarQuoted => Cow::Borrowed(dollar_unquoted(raw).unwrap_or(raw)),
        LiteralKind::String => {
            let (prefix, inner) = raw.split_once('\'').unwrap_or(("", raw));
            let inner = inner.strip_suffix('\'').unwrap_or(inner);
            let inner = if inner.contains("''") { Cow::Owned(inner.replace("''", "'")) } else { Cow::Borrowed(inner) };
            let escaped = prefix.starts_with(['E', 'e', 'U', 'u']) && inner.contains('\\');
            if escaped { Cow::Owned(unescaped(&inner, prefix.contains('&'))) } else { inner }
        }
        LiteralKind::Bits => Cow::Borrowed(raw.get(2..raw.len().saturating_sub(1)).unwrap_or(raw)),
        LiteralKind::Number | LiteralKind::Parameter | LiteralKind::Comment | LiteralKind::Unreadable => {
            Cow::Borrowed(raw)
        }
    }
}

fn dollar_unquoted(raw: &str) -> Option<&str> {
    let tag_end = raw.strip_prefix('$')?.find('$')? + 2;
    let (tag, rest) = raw.split_at(tag_end);
    rest.strip_suffix(tag)
}

/// Backslashes taken for what they stand for: those of `E'…'`, or those of `U&'…'`.
fn unescaped(inner: &str, unicode: bool) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let first = after.chars().next().unwrap_or('\\');
        let (c, length) =
            character(after, unicode).unwrap_or((if first == 'n' { '\n' } else { first }, first.len_utf8()));
        out.push(c);
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character that is written as a number behind a backslash, and how long that is: `xHH`, `OOO`, `uXXXX`, `UXXXXXXXX`; in
/// `U&'…'` `XXXX` and `+XXXXXX` (PostgreSQL 18, sections 4.1.2.2 and 4.1.2.3).
fn character(after: &str, unicode: bool) -> Option<(char, usize)> {
    let (skip, digits_max, radix) = match (unicode, after.chars().next()?) {
        (true, '+') => (1, 6, 16),
        (true, _) => (0, 4, 16),
        (false, 'x') => (1, 2, 16),
        (false, 'u') => (1, 4, 16),
        (false, 'U') => (1, 8, 16),
        (false, _) => (0, 3, 8),
    };
    let digits = after.get(skip..)?.chars().take(digits_max).take_while(|c| c.is_digit(radix)).count();
    let code = u32::from_str_radix(after.get(skip..skip + digits)?, radix).ok()?;
    Some((char::from_u32(code)?, skip + digits))
}

#[cfg(test)]
mod tests {
    use super::super::{Name, NoSession, TableColumn, describe};
    use super::*;

    fn check(sql: &str, expected: &str) {
        let mut redactor = Redactor::default();
        assert_eq!(show(&mut redactor, sql, &describe(sql, &NoSession), &TableColumns::default()).text, expected);
    }

    #[test]
    fn what_is_hidden_is_no_more_than_it_has_to_be() {
        check("UPDATE t SET a = 'x' WHERE m = 'ada@example.org'", "UPDATE t SET a = 'x' WHERE m = ‹email 1›");
        check(
            r#"INSERT INTO t (body) VALUES ('{"mail":"ada@example.org","plan":"x"}')"#,
            r#"INSERT INTO t (body) VALUES ('{"mail":"‹email 1›","plan":"x"}')"#,
        );
        check("UPDATE t SET a = 'it''s ada@example.org'", "UPDATE t SET a = 'it''s ‹email 1›'");
        check("SELECT 1 -- ask ada@example.org", "SELECT 1 -- ask ‹email 1›");
        check("INSERT INTO t (surname, n) VALUES ('Lovelace', 3)", "INSERT INTO t (surname, n) VALUES (‹name 1›, 3)");
        check("SELECT * FROM t WHERE ssn = 536221234", "SELECT * FROM t WHERE ssn = ‹national id 1›");
    }

    #[test]
    fn a_tables_own_columns_stand_in_for_a_list() {
        let column = |name: &str| TableColumn { name: name.to_owned(), generated: false };
        let table = Name { name: "t".to_owned(), ..Name::default() };
        let columns = TableColumns::from([(table, vec![column("id"), column("surname")])]);
        let shown = |sql: &str| show(&mut Redactor::default(), sql, &describe(sql, &NoSession), &columns).text;
        assert_eq!(shown("INSERT INTO t VALUES (1, 'Lovelace')"), "INSERT INTO t VALUES (1, ‹name 1›)");
        assert_eq!(shown("INSERT INTO t (id) VALUES (1), (2)"), "INSERT INTO t (id) VALUES (1), (2)");
        assert_eq!(shown("INSERT INTO t SELECT 1, 'Lovelace'"), "INSERT INTO t SELECT 1, ‹name 1›");
        assert_eq!(shown("INSERT INTO u VALUES (1, 'Lovelace')"), "INSERT INTO u VALUES (1, 'Lovelace')");
        let merge = "MERGE INTO t USING s ON s.id = t.id WHEN NOT MATCHED THEN INSERT VALUES (1, 'Lovelace')";
        assert!(shown(merge).ends_with("VALUES (1, ‹name 1›)"));
    }

    #[test]
    fn an_escape_hides_nothing_from_the_rules() {
        check(r"UPDATE t SET m = E'ada\x40example.org'", "UPDATE t SET m = ‹email 1›");
        check(r"UPDATE t SET m = E'ada\100example.org x'", "UPDATE t SET m = ‹email 1›");
        check(r"UPDATE t SET m = E'ada\u0040example.org'", "UPDATE t SET m = ‹email 1›");
        check(r"UPDATE t SET m = U&'ada\0040example.org'", "UPDATE t SET m = ‹email 1›");
        check("UPDATE t SET m = $m$ada@example.org$m$", "UPDATE t SET m = ‹email 1›");
        check("UPDATE t SET m = 'o''hara@example.org'", "UPDATE t SET m = ‹email 1›");
    }

    #[test]
    fn what_changes_rights_or_cannot_be_read_shows_no_constant() {
        check("CREATE ROLE r PASSWORD 'x'", "CREATE ROLE r PASSWORD ‹secret 1›");
        check("CREATE ROL r PASSWORD 'x'", "CREATE ROL r PASSWORD ‹secret 1›");
        check("SELECT 'x", "‹hidden statement 1›");
    }

    #[test]
    fn quotes_come_off() {
        for (sql, expected) in
            [("'a'", "a"), (r"E'a\n'", "a\n"), ("$$a$$", "a"), ("$x$a$x$", "a"), ("42", "42"), ("B'10'", "10")]
        {
            let literal = literals(sql).remove(0);
            assert_eq!(value(sql, literal.kind), expected, "{sql}");
        }
    }
}
