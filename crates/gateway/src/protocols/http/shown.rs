//! What a card shows of a request to an API: its line, what the document calls it, its headers and body, redacted.

use countersign_core::action::redact::{Redacted, Rules};

use super::Api;
use super::describe::known;
use crate::relay::dialect::Content;
use crate::relay::head::Head;
use crate::relay::page::Page;

/// The longest summary of a document that is shown, in characters.
const SUMMARY_CHARS_MAX: usize = 200;

/// What a card shows.
pub fn shown(api: &Api, head: &Head, content: Content<'_>, rules: &Rules) -> Redacted {
    let mut page = Page::default();
    let found = match api {
        Api::Document { name, document } => {
            document.find(head.method.as_str(), head.segments()).map(|found| (name.as_str(), found))
        }
        Api::Generic | Api::Unknown => None,
    };
    let column = |at: usize| {
        let (_, found) = found.as_ref()?;
        let (name, _, _) = found.values.iter().find(|(_, _, range)| range.contains(&at))?;
        Some((*name).to_owned())
    };
    page.request_line(head, &column);
    match known(api, head, content, rules) {
        Err(opaque) => page.words(&format!("not understood: {}\n", opaque.words())),
        Ok(_) => {
            if let Some((name, found)) = &found {
                page.words(&format!("{name}:{}\n", found.operation.id));
                if let Some(summary) = &found.operation.summary {
                    let short: String = summary.chars().take(SUMMARY_CHARS_MAX).collect();
                    page.words(&format!("in the document's words: {}\n", short.replace('\n', " ")));
                }
            }
        }
    }
    page.headers(&head.headers, &|_| true);
    page.body(head, content);
    page.finish(rules)
}
