//! The routes and the OpenAPI 3.1 document that describes them, made from the same list.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToResponse};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::ProblemBody;
use super::{
    Shared, actions, callbacks, directory, disclosures, duties, events, follow_ups, health, incidents, keys, ledger,
    patterns, people, policies, reviews, sign_in, token, undelivered,
};

/// `bad_request`: a parameter is malformed or out of range.
#[derive(ToResponse)]
#[response(description = "`bad_request`", content_type = "application/problem+json")]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct BadRequest(ProblemBody<'static>);

/// `unauthenticated`: no token, or one that is not known.
#[derive(ToResponse)]
#[response(description = "`unauthenticated`", content_type = "application/problem+json")]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct Unauthenticated(ProblemBody<'static>);

/// `forbidden`: the caller may not do this.
#[derive(ToResponse)]
#[response(description = "`forbidden`", content_type = "application/problem+json")]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct Forbidden(ProblemBody<'static>);

/// `not_found`: there is no such thing, or the caller may not know of it.
#[derive(ToResponse)]
#[response(description = "`not_found`", content_type = "application/problem+json")]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct NotFound(ProblemBody<'static>);

/// `record_unavailable`: the store or the log does not answer.
#[derive(ToResponse)]
#[response(description = "`record_unavailable`", content_type = "application/problem+json")]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct Unavailable(ProblemBody<'static>);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Countersign",
        description = "A gateway that puts a human's signature between an agent's intent and its execution. Errors are \
            RFC 9457 problems with a stable `code`; `docs/errors/<code>.md` says what each means and what to do.",
    ),
    components(
        schemas(ProblemBody),
        responses(BadRequest, Unauthenticated, Forbidden, NotFound, Unavailable)
    ),
    modifiers(&Credentials),
    tags(
        (name = "reviews", description = "What waits for people, and their votes"),
        (name = "actions", description = "What was attempted, and what came of it"),
        (name = "directory", description = "Who and what there is"),
        (name = "policies", description = "The rules in force"),
        (name = "ledger", description = "The record, for callers with a token"),
        (name = "log", description = "The record, for auditors: C2SP tlog-tiles"),
        (name = "events", description = "Live changes"),
        (name = "operation", description = "For those who run the gateway"),
    )
)]
struct Described;

/// How callers prove who they are.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let bearer = bearer.description(Some("A person's token, or an agent's key")).build();
        let about = "The console's session, for reading only; over HTTPS it is `__Host-countersign_session`";
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description("countersign_session", about));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// The routes, and their description.
pub(super) fn parts() -> (Router<Shared>, Document) {
    let (router, mut document) = routes().split_for_parts();
    let paths = std::mem::take(&mut document.paths.paths);
    // the router marks a parameter that spans slashes with `*`, for which OpenAPI has no sign
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    (router, document)
}

/// Every route there is.
fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(reviews::list))
        .routes(routes!(reviews::show))
        .routes(routes!(reviews::vote))
        .routes(routes!(callbacks::decide))
        .routes(routes!(disclosures::reveal))
        .routes(routes!(disclosures::compare))
        .routes(routes!(follow_ups::break_glass))
        .routes(routes!(follow_ups::challenge))
        .routes(routes!(follow_ups::list))
        .routes(routes!(follow_ups::sign_off))
        .routes(routes!(reviews::challenge))
        .routes(routes!(reviews::retract))
        .routes(routes!(reviews::withdraw))
        .routes(routes!(patterns::list))
        .routes(routes!(patterns::show))
        .routes(routes!(patterns::revoke))
        .routes(routes!(actions::list))
        .routes(routes!(actions::show))
        .routes(routes!(directory::whoami))
        .routes(routes!(directory::agents))
        .routes(routes!(directory::create_agent))
        .routes(routes!(directory::accept_agent))
        .routes(routes!(directory::give_agent))
        .routes(routes!(directory::targets))
        .routes(routes!(directory::propose_target))
        .routes(routes!(keys::create))
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::declare))
        .routes(routes!(incidents::end))
        .routes(routes!(duties::list))
        .routes(routes!(duties::give))
        .routes(routes!(duties::end))
        .routes(routes!(undelivered::list))
        .routes(routes!(undelivered::retry))
        .routes(routes!(token::exchange))
        .routes(routes!(policies::show))
        .routes(routes!(policies::propose))
        .routes(routes!(people::propose))
        .routes(routes!(ledger::checkpoint))
        .routes(routes!(ledger::entries))
        .routes(routes!(ledger::proof))
        .routes(routes!(ledger::key))
        .routes(routes!(ledger::log_file))
        .routes(routes!(events::listen))
        .routes(routes!(sign_in::logout))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(openapi))
}

/// This document
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "operation", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
async fn openapi(State(api): State<Shared>) -> Response {
    ([(CONTENT_TYPE, "application/json")], api.document.clone()).into_response()
}

/// The document as JSON text with a final newline: what is served, and what `openapi/countersign.json` holds.
pub fn document() -> String {
    text(&parts().1)
}

pub(super) fn text(document: &Document) -> String {
    let mut text = document.to_pretty_json().unwrap_or_default(); // strings and maps only: it cannot fail
    text.push('\n');
    text
}
