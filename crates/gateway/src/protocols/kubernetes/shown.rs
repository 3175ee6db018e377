//! What a card shows of a request: what it does in words, its line, its parameters, and its body as text.
//!
//! The values of Secrets are taken out first (`secret.rs`) and cannot be revealed; all other texts go through the redactor.
//! What cannot be read is not shown at all, and counted: a reviewer sees that there is more.

use countersign_core::action::redact::{Redacted, Redactor, Rules, SHOWN_BYTES_MAX, Shown};
use countersign_core::action::request::{KubernetesFacts, RequestClass};

use super::body::{self, Body};
use super::describe::describe;
use super::impact::changes;
use super::pretty::Pretty;
use super::query::Query;
use super::secret::Hide;
use crate::relay::dialect::{Content, Rehearsed};
use crate::relay::head::Head;

/// What a card shows of a request, and what that hides; with what a rehearsal found, also what would change. `None` where
/// what it found cannot be read.
pub fn shown(head: &Head, content: Content<'_>, rules: &Rules, found: Option<&Rehearsed>) -> Option<Redacted> {
    let mut redactor = Redactor::new(rules);
    let facts = describe(head, content);
    let mut pretty = Pretty::new(&mut redactor);
    summary(&mut pretty, head, &facts);
    parameters(&mut pretty, head);
    let unread = contents(&mut pretty, head, content, &facts);
    let (text, cut) = cut(pretty.finish());
    let replaces = match found {
        Some(Rehearsed { before, after }) => changes(&mut redactor, &facts, before.as_deref(), after.as_deref())?,
        None => Vec::new(),
    };
    Some(redactor.finish(Shown { text, cut_bytes: cut + unread, replaces, ..Shown::default() }))
}

fn summary(pretty: &mut Pretty<'_, '_>, head: &Head, facts: &KubernetesFacts) {
    let lead = if facts.dry_run { "(persists nothing) " } else { "" };
    match facts.class {
        RequestClass::Opaque => pretty.line("(not recognised as a request to the API server)"),
        RequestClass::Read | RequestClass::Write | RequestClass::Exec | RequestClass::Reveal | RequestClass::Admin => {
            pretty.said(lead, &format!("{} {}", facts.verb, facts.object()), None)
        }
    }
    pretty.said(&format!("{} ", head.method), head.path(), None);
}

/// The parameters, decoded; as they were sent, where they cannot be.
fn parameters(pretty: &mut Pretty<'_, '_>, head: &Head) {
    let Some(sent) = head.query() else { return };
    match Query::parse(sent) {
        Some(query) => {
            for (name, value) in query.pairs() {
                // a name is the requester's text as well
                pretty.said("? ", name, None);
                pretty.said("  = ", value, Some(name));
            }
        }
        None => pretty.said("? ", sent, None),
    }
}

/// The body. Returns how many bytes of it are not shown.
fn contents(pretty: &mut Pretty<'_, '_>, head: &Head, content: Content<'_>, facts: &KubernetesFacts) -> usize {
    let Some(bytes) = content.bytes() else {
        pretty.line("(its body is longer than what is read, and is not shown)");
        return 0;
    };
    let hide = Hide::of(facts.resource == "secrets" || head.segments().iter().any(|segment| segment == "secrets"));
    let body = body::read(head, bytes);
    match &body {
        Some(Body::Empty) => return 0,
        Some(Body::Tree(value)) => pretty.tree(&hide.tree(value)),
        Some(Body::Operations(value)) => pretty.tree(&hide.operations(value)),
        Some(Body::Protobuf(envelope)) => {
            pretty.said("kind: ", &envelope.kind, None);
            let tree = if hide.hides(&envelope.kind) { None } else { envelope.tree() };
            let Some(tree) = tree else {
                pretty.line(&format!("(its {} bytes of protobuf are not shown)", bytes.len()));
                return bytes.len();
            };
            pretty.line("(protobuf: the numbers of fields in the place of their names)");
            pretty.tree(&tree);
        }
        None => {
            pretty.line(&format!("(its body of {} bytes cannot be read, and is not shown)", bytes.len()));
            return bytes.len();
        }
    }
    0
}

/// No more than a card takes; the rest is counted.
fn cut(mut text: String) -> (String, usize) {
    text.truncate(text.trim_end().len());
    if text.len() <= SHOWN_BYTES_MAX {
        return (text, 0);
    }
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    let cut = text.len() - end;
    text.truncate(end);
    (text, cut)
}
