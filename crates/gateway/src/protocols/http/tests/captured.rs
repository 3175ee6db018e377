//! What gh, skopeo and curl send for commands that people type, and what each request means; see `tests/data/http/capture.py`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use countersign_core::action::redact::Rules;
use serde::Deserialize;

use super::super::openapi::Document;
use super::super::{Api, packs};
use super::{facts_of, github, head};
use crate::relay::dialect::{Content, Dialect};

const CAPTURED: &str = include_str!("../../../../tests/data/http/captured.json");
const VAULT: &str = include_str!("../../../../tests/data/openapi/vault.json");

#[derive(Deserialize)]
struct Captured {
    command: String,
    api: String,
    /// Class and operation.
    means: String,
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
}

fn api(name: &str, text: &str, classes: &str) -> Api {
    let classes = packs::classes(classes).expect("classes");
    let document = Document::from_json(text, &classes).expect("a document");
    Api::Document { name: name.to_owned(), document: Box::new(document) }
}

#[test]
fn commands_mean_what_they_are() {
    let registry = packs::document("oci-registry").expect("a document");
    let mut apis = BTreeMap::from([
        ("oci", api("oci", registry, "oci-registry")),
        ("vault", api("vault", VAULT, "vault")),
        ("generic", Api::Generic),
    ]);
    apis.extend(github().map(|github| ("github", github)));
    let captured: Vec<Captured> = serde_json::from_str(CAPTURED).expect("captures");
    assert!(captured.len() >= 70);
    let mut wrong = Vec::new();
    for Captured { command, api, means, request } in captured {
        let Some(api) = apis.get(api.as_str()) else { continue };
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let head = head(&format!("{} {}", request.method, request.target), &headers);
        let body = BASE64_STANDARD.decode(&request.body).expect("base64");
        let found = facts_of(api.describe(&head, Content::Whole(&body), &Rules::default()));
        let told = format!("{} {}", found.class.name(), found.operation.unwrap_or_default());
        if told.trim_end() != means {
            wrong.push(format!("{command}\n  {} {}\n  is {told}, not {means}", request.method, request.target));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
