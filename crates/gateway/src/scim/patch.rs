//! PATCH (RFC 7644 §3.5.2), in the shapes that Okta and Entra ID send: with and without a path, attributes in any case, dotted
//! names inside values, one value in the place of a list.
//!
//! What an operation says of an attribute that is not kept here changes nothing, as with POST and PUT: providers send what
//! their administrators mapped.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::filter::{Attribute, Filter};
use super::json;
use super::refusal::Refusal;

/// The most operations of one request.
const OPERATIONS_MAX: usize = 500;

/// What kind of value an attribute has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One value.
    Plain,
    /// One object.
    Complex,
    /// A list of objects; whether a filter that finds none makes one.
    Multi { grows: bool },
    /// Ours to say.
    ReadOnly,
}

/// The attributes of a resource.
pub(super) type Shapes = &'static [(&'static str, Shape)];

/// What an operation is about.
struct Path {
    attribute: Attribute,
    filter: Option<Filter>,
}

impl Path {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = || Refusal::path(format!("`{text}` is no path"));
        let Some((name, rest)) = text.split_once('[') else {
            return Ok(Self { attribute: Attribute::parse(text.trim()).ok_or_else(wrong)?, filter: None });
        };
        let (filter, after) = rest.rsplit_once(']').ok_or_else(wrong)?;
        let whole = format!("{}{}", name.trim(), after.trim());
        let attribute = Attribute::parse(&whole).ok_or_else(wrong)?;
        let filter = Filter::parse(filter).map_err(|_| wrong())?;
        Ok(Self { attribute, filter: Some(filter) })
    }

    fn wrong(&self) -> Refusal {
        Refusal::path(format!("`{}` has no such parts", self.attribute.name))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Add,
    Replace,
}

/// Applies all operations of a request, in order.
pub(super) fn apply(
    resource: &mut Map<String, Value>,
    body: &Map<String, Value>,
    shapes: Shapes,
) -> Result<(), Refusal> {
    let operations = json::objects(body, "Operations", OPERATIONS_MAX)?;
    if operations.is_empty() {
        return Err(Refusal::syntax("there are no `Operations`"));
    }
    operations.into_iter().try_for_each(|operation| one(resource, operation, shapes))
}

fn one(resource: &mut Map<String, Value>, operation: &Map<String, Value>, shapes: Shapes) -> Result<(), Refusal> {
    let op = json::get(operation, "op").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let path = match json::get(operation, "path") {
        None => None,
        Some(Value::String(path)) => Some(Path::parse(path)?),
        Some(_) => return Err(Refusal::path("a path is a text")),
    };
    let value = json::get(operation, "value");
    let way = match op.as_str() {
        "add" => Way::Add,
        "replace" => Way::Replace,
        "remove" => {
            let path = path.ok_or_else(|| Refusal::no_target("an operation `remove` needs a path"))?;
            return remove(resource, &path, value, shapes);
        }
        _ => return Err(Refusal::syntax(format!("`{op}` is no operation; there are add, replace and remove"))),
    };
    match (path, value) {
        (Some(path), Some(value)) => put(resource, &path, value, way, shapes),
        (Some(path), None) if way == Way::Replace => remove(resource, &path, None, shapes),
        (None, Some(Value::Object(values))) => without_path(resource, values, way, shapes),
        _ => Err(Refusal::value(format!("an operation `{op}` needs a value: with a path, or an object"))),
    }
}

/// The keys of the value are the paths. What is ours to say may be among them, as it was told.
fn without_path(
    resource: &mut Map<String, Value>,
    values: &Map<String, Value>,
    way: Way,
    shapes: Shapes,
) -> Result<(), Refusal> {
    for (key, value) in values {
        let path = Path::parse(key)?;
        let read_only = matches!(shape(&path.attribute, shapes), Some((_, Shape::ReadOnly)));
        match value {
            _ if read_only => {}
            Value::Null => remove(resource, &path, None, shapes)?,
            value => put(resource, &path, value, way, shapes)?,
        }
    }
    Ok(())
}

fn shape(attribute: &Attribute, shapes: Shapes) -> Option<(&'static str, Shape)> {
    shapes.iter().copied().find(|(name, _)| name.eq_ignore_ascii_case(&attribute.name))
}

fn put(resource: &mut Map<String, Value>, path: &Path, value: &Value, way: Way, shapes: Shapes) -> Result<(), Refusal> {
    let Some((name, shape)) = shape(&path.attribute, shapes) else { return Ok(()) };
    let part = path.attribute.part.as_deref();
    match (shape, &path.filter) {
        (Shape::ReadOnly, _) => Err(Refusal::mutability(format!("`{name}` is not the client's to say"))),
        (Shape::Plain, None) if part.is_none() => {
            json::set(resource, name, value.clone());
            Ok(())
        }
        (Shape::Plain, _) | (Shape::Complex, Some(_)) => Err(path.wrong()),
        (Shape::Complex, None) => {
            let mut object = json::get(resource, name).and_then(Value::as_object).cloned().unwrap_or_default();
            merge(&mut object, part, value)?;
            json::set(resource, name, Value::Object(object));
            Ok(())
        }
        (Shape::Multi { grows }, filter) => {
            let mut list = list(resource, name);
            put_listed(&mut list, path, filter.as_ref(), value, way, grows)?;
            json::set(resource, name, Value::Array(list));
            Ok(())
        }
    }
}

fn put_listed(
    list: &mut Vec<Value>,
    path: &Path,
    filter: Option<&Filter>,
    value: &Value,
    way: Way,
    grows: bool,
) -> Result<(), Refusal> {
    let part = path.attribute.part.as_deref();
    if filter.is_none() && part.is_none() {
        let given = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        if way == Way::Replace {
            list.clear();
        } else if given.iter().any(|value| is_primary(None, value)) {
            unset_primary(list);
        }
        list.extend(given);
        return Ok(());
    }
    if is_primary(part, value) {
        unset_primary(list);
    }
    let mut found = false;
    for object in list.iter_mut().filter_map(Value::as_object_mut) {
        if filter.is_none_or(|filter| filter.matches(object)) {
            merge(object, part, value)?;
            found = true;
        }
    }
    if found {
        return Ok(());
    }
    let new = filter.map_or_else(|| Some(Map::new()), Filter::equalities).filter(|_| grows);
    let mut new = new.ok_or_else(|| Refusal::no_target(format!("no `{}` is like that", path.attribute.name)))?;
    merge(&mut new, part, value)?;
    list.push(Value::Object(new));
    Ok(())
}

/// One of a list is the primary one (RFC 7643 §2.4).
fn is_primary(part: Option<&str>, value: &Value) -> bool {
    match (part, value) {
        (Some(part), Value::Bool(true)) => part.eq_ignore_ascii_case("primary"),
        (None, Value::Object(object)) => json::get(object, "primary") == Some(&Value::Bool(true)),
        _ => false,
    }
}

fn unset_primary(list: &mut [Value]) {
    list.iter_mut().filter_map(Value::as_object_mut).for_each(|object| json::unset(object, "primary"));
}

/// Sets a part of an object, or all parts that an object names.
fn merge(object: &mut Map<String, Value>, part: Option<&str>, value: &Value) -> Result<(), Refusal> {
    match (part, value) {
        (Some(part), value) => json::set(object, part, value.clone()),
        (None, Value::Object(parts)) => {
            parts.iter().for_each(|(part, value)| json::set(object, part, value.clone()));
        }
        (None, _) => return Err(Refusal::value("this attribute has parts; name one, or send an object")),
    }
    Ok(())
}

fn remove(
    resource: &mut Map<String, Value>,
    path: &Path,
    value: Option<&Value>,
    shapes: Shapes,
) -> Result<(), Refusal> {
    let Some((name, shape)) = shape(&path.attribute, shapes) else { return Ok(()) };
    let part = path.attribute.part.as_deref();
    match (shape, &path.filter, part) {
        (Shape::ReadOnly, ..) => return Err(Refusal::mutability(format!("`{name}` is not the client's to say"))),
        (Shape::Plain | Shape::Complex, None, None) => json::unset(resource, name),
        (Shape::Plain, ..) | (Shape::Complex, Some(_), _) => return Err(path.wrong()),
        (Shape::Complex, None, Some(part)) => {
            let mut object = json::get(resource, name).and_then(Value::as_object).cloned().unwrap_or_default();
            json::unset(&mut object, part);
            json::set(resource, name, Value::Object(object));
        }
        (Shape::Multi { .. }, filter, part) => {
            let mut list = list(resource, name);
            remove_listed(&mut list, filter.as_ref(), part, value);
            json::set(resource, name, Value::Array(list));
        }
    }
    Ok(())
}

fn remove_listed(list: &mut Vec<Value>, filter: Option<&Filter>, part: Option<&str>, value: Option<&Value>) {
    let meets = |object: &Map<String, Value>| filter.is_none_or(|filter| filter.matches(object));
    match (part, value) {
        (Some(part), _) => {
            let found = list.iter_mut().filter_map(Value::as_object_mut).filter(|object| meets(object));
            found.for_each(|object| json::unset(object, part));
        }
        // Entra ID lists whom it removes in the value
        (None, Some(named)) if filter.is_none() => {
            let named = named.as_array().map_or(std::slice::from_ref(named), Vec::as_slice);
            let named: BTreeSet<&str> = named.iter().filter_map(id).collect();
            list.retain(|value| !id(value).is_some_and(|id| named.contains(id)));
        }
        (None, _) => list.retain(|value| value.as_object().is_some_and(|object| !meets(object))),
    }
}

/// What a value of a list is known by.
fn id(value: &Value) -> Option<&str> {
    match value {
        Value::Object(object) => json::get(object, "value")?.as_str(),
        value => value.as_str(),
    }
}

fn list(resource: &Map<String, Value>, name: &str) -> Vec<Value> {
    match json::get(resource, name) {
        Some(Value::Array(list)) => list.clone(),
        Some(_) | None => Vec::new(),
    }
}
