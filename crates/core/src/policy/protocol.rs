//! The protocols policy knows: one arm each.

use cedar_policy::{Entity, RestrictedExpression};

use crate::action::Facts;

use super::world::WorldError;
use super::{gate, request, sql};

/// The protocols' parts of the schema.
pub(super) const SCHEMAS: &[&str] =
    &[sql::SCHEMA, request::HTTP_SCHEMA, request::KUBERNETES_SCHEMA, request::AWS_SCHEMA, gate::SCHEMA];

/// The types of the resources, one a protocol.
pub(super) const RESOURCES: &[&str] =
    &[sql::RESOURCE, request::SERVICE, request::CLUSTER, request::ACCOUNT, gate::RESOURCE];

/// One question to policy: a statement, call or request of a message.
#[derive(Debug)]
pub(super) struct Ask {
    /// The action's id in the schema.
    pub(super) action: &'static str,
    /// What a person would call it: the verb.
    pub(super) label: String,
    /// The name of the facts' record in the context.
    pub(super) group: &'static str,
    /// Whether policies about it may read `context.incident`. Those about the gate itself may not: no incident makes it easier
    /// to change the policies.
    pub(super) sees_incidents: bool,
    /// The facts in it.
    pub(super) facts: Vec<(String, RestrictedExpression)>,
}

/// The questions a message amounts to; at least one.
pub(super) fn asks(facts: &Facts) -> Vec<Ask> {
    match facts {
        Facts::Sql(facts) => sql::asks(facts),
        Facts::Http(facts) => vec![request::http(facts)],
        Facts::Kubernetes(facts) => vec![request::kubernetes(facts)],
        Facts::Aws(facts) => vec![request::aws(facts)],
        Facts::Gate(facts) => vec![gate::ask(facts)],
    }
}

/// Entities of the message itself, which its questions refer to; none for most.
pub(super) fn entities(facts: &Facts) -> Result<Vec<Entity>, WorldError> {
    match facts {
        Facts::Http(facts) => request::entities(facts),
        Facts::Sql(_) | Facts::Kubernetes(_) | Facts::Aws(_) | Facts::Gate(_) => Ok(Vec::new()),
    }
}

/// How many statements, calls or requests a message holds.
pub(super) fn length(facts: &Facts) -> usize {
    match facts {
        Facts::Sql(facts) => facts.statements.len(),
        Facts::Http(_) | Facts::Kubernetes(_) | Facts::Aws(_) | Facts::Gate(_) => 1,
    }
}

/// The type of the resource a message is about.
pub(super) fn resource(facts: &Facts) -> &'static str {
    match facts {
        Facts::Sql(_) => sql::RESOURCE,
        Facts::Http(_) => request::SERVICE,
        Facts::Kubernetes(_) => request::CLUSTER,
        Facts::Aws(_) => request::ACCOUNT,
        Facts::Gate(_) => gate::RESOURCE,
    }
}
