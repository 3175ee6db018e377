//! What a client may do, read from arbitrary bytes: every byte string is a script.

use std::sync::{Arc, LazyLock};

use crate::protocols::postgres::describe::{Description, NoSession, describe};

/// What a text does, for the model of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Select,
    Write,
    /// A write that makes the commit fail.
    Poison,
    Fails,
    /// A write that ends its own transaction, and may not be part of another.
    Alone,
    /// The same, and then it fails.
    AloneThenFails,
    /// Asks for a stream.
    CopyIn,
    SetConfig,
    Set {
        local: bool,
    },
    Reset,
    ResetAll,
    DiscardAll,
    /// The text that is prepared.
    Prepare(usize),
    Deallocate,
    DeallocateAll,
    Execute,
    Begin,
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint,
    RollbackTo,
    Release,
    Empty,
    Unparsable,
}

/// One text that a client may send.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) sql: &'static str,
    pub(super) kind: Kind,
    /// What the server says when it is done.
    pub(super) tag: &'static str,
    /// The name or value in it.
    pub(super) argument: &'static str,
}

impl Template {
    /// Whether a failed transaction lets it through (`IsTransactionExitStmt`).
    pub(super) fn exits(&self) -> bool {
        matches!(self.kind, Kind::Commit { .. } | Kind::Rollback { .. } | Kind::RollbackTo | Kind::Empty)
    }

    /// Whether the server ends its own command around it, before the message ends.
    pub(super) fn ends_command(&self) -> bool {
        use Kind as K;
        matches!(
            self.kind,
            K::Begin | K::Commit { .. } | K::Rollback { .. } | K::Savepoint | K::RollbackTo | K::Release
        ) || matches!(self.kind, K::Alone | K::DiscardAll)
    }
}

const fn text(sql: &'static str, kind: Kind, tag: &'static str, argument: &'static str) -> Template {
    Template { sql, kind, tag, argument }
}

/// The texts, by number; the first two are what `PREPARE` prepares.
const TEMPLATES: &[Template] = &[
    text("SELECT 1", Kind::Select, "", ""),
    text("UPDATE t SET x = 1 WHERE id = 1", Kind::Write, "", ""),
    text("SELECT 1 / 0", Kind::Fails, "", ""),
    text("INSERT INTO t VALUES (-1)", Kind::Poison, "", ""),
    text("BEGIN", Kind::Begin, "BEGIN", ""),
    text("COMMIT", Kind::Commit { chain: false }, "", ""),
    text("ROLLBACK", Kind::Rollback { chain: false }, "", ""),
    text("COMMIT AND CHAIN", Kind::Commit { chain: true }, "", ""),
    text("ROLLBACK AND CHAIN", Kind::Rollback { chain: true }, "", ""),
    text("SAVEPOINT a", Kind::Savepoint, "SAVEPOINT", "a"),
    text("SAVEPOINT b", Kind::Savepoint, "SAVEPOINT", "b"),
    text("ROLLBACK TO a", Kind::RollbackTo, "ROLLBACK", "a"),
    text("ROLLBACK TO b", Kind::RollbackTo, "ROLLBACK", "b"),
    text("RELEASE a", Kind::Release, "RELEASE", "a"),
    text("RELEASE b", Kind::Release, "RELEASE", "b"),
    text("SET search_path = a", Kind::Set { local: false }, "SET", "a"),
    text("SET search_path = b", Kind::Set { local: false }, "SET", "b"),
    text("SET LOCAL search_path = c", Kind::Set { local: true }, "SET", "c"),
    text("SELECT set_config('search_path', 'd', false)", Kind::SetConfig, "", "d"),
    text("RESET search_path", Kind::Reset, "RESET", ""),
    text("RESET ALL", Kind::ResetAll, "RESET", ""),
    text("DISCARD ALL", Kind::DiscardAll, "DISCARD ALL", ""),
    text("PREPARE s1 AS SELECT 1", Kind::Prepare(0), "PREPARE", "s1"),
    text("PREPARE s2 AS UPDATE t SET x = 1 WHERE id = 1", Kind::Prepare(1), "PREPARE", "s2"),
    text("DEALLOCATE s1", Kind::Deallocate, "DEALLOCATE", "s1"),
    text("DEALLOCATE s2", Kind::Deallocate, "DEALLOCATE", "s2"),
    text("DEALLOCATE ALL", Kind::DeallocateAll, "DEALLOCATE ALL", ""),
    text("EXECUTE s1", Kind::Execute, "", "s1"),
    text("EXECUTE s2", Kind::Execute, "", "s2"),
    text("VACUUM t", Kind::Alone, "VACUUM", ""),
    text("CALL work()", Kind::Alone, "CALL", ""),
    text("CALL work_and_fail()", Kind::AloneThenFails, "", ""),
    text("COPY t FROM STDIN", Kind::CopyIn, "COPY 1", ""),
    text("", Kind::Empty, "", ""),
    text("SELEC", Kind::Unparsable, "", ""),
];

/// How many texts there are.
pub(super) const TEXTS: usize = TEMPLATES.len();

pub(super) fn template(text: usize) -> &'static Template {
    &TEMPLATES[text % TEXTS]
}

/// What the gateway believes that a text means; describing each once keeps a script fast.
pub(super) fn described(text: usize) -> Arc<Description> {
    static DESCRIBED: LazyLock<Vec<Arc<Description>>> =
        LazyLock::new(|| TEMPLATES.iter().map(|template| Arc::new(describe(template.sql, &NoSession))).collect());
    DESCRIBED[text % TEXTS].clone()
}

/// A step of a client.
#[derive(Debug)]
pub(super) enum Step {
    Parse {
        name: &'static str,
        text: usize,
    },
    Bind {
        portal: &'static str,
        statement: &'static str,
        fails: bool,
        refused: bool,
    },
    Execute {
        portal: &'static str,
    },
    Describe {
        statement: &'static str,
    },
    Close {
        statement: &'static str,
    },
    ClosePortal {
        portal: &'static str,
    },
    /// With a COPY alone: whether its stream fails, and whether it was taken in before.
    Query {
        texts: Vec<usize>,
        refused: bool,
        recorded: bool,
    },
    CopyEnd {
        fails: bool,
    },
    Flush,
    Sync,
}

/// Reads steps.
#[derive(Debug)]
pub(super) struct Script<'a> {
    bytes: std::iter::Copied<std::slice::Iter<'a, u8>>,
}

const STATEMENTS: [&str; 3] = ["", "s1", "s2"];
const PORTALS: [&str; 2] = ["", "p"];

impl<'a> Script<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter().copied() }
    }

    fn byte(&mut self) -> Option<usize> {
        self.bytes.next().map(usize::from)
    }

    /// The next step, and how many answers of the server arrive after it.
    pub(super) fn next(&mut self) -> Option<(Step, usize)> {
        let (kind, detail) = (self.byte()?, self.byte()?);
        let (statement, portal) = (STATEMENTS[detail % 3], PORTALS[detail / 3 % 2]);
        let (fails, refused) = (detail & 0x60 == 0x60, detail & 0x80 != 0);
        let step = match kind % 16 {
            0..=2 => Step::Parse { name: statement, text: self.byte()? % TEXTS },
            3 | 4 => Step::Bind { portal, statement, fails, refused },
            5 | 6 => Step::Execute { portal },
            7 => Step::Describe { statement },
            8 => Step::Close { statement },
            9 => Step::ClosePortal { portal },
            10..=12 => {
                let texts = (0..=detail % 4).map(|_| self.byte().map(|text| text % TEXTS)).collect::<Option<_>>()?;
                Step::Query { texts, refused, recorded: detail & 0x40 != 0 }
            }
            13 if detail % 2 == 0 => Step::Flush,
            13 => Step::CopyEnd { fails },
            _ => Step::Sync,
        };
        Some((step, kind / 64))
    }
}
