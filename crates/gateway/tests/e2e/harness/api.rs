//! The REST API as a person's script would use it.

use reqwest::Method;
use serde_json::{Value, json};

use super::SOON;

/// A bearer of one token.
pub(crate) struct Api {
    base: String,
    token: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// A status with a JSON body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// Asserts a refusal with this status and stable code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
    }

    /// Whether it was done as asked.
    pub(crate) fn accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Asserts success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.accepted(), "{}: {}", self.status, self.body);
        self.body
    }
}

/// For one caller.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Api {
    pub(crate) fn new(base: &str, token: &str) -> Self {
        // No connection is kept: the gateway may be killed between two requests.
        let client = reqwest::Client::builder().timeout(SOON).pool_max_idle_per_host(0);
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { base: base.to_owned(), token: token.to_owned(), client, runtime: runtime() }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.runtime.block_on(async {
            let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
        })
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some(body))
    }

    /// Sends a form, without a token.
    pub(crate) fn form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = reqwest::Url::parse_with_params("http://form", form).unwrap();
        self.runtime.block_on(async {
            let request = self.client.post(format!("{}{path}", self.base));
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let answer = request.body(body.query().unwrap().to_owned()).send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
        })
    }

    /// The list under a key, or the body itself when it is a list.
    fn list(&self, path: &str, key: &str) -> Vec<Value> {
        let body = self.get(path).ok();
        let list = body.as_array().or_else(|| body[key].as_array());
        list.unwrap_or_else(|| panic!("no list in {body}")).clone()
    }

    pub(crate) fn open_reviews(&self) -> Vec<Review> {
        let all = self.list("/api/v1/reviews", "reviews").into_iter().map(Review);
        all.filter(|review| review.state() == "open").collect()
    }

    pub(crate) fn review(&self, id: &str) -> Review {
        Review(self.get(&format!("/api/v1/reviews/{id}")).ok())
    }

    /// What agents did lately, newest first.
    pub(crate) fn actions(&self) -> Vec<Value> {
        self.list("/api/v1/actions", "actions")
    }

    /// Votes on a review as it was seen.
    pub(crate) fn vote(&self, review: &Review, verdict: &str, reason: &str) -> Answer {
        let body = json!({
            "verdict": verdict,
            "reason": reason,
            "action_digest": review.0["action_digest"],
            "card_digest": review.0["card_digest"],
        });
        self.post(&format!("/api/v1/reviews/{}/votes", review.id()), &body)
    }

    pub(crate) fn approve(&self, review: &Review) -> Answer {
        self.vote(review, "approve", "looked at it")
    }

    /// Looks at what a card hides; at all of it where no mark is named.
    pub(crate) fn reveal(&self, review: &Review, marks: &Value) -> Answer {
        self.post(&format!("/api/v1/reviews/{}/reveal", review.id()), &json!({ "marks": marks }))
    }

    pub(crate) fn reject(&self, review: &Review, reason: &str) -> Answer {
        self.vote(review, "reject", reason)
    }

    pub(crate) fn retract(&self, review: &Review) -> Answer {
        self.send(Method::DELETE, &format!("/api/v1/reviews/{}/votes", review.id()), None)
    }

    pub(crate) fn withdraw(&self, review: &Review) -> Answer {
        self.post(&format!("/api/v1/reviews/{}/withdraw", review.id()), &json!({}))
    }
}

/// A review as the API gives it.
#[derive(Debug, Clone)]
pub(crate) struct Review(pub(crate) Value);

impl Review {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {}", self.0))
    }

    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }

    pub(crate) fn state(&self) -> &str {
        self.text("state")
    }

    pub(crate) fn opened_at(&self) -> &str {
        self.text("opened_at")
    }

    pub(crate) fn votes(&self) -> usize {
        self.0["votes"].as_array().map_or(0, Vec::len)
    }
}
