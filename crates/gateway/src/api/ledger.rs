//! The record: checkpoints, entries and proofs for callers of the API, and the log itself at `/log/` as C2SP lays it out.
//!
//! `/log/` needs no token: leaves are metadata with random handles, and an auditor verifies with nothing but a public key.
//! <https://c2sp.org/tlog-tiles>

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Shared;
use super::extract::{Human, Id, Params};
use super::problem::Problem;
use super::reviews::limit;
use crate::codes::Code;

/// The most entries in one answer.
const ENTRIES_MAX: u32 = 1_000;
/// Entries in one answer when nothing is said.
const ENTRIES_DEFAULT: u32 = 100;
/// The longest path below `/log/`: `tile/entries/x000/x000/…/000.p/255` of the largest log is shorter.
const PATH_BYTES_MAX: usize = 100;

const TEXT: &str = "text/plain; charset=utf-8";
/// A tile never changes once it is published: a year.
const FOREVER: &str = "public, max-age=31536000, immutable"; // 365 × 24 × 3,600
const NEVER: &str = "no-cache";

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EntriesQuery {
    /// The first index; 0 when absent.
    #[serde(default)]
    from: u64,
    /// At most so many, 1 to 1,000; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Entries of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entries {
    /// How many leaves are published.
    size: u64,
    /// In order; fewer than asked for where the log ends, or the answer would grow too large.
    entries: Vec<EntryView>,
}

/// One leaf.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Entry)]
pub(super) struct EntryView {
    index: u64,
    /// The leaf exactly as it was hashed: RFC 8785 JSON of the record.
    leaf: String,
    /// The same, parsed; `null` when the leaf is not JSON.
    #[schema(value_type = Object)]
    record: serde_json::Value,
}

/// The latest checkpoint
///
/// A signed note (C2SP tlog-checkpoint). About a second behind what was recorded.
#[utoipa::path(get, path = "/api/v1/ledger/checkpoint", operation_id = "checkpoint", tag = "ledger",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "The checkpoint", body = String, content_type = "text/plain"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn checkpoint(State(api): State<Shared>, _: Human) -> Result<Response, Problem> {
    Ok(text(api.gate.log.checkpoint().await?))
}

/// Read the log
#[utoipa::path(get, path = "/api/v1/ledger/entries", operation_id = "list_entries", tag = "ledger",
    params(EntriesQuery),
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Published entries", body = Entries),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn entries(
    State(api): State<Shared>,
    _: Human,
    Params(query): Params<EntriesQuery>,
) -> Result<Json<Entries>, Problem> {
    let count = limit(query.limit, ENTRIES_DEFAULT, ENTRIES_MAX)?;
    let size = api.gate.log.size().await?;
    let end = query.from.saturating_add(u64::from(count)).min(size);
    let found = if query.from < end { api.gate.log.entries(query.from..end).await? } else { Vec::new() };
    let entries = found.into_iter().map(|entry| EntryView {
        index: entry.index,
        record: serde_json::from_str(&entry.leaf).unwrap_or_default(),
        leaf: entry.leaf,
    });
    Ok(Json(Entries { size, entries: entries.collect() }))
}

/// Prove an entry
///
/// The inclusion proof of a leaf under the latest checkpoint, as a C2SP `.tlog-proof` file; it verifies offline.
#[utoipa::path(get, path = "/api/v1/ledger/proof/{index}", operation_id = "prove_entry", tag = "ledger",
    params(("index" = u64, Path, description = "The leaf's index")),
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "The proof", body = String, content_type = "text/plain"),
        (status = 400, response = super::document::BadRequest),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, response = super::document::Forbidden),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn proof(State(api): State<Shared>, _: Human, Id(index): Id) -> Result<Response, Problem> {
    let malformed = |_| Problem::new(Code::BadRequest, format!("`{index}` is not the index of a leaf"));
    let index = index.parse::<u64>().map_err(malformed)?;
    Ok(text(api.gate.log.prove(index).await?))
}

/// The log's public key
///
/// The verifier key (C2SP signed-note) that auditors check everything against.
#[utoipa::path(get, path = "/log/log.vkey", operation_id = "log_key", tag = "log", security(()),
    responses((status = 200, description = "The key", body = String, content_type = "text/plain")))]
pub(super) async fn key(State(api): State<Shared>) -> Response {
    file(TEXT, false, format!("{}\n", api.gate.log.verifier_key().trim_end()).into_bytes())
}

/// The log's files
///
/// `checkpoint`, `checkpoints` and `tile/…`, exactly as C2SP tlog-tiles lays them out. The path may contain slashes.
#[utoipa::path(get, path = "/log/{*path}", operation_id = "log_file", tag = "log", security(()),
    params(("path" = String, Path, description = "`checkpoint`, `tile/0/000`, `tile/entries/000.p/12` and so on")),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn log_file(State(api): State<Shared>, uri: Uri) -> Result<Response, Problem> {
    let absent = || Problem::new(Code::NotFound, format!("the log has no file `{}`", uri.path()));
    let path = uri.path().strip_prefix("/log/").filter(|path| is_plain(path)).ok_or_else(absent)?;
    let found = api.gate.log.file(path).await?.ok_or_else(absent)?;
    Ok(file(found.content_type, found.immutable, found.bytes))
}

/// Whether a path is made of names only: nothing encoded, no step upwards, no empty name. It is never decoded.
fn is_plain(path: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    let name = |name: &str| !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain);
    path.len() <= PATH_BYTES_MAX && path.split('/').all(name)
}

fn text(body: String) -> Response {
    ([(CONTENT_TYPE, TEXT)], body).into_response()
}

fn file(content_type: &'static str, immutable: bool, bytes: Vec<u8>) -> Response {
    let keep = if immutable { FOREVER } else { NEVER };
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, keep)], bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_plain_paths_reach_the_log() {
        for path in ["checkpoint", "tile/0/000", "tile/entries/x001/000.p/12", "log.key"] {
            assert!(is_plain(path), "{path}");
        }
        let long = "a".repeat(101);
        for path in
            ["", "..", "../log.key", "tile/../log.key", "tile//0", "%2e%2e/x", "a%2fb", "/etc/passwd", ".x", "a\\b"]
        {
            assert!(!is_plain(path), "{path}");
        }
        assert!(!is_plain(&long));
    }
}
