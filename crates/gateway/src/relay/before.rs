//! What requests of one key to one target had before, lent to the next: what repeats is not made again.
//!
//! A request has it to itself while it is described and decided, and gives it back before it waits for people: thousands may
//! wait, and what is kept is for those that do not. Everything here can be made again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use countersign_core::action::{Facts, PayloadDigest, Repeats, SessionFacts};
use countersign_core::policy::Memo;

use super::upstream::Upstream;

/// How much is kept for one key and one target.
const KEPT_MAX: usize = 64;
/// For how many keys and targets, on each lane.
const PAIRS_MAX: usize = 4_096;
/// The most facts that one remembers.
const FACTS_MAX: usize = 64;

/// What a request may find done already.
#[derive(Default)]
pub(super) struct Before {
    pub(super) memo: Memo,
    pub(super) repeats: Repeats,
    pub(super) session: Arc<SessionFacts>,
    /// The last requests, by their payloads, and what they were described as: nothing else is looked at for that.
    facts: Vec<(PayloadDigest, Arc<Facts>)>,
    /// The form of the target that they were described for.
    upstream: Weak<Upstream>,
}

impl Before {
    /// What a payload was described as, if it was a short while ago.
    pub(super) fn facts(&mut self, payload: PayloadDigest, upstream: &Arc<Upstream>) -> Option<Arc<Facts>> {
        if !std::ptr::eq(self.upstream.as_ptr(), Arc::as_ptr(upstream)) {
            self.facts.clear();
            self.upstream = Arc::downgrade(upstream);
        }
        let at = self.facts.iter().position(|(known, _)| *known == payload)?;
        self.facts.get_mut(..=at)?.rotate_right(1); // the last one first
        self.facts.first().map(|(_, facts)| facts.clone())
    }

    /// Remembers what a payload is described as. Facts that are equal to others' become the same.
    pub(super) fn remember(&mut self, payload: PayloadDigest, facts: Facts) -> Arc<Facts> {
        let equal = self.facts.iter().find(|(_, known)| **known == facts).map(|(_, known)| known.clone());
        let facts = equal.unwrap_or_else(|| Arc::new(facts));
        self.facts.truncate(FACTS_MAX - 1);
        self.facts.insert(0, (payload, facts.clone()));
        facts
    }
}

/// A key, and a target.
type Pair = (Arc<str>, String);

/// They come and go with every request, and are large.
type Kept = Vec<Box<Before>>;

/// All that is kept.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Pair, Kept>>);

impl Pool {
    /// What a key's requests to a target had before; nothing yet if none had.
    pub(super) fn lend(self: &Arc<Self>, key: Arc<str>, target: &str) -> Lent {
        let pair = (key, target.to_owned());
        let before = self.lock().get_mut(&pair).and_then(Vec::pop);
        Lent { pool: self.clone(), pair, before }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Pair, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // a map is valid after any panic
    }
}

/// It, with one request. Dropped, it is back.
pub(super) struct Lent {
    pool: Arc<Pool>,
    pair: Pair,
    before: Option<Box<Before>>,
}

impl Lent {
    /// It; made anew after it was given back.
    pub(super) fn get(&mut self) -> &mut Before {
        self.before.get_or_insert_default()
    }

    /// Leaves it to others.
    pub(super) fn give_back(&mut self) {
        let Some(before) = self.before.take() else { return };
        let mut all = self.pool.lock();
        if all.len() >= PAIRS_MAX {
            all.clear(); // made again
        }
        match all.get_mut(&self.pair) {
            Some(kept) if kept.len() >= KEPT_MAX => {}
            Some(kept) => kept.push(before),
            None => {
                all.insert(self.pair.clone(), vec![before]);
            }
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_lent_again() {
        let pool = Arc::new(Pool::default());
        let key: Arc<str> = "key".into();
        let mut lent = pool.lend(key.clone(), "orders");
        let session = lent.get().session.clone();
        lent.give_back();
        let mut next = pool.lend(key.clone(), "orders");
        assert!(Arc::ptr_eq(&next.get().session, &session), "while the first one waits");
        assert!(!Arc::ptr_eq(&lent.get().session, &session), "which has another by now");
        assert!(!Arc::ptr_eq(&pool.lend(key, "other").get().session, &session));
    }
}
