//! An OpenAPI document, 3.0 or 3.1, in JSON or YAML, as far as requests are described by it.
//!
//! References within the document are followed, those to other files are refused: bundle it first. Only schemas that request
//! bodies and parameters reach are kept. Deliberately absent: validation of requests against it; whoever wants that asks the
//! upstream.

mod build;
mod raw;
mod schema;
mod template;

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::request::RequestClass;

pub(super) use raw::Schema;
pub(super) use schema::{Shape, Type};

use super::classes::Classes;
use crate::config::{NotPinned, Pinned};
use template::Tree;

/// The largest document: GitHub's has 13 MB.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most operations of one document.
pub const OPERATIONS_MAX: usize = 20_000;

/// A document, ready to describe requests.
#[derive(Debug)]
pub struct Document {
    prefixes: Vec<Vec<String>>,
    tree: Tree,
    templates: Vec<Listed>,
    operations: Vec<Operation>,
    schemas: BTreeMap<String, Schema>,
    methods: BTreeMap<String, String>,
    unmatched: Vec<String>,
}

/// A path of the document and its operations by method.
#[derive(Debug)]
struct Listed {
    path: String,
    names: Vec<String>,
    operations: BTreeMap<&'static str, usize>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its id; method and path where the document gives none.
    pub id: String,
    /// Its method in capitals.
    pub method: &'static str,
    /// How dangerous it is.
    pub class: RequestClass,
    /// The document's words for it.
    pub summary: Option<String>,
    /// Its path as the document writes it.
    pub path: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) bodies: BTreeMap<String, Option<Schema>>,
    tags: BTreeSet<String>,
}

/// A parameter of an operation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) schema: Option<Schema>,
    /// Whether several values stand in one, with commas between.
    pub(super) commas: bool,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

/// The operation of a request, with the values in its path.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) operation: &'a Operation,
    /// Name, value, and the segments of the request's path in which it stands.
    pub(super) values: Vec<(&'a str, String, std::ops::Range<usize>)>,
}

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotADocument {
    /// It cannot be read, or is another than it was.
    #[error(transparent)]
    Read(#[from] NotPinned),
    /// It is no text.
    #[error("the document is not UTF-8")]
    Text(#[from] std::string::FromUtf8Error),
    /// It is larger than [`DOCUMENT_BYTES_MAX`].
    #[error("the document is larger than {DOCUMENT_BYTES_MAX} bytes")]
    TooLarge,
    /// It has more operations than [`OPERATIONS_MAX`].
    #[error("the document has more than {OPERATIONS_MAX} operations")]
    TooMany,
    /// It is no JSON or YAML, or no OpenAPI at this place.
    #[error("at `{place}`: {problem}")]
    Malformed {
        /// A path into the document.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// Another version.
    #[error("`openapi` must be 3.0 or 3.1, but is {0}")]
    Version(String),
}

impl NotADocument {
    fn at(place: impl Into<String>, problem: impl Into<String>) -> Self {
        NotADocument::Malformed { place: place.into(), problem: problem.into() }
    }
}

impl Document {
    /// Reads a document; YAML where the file's name ends so.
    ///
    /// # Errors
    /// [`NotADocument`].
    pub fn load(file: &Pinned, classes: &Classes) -> Result<Self, NotADocument> {
        let bytes = file.read()?;
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(NotADocument::TooLarge);
        }
        let text = String::from_utf8(bytes)?;
        let yaml = file.path().extension().is_some_and(|end| end == "yaml" || end == "yml");
        if yaml { Self::from_yaml(&text, classes) } else { Self::from_json(&text, classes) }
    }

    /// Reads a document in JSON.
    ///
    /// # Errors
    /// [`NotADocument`].
    pub fn from_json(text: &str, classes: &Classes) -> Result<Self, NotADocument> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = serde_path_to_error::deserialize(&mut reader);
        let document = read.map_err(|error| NotADocument::at(error.path().to_string(), error.inner().to_string()))?;
        reader.end().map_err(|error| NotADocument::at(".", error.to_string()))?;
        build::document(document, classes)
    }

    /// Reads a document in YAML.
    ///
    /// # Errors
    /// [`NotADocument`].
    pub fn from_yaml(text: &str, classes: &Classes) -> Result<Self, NotADocument> {
        let document = serde_saphyr::from_str(text).map_err(|error| NotADocument::at(".", error.to_string()))?;
        build::document(document, classes)
    }

    /// Its operations.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Rules of the classes that no operation of the document is meant by.
    pub fn unmatched(&self) -> &[String] {
        &self.unmatched
    }

    /// The operation of a request; nothing where there is none, or where it cannot be told which.
    pub(super) fn find(&self, method: &str, path: &[String]) -> Option<Found<'_>> {
        let mut all = self
            .prefixes
            .iter()
            .filter_map(|prefix| Some((self.within(method, path.strip_prefix(prefix.as_slice())?)?, prefix.len())));
        let (mut found, skipped) = all.next()?;
        if all.next().is_some() {
            return None;
        }
        for (_, _, range) in &mut found.values {
            *range = range.start + skipped..range.end + skipped;
        }
        Some(found)
    }

    fn within(&self, method: &str, path: &[String]) -> Option<Found<'_>> {
        let best = self.tree.best(path);
        let mut candidates = best.into_iter().filter_map(|found| {
            let listed = self.templates.get(found.template)?;
            let operation = self.operations.get(*self.of_method(listed, method)?)?;
            let values =
                listed.names.iter().zip(found.values).map(|(name, (value, range))| (name.as_str(), value, range));
            Some(Found { operation, values: values.collect() })
        });
        let only = candidates.next()?;
        if candidates.next().is_some() {
            return None;
        }
        drop(candidates);
        self.slashes_are_safe(path, &only).then_some(only)
    }

    /// A server that decodes before it splits reads a path with an encoded slash as another: that must be none of the
    /// document's.
    fn slashes_are_safe(&self, path: &[String], found: &Found<'_>) -> bool {
        if !path.iter().any(|segment| segment.contains('/')) {
            return true;
        }
        let split: Vec<String> = path.iter().flat_map(|segment| segment.split('/')).map(str::to_owned).collect();
        let same = |number: usize| self.templates.get(number).is_some_and(|listed| listed.path == found.operation.path);
        self.tree.matches(&split).into_iter().all(same)
    }

    /// What is said of a value.
    pub(super) fn shape<'a>(&'a self, schema: Option<&'a Schema>) -> Shape<'a> {
        Shape::new(&self.schemas, schema)
    }

    /// RFC 9110, section 9.3.2: `HEAD` is `GET` without the content.
    fn of_method<'a>(&self, listed: &'a Listed, method: &str) -> Option<&'a usize> {
        let own = listed.operations.get(method);
        let alias = || listed.operations.get(self.methods.get(method)?.as_str());
        let get = || listed.operations.get("GET").filter(|_| method == "HEAD");
        own.or_else(alias).or_else(get)
    }
}

#[cfg(test)]
mod tests;
