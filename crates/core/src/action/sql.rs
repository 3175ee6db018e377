//! What a PostgreSQL message means: the facts a describer extracts and policy reads.
//!
//! Facts come from PostgreSQL's own grammar, never from a regular expression. The describer itself lives with the
//! protocol; this module only holds the vocabulary that policy, cards and records share.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How dangerous a statement is, least first: the order is the order of danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqlClass {
    /// Reads rows and changes nothing.
    Read,
    /// Changes a setting of the own session that changes no rights.
    Session,
    /// Changes rows, sequences, locks, queues or statistics.
    Write,
    /// Changes objects, or rewrites them.
    Ddl,
    /// Changes rights, the server, its files, or other sessions.
    Admin,
    /// Its effect cannot be known from its text.
    Opaque,
}

impl SqlClass {
    /// What a statement without a known class is.
    fn unknown() -> Self {
        SqlClass::Opaque
    }

    /// The name used in JSON, policies and cards.
    pub fn name(self) -> &'static str {
        match self {
            SqlClass::Read => "read",
            SqlClass::Session => "session",
            SqlClass::Write => "write",
            SqlClass::Ddl => "ddl",
            SqlClass::Admin => "admin",
            SqlClass::Opaque => "opaque",
        }
    }
}

/// The tables a statement reaches, quoted only where needed; names of common table expressions are no tables.
///
/// With their schema, where the executing session resolved them, and with those behind views, partitions and cascades; as
/// written where it was not asked, or has no such table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlTables {
    /// Tables whose rows are read.
    pub read: BTreeSet<String>,
    /// Tables whose rows, definition or rights are changed.
    pub write: BTreeSet<String>,
}

/// One statement of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlStatement {
    /// The command's first word or words in capitals: `SELECT`, `DELETE`, `CREATE TABLE`.
    pub verb: String,
    /// Its class: `opaque` as soon as it may run code of the database's users.
    pub class: SqlClass,
    /// Its class apart from that code: what it would be if `code` had no effect.
    #[serde(default = "SqlClass::unknown")]
    pub apart: SqlClass,
    /// Code of the database's users that it may run: functions, operators, casts, triggers, rules, foreign tables. Their
    /// identities as the executing session resolves them, or as written where that was not asked.
    #[serde(default)]
    pub code: BTreeSet<String>,
    /// The tables it names.
    pub tables: SqlTables,
    /// The functions it calls, as written.
    pub functions: BTreeSet<String>,
    /// Whether every `UPDATE` and `DELETE` in it has a `WHERE`.
    pub has_where: bool,
}

/// A whole message: as dangerous as its most dangerous statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlFacts {
    /// The highest class among the statements; `read` for an empty message.
    pub class: SqlClass,
    /// The statements, in order.
    pub statements: Vec<SqlStatement>,
}
