//! A description and what its names refer to, put together: the facts that are decided on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use countersign_core::action::Facts;
use countersign_core::action::sql::{SqlClass, SqlStatement, SqlTables};

use super::super::describe::{Description, Effect, Name, Referents, TableColumns, builtin_class, quoted};
use super::Resolution;

/// A message with its names resolved.
#[derive(Debug, Clone)]
pub(crate) struct Meaning {
    /// The description with resolved facts.
    pub(crate) description: Arc<Description>,
    /// Its facts, as actions share them.
    pub(crate) facts: Arc<Facts>,
    /// The identity of everything named: part of what an approval binds.
    pub(crate) identities: BTreeMap<String, String>,
    /// Tables that a change is carried on to: by views, partitions and foreign keys.
    pub(crate) carried: BTreeSet<String>,
    /// The columns of the tables that rows are inserted into: for what is shown of it, and no part of what is bound.
    pub(crate) columns: TableColumns,
}

impl Meaning {
    /// What is different now, in words; nothing when it is the same.
    pub(crate) fn change(&self, now: &Meaning) -> Option<String> {
        let names: BTreeSet<&String> = self.identities.keys().chain(now.identities.keys()).collect();
        let changes: Vec<String> = names
            .into_iter()
            .filter(|name| self.identities.get(*name) != now.identities.get(*name))
            .map(|name| {
                let what = |meaning: &Meaning| meaning.identities.get(name).cloned().unwrap_or("nothing".to_owned());
                format!("`{name}` was {}, and is {}", what(self), what(now))
            })
            .collect();
        if changes.is_empty() && self.description.facts != now.description.facts {
            return Some("what it would do has changed".to_owned());
        }
        (!changes.is_empty()).then(|| changes.join("; "))
    }
}

/// Puts them together: one resolution for each statement that asked for one.
///
/// Statements after one that changes definitions or the search path cannot be resolved before it has run: they count as
/// running code that nobody knows. So do all of them where the session cannot be asked, and those after the end of a
/// transaction that `moved` names itself.
pub(crate) fn apply(description: &Description, resolutions: &[Option<Arc<Resolution>>], moved: bool) -> Meaning {
    let mut new = description.clone();
    let (mut identities, mut carried, mut columns) = (BTreeMap::new(), BTreeSet::new(), TableColumns::new());
    let mut changed = false;
    new.facts.class = if new.facts.statements.is_empty() { new.facts.class } else { SqlClass::Read };
    for (at, statement) in new.facts.statements.iter_mut().enumerate() {
        let asked = description.questions.get(at).is_some_and(Option::is_some);
        if let Some(resolution) = resolutions.get(at).and_then(Option::as_ref) {
            resolve(statement, description.referents.get(at), resolution);
            carried
                .extend(resolution.behind.iter().filter(|reached| reached.written).map(|reached| reached.name.clone()));
            columns.extend(resolution.columns.iter().map(|(table, columns)| (table.clone(), columns.clone())));
            identities.extend(resolution.identities.iter().map(|(name, what)| (name.clone(), what.clone())));
        }
        if asked && (changed || resolutions.get(at).is_none_or(Option::is_none)) {
            statement.code.insert("names that an earlier statement of the message may change".to_owned());
            statement.class = SqlClass::Opaque;
        }
        let effect = description.effects.get(at);
        changed |= disturbance(statement, effect).any() || (moved && ends_transaction(effect));
        new.facts.class = new.facts.class.max(statement.class);
    }
    let facts = Arc::new(Facts::Sql(new.facts.clone()));
    Meaning { description: Arc::new(new), facts, identities, carried, columns }
}

fn resolve(statement: &mut SqlStatement, referents: Option<&Referents>, resolution: &Resolution) {
    statement.apart = statement.apart.max(resolution.raised);
    statement.code.clone_from(&resolution.code);
    statement.class = if statement.code.is_empty() { statement.apart } else { SqlClass::Opaque };
    let named: BTreeMap<String, &String> =
        resolution.relations.iter().map(|(Name { schema, name }, resolved)| (quoted(schema, name), resolved)).collect();
    let resolved = |tables: &BTreeSet<String>| -> BTreeSet<String> {
        tables.iter().map(|table| named.get(table).map_or(table, |resolved| *resolved).clone()).collect()
    };
    let mut tables = SqlTables { read: resolved(&statement.tables.read), write: resolved(&statement.tables.write) };
    let reads = referents.is_some_and(|referents| !referents.relations.is_empty());
    for reached in resolution.behind.iter().filter(|_| reads) {
        let list = if reached.written { &mut tables.write } else { &mut tables.read };
        list.insert(reached.name.clone());
    }
    statement.tables = tables;
}

/// What a statement may do to names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Disturbance {
    /// The session may look for names elsewhere.
    pub(crate) scope: bool,
    /// Other objects may stand under them, for everyone.
    pub(crate) definitions: bool,
}

impl Disturbance {
    /// Whether what follows may find other objects under its names than before.
    pub(crate) fn any(self) -> bool {
        self.scope || self.definitions
    }
}

/// What a statement with this effect may do to names once it has run.
pub(crate) fn disturbance(statement: &SqlStatement, effect: Option<&Effect>) -> Disturbance {
    let discloses = discloses(statement);
    let definitions = statement.class >= SqlClass::Ddl && !discloses;
    let opaque = statement.class >= SqlClass::Admin && !discloses;
    Disturbance { scope: opaque || effect.is_none_or(moves), definitions }
}

/// Whether a statement is administration only for what it shows: it reads the system's own relations, under which there
/// is nothing of the user's, and calls nothing that does more. `pg_dump` reads `pg_subscription` in the transaction of
/// everything else it asks.
fn discloses(statement: &SqlStatement) -> bool {
    let SqlStatement { verb, class, apart, code, tables, functions, has_where: _ } = statement;
    let system = |table: &String| table.starts_with("pg_catalog.") || table.starts_with("information_schema.");
    verb == "SELECT"
        && (*class, *apart) == (SqlClass::Admin, SqlClass::Admin)
        && code.is_empty()
        && tables.write.is_empty()
        && !tables.read.is_empty()
        && tables.read.iter().all(system)
        && functions.iter().all(|name| builtin_class(name).is_some_and(|class| class <= SqlClass::Session))
}

/// Whether an effect ends a transaction, or a part of it, and with it what was set only in it.
fn ends_transaction(effect: Option<&Effect>) -> bool {
    matches!(
        effect,
        Some(
            Effect::Commit { .. }
                | Effect::Rollback { .. }
                | Effect::RollbackTo { .. }
                | Effect::PrepareTransaction { .. }
                | Effect::FinishPrepared { .. }
        )
    )
}

/// Whether an effect moves the search path, or the objects on it.
fn moves(effect: &Effect) -> bool {
    use super::super::describe::Discard;
    let moving = |name: &Option<String>| {
        name.as_deref().is_none_or(|name| matches!(name, "search_path" | "role" | "session_authorization"))
    };
    match effect {
        Effect::Set(setting) => moving(&setting.name),
        Effect::Reset { name, .. } => moving(&Some(name.clone())),
        Effect::Query { settings, temporary } => *temporary || settings.iter().any(|setting| moving(&setting.name)),
        Effect::DeclareCursor { settings, .. } => settings.iter().any(|setting| moving(&setting.name)),
        Effect::Execute { temporary, .. } => *temporary,
        Effect::ResetAll | Effect::Discard(Discard::All | Discard::Temporary) | Effect::Unknown => true,
        Effect::Commit { .. } | Effect::Rollback { .. } | Effect::RollbackTo { .. } => false, // see `ends_transaction`
        Effect::PrepareTransaction { .. } | Effect::FinishPrepared { .. } => false,
        Effect::None
        | Effect::InSteps
        | Effect::Begin { .. }
        | Effect::Savepoint { .. }
        | Effect::Release { .. }
        | Effect::SetTransaction { .. }
        | Effect::SetCharacteristics { .. }
        | Effect::SetSnapshot { .. }
        | Effect::SetConstraints
        | Effect::Prepare { .. }
        | Effect::Deallocate { .. }
        | Effect::Fetch { .. }
        | Effect::CloseCursor { .. }
        | Effect::Discard(Discard::Plans | Discard::Sequences)
        | Effect::CopyIn(_)
        | Effect::CopyOut
        | Effect::Listen { .. }
        | Effect::Unlisten { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::describe::{NoSession, describe};
    use super::*;

    /// What a statement is taken to do to names once its own have been resolved to the system's.
    fn check(sql: &str, expected: Disturbance) {
        let described = describe(sql, &NoSession);
        let mut statement = described.facts.statements[0].clone();
        let resolved = |table: &String| if table.contains('.') { table.clone() } else { format!("pg_catalog.{table}") };
        statement.tables.read = statement.tables.read.iter().map(resolved).collect();
        assert_eq!(disturbance(&statement, described.effects.first()), expected, "{sql}");
    }

    #[test]
    fn what_only_shows_the_systems_secrets_moves_no_name() {
        for sql in [
            "SELECT subconninfo FROM pg_subscription s WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
            "SELECT rolname, pg_catalog.length(rolpassword) FROM pg_authid",
        ] {
            check(sql, Disturbance::default());
        }
    }

    #[test]
    fn what_does_more_than_show_may_move_them() {
        let any = Disturbance { scope: true, definitions: true };
        for sql in [
            "SELECT pg_reload_conf()",
            "SELECT pg_reload_conf() FROM pg_authid",
            "SELECT pg_catalog.pg_reload_conf() FROM pg_authid",
            "SELECT nextval('s') FROM pg_authid, public.mine",
            "SELECT somebodys() FROM pg_authid",
            "SELECT a.pg_reload_conf FROM pg_authid a",
            "SELECT * FROM pg_authid, public.mine",
            "SELECT * INTO copied FROM pg_authid",
            "WITH w AS (DELETE FROM mine RETURNING *) SELECT * FROM pg_authid, w",
            "UPDATE pg_authid SET rolname = 'x'",
            "ALTER ROLE somebody SET search_path = mine",
        ] {
            check(sql, any);
        }
    }
}
