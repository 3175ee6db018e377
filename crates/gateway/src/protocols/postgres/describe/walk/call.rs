//! What expressions run: functions, operators, and names that may be either column or function.

use countersign_core::action::sql::SqlClass;
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node};

use super::super::builtin::{functions, operators, settings, types};
use super::super::effect::Setting;
use super::super::{names, text};
use super::{Visit, Walk};

/// Methods of `TABLESAMPLE` that are built in.
const SAMPLE_METHODS: &[&str] = &["bernoulli", "system"];

/// Output columns of built-in functions that are read as fields, `(aclexplode(acl)).grantee`. A field of these is a column
/// before it could be a function.
const COMPOSITES: &[(&str, &[&str])] = &[
    ("_pg_expandarray", EXPANDED_ARRAY_FIELDS),
    ("aclexplode", &["grantee", "grantor", "is_grantable", "privilege_type"]),
    ("json_each", &["key", "value"]),
    ("json_each_text", &["key", "value"]),
    ("jsonb_each", &["key", "value"]),
    ("jsonb_each_text", &["key", "value"]),
    ("pg_get_keywords", &["barelabel", "baredesc", "catcode", "catdesc", "word"]),
    ("pg_get_object_address", &["classid", "objid", "objsubid"]),
    ("pg_identify_object", &["identity", "name", "schema", "type"]),
    ("pg_identify_object_as_address", &["object_args", "object_names", "type"]),
    ("pg_options_to_table", &["option_name", "option_value"]),
    (
        "pg_sequence_parameters",
        &["cache_size", "cycle_option", "data_type", "increment", "maximum_value", "minimum_value", "start_value"],
    ),
    ("pg_walfile_name_offset", &["file_name", "file_offset"]),
    ("ts_debug", &["alias", "description", "dictionaries", "dictionary", "lexemes", "token"]),
    ("ts_parse", &["token", "tokid"]),
    ("ts_token_type", &["alias", "description", "tokid"]),
];

/// Output columns of `information_schema._pg_expandarray`, which JDBC also reads out of a subquery's column.
const EXPANDED_ARRAY_FIELDS: &[&str] = &["n", "x"];

impl Visit for pb::FuncCall {
    fn visit(&self, walk: &mut Walk<'_>) {
        #[rustfmt::skip]
        let Self {
            funcname, args, agg_order, agg_filter, over,
            agg_within_group: _, agg_star: _, agg_distinct: _, func_variadic: _, funcformat: _, location: _,
        } = self;
        walk.function(self, funcname);
        args.visit(walk);
        agg_order.visit(walk);
        agg_filter.visit(walk);
        over.visit(walk);
    }
}

impl Walk<'_> {
    /// An operator by its name, qualified or not.
    pub(super) fn operator(&mut self, name: &[Node]) {
        let Some(parts) = names::strings(name) else { return self.unknown() };
        self.referents.operator(&parts);
        match parts.as_slice() {
            [operator] | ["pg_catalog", operator] if operators::is_builtin(operator) => {}
            ["pg_catalog" | "information_schema", _] => self.unknown(),
            _ => self.code("operator", &parts.join(".")),
        }
    }

    /// Operators that a construct stands for: built in, unless the search path has others of the name.
    pub(super) fn implies(&mut self, operators: &[&str]) {
        operators.iter().for_each(|operator| self.referents.operator(&[operator]));
    }

    /// A function that is named without being called as one.
    pub(super) fn name_function(&mut self, name: &str) {
        self.functions.insert(name.to_owned());
    }

    /// A special form of newer servers, which older ones take for a call of the user's function of that name.
    pub(super) fn form(&mut self, name: &str) {
        self.name_function(name);
        self.referents.function(&[name]);
    }

    /// The method of a `TABLESAMPLE`.
    pub(super) fn sample_method(&mut self, method: &[Node]) {
        match names::strings(method).as_deref() {
            Some([name] | ["pg_catalog", name]) if SAMPLE_METHODS.contains(name) => {}
            Some(_) | None => self.call(SqlClass::Opaque),
        }
    }

    /// The last name of `a.f`. A column in nearly every case; were it a call, of which function?
    pub(super) fn attribute(&mut self, name: &str) {
        self.referents.attributes.insert(name.to_owned());
        match functions::class(name) {
            Some(SqlClass::Read) | None => {}
            Some(class) => {
                self.functions.insert(names::identifier(name));
                self.call(class);
            }
        }
    }

    /// The name of `(e).f`: a column of `e` when that is a built-in's known output. Anything else may be a call of the
    /// user's function `f`, and what it does is not known.
    pub(super) fn field(&mut self, value: Option<&NodeEnum>, name: &str) {
        if matches!(value, Some(NodeEnum::FuncCall(call)) if has_output(call, name)) {
            return;
        }
        self.attribute(name);
        let expanded = matches!(value, Some(NodeEnum::ColumnRef(_))) && EXPANDED_ARRAY_FIELDS.contains(&name);
        if functions::class(name).is_none() && !expanded {
            self.functions.insert(names::identifier(name));
            self.code("field or function", &names::identifier(name));
        }
    }

    fn function(&mut self, call: &pb::FuncCall, name: &[Node]) {
        let Some(parts) = function_name(name) else { return self.unknown() };
        self.functions.insert(names::join(&parts));
        self.referents.function(&parts);
        if let ["set_config"] | ["pg_catalog", "set_config"] = parts.as_slice() {
            return self.set_config(call);
        }
        match class_of(&parts) {
            Some(class) => self.call(class),
            None if is_cast(&parts, call) => {}
            None if matches!(parts.as_slice(), ["pg_catalog" | "information_schema", _]) => self.unknown(),
            None => self.code("function", &names::join(&parts)),
        }
    }

    /// `set_config(name, value, is_local)` is `SET`; with a computed name it could be any `SET`.
    fn set_config(&mut self, call: &pb::FuncCall) {
        let (name, value, local) = match call.args.as_slice() {
            [name, value, local] => (text::constant(name), text::constant(value), text::constant(local)),
            _ => (None, None, None),
        };
        let class = match (name.as_deref(), value.as_deref()) {
            (Some(name), Some(value)) => settings::class(name, Some(value)),
            (Some(name), None) => settings::computed_class(name),
            (None, value) => self.row_setting_class(call, value),
        };
        self.call(class);
        let local = local.is_some_and(|local| settings::boolean(&local) == Some(true));
        self.settings.push(Setting { name: name.map(|name| name.to_ascii_lowercase()), value, local });
    }
}

impl Walk<'_> {
    /// The class of `set_config(name, …)` over the one row of `pg_settings` that a condition names, as `pg_dump` asks for
    /// settings that older servers lack. The name stays computed: the session waits for what the server reports.
    fn row_setting_class(&self, call: &pb::FuncCall, value: Option<&str>) -> SqlClass {
        let of_row = call.args.first().is_some_and(|name| names::is_column(name, "name"));
        match &self.setting_row {
            Some(name) if of_row => {
                value.map_or_else(|| settings::computed_class(name), |v| settings::class(name, Some(v)))
            }
            Some(_) | None => SqlClass::Admin,
        }
    }
}

fn function_name(name: &[Node]) -> Option<Vec<&str>> {
    names::strings(name).filter(|parts| !parts.is_empty())
}

/// The class of calling a built-in function, by its name as facts have it; nothing when it is not known.
pub(in super::super::super) fn builtin_class(name: &str) -> Option<SqlClass> {
    class_of(&name.split('.').collect::<Vec<_>>())
}

fn class_of(parts: &[&str]) -> Option<SqlClass> {
    match parts {
        [name] | ["pg_catalog", name] => functions::class(name),
        ["information_schema", name] => functions::information_schema_class(name),
        _ => None,
    }
}

/// Whether a built-in function has an output column of this name.
fn has_output(call: &pb::FuncCall, column: &str) -> bool {
    let Some(parts) = function_name(&call.funcname) else { return false };
    let Some(function) = parts.last().filter(|_| class_of(&parts).is_some()) else { return false };
    COMPOSITES.iter().any(|(name, columns)| name == function && columns.contains(&column))
}

/// A call with one plain argument of a function that has a type's name is a cast: `regclass('t')`.
fn is_cast(parts: &[&str], call: &pb::FuncCall) -> bool {
    let plain = call.args.len() == 1 && call.agg_order.is_empty() && call.agg_filter.is_none() && call.over.is_none();
    match parts {
        [name] | ["pg_catalog", name] => plain && types::is_builtin_name(name),
        _ => false,
    }
}
