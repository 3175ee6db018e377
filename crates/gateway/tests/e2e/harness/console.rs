//! The console as a browser without scripts would use it: a cookie, pages, and their forms.

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, ORIGIN, SET_COOKIE};

use super::api::Review;
use super::{SOON, World};

/// A signed-in browser.
pub(crate) struct Browser {
    base: String,
    cookie: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) text: String,
    headers: HeaderMap,
}

impl Browser {
    /// Uses a fresh login link of a person.
    pub(crate) fn sign_in(world: &World, person: &str) -> Self {
        let link = world.gateway.administer(&["person", "login-link", person]);
        let secret = link.rsplit('/').next().unwrap().to_owned();
        let client = reqwest::Client::builder().timeout(SOON).pool_max_idle_per_host(0);
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut browser = Self { base: world.gateway.url(), cookie: String::new(), client, runtime };
        let signed_in = browser.post("/login", &[("secret", &secret)]);
        let cookie = signed_in.headers.get(SET_COOKIE).unwrap_or_else(|| panic!("no session: {signed_in:?}"));
        browser.cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        assert!(browser.post("/login", &[("secret", &secret)]).headers.get(SET_COOKIE).is_none(), "a link works once");
        browser
    }

    pub(crate) fn get(&self, path: &str) -> Page {
        self.send(self.client.get(format!("{}{path}", self.base)))
    }

    /// Submits a form of our own page.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let encoded: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = self.client.post(format!("{}{path}", self.base)).body(encoded.join("&"));
        self.send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").header(ORIGIN, &self.base))
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Page {
        self.runtime.block_on(async {
            let answer = request.header(COOKIE, &self.cookie).send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Page { status, text: answer.text().await.unwrap(), headers }
        })
    }

    /// Presses a button of a review, as shown to this person.
    pub(crate) fn vote(&self, review: &Review, verdict: &str) -> Page {
        let page = self.get(&format!("/reviews/{}", review.id()));
        let csrf = page.text.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let csrf = csrf.unwrap_or_else(|| panic!("no form: {}", page.text));
        self.vote_with(review, verdict, csrf)
    }

    /// The same with any form token.
    pub(crate) fn vote_with(&self, review: &Review, verdict: &str, csrf: &str) -> Page {
        let digest = |key: &str| review.0[key].as_str().unwrap().to_owned();
        let (action, card) = (digest("action_digest"), digest("card_digest"));
        let fields = [
            ("csrf", csrf),
            ("verdict", verdict),
            ("reason", "by the console"),
            ("action_digest", action.as_str()),
            ("card_digest", card.as_str()),
        ];
        self.post(&format!("/reviews/{}/vote", review.id()), &fields)
    }
}

/// Percent-encodes everything that is not plain (RFC 3986, section 2.3).
fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(escaped).collect()
}
