//! What stands for Vault, since no registry of packages has its server: the answers that its documentation gives, for one mount of
//! secrets, one of keys, policies and tokens. <https://developer.hashicorp.com/vault/api-docs>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// What it holds, and what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) secrets: BTreeMap<String, Value>,
    pub(crate) policies: BTreeMap<String, Value>,
    /// The version of the one key.
    pub(crate) key: u64,
    /// Method and path of each request that it let in.
    pub(crate) asked: Vec<String>,
}

/// A server that lets one token in.
pub(crate) struct StandIn {
    pub(crate) port: u16,
    held: Arc<Mutex<Held>>,
}

impl StandIn {
    pub(crate) fn start(token: &'static str) -> Self {
        let held = Arc::new(Mutex::new(Held { key: 1, ..Held::default() }));
        let router =
            Router::new().fallback(move |state, request| answer(token, state, request)).with_state(held.clone());
        let port = super::origin::serve(router);
        Self { port, held }
    }

    /// Looks into it.
    pub(crate) fn holds<T>(&self, look: impl FnOnce(&Held) -> T) -> T {
        look(&self.held.lock().unwrap())
    }
}

async fn answer(token: &'static str, State(held): State<Arc<Mutex<Held>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    if head.headers.get("x-vault-token").is_none_or(|own| own != token) {
        return (StatusCode::FORBIDDEN, axum::Json(json!({"errors": ["permission denied"]}))).into_response();
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut held = held.lock().unwrap();
    held.asked.push(format!("{} {}", head.method, head.uri.path()));
    match told(&mut held, token, head.method.as_str(), head.uri.path(), &body) {
        Some(Value::Null) => StatusCode::NO_CONTENT.into_response(),
        Some(data) => axum::Json(data).into_response(),
        None => (StatusCode::NOT_FOUND, axum::Json(json!({"errors": []}))).into_response(),
    }
}

/// What is answered; `null` for nothing to say, and nothing for what is not there.
fn told(held: &mut Held, token: &str, method: &str, path: &str, body: &Bytes) -> Option<Value> {
    let sent: Value = serde_json::from_slice(body).unwrap_or_default();
    let path = path.strip_prefix("/v1/")?;
    let within = ["secret/data/", "secret/destroy/"].into_iter().find(|place| path.starts_with(place));
    let (place, name) = match within {
        Some(place) => (place.trim_end_matches('/'), path.strip_prefix(place)?),
        None => path.rsplit_once('/')?,
    };
    match (method, place, name) {
        ("GET", "secret/data", name) => {
            let data = held.secrets.get(name)?;
            Some(json!({"data": {"data": data, "metadata": {"version": 1}}}))
        }
        ("POST" | "PUT", "secret/data", name) => {
            held.secrets.insert(name.to_owned(), sent["data"].clone());
            Some(json!({"data": {"version": 1}}))
        }
        ("POST" | "PUT", "secret/destroy", name) => held.secrets.remove(name).map(|_| Value::Null),
        ("POST" | "PUT", "sys/policies/acl", name) => {
            held.policies.insert(name.to_owned(), sent["policy"].clone());
            Some(Value::Null)
        }
        ("POST" | "PUT", "transit/keys/app", "rotate") => {
            held.key += 1;
            Some(json!({"data": {"latest_version": held.key}}))
        }
        ("POST" | "PUT", "auth/token", "create") => Some(json!({"auth": {"client_token": "hvs.child"}})),
        ("GET", "auth/token", "lookup-self") => Some(json!({"data": {"id": token}})),
        _ => None,
    }
}
