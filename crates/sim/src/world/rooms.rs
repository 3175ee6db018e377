//! The waiting rooms: who may look first at a closed review, and who after them. Mirrors the gateway's `waiting`.

use std::collections::VecDeque;

use countersign_core::action::ReviewId;

use super::{Phase, World};
use crate::step::CallId;

impl World<'_> {
    /// A call takes a place for a review.
    pub(super) fn join(&mut self, node: usize, call: CallId, review: &ReviewId) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.rooms.entry(review.clone()).or_default().push_back(call);
        }
    }

    /// The waiters of a review at a node get their turns, one after another.
    pub(super) fn wake(&mut self, node: usize, review: &ReviewId) {
        let queue = self.nodes.get_mut(node).and_then(|node| node.rooms.remove(review)).unwrap_or_default();
        self.pass(review, queue);
    }

    /// A node hears of a review that another one closed.
    pub(super) fn hear(&mut self, node: usize, review: &ReviewId) {
        let closed = self.store.reviews.get(review).is_some_and(|row| row.state != "open");
        if closed && self.up(node) {
            self.wake(node, review);
        }
    }

    /// Gives up a turn, if there is one: the next who still waits gets it.
    pub(super) fn drop_turn(&mut self, call: CallId) {
        if let Some((review, rest)) = self.turns.remove(&call) {
            self.pass(&review, rest);
        }
    }

    fn pass(&mut self, review: &ReviewId, mut queue: VecDeque<CallId>) {
        while let Some(next) = queue.pop_front() {
            let Some(call) = self.calls.get_mut(&next) else { continue };
            match &mut call.phase {
                Phase::Telling { review: at, woken, .. } | Phase::Waiting { review: at, woken, .. } if at == review => {
                    *woken = true;
                    self.turns.insert(next, (review.clone(), queue));
                    return;
                }
                _ => {} // that one has left
            }
        }
    }
}
