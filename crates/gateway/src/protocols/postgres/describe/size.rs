//! How much work a text may be for the parser, told before it parses: its length alone does not say.
//!
//! *Runs of operator characters.* PostgreSQL's scanner reads as many of them as there are and then gives back all but the
//! operator, or the `/*`, that they begin with: a run of n bytes that holds many of these is read n²/2 times. A megabyte of
//! `/**/` takes minutes. The squares of all runs together are bounded; lines of dashes, boxes and tables stay far below.
//!
//! *Tokens.* A tree takes up to 2 KiB for each token, so that a megabyte of `a,` would take two gigabytes. Long texts are
//! scanned first, which is cheap, and parsed if they have few enough tokens; a long literal is one of them.

use super::parser::{self, Error};

/// Longest text that is parsed without being scanned first: 16 KiB, at most 32 MiB of tree.
pub(in crate::protocols::postgres) const SHORT_BYTES_MAX: usize = 16 * 1024;
/// Most tokens of a longer text: enough for 65,535 parameters and the commas between them.
pub(super) const TOKENS_MAX: usize = 140_000;
/// Most of the squares of the lengths of all runs of operator characters: 2^26, some tenths of a second.
const OPERATOR_WORK_MAX: usize = 1 << 26;

/// Whether scanning the text takes time in proportion to its length.
///
/// # Errors
/// It does not.
pub(super) fn scannable(sql: &str) -> Result<(), Error> {
    let (mut work, mut run) = (0_usize, 0_usize);
    for byte in sql.bytes() {
        if is_operator(byte) {
            run += 1;
            work += 2 * run - 1; // the squares' difference
        } else {
            run = 0;
        }
    }
    if work > OPERATOR_WORK_MAX { Err(Error::TooManyOperators) } else { Ok(()) }
}

/// Whether a scannable text's tree is of a bounded size.
///
/// # Errors
/// It is not, or the scanner refused the text.
pub(super) fn parsable(sql: &str) -> Result<(), Error> {
    if sql.len() <= SHORT_BYTES_MAX {
        return Ok(());
    }
    let tokens = parser::scan(sql)?.len();
    if tokens > TOKENS_MAX { Err(Error::TooManyTokens(tokens)) } else { Ok(()) }
}

/// `op_chars` of PostgreSQL's `scan.l`.
fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Literal, NoSession, SQL_BYTES_MAX, describe, fingerprint, literals};
    use super::*;

    fn filled(unit: &str) -> String {
        format!("SELECT 1{}", unit.repeat((SQL_BYTES_MAX - 100) / unit.len()))
    }

    /// Every door to the parser is closed to what would keep it busy for minutes, each of these for one or more. That they
    /// are refused for their operators tells that nothing has scanned them: each may be scanned as far as its length goes.
    #[test]
    fn runs_of_operators_are_refused_at_once() {
        for unit in ["/**/", "/*", "+", "-+", "*/", "=-", "/**/~"] {
            let sql = filled(unit);
            let described = describe(&sql, &NoSession);
            assert!(described.parse_error.is_some_and(|error| error.contains("operator characters")), "{unit}");
            assert!(matches!(parser::scan(&sql), Err(Error::TooManyOperators)), "{unit}");
            assert!(matches!(literals(&sql)[..], [Literal { start: 0, end, .. }] if end == sql.len()), "{unit}");
            assert_eq!(fingerprint(&sql), None);
        }
    }

    #[test]
    fn ordinary_runs_are_scanned() {
        let rule = format!("/*{}*/\n--{}\n", "*".repeat(200), "-".repeat(400));
        assert!(scannable(&rule.repeat(100)).is_ok());
        let table = format!("SELECT '|{}|'", "---|".repeat(1_000));
        assert!(scannable(&table).is_ok());
        assert!(scannable(&format!("SELECT {}", "a = b + 1 AND ".repeat(50_000))).is_ok());
    }

    #[test]
    fn long_texts_are_counted_in_tokens() {
        let list = |count: usize| format!("SELECT 1 WHERE a IN ({}1)", "$12345, ".repeat(count));
        assert!(parsable(&list(65_534)).is_ok());
        assert!(matches!(parsable(&list(TOKENS_MAX)), Err(Error::TooManyTokens(_) | Error::TooLong(_))));
        assert!(matches!(parsable(&filled(",a")), Err(Error::TooManyTokens(_))));
        assert!(parsable(&format!("SELECT '{}'", "a, ".repeat(300_000))).is_ok(), "a literal is one token");
        assert!(matches!(parsable(&format!("{}'", filled(",a"))), Err(Error::Parse(_))), "what cannot be scanned");
    }
}
