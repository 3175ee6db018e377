//! Every test that the page of threats names exists.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Finding, Text};

const PAGE: &str = "docs/threats.md";

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let Some(page) = texts.iter().find(|text| text.path == Path::new(PAGE)) else {
        return vec![Finding::new(Path::new(PAGE), 1, "the page of threats is gone: tell xtask/src/tidy/threats.rs")];
    };
    let tests: BTreeSet<&str> = texts.iter().filter(|text| text.is_rust()).flat_map(|text| tests(&text.text)).collect();
    let mut named = named(&page.text).peekable();
    if named.peek().is_none() {
        return vec![Finding::new(&page.path, 1, "the page names no test in its last column")];
    }
    let missing = named.filter(|(_, name)| !tests.contains(name));
    missing.map(|(line, name)| Finding::new(&page.path, line, format!("there is no test `{name}`"))).collect()
}

/// What stands in backticks in the last column of the page's table, with its line; of a path, its last part.
fn named(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let rows = page.lines().enumerate().filter(|(_, line)| line.starts_with("| "));
    rows.flat_map(|(index, line)| {
        let column = line.trim_end_matches(['|', ' ']).rsplit_once(" | ").map_or("", |(_, last)| last);
        let quoted = column.split('`').skip(1).step_by(2);
        quoted.map(move |name| (index + 1, name.rsplit("::").next().unwrap_or(name)))
    })
}

/// The functions of a source file that are marked as tests, and the names that a macro makes tests of.
fn tests(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| !line.starts_with("//")) {
            if marked {
                found.extend(rest.split(['(', '<']).next());
            }
            marked = false;
        }
        if let Some(targets) = line.strip_prefix("targets! {") {
            found.extend(targets.trim_end_matches('}').split_whitespace());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{messages, text};

    const SOURCE: &str = "#[test]\n#[ignore]\nfn one() {}\nfn helper() {}\n#[tokio::test(x)]\nasync fn two() {}\n";

    #[test]
    fn a_test_that_is_not_there_is_found() {
        let page = "| 1 | `code` | a::`one`, `two` |\n| 2 | x | `m::one`, `helper`, `three` |\n";
        let texts = [text(PAGE, page), text("a.rs", SOURCE)];
        assert_eq!(
            messages(&check(&texts)),
            ["docs/threats.md:2: there is no test `helper`", "docs/threats.md:2: there is no test `three`"]
        );
    }

    #[test]
    fn losing_the_page_is_found() {
        assert_eq!(check(&[]).len(), 1);
        assert_eq!(check(&[text(PAGE, "nothing")]).len(), 1);
    }
}
