//! Incidents: that something is badly wrong, as policies see it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::extract::{Id, JsonBody, Known};
use super::problem::{Problem, ProblemBody};
use crate::ports::Incident;
use crate::resolve::incidents;

/// What is going on, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewIncident {
    /// At most 2,000 bytes. Everybody reads it.
    reason: String,
    /// At most 14,400 (4 hours); 3,600 when absent.
    seconds: Option<u32>,
}

/// A list of incidents.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Incidents)]
pub(super) struct IncidentList {
    /// Those that go on; the one declared first first.
    incidents: Vec<IncidentView>,
}

/// Somebody said that there is an incident.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Incident)]
pub(super) struct IncidentView {
    id: String,
    /// The name of whoever declared it.
    declared_by: String,
    reason: String,
    /// RFC 3339.
    declared_at: String,
    /// When it ends by itself, RFC 3339.
    until: String,
}

/// List incidents that go on
#[utoipa::path(get, path = "/api/v1/incidents", operation_id = "list_incidents", tag = "reviews",
    security(("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Incidents", body = IncidentList),
        (status = 401, response = super::document::Unauthenticated),
    ))]
pub(super) async fn list(State(api): State<Shared>, Known(_): Known) -> Json<IncidentList> {
    Json(IncidentList { incidents: incidents::going_on(&api.gate).iter().map(view).collect() })
}

/// Declare an incident
///
/// Policies see it as `context.incident`, except on what the declarer's own side asks for and on what the declarer does. For
/// people who review, by a second factor of the last 15 minutes; each may have declared one at a time. It ends by itself.
#[utoipa::path(post, path = "/api/v1/incidents", operation_id = "declare_incident", tag = "reviews",
    request_body = NewIncident,
    security(("token" = [])),
    responses(
        (status = 201, description = "The incident", body = IncidentView),
        (status = 400, description = "`bad_request`, `reason_invalid`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`sign_in_again`, `local_credential`, `forbidden`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "`incident_declared`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn declare(
    State(api): State<Shared>,
    Known(caller): Known,
    JsonBody(body): JsonBody<NewIncident>,
) -> Result<(StatusCode, Json<IncidentView>), Problem> {
    let incident = incidents::declare(&api.gate, &caller, &body.reason, body.seconds).await?;
    Ok((StatusCode::CREATED, Json(view(&incident))))
}

/// End an incident
///
/// For whoever may declare one, whoever declared it.
#[utoipa::path(delete, path = "/api/v1/incidents/{id}", operation_id = "end_incident", tag = "reviews",
    params(("id" = String, Path, description = "The incident's id")),
    security(("token" = [])),
    responses(
        (status = 204, description = "It has ended"),
        (status = 401, response = super::document::Unauthenticated),
        (status = 403, description = "`sign_in_again`, `local_credential`, `forbidden`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn end(State(api): State<Shared>, Known(caller): Known, Id(id): Id) -> Result<StatusCode, Problem> {
    incidents::end(&api.gate, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(incident: &Incident) -> IncidentView {
    IncidentView {
        id: incident.id.clone(),
        declared_by: incident.name.clone(),
        reason: incident.reason.clone(),
        declared_at: incident.declared_at.to_string(),
        until: incident.until.to_string(),
    }
}
