//! A refusal in AWS's own shapes, so that its command line and SDKs print the reason.
//!
//! A refusal that is final is `AccessDenied` with 403, which no SDK tries again. One that waits for people is 503 with the code
//! that each protocol has for "later" (`SlowDown`, `ThrottlingException`, `ServiceUnavailable`): every SDK sends the same call
//! again by itself, two to four times with growing pauses (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>),
//! and a call that is sent again joins the review that is open. So a person who approves within the retries is served without
//! anybody starting anything anew, and the last answer, which says where the review is, is what the command line prints. A 4xx would
//! end the call at once; a 2xx would read as done.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::codes::Code;
use crate::relay::RETRY_SECONDS;
use crate::relay::dialect::Refused;
use crate::relay::head::Head;

use super::scope::Scope;

/// A body and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// The shapes of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
    S3,
    /// <https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html>
    Ec2,
    /// <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>
    Query,
    /// <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>, and REST with JSON.
    Json,
}

/// A refusal of the line's.
pub(super) fn response(refused: Refused<'_>) -> Response<Vec<u8>> {
    let refusal = refused.refusal;
    let waits = refusal.code == Code::HoldEnded;
    let status = if waits { StatusCode::SERVICE_UNAVAILABLE } else { refusal.code.status() };
    let mut message = refusal.message.clone();
    if let Some(waiting) = refused.waiting.filter(|_| waits) {
        message = format!("{message}: {}", waiting.url);
    } else if let Some(hint) = &refusal.hint {
        message = format!("{message}; {hint}");
    }
    let request = refusal.review.as_ref().map_or("countersign", |review| review.as_str());
    let nothing = Head::new(http::Method::GET, "/", None, http::HeaderMap::new());
    let answer = match (refused.head, &nothing) {
        (Some(head), _) | (None, Ok(head)) => self::refusal(head, status, refusal.code.name(), &message, request),
        (None, Err(_)) => return crate::relay::problem(refused),
    };
    let mut response = Response::new(answer.body.into_bytes());
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if waits {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    }
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// A refusal for whoever sent this. `code` is the gateway's own.
pub fn refusal(head: &Head, status: StatusCode, code: &str, message: &str, request: &str) -> Answer {
    let shape = shape(head);
    let name = name(shape, status);
    let said = format!("{message} ({code})");
    let (content_type, body) = match shape {
        Shape::Json => ("application/x-amz-json-1.1", json(name, &said)),
        Shape::S3 | Shape::Ec2 | Shape::Query => ("text/xml", xml(shape, name, &said, request)),
    };
    let mut headers = vec![("x-amzn-requestid", request.to_owned())];
    if shape == Shape::Json {
        headers.push(("x-amzn-errortype", name.to_owned()));
    }
    Answer { status, content_type, headers, body }
}

fn shape(head: &Head) -> Shape {
    let service = Scope::of(head).map(|scope| scope.signed_for).unwrap_or_default();
    let json = head.headers.contains_key("x-amz-target") || head.headers.contains_key("smithy-protocol");
    match service.as_str() {
        "s3" => Shape::S3,
        "ec2" => Shape::Ec2,
        "route53" | "cloudfront" => Shape::Query,
        _ if json => Shape::Json,
        other => match super::scope::service(other) {
            Some(service) if service.speaks("query") => Shape::Query,
            Some(_) | None => Shape::Json,
        },
    }
}

fn name(shape: Shape, status: StatusCode) -> &'static str {
    let later = status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS;
    match (shape, later) {
        (Shape::S3, true) => "SlowDown",
        (Shape::Ec2 | Shape::Query, true) => "Throttling",
        (Shape::Json, true) => "ThrottlingException",
        (Shape::S3 | Shape::Query, false) => "AccessDenied",
        (Shape::Ec2, false) => "UnauthorizedOperation",
        (Shape::Json, false) => "AccessDeniedException",
    }
}

fn json(name: &str, message: &str) -> String {
    // services write either spelling, and clients read either
    serde_json::json!({ "__type": name, "message": message, "Message": message }).to_string()
}

fn xml(shape: Shape, name: &str, message: &str, request: &str) -> String {
    let (message, request) = (escaped(message), escaped(request));
    let error = format!("<Code>{name}</Code><Message>{message}</Message>");
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    match shape {
        Shape::S3 => format!("{head}<Error>{error}<RequestId>{request}</RequestId></Error>"),
        Shape::Ec2 => {
            format!(
                "{head}<Response><Errors><Error>{error}</Error></Errors><RequestID>{request}</RequestID></Response>"
            )
        }
        Shape::Query | Shape::Json => format!(
            "{head}<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>{request}</RequestId></ErrorResponse>"
        ),
    }
}

/// Text as XML holds it; characters that XML 1.0 has no room for are left out.
fn escaped(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
        out
    })
}
