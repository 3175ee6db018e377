//! Which folder of the gateway may use which: the one table, and the check that the code keeps to it.
//!
//! A new folder is a deliberate act: it has to be entered here, with what it may use.

use std::path::Path;

use super::source::{blanked, paths, without_tests};
use super::{Finding, Text};

const SOURCES: &str = "crates/gateway/src";
/// Folders whose members are units of their own and never import each other.
const FAMILIES: [&str; 2] = ["protocols", "channels"];

/// The common ground: the vocabulary that every unit may use.
const GROUND: [&str; 4] = ["ports", "codes", "config", "refusal"];

/// A unit of the gateway, and what it may import besides itself and the common ground. `family/*` stands for each member
/// of a family; `*` for everything.
///
/// The surfaces (`api`, `console`, channels, protocols) reach the inside through `gate`, which hands them the ports, and
/// through the one function of `resolve` or `pipeline`; an adapter (`store`, `ledger`, `vault`) is named by `app` alone.
#[rustfmt::skip]
const ALLOWED: &[(&str, &[&str])] = &[
    ("lib",         &["*"]),
    ("main",        &["*"]),
    ("app",         &["*"]),
    ("cli",         &["*"]),
    ("ports",       &[]),
    ("codes",       &[]),
    ("config",      &[]),
    ("refusal",     &[]),
    ("targets",     &[]),
    ("telemetry",   &[]),
    ("clock",       &[]),
    ("waiting",     &[]),
    ("lanes",       &[]),
    ("host",        &[]),
    ("spool",       &[]),
    ("fetch",       &[]),
    ("tls",         &[]),
    ("http",        &["lanes"]),
    ("policies",    &["prover"]),
    ("prover",      &[]),
    ("identity",    &["fetch"]),
    ("store",       &[]),
    ("ledger",      &[]),
    ("vault",       &[]),
    ("admin",       &["identity"]),
    ("gate",        &["identity", "policies", "targets", "waiting"]),
    ("resolve",     &["gate", "identity", "policies", "waiting"]),
    ("pipeline",    &["gate", "policies", "resolve", "waiting"]),
    ("relay",       &["fetch", "gate", "identity", "lanes", "pipeline", "spool", "targets"]),
    ("proposals",   &["gate", "identity", "pipeline", "policies", "targets"]),
    ("api",         &["gate", "identity", "policies", "proposals", "resolve", "targets"]),
    ("scim",        &["gate", "identity"]),
    ("console",     &["gate", "identity", "policies", "proposals", "prover", "resolve", "targets"]),
    ("channels",    &["fetch", "gate", "identity", "resolve", "channels/*"]),
    ("channels/*",  &["fetch", "gate", "identity", "resolve", "channels"]),
    ("protocols",   &["gate", "identity", "lanes", "pipeline", "relay", "spool", "protocols/*"]),
    ("protocols/*", &["fetch", "gate", "identity", "lanes", "pipeline", "relay", "spool", "tls", "protocols"]),
];

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let rust = texts.iter().filter(|text| text.is_rust() && text.path.starts_with(SOURCES));
    let units = units(texts);
    rust.filter(|text| !is_test(text)).flat_map(|text| check_file(text, &units)).collect()
}

/// Tests put real parts together as `app` does.
fn is_test(text: &Text) -> bool {
    let in_folder = text.path.components().any(|part| part.as_os_str() == "tests");
    in_folder || matches!(text.name(), "tests.rs" | "testing.rs")
}

fn check_file(text: &Text, units: &[String]) -> Vec<Finding> {
    let module = module_of(&text.path);
    let unit = unit_of(&module);
    let Some(allowed) = allowed(&unit) else {
        let message = format!("`{unit}` is not in the table of directions: enter it in xtask/src/tidy/directions.rs");
        return vec![Finding::new(&text.path, 1, message)];
    };
    if allowed.contains(&"*") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for named in paths(&blanked(without_tests(&text.text)), &module) {
        let used = unit_of(&named.segments);
        let known = units.contains(&used);
        if known && used != unit && !GROUND.contains(&used.as_str()) && !permits(allowed, &used) {
            let may = GROUND.iter().chain(allowed).copied().collect::<Vec<_>>().join(", ");
            let message = format!("`{unit}` must not use `{used}`; it may use {may}");
            findings.push(Finding::new(&text.path, named.line, message));
        }
    }
    findings
}

/// The units that exist, so that `crate::Item` of `lib.rs` is not taken for one.
fn units(texts: &[Text]) -> Vec<String> {
    let rust = texts.iter().filter(|text| text.is_rust() && text.path.starts_with(SOURCES));
    rust.map(|text| unit_of(&module_of(&text.path))).collect()
}

/// `crates/gateway/src/protocols/postgres/serve.rs` is `protocols::postgres::serve`.
fn module_of(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(SOURCES).unwrap_or(path).with_extension("");
    let mut module: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

fn unit_of(module: &[String]) -> String {
    match module {
        [] => "lib".to_owned(),
        [family, member, ..] if FAMILIES.contains(&family.as_str()) && is_module(member) => {
            format!("{family}/{member}")
        }
        [first, ..] => first.clone(),
    }
}

/// Modules begin with a small letter; `protocols::Registry` is an item of `protocols`.
fn is_module(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && !["self", "conformance", "tests"].contains(&name)
}

fn allowed(unit: &str) -> Option<&'static [&'static str]> {
    let wild = unit.split_once('/').map(|(family, _)| format!("{family}/*"));
    let key = wild.as_deref().unwrap_or(unit);
    ALLOWED.iter().find(|(name, _)| *name == key).map(|(_, allowed)| *allowed)
}

fn permits(allowed: &[&str], used: &str) -> bool {
    allowed.iter().any(|name| match name.strip_suffix("/*") {
        Some(family) => used.split_once('/').is_some_and(|(of, _)| of == family),
        None => *name == used,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{messages, text};

    fn check(path: &str, code: &str, expected: &[&str]) {
        let mut texts = vec![text(&format!("{SOURCES}/{path}"), code)];
        for unit in ["ports.rs", "resolve.rs", "pipeline.rs", "store/mod.rs", "api/mod.rs", "protocols/http/mod.rs"] {
            texts.push(text(&format!("{SOURCES}/{unit}"), ""));
        }
        assert_eq!(messages(&super::check(&texts)), expected);
    }

    #[test]
    fn an_adapter_may_use_ports_only() {
        check(
            "ledger/mod.rs",
            "use crate::ports::Clock;\nuse crate::api::App;",
            &[
                "crates/gateway/src/ledger/mod.rs:2: `ledger` must not use `api`; it may use ports, codes, config, refusal",
            ],
        );
    }

    #[test]
    fn siblings_of_a_family_do_not_know_each_other() {
        check(
            "protocols/postgres/serve.rs",
            "use crate::protocols::http::x;",
            &[
                "crates/gateway/src/protocols/postgres/serve.rs:1: `protocols/postgres` must not use `protocols/http`; it may use ports, codes, config, refusal, fetch, gate, identity, lanes, pipeline, relay, spool, tls, protocols",
            ],
        );
        check(
            "protocols/postgres/serve.rs",
            "use super::super::http::x;",
            &[
                "crates/gateway/src/protocols/postgres/serve.rs:1: `protocols/postgres` must not use `protocols/http`; it may use ports, codes, config, refusal, fetch, gate, identity, lanes, pipeline, relay, spool, tls, protocols",
            ],
        );
    }

    #[test]
    fn a_family_knows_its_members_and_itself() {
        check("protocols/mod.rs", "use crate::protocols::http::x;", &[]);
        check("protocols/postgres/serve.rs", "use super::wire;\nuse crate::protocols::Protocol;", &[]);
    }

    #[test]
    fn a_folder_that_is_not_in_the_table_is_found() {
        check(
            "novelty/mod.rs",
            "",
            &[
                "crates/gateway/src/novelty/mod.rs:1: `novelty` is not in the table of directions: enter it in xtask/src/tidy/directions.rs",
            ],
        );
    }

    #[test]
    fn tests_may_use_everything() {
        check("ledger/tests.rs", "use crate::store::Db;", &[]);
        check("ledger/mod.rs", "#[cfg(test)]\nmod tests { use crate::store::Db; }", &[]);
    }

    #[test]
    fn the_command_line_may_use_everything() {
        check("cli/mod.rs", "use crate::{api::App, store::Db};", &[]);
    }
}
