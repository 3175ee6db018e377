//! Built-in operators: the names of `pg_operator` in `pg_catalog`, unchanged from PostgreSQL 14 to 18.
//!
//! None of them has an effect: each is a function of the read section of `functions.txt`, or an internal comparison.

/// Sorted by bytes.
const OPERATORS: &[&str] = &[
    "!!", "!~", "!~*", "!~~", "!~~*", "#", "##", "#-", "#>", "#>>", "%", "&", "&&", "&<", "&<|", "&>", "*", "*<",
    "*<=", "*<>", "*=", "*>", "*>=", "+", "-", "->", "->>", "-|-", "/", "<", "<->", "<<", "<<=", "<<|", "<=", "<>",
    "<@", "<^", "=", ">", ">=", ">>", ">>=", ">^", "?", "?#", "?&", "?-", "?-|", "?|", "?||", "@", "@-@", "@>", "@?",
    "@@", "@@@", "^", "^@", "|", "|&>", "|/", "|>>", "||", "||/", "~", "~*", "~<=~", "~<~", "~=", "~>=~", "~>~", "~~",
    "~~*",
];

/// Whether an operator of this name is built in. `!=` is `<>` by the time it is asked for.
pub(in super::super) fn is_builtin(name: &str) -> bool {
    OPERATORS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn operators_are_sorted() {
        assert!(super::OPERATORS.is_sorted());
    }
}
