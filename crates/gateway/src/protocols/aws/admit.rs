//! What is settled before a request is described: a body comes out of its chunks, and what cannot be signed anew is refused.
//!
//! Clients wrap uploads in `aws-chunked` (see [`chunked`](super::sign)); the gateway reads, shows and signs the data in them. A body that is
//! too long to be read and whose chunks are not signed goes on as it is: its checksum stands behind it, and S3 checks that.
//! Deliberately absent: taking signed chunks out of a body that is not read; presigned addresses, which would carry an agent's key
//! in an address, for as long as the key lives.

use crate::codes::Code;
use crate::refusal::Refusal;
use crate::relay::dialect::Content;
use crate::relay::head::Head;

use super::scope::Scope;
use super::sign::{self, UNSIGNED_TRAILER};
use super::{Aws, endpoints};

/// What is said of a service that is not found.
pub(super) const NOWHERE: &str =
    "the service that the request is signed for has no host under amazonaws.com that is known";

/// The data of a body in chunks; its head says nothing of chunks then.
///
/// # Errors
/// [`Refusal`]: nothing that is approved of it could be sent on.
pub(super) fn admit(aws: &Aws, head: &mut Head, content: Content<'_>) -> Result<Option<Vec<u8>>, Refusal> {
    if sign::presigned(head.query()) {
        return Err(Refusal::new(Code::Unsupported, "presigned addresses are not taken")
            .hint("send the request with its signature in the header, as the command line and SDKs do"));
    }
    let scope = Scope::of(head).ok_or_else(|| {
        Refusal::new(Code::Unsupported, "the request is not signed, so nobody knows for which service and region it is")
            .hint("sign it by Signature Version 4, with any access key and the agent's key as session token")
    })?;
    if aws.all_services && endpoints::host(&scope, head.header("x-amz-target")).is_none() {
        let hint = "give the service a target of its own, with its address as `upstream`";
        return Err(Refusal::new(Code::Unsupported, NOWHERE).hint(hint));
    }
    let streaming = head.header("x-amz-content-sha256").filter(|hash| hash.starts_with("STREAMING-"));
    match content {
        Content::Whole(body) => {
            let plain = sign::unchunked(&head.headers, body);
            let plain = plain.map_err(|error| Refusal::new(Code::ProtocolViolation, error.to_string()))?;
            Ok(plain.map(|(headers, data)| {
                head.headers = headers;
                data
            }))
        }
        Content::Unread if scope.signed_for != "s3" => Err(too_large("the body is too long to be signed")),
        Content::Unread if streaming.is_some_and(|hash| hash != UNSIGNED_TRAILER) => {
            Err(too_large("a body of this length in signed chunks cannot be signed anew"))
        }
        Content::Unread => Ok(None),
    }
}

fn too_large(message: &str) -> Refusal {
    Refusal::new(Code::TooLarge, message)
        .hint("raise the target's `http.body_bytes_max`, or upload over TLS or in smaller parts")
}
