//! Refusals in the shapes that clients of some APIs read, so that they print the reason and take nothing for done.
//!
//! | API | what its clients read | what of it |
//! |---|---|---|
//! | GitHub | `message`, `documentation_url` | [its errors](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api) |
//! | Vault | `errors` | [its errors](https://developer.hashicorp.com/vault/api-docs#error-response) |
//!
//! They read `application/json` and nothing else, and take every 2xx for done. So a refusal has their members beside those of its problem,
//! and a request whose review is still open is `429` with `Retry-After`, which Octokit's, PyGithub's and Vault's retries send again; a
//! `202` is for those alone who asked for it. `404`, `409`, `410`, `412` and `422` say something of what is there (it is gone, it has moved
//! on, it is there already), which is never true of a refusal.

use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::codes::Code;
use crate::relay::dialect::Refused;
use crate::relay::{self, Problem};

/// Whose shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    GitHub,
    Vault,
}

impl Shape {
    /// Of operations with this name in policies.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "github" => Some(Shape::GitHub),
            "vault" => Some(Shape::Vault),
            _ => None,
        }
    }
}

/// What an API's own clients read, and what the gateway's read.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// Where more is said: at the review, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_url: Option<&'a str>,
    #[serde(flatten)]
    problem: Problem<'a>,
}

/// The answer to a refusal, or to a request whose review is still open.
pub(super) fn answer(shape: Shape, refused: Refused<'_>) -> Response<Vec<u8>> {
    let Refused { refusal, waiting, action, preferred_async, .. } = refused;
    let waits = refusal.code == Code::HoldEnded;
    if waits && preferred_async {
        return relay::problem(refused);
    }
    let status = if waits { StatusCode::TOO_MANY_REQUESTS } else { harmless(refusal.code.status()) };
    let mut words = format!("countersign: {}", refusal.message);
    if let Some(hint) = &refusal.hint {
        words.push_str(&format!("; {hint}"));
    }
    let link = waiting.map(|waiting| waiting.url.as_str());
    if let (Shape::Vault, Some(link)) = (shape, link) {
        words.push_str(&format!(" ({link})"));
    }
    let action_url = action.filter(|_| waits);
    let problem = Problem::of(refusal, status);
    let body = match shape {
        Shape::GitHub => Body { message: Some(&words), documentation_url: link, errors: None, action_url, problem },
        Shape::Vault => Body { message: None, documentation_url: None, errors: Some([&words]), action_url, problem },
    };
    let mut response = relay::refusing(status, &body);
    if let Some(Ok(location)) = action_url.map(HeaderValue::from_str) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The status, where a client draws no wrong conclusion from it.
fn harmless(status: StatusCode) -> StatusCode {
    match status.as_u16() {
        404 | 405 | 409 | 410 | 412 | 422 => StatusCode::FORBIDDEN,
        400..=599 => status,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::action::ReviewId;
    use http::header::{CONTENT_TYPE, RETRY_AFTER};
    use serde_json::Value;

    use super::*;
    use crate::pipeline::Waiting;
    use crate::refusal::Refusal;

    const REVIEW: &str = "http://localhost/reviews/rev_1";

    fn answered(shape: Shape, code: Code, preferred_async: bool) -> (Response<Vec<u8>>, Value) {
        let refusal = Refusal::new(code, "it waits").hint("ask again");
        let (review, url) = (ReviewId::new("rev_1"), REVIEW.to_owned());
        let waiting = Waiting { review, url, hold_seconds: 50, expires_seconds: 1_800, suffices: vec![] };
        let action = Some("http://localhost/api/v1/actions/rev_1");
        let response = super::answer(
            shape,
            Refused { refusal: &refusal, waiting: Some(&waiting), action, head: None, preferred_async },
        );
        let body = serde_json::from_slice(response.body()).expect("JSON");
        (response, body)
    }

    #[test]
    fn what_waits_is_not_done() {
        for shape in [Shape::GitHub, Shape::Vault] {
            let (response, body) = answered(shape, Code::HoldEnded, false);
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(response.headers()[RETRY_AFTER], "5");
            assert_eq!((&body["code"], &body["status"]), (&"hold_ended".into(), &429.into()));
            assert_eq!(answered(shape, Code::HoldEnded, true).0.status(), StatusCode::ACCEPTED);
        }
    }

    #[test]
    fn the_reason_stands_where_each_client_looks() {
        let (_, github) = answered(Shape::GitHub, Code::PolicyDenied, false);
        assert_eq!(github["message"], "countersign: it waits; ask again");
        assert_eq!((&github["documentation_url"], &github["errors"]), (&REVIEW.into(), &Value::Null));
        let (_, vault) = answered(Shape::Vault, Code::PolicyDenied, false);
        assert_eq!(vault["errors"][0], format!("countersign: it waits; ask again ({REVIEW})"));
    }

    #[test]
    fn no_status_says_anything_of_what_is_there() {
        for (shape, code) in Code::ALL.iter().flat_map(|code| [(Shape::GitHub, *code), (Shape::Vault, *code)]) {
            let (response, body) = answered(shape, code, false);
            let status = response.status();
            assert!(status.is_client_error() || status.is_server_error(), "{code}");
            assert!(![404, 405, 409, 410, 412, 422].contains(&status.as_u16()), "{code}");
            let told = (body["status"].as_u64(), body["code"].as_str());
            assert_eq!(told, (Some(status.as_u16().into()), Some(code.name())));
            assert!(response.headers()[CONTENT_TYPE].to_str().is_ok_and(|kind| kind.starts_with("application/json")));
        }
    }
}
