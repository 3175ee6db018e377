//! Statements for the oracle: every function, operator and cast of the server with arguments that fit, and random queries
//! over the adversary's objects.

/// Literals for a type: plain ones, and those that make a function with a wide reach show it: the name of a view that
/// writes, SQL that writes, the process of a bystander.
fn literals(of_type: &str, bystander: &str) -> Vec<String> {
    let text = ["trap", "SELECT public.tick()", "search_path", "public", "ticks_as_rows", "1", "simple", "a"];
    let plain: &[&str] = match of_type {
        "text" | "unknown" | "cstring" | "varchar" | "character varying" => &text,
        "name" => &["trap", "counter", "public"],
        "regclass" => return vec!["'counter'::regclass".into(), "'trap'::regclass".into()],
        "oid" => return vec!["'trap'::regclass::oid".into(), "'tick'::regproc::oid".into(), "4711::oid".into()],
        "integer" => return vec!["1".into(), bystander.to_owned(), "0".into()],
        "bigint" => return vec!["7::bigint".into()],
        "smallint" => return vec!["1::smallint".into()],
        "boolean" => return vec!["true".into()],
        "anyelement" | "anynonarray" | "anycompatible" | "anycompatiblenonarray" | "\"any\"" => {
            return vec!["1".into(), "'trap'::text".into()];
        }
        "anyarray" | "anycompatiblearray" | "integer[]" => return vec!["ARRAY[1]".into()],
        "anyrange" | "anycompatiblerange" => return vec!["int4range(1, 3)".into()],
        "anymultirange" | "anycompatiblemultirange" => return vec!["int4multirange(int4range(1, 3))".into()],
        "anyenum" => return vec!["'red'::colour".into()],
        "record" => return vec!["ROW(1, 'a')".into()],
        "json" | "jsonb" => &["{\"a\": 1}", "[1]"],
        "jsonpath" => &["$.a"],
        "xml" => &["<a/>"],
        "bytea" => &["\\x00"],
        "interval" => &["1 second"],
        "timestamp with time zone" | "timestamp without time zone" | "date" => &["2020-01-01"],
        "time without time zone" | "time with time zone" => &["12:00"],
        "inet" | "cidr" => &["10.0.0.1"],
        "macaddr" => &["08:00:2b:01:02:03"],
        "macaddr8" => &["08:00:2b:01:02:03:04:05"],
        "point" => &["(1,1)"],
        "box" | "lseg" | "path" => &["((1,1),(2,2))"],
        "polygon" => &["((1,1),(2,2),(3,1))"],
        "circle" => &["<(1,1),1>"],
        "line" => &["{1,1,1}"],
        "bit" | "bit varying" => &["1"],
        "uuid" => &["00000000-0000-0000-0000-000000000000"],
        "tsvector" | "tsquery" => &["a"],
        "pg_lsn" => &["0/1"],
        "aclitem[]" => &["{}"],
        "regconfig" | "regdictionary" => &["simple"],
        "regproc" | "regprocedure" | "refcursor" | "internal" | "trigger" | "event_trigger" => return vec![],
        other if other.ends_with("[]") => &["{}"],
        _ => &["1"],
    };
    plain.iter().map(|value| format!("'{value}'::{}", of_type.replace("\"any\"", "text"))).collect()
}

/// One call for each literal of the longest list, the others taken round.
fn calls(name: &str, types: &[&str], bystander: &str) -> Vec<String> {
    let choices: Vec<Vec<String>> = types.iter().map(|of_type| literals(of_type, bystander)).collect();
    if choices.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let rounds = choices.iter().map(Vec::len).max().unwrap_or(1);
    let call = |round: usize| {
        let arguments: Vec<&str> = choices.iter().map(|choice| choice[round % choice.len()].as_str()).collect();
        format!("{name}({})", arguments.join(", "))
    };
    (0..rounds).map(call).collect()
}

/// What the server has, asked of its catalogs: one line each, fields split by tabs.
const FUNCTIONS: &str = r"
SELECT concat_ws(E'\t', quote_ident(proname), prokind, array_to_string(array(
    SELECT format_type(t, NULL) FROM unnest(proargtypes) WITH ORDINALITY AS a(t, n) ORDER BY n), ';'))
FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace ORDER BY proname, oid";
const OPERATORS: &str = r"
SELECT concat_ws(E'\t', oprname, CASE WHEN oprleft = 0 THEN '' ELSE format_type(oprleft, NULL) END, format_type(oprright, NULL))
FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace ORDER BY oprname, oid";
const CASTS: &str = r"
SELECT concat_ws(E'\t', format_type(castsource, NULL), format_type(casttarget, NULL)) FROM pg_cast ORDER BY oid";
const TYPES: &str = r"
SELECT concat_ws(E'\t', format_type(oid, NULL)) FROM pg_type
WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'd', 'r', 'm') AND typelem = 0 ORDER BY oid";

/// A question about the server's catalogs, and what is made of a line of its answer.
type Sweep = (&'static str, fn(&str, &str) -> Vec<String>);

/// Everything there is.
pub(super) const SWEEPS: &[Sweep] = &[(FUNCTIONS, function), (OPERATORS, operator), (CASTS, cast), (TYPES, of_type)];

/// Calls of one function, by a line of [`FUNCTIONS`].
fn function(line: &str, bystander: &str) -> Vec<String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, kind, types] = fields[..] else { return vec![] };
    let types: Vec<&str> = types.split(';').filter(|name| !name.is_empty()).collect();
    let calls = calls(name, &types, bystander).into_iter();
    match kind {
        "w" => calls.map(|call| format!("SELECT {call} OVER () FROM accounts")).collect(),
        "p" => vec![],
        _ => calls.map(|call| format!("SELECT {call}")).collect(),
    }
}

/// Uses of one operator, by a line of [`OPERATORS`].
fn operator(line: &str, bystander: &str) -> Vec<String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [name, left, right] = fields[..] else { return vec![] };
    let first = |of_type: &str| literals(of_type, bystander).into_iter().next();
    match (left.is_empty(), first(left), first(right)) {
        (true, _, Some(right)) => vec![format!("SELECT {name} {right}")],
        (false, Some(left), Some(right)) => vec![format!("SELECT {left} {name} {right}")],
        _ => vec![],
    }
}

/// A use of one cast, by a line of [`CASTS`].
fn cast(line: &str, bystander: &str) -> Vec<String> {
    let Some((from, to)) = line.split_once('\t') else { return vec![] };
    literals(from, bystander).into_iter().take(1).map(|value| format!("SELECT {value}::{to}")).collect()
}

/// Text to one type, and back.
fn of_type(line: &str, bystander: &str) -> Vec<String> {
    let known = literals(line, bystander).into_iter().map(|value| format!("SELECT ({value})::text"));
    let texts = ["trap", "tick()", "counter", "1", "{1}", "[1,2)"];
    known.chain(texts.iter().map(|text| format!("SELECT '{text}'::{line}"))).collect()
}

/// A small generator (xorshift64*), so that a run can be repeated by its seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn seeded(seed: usize) -> Self {
        Self((1 + seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// A random statement.
    pub(super) fn statement(&mut self) -> String {
        let mut text = String::new();
        self.expand("statement", 0, &mut text);
        text
    }

    /// Writes out a rule of the grammar; past a depth, each rule takes its first form, which names no other.
    fn expand(&mut self, rule: &str, depth: usize, out: &mut String) {
        let forms = super::grammar::forms(rule);
        let form = if depth > DEPTH_MAX { forms[0] } else { self.one(forms) };
        let mut rest = form;
        while let Some(at) = rest.find('«') {
            out.push_str(&rest[..at]);
            let inner = &rest[at + '«'.len_utf8()..];
            let end = inner.find('»').expect("a rule's name ends");
            self.expand(&inner[..end], depth + 1, out);
            rest = &inner[end + '»'.len_utf8()..];
        }
        out.push_str(rest);
    }
}

/// How deep rules nest.
const DEPTH_MAX: usize = 7;
