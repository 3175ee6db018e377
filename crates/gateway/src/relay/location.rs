//! Addresses of the upstream's own in its answers, turned into those by which the client reaches it.
//!
//! A redirect, the place of what was created and the pages of a list stand in `Location`, `Content-Location` and `Link`. Those
//! in bodies are left alone: they are content.

use http::header::{CONTENT_LOCATION, LINK, LOCATION};
use http::{HeaderMap, HeaderValue};

use super::upstream::Upstream;

/// The headers, with such addresses under `prefix`.
pub(super) fn rewritten(mut headers: HeaderMap, upstream: &Upstream, prefix: &str) -> HeaderMap {
    if ![LOCATION, CONTENT_LOCATION, LINK].iter().any(|name| headers.contains_key(name)) {
        return headers;
    }
    let (origin, base) = (upstream.origin(), upstream.base());
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(address) = headers.get(&name).and_then(|value| value.to_str().ok())
            && let Some(own) = within(address, &origin, base, prefix)
            && let Ok(value) = HeaderValue::from_str(&own)
        {
            headers.insert(name, value);
        }
    }
    let links: Vec<HeaderValue> =
        headers.get_all(LINK).iter().map(|value| link(value, &origin, base, prefix)).collect();
    if !links.is_empty() {
        headers.remove(LINK);
        links.into_iter().for_each(|value| {
            headers.append(LINK, value);
        });
    }
    headers
}

/// The same address by way of the gateway; `None` for one of somebody else's, or relative to what was asked for.
fn within(address: &str, origin: &str, base: &str, prefix: &str) -> Option<String> {
    let path = match address.get(..origin.len()) {
        Some(start) if start.eq_ignore_ascii_case(origin) => address.get(origin.len()..)?,
        _ if address.starts_with('/') && !address.starts_with("//") => address,
        _ => return None,
    };
    let rest = path.strip_prefix(base)?;
    let apart = rest.is_empty() || rest.starts_with(['/', '?', '#']);
    apart.then(|| format!("{prefix}{rest}"))
}

/// A `Link` header (RFC 8288 §3): addresses stand between angle brackets.
fn link(value: &HeaderValue, origin: &str, base: &str, prefix: &str) -> HeaderValue {
    let Ok(text) = value.to_str() else { return value.clone() };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((address, after)) = after.split_once('>') else { break };
        let own = within(address, origin, base, prefix);
        out.push_str(&format!("{before}<{}>", own.as_deref().unwrap_or(address)));
        rest = after;
    }
    out.push_str(rest);
    HeaderValue::from_str(&out).unwrap_or_else(|_| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: Option<&str>) {
        let found = within(address, "https://api.example.org", "/v3", "/t/api");
        assert_eq!(found.as_deref(), expected, "{address}");
    }

    #[test]
    fn own_addresses_lead_through_the_gateway() {
        check("https://api.example.org/v3/items/1", Some("/t/api/items/1"));
        check("HTTPS://API.example.org/v3?page=2", Some("/t/api?page=2"));
        check("/v3/items", Some("/t/api/items"));
        check("/v3", Some("/t/api"));
        check("/other", None);
        check("/v30", None);
        check("items/2", None);
        check("//elsewhere/v3", None);
        check("https://elsewhere.example.org/v3", None);
        let value =
            HeaderValue::from_static("<https://api.example.org/v3/a?page=2>; rel=\"next\", <https://x.org/>; rel=x");
        let own = link(&value, "https://api.example.org", "/v3", "/t/api");
        assert_eq!(own, "</t/api/a?page=2>; rel=\"next\", <https://x.org/>; rel=x");
    }
}
