//! Microsoft Teams as the gateway sees it: the Bot Connector on loopback, with keys and tokens of its own making.
//!
//! It signs what people do in Teams as Bot Framework does, and takes what the bot writes, with the bot's token. It keeps the
//! messages itself, or passes them on to Microsoft's own playground.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::extract::{Path as In, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use xtask::loopback::free_port;
use xtask::process::wait_until;

use super::{SOON, World};

pub(crate) const APP: &str = "5f1e3c86-0e5c-4f0a-9d4e-0c8f0f3d7a11";
pub(crate) const TENANT: &str = "7c0de5a1-11aa-4b2b-8c3c-d4d4e5e5f6f6";
/// The team's channel that the configuration names.
pub(crate) const CHANNEL: &str = "19:approvals@thread.tacv2";
/// Where the SREs read.
pub(crate) const ON_CALL: &str = "19:on-call@thread.tacv2";
const SECRET: &str = "a-client-secret-of-the-tests";
const ISSUER: &str = "https://api.botframework.com";

/// What a service answers instead of doing what it is asked.
#[derive(Clone, Copy)]
pub(crate) struct Trouble {
    pub(crate) status: u16,
    pub(crate) after: Option<u32>,
}

#[derive(Default)]
struct Inside {
    /// Activities by conversation, the oldest first.
    messages: BTreeMap<String, Vec<Value>>,
    trouble: Option<Trouble>,
    /// Requests that were answered so.
    troubled: usize,
    tokens: usize,
    refused: usize,
    playground: Option<u16>,
}

#[derive(Clone)]
struct Service {
    inside: Arc<Mutex<Inside>>,
    keys: Arc<Keys>,
    port: u16,
    gateway: u16,
}

/// Those that its key set holds, and one that it does not.
struct Keys {
    teams: KeyPair,
    webchat: KeyPair,
    foreign: KeyPair,
}

impl Keys {
    fn named(&self, kid: &str) -> &KeyPair {
        match kid {
            "teams" => &self.teams,
            "webchat" => &self.webchat,
            _ => &self.foreign,
        }
    }

    fn jwk(&self, kid: &str, endorsements: &[&str]) -> Value {
        let public = self.named(kid).public_key();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "endorsements": endorsements,
            "n": part(public.modulus().big_endian_without_leading_zero()),
            "e": part(public.exponent().big_endian_without_leading_zero())})
    }
}

/// Teams, and people in it.
pub(crate) struct Teams {
    service: Service,
    dir: PathBuf,
}

/// A token that says something else than those of Bot Framework.
#[derive(Default)]
pub(crate) struct Odd {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    /// Which key signs: `teams`, `webchat`, or any other.
    pub(crate) key: &'static str,
}

impl Teams {
    /// Teams before it is there.
    pub(crate) fn prepare(dir: &Path, gateway: u16) -> Self {
        let dir = dir.join("teams");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("secret"), format!("{SECRET}\n")).unwrap();
        let pair = || KeyPair::generate(KeySize::Rsa2048).unwrap();
        let keys = Arc::new(Keys { teams: pair(), webchat: pair(), foreign: pair() });
        Self { service: Service { inside: Arc::default(), keys, port: free_port().unwrap(), gateway }, dir }
    }

    /// From now on it can be reached.
    pub(crate) fn start(&self) {
        let service = self.service.clone();
        let up = format!("http://127.0.0.1:{}/metadata", service.port);
        std::thread::spawn(move || {
            super::api::runtime().block_on(async {
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", service.port)).await.unwrap();
                axum::serve(listener, router(service)).await.unwrap();
            });
        });
        let answers = || super::api::runtime().block_on(async { reqwest::get(&up).await.ok().map(|_| ()) });
        wait_until("the Bot Connector", SOON, answers).unwrap();
    }

    /// What the gateway is told of it.
    pub(crate) fn configuration(&self) -> String {
        let (base, dir) = (self.base(), self.dir.display());
        format!(
            "\n[teams]\napp_id = \"{APP}\"\ntenant = \"{TENANT}\"\nclient_secret = {{ file = \"{dir}/secret\" }}\n\
             channel = \"{CHANNEL}\"\ngroups = {{ sre = \"{ON_CALL}\" }}\nmetadata = \"{base}/metadata\"\n\
             token_endpoint = \"{base}/token\"\nservice_url = \"{base}\"\n"
        )
    }

    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.service.port)
    }

    /// What it answers the bot from now on, instead of doing what it is asked.
    pub(crate) fn in_trouble(&self, trouble: Option<Trouble>) {
        self.service.inside.lock().unwrap().trouble = trouble;
    }

    /// What is written is shown by the playground at this port from now on.
    pub(crate) fn played_at(&self, port: u16) {
        self.service.inside.lock().unwrap().playground = Some(port);
    }

    /// How many requests met that.
    pub(crate) fn troubled(&self) -> usize {
        self.service.inside.lock().unwrap().troubled
    }

    /// How many tokens were given out.
    pub(crate) fn tokens(&self) -> usize {
        self.service.inside.lock().unwrap().tokens
    }

    /// How many requests came without a token of its own.
    pub(crate) fn refused(&self) -> usize {
        self.service.inside.lock().unwrap().refused
    }

    /// The messages in a conversation, the oldest first.
    pub(crate) fn messages(&self, conversation: &str) -> Vec<Value> {
        self.service.inside.lock().unwrap().messages.get(conversation).cloned().unwrap_or_default()
    }

    /// The newest message, once it says this.
    #[track_caller]
    pub(crate) fn until_says(&self, conversation: &str, words: &str) -> Value {
        let newest = || self.messages(conversation).pop();
        let says = || newest().filter(|message| text(message).contains(words));
        wait_until(&format!("`{words}` in {conversation}"), SOON, says)
            .unwrap_or_else(|error| panic!("{error}: {:?}", newest()))
    }

    /// Links somebody's account to a person.
    pub(crate) fn link_to(&self, world: &World, name: &str, person: &str) {
        let subject = format!("{TENANT}/{}", object(name));
        world.gateway.administer(&["person", "link", person, "--provider", "teams", "--subject", &subject]);
    }

    /// Links the accounts of those whom every world has.
    pub(crate) fn link(&self, world: &World) {
        for name in ["ada", "dora", "finn"] {
            self.link_to(world, name, name);
        }
    }

    /// What somebody does in a conversation, as Bot Framework tells of it.
    pub(crate) fn activity(&self, who: &str, conversation: &str, more: Value) -> Value {
        let kind = if conversation.starts_with("19:") { "channel" } else { "personal" };
        let mut activity = json!({
            "type": "message", "id": "f:1", "channelId": "msteams", "serviceUrl": self.base(),
            "from": {"id": mri(who), "name": who, "aadObjectId": object(who)},
            "recipient": {"id": format!("28:{APP}"), "name": "Countersign"},
            "conversation": {"id": conversation, "conversationType": kind, "tenantId": TENANT},
            "channelData": {"tenant": {"id": TENANT}},
        });
        for (key, value) in more.as_object().unwrap() {
            activity[key] = value.clone();
        }
        activity
    }

    /// Somebody's click on a card's button, with what they typed.
    pub(crate) fn click(&self, who: &str, message: &Value, verb: &str, typed: Value) -> Value {
        let card = &message["attachments"][0]["content"];
        let mut data = button(card, verb).unwrap_or_else(|| panic!("no `{verb}` in {card}"))["data"].clone();
        for (key, value) in typed.as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        self.invoke(who, &data, verb)
    }

    /// A click that holds this.
    pub(crate) fn invoke(&self, who: &str, data: &Value, verb: &str) -> Value {
        let value = json!({"action": {"type": "Action.Execute", "verb": verb, "data": data}, "trigger": "manual"});
        self.activity(who, CHANNEL, json!({"type": "invoke", "name": "adaptiveCard/action", "value": value}))
    }

    /// Sends the gateway an activity with a token as Bot Framework makes them.
    pub(crate) fn send(&self, activity: &Value) -> (u16, Value) {
        self.send_with(activity, Some(&self.service.token(&Odd::default())))
    }

    /// The same with another token, or none.
    pub(crate) fn send_with(&self, activity: &Value, token: Option<&str>) -> (u16, Value) {
        super::api::runtime().block_on(self.service.tell_the_gateway(activity, token))
    }

    /// Sends any bytes. Returns the status.
    pub(crate) fn send_raw(&self, body: &str, token: Option<&str>) -> u16 {
        super::api::runtime().block_on(self.service.post_to_the_gateway(body.to_owned(), token)).0
    }

    pub(crate) fn token(&self, odd: &Odd) -> String {
        self.service.token(odd)
    }
}

impl Service {
    fn token(&self, odd: &Odd) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let key = if odd.key.is_empty() { "teams" } else { odd.key };
        let mut header = json!({"alg": "RS256", "typ": "JWT", "kid": key, "x5t": key});
        let mut claims = json!({"iss": ISSUER, "aud": APP, "nbf": now - 5, "exp": now + 3600,
            "serviceurl": format!("http://127.0.0.1:{}", self.port)});
        for (all, odd) in [(&mut header, &odd.header), (&mut claims, &odd.claims)] {
            for (name, value) in odd.as_object().into_iter().flatten() {
                all[name] = value.clone();
            }
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let pair = self.keys.named(key);
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    async fn tell_the_gateway(&self, activity: &Value, token: Option<&str>) -> (u16, Value) {
        self.post_to_the_gateway(activity.to_string(), token).await
    }

    async fn post_to_the_gateway(&self, body: String, token: Option<&str>) -> (u16, Value) {
        let client = reqwest::Client::builder().timeout(SOON).build().unwrap();
        let mut request = client
            .post(format!("http://127.0.0.1:{}/channels/teams/messages", self.gateway))
            .header("content-type", "application/json")
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Whether the bot showed a token that was given out here, and nothing is in the way.
    fn lets_in(&self, headers: &HeaderMap) -> Result<(), Box<Response>> {
        let mut inside = self.inside.lock().unwrap();
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let known = (1..=inside.tokens).any(|n| bearer == format!("Bearer bot-token-{n}"));
        if !known {
            inside.refused += 1;
            return Err((StatusCode::UNAUTHORIZED, Json(json!({"error": {"code": "Unauthorized"}})))
                .into_response()
                .into());
        }
        let Some(trouble) = inside.trouble else { return Ok(()) };
        inside.troubled += 1;
        let status = StatusCode::from_u16(trouble.status).unwrap();
        let mut answer = (status, Json(json!({"error": {"code": "InTrouble"}}))).into_response();
        if let Some(after) = trouble.after {
            answer.headers_mut().insert("retry-after", after.to_string().parse().unwrap());
        }
        Err(answer.into())
    }

    /// What the playground makes of it, where there is one.
    async fn pass_on(&self, method: reqwest::Method, path: &str, body: &Value) -> Option<(u16, Value)> {
        let port = self.inside.lock().unwrap().playground?;
        let url = format!("http://127.0.0.1:{port}/_connector/v3/conversations/{path}");
        let request = reqwest::Client::new().request(method, url).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        Some((status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()))
    }
}

fn router(service: Service) -> Router {
    let activities = "/v3/conversations/{conversation}/activities";
    Router::new()
        .route("/metadata", get(metadata))
        .route("/keys", get(keys))
        .route("/token", post(token))
        .route(activities, post(posted))
        .route(&format!("{activities}/{{id}}"), axum::routing::put(changed).post(replied))
        .route("/v3/conversations/{conversation}/members/{member}", get(member))
        .route("/api/messages", post(said_in_the_playground))
        .with_state(service)
}

async fn metadata(State(service): State<Service>) -> Json<Value> {
    let keys = format!("http://127.0.0.1:{}/keys", service.port);
    Json(json!({"issuer": ISSUER, "jwks_uri": keys, "id_token_signing_alg_values_supported": ["RS256"]}))
}

async fn keys(State(service): State<Service>) -> Json<Value> {
    let all = [service.keys.jwk("teams", &["skype", "msteams"]), service.keys.jwk("webchat", &["webchat"])];
    Json(json!({"keys": all}))
}

/// Entra ID's answer to client credentials.
async fn token(State(service): State<Service>, form: String) -> Response {
    let fields: BTreeMap<_, _> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let is = |name: &str, value: &str| fields.get(name).is_some_and(|field| field == value);
    let known = is("client_id", APP) && is("client_secret", SECRET) && is("grant_type", "client_credentials");
    if !known || !is("scope", "https://api.botframework.com/.default") {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_client"}))).into_response();
    }
    let mut inside = service.inside.lock().unwrap();
    inside.tokens += 1;
    let token = format!("bot-token-{}", inside.tokens);
    Json(json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token})).into_response()
}

async fn posted(
    State(service): State<Service>,
    In(conversation): In<String>,
    headers: HeaderMap,
    Json(mut activity): Json<Value>,
) -> Response {
    if let Err(refused) = service.lets_in(&headers) {
        return *refused;
    }
    let path = format!("{}/activities", encoded(&conversation));
    let passed = service.pass_on(reqwest::Method::POST, &path, &activity).await;
    let mut inside = service.inside.lock().unwrap();
    let all = inside.messages.entry(conversation).or_default();
    let id = match passed {
        Some((_, said)) => said["id"].as_str().unwrap_or_default().to_owned(),
        None => format!("1700000000{:03}", all.len()),
    };
    activity["id"] = json!(id);
    all.push(activity);
    (StatusCode::CREATED, Json(json!({"id": id}))).into_response()
}

async fn replied(
    state: State<Service>,
    In((conversation, _)): In<(String, String)>,
    headers: HeaderMap,
    activity: Json<Value>,
) -> Response {
    posted(state, In(conversation), headers, activity).await
}

async fn changed(
    State(service): State<Service>,
    In((conversation, id)): In<(String, String)>,
    headers: HeaderMap,
    Json(activity): Json<Value>,
) -> Response {
    if let Err(refused) = service.lets_in(&headers) {
        return *refused;
    }
    let path = format!("{}/activities/{}", encoded(&conversation), encoded(&id));
    service.pass_on(reqwest::Method::PUT, &path, &activity).await;
    let mut inside = service.inside.lock().unwrap();
    let all = inside.messages.entry(conversation).or_default();
    match all.iter_mut().find(|message| message["id"] == id) {
        Some(message) => {
            *message = activity;
            Json(json!({"id": id})).into_response()
        }
        None => (StatusCode::NOT_FOUND, Json(json!({"error": {"code": "ActivityNotFound"}}))).into_response(),
    }
}

/// Somebody by their object id: in every conversation there are all whose names the tests use.
async fn member(State(service): State<Service>, In((_, member)): In<(String, String)>, headers: HeaderMap) -> Response {
    if let Err(refused) = service.lets_in(&headers) {
        return *refused;
    }
    match NAMES.iter().find(|name| object(name) == member) {
        Some(name) => Json(json!({"id": mri(name), "name": name, "aadObjectId": member})).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": {"code": "MemberNotFound"}}))).into_response(),
    }
}

/// The playground sends no token: the connector signs, as Bot Framework does. It also knocks without saying anything.
async fn said_in_the_playground(State(service): State<Service>, said: axum::body::Bytes) -> Response {
    let Ok(mut activity) = serde_json::from_slice::<Value>(&said) else { return StatusCode::OK.into_response() };
    if !activity["type"].is_string() {
        return StatusCode::OK.into_response();
    }
    activity["serviceUrl"] = json!(format!("http://127.0.0.1:{}", service.port));
    let token = service.token(&Odd::default());
    let (status, said) = service.tell_the_gateway(&activity, Some(&token)).await;
    (StatusCode::from_u16(status).unwrap(), Json(said)).into_response()
}

/// Everybody whom a test may name.
const NAMES: [&str; 8] = ["ada", "dora", "finn", "meg", "ann", "bob", "bob-admin", "gil"];

/// Somebody's object id in Entra ID.
pub(crate) fn object(name: &str) -> String {
    let digest = hex::encode(Sha256::digest(name));
    format!("{}-{}-4{}-8{}-{}", &digest[..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32])
}

/// What Teams calls them towards the bot.
pub(crate) fn mri(name: &str) -> String {
    format!("29:{name}")
}

fn encoded(text: &str) -> String {
    super::console::encode(text)
}

/// The button with this verb, also in a form.
pub(crate) fn button<'a>(card: &'a Value, verb: &str) -> Option<&'a Value> {
    let actions = card["actions"].as_array()?;
    actions
        .iter()
        .find(|action| action["verb"] == verb)
        .or_else(|| actions.iter().find_map(|action| button(&action["card"], verb)))
}

/// Everything that a message says, in order, without its markup.
pub(crate) fn text(message: &Value) -> String {
    fn collect(value: &Value, out: &mut String) {
        match value {
            Value::Array(all) => all.iter().for_each(|value| collect(value, out)),
            Value::Object(all) => {
                for (key, value) in all {
                    match value {
                        Value::String(text) if ["text", "title", "label"].contains(&key.as_str()) => {
                            out.push_str(text);
                        }
                        other => collect(other, out),
                    }
                }
                if all.get("type").is_some_and(|kind| kind != "TextRun") {
                    out.push('\n');
                }
            }
            _ => {}
        }
    }
    let mut out = String::new();
    collect(message, &mut out);
    out
}
