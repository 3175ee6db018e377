//! The one door to libpg_query: text in, the statements' nodes out, bounded in length, depth and stack.
//!
//! Three properties of the library shape this module.
//!
//! *Standard error.* While it parses or scans, libpg_query points the process's standard error at a pipe and back
//! again. Two calls at once could leave it pointing at a closed pipe, so calls take a lock, which also bounds the parsing
//! work in flight. What other threads write to standard error meanwhile is lost; log elsewhere.
//!
//! *Depth.* The C code bounds its own recursion (by the calling thread's stack, at most 2 MiB), the grammar its own
//! stack (10,000 symbols); prost must decode whatever passes, and its usual limit of 100 levels would refuse a chain of
//! fifty operators. It is lifted (feature `no-recursion-limit`), and decoding, walking and dropping the tree need more
//! stack than the C code did: [`STACK_BYTES_MIN`]. A thread that has that much left does the work itself; another hands
//! it to a thread of its own, which costs some tens of microseconds, so the gateway's workers are given such stacks
//! ([`STACK_BYTES`]). Only touched pages cost memory. The walk has a bound of its own besides (`walk::DEPTH_MAX`).
//! Measured: 700 chained operators, casts, calls or joins, 1,000 branches of a `UNION`, 250 nested scalar subqueries, 350
//! in `FROM`, and `AND` or `OR` of any length (the grammar makes those flat) are understood; deeper ones are refused
//! within milliseconds.
//!
//! *Time.* How long a text takes is bounded before it is parsed, by `size.rs`. A long one may still take some tenths of a
//! second, most of it under the lock; `protocols/postgres/describer.rs` lets one at a time come here.
//!
//! *Panics.* The crate indexes into trees it trusts. A panic there, or here, makes the message opaque.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

use pg_query::NodeEnum;
use pg_query::protobuf::{RawStmt, ScanToken};

use super::{SQL_BYTES_MAX, size};

/// Stack that must be left on the calling thread, in bytes: 48 MiB. The deepest tree the C code lets through takes less
/// than 32 MiB in an unoptimised build, and a fraction of that in an optimised one.
const STACK_BYTES_MIN: usize = 48 * 1024 * 1024;

/// Stack for threads that call [`super::describe`], in bytes: 64 MiB of addresses.
pub const STACK_BYTES: usize = 64 * 1024 * 1024;

static PARSER: Mutex<()> = Mutex::new(());

/// Why a text has no tree.
#[derive(Debug, thiserror::Error)]
pub(in crate::protocols::postgres) enum Error {
    /// Longer than [`SQL_BYTES_MAX`].
    #[error("the message has {0} bytes; at most {SQL_BYTES_MAX} are read")]
    TooLong(usize),
    /// Runs of operator characters that would take the scanner long; see `size.rs`.
    #[error("the message has too many operator characters in a row")]
    TooManyOperators,
    /// More than [`size::TOKENS_MAX`].
    #[error("the message has {0} tokens; at most {max} are read", max = size::TOKENS_MAX)]
    TooManyTokens(usize),
    /// The grammar, or a bound of the parser, refused the text.
    #[error(transparent)]
    Parse(#[from] pg_query::Error),
    /// A statement without a node, which the parser never yields.
    #[error("the parser returned an empty statement")]
    Empty,
    /// No thread with enough stack could be started, or the work on it panicked.
    #[error("the message could not be examined")]
    Stopped,
}

/// Parses `sql` and hands its statements to `then`, with stack enough for both.
pub(in crate::protocols::postgres) fn with_tree<T: Send>(
    sql: &str,
    then: impl FnOnce(Vec<NodeEnum>) -> T + Send,
) -> Result<T, Error> {
    with_stack(|| parse(sql).map(then))?
}

/// The tokens of `sql`, comments included; `None` when the text cannot be scanned or is too long. Not by the crate's
/// `scan_tokens`, which reads through a null pointer when there is no token.
pub(super) fn tokens(sql: &str) -> Option<Vec<ScanToken>> {
    scan(sql).ok()
}

/// The same, with the reason where there are none.
pub(super) fn scan(sql: &str) -> Result<Vec<ScanToken>, Error> {
    readable(sql)?;
    let _one_at_a_time = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(pg_query::scan(sql)?.tokens)
}

/// libpg_query's fingerprint of `sql`; `None` when it does not parse or is too long.
pub(super) fn fingerprint(sql: &str) -> Option<String> {
    readable(sql).and_then(|()| size::parsable(sql)).ok()?;
    let _one_at_a_time = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
    pg_query::fingerprint(sql, 0, 0).ok().map(|fingerprint| fingerprint.hex)
}

/// What the library may be given: everything else in this module asks this first.
fn readable(sql: &str) -> Result<(), Error> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Error::TooLong(sql.len()));
    }
    size::scannable(sql)
}

fn with_stack<T: Send>(run: impl FnOnce() -> T + Send) -> Result<T, Error> {
    if stacker::remaining_stack().is_some_and(|left| left >= STACK_BYTES_MIN) {
        return catch_unwind(AssertUnwindSafe(run)).map_err(|_| Error::Stopped);
    }
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("describe".to_owned()).stack_size(STACK_BYTES);
        let worker = builder.spawn_scoped(scope, run).map_err(|_| Error::Stopped)?;
        worker.join().map_err(|_| Error::Stopped)
    })
}

fn parse(sql: &str) -> Result<Vec<NodeEnum>, Error> {
    readable(sql)?;
    size::parsable(sql)?;
    let parsed = {
        let _one_at_a_time = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
        pg_query::parse(sql, 0)?
    };
    parsed.protobuf.stmts.into_iter().map(node_of).collect()
}

fn node_of(statement: RawStmt) -> Result<NodeEnum, Error> {
    statement.stmt.and_then(|node| node.node).ok_or(Error::Empty)
}
