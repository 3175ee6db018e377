//! What a schema says of a value: its type, and whether it is secret. `$ref` is followed when it is asked for.

use std::collections::BTreeMap;

use super::raw::Schema;

/// The most schemas that are read together to understand one value; one with more says nothing.
const TOGETHER_MAX: usize = 256;
/// Where schemas that are referred to stand.
const COMPONENTS: &str = "#/components/schemas/";

/// A type of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocols::http) enum Type {
    Text,
    Integer,
    Number,
    Flag,
    List,
    Object,
    Null,
}

impl Type {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Type::Text,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "boolean" => Type::Flag,
            "array" => Type::List,
            "object" => Type::Object,
            "null" => Type::Null,
            _ => return None,
        })
    }
}

/// Everything that is said of one value: its schema, and all that it is composed of.
#[derive(Debug, Clone)]
pub(in crate::protocols::http) struct Shape<'a> {
    schemas: &'a BTreeMap<String, Schema>,
    together: Vec<&'a Schema>,
}

impl<'a> Shape<'a> {
    /// Of a schema.
    pub(in crate::protocols::http) fn new(schemas: &'a BTreeMap<String, Schema>, schema: Option<&'a Schema>) -> Self {
        Self::of(schemas, schema.into_iter().collect())
    }

    fn of(schemas: &'a BTreeMap<String, Schema>, mut todo: Vec<&'a Schema>) -> Self {
        let mut together: Vec<&Schema> = Vec::new();
        while let Some(schema) = todo.pop() {
            if together.iter().any(|known| std::ptr::eq(*known, schema)) {
                continue;
            }
            if together.len() >= TOGETHER_MAX {
                return Self { schemas, together: Vec::new() };
            }
            together.push(schema);
            todo.extend(&schema.parts);
            let named = schema.reference.as_deref().and_then(name).and_then(|name| schemas.get(&name));
            todo.extend(named);
        }
        Self { schemas, together }
    }

    /// The types it may have; none where nothing is said.
    pub(in crate::protocols::http) fn types(&self) -> Vec<Type> {
        self.together.iter().flat_map(|schema| &schema.kinds).filter_map(|kind| Type::of(kind)).collect()
    }

    /// Whether it is written and never read: a password.
    pub(in crate::protocols::http) fn secret(&self) -> bool {
        self.together.iter().any(|schema| schema.secret)
    }

    /// A member of an object.
    pub(in crate::protocols::http) fn property(&self, name: &str) -> Self {
        Self::of(self.schemas, self.together.iter().filter_map(|schema| schema.properties.get(name)).collect())
    }

    /// Whether a member is named.
    pub(in crate::protocols::http) fn has(&self, name: &str) -> bool {
        self.together.iter().any(|schema| schema.properties.contains_key(name))
    }

    /// Whether a member is named so in another spelling of upper and lower case, which some servers take for the same.
    pub(in crate::protocols::http) fn nearly_has(&self, name: &str) -> bool {
        let near = |own: &String| own.eq_ignore_ascii_case(name);
        !self.has(name) && self.together.iter().any(|schema| schema.properties.keys().any(near))
    }

    /// An item of an array.
    pub(in crate::protocols::http) fn item(&self) -> Self {
        Self::of(self.schemas, self.together.iter().filter_map(|schema| schema.items.as_deref()).collect())
    }
}

/// The name of a schema among the components; nothing for a reference to elsewhere.
pub(super) fn name(reference: &str) -> Option<String> {
    let pointer = reference.strip_prefix(COMPONENTS)?;
    (!pointer.contains('/')).then(|| pointer.replace("~1", "/").replace("~0", "~").replace("%20", " "))
}

impl Schema {
    /// The schemas directly inside.
    pub(super) fn inside(&self) -> impl Iterator<Item = &Schema> {
        self.parts.iter().chain(self.properties.values()).chain(self.items.as_deref())
    }
}
