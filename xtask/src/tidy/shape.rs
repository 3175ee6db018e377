//! Every Rust file opens with its module's documentation, and none is too long to read.

use std::path::PathBuf;

use super::{Finding, Text};

/// Past this a file is split by concept.
pub(super) const LINES_MAX: usize = 600;
/// Past this a file is listed.
const LINES_USUAL: usize = 400;

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let rust = || texts.iter().filter(|text| text.is_rust() && !is_fixture(text));
    let undocumented = rust().filter(|text| !text.text.trim_start_matches(shebang(&text.text)).starts_with("//!"));
    let message = "a file opens with `//!`: its purpose, its place, what is deliberately absent";
    let mut findings: Vec<_> = undocumented.map(|text| Finding::new(&text.path, 1, message)).collect();
    findings.extend(rust().filter(|text| text.text.lines().count() > LINES_MAX).map(|text| {
        let lines = text.text.lines().count();
        Finding::new(&text.path, LINES_MAX + 1, format!("{lines} lines: split it by concept (at most {LINES_MAX})"))
    }));
    findings
}

fn shebang(text: &str) -> &str {
    if text.starts_with("#!/") { text.split_inclusive('\n').next().unwrap_or_default() } else { "" }
}

/// Programs that must not compile are shown as they would be written.
fn is_fixture(text: &Text) -> bool {
    text.path.components().any(|part| part.as_os_str() == "compile-fail" || part.as_os_str() == "compile_fail")
}

/// Files that are longer than usual, with their lengths.
pub(super) fn long(texts: &[Text]) -> Vec<(PathBuf, usize)> {
    let lengths = texts.iter().filter(|text| text.is_rust()).map(|text| (text.path.clone(), text.text.lines().count()));
    lengths.filter(|(_, lines)| *lines > LINES_USUAL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{messages, text};

    #[test]
    fn a_file_without_a_purpose_is_found() {
        let found = check(&[text("a.rs", "use std::io;\n"), text("b.rs", "//! Why.\n")]);
        assert_eq!(found.len(), 1);
        assert!(messages(&found)[0].starts_with("a.rs:1: a file opens with"));
    }

    #[test]
    fn long_files_are_listed_and_longer_ones_fail() {
        let of = |lines: usize| format!("//! Why.\n{}", "x\n".repeat(lines - 1));
        assert!(check(&[text("a.rs", &of(600))]).is_empty());
        assert_eq!(check(&[text("a.rs", &of(601))]).len(), 1);
        assert_eq!(long(&[text("a.rs", &of(400)), text("b.rs", &of(401))]), [(PathBuf::from("b.rs"), 401)]);
    }
}
