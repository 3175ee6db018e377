//! Which words of a statement are keywords where they stand, for colours alone.
//!
//! The list is that of PostgreSQL's own parser, asked once. Its reserved words are keywords anywhere; the others may be names as
//! well (`name`, `value`, `type`), and their neighbours tell which they are. A wrong guess costs a colour.
//! Specification: <https://www.postgresql.org/docs/current/sql-keywords-appendix.html>.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use pg_query::protobuf::{KeywordKind, Token};

use super::sql::Kind;

/// More numbers than the parser has tokens.
const TOKENS_MAX: i32 = 2_000;
/// What the parser's grammar adds to a token's name where C has a macro of that name.
const SUFFIX: &str = "_P";

/// The parser's keywords in small letters.
static KEYWORDS: LazyLock<BTreeMap<String, KeywordKind>> = LazyLock::new(|| {
    let names = (0..TOKENS_MAX).filter_map(|number| Token::try_from(number).ok()).map(|token| token.as_str_name());
    let words = names.map(|name| name.strip_suffix(SUFFIX).unwrap_or(name).to_ascii_lowercase());
    let all = words.collect::<Vec<_>>().join("\n");
    let tokens = pg_query::scan(&all).map(|scanned| scanned.tokens).unwrap_or_default();
    let keyword = |token: &pg_query::protobuf::ScanToken| {
        let range = usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?;
        let kind = token.keyword_kind();
        (kind != KeywordKind::NoKeyword).then_some((all.get(range)?.to_owned(), kind))
    };
    tokens.iter().filter_map(keyword).collect()
});

/// What stands before a word.
#[derive(Clone, Copy)]
enum Before {
    /// Nothing: a statement begins.
    Start,
    /// A parenthesis opens.
    Opened,
    Keyword,
    /// A name, a value, or a parenthesis that closes.
    Value,
    /// The dot of a qualified name.
    Dot,
    /// A comma or an operator.
    Sign,
}

/// Marks the words that are keywords.
pub(super) fn mark(sql: &str, parts: &mut [(Range<usize>, Kind)]) {
    let mut before = Before::Start;
    for at in 0..parts.len() {
        let (text, kind) = (&sql[parts[at].0.clone()], parts[at].1);
        before = match kind {
            Kind::Comment => before,
            Kind::Word if is_keyword(text, before, word_after(sql, &parts[at + 1..])) => {
                parts[at].1 = Kind::Keyword;
                Before::Keyword
            }
            Kind::Keyword => Before::Keyword,
            Kind::Word | Kind::Number | Kind::Text => Before::Value,
            Kind::Other => match text.trim_end().chars().next_back() {
                None => before,
                Some(';') => Before::Start,
                Some('(') => Before::Opened,
                Some(')' | '"') => Before::Value,
                Some('.') => Before::Dot,
                Some(_) => Before::Sign,
            },
        };
    }
}

/// The word that follows next, if nothing but white space and comments stands between.
fn word_after<'a>(sql: &'a str, parts: &[(Range<usize>, Kind)]) -> Option<&'a str> {
    let next = parts.iter().find(|(range, kind)| *kind != Kind::Comment && !sql[range.clone()].trim().is_empty());
    next.filter(|(_, kind)| *kind == Kind::Word).map(|(range, _)| &sql[range.clone()])
}

fn kind_of(word: &str) -> Option<KeywordKind> {
    KEYWORDS.get(&word.to_ascii_lowercase()).copied()
}

fn is_keyword(word: &str, before: Before, after: Option<&str>) -> bool {
    use KeywordKind::{ColNameKeyword, NoKeyword, ReservedKeyword, TypeFuncNameKeyword, UnreservedKeyword};
    let Some(kind) = kind_of(word) else { return false };
    let shouted = !word.contains(|c: char| c.is_ascii_lowercase());
    match (kind, before) {
        (NoKeyword, _) | (_, Before::Dot) => false,
        (ReservedKeyword | TypeFuncNameKeyword | ColNameKeyword, _) | (UnreservedKeyword, Before::Start) => true,
        (UnreservedKeyword, _) if shouted => true,
        (UnreservedKeyword, Before::Value) => true,
        (UnreservedKeyword, Before::Sign) => false,
        (UnreservedKeyword, Before::Keyword) => {
            after.is_some_and(|next| !matches!(kind_of(next), Some(ReservedKeyword | TypeFuncNameKeyword)))
        }
        (UnreservedKeyword, Before::Opened) => {
            after.is_some_and(|next| matches!(kind_of(next), None | Some(ReservedKeyword | TypeFuncNameKeyword)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sql;
    use super::*;

    /// The keywords of a statement, as they are marked.
    fn check(sql: &str, expected: &str) {
        let marked = sql::parts(sql).into_iter().filter(|(_, kind)| *kind == Kind::Keyword);
        let words: Vec<&str> = marked.map(|(range, _)| &sql[range]).collect();
        assert_eq!(words.join(" "), expected, "{sql}");
    }

    #[test]
    fn the_list_is_the_parsers() {
        assert!(KEYWORDS.len() > 450, "{}", KEYWORDS.len());
        for word in ["between", "select", "begin", "null", "ilike", "returning", "lateral", "concurrently"] {
            assert!(KEYWORDS.contains_key(word), "{word}");
        }
        for word in ["ident", "op", "uminus", "customers", "begin_p"] {
            assert!(!KEYWORDS.contains_key(word), "{word}");
        }
    }

    #[test]
    fn keywords_are_marked_and_names_are_not() {
        check("DELETE FROM orders WHERE id BETWEEN 1 AND 2 RETURNING id", "DELETE FROM WHERE BETWEEN AND RETURNING");
        check("update customers set name = 'x', value = 2 where type is null", "update set where is null");
        check(
            "select name, t.select from t order by name desc limit 5 offset 2",
            "select from order by desc limit offset",
        );
        check(
            "begin; with gone as (delete from t returning id) select 1",
            "begin with as delete from returning select",
        );
        check("insert into t (name, type) values (1, 2) on conflict do nothing", "insert into values on do");
        check("alter table t add column x text not null", "alter table add column text not null");
        check("SELECT 'BETWEEN' -- AND\n, \"where\", $$ in $$", "SELECT");
    }
}
