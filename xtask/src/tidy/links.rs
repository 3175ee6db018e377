//! Relative links in Markdown lead somewhere: to a file that exists, and to a heading that it has.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{Finding, Text};

pub(super) fn check(root: &Path, texts: &[Text]) -> Vec<Finding> {
    let pages: BTreeMap<&Path, &Text> = texts.iter().map(|text| (text.path.as_path(), text)).collect();
    let markdown = texts.iter().filter(|text| text.is_markdown());
    markdown.flat_map(|text| check_page(root, &pages, text)).collect()
}

fn check_page(root: &Path, pages: &BTreeMap<&Path, &Text>, page: &Text) -> Vec<Finding> {
    let broken = links(&page.text).into_iter().filter_map(|(line, link)| {
        let reason = problem(root, pages, page, &link)?;
        Some(Finding::new(&page.path, line, format!("link `{link}`: {reason}")))
    });
    broken.collect()
}

fn problem(root: &Path, pages: &BTreeMap<&Path, &Text>, page: &Text, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.path.clone() } else { resolve(&page.path, file)? };
    if !root.join(&target).exists() && !pages.contains_key(target.as_path()) {
        return Some(format!("there is no {}", target.display()));
    }
    let there = pages.get(target.as_path()).filter(|text| text.is_markdown())?;
    let known = anchor.is_empty() || headings(&there.text).iter().any(|heading| heading == anchor);
    (!known).then(|| format!("{} has no such heading", target.display()))
}

/// The path that a link names, relative to the repository's root.
fn resolve(page: &Path, link: &str) -> Option<PathBuf> {
    let mut path = if link.starts_with('/') { PathBuf::new() } else { page.parent()?.to_path_buf() };
    for part in Path::new(link.trim_start_matches('/')).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(path)
}

/// The relative links of a page with their lines. Code is not searched.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(targets(&without_code(line)).into_iter().map(|target| (index + 1, target)));
        }
    }
    found
}

fn targets(line: &str) -> Vec<String> {
    let starts = ["](", "src=\"", "srcset=\""];
    let places =
        starts.iter().flat_map(|start| line.match_indices(start).map(|(at, s)| at + s.len()).collect::<Vec<_>>());
    let targets = places.map(|at| line[at..].split([')', ' ', '"']).next().unwrap_or_default());
    let outside = |target: &&str| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
    targets.filter(outside).map(str::to_owned).collect()
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// The anchors that GitHub makes of headings.
fn headings(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced && line.starts_with('#') {
            found.push(slug(line.trim_start_matches('#')));
        }
    }
    found
}

fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{messages, text};

    fn check(page: &str, expected: &[&str]) {
        let texts = [text("docs/a.md", page), text("README.md", "# Hello, `World`\n")];
        assert_eq!(messages(&super::check(Path::new("/nonexistent"), &texts)), expected);
    }

    #[test]
    fn a_link_to_nowhere_is_found() {
        check("x\n[b](b.md)", &["docs/a.md:2: link `b.md`: there is no docs/b.md"]);
    }

    #[test]
    fn parents_and_headings_are_followed() {
        check("[r](../README.md#hello-world) [self](#here)\n# Here\n", &[]);
        check("[r](../README.md#bye)", &["docs/a.md:1: link `../README.md#bye`: README.md has no such heading"]);
    }

    #[test]
    fn code_and_other_places_are_left_alone() {
        check("`[b](b.md)` [x](https://example.org/a) \n```\n[b](b.md)\n```\n", &[]);
    }
}
