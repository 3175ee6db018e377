//! The session, its transaction, wrappers of other statements, and commands that work on whole tables.

use countersign_core::action::sql::SqlClass;
use pg_query::NodeEnum;
use pg_query::protobuf::{self as pb, Node};

use super::super::builtin::settings;
use super::super::{effect, text};
use super::{Events, Visit, Walk};

/// Options of `EXPLAIN` up to version 18. Extensions may add more, which could do anything.
const EXPLAIN_OPTIONS: &[&str] = &[
    "analyze",
    "buffers",
    "costs",
    "format",
    "generic_plan",
    "memory",
    "serialize",
    "settings",
    "summary",
    "timing",
    "verbose",
    "wal",
];

/// `AccessShareLock` of `lockdefs.h`, which any reader takes.
const ACCESS_SHARE_LOCK: i32 = 1;

impl Visit for pb::TransactionStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        use pb::TransactionStmtKind as K;
        let Self { kind, options, savepoint_name: _, gid: _, chain: _, location: _ } = self;
        let plain = if options.is_empty() { SqlClass::Read } else { SqlClass::Session };
        match K::try_from(*kind) {
            Ok(K::TransStmtBegin) => walk.command("BEGIN", plain),
            Ok(K::TransStmtStart) => walk.command("START TRANSACTION", plain),
            Ok(K::TransStmtCommit) => walk.command("COMMIT", SqlClass::Read),
            Ok(K::TransStmtRollback) => walk.command("ROLLBACK", SqlClass::Read),
            Ok(K::TransStmtSavepoint) => walk.command("SAVEPOINT", SqlClass::Read),
            Ok(K::TransStmtRelease) => walk.command("RELEASE", SqlClass::Read),
            Ok(K::TransStmtRollbackTo) => walk.command("ROLLBACK TO", SqlClass::Read),
            Ok(K::TransStmtPrepare) => walk.command("PREPARE TRANSACTION", SqlClass::Write),
            // what the transaction did is not in this text
            Ok(K::TransStmtCommitPrepared) => walk.command("COMMIT PREPARED", SqlClass::Opaque),
            Ok(K::TransStmtRollbackPrepared) => walk.command("ROLLBACK PREPARED", SqlClass::Opaque),
            Ok(K::Undefined) | Err(_) => walk.unknown(),
        }
        options.visit(walk);
    }
}

impl Visit for pb::VariableSetStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        use pb::VariableSetKind as K;
        let Self { kind, name, args, jumble_args: _, is_local: _, location: _ } = self;
        match K::try_from(*kind) {
            Ok(K::VarSetValue) => walk.command("SET", settings::class(name, text::values(args).as_deref())),
            Ok(K::VarSetDefault) => walk.command("SET", settings::class(name, None)),
            Ok(K::VarReset) => walk.command("RESET", settings::class(name, None)),
            Ok(K::VarResetAll) => walk.command("RESET", SqlClass::Session),
            Ok(K::VarSetMulti) => walk.command("SET", characteristics_class(name, args)),
            // `FROM CURRENT`, in definitions of functions only
            Ok(K::VarSetCurrent) => walk.command("SET", settings::class(name, None)),
            Ok(K::Undefined) | Err(_) => walk.unknown(),
        }
        args.visit(walk);
    }
}

/// `SET TRANSACTION` is about one transaction; `SET SESSION CHARACTERISTICS … READ WRITE` lifts a read-only session.
fn characteristics_class(name: &str, args: &[Node]) -> SqlClass {
    match name {
        "TRANSACTION" | "TRANSACTION SNAPSHOT" => SqlClass::Session,
        "SESSION CHARACTERISTICS" if effect::modes(args).read_only != Some(false) => SqlClass::Session,
        "SESSION CHARACTERISTICS" => SqlClass::Admin,
        _ => SqlClass::Opaque,
    }
}

impl Visit for pb::VariableShowStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { name: _ } = self;
        walk.command("SHOW", SqlClass::Read);
    }
}

impl Visit for pb::ConstraintsSetStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { constraints: _, deferred: _ } = self;
        walk.command("SET CONSTRAINTS", SqlClass::Session);
    }
}

impl Visit for pb::PrepareStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { name: _, argtypes, query } = self;
        walk.command("PREPARE", SqlClass::Read);
        argtypes.visit(walk);
        query.visit(walk);
        walk.hides_settings();
    }
}

/// Its class is that of the statement it runs, which must be known.
impl Visit for pb::ExecuteStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { name, params } = self;
        walk.command("EXECUTE", SqlClass::Read);
        params.visit(walk);
        let Some((prepared, referents)) = walk.known.prepared(name) else { return walk.call(SqlClass::Opaque) };
        match prepared.apart {
            // survives `EXPLAIN`: planning may run what is not known
            SqlClass::Opaque => walk.call(SqlClass::Opaque),
            class => walk.raise(class),
        }
        walk.code.extend(prepared.code.iter().cloned());
        walk.referents.add(referents);
        walk.tables.read.extend(prepared.tables.read.iter().cloned());
        walk.tables.write.extend(prepared.tables.write.iter().cloned());
        walk.functions.extend(prepared.functions.iter().cloned());
        walk.change(prepared.has_where);
    }
}

impl Visit for pb::DeallocateStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { name: _, isall: _, location: _ } = self;
        walk.command("DEALLOCATE", SqlClass::Session);
    }
}

impl Visit for pb::DeclareCursorStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { portalname: _, options: _, query } = self;
        walk.command("DECLARE CURSOR", SqlClass::Read);
        query.visit(walk);
    }
}

/// A read: the class of the cursor's query was decided when the cursor was declared. See the describer's own page.
impl Visit for pb::FetchStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { direction: _, how_many: _, portalname: _, ismove } = self;
        walk.command(if *ismove { "MOVE" } else { "FETCH" }, SqlClass::Read);
    }
}

impl Visit for pb::ClosePortalStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { portalname: _ } = self;
        walk.command("CLOSE", SqlClass::Read);
    }
}

impl Visit for pb::DiscardStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { target: _ } = self;
        walk.command("DISCARD", SqlClass::Session);
    }
}

impl Visit for pb::ListenStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { conditionname: _ } = self;
        walk.command("LISTEN", SqlClass::Session);
    }
}

impl Visit for pb::UnlistenStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { conditionname: _ } = self;
        walk.command("UNLISTEN", SqlClass::Session);
    }
}

impl Visit for pb::NotifyStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { conditionname: _, payload: _, payload_location: _ } = self;
        walk.command("NOTIFY", SqlClass::Write);
    }
}

impl Visit for pb::LockStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relations, mode, nowait: _ } = self;
        let shared = *mode == ACCESS_SHARE_LOCK;
        walk.command("LOCK", if shared { SqlClass::Read } else { SqlClass::Write });
        for relation in relations {
            match &relation.node {
                Some(NodeEnum::RangeVar(relation)) if shared => walk.read_table(relation),
                Some(NodeEnum::RangeVar(relation)) => walk.touch(relation),
                Some(_) | None => walk.unknown(),
            }
        }
    }
}

impl Visit for pb::ExplainStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { query, options } = self;
        walk.command("EXPLAIN", SqlClass::Read);
        let mut runs = false;
        for option in options {
            match &option.node {
                Some(NodeEnum::DefElem(option)) if EXPLAIN_OPTIONS.contains(&option.defname.as_str()) => {
                    runs |= option.defname == "analyze" && !is_off(option);
                }
                Some(_) | None => walk.unknown(),
            }
        }
        if runs { query.visit(walk) } else { walk.planned(query) }
    }
}

/// Whether an option is surely off. One that is on, or odd, counts as on.
fn is_off(option: &pb::DefElem) -> bool {
    option.arg.as_deref().and_then(text::constant).is_some_and(|value| settings::boolean(&value) == Some(false))
}

impl Visit for pb::CopyStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, query, attlist, is_from, is_program, filename, options, where_clause } = self;
        let server = *is_program || !filename.is_empty();
        match (*is_from, server) {
            (true, false) => walk.command("COPY FROM", SqlClass::Write),
            (false, false) => walk.command("COPY TO", SqlClass::Read),
            (true, true) => walk.command("COPY FROM", SqlClass::Admin),
            (false, true) => walk.command("COPY TO", SqlClass::Admin),
        }
        match relation {
            Some(relation) if *is_from => {
                walk.write(relation);
                walk.fires(Some(relation), Events::INSERT);
            }
            Some(relation) => walk.read_table(relation),
            None => {}
        }
        query.visit(walk);
        attlist.visit(walk);
        options.visit(walk);
        where_clause.visit(walk);
        walk.hides_settings();
    }
}

impl Visit for pb::DoStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { args: _ } = self;
        walk.command("DO", SqlClass::Opaque);
    }
}

impl Visit for pb::CallStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { funccall, funcexpr, outargs } = self;
        walk.command("CALL", SqlClass::Opaque);
        if funcexpr.is_some() {
            walk.unknown();
        }
        funccall.visit(walk);
        outargs.visit(walk);
    }
}

impl Visit for pb::TruncateStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relations, restart_seqs: _, behavior: _ } = self;
        walk.command("TRUNCATE", SqlClass::Ddl);
        walk.write_relations(relations);
        for relation in relations {
            if let Some(NodeEnum::RangeVar(relation)) = &relation.node {
                walk.fires(Some(relation), Events::TRUNCATE);
            }
        }
    }
}

impl Visit for pb::VacuumStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { options, rels, is_vacuumcmd } = self;
        match is_vacuumcmd {
            true => walk.command("VACUUM", SqlClass::Ddl),
            false => walk.command("ANALYZE", SqlClass::Write),
        }
        options.visit(walk);
        rels.visit(walk);
    }
}

impl Visit for pb::VacuumRelation {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, oid: _, va_cols } = self;
        match relation {
            Some(relation) => walk.touch(relation),
            None => walk.unknown(),
        }
        va_cols.visit(walk);
    }
}

impl Visit for pb::ClusterStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { relation, indexname: _, params } = self;
        walk.command("CLUSTER", SqlClass::Ddl);
        walk.write_opt(relation.as_ref());
        params.visit(walk);
    }
}

impl Visit for pb::ReindexStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        use pb::ReindexObjectType as K;
        let Self { kind, relation, name: _, params } = self;
        walk.command("REINDEX", SqlClass::Ddl);
        match (K::try_from(*kind), relation) {
            (Ok(K::ReindexObjectTable), Some(relation)) => walk.touch(relation),
            (Ok(K::ReindexObjectIndex), Some(_)) => {}
            (Ok(K::ReindexObjectSchema | K::ReindexObjectSystem | K::ReindexObjectDatabase), None) => {}
            (Ok(_) | Err(_), _) => walk.unknown(),
        }
        params.visit(walk);
    }
}

impl Visit for pb::RefreshMatViewStmt {
    fn visit(&self, walk: &mut Walk<'_>) {
        let Self { concurrent: _, skip_data: _, relation } = self;
        walk.command("REFRESH MATERIALIZED VIEW", SqlClass::Ddl);
        walk.write_opt(relation.as_ref());
    }
}

impl Walk<'_> {
    /// Relations that are written or defined.
    pub(super) fn write_relations(&mut self, relations: &[Node]) {
        for relation in relations {
            match &relation.node {
                Some(NodeEnum::RangeVar(relation)) => self.write(relation),
                Some(_) | None => self.unknown(),
            }
        }
    }
}
