//! The stylesheet, the scripts and the icon: embedded, named by their content, kept by browsers for ever.
//!
//! They are sent compressed; pages are not. A page holds its session's form token beside text of others, and the size of the
//! two compressed together would tell of the one to whoever writes the other (BREACH).

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

/// Each text that is served, compressed once.
static COMPRESSED: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let served = Assets::iter().filter(|name| media_type(name).is_some());
    served.filter_map(|name| Some((name.to_string(), compress(&Assets::get(&name)?.data).ok()?))).collect()
});

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
    match Assets::get(name) {
        Some(file) => format!("/assets/{name}?v={}", version(&file)),
        None => format!("/assets/{name}"),
    }
}

#[derive(Deserialize)]
pub(super) struct Version {
    v: Option<String>,
}

/// Serves one asset.
pub(super) async fn serve(Path(name): Path<String>, Query(asked): Query<Version>, headers: HeaderMap) -> Response {
    let (Some(file), Some(media_type)) = (Assets::get(&name), media_type(&name)) else {
        return Failure::not_found("file").into_response();
    };
    let version = version(&file);
    let tag = format!("W/\"{version}\""); // the same text in either coding
    let cache = if asked.v.as_deref() == Some(&version) { FOREVER } else { ASK_AGAIN };
    let known =
        headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|v| v.contains(&tag));
    let head = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::ETAG, tag),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    match COMPRESSED.get(&name).filter(|_| takes_gzip(&headers)) {
        Some(compressed) => (head, [(header::CONTENT_ENCODING, "gzip")], compressed.as_slice()).into_response(),
        None => (head, file.data).into_response(),
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
        assert!(COMPRESSED.len() >= 4);
        for (name, compressed) in COMPRESSED.iter() {
            let (mut text, file) = (Vec::new(), Assets::get(name).expect("there"));
            GzDecoder::new(compressed.as_slice()).read_to_end(&mut text).expect("unpacks");
            assert_eq!(text.as_slice(), &*file.data, "{name}");
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
