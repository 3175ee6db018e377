//! Directions between crates, read from their manifests: `core` and `tlog` depend on nothing of ours.

use super::{Finding, Text};

/// A crate's manifest and the crates of ours that it may depend on.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("crates/core/Cargo.toml", &[]),
    ("crates/tlog/Cargo.toml", &[]),
    ("crates/gateway/Cargo.toml", &["countersign-core", "countersign-tlog"]),
    ("crates/sim/Cargo.toml", &["countersign-core", "countersign-tlog"]),
    ("xtask/Cargo.toml", &[]),
];
/// Crates that never decide anything and are free to use what they examine.
const OUTSIDE: [&str; 3] = ["Cargo.toml", "fuzz/Cargo.toml", "benches/Cargo.toml"];

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    texts.iter().filter(|text| text.name() == "Cargo.toml").flat_map(check_manifest).collect()
}

fn check_manifest(text: &Text) -> Vec<Finding> {
    let path = text.path.to_string_lossy();
    if OUTSIDE.contains(&path.as_ref()) {
        return Vec::new();
    }
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == path) else {
        let message = "a crate that is not in the table of directions: enter it in xtask/src/tidy/manifests.rs";
        return vec![Finding::new(&text.path, 1, message)];
    };
    let ours = dependencies(&text.text).filter(|(_, name)| name.starts_with("countersign") || *name == "xtask");
    let wrong = ours.filter(|(_, name)| !allowed.contains(name));
    wrong.map(|(line, name)| Finding::new(&text.path, line, format!("must not depend on `{name}`"))).collect()
}

/// The names under `[dependencies]`; what tests use is their own affair.
fn dependencies(manifest: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    manifest.lines().enumerate().filter_map(move |(index, line)| {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]" || line.contains("target.") && line.contains(".dependencies]");
            return None;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        (inside && !name.is_empty() && !name.starts_with('#')).then_some((index + 1, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{messages, text};

    #[test]
    fn core_depends_on_nothing_of_ours() {
        let manifest =
            text("crates/core/Cargo.toml", "[dependencies]\nserde = \"1\"\ncountersign-tlog.workspace = true\n");
        assert_eq!(messages(&check(&[manifest])), ["crates/core/Cargo.toml:3: must not depend on `countersign-tlog`"]);
    }

    #[test]
    fn tests_may_use_what_they_like() {
        let manifest = text("crates/gateway/Cargo.toml", "[dev-dependencies]\nxtask.workspace = true\n");
        assert!(check(&[manifest]).is_empty());
    }

    #[test]
    fn a_new_crate_must_be_entered() {
        assert_eq!(check(&[text("crates/extra/Cargo.toml", "")]).len(), 1);
    }
}
