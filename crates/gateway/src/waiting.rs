//! The waiting room: live calls that hang on a review, longest-connected first.
//!
//! Nothing here is truth. A woken call reads the review from the store; after a restart the room is empty and the reviews
//! are still there. An approval is one execution: its waiters get their turns one after another, so that the first of
//! them uses the grant and the others find it used.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::action::ReviewId;
use tokio::sync::oneshot;

type Queue = VecDeque<oneshot::Sender<Turn>>;

/// Who waits for which review.
#[derive(Debug, Clone, Default)]
pub struct WaitingRoom {
    queues: Arc<Mutex<HashMap<ReviewId, Queue>>>,
}

/// A place in the room. Dropping it leaves the room.
#[derive(Debug)]
pub struct Ticket {
    turn: oneshot::Receiver<Turn>,
}

/// The right to look first at a closed review. Dropping it gives the turn to the next.
#[derive(Debug)]
pub struct Turn {
    rest: Queue,
}

impl WaitingRoom {
    /// Takes a place for a review.
    pub fn join(&self, review: &ReviewId) -> Ticket {
        let (sender, turn) = oneshot::channel();
        let mut queues = self.lock();
        let queue = queues.entry(review.clone()).or_default();
        queue.retain(|waiter| !waiter.is_closed());
        queue.push_back(sender);
        Ticket { turn }
    }

    /// Tells the waiters of a review that it closed.
    pub fn wake(&self, review: &ReviewId) {
        let queue = self.lock().remove(review).unwrap_or_default();
        drop(Turn { rest: queue });
    }

    /// How many calls wait.
    pub fn len(&self) -> usize {
        self.lock().values().flatten().filter(|waiter| !waiter.is_closed()).count()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ReviewId, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner) // a queue is valid after any panic
    }
}

impl Ticket {
    /// Waits for the turn; `None` when the room was closed.
    pub async fn turn(self) -> Option<Turn> {
        self.turn.await.ok()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut rest = std::mem::take(&mut self.rest);
        while let Some(next) = rest.pop_front() {
            match next.send(Turn { rest }) {
                Ok(()) => return,
                Err(mut back) => rest = std::mem::take(&mut back.rest), // that one has left
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_go_in_order_and_past_those_who_left() {
        let (room, id) = (WaitingRoom::default(), ReviewId::new("r"));
        let (first, left, last) = (room.join(&id), room.join(&id), room.join(&id));
        drop(left);
        assert_eq!(room.len(), 2);
        room.wake(&id);
        let turn = first.turn().await.expect("first");
        let mut last = std::pin::pin!(last.turn());
        assert!(futures::poll!(last.as_mut()).is_pending(), "not before the first is done");
        drop(turn);
        assert!(last.await.is_some());
        assert!(room.is_empty());
    }
}
