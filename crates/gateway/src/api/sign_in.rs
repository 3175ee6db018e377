//! What the identity provider itself sends.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Shared;
use super::extract::FormBody;
use super::problem::{Problem, ProblemBody};
use crate::codes::Code;
use crate::identity::logout;

/// A back-channel logout request.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Logout)]
pub(super) struct LogoutForm {
    /// Signed by the provider.
    logout_token: String,
}

/// Back-channel logout
///
/// The identity provider says that somebody's session there has ended; their sessions here end too. Register this address
/// at the provider.
#[utoipa::path(post, path = "/api/v1/sign-in/logout", operation_id = "backchannel_logout", tag = "operation",
    request_body(content = LogoutForm, content_type = "application/x-www-form-urlencoded"),
    security(()),
    responses(
        (status = 200, description = "Done, also when there was no session"),
        (status = 400, description = "`bad_request`: not a logout token of the provider, or used already",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, response = super::document::NotFound),
        (status = 503, response = super::document::Unavailable),
    ))]
pub(super) async fn logout(
    State(api): State<Shared>,
    FormBody(form): FormBody<LogoutForm>,
) -> Result<StatusCode, Problem> {
    let configured = api.gate.sign_in.as_ref();
    let sign_in = configured.ok_or_else(|| Problem::new(Code::NotFound, "no identity provider is configured"))?;
    match sign_in.log_out(&form.logout_token).await {
        Ok(_) => Ok(StatusCode::OK),
        Err(logout::Error::Store(error)) => Err(error.into()),
        Err(error) => Err(Problem::new(Code::BadRequest, error.to_string())),
    }
}
