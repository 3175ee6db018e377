//! Descriptions that are kept, so that the same text is not parsed twice; shared by all connections.
//!
//! Kept is what depends on nothing but the text (a message that asked for a prepared statement is described anew each
//! time) and is less dangerous than a change of objects. The key is a digest, so that no text stays in memory; entries are
//! bounded in number and in bytes, and leave as others come.
//!
//! # Shapes
//!
//! A simple query carries its values in its text, so that no two are the same. Queries that differ only in numbers are kept
//! once, under their [`shape`]: every number that stands alone is replaced by `1`. That is sound because such texts are the
//! same sequence of tokens but for the value of integer constants, and nothing in the description of a plain `SELECT`
//! depends on such a value:
//!
//! - *The lexer cannot be fooled.* It leaves its initial state only at a quote, `$`, a backslash, `--` or `/*`; a text with
//!   one of these, or with anything but printable ASCII, has no shape. In the initial state, a run of at most nine digits
//!   between two of [`delimiter`]s is one `ICONST` (ten digits may not fit; `1.5`, `1e5`, `0x1F`, `1_000`, `a1` and `$1` have
//!   another neighbour). Each run is replaced by a digit between the same two neighbours, so no token before or after
//!   changes, none begins or ends elsewhere, and neither `--` nor `/*` can come about.
//! - *The grammar hardly looks at values.* PostgreSQL's grammar reads the value of an `ICONST` for the width of `float(n)`,
//!   and a text that says `float` has no shape; elsewhere (option lists, `FETCH 5`) in other statements than `SELECT`. So only
//!   texts that begin with `SELECT` have one, and only where they turn out to be a single statement that reads, with no
//!   effect on its session, are they kept under it.
//! - *The walk does not look at values* except for settings that a query changes, which are an effect.
//!
//! The tests hold both halves against the parser: corpora, and random texts, described as they are and as their shape.
//! Digests of actions, records, and what people are shown are made of the text itself, never of its shape.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_core::action::PayloadDigest;
use countersign_core::action::sql::{SqlClass, SqlStatement};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{Description, Effect, Referents, SessionFacts, describe};

/// The longest text whose description is kept: 8 KiB. A longer one takes longer to parse than to look up, but is rare.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// What one cache may hold, by estimate: 16 MiB.
const CACHE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What a description holds besides what it takes from its text.
const ENTRY_BYTES: u64 = 1024;
/// How many times its text's length a description may hold: each name a string in a set or two.
const BYTES_PER_TEXT_BYTE: u64 = 16;
/// Entries that a cache is laid out for; it holds at most [`CACHE_BYTES_MAX`] ÷ [`ENTRY_BYTES`] = 16,384.
const ENTRIES_USUAL: usize = 2_048;
/// The longest run of digits that certainly fits the parser's integers: 999,999,999 < 2^31.
const DIGITS_MAX: usize = 9;

/// A description and what it is estimated to hold.
#[derive(Debug, Clone)]
struct Entry {
    description: Arc<Description>,
    bytes: u64,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<PayloadDigest, Entry> for Bytes {
    fn weight(&self, _: &PayloadDigest, entry: &Entry) -> u64 {
        entry.bytes
    }
}

/// Descriptions by text, and by shape.
pub struct Descriptions {
    texts: Cache<PayloadDigest, Entry, Bytes>,
    shapes: Cache<PayloadDigest, Entry, Bytes>,
}

impl Default for Descriptions {
    fn default() -> Self {
        let cache = || Cache::with_weighter(ENTRIES_USUAL, CACHE_BYTES_MAX, Bytes);
        Self { texts: cache(), shapes: cache() }
    }
}

impl Descriptions {
    /// How a message was described before, if that is remembered.
    pub fn known(&self, sql: &str) -> Option<Arc<Description>> {
        if sql.len() > TEXT_BYTES_MAX {
            return None;
        }
        let shape = shape(sql).map(|shape| PayloadDigest::of(&shape));
        let kept = shape.and_then(|shape| self.shapes.get(&shape));
        let kept = kept.or_else(|| self.texts.get(&PayloadDigest::of(sql.as_bytes())));
        kept.map(|kept| kept.description)
    }

    /// Describes a message as [`describe`] does, or remembers how it was described.
    pub fn describe(&self, sql: &str, session: &dyn SessionFacts) -> Arc<Description> {
        if let Some(known) = self.known(sql) {
            return known;
        }
        if sql.len() > TEXT_BYTES_MAX {
            return Arc::new(describe(sql, session));
        }
        let shape = shape(sql).map(|shape| PayloadDigest::of(&shape));
        let text = PayloadDigest::of(sql.as_bytes());
        let watched = Watched { session, asked: AtomicBool::new(false) };
        let description = Arc::new(describe(sql, &watched));
        if !watched.asked.into_inner() && description.facts.class < SqlClass::Ddl {
            let bytes = ENTRY_BYTES + BYTES_PER_TEXT_BYTE * sql.len() as u64;
            let entry = Entry { description: description.clone(), bytes };
            match shape.filter(|_| plain_select(&description)) {
                Some(shape) => self.shapes.insert(shape, entry),
                None => self.texts.insert(text, entry),
            }
        }
        description
    }
}

/// A session that notes whether it was asked.
struct Watched<'a> {
    session: &'a dyn SessionFacts,
    asked: AtomicBool,
}

impl SessionFacts for Watched<'_> {
    fn prepared(&self, name: &str) -> Option<(&SqlStatement, &Referents)> {
        self.asked.store(true, Ordering::Relaxed);
        self.session.prepared(name)
    }
}

/// Whether this is the description of one `SELECT` that reads and does nothing else.
fn plain_select(description: &Description) -> bool {
    let [statement] = description.facts.statements.as_slice() else { return false };
    description.facts.class == SqlClass::Read
        && statement.verb == "SELECT"
        && matches!(description.effects.as_slice(), [Effect::None])
        && description.reason.is_none()
        && description.parse_error.is_none()
}

/// The text with every number that stands alone replaced by `1`; `None` for a text that has no shape.
fn shape(sql: &str) -> Option<Vec<u8>> {
    let text = sql.as_bytes();
    if !text.get(..6)?.eq_ignore_ascii_case(b"select") {
        return None;
    }
    let mut shape = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let rest = text.get(at..)?;
        match byte {
            b'\'' | b'"' | b'$' | b'\\' => return None,
            b'-' | b'/' if rest.starts_with(b"--") || rest.starts_with(b"/*") => return None,
            b'f' | b'F' if rest.len() >= 5 && rest[..5].eq_ignore_ascii_case(b"float") => return None,
            b'0'..=b'9' => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let alone = delimiter(at.checked_sub(1).and_then(|before| text.get(before)))
                    && delimiter(rest.get(digits))
                    && digits <= DIGITS_MAX;
                match alone {
                    true => shape.push(b'1'),
                    false => shape.extend_from_slice(&rest[..digits]),
                }
                at += digits;
                continue;
            }
            b' '..=b'~' | b'\t' | b'\n' | b'\r' => shape.push(*byte),
            _ => return None,
        }
        at += 1;
    }
    Some(shape)
}

/// What a number that stands alone may stand beside; the text's end counts.
fn delimiter(byte: Option<&u8>) -> bool {
    byte.is_none_or(|byte| b" \t\n\r,()=<>+-*/;".contains(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::tests::{as_worker, lines};
    use super::super::{Discard, NoSession};
    use super::*;

    fn shown(sql: &str) -> String {
        format!("{:?}", describe(sql, &NoSession))
    }

    /// Where a text or its shape is a plain `SELECT`, both say the same; `true` where that was so.
    fn check(sql: &str) -> bool {
        let Some(shape) = shape(sql) else { return false };
        let shape = String::from_utf8(shape).expect("it is ASCII");
        let plain = |sql: &str| plain_select(&describe(sql, &NoSession));
        if !plain(sql) && !plain(&shape) {
            return false;
        }
        assert_eq!(shown(sql), shown(&shape), "{sql}\n{shape}");
        true
    }

    #[test]
    fn shapes_replace_numbers_that_stand_alone() {
        let check = |sql: &str, expected: Option<&str>| {
            assert_eq!(shape(sql).map(|shape| String::from_utf8(shape).expect("it is ASCII")).as_deref(), expected);
        };
        check("SELECT abalance FROM t WHERE aid = 1234;", Some("SELECT abalance FROM t WHERE aid = 1;"));
        check("select 0,(23)+456<7*8/9-10", Some("select 1,(1)+1<1*1/1-1"));
        check(
            "select a1, t2.b, 1.5, 1e5, 0x1F, 1_000, [3], 5::int",
            Some("select a1, t2.b, 1.5, 1e5, 0x1F, 1_000, [3], 5::int"),
        );
        check("select 999999999, 9999999999", Some("select 1, 9999999999"));
        for none in [
            "select 'a'",
            "select \"a\"",
            "select $1",
            "select 1 -- x",
            "select 1 /* x */",
            "select \\ 1",
            "select é",
            "select 1::float(5)",
            "SELECT 1::FLOAT8",
            "explain (analyze 1) delete from t",
            "sel",
            "fetch 5 from c",
            "",
        ] {
            check(none, None);
        }
    }

    #[test]
    fn the_same_text_and_the_same_shape_are_described_once() {
        let kept = Descriptions::default();
        let get = |sql: &str| kept.describe(sql, &NoSession);
        for (a, b, same) in [
            ("SELECT 1", "SELECT 22", true),
            ("UPDATE t SET a = 1 WHERE b = 2", "UPDATE t SET a = 1 WHERE b = 2", true),
            ("UPDATE t SET a = 1 WHERE b = 2", "UPDATE t SET a = 1 WHERE b = 3", false),
            ("SELECT set_config(a, 1::text, b)", "SELECT set_config(a, 2::text, b)", false),
            ("SELECT 1; SELECT 2", "SELECT 1; SELECT 3", false),
            ("DROP TABLE t", "DROP TABLE t", false),
        ] {
            assert_eq!(Arc::ptr_eq(&get(a), &get(b)), same, "{a}; {b}");
        }
    }

    #[test]
    fn what_the_session_says_is_not_kept() {
        struct One(SqlStatement, Referents);
        impl SessionFacts for One {
            fn prepared(&self, _name: &str) -> Option<(&SqlStatement, &Referents)> {
                Some((&self.0, &self.1))
            }
        }
        let kept = Descriptions::default();
        assert_eq!(kept.describe("EXECUTE p", &NoSession).facts.class, SqlClass::Opaque);
        let read = describe("SELECT 1", &NoSession).facts.statements.remove(0);
        assert_eq!(kept.describe("EXECUTE p", &One(read, Referents::default())).facts.class, SqlClass::Read);
        assert_eq!(kept.describe("EXECUTE p", &NoSession).facts.class, SqlClass::Opaque);
        assert!(matches!(kept.describe("DISCARD ALL", &NoSession).effects[0], Effect::Discard(Discard::All)));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let kept = Descriptions::default();
        let long = format!("SELECT {}", "a,".repeat(TEXT_BYTES_MAX));
        assert!(!Arc::ptr_eq(&kept.describe(&long, &NoSession), &kept.describe(&long, &NoSession)));
        for cache in [&kept.texts, &kept.shapes] {
            let entry = Entry { description: kept.describe("SELECT 1", &NoSession), bytes: ENTRY_BYTES };
            for number in 0..40_000_u32 {
                cache.insert(PayloadDigest::of(&number.to_be_bytes()), entry.clone());
            }
            assert!(cache.weight() <= CACHE_BYTES_MAX);
        }
    }

    #[test]
    fn the_corpora_mean_what_their_shapes_mean() {
        as_worker(|| assert!(lines().iter().filter(|line| check(&line.sql)).count() > 20));
    }

    /// Words that may stand anywhere in a query, sensible or not.
    const WORDS: &[&str] = &[
        "a",
        "t",
        "t1",
        "count(*)",
        "f(",
        "(",
        ")",
        ",",
        "=",
        "<",
        "-",
        "+",
        "*",
        "/",
        "%",
        "from",
        "where",
        "and",
        "limit",
        "offset",
        "order by",
        "group by",
        "union all select",
        "in",
        "is null",
        "as",
        "::int",
        "::numeric(",
        "cast(",
        "bit(",
        "interval(",
        "time(",
        "between",
        "rows",
        "over (",
        "fetch first",
        "for update",
        "into",
        "case when",
        "then",
        "else",
        "end",
        "tablesample system(",
        "pg_sleep(",
        "set_config(",
        "nextval(",
        "with",
        "insert",
        "[",
        "]",
        ";",
        ".",
        "1.5",
        "0x1F",
        "1_0",
        "e5",
        "float(",
        "dec(",
        "having",
        "values (",
        "array[",
        "grouping sets (",
        "json_query(",
        "xmlparse(",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// Any words and numbers, with or without blanks between them.
        #[test]
        fn random_texts_mean_what_their_shapes_mean(
            words in proptest::collection::vec(prop_oneof![
                select(WORDS).prop_map(str::to_owned),
                any::<u32>().prop_map(|n| n.to_string()),
                (0_u32..20).prop_map(|n| n.to_string()),
            ], 0..14),
            glue in select(&[" ", "", "\n"][..]),
        ) {
            check(&format!("select {}", words.join(glue)));
        }

        /// Queries that parse, with any numbers.
        #[test]
        fn queries_mean_the_same_with_any_numbers(n in proptest::collection::vec(any::<u64>(), 6)) {
            let n: Vec<String> = n.iter().enumerate().map(|(at, n)| (n >> (8 * at)).to_string()).collect();
            let sql = format!(
                "SELECT a+{}, b::numeric({}), substr(c,{}) FROM t t1 WHERE aid={} AND x IN ({},2) LIMIT {};",
                n[0], n[1], n[2], n[3], n[4], n[5]
            );
            prop_assert!(check(&sql));
        }
    }
}
