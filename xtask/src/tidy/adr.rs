//! A decision record says its context, the choice, and what it costs.

use super::{Finding, Text};

const PARTS: [&str; 3] = ["context", "choice", "cost"];

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let records = texts.iter().filter(|text| text.is_markdown() && text.path.starts_with("docs/adr"));
    records.filter(|text| text.name() != "README.md").flat_map(check_record).collect()
}

fn check_record(text: &Text) -> Vec<Finding> {
    let headings: Vec<String> =
        text.text.lines().filter(|line| line.starts_with("##")).map(str::to_lowercase).collect();
    let absent = PARTS.iter().filter(|part| !headings.iter().any(|heading| heading.contains(**part)));
    absent.map(|part| Finding::new(&text.path, 1, format!("a decision record has a heading with `{part}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{messages, text};

    #[test]
    fn each_part_is_asked_for() {
        let record = text("docs/adr/0001-x.md", "# X\n\n## Context\n\n## Choice\n");
        assert_eq!(messages(&check(&[record])), ["docs/adr/0001-x.md:1: a decision record has a heading with `cost`"]);
    }

    #[test]
    fn other_words_may_stand_beside_it() {
        let record = text("docs/adr/0001-x.md", "## The context\n## The choice\n## What it costs\n");
        assert!(check(&[record]).is_empty());
    }
}
