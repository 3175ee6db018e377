//! Who may break the glass: the action `break-glass` on a request, as policy and the compiled-in forbids see it.
//!
//! Nobody may unless a policy permits it. Whether breaking it lets an action run is another question, asked with
//! [`Circumstances::break_glass`]: only a policy that names `context.breakGlass` in its own condition yields to it.

use cedar_policy::{Context, Request, RestrictedExpression as Value};

use crate::action::{Described, PersonId};

use super::approve::{ApproveDenial, Authn, broken};
use super::bundle::Bundle;
use super::decide::{Answer, Broken};
use super::world::{self, Circumstances, WorldError};

/// Proof that policy lets a person break the glass on a request; only [`Bundle::may_break_glass`] makes one.
///
/// ```compile_fail
/// use countersign_core::policy::Breakable;
/// fn forge(person: countersign_core::action::PersonId) -> Breakable {
///     Breakable { person } // private field
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakable {
    person: PersonId,
}

impl Breakable {
    /// Who.
    pub fn person(&self) -> &PersonId {
        &self.person
    }
}

impl Bundle {
    /// Whether a person may break the glass on a request.
    ///
    /// Of the circumstances, the moment, the people and the incident count.
    ///
    /// # Errors
    /// [`ApproveDenial`], the gravest reason first.
    pub fn may_break_glass(
        &self,
        person: &PersonId,
        authn: &Authn,
        request: &Described,
        circumstances: &Circumstances<'_>,
    ) -> Result<Breakable, ApproveDenial> {
        let answer = self.breaking(person, authn, request, circumstances).map_err(broken)?;
        if answer.allow {
            return Ok(Breakable { person: person.clone() });
        }
        Err(self.barred(&answer, "no policy lets this person break the glass"))
    }

    fn breaking(
        &self,
        person: &PersonId,
        authn: &Authn,
        request: &Described,
        circumstances: &Circumstances<'_>,
    ) -> Result<Answer, Broken> {
        let world = &self.world;
        let entities = world.for_approval(request, circumstances.people, [person].into())?;
        let context = Context::from_pairs([
            ("incident".to_owned(), Value::new_bool(circumstances.incident)),
            ("time".to_owned(), world::time(circumstances)?),
            ("authn".to_owned(), authn.value(world)?),
        ]);
        let asked = Request::new(
            world.user_uid(person)?,
            world.action("break-glass")?,
            world.approval_uid(request)?,
            context.map_err(WorldError::facts)?,
            Some(&world.schema),
        );
        self.strict(&asked.map_err(WorldError::facts)?, &entities)
    }
}
