//! The one door to libpg_query: text in, the statements' nodes out, bounded in length, depth and stack.
//!
//! Two properties of the library shape this module.
//!
//! *Standard error.* While it parses or scans, libpg_query points the process's standard error at a pipe and back
//! again. Two calls at once could leave it pointing at a closed pipe, so calls take a lock, which also bounds the parsing
//! work in flight. What other threads write to standard error meanwhile is lost; log elsewhere.
//!
//! *Depth.* The C code bounds its own recursion (2 MiB of stack at most, and 10,000 levels of messages), the grammar its
//! own stack (10,000 symbols); prost must decode whatever passes, and its usual limit of 100 levels would refuse a chain
//! of fifty operators. It is lifted (feature `no-recursion-limit`), and decoding, walking and dropping the tree run with
//! at least `STACK_BYTES_MIN` of stack: enough, measured in an unoptimised build, for the deepest tree the C code lets
//! through. The walk has a bound of its own besides (`walk::DEPTH_MAX`).

use std::sync::{Mutex, PoisonError};

use pg_query::NodeEnum;
use pg_query::protobuf::{RawStmt, ScanToken};

use super::SQL_BYTES_MAX;

/// Stack that must be left before the parser is called, in bytes: 48 MiB, one and a half times the deepest seen.
const STACK_BYTES_MIN: usize = 48 * 1024 * 1024;

/// Stack that is mapped when less is left, in bytes: 64 MiB of addresses; only touched pages cost memory.
const STACK_BYTES: usize = 64 * 1024 * 1024;

static PARSER: Mutex<()> = Mutex::new(());

/// Why a text has no tree.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Longer than [`SQL_BYTES_MAX`].
    #[error("the statement has {0} bytes; at most {SQL_BYTES_MAX} are read")]
    TooLong(usize),
    /// The grammar, or a bound of the parser, refused the text.
    #[error("{0}")]
    Parse(#[source] pg_query::Error),
    /// A statement without a node, which the parser never yields.
    #[error("the parser returned an empty statement")]
    Empty,
}

/// Parses `sql` and hands its statements to `then`, on a stack large enough for both.
pub(super) fn with_tree<T>(sql: &str, then: impl FnOnce(Result<Vec<NodeEnum>, Error>) -> T) -> T {
    with_stack(|| then(parse(sql)))
}

/// The tokens of `sql`, comments included, or `None` when the text cannot be scanned or is too long.
pub(super) fn tokens(sql: &str) -> Option<Vec<ScanToken>> {
    if sql.len() > SQL_BYTES_MAX {
        return None;
    }
    let _one_at_a_time = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
    pg_query::scan_tokens(sql).ok()
}

/// libpg_query's fingerprint of `sql`.
pub(super) fn fingerprint(sql: &str) -> Option<String> {
    if sql.len() > SQL_BYTES_MAX {
        return None;
    }
    with_stack(|| {
        let _one_at_a_time = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
        pg_query::fingerprint(sql, 0, 0).ok().map(|fingerprint| fingerprint.hex)
    })
}

fn with_stack<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_BYTES_MIN, STACK_BYTES, run)
}

fn parse(sql: &str) -> Result<Vec<NodeEnum>, Error> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Error::TooLong(sql.len()));
    }
    let parsed = {
        let _one_at_a_time = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
        pg_query::parse(sql, 0).map_err(Error::Parse)?
    };
    parsed.protobuf.stmts.into_iter().map(node_of).collect()
}

fn node_of(statement: RawStmt) -> Result<NodeEnum, Error> {
    statement.stmt.and_then(|node| node.node).ok_or(Error::Empty)
}
