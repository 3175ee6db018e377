//! HTTP APIs, described by their OpenAPI documents.
//!
//! A request is an operation of the target's document, with its parameters and body as typed facts; one that the document does
//! not have is opaque. Without a document, an API that says of itself that it follows RFC 9110 is described by its methods.
//! Deliberately absent: GraphQL, whose operations all stand in one body, and is opaque; checking requests against schemas.

pub mod classes;
pub mod describe;
pub mod openapi;
pub mod packs;
mod refuse;
pub mod shown;
mod values;

use std::sync::Arc;

use countersign_core::action::Facts;
use countersign_core::action::redact::{Redacted, Rules};
use http::Response;

use crate::config::{OpenApi, Target};
use crate::fetch::with_causes;
use crate::relay;
use crate::relay::dialect::{Content, Dialect, Refused};
use crate::relay::head::Head;
use classes::Classes;
use openapi::Document;
use refuse::Shape;

/// What is known of an API.
#[derive(Debug)]
pub enum Api {
    /// Its document, and the name that its operations have in policies.
    Document {
        /// `github` in `github:pulls/merge`.
        name: String,
        /// The document.
        document: Box<Document>,
    },
    /// That its methods mean what RFC 9110 says.
    Generic,
    /// Nothing: every request is opaque.
    Unknown,
}

impl Dialect for Api {
    fn describe(&self, head: &Head, content: Content<'_>, rules: &Rules) -> Facts {
        Facts::Http(describe::describe(self, head, content, rules))
    }

    fn shown(&self, head: &Head, content: Content<'_>, rules: &Rules) -> Redacted {
        shown::shown(self, head, content, rules)
    }

    fn refuse(&self, refused: Refused<'_>) -> Response<Vec<u8>> {
        let shape = match self {
            Api::Document { name, .. } => Shape::of(name),
            Api::Generic | Api::Unknown => None,
        };
        shape.map_or_else(|| relay::problem(refused), |shape| refuse::answer(shape, refused))
    }
}

/// The name of an API that follows RFC 9110 and has no document.
const GENERIC: &str = "generic";
/// The longest file of classes: 1 MiB.
const CLASSES_BYTES_MAX: usize = 1 << 20;

/// The dialect of a target.
///
/// # Errors
/// Its document or its classes cannot be used.
pub fn dialect(target: &Target) -> Result<Arc<dyn Dialect>, String> {
    let openapi = target.http.as_ref().and_then(|http| http.openapi.as_ref());
    Ok(Arc::new(match openapi {
        Some(openapi) => described(openapi)?,
        None => Api::Unknown,
    }))
}

fn described(openapi: &OpenApi) -> Result<Api, String> {
    let name = &openapi.name;
    let classes = match &openapi.classes {
        Some(file) => {
            let wrong = |error: &dyn std::error::Error| format!("`{}`: {}", file.path().display(), with_causes(error));
            let bytes = file.read().map_err(|error| error.to_string())?;
            if bytes.len() > CLASSES_BYTES_MAX {
                return Err(format!("`{}` is longer than {CLASSES_BYTES_MAX} bytes", file.path().display()));
            }
            let text = String::from_utf8(bytes).map_err(|error| wrong(&error))?;
            Classes::parse(&text).map_err(|error| wrong(&error))?
        }
        None => packs::classes(name).map_err(|error| with_causes(&error))?,
    };
    let document = match (&openapi.document, packs::document(name)) {
        (Some(file), _) => Document::load(file, &classes).map_err(|error| with_causes(&error))?,
        (None, Some(text)) => Document::from_json(text, &classes).map_err(|error| with_causes(&error))?,
        (None, None) if name == GENERIC => return Ok(Api::Generic),
        (None, None) => {
            let message = "no document comes with the gateway under this name: set `http.openapi.document`";
            return Err(format!("`http.openapi.name` is `{name}`: {message}"));
        }
    };
    Ok(Api::Document { name: name.clone(), document: Box::new(document) })
}

#[cfg(test)]
mod tests;
