//! What the names of a message refer to in this session: asked beside it where that is the same, in it where it is not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use countersign_core::policy::STATEMENTS_MAX;

use super::{Connection, End};
use crate::protocols::postgres::catalog::{self, FRESH, Meaning, Resolution, SCOPE, SURVEY, Scope};
use crate::protocols::postgres::describe::Description;
use crate::protocols::postgres::wire::TransactionStatus;
use crate::refusal::Refusal;

/// Meanings that a connection remembers.
const REMEMBERED_MAX: usize = 256;
/// Most statements of a message whose meaning is remembered, and the longest question about one of them, in bytes.
const REMEMBERED_STATEMENTS_MAX: usize = 16;
const REMEMBERED_BYTES_MAX: usize = 4 * 1024;

/// What a connection knows of its names.
#[derive(Default)]
pub(super) struct Names {
    /// Where the session looks; unknown at first, and whenever that may have changed.
    scope: Option<Arc<Scope>>,
    /// What was made of descriptions lately, by their address: they are kept, so that it stays theirs.
    remembered: HashMap<usize, Remembered>,
}

struct Remembered {
    description: Arc<Description>,
    resolutions: Vec<Option<Arc<Resolution>>>,
    meaning: Arc<Meaning>,
    valid: Option<Valid>,
}

/// How long a meaning holds without another look at what it was made of.
struct Valid {
    scope: Arc<Scope>,
    epoch: u64,
    until: Instant,
}

impl Names {
    /// What was made of it, if that still holds.
    fn holding(&self, description: &Arc<Description>, epoch: u64) -> Option<Arc<Meaning>> {
        let scope = self.scope.as_ref()?;
        let known = self.remembered.get(&(Arc::as_ptr(description) as usize))?;
        let valid = known.valid.as_ref()?;
        let holds = valid.epoch == epoch && Arc::ptr_eq(&valid.scope, scope) && Instant::now() < valid.until;
        holds.then(|| known.meaning.clone())
    }

    /// Makes a meaning, unless it was made of the same before.
    fn meaning(
        &mut self,
        description: &Arc<Description>,
        resolutions: Vec<Option<Arc<Resolution>>>,
        valid: Option<Valid>,
    ) -> Arc<Meaning> {
        let address = Arc::as_ptr(description) as usize;
        if let Some(known) = self.remembered.get_mut(&address)
            && same(&known.resolutions, &resolutions)
        {
            known.valid = valid;
            return known.meaning.clone();
        }
        let meaning = Arc::new(catalog::apply(description, &resolutions, false));
        if !is_small(description) {
            return meaning;
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        let remembered = Remembered { description: description.clone(), resolutions, meaning: meaning.clone(), valid };
        self.remembered.insert(Arc::as_ptr(&remembered.description) as usize, remembered);
        meaning
    }
}

/// What names refer to, and until when that is believed.
type Believed = (Arc<Resolution>, Option<Instant>);

/// Whether a description takes little memory.
fn is_small(description: &Description) -> bool {
    description.questions.len() <= REMEMBERED_STATEMENTS_MAX
        && description.questions.iter().flatten().all(|question| question.len() <= REMEMBERED_BYTES_MAX)
}

fn same(one: &[Option<Arc<Resolution>>], other: &[Option<Arc<Resolution>>]) -> bool {
    let same = |pair: (&Option<Arc<Resolution>>, &Option<Arc<Resolution>>)| match pair {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

impl Connection {
    /// What a described message means in this session, as things stand.
    pub(super) async fn meaning(&mut self, described: &Arc<Description>) -> Result<Result<Arc<Meaning>, Refusal>, End> {
        if self.session.moves_pending() {
            self.settle().await?; // a batch may move the search path and read by it
        }
        self.note_moves();
        let undecidable = described.questions.len() > STATEMENTS_MAX; // too many to be decided on: nobody is asked
        if undecidable || described.questions.iter().all(Option::is_none) {
            let moved = undecidable || self.session.disturbed();
            return Ok(Ok(match moved {
                true => Arc::new(catalog::apply(described, &[], true)),
                false => self.names.meaning(described, Vec::new(), None),
            }));
        }
        if self.session.status() == TransactionStatus::Failed {
            return Ok(Ok(Arc::new(catalog::apply(described, &[], true))));
        }
        if self.session.disturbed() {
            self.settle().await?; // it may be over by now
            self.note_moves();
        }
        let epoch = self.target.catalog.epoch();
        if !self.session.disturbed()
            && let Some(meaning) = self.names.holding(described, epoch)
        {
            return Ok(Ok(meaning));
        }
        let scope = match self.session.disturbed() {
            true => None, // only the session itself can say, wherever it looks
            false => match self.scope().await? {
                Ok(scope) => Some(scope),
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        let mut until = Some(Instant::now() + FRESH);
        let mut resolutions = Vec::with_capacity(described.questions.len());
        for question in &described.questions {
            let Some(question) = question else {
                resolutions.push(None);
                continue;
            };
            match self.resolve(scope.as_deref(), question).await? {
                Ok((resolution, believed)) => {
                    resolutions.push(Some(resolution));
                    until = until.min(believed);
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Ok(Ok(match self.session.disturbed() {
            true => Arc::new(catalog::apply(described, &resolutions, true)),
            false => {
                let valid = until.zip(scope).map(|(until, scope)| Valid { scope, epoch, until });
                self.names.meaning(described, resolutions, valid)
            }
        }))
    }

    /// The same, with nothing taken from what was known before: for what was reviewed and is about to run.
    pub(super) async fn meaning_anew(
        &mut self,
        described: &Arc<Description>,
    ) -> Result<Result<Arc<Meaning>, Refusal>, End> {
        self.names.scope = None;
        self.target.catalog.changed();
        self.meaning(described).await
    }

    /// Where the session looks, if a connection beside it finds the same there.
    pub(super) async fn shared_scope(&mut self) -> Result<Option<Arc<Scope>>, End> {
        if self.session.disturbed() || self.session.status() == TransactionStatus::Failed {
            return Ok(None);
        }
        Ok(self.scope().await?.ok().filter(|scope| !scope.temporary))
    }

    /// Takes note of what finished transactions did to names.
    fn note_moves(&mut self) {
        let moved = std::mem::take(&mut self.session.moved);
        if moved.any() {
            self.names.scope = None;
        }
        if moved.definitions {
            self.target.catalog.changed();
        }
    }

    async fn scope(&mut self) -> Result<Result<Arc<Scope>, Refusal>, End> {
        if let Some(scope) = self.names.scope.as_ref().filter(|_| !self.session.disturbed()) {
            return Ok(Ok(scope.clone()));
        }
        if self.upstream.is_none() {
            let catalog = &self.target.catalog;
            return Ok(catalog.scope_of_start(&self.target, &*self.gate.vault, &self.startup).await);
        }
        let told = self.own_ask(SCOPE, &[]).await?;
        let scope = match told.and_then(|told| catalog::scope(&told)) {
            Ok(scope) => Arc::new(scope),
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !self.session.disturbed() {
            self.names.scope = Some(scope.clone());
        }
        Ok(Ok(scope))
    }

    /// What names refer to, and until when that is believed. Temporary objects are the session's own: they change by what it
    /// does itself, which ends every belief, and what they reach is believed as long as what others reach. Where its open
    /// transaction changed definitions, nothing is.
    async fn resolve(&mut self, scope: Option<&Scope>, question: &Arc<str>) -> Result<Result<Believed, Refusal>, End> {
        if let Some(scope) = scope.filter(|scope| !scope.temporary && !self.session.disturbed()) {
            let catalog = &self.target.catalog;
            let answered = catalog.resolve(&self.target, &*self.gate.vault, scope, question).await;
            return Ok(answered.map(|answered| (answered.resolution, Some(answered.until))));
        }
        if self.upstream.is_none() {
            return Ok(Err(super::own::nobody()));
        }
        let believed = scope.filter(|_| !self.session.disturbed()).map(|_| Instant::now() + FRESH);
        let told = self.own_ask(SURVEY, &[question]).await?;
        let resolution =
            |told: String| catalog::resolution(question, &told).map_err(|error| catalog::unresolved(&error));
        Ok(told.and_then(resolution).map(|resolution| (Arc::new(resolution), believed)))
    }
}
