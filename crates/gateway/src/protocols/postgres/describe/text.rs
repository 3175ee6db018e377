//! What the scanner sees: constants to redact, the reason in an opening comment, constants folded from the tree.

use pg_query::protobuf::{ScanToken, Token, a_const};
use pg_query::{Node, NodeEnum};

use super::{REASON_CHARS_MAX, builtin::types, names, parser};

/// What kind of text a [`Literal`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiteralKind {
    /// `'…'`, `E'…'`, `U&'…'`.
    String,
    /// `$$…$$`, `$tag$…$tag$`.
    DollarQuoted,
    /// `B'…'`, `X'…'`.
    Bits,
    /// An integer or decimal number.
    Number,
    /// `$1`.
    Parameter,
    /// `-- …` or `/* … */`.
    Comment,
    /// The text could not be scanned: all of it.
    Unreadable,
}

/// A span of the text, in bytes, on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What it is.
    pub kind: LiteralKind,
}

/// The constants and comments of a message, in order. A text that cannot be scanned is one unreadable span: whoever
/// redacts by this list then redacts everything.
pub fn literals(sql: &str) -> Vec<Literal> {
    let Some(tokens) = parser::tokens(sql) else {
        return vec![Literal { start: 0, end: sql.len(), kind: LiteralKind::Unreadable }];
    };
    tokens.iter().filter_map(|token| literal(sql, token)).collect()
}

/// libpg_query's fingerprint of a message, 16 hexadecimal digits; `None` when it does not parse.
pub fn fingerprint(sql: &str) -> Option<String> {
    parser::fingerprint(sql)
}

/// The text after `reason:` in a comment that stands before the first token.
pub(super) fn reason(sql: &str) -> Option<String> {
    let opening = sql.trim_start();
    if !opening.starts_with("--") && !opening.starts_with("/*") {
        return None;
    }
    let tokens = parser::tokens(sql)?;
    tokens.iter().map_while(|token| comment(sql, token)).find_map(reason_of)
}

/// The values of a `SET`, joined by `, `; `None` when one is not a constant.
pub(super) fn values(args: &[Node]) -> Option<String> {
    let values: Option<Vec<String>> = args.iter().map(constant).collect();
    values.map(|values| values.join(", "))
}

/// The text of a constant, folded through casts to built-in types; `None` for `NULL` and anything that is computed.
pub(super) fn constant(node: &Node) -> Option<String> {
    match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            a_const::Val::Ival(value) => Some(value.ival.to_string()),
            a_const::Val::Fval(value) => Some(value.fval.clone()),
            a_const::Val::Boolval(value) => Some(value.boolval.to_string()),
            a_const::Val::Sval(value) => Some(value.sval.clone()),
            a_const::Val::Bsval(value) => Some(value.bsval.clone()),
        },
        NodeEnum::TypeCast(cast) => {
            let text = cast.type_name.as_ref().is_some_and(types::is_text);
            cast.arg.as_deref().filter(|_| text).and_then(constant)
        }
        NodeEnum::String(_) => names::string(node).map(str::to_owned),
        NodeEnum::Integer(value) => Some(value.ival.to_string()),
        NodeEnum::Float(value) => Some(value.fval.clone()),
        NodeEnum::Boolean(value) => Some(value.boolval.to_string()),
        _ => None,
    }
}

fn literal(sql: &str, token: &ScanToken) -> Option<Literal> {
    let (start, end) = (usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?);
    let text = sql.get(start..end)?;
    let kind = match Token::try_from(token.token).ok()? {
        Token::Sconst if text.starts_with('$') => LiteralKind::DollarQuoted,
        Token::Sconst | Token::Usconst => LiteralKind::String,
        Token::Bconst | Token::Xconst => LiteralKind::Bits,
        Token::Iconst | Token::Fconst => LiteralKind::Number,
        Token::Param => LiteralKind::Parameter,
        Token::SqlComment | Token::CComment => LiteralKind::Comment,
        _ => return None,
    };
    Some(Literal { start, end, kind })
}

fn comment<'a>(sql: &'a str, token: &ScanToken) -> Option<&'a str> {
    let text = sql.get(usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?)?;
    match Token::try_from(token.token).ok()? {
        Token::SqlComment => text.strip_prefix("--"),
        Token::CComment => text.strip_prefix("/*").and_then(|text| text.strip_suffix("*/")),
        _ => None,
    }
}

fn reason_of(comment: &str) -> Option<String> {
    const WORD: &str = "reason:";
    let comment = comment.trim();
    let word = comment.get(..WORD.len())?;
    if !word.eq_ignore_ascii_case(WORD) {
        return None;
    }
    let reason: String = comment.get(WORD.len()..)?.trim().chars().take(REASON_CHARS_MAX).collect();
    (!reason.is_empty()).then(|| reason.trim_end().to_owned())
}
