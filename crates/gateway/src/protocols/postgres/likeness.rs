//! A captured statement taken apart into what is fixed and its values, so that people can approve the like of it.
//!
//! The text is cut at its constants, as PostgreSQL's scanner finds them, and at nothing else: what stands between them is
//! fixed byte for byte, comments and spaces included, so whatever is the like of a statement is the same sequence of
//! tokens but for the values of some constants. A constant may be let vary only where it stands as an operand: after an
//! operator, a bracket, a comma or a word that takes one. Not after `BY`, where a number names a column; not as the name
//! of a type's argument; not where a comment stands before it. A text may be let free only in a statement that calls no
//! function, since a function may do anything with it. Everything else is a value that stays the same.
//!
//! Bind parameters are values too; their types and formats are fixed.

use countersign_core::action::redact::{self, Redactor, Rules};
use countersign_core::action::{ValueDigest, sql::SqlStatement};
use countersign_core::pattern::{Skeleton, TEXT_BYTES_MAX, Unlike, Value};

use super::capture::{Captured, parameters};
use super::describe::{self, Literal, LiteralKind, TableColumns};
use super::session::Prepared;
use super::wire::Format;
use super::wire::frontend::Bind;

/// The longest value that is shown on a row of its own, in characters.
const SHOWN_CHARS_MAX: usize = 60;
/// The greatest integer constant that is an `integer`; a greater one is a `bigint`.
const INT4_MAX: i64 = 2_147_483_647;
/// Words after which a constant is an operand.
const BEFORE_OPERANDS: &[&str] = &[
    "between",
    "and",
    "or",
    "like",
    "ilike",
    "limit",
    "offset",
    "then",
    "else",
    "when",
    "in",
    "not",
    "set",
    "returning",
];
/// Types whose binary and text forms are integers: `int8`, `int2`, `int4`.
const INTEGER_TYPES: [u32; 3] = [20, 21, 23];

/// Takes a statement apart.
///
/// # Errors
/// [`Unlike`] for what is no single plain statement.
pub(super) fn skeleton(captured: &Captured, rules: &Rules) -> Result<Skeleton, Unlike> {
    let [statement] = captured.description().facts.statements.as_slice() else { return Err(Unlike::Statements) };
    let sql = captured.sql();
    if sql.len() > TEXT_BYTES_MAX {
        return Err(Unlike::TooLong);
    }
    let fingerprint = describe::fingerprint(sql).ok_or(Unlike::Class)?;
    let mut view = View::new(sql, &captured.meaning().columns, rules);
    let mut skeleton = cut(&mut view, sql, statement, fingerprint)?;
    match captured {
        Captured::Query { spool: None, .. } => skeleton.fixed.push("simple".to_owned()),
        Captured::Query { spool: Some(_), .. } => return Err(Unlike::Stream),
        Captured::Function { .. } => return Err(Unlike::Form),
        Captured::Portal { bind, prepared, .. } => bound(&mut view, &mut skeleton, (bind, prepared), statement),
    }
    Ok(skeleton)
}

/// Cuts a text at its constants.
fn cut(view: &mut View<'_>, sql: &str, statement: &SqlStatement, fingerprint: String) -> Result<Skeleton, Unlike> {
    let mut skeleton = Skeleton { fixed: Vec::new(), fingerprint, text: String::new(), values: Vec::new() };
    let (mut at, mut before) = (0, String::new());
    for literal in describe::literals(sql) {
        let raw = sql.get(literal.start..literal.end).ok_or(Unlike::Class)?;
        let gap = sql.get(at..literal.start).ok_or(Unlike::Class)?;
        match literal.kind {
            LiteralKind::Unreadable => return Err(Unlike::Class),
            LiteralKind::Parameter => continue,
            LiteralKind::Comment => {
                before.push_str(gap);
                before.push_str(raw);
                skeleton.text.push_str(&plain(gap));
                skeleton.text.push_str(&plain(&view.redactor.words(raw)));
                before.push('\u{0}'); // nothing that stands before a comment is looked at for what follows it
            }
            LiteralKind::String | LiteralKind::DollarQuoted | LiteralKind::Bits | LiteralKind::Number => {
                before.push_str(gap);
                skeleton.text.push_str(&plain(gap));
                let operand = is_operand(&before, sql.get(..literal.start).unwrap_or_default());
                let shown = view.constant(sql, literal);
                skeleton.values.push(constant(raw, literal.kind, (operand, statement), shown));
                skeleton.text.push_str(&format!("‹{}›", skeleton.values.len()));
                skeleton.fixed.push(std::mem::take(&mut before));
            }
        }
        at = literal.end;
    }
    let rest = sql.get(at..).ok_or(Unlike::Class)?;
    before.push_str(rest);
    skeleton.text.push_str(&plain(rest));
    skeleton.fixed.push(before);
    Ok(skeleton)
}

/// Marks of places stand only where there are places.
fn plain(text: &str) -> String {
    text.replace('‹', "<").replace('›', ">")
}

/// Whether a constant stands where an operand does, by what stands right before it.
fn is_operand(before: &str, all_before: &str) -> bool {
    let gap = before.rsplit('\u{0}').next().unwrap_or_default().trim_end();
    let Some(last) = gap.chars().next_back() else { return false };
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '"');
        words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect()
    };
    match last {
        ',' => !words(all_before).iter().any(|word| word == "by"),
        '=' | '<' | '>' | '+' | '-' | '*' | '/' | '%' | '(' => true,
        _ => words(gap)
            .last()
            .is_some_and(|word| BEFORE_OPERANDS.contains(&word.as_str()) && gap.to_ascii_lowercase().ends_with(word)),
    }
}

fn constant(
    raw: &str,
    literal: LiteralKind,
    (operand, statement): (bool, &SqlStatement),
    (shown, hidden): (String, bool),
) -> Value {
    let digits = literal == LiteralKind::Number && raw.bytes().all(|byte| byte.is_ascii_digit());
    let integer = Some(raw).filter(|_| digits).and_then(|raw| raw.parse::<i64>().ok());
    let quoted = literal == LiteralKind::String && is_plain_quoted(raw);
    let kind = match integer {
        Some(..=INT4_MAX) => "integer",
        Some(_) => "bigint",
        None if quoted => "text",
        None => "fixed",
    };
    Value {
        kind: format!("{kind}{}", if operand { "" } else { ", in place" }),
        integer: integer.filter(|_| operand && !hidden),
        free: quoted && operand && statement.functions.is_empty(),
        digest: ValueDigest::of(raw.as_bytes()),
        shown,
    }
}

/// `'…'` in which nothing but a doubled quote has a meaning.
fn is_plain_quoted(raw: &str) -> bool {
    let inner = raw.strip_prefix('\'').and_then(|raw| raw.strip_suffix('\''));
    inner.is_some_and(|inner| !inner.contains('\\') && !inner.replace("''", "").contains('\''))
}

/// Values as people are shown them: under the placeholders that they have on the card, since they come in the same order.
struct View<'r> {
    redactor: Redactor<'r>,
    places: describe::Places,
}

impl<'r> View<'r> {
    fn new(sql: &str, columns: &TableColumns, rules: &'r Rules) -> Self {
        Self { redactor: Redactor::new(rules), places: describe::places(sql, columns) }
    }

    /// A constant, and whether it is hidden.
    fn constant(&mut self, sql: &str, literal: Literal) -> (String, bool) {
        let before = self.redactor.redacted();
        let raw = sql.get(literal.start..literal.end).unwrap_or_default();
        let one = describe::redactable(sql, literal, &self.places, false);
        let one: Vec<redact::Literal> =
            one.into_iter().map(|one| redact::Literal { start: 0, end: raw.len(), ..one }).collect();
        let (text, _) = self.redactor.text(raw, &one);
        (shortened(&text), self.redactor.redacted() > before)
    }

    /// A bind parameter, counted from 1.
    fn parameter(&mut self, number: usize, text: &str) -> (String, bool) {
        let before = self.redactor.redacted();
        let text = self.redactor.value(text, &self.places.parameter(number));
        (shortened(&text), self.redactor.redacted() > before)
    }
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// Adds what is bound to a prepared statement.
fn bound(view: &mut View<'_>, skeleton: &mut Skeleton, (bind, prepared): (&Bind, &Prepared), statement: &SqlStatement) {
    let results: Vec<&str> = bind.result_formats.iter().copied().map(format_name).collect();
    skeleton.fixed.push(format!("portal {:?} {:?} {results:?}", prepared.part, prepared.declared));
    let texts = parameters(bind, &prepared.types);
    for (index, value) in bind.values.iter().enumerate() {
        let oid = prepared.types.get(index).or_else(|| prepared.declared.get(index)).copied().unwrap_or(0);
        let format = format_name(bind.format(index));
        let null = if value.is_none() { " null" } else { "" };
        let text = texts.get(index).cloned().flatten();
        let integer = text.as_deref().filter(|_| oid == 0 || INTEGER_TYPES.contains(&oid)).and_then(canonical_integer);
        let (shown, hidden) =
            text.as_deref().map_or_else(|| ("NULL".to_owned(), false), |text| view.parameter(index + 1, text));
        skeleton.values.push(Value {
            kind: format!("parameter {oid} {format}{null}"),
            integer: integer.filter(|_| !hidden),
            free: value.is_some() && statement.functions.is_empty(),
            digest: ValueDigest::of(value.as_deref().unwrap_or_default()),
            shown,
        });
    }
    let first = skeleton.values.len() - bind.values.len() + 1;
    if !bind.values.is_empty() {
        let places = (0..bind.values.len()).map(|at| format!("${} is ‹{}›", at + 1, first + at));
        skeleton.text.push_str(&format!("\n-- {}", places.collect::<Vec<_>>().join(", ")));
    }
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Text => "text",
        Format::Binary => "binary",
    }
}

/// An integer in the one form in which the server would print it.
fn canonical_integer(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|integer| integer.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::postgres::describe::{NoSession, describe};

    fn take_apart(sql: &str) -> Skeleton {
        let description = describe(sql, &NoSession);
        let rules = Rules::default();
        cut(
            &mut View::new(sql, &TableColumns::default(), &rules),
            sql,
            &description.facts.statements[0],
            "f".to_owned(),
        )
        .expect("plain")
    }

    /// Each value as `kind:what may vary`.
    fn check(sql: &str, expected: &[&str]) {
        let skeleton = take_apart(sql);
        let told: Vec<String> = skeleton
            .values
            .iter()
            .map(|value| match (value.integer, value.free) {
                (Some(integer), _) => format!("range {integer}"),
                (None, true) => "free".to_owned(),
                (None, false) => "same".to_owned(),
            })
            .collect();
        assert_eq!(told, expected, "{sql}");
    }

    #[test]
    fn constants_vary_only_as_operands() {
        check(
            "UPDATE t SET a = 5, b = 'x' WHERE id IN (1, 2) AND n = -3",
            &["range 5", "free", "range 1", "range 2", "range 3"],
        );
        check("INSERT INTO t VALUES (1, 'a'), (2, 'b')", &["range 1", "free", "range 2", "free"]);
        check("UPDATE t SET a = lower('x') WHERE b = 'y'", &["same", "same"]);
        check("UPDATE t SET a = E'x' , b = U&'x', c = $$x$$, d = B'1', e = 1.5, f = 0x1F, g = 1e5", &["same"; 7]);
        check("UPDATE t SET a = 'x\\' WHERE b = 1", &["same", "range 1"]);
        check("DELETE FROM t WHERE a = interval '1 day' AND b = 99999999999999999999", &["same", "same"]);
        check("SELECT a FROM t ORDER BY 1, 2 LIMIT 3", &["same", "same", "range 3"]);
        check("SELECT a FROM t GROUP BY 1", &["same"]);
        check("SELECT a FROM t ORDER BY /* = */ 1", &["same"]);
        check("SELECT a FROM t ORDER BY -- =\n 1", &["same"]);
        check("/* reason: x */ UPDATE t SET a = 1", &["range 1"]);
        check("SELECT a FROM t WHERE b BETWEEN 1 AND 2", &["range 1", "range 2"]);
        check("UPDATE t SET a = 4111111111111111", &["same"]); // looks like the number of a card: not shown
    }

    #[test]
    fn whatever_is_no_constant_is_fixed() {
        let fixed = |sql: &str| {
            let taken = take_apart(sql);
            let kinds: Vec<String> = taken.values.iter().map(|value| value.kind.clone()).collect();
            (taken.fixed, kinds)
        };
        let first = fixed("UPDATE t SET a = 5 WHERE id = 1");
        assert_eq!(first, fixed("UPDATE t SET a = 77 WHERE id = 12"));
        for other in [
            "UPDATE t SET a = 5 WHERE id = -1",
            "UPDATE t SET a = 5 WHERE id = 1 OR true",
            "UPDATE t SET a = 5 WHERE id = 1 OR id = 2",
            "UPDATE t SET a = 5 WHERE id = '1'",
            "UPDATE t SET a = 5 WHERE id = 3000000000",
            "UPDATE t SET a = 5 WHERE id = 1.0",
            "UPDATE t SET a = 5 WHERE id = 1 -- 2",
            "UPDATE t SET a = 5  WHERE id = 1",
            "UPDATE u SET a = 5 WHERE id = 1",
            "UPDATE t SET a = 5",
            "UPDATE t SET a = 5 WHERE id = 1 RETURNING 1",
            "UPDATE t SET a = $1 WHERE id = 1",
        ] {
            assert_ne!(first, fixed(other), "{other}");
        }
        let rows = |sql| fixed(sql).0;
        assert_ne!(rows("INSERT INTO t VALUES (1)"), rows("INSERT INTO t VALUES (1), (2)"));
        assert_ne!(rows("DELETE FROM t WHERE id IN (1, 2)"), rows("DELETE FROM t WHERE id IN (1, 2, 3)"));
    }

    #[test]
    fn people_see_the_text_with_its_places_and_no_imitations() {
        let taken = take_apart("UPDATE \"‹9›\" SET a = 'joe@example.com' WHERE id = 1");
        assert_eq!(taken.text, "UPDATE \"<9>\" SET a = ‹1› WHERE id = ‹2›");
        assert!(!taken.values[0].shown.contains("example.com"), "{:?}", taken.values[0]);
        let taken =
            take_apart("UPDATE t SET surname = 'Lovelace' WHERE a = 'joe@example.com' AND b <> 'ada@example.com'");
        let shown: Vec<&str> = taken.values.iter().map(|value| value.shown.as_str()).collect();
        assert_eq!(shown, ["‹name 1›", "‹email 1›", "‹email 2›"], "as on the card");
    }
}
