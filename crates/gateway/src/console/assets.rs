//! The stylesheet, the scripts and the icon: embedded, named by their content, kept by browsers for ever.
//!
//! They are sent compressed; pages are not. A page holds its session's form token beside text of others, and the size of the
//! two compressed together would tell of the one to whoever writes the other (BREACH).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Deserialize;

use super::page::Failure;

/// An address with a version never changes: 365 × 24 × 3,600 seconds.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// An address without one is asked for again.
const ASK_AGAIN: &str = "no-cache";
/// How much of the hash is in an address: 64 bits.
const VERSION_BYTES: usize = 8;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// A text that is served.
struct Served {
    data: Cow<'static, [u8]>,
    compressed: Vec<u8>,
    version: String,
    media_type: &'static str,
}

/// All of them, read, hashed and compressed once.
static SERVED: LazyLock<BTreeMap<String, Served>> = LazyLock::new(|| {
    let served = |name: &str| {
        let (file, media_type) = (Assets::get(name)?, media_type(name)?);
        let compressed = compress(&file.data).ok()?;
        Some((name.to_owned(), Served { version: version(&file), compressed, data: file.data, media_type }))
    };
    Assets::iter().filter_map(|name| served(&name)).collect()
});

/// Makes them ready before anybody asks: compressing them takes longer than any page.
pub(super) fn prepare() {
    LazyLock::force(&SERVED);
}

fn compress(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data)?;
    encoder.finish()
}

/// Whether a browser takes gzip (RFC 9110, section 12.5.3); one that weighs it gets the plain text.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let taken = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    taken.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("gzip"))
}

/// The address of an asset, with its version.
pub(super) fn url(name: &str) -> String {
    match SERVED.get(name) {
        Some(served) => format!("/assets/{name}?v={}", served.version),
        None => format!("/assets/{name}"),
    }
}

#[derive(Deserialize)]
pub(super) struct Version {
    v: Option<String>,
}

/// Serves one asset.
pub(super) async fn serve(Path(name): Path<String>, Query(asked): Query<Version>, headers: HeaderMap) -> Response {
    let Some(served) = SERVED.get(&name) else { return Failure::not_found("file").into_response() };
    let tag = format!("W/\"{}\"", served.version); // the same text in either coding
    let cache = if asked.v.as_deref() == Some(&served.version) { FOREVER } else { ASK_AGAIN };
    let known =
        headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|v| v.contains(&tag));
    let head = [
        (header::CONTENT_TYPE, served.media_type.to_owned()),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::ETAG, tag),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    match takes_gzip(&headers) {
        true => (head, [(header::CONTENT_ENCODING, "gzip")], served.compressed.as_slice()).into_response(),
        false => (head, &*served.data).into_response(),
    }
}

fn version(file: &EmbeddedFile) -> String {
    hex::encode(&file.metadata.sha256_hash()[..VERSION_BYTES])
}

/// What is served at all: licence files are for those who read the sources.
fn media_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::http::HeaderValue;
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_compressed_is_the_same() {
        assert!(SERVED.len() >= 4);
        for (name, served) in SERVED.iter() {
            let mut text = Vec::new();
            GzDecoder::new(served.compressed.as_slice()).read_to_end(&mut text).expect("unpacks");
            assert_eq!(text.as_slice(), &*served.data, "{name}");
        }
    }

    #[test]
    fn only_who_asks_gets_gzip() {
        let check = |value: &'static str, expected: bool| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(takes_gzip(&headers), expected, "{value}");
        };
        check("gzip, deflate, br", true);
        check("br, GZIP", true);
        check("identity", false);
        check("gzip;q=0", false);
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
