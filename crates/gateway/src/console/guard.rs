//! The outer rings: headers that no answer goes without, and no POST from another site.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Console;
use super::page::Failure;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// On every answer. The referrer stays within the site rather than being withheld from it too: with `no-referrer` browsers
/// send `Origin: null` with our own forms (Fetch, section 3.2), and [`same_site`] could not tell them from others.
const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

/// Adds the headers. Pages are never kept by caches; assets say for themselves how long they may be.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets a request that could change something pass only when the browser says that our own page sent it.
pub(super) async fn same_site(State(console): State<Console>, request: Request, next: Next) -> Response {
    let harmless = matches!(*request.method(), Method::GET | Method::HEAD);
    if harmless || is_same_site(request.headers(), &console.gate.config.public_url) {
        return next.run(request).await;
    }
    Failure::cross_site().into_response()
}

/// Needs a sign of where the request comes from, and every sign that is there must be ours. `Origin` may also name the
/// address that the request was sent to, since people reach a gateway by more than one name; a page of another site has
/// another origin whatever it is called, and `SameSite=Strict` keeps the session from it.
fn is_same_site(headers: &HeaderMap, public_url: &str) -> bool {
    let of = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = of(HeaderName::from_static("sec-fetch-site"));
    let origin = of(header::ORIGIN);
    let own_host = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some() && authority == of(header::HOST)
    };
    let site_is_ours = site.is_none_or(|site| site == "same-origin");
    let origin_is_ours = origin.is_none_or(|origin| origin == origin_of(public_url) || own_host(origin));
    (site.is_some() || origin.is_some()) && site_is_ours && origin_is_ours
}

/// The scheme, host and port of an address.
fn origin_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&'static str, &'static str)], expected: bool) {
        let headers: HeaderMap =
            pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        assert_eq!(is_same_site(&headers, "https://sign.example.org/console"), expected, "{pairs:?}");
    }

    #[test]
    fn only_our_own_pages_may_post() {
        check(&[("origin", "https://sign.example.org")], true);
        check(&[("origin", "https://sign.example.org"), ("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "http://10.0.0.5:8470"), ("host", "10.0.0.5:8470")], true);
        check(&[("sec-fetch-site", "same-origin")], true);

        check(&[], false);
        check(&[("origin", "null")], false);
        check(&[("origin", "https://sign.example.org.evil.net")], false);
        check(&[("origin", "https://evil.net"), ("host", "sign.example.org")], false);
        check(&[("origin", "https://sign.example.org"), ("sec-fetch-site", "cross-site")], false);
        check(&[("origin", "https://sign.example.org"), ("sec-fetch-site", "same-site")], false);
        check(&[("origin", "https://evil.net"), ("sec-fetch-site", "same-origin")], false);
    }
}
