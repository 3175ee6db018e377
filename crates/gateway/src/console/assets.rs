//! The stylesheet, the scripts and the icon: embedded, named by their content, kept by browsers for ever.

use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
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
    let tag = format!("\"{version}\"");
    let cache = if asked.v.as_deref() == Some(&version) { FOREVER } else { ASK_AGAIN };
    let known =
        headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|v| v.contains(&tag));
    let head =
        [(header::CONTENT_TYPE, media_type.to_owned()), (header::CACHE_CONTROL, cache.to_owned()), (header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, file.data).into_response()
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
