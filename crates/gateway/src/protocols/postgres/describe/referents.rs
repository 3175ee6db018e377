//! What a statement's names refer to is the catalog's to say: the names it uses, to be looked up there.
//!
//! Everything the server will resolve by itself is noted: relations with what happens to their rows (which triggers that
//! fires), functions, operators and types that are not written with `pg_catalog` in front, and names in attribute position.
//! Built-in names are among them where something of the user's could stand in their place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pg_query::protobuf::RangeVar;
use serde_json::json;

use super::builtin::{functions, operators, types};

/// Special forms of newer servers, which older ones take for calls.
const FORMS: &[&str] = &[
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
];

/// What happens to a relation's rows, as bits: those of `tgtype` in `pg_trigger`, and one of our own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Events(u8);

impl Events {
    /// They are read.
    pub const READ: Events = Events(0);
    /// `TRIGGER_TYPE_INSERT`.
    pub const INSERT: Events = Events(4);
    /// `TRIGGER_TYPE_DELETE`.
    pub const DELETE: Events = Events(8);
    /// `TRIGGER_TYPE_UPDATE`.
    pub const UPDATE: Events = Events(16);
    /// `TRIGGER_TYPE_TRUNCATE`.
    pub const TRUNCATE: Events = Events(32);
    /// Its definition is changed, or it is maintained: defaults, checks and index expressions may be evaluated.
    pub const REWRITE: Events = Events(64);

    /// Both.
    #[must_use]
    pub fn and(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }

    /// The bits, as the catalog look-up takes them.
    pub fn bits(self) -> i32 {
        i32::from(self.0)
    }
}

/// A name as written: the schema is empty when it is not qualified.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The schema, or nothing.
    pub schema: String,
    /// The name in it.
    pub name: String,
}

impl Name {
    /// The last two of a name's parts: a catalog in front can only be the current one.
    pub(super) fn of(parts: &[&str]) -> Option<Self> {
        match parts {
            [name] => Some(Self { schema: String::new(), name: (*name).to_owned() }),
            [.., schema, name] => Some(Self { schema: (*schema).to_owned(), name: (*name).to_owned() }),
            [] => None,
        }
    }

    pub(super) fn relation(relation: &RangeVar) -> Self {
        Self { schema: relation.schemaname.clone(), name: relation.relname.clone() }
    }

    /// Whether a built-in function, cast or special form has this name.
    pub fn is_builtin_function(&self) -> bool {
        self.schema.is_empty()
            && (functions::class(&self.name).is_some()
                || types::is_builtin_name(&self.name)
                || FORMS.contains(&self.name.as_str()))
    }

    /// Whether a built-in operator has this name.
    pub fn is_builtin_operator(&self) -> bool {
        self.schema.is_empty() && operators::is_builtin(&self.name)
    }

    /// Whether a built-in type has this name.
    pub fn is_builtin_type(&self) -> bool {
        self.schema.is_empty() && types::is_builtin_name(&self.name)
    }

    /// Whether it is written as the system's own.
    pub fn is_system(&self) -> bool {
        matches!(self.schema.as_str(), "pg_catalog" | "information_schema")
    }
}

/// The names of one statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Referents {
    /// Relations, and what happens to their rows.
    pub relations: BTreeMap<Name, Events>,
    /// Functions.
    pub functions: BTreeSet<Name>,
    /// Operators.
    pub operators: BTreeSet<Name>,
    /// Types.
    pub types: BTreeSet<Name>,
    /// Names in attribute position (`a.f`, `(e).f`), which may be calls of a function.
    pub attributes: BTreeSet<String>,
}

impl Referents {
    pub(super) fn relation(&mut self, relation: &RangeVar, events: Events) {
        self.named_relation(Name::relation(relation), events);
    }

    pub(super) fn named_relation(&mut self, name: Name, events: Events) {
        let known = self.relations.entry(name).or_default();
        *known = known.and(events);
    }

    pub(super) fn function(&mut self, parts: &[&str]) {
        self.functions.extend(Name::of(parts).filter(|name| !name.is_system()));
    }

    pub(super) fn operator(&mut self, parts: &[&str]) {
        self.operators.extend(Name::of(parts).filter(|name| !name.is_system()));
    }

    pub(super) fn type_name(&mut self, parts: &[&str]) {
        self.types.extend(Name::of(parts).filter(|name| !name.is_system()));
    }

    /// Whether nothing is there to be looked up.
    pub fn is_empty(&self) -> bool {
        let Self { relations, functions, operators, types, attributes } = self;
        relations.is_empty()
            && functions.is_empty()
            && operators.is_empty()
            && types.is_empty()
            && attributes.is_empty()
    }

    /// What the catalog is asked about them: the argument of its `survey.sql`; nothing when there is nothing to ask.
    pub fn question(&self, definition: bool) -> Option<Arc<str>> {
        if self.is_empty() && !definition {
            return None;
        }
        let named = |Name { schema, name }: &Name, builtin: bool| json!({"s": schema, "n": name, "b": builtin});
        let functions = self.functions.iter().map(|name| named(name, name.is_builtin_function()));
        let operators = self.operators.iter().map(|name| named(name, name.is_builtin_operator()));
        let relations = self.relations.iter().map(|(name, events)| {
            let Name { schema, name } = name;
            json!({"s": schema, "n": name, "e": events.bits()})
        });
        let question = json!({
            "relations": relations.collect::<Vec<_>>(),
            "functions": functions.collect::<Vec<_>>(),
            "operators": operators.collect::<Vec<_>>(),
            "types": self.types.iter().map(|name| named(name, false)).collect::<Vec<_>>(),
            "attributes": self.attributes,
            "ddl": definition,
        });
        Some(question.to_string().into())
    }

    /// Adds another statement's.
    pub fn add(&mut self, other: &Referents) {
        for (name, events) in &other.relations {
            self.named_relation(name.clone(), *events);
        }
        self.functions.extend(other.functions.iter().cloned());
        self.operators.extend(other.operators.iter().cloned());
        self.types.extend(other.types.iter().cloned());
        self.attributes.extend(other.attributes.iter().cloned());
    }
}
