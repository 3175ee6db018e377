//! The console as a browser without scripts would use it: cookies, pages, and their forms.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE, USER_AGENT};

use super::api::Review;
use super::{SOON, World};

/// A browser, and where the console is for it.
pub(crate) struct Browser {
    base: String,
    /// Cookies by origin and name.
    jar: BTreeMap<String, BTreeMap<String, String>>,
    /// What it calls itself.
    name: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) text: String,
    headers: HeaderMap,
    url: String,
}

impl Page {
    /// Where it sends the browser.
    pub(crate) fn location(&self) -> Option<String> {
        let location = self.headers.get(LOCATION)?.to_str().unwrap();
        Some(if location.starts_with('/') { format!("{}{location}", origin(&self.url)) } else { location.to_owned() })
    }
}

/// The scheme, host and port of an address.
fn origin(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

impl Browser {
    /// One that nobody has used yet.
    pub(crate) fn new(world: &World) -> Self {
        let client = reqwest::Client::builder().timeout(SOON).pool_max_idle_per_host(0);
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { base: world.gateway.url(), jar: BTreeMap::new(), name: "Test/1".to_owned(), client, runtime }
    }

    /// One with the same cookies, as whoever copied them would have.
    pub(crate) fn copied(&self, world: &World) -> Self {
        Self { jar: self.jar.clone(), name: self.name.clone(), ..Self::new(world) }
    }

    /// Uses a fresh login link of a person.
    pub(crate) fn sign_in(world: &World, person: &str) -> Self {
        let link = world.gateway.administer(&["person", "login-link", person]);
        let secret = link.rsplit('/').next().unwrap().to_owned();
        let mut browser = Self::new(world);
        let signed_in = browser.post("/login", &[("secret", &secret)]);
        assert!(signed_in.headers.contains_key(SET_COOKIE), "no session: {signed_in:?}");
        browser.keep(&world.gateway.url(), &signed_in.headers);
        assert!(browser.post("/login", &[("secret", &secret)]).headers.get(SET_COOKIE).is_none(), "a link works once");
        browser
    }

    /// Signs in with the identity provider as one of its people. Returns the page it ends on.
    pub(crate) fn sign_in_with_provider(&mut self, who: &str) -> Page {
        let answer = self.answer_of_provider(who);
        self.follow(answer)
    }

    /// Goes to the provider, signs in there, and stops before its answer is brought to the gateway: its address.
    pub(crate) fn answer_of_provider(&mut self, who: &str) -> String {
        self.answer("/login/oidc?again=true&return=/me", "/login/oidc/callback", who)
    }

    /// Begins to link an account in Slack, signs in there, and stops before its answer is brought to the gateway.
    pub(crate) fn answer_of_slack(&mut self, who: &str) -> String {
        self.answer("/me/accounts/slack/begin", "/login/slack/callback", who)
    }

    /// Brings Slack's answer to the gateway. Returns the page of one's own that it leads on to, and that page's address.
    pub(crate) fn bring(&mut self, answer: &str) -> (Page, String) {
        let bounce = self.visit(answer, None);
        let onward = bounce.text.split("url=").nth(1).and_then(|rest| rest.split('"').next());
        let onward = onward.unwrap_or_else(|| panic!("leads nowhere: {bounce:?}"));
        let onward = onward.replace("&amp;", "&").replace("&#38;", "&");
        (self.get(&onward), onward)
    }

    /// Forgets what every other site had it remember.
    pub(crate) fn forget_elsewhere(&mut self, world: &World) {
        self.jar.retain(|origin, _| *origin == world.gateway.url());
    }

    /// Links the account of somebody in Slack, to the end.
    pub(crate) fn link_slack(&mut self, who: &str) -> Page {
        let answer = self.answer_of_slack(who);
        let (page, address) = self.bring(&answer);
        assert!(page.text.contains("Link your Slack account to"), "{}", page.text);
        let part = |name: &str| {
            let url = reqwest::Url::parse(&format!("{}{address}", self.base)).unwrap();
            url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
        };
        let (code, state) = (part("code"), part("state"));
        self.submit("/me", "/me/accounts/slack", &[("code", &code), ("state", &state)])
    }

    fn answer(&mut self, begin: &str, callback: &str, who: &str) -> String {
        let back = |url: &str| url.contains(callback);
        let begin = format!("{}{begin}", self.base);
        let asked = self.until(begin, |url| url.contains("/sign-in/") || back(url));
        if back(&asked) {
            return asked; // the provider remembers them
        }
        let chosen = self.visit(&asked, Some(&format!("who={who}")));
        let next = chosen.location().unwrap_or_else(|| panic!("the provider lets nobody in: {chosen:?}"));
        self.until(next, back)
    }

    /// Signs in at a provider that lists its people, each with a form of hidden fields. Returns the page it ends on.
    pub(crate) fn sign_in_at_form(&mut self, who: &str) -> Page {
        let begin = format!("{}/login/oidc?return=/me", self.base);
        let asked = self.until(begin, |url| url.contains("/authorize"));
        let page = self.visit(&asked, None).text;
        let form = page.split("<form").find(|form| form.contains(who)).unwrap_or_else(|| panic!("no form: {page}"));
        let of = |part: &str, name: &str| {
            let value = part.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            value.unwrap_or_default().replace("&amp;", "&")
        };
        let fields =
            form.split("<input").skip(1).map(|input| format!("{}={}", of(input, "name"), encode(&of(input, "value"))));
        let fields: Vec<String> = fields.collect();
        let answer = self.visit(&format!("{}{}", origin(&asked), of(form, "action")), Some(&fields.join("&")));
        let next = answer.location().unwrap_or_else(|| panic!("the provider lets nobody in: {answer:?}"));
        self.follow(next);
        self.visit(&format!("{}/me", self.base), None)
    }

    /// Follows redirects to the page at their end.
    pub(crate) fn follow(&mut self, url: String) -> Page {
        let mut page = self.visit(&url, None);
        while let Some(next) = page.location() {
            page = self.visit(&next, None);
        }
        page
    }

    /// Follows redirects to the first address that is wanted, without visiting it.
    fn until(&mut self, url: String, wanted: impl Fn(&str) -> bool) -> String {
        let mut next = url;
        while !wanted(&next) {
            let page = self.visit(&next, None);
            next = page.location().unwrap_or_else(|| panic!("no way on from {next}: {page:?}"));
        }
        next
    }

    /// One request to any address, with the cookies of its origin and a form if there is one.
    pub(crate) fn visit(&mut self, url: &str, form: Option<&str>) -> Page {
        let origin = origin(url);
        let mut request = match form {
            None => self.client.get(url),
            Some(form) => self.client.post(url).body(form.to_owned()),
        };
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").header(ORIGIN, &origin);
        let mut page = self.send_to(&origin, request);
        self.keep(&origin, &page.headers);
        page.url = url.to_owned();
        page
    }

    /// Says from here on that it is another browser, with the same cookies.
    pub(crate) fn call_itself(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    fn keep(&mut self, origin: &str, headers: &HeaderMap) {
        let jar = self.jar.entry(origin.to_owned()).or_default();
        for cookie in headers.get_all(SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => jar.remove(name),
                _ => jar.insert(name.to_owned(), value.to_owned()),
            };
        }
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
        self.send_to(&self.base, request)
    }

    fn send_to(&self, origin: &str, request: reqwest::RequestBuilder) -> Page {
        let cookies = self.jar.get(origin).into_iter().flatten().map(|(name, value)| format!("{name}={value}"));
        let request = request.header(COOKIE, cookies.collect::<Vec<_>>().join("; ")).header(USER_AGENT, &self.name);
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Page { status, text: answer.text().await.unwrap(), headers, url: origin.to_owned() }
        })
    }

    /// Submits a form of a page of one's own, with the token that its forms carry.
    pub(crate) fn submit(&self, page: &str, address: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf(page);
        self.post(address, &[&[("csrf", csrf.as_str())], fields].concat())
    }

    /// The token that the forms of a page carry.
    pub(crate) fn csrf(&self, page: &str) -> String {
        let shown = self.get(page).text;
        let csrf = shown.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        csrf.unwrap_or_else(|| panic!("no form: {shown}")).to_owned()
    }

    /// Presses a button of a review, as shown to this person.
    pub(crate) fn vote(&self, review: &Review, verdict: &str) -> Page {
        self.vote_with(review, verdict, &self.csrf(&format!("/reviews/{}", review.id())))
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
pub(crate) fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(escaped).collect()
}
