//! What a description asks of its session: the statements that are prepared.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_core::action::sql::SqlStatement;

use super::super::describe::{Referents, SessionFacts, Sketched};
use super::{Prepared, Session};

impl SessionFacts for Session {
    fn prepared(&self, name: &str) -> Option<(&SqlStatement, &Referents)> {
        first(&self.prepared, name)
    }
}

/// The statements of one moment.
struct Sketch(BTreeMap<String, Arc<Prepared>>);

impl SessionFacts for Sketch {
    fn prepared(&self, name: &str) -> Option<(&SqlStatement, &Referents)> {
        first(&self.0, name)
    }
}

impl Sketched for Session {
    fn sketch(&self) -> Box<dyn SessionFacts + Send> {
        Box::new(Sketch(self.prepared.clone()))
    }
}

fn first<'a>(prepared: &'a BTreeMap<String, Arc<Prepared>>, name: &str) -> Option<(&'a SqlStatement, &'a Referents)> {
    let description = &prepared.get(name)?.description;
    Some((description.facts.statements.first()?, description.referents.first()?))
}
