//! Commands that work on an object of any kind by its name: `DROP`, `COMMENT`, `RENAME`, `OWNER TO`, `SET SCHEMA`.

use countersign_core::action::sql::SqlClass;
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node, ObjectType as T};

use super::super::builtin::catalogs;
use super::super::names;
use super::{Visit, Walk};

/// A kind of object: its words, the class of defining, renaming or dropping one, and how its name is written.
pub(super) struct Kind {
    pub(super) words: &'static str,
    pub(super) class: SqlClass,
    name: Name,
}

/// What the name of an object says about tables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// A relation with rows or values: `schema.table`.
    Table,
    /// Something on a table: `schema.table.name`.
    OnTable,
    /// No table.
    Other,
}

impl Kind {
    /// The kind for a value of the tree's `ObjectType`; `None` for one that no command writes.
    pub(super) fn of(object_type: i32) -> Option<Kind> {
        let object_type = T::try_from(object_type).ok()?;
        let (words, class, name) = described(object_type)?;
        Some(Kind { words, class, name })
    }

    /// Whether it is a relation with rows or values.
    pub(super) fn is_table(&self) -> bool {
        self.name == Name::Table
    }
}

fn described(object_type: T) -> Option<(&'static str, SqlClass, Name)> {
    use Name::{OnTable, Other, Table};
    use SqlClass::{Admin, Ddl};
    Some(match object_type {
        T::ObjectTable => ("TABLE", Ddl, Table),
        T::ObjectView => ("VIEW", Ddl, Table),
        T::ObjectMatview => ("MATERIALIZED VIEW", Ddl, Table),
        T::ObjectSequence => ("SEQUENCE", Ddl, Table),
        T::ObjectForeignTable => ("FOREIGN TABLE", Ddl, Table),
        T::ObjectColumn => ("COLUMN", Ddl, OnTable),
        T::ObjectTrigger => ("TRIGGER", Ddl, OnTable),
        T::ObjectRule => ("RULE", Ddl, OnTable),
        T::ObjectTabconstraint => ("CONSTRAINT", Ddl, OnTable),
        T::ObjectPolicy => ("POLICY", Admin, OnTable),
        T::ObjectIndex => ("INDEX", Ddl, Other),
        T::ObjectAggregate => ("AGGREGATE", Ddl, Other),
        T::ObjectAttribute => ("ATTRIBUTE", Ddl, Other),
        T::ObjectCast => ("CAST", Ddl, Other),
        T::ObjectCollation => ("COLLATION", Ddl, Other),
        T::ObjectConversion => ("CONVERSION", Ddl, Other),
        T::ObjectDomain => ("DOMAIN", Ddl, Other),
        T::ObjectDomconstraint => ("CONSTRAINT", Ddl, Other),
        T::ObjectFunction => ("FUNCTION", Ddl, Other),
        T::ObjectProcedure => ("PROCEDURE", Ddl, Other),
        T::ObjectRoutine => ("ROUTINE", Ddl, Other),
        T::ObjectLargeobject => ("LARGE OBJECT", Ddl, Other),
        T::ObjectOpclass => ("OPERATOR CLASS", Ddl, Other),
        T::ObjectOperator => ("OPERATOR", Ddl, Other),
        T::ObjectOpfamily => ("OPERATOR FAMILY", Ddl, Other),
        T::ObjectSchema => ("SCHEMA", Ddl, Other),
        T::ObjectStatisticExt => ("STATISTICS", Ddl, Other),
        T::ObjectTransform => ("TRANSFORM", Ddl, Other),
        T::ObjectTsconfiguration => ("TEXT SEARCH CONFIGURATION", Ddl, Other),
        T::ObjectTsdictionary => ("TEXT SEARCH DICTIONARY", Ddl, Other),
        T::ObjectTsparser => ("TEXT SEARCH PARSER", Ddl, Other),
        T::ObjectTstemplate => ("TEXT SEARCH TEMPLATE", Ddl, Other),
        T::ObjectType => ("TYPE", Ddl, Other),
        T::ObjectAccessMethod => ("ACCESS METHOD", Admin, Other),
        T::ObjectDatabase => ("DATABASE", Admin, Other),
        T::ObjectEventTrigger => ("EVENT TRIGGER", Admin, Other),
        T::ObjectExtension => ("EXTENSION", Admin, Other),
        T::ObjectFdw => ("FOREIGN DATA WRAPPER", Admin, Other),
        T::ObjectForeignServer => ("SERVER", Admin, Other),
        T::ObjectLanguage => ("LANGUAGE", Admin, Other),
        T::ObjectParameterAcl => ("PARAMETER", Admin, Other),
        T::ObjectPublication => ("PUBLICATION", Admin, Other),
        T::ObjectRole => ("ROLE", Admin, Other),
        T::ObjectSubscription => ("SUBSCRIPTION", Admin, Other),
        T::ObjectTablespace => ("TABLESPACE", Admin, Other),
        T::ObjectUserMapping => ("USER MAPPING", Admin, Other),
        T::ObjectAmop | T::ObjectAmproc | T::ObjectDefacl | T::ObjectDefault => return None,
        T::ObjectPublicationNamespace | T::ObjectPublicationRel | T::Undefined => return None,
    })
}

impl Walk<'_> {
    /// The table in an object's name, where there is one.
    fn named(&mut self, kind: &Kind, object: &Node) {
        match (kind.name, &object.node) {
            (Name::Other, _) => {}
            (_, Some(NodeEnum::List(list))) => self.named_parts(kind, &list.items),
            (_, Some(_) | None) => self.unknown(),
        }
    }

    fn named_parts(&mut self, kind: &Kind, parts: &[Node]) {
        let Some(parts) = names::strings(parts) else { return self.unknown() };
        match (kind.name, parts.as_slice()) {
            (Name::Table, table) => self.write_name(table),
            (Name::OnTable, [table @ .., _name]) if !table.is_empty() => self.write_name(table),
            (Name::OnTable, _) => self.unknown(),
            (Name::Other, _) => {}
        }
    }

    /// A command `verb` on an object of a kind, by relation or by name.
    fn on_object(
        &mut self,
        verb: &str,
        object_type: i32,
        relation: Option<&pb::RangeVar>,
        object: Option<&Node>,
    ) -> Option<Kind> {
        let Some(kind) = Kind::of(object_type) else {
            self.unknown();
            return None;
        };
        self.command(format!("{verb} {}", kind.words), kind.class);
        match (relation, object) {
            (Some(relation), _) if kind.name != Name::Other => self.write(relation),
            (None, Some(object)) => self.named(&kind, object),
            (Some(_) | None, _) => {}
        }
        Some(kind)
    }
}

impl Visit for pb::DropStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { objects, remove_type, behavior: _, missing_ok: _, concurrent: _ } = self;
        let Some(kind) = Kind::of(*remove_type) else { return walk.unknown() };
        walk.command(format!("DROP {}", kind.words), kind.class);
        for object in objects {
            walk.named(&kind, object);
        }
    }
}

impl Visit for pb::CommentStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { objtype, object, comment: _ } = self;
        walk.command("COMMENT", SqlClass::Ddl);
        match (Kind::of(*objtype), object) {
            (Some(kind), Some(object)) => walk.named(&kind, object),
            (Some(_) | None, _) => walk.unknown(),
        }
    }
}

impl Visit for pb::SecLabelStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { objtype, object, provider: _, label: _ } = self;
        walk.command("SECURITY LABEL", SqlClass::Admin);
        match (Kind::of(*objtype), object) {
            (Some(kind), Some(object)) => walk.named(&kind, object),
            (Some(_) | None, _) => walk.unknown(),
        }
    }
}

/// A column or constraint is renamed on `relation`; of which kind that relation is, `relation_type` says.
impl Visit for pb::RenameStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { rename_type, relation_type, relation, object, subname: _, newname: _, behavior: _, missing_ok: _ } =
            self;
        let Some(kind) = Kind::of(*rename_type) else { return walk.unknown() };
        let owner = Kind::of(*relation_type);
        let words = owner.as_ref().filter(|_| renames_part(*rename_type)).map_or(kind.words, |owner| owner.words);
        walk.command(format!("ALTER {words}"), kind.class);
        let on_table = kind.name == Name::Table || kind.name == Name::OnTable;
        match relation {
            Some(relation) if on_table => walk.write(relation),
            Some(_) => {}
            None => object.iter().for_each(|object| walk.named(&kind, object)),
        }
    }
}

fn renames_part(object_type: i32) -> bool {
    matches!(T::try_from(object_type), Ok(T::ObjectColumn | T::ObjectAttribute | T::ObjectTabconstraint))
}

impl Visit for pb::AlterObjectDependsStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { object_type, relation, object, extname: _, remove: _ } = self;
        walk.on_object("ALTER", *object_type, relation.as_ref(), object.as_deref());
    }
}

impl Visit for pb::AlterObjectSchemaStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { object_type, relation, object, newschema, missing_ok: _ } = self;
        walk.on_object("ALTER", *object_type, relation.as_ref(), object.as_deref());
        walk.raise(catalogs::write_class(newschema, ""));
    }
}

impl Visit for pb::AlterOwnerStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { object_type, relation, object, newowner: _ } = self;
        walk.on_object("ALTER", *object_type, relation.as_ref(), object.as_deref());
        walk.raise(SqlClass::Admin);
    }
}
