//! What a card shows of a request to AWS: the action and what it names, then the request as it was sent, redacted.

use countersign_core::action::redact::{Place, Position, Redacted, Rules};
use countersign_core::action::request::AwsFacts;

use super::Aws;
use super::describe::describe;
use crate::relay::dialect::Content;
use crate::relay::head::Head;
use crate::relay::json::Json;
use crate::relay::page::Page;

/// Headers of a signature, and of a client's own bookkeeping: they are made anew, or not forwarded.
const OWN: &[&str] = &["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "user-agent"];

/// The most resources that are named one by one.
const RESOURCES_MAX: usize = 20;

/// What a card shows.
pub fn shown(aws: &Aws, head: &Head, content: Content<'_>, rules: &Rules) -> Redacted {
    let facts = describe(aws, head, content);
    let mut page = Page::default();
    page.words(&title(&facts));
    resources(&mut page, &facts);
    page.request_line(head, &|_| None);
    page.headers(&head.headers, &|name| !OWN.contains(&name) && !name.starts_with("amz-sdk-"));
    let cbor = head.headers.contains_key("smithy-protocol");
    match content.bytes().filter(|_| cbor).and_then(Json::from_cbor) {
        Some(json) => {
            page.line();
            page.json(&json, None, 0);
            page.line();
        }
        None => page.body(head, content),
    }
    page.finish(rules)
}

/// What it names; the request below holds all of it too.
fn resources(page: &mut Page, facts: &AwsFacts) {
    for arn in facts.resources.iter().take(RESOURCES_MAX) {
        page.value(arn, arn, Place::of(Position::Remark));
        page.line();
    }
    if let Some(more) = facts.resources.len().checked_sub(RESOURCES_MAX + 1) {
        page.words(&format!("and {} more\n", more + 1));
    }
}

fn title(facts: &AwsFacts) -> String {
    let what = if facts.action.ends_with(":*") { "an action that is not recognised" } else { facts.action.as_str() };
    let dry = if facts.dry_run { ", only tried (DryRun)" } else { "" };
    format!("{what} in {}{dry}\n", if facts.region.is_empty() { "no region" } else { &facts.region })
}
