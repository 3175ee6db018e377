//! Wherever a constant or a column stands in any statement of the corpora, a call or a subquery may stand too: put one
//! there, and if the grammar takes it, it must be seen.

use countersign_core::action::sql::SqlClass;
use pg_query::protobuf::{KeywordKind, Token};

use super::super::parser;
use super::{as_worker, corpus, described};

/// Tries `insert` in place of every constant and identifier; gives back each text that parses, and how many did.
fn each_place(insert: &str, mut seen: impl FnMut(&str) + Send) -> usize {
    let mut places = 0;
    as_worker(|| places = try_each_place(insert, &mut seen));
    places
}

fn try_each_place(insert: &str, seen: &mut impl FnMut(&str)) -> usize {
    let mut places = 0;
    for line in corpus::lines() {
        for (start, end) in replaceable(&line.sql) {
            let text = format!("{}{insert}{}", &line.sql[..start], &line.sql[end..]);
            if described(&text).parse_error.is_none() {
                places += 1;
                seen(&text);
            }
        }
    }
    places
}

fn replaceable(sql: &str) -> Vec<(usize, usize)> {
    let tokens = parser::tokens(sql).unwrap_or_default();
    let wanted = tokens.into_iter().filter(|token| {
        let word = KeywordKind::try_from(token.keyword_kind) == Ok(KeywordKind::UnreservedKeyword);
        let kind = Token::try_from(token.token);
        word || matches!(kind, Ok(Token::Ident | Token::Iconst | Token::Fconst | Token::Sconst | Token::Param))
    });
    wanted.map(|token| (token.start as usize, token.end as usize)).collect()
}

/// In a definition or an administrative command the place may be a type or a name, or be stored and not run; anywhere
/// else the message is opaque.
#[test]
fn an_unknown_call_is_never_passed() {
    let mut missed = Vec::new();
    let places = each_place("zz_unknown(1)", |text| {
        let class = described(text).facts.class;
        if class < SqlClass::Ddl {
            missed.push(format!("{}: {text}", class.name()));
        }
    });
    assert!(missed.is_empty(), "{} of {places} places:\n{}", missed.len(), missed.join("\n"));
    assert!(places > 1_000, "only {places} places");
}

#[test]
fn a_dangerous_built_in_is_never_passed() {
    let mut missed = Vec::new();
    let places = each_place("('x'::text).pg_read_file", |text| {
        let class = described(text).facts.class;
        if class < SqlClass::Ddl {
            missed.push(format!("{}: {text}", class.name()));
        }
    });
    let planned = missed.iter().filter(|text| text.starts_with("read: EXPLAIN")).count();
    assert!(missed.len() == planned, "{} of {places} places:\n{}", missed.len(), missed.join("\n"));
    assert!(places > 500, "only {places} places");
}

#[test]
fn a_hidden_table_is_seen_everywhere() {
    let mut missed = Vec::new();
    let places = each_place("(SELECT 1 FROM zz_hidden)", |text| {
        let facts = described(text).facts;
        if !facts.statements.iter().any(|statement| statement.tables.read.contains("zz_hidden")) {
            missed.push(format!("{}: {text}", facts.class.name()));
        }
    });
    assert!(missed.is_empty(), "{} of {places} places:\n{}", missed.len(), missed.join("\n"));
    assert!(places > 500, "only {places} places");
}
