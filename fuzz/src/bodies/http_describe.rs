//! Arbitrary requests to APIs with a document: matching, describing and showing them never panics, and plain rules agree.
//!
//! The input is a request as [`super::request`] reads it; it goes to an API of payments, a registry, and one without a document. The
//! second opinion on addresses is a comparison segment by segment with the few templates that the payments have.

use std::sync::LazyLock;

use countersign_core::action::redact::{Rules, SHOWN_BYTES_MAX};
use countersign_core::action::request::{HttpFacts, RequestClass};
use http::Method;

use super::request;
use crate::apis::classes::Classes;
use crate::apis::openapi::Document;
use crate::apis::{Api, describe::describe, packs, shown::shown};
use crate::relay::dialect::Content;
use crate::relay::head::Head;

const PAYMENTS: &str = include_str!("../../../crates/gateway/tests/data/openapi/payments.json");
/// Method, path, and what the document calls that. `*` is a parameter.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("GET", "v1/payments", "pay:list"),
    ("POST", "v1/payments", "pay:create"),
    ("GET", "v1/payments/*", "pay:get"),
    ("POST", "v1/payments/*/refund", "pay:refund"),
];

static APIS: LazyLock<[Api; 3]> = LazyLock::new(|| {
    let api = |name: &str, text: &str| {
        let document = Document::from_json(text, &Classes::default()).expect("a document of ours");
        Api::Document { name: name.to_owned(), document: Box::new(document) }
    };
    let registry = packs::document("oci-registry").unwrap_or_default();
    [api("pay", PAYMENTS), api("oci", registry), Api::Generic]
});

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    let Some((head, content)) = request(data) else { return };
    let rules = Rules::default();
    for (at, api) in APIS.iter().enumerate() {
        let facts = describe(api, &head, Content::Whole(content), &rules);
        assert_eq!(facts, describe(api, &head, Content::Whole(content), &rules));
        let unread = describe(api, &head, Content::Unread, &rules);
        assert!(!unread.complete || head.method == Method::GET || head.method == Method::HEAD, "{unread:?}");
        let card = shown(api, &head, Content::Whole(content), &rules);
        assert!(card.shown.text.len() <= SHOWN_BYTES_MAX);
        assert!(
            facts
                .hidden
                .iter()
                .all(|name| !matches!(facts.values.get(name), Some(countersign_core::action::request::Typed::Text(_))))
        );
        if facts.class != RequestClass::Opaque && at == 0 {
            compare(&head, &facts);
        }
    }
}

/// The address by the templates, and a class that its method can have.
fn compare(head: &Head, facts: &HttpFacts) {
    let path: Vec<&str> = head.segments().iter().map(String::as_str).collect();
    let fits = |(method, template, _): &&(&str, &str, &str)| {
        let parts: Vec<&str> = template.split('/').collect();
        let same = |(own, segment): (&&str, &&str)| *own == "*" || own == segment;
        *method == head.method.as_str() && parts.len() == path.len() && parts.iter().zip(&path).all(same)
    };
    let found = TEMPLATES.iter().find(fits).map(|(_, _, id)| (*id).to_owned());
    assert_eq!(facts.operation, found, "{}", head.target());
    assert!(facts.class != RequestClass::Read || head.method == Method::GET, "{facts:?} only reads");
}
