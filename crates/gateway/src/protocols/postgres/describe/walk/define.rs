//! Definitions other than tables: schemas, functions, types, operators, text search, casts.

use countersign_core::action::sql::SqlClass;
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node};

use super::super::builtin::{catalogs, settings};
use super::super::{names, text};
use super::object::Kind;
use super::{Visit, Walk, commands, leaves, parts};

/// Languages whose functions do no more than SQL can. All others load code into the server.
const SQL_LANGUAGES: &[&str] = &["plpgsql", "sql"];

parts! {
    FunctionParameter { defexpr; name, arg_type, mode, location }
}

leaves! {
    ObjectWithArgs { objname, objargs, objfuncargs, args_unspecified }
    CreateOpClassItem { itemtype, name, number, order_family, class_args, storedtype }
}

commands! {
    "CREATE DOMAIN" Ddl CreateDomainStmt { coll_clause, constraints; domainname, type_name }
    "CREATE TYPE" Ddl CompositeTypeStmt { coldeflist; typevar }
    "CREATE TYPE" Ddl CreateEnumStmt { vals; type_name }
    "CREATE TYPE" Ddl CreateRangeStmt { params; type_name }
    "ALTER TYPE" Ddl AlterEnumStmt { ; type_name, old_val, new_val, new_val_neighbor, new_val_is_after, skip_if_new_val_exists }
    "ALTER TYPE" Ddl AlterTypeStmt { options; type_name }
    "CREATE OPERATOR CLASS" Ddl CreateOpClassStmt { items; opclassname, opfamilyname, amname, datatype, is_default }
    "CREATE OPERATOR FAMILY" Ddl CreateOpFamilyStmt { ; opfamilyname, amname }
    "ALTER OPERATOR FAMILY" Ddl AlterOpFamilyStmt { items; opfamilyname, amname, is_drop }
    "ALTER OPERATOR" Ddl AlterOperatorStmt { opername, options; }
    "CREATE CONVERSION" Ddl CreateConversionStmt { ; conversion_name, for_encoding_name, to_encoding_name, func_name, def }
    "CREATE CAST" Ddl CreateCastStmt { func; sourcetype, targettype, context, inout }
    "CREATE TRANSFORM" Ddl CreateTransformStmt { fromsql, tosql; replace, type_name, lang }
    "ALTER COLLATION" Ddl AlterCollationStmt { ; collname }
    "ALTER TEXT SEARCH DICTIONARY" Ddl AlterTsDictionaryStmt { options; dictname }
    "ALTER TEXT SEARCH CONFIGURATION" Ddl AlterTsConfigurationStmt {
        tokentype, dicts; kind, cfgname, r#override, replace, missing_ok
    }
}

/// Its elements are commands of their own. Naming an owner is a change of rights.
impl Visit for pb::CreateSchemaStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { schemaname: _, authrole, schema_elts, if_not_exists: _ } = self;
        walk.command("CREATE SCHEMA", if authrole.is_some() { SqlClass::Admin } else { SqlClass::Ddl });
        schema_elts.visit(walk);
    }
}

impl Visit for pb::CreateFunctionStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { is_procedure, replace: _, funcname, parameters, return_type: _, options, sql_body } = self;
        walk.command(if *is_procedure { "CREATE PROCEDURE" } else { "CREATE FUNCTION" }, SqlClass::Ddl);
        walk.raise(options.iter().map(function_option).max().unwrap_or(SqlClass::Ddl));
        walk.place(funcname);
        walk.stored(parameters);
        walk.stored(options);
        walk.stored(sql_body);
    }
}

impl Visit for pb::AlterFunctionStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { objtype, func, actions } = self;
        let Some(kind) = Kind::of(*objtype) else { return walk.unknown() };
        walk.command(format!("ALTER {}", kind.words), SqlClass::Ddl);
        walk.raise(actions.iter().map(function_option).max().unwrap_or(SqlClass::Ddl));
        walk.stored(func);
        walk.stored(actions);
    }
}

/// An option of a function: whose rights it runs with, and what code it may hold, decide.
fn function_option(option: &Node) -> SqlClass {
    let Some(NodeEnum::DefElem(option)) = &option.node else { return SqlClass::Opaque };
    let value = option.arg.as_deref().and_then(text::constant);
    match option.defname.as_str() {
        "security" | "leakproof" if value.as_deref() == Some("false") => SqlClass::Ddl,
        "language" if value.as_deref().is_some_and(|name| SQL_LANGUAGES.contains(&name)) => SqlClass::Ddl,
        "set" => match option.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
            Some(NodeEnum::VariableSetStmt(set)) => {
                settings::class(&set.name, text::values(&set.args).as_deref()).max(SqlClass::Ddl)
            }
            Some(_) | None => SqlClass::Admin,
        },
        "as" | "volatility" | "strict" | "cost" | "rows" | "parallel" | "window" | "transform" => SqlClass::Ddl,
        // `security` and `leakproof` when set, another language, `support`, and what a newer grammar adds
        _ => SqlClass::Admin,
    }
}

impl Visit for pb::DefineStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { kind, oldstyle: _, defnames, args, definition, if_not_exists: _, replace: _ } = self;
        let Some(kind) = Kind::of(*kind) else { return walk.unknown() };
        walk.command(format!("CREATE {}", kind.words), kind.class);
        walk.place(defnames);
        walk.stored(args);
        walk.stored(definition);
    }
}

impl Walk<'_> {
    /// Where an object is made: one of the system's own schemas is not for users, and what is put there would be taken
    /// for built in.
    fn place(&mut self, name: &[Node]) {
        match names::strings(name).as_deref() {
            Some([.., schema, _name]) => self.raise(catalogs::write_class(schema, "")),
            Some([_] | []) => {}
            None => self.unknown(),
        }
    }
}

/// A new check is tried on the values there are; a default is only stored.
impl Visit for pb::AlterDomainStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { subtype, type_name: _, name: _, def, behavior: _, missing_ok: _ } = self;
        walk.command("ALTER DOMAIN", SqlClass::Ddl);
        if subtype == "T" { walk.stored(def) } else { def.visit(walk) }
    }
}
