//! What a statement does to its own session, for the session machine.
//!
//! Effects are read off the same tree as the facts. They say what the statement *would* do if it succeeds; the session
//! machine applies them when the server has said so.

use countersign_core::action::sql::SqlStatement;
use pg_query::protobuf as pb;
use pg_query::{Node, NodeEnum};

use super::copy::CopyIn;
use super::referents::Referents;
use super::text;
use super::walk::Walk;

/// Modes of a transaction that a statement names; `None` where it names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// `serializable`, `repeatable read`, `read committed` or `read uncommitted`.
    pub isolation: Option<String>,
    /// `READ ONLY` or `READ WRITE`.
    pub read_only: Option<bool>,
    /// `DEFERRABLE` or `NOT DEFERRABLE`.
    pub deferrable: Option<bool>,
}

/// One change of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The setting's name in lower case; `None` when it is computed.
    pub name: Option<String>,
    /// The value, list items joined by `, `; `None` when it is computed, or the default.
    pub value: Option<String>,
    /// Whether it ends with the transaction.
    pub local: bool,
}

/// What `DISCARD` throws away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// Everything, prepared statements, settings, cursors, locks and temporary tables included.
    All,
    /// Cached plans.
    Plans,
    /// The cached state of sequences.
    Sequences,
    /// Temporary tables.
    Temporary,
}

/// What one statement does to its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing the session machine must know.
    None,
    /// Nothing, but that it commits in steps, the first of which stay when a later one fails: `CONCURRENTLY`.
    InSteps,
    /// Not known: the statement is opaque.
    Unknown,
    /// A query that changes settings through `set_config`, or makes a temporary object.
    Query {
        /// Settings changed, in the order written.
        settings: Vec<Setting>,
        /// Whether a temporary object is made.
        temporary: bool,
    },
    /// `BEGIN`, `START TRANSACTION`.
    Begin {
        /// The modes it names.
        modes: TransactionModes,
    },
    /// `COMMIT`, `END`.
    Commit {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`.
    Rollback {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `SAVEPOINT`.
    Savepoint {
        /// The savepoint.
        name: String,
    },
    /// `ROLLBACK TO`.
    RollbackTo {
        /// The savepoint.
        name: String,
    },
    /// `RELEASE`.
    Release {
        /// The savepoint.
        name: String,
    },
    /// `PREPARE TRANSACTION`.
    PrepareTransaction {
        /// The transaction's global identifier.
        gid: String,
    },
    /// `COMMIT PREPARED`, `ROLLBACK PREPARED`.
    FinishPrepared {
        /// The transaction's global identifier.
        gid: String,
        /// Whether it is committed.
        commit: bool,
    },
    /// `SET TRANSACTION`.
    SetTransaction {
        /// The modes it names.
        modes: TransactionModes,
    },
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION`.
    SetCharacteristics {
        /// The modes it names.
        modes: TransactionModes,
    },
    /// `SET TRANSACTION SNAPSHOT`.
    SetSnapshot {
        /// The snapshot's identifier.
        snapshot: String,
    },
    /// `SET name`, including `SET ROLE`, `SET SESSION AUTHORIZATION`, `SET TIME ZONE`, `SET NAMES`.
    Set(Setting),
    /// `RESET name`, `SET name TO DEFAULT`.
    Reset {
        /// The setting's name in lower case.
        name: String,
        /// Whether it ends with the transaction.
        local: bool,
    },
    /// `RESET ALL`.
    ResetAll,
    /// `SET CONSTRAINTS`.
    SetConstraints,
    /// `PREPARE`.
    Prepare {
        /// The statement's name.
        name: String,
        /// Its facts; the verb is `PREPARE`.
        statement: Box<SqlStatement>,
        /// Its names.
        referents: Box<Referents>,
    },
    /// `EXECUTE`, also under `EXPLAIN` or in `CREATE TABLE AS`.
    Execute {
        /// The statement's name.
        name: String,
        /// Whether a temporary object is made (`CREATE TEMPORARY TABLE … AS EXECUTE`).
        temporary: bool,
    },
    /// `DEALLOCATE`.
    Deallocate {
        /// The statement's name; `None` for all.
        name: Option<String>,
    },
    /// `DECLARE … CURSOR`.
    DeclareCursor {
        /// The cursor.
        name: String,
        /// `WITH HOLD`: outlives the transaction.
        hold: bool,
        /// Facts of its query; the verb is `DECLARE CURSOR`.
        statement: Box<SqlStatement>,
        /// Settings its query changes when it is fetched from.
        settings: Vec<Setting>,
    },
    /// `FETCH`, `MOVE`.
    Fetch {
        /// The cursor.
        name: String,
    },
    /// `CLOSE`.
    CloseCursor {
        /// The cursor; `None` for all.
        name: Option<String>,
    },
    /// `DISCARD`.
    Discard(Discard),
    /// `COPY … FROM STDIN`: the server will ask for data.
    CopyIn(CopyIn),
    /// `COPY … TO STDOUT`: the server will send data.
    CopyOut,
    /// `LISTEN`.
    Listen {
        /// The channel.
        channel: String,
    },
    /// `UNLISTEN`.
    Unlisten {
        /// The channel; `None` for all.
        channel: Option<String>,
    },
}

/// The effect of a statement that `walk` has walked.
pub(super) fn of(node: &NodeEnum, walk: &Walk<'_>) -> Effect {
    match node {
        NodeEnum::TransactionStmt(statement) => transaction(statement),
        NodeEnum::VariableSetStmt(statement) => set(statement),
        NodeEnum::ConstraintsSetStmt(_) => Effect::SetConstraints,
        NodeEnum::PrepareStmt(statement) => {
            let referents = Box::new(walk.referents.clone());
            Effect::Prepare { name: statement.name.clone(), statement: Box::new(walk.facts()), referents }
        }
        NodeEnum::ExecuteStmt(statement) => Effect::Execute { name: statement.name.clone(), temporary: false },
        NodeEnum::ExplainStmt(statement) => wrapped(statement.query.as_deref(), walk),
        NodeEnum::CreateTableAsStmt(statement) => wrapped(statement.query.as_deref(), walk),
        NodeEnum::DeallocateStmt(statement) => Effect::Deallocate { name: unless(statement.isall, &statement.name) },
        NodeEnum::DeclareCursorStmt(statement) => Effect::DeclareCursor {
            name: statement.portalname.clone(),
            hold: statement.options & CURSOR_OPTION_HOLD != 0,
            statement: Box::new(walk.facts()),
            settings: walk.settings.clone(),
        },
        NodeEnum::FetchStmt(statement) => Effect::Fetch { name: statement.portalname.clone() },
        NodeEnum::ClosePortalStmt(statement) => {
            Effect::CloseCursor { name: unless(statement.portalname.is_empty(), &statement.portalname) }
        }
        NodeEnum::DiscardStmt(statement) => discard(statement),
        NodeEnum::CopyStmt(statement) => copy(statement, walk),
        NodeEnum::ListenStmt(statement) => Effect::Listen { channel: statement.conditionname.clone() },
        NodeEnum::UnlistenStmt(statement) => {
            Effect::Unlisten { channel: unless(statement.conditionname.is_empty(), &statement.conditionname) }
        }
        _ if concurrent(node) => match query(walk) {
            Effect::None => Effect::InSteps,
            _ => Effect::Unknown,
        },
        _ => query(walk),
    }
}

/// Whether an index is made or dropped, or a partition detached, `CONCURRENTLY`. `REINDEX` may commit in steps without.
fn concurrent(node: &NodeEnum) -> bool {
    let detaches = |command: &Node| match &command.node {
        Some(NodeEnum::AlterTableCmd(command)) => match command.def.as_ref().and_then(|def| def.node.as_ref()) {
            Some(NodeEnum::PartitionCmd(partition)) => partition.concurrent,
            _ => false,
        },
        _ => false,
    };
    match node {
        NodeEnum::IndexStmt(statement) => statement.concurrent,
        NodeEnum::DropStmt(statement) => statement.concurrent,
        NodeEnum::AlterTableStmt(statement) => statement.cmds.iter().any(detaches),
        _ => false,
    }
}

/// `CURSOR_OPT_HOLD` of `parsenodes.h`.
const CURSOR_OPTION_HOLD: i32 = 0x0020;

fn unless(absent: bool, name: &str) -> Option<String> {
    (!absent).then(|| name.to_owned())
}

fn query(walk: &Walk<'_>) -> Effect {
    if walk.settings.is_empty() && !walk.temporary {
        return Effect::None;
    }
    Effect::Query { settings: walk.settings.clone(), temporary: walk.temporary }
}

/// `EXPLAIN` and `CREATE TABLE AS` may hold an `EXECUTE`; an explained `DECLARE` makes no cursor.
fn wrapped(inner: Option<&Node>, walk: &Walk<'_>) -> Effect {
    match inner.and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::ExecuteStmt(execute)) => {
            Effect::Execute { name: execute.name.clone(), temporary: walk.temporary }
        }
        Some(NodeEnum::CreateTableAsStmt(create)) => wrapped(create.query.as_deref(), walk),
        Some(_) | None => query(walk),
    }
}

fn copy(statement: &pb::CopyStmt, walk: &Walk<'_>) -> Effect {
    let client = statement.filename.is_empty() && !statement.is_program;
    match (client, statement.is_from) {
        (true, true) => Effect::CopyIn(CopyIn::of(statement)),
        (true, false) => Effect::CopyOut,
        (false, _) => query(walk),
    }
}

fn discard(statement: &pb::DiscardStmt) -> Effect {
    use pb::DiscardMode as M;
    match M::try_from(statement.target) {
        Ok(M::DiscardAll) => Effect::Discard(Discard::All),
        Ok(M::DiscardPlans) => Effect::Discard(Discard::Plans),
        Ok(M::DiscardSequences) => Effect::Discard(Discard::Sequences),
        Ok(M::DiscardTemp) => Effect::Discard(Discard::Temporary),
        Ok(M::Undefined) | Err(_) => Effect::Unknown,
    }
}

fn transaction(statement: &pb::TransactionStmt) -> Effect {
    use pb::TransactionStmtKind as K;
    let chain = statement.chain;
    let name = || statement.savepoint_name.clone();
    let gid = || statement.gid.clone();
    match K::try_from(statement.kind) {
        Ok(K::TransStmtBegin | K::TransStmtStart) => Effect::Begin { modes: modes(&statement.options) },
        Ok(K::TransStmtCommit) => Effect::Commit { chain },
        Ok(K::TransStmtRollback) => Effect::Rollback { chain },
        Ok(K::TransStmtSavepoint) => Effect::Savepoint { name: name() },
        Ok(K::TransStmtRelease) => Effect::Release { name: name() },
        Ok(K::TransStmtRollbackTo) => Effect::RollbackTo { name: name() },
        Ok(K::TransStmtPrepare) => Effect::PrepareTransaction { gid: gid() },
        Ok(K::TransStmtCommitPrepared) => Effect::FinishPrepared { gid: gid(), commit: true },
        Ok(K::TransStmtRollbackPrepared) => Effect::FinishPrepared { gid: gid(), commit: false },
        Ok(K::Undefined) | Err(_) => Effect::Unknown,
    }
}

fn set(statement: &pb::VariableSetStmt) -> Effect {
    use pb::VariableSetKind as K;
    let name = statement.name.to_ascii_lowercase();
    let local = statement.is_local;
    match K::try_from(statement.kind) {
        Ok(K::VarSetValue) => Effect::Set(Setting { name: Some(name), value: text::values(&statement.args), local }),
        Ok(K::VarSetDefault | K::VarReset) => Effect::Reset { name, local },
        Ok(K::VarResetAll) => Effect::ResetAll,
        Ok(K::VarSetMulti) => match name.as_str() {
            "transaction" => Effect::SetTransaction { modes: modes(&statement.args) },
            "session characteristics" => Effect::SetCharacteristics { modes: modes(&statement.args) },
            "transaction snapshot" => {
                Effect::SetSnapshot { snapshot: text::values(&statement.args).unwrap_or_default() }
            }
            _ => Effect::Unknown,
        },
        Ok(K::VarSetCurrent | K::Undefined) | Err(_) => Effect::Unknown,
    }
}

/// The modes a list of options names; the last of a kind holds, as in the server.
pub(super) fn modes(options: &[Node]) -> TransactionModes {
    let mut modes = TransactionModes::default();
    for option in options {
        let Some(NodeEnum::DefElem(option)) = &option.node else { continue };
        let value = option.arg.as_deref().and_then(text::constant);
        match option.defname.as_str() {
            "transaction_isolation" => modes.isolation = value,
            "transaction_read_only" => modes.read_only = Some(value.as_deref() == Some("1")),
            "transaction_deferrable" => modes.deferrable = Some(value.as_deref() == Some("1")),
            _ => {}
        }
    }
    modes
}
