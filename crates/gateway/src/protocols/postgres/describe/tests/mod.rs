//! Table tests, the corpora, and properties of the describer.

mod bounds;
mod class;
mod corpus;
mod places;
mod session;

use countersign_core::action::sql::SqlClass;

pub(super) use corpus::lines;

use super::{Description, NoSession, STACK_BYTES, describe};

fn described(sql: &str) -> Description {
    describe(sql, &NoSession)
}

/// Runs a test that describes a lot on a thread with the stack that the gateway's workers have.
pub(super) fn as_worker(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let worker = builder.spawn_scoped(scope, test).expect("a thread starts");
        if let Err(panic) = worker.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Class, tables read and tables written, each list as words separated by spaces (names with spaces use commas).
fn check(sql: &str, class: SqlClass, read: &str, write: &str) {
    let facts = described(sql).facts;
    let mut tables = (Vec::new(), Vec::new());
    for statement in &facts.statements {
        tables.0.extend(statement.tables.read.iter().map(String::as_str));
        tables.1.extend(statement.tables.write.iter().map(String::as_str));
    }
    assert_eq!(facts.class, class, "class of {sql}");
    assert_eq!(sorted(tables.0), list(read), "read by {sql}");
    assert_eq!(sorted(tables.1), list(write), "written by {sql}");
}

fn list(words: &str) -> Vec<&str> {
    let separator = if words.contains(',') { ',' } else { ' ' };
    sorted(words.split(separator).map(str::trim).filter(|word| !word.is_empty()).collect())
}

fn sorted(mut words: Vec<&str>) -> Vec<&str> {
    words.sort_unstable();
    words.dedup();
    words
}
