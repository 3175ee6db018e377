//! Where strings, comments and numbers stand in a statement, by the lexical rules of PostgreSQL, for colours alone.
//!
//! A highlighter with its own idea of where a string ends could make code look like a comment. This one follows
//! `src/backend/parser/scan.l` (nested comments, `E''`, dollar quotes, strings that go on in the next line) and is held in tests
//! against PostgreSQL's own scanner; the scanner itself is behind one lock for the whole gateway and no page should wait there.
//! The rules are those of `standard_conforming_strings = on`: the gateway lets no session have another.
//! Specification: <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>.

use std::ops::Range;

use super::keywords;

/// What a part of a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, where it is one.
    Keyword,
    /// A name without quotes.
    Word,
    /// A number.
    Number,
    /// A string constant, quotes included.
    Text,
    /// A comment.
    Comment,
    /// White space, operators, names in quotes, anything else.
    Other,
}

/// The parts of a statement in order; together they are all of it.
pub(super) fn parts(sql: &str) -> Vec<(Range<usize>, Kind)> {
    let mut parts: Vec<(Range<usize>, Kind)> = Vec::new();
    let (mut at, mut escapes) = (0, false);
    while at < sql.len() {
        let (len, kind) = part(&sql[at..], escapes);
        let end = at + len;
        escapes = kind == Kind::Word && sql[at..end].eq_ignore_ascii_case("e");
        match parts.last_mut() {
            Some((range, last)) if *last == kind && kind == Kind::Other => range.end = end,
            _ => parts.push((at..end, kind)),
        }
        at = end;
    }
    keywords::mark(sql, &mut parts);
    parts
}

/// The first part of a text that is not empty: its length in bytes, at least one character.
fn part(text: &str, escapes: bool) -> (usize, Kind) {
    let mut chars = text.chars();
    let (first, second) = (chars.next().unwrap_or(' '), chars.next());
    match first {
        '-' if second == Some('-') => (text.find(['\n', '\r']).unwrap_or(text.len()), Kind::Comment),
        '/' if second == Some('*') => (block_comment(text), Kind::Comment),
        '\'' => (string(text, escapes), Kind::Text),
        '"' => (quoted(text, '"', false), Kind::Other),
        '$' => dollar(text).map_or((1, Kind::Other), |len| (len, Kind::Text)),
        '0'..='9' => (while_in(text, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')), Kind::Number),
        c if starts_word(c) => (while_in(text, |c| starts_word(c) || c.is_ascii_digit() || c == '$'), Kind::Word),
        c => (c.len_utf8(), Kind::Other),
    }
}

fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn while_in(text: &str, member: impl Fn(char) -> bool) -> usize {
    text.find(|c| !member(c)).unwrap_or(text.len())
}

/// Comments nest; one that does not end goes to the end.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(found) = text[at..].find(['/', '*']) {
        at += found;
        match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

/// A string constant with everything that continues it in the lines below.
fn string(text: &str, escapes: bool) -> usize {
    let mut end = quoted(text, '\'', escapes);
    while let Some(gap) = continued(&text[end..]) {
        end += gap;
        end += quoted(&text[end..], '\'', escapes);
    }
    end
}

/// From one quote to the next that is neither doubled nor, where backslashes escape, escaped.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// How far away the next quote is, where only white space with a line break in it and comments to the end of a line stand
/// between.
fn continued(text: &str) -> Option<usize> {
    let (mut at, mut breaks) = (0, false);
    loop {
        let rest = &text[at..];
        match rest.chars().next()? {
            '\'' => return breaks.then_some(at),
            '\n' | '\r' => (at, breaks) = (at + 1, true),
            ' ' | '\t' | '\x0b' | '\x0c' => at += 1,
            '-' if rest.starts_with("--") => {
                at += rest.find(['\n', '\r'])?; // the break after it is what counts
            }
            _ => return None,
        }
    }
}

/// `$tag$ … $tag$`; none when this is not the beginning of one.
fn dollar(text: &str) -> Option<usize> {
    let tag = text[1..].find('$')? + 2;
    let mut inner = text[1..tag - 1].chars();
    let is_tag = inner.next().is_none_or(starts_word) && inner.all(|c| starts_word(c) || c.is_ascii_digit());
    if !is_tag {
        return None;
    }
    let end = text[tag..].find(&text[..tag]);
    Some(end.map_or(text.len(), |end| tag + end + tag))
}

#[cfg(test)]
mod tests {
    use pg_query::protobuf::Token;
    use proptest::prelude::*;

    use super::*;

    /// The bytes that are part of a string or a comment, `s` and `c`, as we see them.
    fn ours(sql: &str) -> String {
        let mut map = vec!['.'; sql.len()];
        for (range, kind) in parts(sql) {
            let mark = match kind {
                Kind::Text => 's',
                Kind::Comment => 'c',
                Kind::Keyword | Kind::Word | Kind::Number | Kind::Other => continue,
            };
            map[range].fill(mark);
        }
        map.into_iter().collect()
    }

    /// The same, as PostgreSQL's own scanner does; none where it refuses the text.
    fn theirs(sql: &str) -> Option<String> {
        let tokens = pg_query::scan(sql).ok()?.tokens;
        let mut map = vec!['.'; sql.len()];
        for token in tokens {
            let mark = match token.token() {
                Token::Sconst | Token::Usconst | Token::Bconst | Token::Xconst => 's',
                Token::SqlComment | Token::CComment => 'c',
                _ => continue,
            };
            let (start, end) = (usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?);
            // a prefix such as `E` or `U&` is part of their token, and a word of ours
            let prefix = if mark == 's' { sql[start..end].find(['\'', '$'])? } else { 0 };
            map[start + prefix..end].fill(mark);
        }
        Some(map.into_iter().collect())
    }

    fn check(sql: &str) {
        let parts = parts(sql);
        let whole: String = parts.iter().map(|(range, _)| &sql[range.clone()]).collect();
        assert_eq!(whole, sql);
        if let Some(theirs) = theirs(sql) {
            assert_eq!(ours(sql), theirs, "{sql:?}");
        }
    }

    #[test]
    fn what_could_mislead_does_not() {
        for sql in [
            "SELECT 'a''b' -- c 'x'\n, 1",
            "SELECT '\\' /* 'x' */, 2 -- '",
            "SELECT E'\\' /* 'x' */, 2 --'",
            "SELECT e'a' \n 'b\\'c', 3",
            "SELECT 'a' -- no\n 'b\\', 3",
            "SELECT /* a /* b */ c */ 1",
            "SELECT $a$ -- ' $b$ $a$ , $1, a$b$c",
            "SELECT \"--\", \"a\"\"/*\" , 1",
            "SELECT U&'d\\0061' , B'10', X'1F', n'x'",
            "SELECT 1+--x\n2, 3*/*y*/4",
            "SELECT type'x', e 'a\\', 1.5e3",
            "DO $$ BEGIN /* x */ END $$",
            "SELECT 'ä', ‹email›, \"ü\" --ö",
        ] {
            check(sql);
            assert!(theirs(sql).is_some(), "{sql:?}");
        }
        for sql in ["'", "/*", "/* /* */", "$a$", "$", "E'\\", "\"", "'a'\n", "'a' --", "-", ""] {
            check(sql);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_seen_as_postgresql_sees_it(sql in "['\"\\\\$aeEUub&*/\\-\\n\\r 1.;+xä]{0,40}") {
            // numbers with junk behind them do not parse, and the scanners of both stop elsewhere
            let chars: Vec<char> = sql.chars().collect();
            let is_junk = |pair: &[char]| matches!(pair[0], '0'..='9' | '.') && (pair[1].is_alphabetic() || pair[1] == '$');
            if !chars.windows(2).any(is_junk) {
                check(&sql);
            }
        }
    }
}
