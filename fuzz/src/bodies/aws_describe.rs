//! Arbitrary requests to AWS: describing and showing them never panics, and the protocols' own words agree.
//!
//! The input is a request as [`super::request`] reads it. The second opinion is what a service would look at, without the
//! describer's care: whichever operation the describer names must stand in the one place where its protocol has it, and a
//! request that has two such places is opaque. What comes out of a body in chunks is as long as its head said.

use countersign_core::action::redact::{Rules, SHOWN_BYTES_MAX};
use countersign_core::action::request::{AwsFacts, RequestClass};
use http::Method;

use super::request;
use crate::aws::{Aws, describe::describe, shown::shown, sign::unchunked};
use crate::relay::dialect::Content;
use crate::relay::head::Head;

/// Holds what is written above.
///
/// # Panics
/// It does not hold.
pub fn body(data: &[u8]) {
    let Some((head, content)) = request(data) else { return };
    plain(&head, content);
    let aws = Aws::default();
    let facts = describe(&aws, &head, Content::Whole(content));
    assert_eq!(facts, describe(&aws, &head, Content::Whole(content)));
    let _ = describe(&aws, &head, Content::Unread);
    let card = shown(&aws, &head, Content::Whole(content), &Rules::default());
    assert!(card.shown.text.len() <= SHOWN_BYTES_MAX);
    if facts.class != RequestClass::Opaque {
        named(&head, &facts, content);
    }
}

/// What comes out of chunks.
fn plain(head: &Head, content: &[u8]) {
    let Ok(Some((headers, data))) = unchunked(&head.headers, content) else { return };
    let said = head.header("x-amz-decoded-content-length").and_then(|text| text.parse::<usize>().ok());
    assert_eq!(said, Some(data.len()));
    assert!(data.len() <= content.len());
    assert!(!headers.contains_key("x-amz-content-sha256") && !headers.contains_key("x-amz-trailer"));
    let new = headers.keys().filter(|name| !head.headers.contains_key(*name));
    assert!(new.into_iter().all(|name| name.as_str().starts_with("x-amz-checksum-")), "{headers:?}");
    assert!(!matches!(unchunked(&headers, &data), Ok(Some(_))), "it is in no chunks any more");
}

/// The operation that the request names, where its protocol has it.
fn named(head: &Head, facts: &AwsFacts, content: &[u8]) {
    let (service, operation) = facts.action.split_once(':').unwrap_or_default();
    assert!(!service.is_empty() && !operation.is_empty(), "{facts:?}");
    let target = head.header("x-amz-target");
    let smithy = head.headers.contains_key("smithy-protocol");
    let media = head.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let form = media.starts_with("application/x-www-form-urlencoded") && head.method == Method::POST;
    let rest = ["s3", "apigateway", "execute-api", "lambda"].contains(&service);
    if rest {
        assert!(target.is_none() && !smithy, "{facts:?} has another operation's name");
        return;
    }
    if let Some(target) = target {
        assert!(!smithy && target.rsplit('.').next() == Some(operation), "{target} is {facts:?}");
    } else if smithy {
        assert_eq!(head.segments().last().map(String::as_str), Some(operation), "{facts:?}");
    } else {
        let query = head.query().unwrap_or_default().as_bytes();
        let pairs = |raw: &[u8]| url::form_urlencoded::parse(raw).into_owned().collect::<Vec<_>>();
        let all = pairs(query).into_iter().chain(if form { pairs(content) } else { Vec::new() });
        let actions: Vec<_> = all.filter(|(name, _)| name.eq_ignore_ascii_case("action")).collect();
        let same = |(_, value): &(String, String)| value == operation;
        assert!(actions.len() <= 1 && actions.iter().all(same), "{actions:?} is {facts:?}");
    }
}
