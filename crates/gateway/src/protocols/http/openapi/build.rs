//! A document as it was read becomes one to describe by: references followed, templates sorted, classes given.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::request::RequestClass;

use super::template::{Segment, Template, Tree};
use super::{Document, Listed, NotADocument, OPERATIONS_MAX, Operation, Parameter, Place, Schema, raw, schema};
use crate::protocols::http::classes::Classes;

/// How often a reference may lead to another.
const REFERENCES_MAX: usize = 16;

type Built<T> = Result<T, NotADocument>;

pub(super) fn document(raw: raw::Document, classes: &Classes) -> Built<Document> {
    version(&raw)?;
    let mut builder = Builder { raw: &raw, classes, ids: BTreeSet::new(), operations: Vec::new() };
    let (mut tree, mut templates) = (Tree::default(), Vec::new());
    for path in raw.paths.0.keys() {
        let (template, listed) = builder.path(path)?;
        if !listed.operations.is_empty() {
            tree.add(&template.segments, templates.len());
            templates.push(listed);
        }
    }
    let operations = builder.operations;
    let schemas = reached(&operations, &raw.components.schemas)?;
    let unmatched = classes.unmatched(operations.iter().map(|operation| described(operation, "")));
    let prefixes = prefixes(&raw)?;
    Ok(Document { prefixes, tree, templates, operations, schemas, methods: classes.methods.clone(), unmatched })
}

fn version(raw: &raw::Document) -> Built<()> {
    match raw.openapi.as_deref() {
        Some(version) if version.starts_with("3.0") || version.starts_with("3.1") => Ok(()),
        Some(version) => Err(NotADocument::Version(format!("`{version}`"))),
        None if raw.swagger.is_some() => {
            Err(NotADocument::Version("absent: this is Swagger 2.0, convert it".to_owned()))
        }
        None => Err(NotADocument::Version("absent".to_owned())),
    }
}

/// The paths of the servers, in segments: those of requests begin with one of them.
fn prefixes(raw: &raw::Document) -> Built<Vec<Vec<String>>> {
    let mut prefixes = BTreeSet::new();
    for (at, server) in raw.servers.iter().enumerate() {
        let variables = server.variables.iter();
        let url = variables
            .fold(server.url.clone(), |url, (name, variable)| url.replace(&format!("{{{name}}}"), &variable.default));
        let path =
            server_path(&url).ok_or_else(|| NotADocument::at(format!("servers[{at}].url"), "it is no address"))?;
        prefixes.insert(path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect::<Vec<_>>());
    }
    if prefixes.is_empty() {
        prefixes.insert(Vec::new());
    }
    Ok(prefixes.into_iter().collect())
}

/// The path of a server's address, which may be relative.
fn server_path(url: &str) -> Option<String> {
    match url.split_once("://") {
        None => Some(url.split(['?', '#']).next().unwrap_or_default().to_owned()),
        Some((_, rest)) => {
            let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
            (!path.contains('{')).then(|| path.to_owned())
        }
    }
}

struct Builder<'a> {
    raw: &'a raw::Document,
    classes: &'a Classes,
    ids: BTreeSet<String>,
    operations: Vec<Operation>,
}

impl<'a> Builder<'a> {
    fn path(&mut self, path: &str) -> Built<(Template, Listed)> {
        let place = format!("paths.{path}");
        let item = self.item(path, &place)?;
        let mut operations = BTreeMap::new();
        let mut kinds: BTreeMap<String, Segment> = BTreeMap::new();
        for (method, raw) in item.operations() {
            let place = format!("{place}.{}", method.to_ascii_lowercase());
            if self.elsewhere(raw.servers.as_ref().or(item.servers.as_ref())) {
                continue;
            }
            let parameters = self.parameters(item, raw, &place, path, &mut kinds)?;
            let operation = self.operation(method, path, item, raw, parameters, &place)?;
            operations.insert(method, self.operations.len());
            self.operations.push(operation);
            if self.operations.len() > OPERATIONS_MAX {
                return Err(NotADocument::TooMany);
            }
        }
        let kind = |name: &str| kinds.get(name).cloned().unwrap_or(Segment::Parameter { integer: false });
        let template = Template::parse(path, &kind)
            .ok_or_else(|| NotADocument::at(&place, "its braces are no parameters that can be told apart"))?;
        let names = template.names.clone();
        Ok((template, Listed { path: path.to_owned(), names, operations }))
    }

    fn item(&self, path: &str, place: &str) -> Built<&'a raw::PathItem> {
        let mut item = self.raw.paths.0.get(path);
        for _ in 0..REFERENCES_MAX {
            let found = item.ok_or_else(|| NotADocument::at(place, "a reference leads nowhere"))?;
            let Some(reference) = &found.reference else { return Ok(found) };
            item = component(reference, "pathItems").and_then(|name| self.raw.components.paths.get(&name));
        }
        Err(NotADocument::at(place, "references lead to each other"))
    }

    /// Whether an operation has servers of its own that are none of the document's: it is not at this upstream.
    fn elsewhere(&self, servers: Option<&Vec<raw::ServerUrl>>) -> bool {
        let known = |url: &str| self.raw.servers.iter().any(|server| server.url == url);
        servers.is_some_and(|servers| !servers.is_empty() && !servers.iter().any(|server| known(&server.url)))
    }

    /// Those of the path, and those of the operation, which replace them (OpenAPI, Operation Object).
    fn parameters(
        &self,
        item: &raw::PathItem,
        operation: &raw::Operation,
        place: &str,
        path: &str,
        kinds: &mut BTreeMap<String, Segment>,
    ) -> Built<Vec<Parameter>> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for (at, raw) in item.parameters.iter().chain(&operation.parameters).enumerate() {
            let place = format!("{place}.parameters[{at}]");
            let raw = self.parameter(raw, &place)?;
            let name = raw.name.clone().ok_or_else(|| NotADocument::at(&place, "it has no `name`"))?;
            let stands = stands(raw.place.as_deref(), &place)?;
            if stands == Place::Path {
                let span = raw.multi_segment || self.classes.spans(path, &name);
                let integer = raw.schema.as_ref().is_some_and(|schema| schema.kinds == ["integer"]);
                kinds.insert(name.clone(), if span { Segment::Span } else { Segment::Parameter { integer } });
            }
            let commas = matches!(raw.style.as_deref(), None | Some("form" | "simple")) && raw.explode == Some(false);
            parameters.retain(|known| known.name != name || known.place != stands);
            parameters.push(Parameter { name, place: stands, schema: raw.schema.clone(), commas });
        }
        Ok(parameters)
    }

    fn parameter<'b>(&'b self, mut raw: &'b raw::Parameter, place: &str) -> Built<&'b raw::Parameter> {
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = &raw.reference else { return Ok(raw) };
            let named = component(reference, "parameters").and_then(|name| self.raw.components.parameters.get(&name));
            raw = named.ok_or_else(|| nowhere(place, reference))?;
        }
        Err(NotADocument::at(place, "references lead to each other"))
    }

    fn body<'b>(&'b self, mut raw: &'b raw::Body, place: &str) -> Built<&'b raw::Body> {
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = &raw.reference else { return Ok(raw) };
            let named = component(reference, "requestBodies").and_then(|name| self.raw.components.bodies.get(&name));
            raw = named.ok_or_else(|| nowhere(place, reference))?;
        }
        Err(NotADocument::at(place, "references lead to each other"))
    }

    fn operation(
        &mut self,
        method: &'static str,
        path: &str,
        item: &raw::PathItem,
        raw: &raw::Operation,
        parameters: Vec<Parameter>,
        place: &str,
    ) -> Built<Operation> {
        let id = raw.id.clone().unwrap_or_else(|| format!("{method} {path}"));
        if !self.ids.insert(id.clone()) {
            return Err(NotADocument::at(place, format!("the operation `{id}` comes twice")));
        }
        let said = raw.class.as_ref().or(item.class.as_ref());
        let class = match said {
            Some(name) => class(name).ok_or_else(|| NotADocument::at(place, "`x-countersign-class` is no class"))?,
            None => by_method(method),
        };
        let mut bodies = BTreeMap::new();
        if let Some(body) = &raw.body {
            let place = format!("{place}.requestBody");
            for (kind, media) in &self.body(body, &place)?.content {
                let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                bodies.insert(kind, media.schema.clone());
            }
        }
        let (tags, summary) = (raw.tags.iter().cloned().collect(), raw.summary.clone());
        let mut operation = Operation { id, method, class, summary, path: path.to_owned(), parameters, bodies, tags };
        if let Some(class) = self.classes.class(&described(&operation, method)) {
            operation.class = class;
        }
        Ok(operation)
    }
}

/// An operation as rules of classes ask about it.
fn described<'a>(operation: &'a Operation, method: &'a str) -> super::super::classes::Asked<'a> {
    super::super::classes::Asked { id: &operation.id, path: &operation.path, method, tags: &operation.tags }
}

/// By RFC 9110, section 9.2.1: what is safe reads.
fn by_method(method: &str) -> RequestClass {
    match method {
        "GET" | "HEAD" | "OPTIONS" => RequestClass::Read,
        "TRACE" => RequestClass::Opaque,
        _ => RequestClass::Write,
    }
}

fn class(name: &str) -> Option<RequestClass> {
    super::super::classes::class(name)
}

fn stands(place: Option<&str>, at: &str) -> Built<Place> {
    match place {
        Some("path") => Ok(Place::Path),
        Some("query") => Ok(Place::Query),
        Some("header") => Ok(Place::Header),
        Some("cookie") => Ok(Place::Cookie),
        _ => Err(NotADocument::at(at, "`in` is none of path, query, header and cookie")),
    }
}

fn component(reference: &str, kind: &str) -> Option<String> {
    let pointer = reference.strip_prefix("#/components/")?.strip_prefix(kind)?.strip_prefix('/')?;
    (!pointer.contains('/')).then(|| pointer.replace("~1", "/").replace("~0", "~"))
}

fn nowhere(place: &str, reference: &str) -> NotADocument {
    NotADocument::at(place, format!("`{reference}` is nowhere in this document; bundle what is in other files"))
}

/// The schemas that request bodies and parameters reach; those of answers alone are left behind.
fn reached(operations: &[Operation], all: &BTreeMap<String, Schema>) -> Built<BTreeMap<String, Schema>> {
    let mut reached = BTreeMap::new();
    let roots = operations.iter().flat_map(|operation| {
        let own = operation.parameters.iter().filter_map(|parameter| parameter.schema.as_ref());
        own.chain(operation.bodies.values().flatten()).map(|schema| (operation.path.as_str(), schema))
    });
    let mut todo: Vec<(&str, &Schema)> = roots.collect();
    while let Some((path, schema)) = todo.pop() {
        todo.extend(schema.inside().map(|inside| (path, inside)));
        let Some(reference) = &schema.reference else { continue };
        let named = schema::name(reference).and_then(|name| all.get_key_value(&name));
        let (name, named) = named.ok_or_else(|| nowhere(&format!("paths.{path}"), reference))?;
        if reached.insert(name.clone(), named.clone()).is_none() {
            todo.push((path, named));
        }
    }
    Ok(reached)
}
