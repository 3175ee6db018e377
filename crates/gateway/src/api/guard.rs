//! What holds for every answer: a time limit, headers, and no panic, wrong method or unknown path without a problem.

use std::any::Any;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::header::{HeaderName, HeaderValue, X_FRAME_OPTIONS};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;
use crate::codes::Code;

/// How long a request may take until its answer begins. An event stream begins at once, so its length is not bound.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(30);

/// For answers that are not pages: nothing may be loaded, nothing may frame them.
const NO_CONTENT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (CONTENT_SECURITY_POLICY, NO_CONTENT_POLICY),
];

/// Ends a request that takes too long. A vote that was handed on is finished all the same.
pub(super) async fn in_time(max: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(max, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("no answer within {} seconds; look before you try again", max.as_secs());
            Problem::new(Code::RecordUnavailable, detail).into_response()
        }
    }
}

/// Security headers; an answer that says nothing about caching is not kept.
pub(super) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A bug of ours: logged by the panic hook, told without detail.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::internal().into_response()
}

/// No route has this path.
pub(super) async fn not_found(uri: Uri) -> Problem {
    Problem::new(Code::NotFound, format!("there is nothing at `{}`", uri.path()))
}

/// A route has this path, but not this method.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("`{}` does not take {method}", uri.path());
    Problem::new(Code::BadRequest, detail).with_status(StatusCode::METHOD_NOT_ALLOWED)
}
