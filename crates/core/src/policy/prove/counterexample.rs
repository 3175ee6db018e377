//! What a solver reports, held against Cedar's own evaluator and told in words.

use std::collections::BTreeSet;

use cedar_policy::{AuthorizationError, Decision, Entities, EntityUid, PolicySet, Request, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::situation::{Judged, Place, Situation, Term};
use super::{Check, Plan, Question, SetId};

/// A situation in which a claim does not hold, confirmed by Cedar's own evaluator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counterexample {
    /// Who asks, in Cedar's words: `Agent::"…"`.
    pub principal: String,
    /// What for.
    pub action: String,
    /// Of what.
    pub resource: String,
    /// The facts it hangs on, and who the people in them are; each other fact could be different.
    pub facts: Vec<Fact>,
    /// How many facts it does not hang on.
    pub other_facts: usize,
    /// The policies that allow it.
    pub allowed_by: Vec<String>,
    /// Policies that fail to evaluate, with Cedar's words.
    pub errors: Vec<String>,
    /// The request, in the form of policy tests.
    pub request: Value,
    /// Its entities, in the form of policy tests.
    pub entities: Value,
}

/// One fact of a counterexample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Of what: `context.breakGlass`, `resource.env`, `principal in`.
    pub name: String,
    /// Its value, in Cedar's syntax.
    pub value: String,
}

/// A solver's counterexample that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// It is no request of this schema.
    #[error("the solver's counterexample is not a request of this schema: {0}")]
    Malformed(String),
    /// Cedar's evaluator gives another answer.
    #[error("Cedar's evaluator does not confirm the solver's counterexample")]
    Disagrees,
}

impl Plan {
    /// Whether a request is an answer to a question, by Cedar's own evaluator.
    pub fn answers(&self, question: Question, request: &Request, entities: &Entities) -> bool {
        let allows = |set: SetId| self.ask(self.set(set), request, entities).decision() == Decision::Allow;
        match question {
            Question::AllowedByBoth(one, other) => allows(one) && allows(other),
            Question::AllowedByFirstOnly(first, second) => allows(first) && !allows(second),
            Question::Fails(policy) => {
                let alone = PolicySet::from_policies([self.policy(policy).clone()]);
                alone.is_ok_and(|alone| self.ask(&alone, request, entities).diagnostics().errors().next().is_some())
            }
        }
    }

    /// Holds a solver's counterexample against Cedar's own evaluator, and tells what it hangs on.
    ///
    /// # Errors
    /// [`Unconfirmed`]: the claim is then neither proved nor refuted.
    pub fn confirm(
        &self,
        check: &Check,
        request: &Request,
        entities: &Entities,
    ) -> Result<Counterexample, Unconfirmed> {
        let judge = |situation: &Situation| self.judge(check.question, situation);
        let found = Situation::of(request, entities, &self.schema).map_err(Unconfirmed::Malformed)?;
        found.question(&self.schema).map_err(Unconfirmed::Malformed)?;
        if judge(&found) != Judged::Same {
            return Err(Unconfirmed::Disagrees);
        }
        let (situation, matters) = found.simplified(&self.listed, judge);
        let (request, entities) = situation.question(&self.schema).map_err(Unconfirmed::Malformed)?;
        self.told(check, &situation, &matters, &request, &entities)
    }

    fn judge(&self, question: Question, situation: &Situation) -> Judged {
        let Ok((request, entities)) = situation.question(&self.schema) else { return Judged::Impossible };
        if self.ask(&self.given, &request, &entities).decision() == Decision::Deny {
            return Judged::Impossible;
        }
        if self.answers(question, &request, &entities) { Judged::Same } else { Judged::Different }
    }

    fn told(
        &self,
        check: &Check,
        situation: &Situation,
        matters: &BTreeSet<Place>,
        request: &Request,
        entities: &Entities,
    ) -> Result<Counterexample, Unconfirmed> {
        let malformed = |error: String| Unconfirmed::Malformed(error);
        let response = match check.question {
            Question::AllowedByBoth(set, _) | Question::AllowedByFirstOnly(set, _) => {
                Some(self.ask(self.set(set), request, entities))
            }
            Question::Fails(policy) => PolicySet::from_policies([self.policy(policy).clone()])
                .ok()
                .map(|alone| self.ask(&alone, request, entities)),
        };
        let reasons = response.iter().flat_map(|response| response.diagnostics().reason());
        let errors = response.iter().flat_map(|response| response.diagnostics().errors());
        let mut all = situation.facts();
        all.sort_by_cached_key(|(place, _)| situation.rank(place));
        let told: BTreeSet<&EntityUid> = matters.iter().filter_map(Place::entity).collect();
        let tells = |(place, term): &&(Place, Term)| matters.contains(place) || term.is_one_of(&told);
        let facts: Vec<Fact> = all.iter().filter(tells).map(|fact| situation.fact(fact)).collect();
        let context = request.context().map(|context| context.to_json_value().map_err(|e| malformed(e.to_string())));
        Ok(Counterexample {
            principal: situation.principal.to_string(),
            action: situation.action.to_string(),
            resource: situation.resource.to_string(),
            other_facts: all.len() - facts.len(),
            facts,
            allowed_by: reasons.map(|id| AsRef::<str>::as_ref(id).to_owned()).collect(),
            errors: errors.map(|AuthorizationError::PolicyEvaluationError(error)| error.to_string()).collect(),
            request: json!({
                "principal": situation.principal.to_string(),
                "action": situation.action.to_string(),
                "resource": situation.resource.to_string(),
                "context": context.transpose()?,
            }),
            entities: situation.entities(&self.schema).map_err(malformed)?,
        })
    }

    fn ask(&self, policies: &PolicySet, request: &Request, entities: &Entities) -> Response {
        self.authorizer.is_authorized(request, policies, entities)
    }
}

impl Situation {
    fn fact(&self, (place, term): &(Place, Term)) -> Fact {
        let name = match place {
            Place::Context(path) => format!("context.{}", path.join(".")),
            Place::Attribute(uid, path) => format!("{}.{}", self.role(uid), path.join(".")),
            Place::Parent(uid, _) => format!("{} in", self.role(uid)),
        };
        Fact { name, value: term.words() }
    }

    /// The parties come first, then the circumstances, then who else there is.
    fn rank(&self, place: &Place) -> u8 {
        match place {
            Place::Attribute(uid, _) | Place::Parent(uid, _) if *uid == self.principal => 0,
            Place::Attribute(uid, _) | Place::Parent(uid, _) if *uid == self.resource => 1,
            Place::Context(_) => 2,
            Place::Attribute(..) | Place::Parent(..) => 3,
        }
    }

    /// What an entity is to the request, or its name.
    fn role(&self, uid: &EntityUid) -> String {
        match uid {
            uid if *uid == self.principal => "principal".to_owned(),
            uid if *uid == self.resource => "resource".to_owned(),
            uid => uid.to_string(),
        }
    }
}
