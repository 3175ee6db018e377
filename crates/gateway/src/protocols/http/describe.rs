//! A request's head and body become [`HttpFacts`]: which operation of the document it is, and its values.
//!
//! Whatever two readers could understand differently makes it opaque: a method sent in a header, a parameter that comes
//! twice, a member that the server may take from the query instead of the body.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::redact::{Place as Stands, Position, Redactor, Rules};
use countersign_core::action::request::{HttpFacts, RequestClass};

use super::Api;
use super::openapi::{Document, Found, Operation, Parameter, Place, Schema, Shape, Type};
use super::values::{Unclear, Values};
use crate::relay::dialect::Content;
use crate::relay::head::Head;
use crate::relay::json::Json;
use crate::relay::page::media;

/// Headers by which some servers take another method than the request's.
const OVERRIDES: &[&str] = &["x-http-method-override", "x-http-method", "x-method-override"];
/// A parameter or member that does the same.
const OVERRIDE: &str = "_method";
/// What stands for a character that was no UTF-8.
const REPLACED: char = '\u{fffd}';

/// Why a request is opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opaque {
    NoDocument,
    NoOperation,
    MethodOverride,
    Query,
    Parameter,
    ContentOfSafe,
    Repeats,
    Values(Unclear),
}

impl From<Unclear> for Opaque {
    fn from(unclear: Unclear) -> Self {
        Opaque::Values(unclear)
    }
}

impl Opaque {
    /// For a reviewer.
    pub(super) fn words(self) -> &'static str {
        match self {
            Opaque::NoDocument => "no document describes this API",
            Opaque::NoOperation => "the document has no operation for this, or more than one",
            Opaque::MethodOverride => "it asks for another method than its own",
            Opaque::Query => "its query could be read in several ways",
            Opaque::Parameter => "a parameter comes twice, or stands in another place than the document says",
            Opaque::ContentOfSafe => "it has a body, and its method gives none a meaning",
            Opaque::Repeats => "a name comes twice in its body",
            Opaque::Values(Unclear::Ambiguous) => "a value of it could be read in several ways",
            Opaque::Values(Unclear::OtherType) => "a value is of another type than the document says",
            Opaque::Values(Unclear::TooMany) => "it has more values than are looked at",
        }
    }
}

/// What a request means.
pub fn describe(api: &Api, head: &Head, content: Content<'_>, rules: &Rules) -> HttpFacts {
    known(api, head, content, rules).unwrap_or_else(|_| HttpFacts::opaque(head.method.as_str(), own_path(head, rules)))
}

/// The same, or why it is opaque.
pub(super) fn known(api: &Api, head: &Head, content: Content<'_>, rules: &Rules) -> Result<HttpFacts, Opaque> {
    if head.method == http::Method::TRACE {
        return Err(Opaque::NoOperation);
    }
    if OVERRIDES.iter().any(|name| head.headers.contains_key(*name)) {
        return Err(Opaque::MethodOverride);
    }
    match api {
        Api::Unknown => Err(Opaque::NoDocument),
        Api::Generic => generic(head, content, rules),
        Api::Document { name, document } => {
            let found = document.find(head.method.as_str(), head.segments()).ok_or(Opaque::NoOperation)?;
            by_document(name, document, &found, head, content, rules)
        }
    }
}

fn by_document(
    name: &str,
    document: &Document,
    found: &Found<'_>,
    head: &Head,
    content: Content<'_>,
    rules: &Rules,
) -> Result<HttpFacts, Opaque> {
    let operation = found.operation;
    let mut values = Values::new(rules);
    for (own, value, _) in &found.values {
        let schema = parameter(operation, Place::Path, own).and_then(|parameter| parameter.schema.as_ref());
        values.text(&format!("path.{}", super::values::plain(own)), own, value, &document.shape(schema))?;
    }
    let bodies: Vec<Shape<'_>> = operation.bodies.values().map(|schema| document.shape(schema.as_ref())).collect();
    query(document, operation, &bodies, head, &mut values)?;
    headers(document, operation, head, &mut values)?;
    body(operation, document, head, content, &mut values)?;
    Ok(HttpFacts {
        class: operation.class,
        operation: Some(format!("{name}:{}", operation.id)),
        method: head.method.as_str().to_owned(),
        path: operation.path.clone(),
        values: values.typed,
        hidden: values.hidden,
        complete: values.complete,
    })
}

fn parameter<'a>(operation: &'a Operation, place: Place, name: &str) -> Option<&'a Parameter> {
    operation.parameters.iter().find(|parameter| parameter.place == place && parameter.name == name)
}

/// The query's values by name, in the order in which a name's values came.
fn pairs(head: &Head) -> Result<BTreeMap<String, Vec<String>>, Opaque> {
    // `;` separates pairs for some servers
    if head.query().is_some_and(|query| query.contains(';')) {
        return Err(Opaque::Query);
    }
    by_name(head.query_pairs())
}

fn by_name(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, Vec<String>>, Opaque> {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs {
        if name.contains(REPLACED) || value.contains(REPLACED) {
            return Err(Opaque::Query);
        }
        if name == OVERRIDE {
            return Err(Opaque::MethodOverride);
        }
        named.entry(name).or_default().push(value);
    }
    let mut seen = BTreeSet::new();
    if named.keys().all(|name| seen.insert(name.to_lowercase())) { Ok(named) } else { Err(Opaque::Query) }
}

fn query(
    document: &Document,
    operation: &Operation,
    bodies: &[Shape<'_>],
    head: &Head,
    values: &mut Values<'_>,
) -> Result<(), Opaque> {
    let of_query = |name: &str| {
        let own = |parameter: &&Parameter| parameter.place == Place::Query;
        operation.parameters.iter().filter(own).find(|parameter| parameter.name.eq_ignore_ascii_case(name))
    };
    for (name, all) in pairs(head)? {
        let found = of_query(&name);
        // a name of the path or body, or nearly that of a parameter: which one the server takes is its own affair
        let stray = match found {
            Some(parameter) => parameter.name != name,
            None => {
                parameter(operation, Place::Path, &name).is_some()
                    || bodies.iter().any(|shape| shape.has(&name) || shape.nearly_has(&name))
            }
        };
        if stray {
            return Err(Opaque::Parameter);
        }
        let shape = document.shape(found.and_then(|parameter| parameter.schema.as_ref()));
        let commas = found.is_some_and(|parameter| parameter.commas);
        let key = format!("query.{}", super::values::plain(&name));
        several(&key, &name, &all, &shape, commas, values)?;
    }
    Ok(())
}

/// One parameter, with all that was sent of it.
fn several(
    key: &str,
    name: &str,
    all: &[String],
    shape: &Shape<'_>,
    commas: bool,
    values: &mut Values<'_>,
) -> Result<(), Opaque> {
    let list = shape.types().contains(&Type::List);
    match all {
        [one] if list && commas => {
            let parts: Vec<String> = one.split(',').map(str::to_owned).collect();
            Ok(values.texts(key, name, &parts, shape)?)
        }
        _ if list => Ok(values.texts(key, name, all, shape)?),
        [one] => Ok(values.text(key, name, one, shape)?),
        _ => Err(Opaque::Parameter),
    }
}

fn headers(document: &Document, operation: &Operation, head: &Head, values: &mut Values<'_>) -> Result<(), Opaque> {
    // those three are described elsewhere in a document (OpenAPI, Parameter Object)
    let ignored = |name: &str| matches!(name, "accept" | "content-type" | "authorization");
    for parameter in operation.parameters.iter().filter(|parameter| parameter.place == Place::Header) {
        let name = parameter.name.to_ascii_lowercase();
        if ignored(&name) || !head.headers.contains_key(&name) {
            continue;
        }
        let value = head.header(&name).ok_or(Opaque::Parameter)?;
        let shape = document.shape(parameter.schema.as_ref());
        let list = shape.types().contains(&Type::List);
        several(&format!("header.{name}"), &name, &[value.to_owned()], &shape, list, values)?;
    }
    Ok(())
}

fn body(
    operation: &Operation,
    document: &Document,
    head: &Head,
    content: Content<'_>,
    values: &mut Values<'_>,
) -> Result<(), Opaque> {
    let empty = content == Content::Whole(&[]);
    if !empty && operation.bodies.is_empty() && safe(head) {
        return Err(Opaque::ContentOfSafe);
    }
    let kind = media(head).unwrap_or_default();
    let named = documented(operation, &kind);
    match named {
        _ if empty => Ok(()),
        Some(schema) => taken_apart(&kind, head, content, &document.shape(schema.as_ref()), values),
        None => {
            // not what the document says, but it may still ask for another method
            let mut aside = Values::new(&ASIDE);
            taken_apart(&kind, head, content, &document.shape(None), &mut aside).or_else(only_overrides)?;
            values.complete = false;
            Ok(())
        }
    }
}

static ASIDE: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(Rules::default);

fn only_overrides(opaque: Opaque) -> Result<(), Opaque> {
    if opaque == Opaque::MethodOverride { Err(opaque) } else { Ok(()) }
}

/// The schema of a body of some kind, by its name or by a range that it is in; the narrowest.
fn documented<'a>(operation: &'a Operation, kind: &str) -> Option<&'a Option<Schema>> {
    let range = kind.split('/').next().map(|first| format!("{first}/*")).unwrap_or_default();
    [kind, range.as_str(), "*/*"].into_iter().find_map(|name| operation.bodies.get(name))
}

/// Reads a body into values; what cannot be taken apart leaves them incomplete.
fn taken_apart(
    kind: &str,
    head: &Head,
    content: Content<'_>,
    shape: &Shape<'_>,
    values: &mut Values<'_>,
) -> Result<(), Opaque> {
    let Some(bytes) = content.bytes().filter(|_| plainly_encoded(head)) else {
        values.complete = false;
        return Ok(());
    };
    if kind == "application/json" || kind.ends_with("+json") {
        let Some(json) = Json::parse(bytes) else {
            values.complete = false;
            return Ok(());
        };
        if json.repeats() {
            return Err(Opaque::Repeats);
        }
        if json.get(OVERRIDE).is_some() {
            return Err(Opaque::MethodOverride);
        }
        return Ok(values.json("body", "body", &json, shape)?);
    }
    let text = std::str::from_utf8(bytes).ok();
    match text {
        Some(text) if kind == "application/x-www-form-urlencoded" => form(text, shape, values),
        Some(text) if kind.starts_with("text/") => Ok(values.text("body", "body", text, shape)?),
        _ => {
            values.complete = false;
            Ok(())
        }
    }
}

fn form(text: &str, shape: &Shape<'_>, values: &mut Values<'_>) -> Result<(), Opaque> {
    for (name, all) in by_name(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())? {
        if shape.nearly_has(&name) {
            return Err(Opaque::Parameter);
        }
        several(&format!("body.{}", super::values::plain(&name)), &name, &all, &shape.property(&name), false, values)?;
    }
    Ok(())
}

/// Whether the body is what its type says, in UTF-8 and not compressed.
fn plainly_encoded(head: &Head) -> bool {
    let kind = head.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let charset = kind.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("charset="));
    let utf8 = charset.is_none_or(|charset| charset.trim_matches('"') == "utf-8");
    utf8 && !head.headers.contains_key("content-encoding")
}

fn safe(head: &Head) -> bool {
    matches!(head.method.as_str(), "GET" | "HEAD" | "OPTIONS")
}

/// By RFC 9110, section 9.3, alone.
fn generic(head: &Head, content: Content<'_>, rules: &Rules) -> Result<HttpFacts, Opaque> {
    let class = match head.method.as_str() {
        "GET" | "HEAD" | "OPTIONS" => RequestClass::Read,
        "POST" | "PUT" | "PATCH" | "DELETE" => RequestClass::Write,
        _ => return Err(Opaque::NoOperation),
    };
    if head.has_encoded_slash() {
        return Err(Opaque::NoOperation);
    }
    let mut values = Values::new(rules);
    let schemas = BTreeMap::new();
    let anything = Shape::new(&schemas, None);
    for (name, all) in pairs(head)? {
        several(&format!("query.{}", super::values::plain(&name)), &name, &all, &anything, false, &mut values)?;
    }
    if content != Content::Whole(&[]) {
        if safe(head) {
            return Err(Opaque::ContentOfSafe);
        }
        taken_apart(&media(head).unwrap_or_default(), head, content, &anything, &mut values)?;
    }
    Ok(HttpFacts {
        class,
        operation: None,
        method: head.method.as_str().to_owned(),
        path: own_path(head, rules),
        values: values.typed,
        hidden: values.hidden,
        complete: values.complete,
    })
}

/// The path as sent, its secrets replaced.
fn own_path(head: &Head, rules: &Rules) -> String {
    let mut redactor = Redactor::new(rules);
    let place = Stands::of(Position::Predicate);
    head.path().split('/').skip(1).zip(head.segments()).fold(String::new(), |path, (raw, value)| {
        let before = redactor.redacted();
        let shown = redactor.value(value, &place);
        path + "/" + if redactor.redacted() > before { &shown } else { raw }
    })
}
