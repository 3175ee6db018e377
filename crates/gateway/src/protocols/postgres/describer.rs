//! Where texts are described: what is known and what is short at once, long texts one after the other, beside the event
//! loops.
//!
//! PostgreSQL's parser takes a lock of the process (`describe/parser.rs`), and a long text takes tenths of a second, while
//! an event loop serves many connections. So long texts wait for their turn here, of which there is one, in the order in
//! which they came; they are worked off on another thread, and a turn is followed by a pause as long as itself. While one
//! has its turn, short texts that are not known yet go to other threads as well, so that they wait for the parser's lock
//! there. A client that sends nothing but long texts then delays those of others, and hardly anybody's short ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{Mutex, oneshot};

use super::describe::{self, Description, Descriptions, SHORT_BYTES_MAX, SessionFacts, Sketched};

/// Describes the texts of all connections.
#[derive(Default)]
pub(super) struct Describer {
    descriptions: Arc<Descriptions>,
    turn: Arc<Mutex<()>>,
    /// Whether a long text is being described.
    busy: Arc<AtomicBool>,
}

impl Describer {
    /// Describes a message. Cancelled while it waits, it gives up its place.
    pub(super) async fn describe(&self, sql: &str, session: &impl Sketched) -> Arc<Description> {
        if let Some(known) = self.descriptions.known(sql) {
            return known;
        }
        if sql.len() > SHORT_BYTES_MAX {
            return self.in_turn(sql, session.sketch()).await;
        }
        if self.busy.load(Ordering::Relaxed) {
            return self.elsewhere(sql, session.sketch()).await;
        }
        self.descriptions.describe(sql, session)
    }

    async fn in_turn(&self, sql: &str, session: Box<dyn SessionFacts + Send>) -> Arc<Description> {
        let (descriptions, busy) = (self.descriptions.clone(), self.busy.clone());
        let turn = self.turn.clone().lock_owned().await;
        let (tell, told) = oneshot::channel();
        let sql = sql.to_owned();
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            busy.store(true, Ordering::Relaxed);
            let description = descriptions.describe(&sql, &*session);
            busy.store(false, Ordering::Relaxed);
            let took = began.elapsed();
            let _ = tell.send(description); // whoever asked may have left
            std::thread::sleep(took);
            drop(turn);
        });
        told.await.unwrap_or_else(|_| Arc::new(describe::unexamined()))
    }

    async fn elsewhere(&self, sql: &str, session: Box<dyn SessionFacts + Send>) -> Arc<Description> {
        let (descriptions, sql) = (self.descriptions.clone(), sql.to_owned());
        let work = tokio::task::spawn_blocking(move || descriptions.describe(&sql, &*session));
        work.await.unwrap_or_else(|_| Arc::new(describe::unexamined()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::describe::NoSession;
    use super::*;

    impl Sketched for NoSession {
        fn sketch(&self) -> Box<dyn SessionFacts + Send> {
            Box::new(NoSession)
        }
    }

    fn long() -> String {
        format!("SELECT {}1", "a, ".repeat(SHORT_BYTES_MAX / 3))
    }

    #[tokio::test]
    async fn long_texts_wait_for_their_turn_and_short_ones_do_not() {
        let describer = Describer::default();
        let turn = describer.turn.clone().lock_owned().await;
        let waited = tokio::time::timeout(Duration::from_millis(50), describer.describe(&long(), &NoSession)).await;
        assert!(waited.is_err(), "the turn is taken");
        assert!(describer.describe("SELECT 1", &NoSession).await.parse_error.is_none());
        drop(turn);
        assert!(describer.describe(&long(), &NoSession).await.parse_error.is_none());
    }

    #[tokio::test]
    async fn a_turn_is_followed_by_a_pause() {
        let describer = Describer::default();
        let first = describer.describe(&long(), &NoSession).await;
        assert!(first.parse_error.is_none());
        assert!(describer.turn.try_lock().is_err(), "it pauses");
        assert!(describer.describe(&long(), &NoSession).await.parse_error.is_none(), "and goes on");
    }

    /// While a long text has its turn, an event loop does not wait for the parser.
    #[tokio::test]
    async fn short_texts_go_elsewhere_meanwhile() {
        let describer = Describer::default();
        describer.busy.store(true, Ordering::Relaxed);
        let described = describer.describe("SELECT 1", &NoSession).await;
        assert!(described.parse_error.is_none());
        assert!(Arc::ptr_eq(&described, &describer.describe("SELECT 2", &NoSession).await), "it is known by its shape");
    }
}
