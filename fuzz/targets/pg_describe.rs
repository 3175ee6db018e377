//! Arbitrary SQL: describing never panics, and two statements are at least as dangerous as each of them.
//!
//! The input's first NUL separates two texts. Where both parse, `a; b` must not have a lower class than `a` or `b`. One
//! exception is meant: `EXECUTE` of something unknown is opaque, and known once `a` prepared it.
#![no_main]

use countersign_core::action::sql::SqlFacts;
use countersign_fuzz::describe::{Description, NoSession, describe, literals};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (a, b) = text.split_once('\0').unwrap_or((text, "DROP TABLE t"));
    let (first, second) = (one(a), one(b));
    let both = one(&format!("{a}\n;\n{b}"));
    let parsed = first.parse_error.is_none() && second.parse_error.is_none();
    let prepares = first.facts.statements.iter().any(|statement| statement.verb.starts_with("PREPARE"));
    if !parsed || prepares {
        return;
    }
    assert!(both.facts.class >= first.facts.class, "{:?} < {:?}", both.facts, first.facts);
    assert!(both.facts.class >= second.facts.class, "{:?} < {:?}", both.facts, second.facts);
    if both.parse_error.is_none() {
        let written = |facts: &SqlFacts| -> Vec<String> {
            facts.statements.iter().flat_map(|statement| statement.tables.write.iter().cloned()).collect()
        };
        let all = written(&both.facts);
        assert!(written(&first.facts).iter().chain(&written(&second.facts)).all(|table| all.contains(table)));
    }
});

/// Describes, and holds what is true of every description.
fn one(sql: &str) -> Description {
    let description = describe(sql, &NoSession);
    let highest = description.facts.statements.iter().map(|statement| statement.class).max();
    assert!(highest.is_none_or(|highest| highest <= description.facts.class));
    assert_eq!(description.effects.len(), description.facts.statements.len());
    let _ = literals(sql);
    description
}
