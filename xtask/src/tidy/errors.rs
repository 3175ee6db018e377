//! Every stable code has a page that says what happened, why, and what to do; every page has a code.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Finding, Text};

const CODES: &str = "crates/gateway/src/codes.rs";
const PAGES: &str = "docs/errors";

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let Some(source) = texts.iter().find(|text| text.path == Path::new(CODES)) else {
        return vec![Finding::new(
            Path::new(CODES),
            1,
            "the stable codes are gone: tell xtask/src/tidy/errors.rs where they are",
        )];
    };
    let codes = codes(&source.text);
    let pages = texts.iter().filter(|text| text.is_markdown() && text.path.parent() == Some(Path::new(PAGES)));
    let pages: Vec<&Text> = pages.filter(|text| text.name() != "README.md").collect();
    let has_page = |code: &str| pages.iter().any(|page| page.name() == format!("{code}.md"));
    let mut findings = Vec::new();
    if codes.is_empty() {
        findings.push(Finding::new(&source.path, 1, "no code of the form `Variant => \"name\",` was found"));
    }
    for (code, line) in codes.iter().filter(|(code, _)| !has_page(code)) {
        findings.push(Finding::new(&source.path, *line, format!("`{code}` has no page: write {PAGES}/{code}.md")));
    }
    for page in pages.iter().filter(|page| !codes.contains_key(page.name().trim_end_matches(".md"))) {
        findings.push(Finding::new(&page.path, 1, format!("no code has this name in {CODES}")));
    }
    findings
}

/// The names in lines of the form `Variant => "name",`, with their lines.
fn codes(source: &str) -> BTreeMap<&str, usize> {
    let entries = source.lines().enumerate().filter_map(|(index, line)| {
        let (variant, name) = line.trim().strip_suffix("\",")?.split_once(" => \"")?;
        variant.chars().all(char::is_alphanumeric).then_some((name, index + 1))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{messages, text};

    const SOURCE: &str = "codes! {\n    /// Doc.\n    NoPermit => \"no_permit\",\n    Gone => \"gone\",\n}\n";

    #[test]
    fn a_code_without_a_page_and_a_page_without_a_code_are_found() {
        let texts = [text(CODES, SOURCE), text("docs/errors/gone.md", ""), text("docs/errors/other.md", "")];
        assert_eq!(
            messages(&check(&texts)),
            [
                "crates/gateway/src/codes.rs:3: `no_permit` has no page: write docs/errors/no_permit.md",
                "docs/errors/other.md:1: no code has this name in crates/gateway/src/codes.rs",
            ]
        );
    }

    #[test]
    fn losing_the_list_is_found() {
        assert_eq!(check(&[]).len(), 1);
        assert_eq!(check(&[text(CODES, "enum Code {}")]).len(), 1);
    }
}
