//! Built-in functions by what a call may do. The list is `functions.txt`, which says how it was made.

use std::collections::HashMap;
use std::sync::LazyLock;

use countersign_core::action::sql::SqlClass;

const LIST: &str = include_str!("functions.txt");

/// The section of helpers that live in `information_schema`.
const INFORMATION_SCHEMA: &str = "information_schema";

struct Functions {
    catalog: HashMap<&'static str, SqlClass>,
    information_schema: HashMap<&'static str, SqlClass>,
}

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let mut functions = Functions { catalog: HashMap::new(), information_schema: HashMap::new() };
    for (section, name) in entries() {
        match section_class(section) {
            Some(class) => functions.catalog.insert(name, class),
            None => functions.information_schema.insert(name, SqlClass::Read),
        };
    }
    functions
});

/// The class of calling the function of this name in `pg_catalog`; `None` when it is not known.
pub(in super::super) fn class(name: &str) -> Option<SqlClass> {
    FUNCTIONS.catalog.get(name).copied()
}

/// The class of calling the function of this name in `information_schema`; `None` when it is not known.
pub(in super::super) fn information_schema_class(name: &str) -> Option<SqlClass> {
    FUNCTIONS.information_schema.get(name).copied()
}

/// The class a section gives; a section of another name gives none and belongs to `information_schema`.
fn section_class(section: &str) -> Option<SqlClass> {
    match section {
        "read" => Some(SqlClass::Read),
        "session" => Some(SqlClass::Session),
        "write" => Some(SqlClass::Write),
        "ddl" => Some(SqlClass::Ddl),
        "admin" => Some(SqlClass::Admin),
        INFORMATION_SCHEMA => None,
        _ => Some(SqlClass::Opaque),
    }
}

/// Section and name of each entry, in the order of the file.
fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut section = "opaque";
    LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(move |line| {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => {
                section = name;
                None
            }
            None => Some((section, line)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTIONS: &[&str] = &["read", "session", "write", "ddl", "admin", "opaque", INFORMATION_SCHEMA];

    #[test]
    fn sections_are_known_and_sorted() {
        let mut seen: Vec<(&str, Vec<&str>)> = Vec::new();
        for (section, name) in entries() {
            match seen.last_mut() {
                Some((last, names)) if *last == section => names.push(name),
                Some(_) | None => seen.push((section, vec![name])),
            }
        }
        let order: Vec<&str> = seen.iter().map(|(section, _)| *section).collect();
        assert_eq!(order, SECTIONS);
        for (section, names) in seen {
            assert!(
                names.windows(2).all(|pair| pair[0] < pair[1]),
                "section `{section}` is not sorted, or repeats a name"
            );
        }
    }

    #[test]
    fn no_name_is_in_two_sections() {
        let mut all: Vec<&str> =
            entries().filter(|(section, _)| *section != INFORMATION_SCHEMA).map(|(_, name)| name).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn names_are_plain() {
        for (_, name) in entries() {
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "`{name}`");
        }
    }
}
