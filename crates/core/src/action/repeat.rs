//! Digests of actions that differ in their bytes alone, as the same prepared statement with other values does.
//!
//! An [`ActionDigest`] is over canonical text in which the payload's digest stands between what sorts before it and what
//! sorts after. Both are the same text as long as the parts they are made of are the same, and parts that are shared cannot
//! change: they are compared by address, and kept, so that the address stays theirs. The digest is the very one that
//! [`Described::digest`] makes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::digest::{Begun, NotCanonical, TEXT_BYTES, canonical};
use super::{ActionDigest, Described, Facts, Later, PersonRef, Requester, SessionFacts, Sooner, Target};

/// The most actions that are kept: the statements that one connection repeats.
const KEPT_MAX: usize = 64;

/// What one connection did before. Starts empty.
#[derive(Debug, Default)]
pub struct Repeats(VecDeque<Kept>);

#[derive(Debug)]
struct Kept {
    requester: Arc<Requester>,
    on_behalf_of: Arc<PersonRef>,
    target: Arc<Target>,
    facts: Arc<Facts>,
    session: Arc<SessionFacts>,
    /// Everything before the payload's digest, hashed already.
    begun: Begun,
    /// Everything after it.
    rest: Vec<u8>,
}

impl Kept {
    fn new(described: &Described) -> Result<Self, NotCanonical> {
        let mut before = canonical(&Sooner::of(described))?;
        before.pop(); // the object goes on
        before.extend_from_slice(b",\"payload\":");
        let mut rest = canonical(&Later::of(described))?;
        if let Some(brace) = rest.first_mut() {
            *brace = b',';
        }
        Ok(Self {
            requester: described.requester.clone(),
            on_behalf_of: described.on_behalf_of.clone(),
            target: described.target.clone(),
            facts: described.facts.clone(),
            session: described.session.clone(),
            begun: ActionDigest::begin(&before),
            rest,
        })
    }

    fn is_of(&self, described: &Described) -> bool {
        Arc::ptr_eq(&self.facts, &described.facts)
            && Arc::ptr_eq(&self.session, &described.session)
            && Arc::ptr_eq(&self.requester, &described.requester)
            && Arc::ptr_eq(&self.on_behalf_of, &described.on_behalf_of)
            && Arc::ptr_eq(&self.target, &described.target)
    }

    fn digest(&self, described: &Described) -> ActionDigest {
        let mut quoted = [b'"'; 2 + TEXT_BYTES];
        quoted[1..=TEXT_BYTES].copy_from_slice(&described.payload.text());
        ActionDigest::finish(&self.begun, &[&quoted, &self.rest])
    }
}

impl Repeats {
    /// As [`Described::digest`].
    ///
    /// # Errors
    /// As [`Described::digest`].
    pub(super) fn digest(&mut self, described: &Described) -> Result<ActionDigest, NotCanonical> {
        let at = self.0.iter().position(|kept| kept.is_of(described));
        if at != Some(0) {
            let kept = match at.and_then(|at| self.0.remove(at)) {
                Some(kept) => kept,
                None => Kept::new(described)?,
            };
            self.0.truncate(KEPT_MAX - 1);
            self.0.push_front(kept); // the last one first
        }
        match self.0.front() {
            Some(kept) => Ok(kept.digest(described)),
            None => described.digest(),
        }
    }
}

#[cfg(test)]
mod tests;
