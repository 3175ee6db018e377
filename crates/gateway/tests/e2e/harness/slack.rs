//! Slack as the gateway sees it: the emulated Web API, and clicks signed as Slack signs them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use xtask::loopback::free_port;
use xtask::process::{run, wait_until};
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

use super::api::Api;
use super::emulated::Service;
use super::slack_front::{APP_TOKEN, Front};
use super::{SOON, World};

const BOT_TOKEN: &str = "xoxb-of-the-tests";
const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
/// People in the emulated workspace.
const USERS: [&str; 8] = ["ada", "dora", "finn", "meg", "ann", "bob", "bob-admin", "gil"];
/// Those of them whose accounts [`Slack::link`] links.
const LINKED: [&str; 3] = ["ada", "dora", "finn"];

/// A workspace, or the place where one would be.
pub(crate) struct Slack {
    service: Option<Service>,
    sweeper: Arc<Sweeper>,
    port: u16,
    front: Front,
    socket_mode: bool,
    dir: std::path::PathBuf,
}

impl Slack {
    /// A workspace that nobody has started yet.
    pub(crate) fn prepare(dir: &Path, socket_mode: bool, sweeper: Arc<Sweeper>) -> Self {
        let dir = dir.join("slack");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("token"), format!("{BOT_TOKEN}\n")).unwrap();
        fs::write(dir.join("signing"), format!("{SIGNING_SECRET}\n")).unwrap();
        fs::write(dir.join("app"), format!("{APP_TOKEN}\n")).unwrap();
        let port = free_port().unwrap();
        Self { service: None, sweeper, port, front: Front::start(port), socket_mode, dir }
    }

    /// What stands in front of the emulator.
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    pub(crate) fn start(&mut self) {
        let users: Vec<String> = USERS
            .iter()
            .map(|name| format!("{{name: {name}, real_name: {name}, email: {name}@example.org}}"))
            .collect();
        let seed = format!(
            "tokens: {{{BOT_TOKEN}: {{login: admin, scopes: [\"chat:write\", \"im:write\"]}}}}\n\
             slack:\n  signing_secret: {SIGNING_SECRET}\n  team: {{name: Lab, domain: lab}}\n  \
             users: [{}]\n  channels: [{{name: approvals, topic: reviews}}, {{name: on-call, topic: pages}}]\n",
            users.join(", ")
        );
        self.service = Some(Service::start(&self.dir, "slack", &seed, (self.port, "/"), self.sweeper.clone()));
    }

    pub(crate) fn stop(&mut self) {
        self.service = None;
    }

    /// What the gateway is told of it.
    pub(crate) fn configuration(&self) -> String {
        let dir = self.dir.display();
        let heard = match self.socket_mode {
            true => format!("app_token = {{ file = \"{dir}/app\" }}"),
            false => format!("signing_secret = {{ file = \"{dir}/signing\" }}"),
        };
        format!(
            "\n[slack]\napi = \"http://127.0.0.1:{}/api\"\nbot_token = {{ file = \"{dir}/token\" }}\n{heard}\n\
             channel = \"approvals\"\ngroups = {{ sre = \"on-call\" }}\n",
            self.front.port
        )
    }

    fn call(&self, method: &str, arguments: &Value) -> Value {
        let api = Api::new(&format!("http://127.0.0.1:{}", self.port), BOT_TOKEN);
        let answer = api.post(&format!("/api/{method}"), arguments).body;
        assert_eq!(answer["ok"], true, "{method}: {answer}");
        answer
    }

    fn conversation(&self, name: &str) -> String {
        let all = self.call("conversations.list", &json!({}));
        let found = all["channels"].as_array().unwrap().iter().find(|channel| channel["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {all}"))["id"].as_str().unwrap().to_owned()
    }

    /// What Slack's own client reads of a conversation, with everything beneath each message.
    pub(crate) fn read_by_its_client(&self, conversation: &str) -> Vec<Value> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/slack_read.mjs");
        let mut node = Command::new("node");
        node.arg(script).args([&format!("http://127.0.0.1:{}/api/", self.port), conversation]);
        node.env("SLACK_TOKEN", BOT_TOKEN).env("NODE_MODULES", test_tools_dir().join("node"));
        let said = run(&mut node, SOON).unwrap().success("@slack/web-api").unwrap();
        serde_json::from_str(&said).unwrap()
    }

    /// The conversation with somebody alone, by their id.
    pub(crate) fn direct(&self, user: &str) -> String {
        let opened = self.call("conversations.open", &json!({"users": user}));
        opened["channel"]["id"].as_str().unwrap().to_owned()
    }

    /// The messages in a conversation, the newest first.
    pub(crate) fn messages(&self, conversation: &str) -> Vec<Value> {
        let history = self.call("conversations.history", &json!({"channel": self.conversation(conversation)}));
        history["messages"].as_array().unwrap().clone()
    }

    /// What stands beneath a message, once the newest of it says this.
    #[track_caller]
    pub(crate) fn until_replied(&self, conversation: &str, message: &Value, words: &str) -> Vec<Value> {
        let channel = self.conversation(conversation);
        let replies = || {
            let all = self.call("conversations.replies", &json!({"channel": channel, "ts": message["ts"]}));
            all["messages"].as_array().unwrap()[1..].to_vec()
        };
        let said = || replies().last().filter(|last| last.to_string().contains(words)).map(|_| replies());
        wait_until(&format!("a reply of `{words}`"), SOON, said)
            .unwrap_or_else(|error| panic!("{error}: {:?}", replies()))
    }

    /// The newest message, once it says this.
    #[track_caller]
    pub(crate) fn until_says(&self, conversation: &str, words: &str) -> Value {
        let newest = || self.messages(conversation).into_iter().next();
        let says = || newest().filter(|message| message.to_string().contains(words));
        wait_until(&format!("`{words}` in #{conversation}"), SOON, says)
            .unwrap_or_else(|error| panic!("{error}: {:?}", newest()))
    }

    /// Team and user of somebody, as clicks name them.
    pub(crate) fn ids(&self, name: &str) -> (String, String) {
        let all = self.call("users.list", &json!({}));
        let found = all["members"].as_array().unwrap().iter().find(|user| user["name"] == name).unwrap();
        let team = self.call("auth.test", &json!({}))["team_id"].as_str().unwrap().to_owned();
        (team, found["id"].as_str().unwrap().to_owned())
    }

    /// Links the accounts of those whom every world has to the persons of the same name.
    pub(crate) fn link(&self, world: &World) {
        for name in LINKED {
            self.link_to(world, name, name);
        }
    }

    /// Links somebody's account to a person.
    pub(crate) fn link_to(&self, world: &World, name: &str, person: &str) {
        let (team, user) = self.ids(name);
        let subject = format!("{team}/{user}");
        world.gateway.administer(&["person", "link", person, "--provider", "slack", "--subject", &subject]);
    }

    /// What was whispered to people who clicked, as the emulator's own page shows it.
    #[track_caller]
    pub(crate) fn until_whispers(&self, words: &str) {
        let url = format!("http://127.0.0.1:{}/?channel={}", self.port, self.conversation("approvals"));
        let page = || {
            let get = async { reqwest::get(&url).await.unwrap().text().await.unwrap() };
            super::api::runtime().block_on(get)
        };
        wait_until(&format!("a whisper of `{words}`"), SOON, || page().contains(words).then_some(())).unwrap();
    }

    /// What somebody's click on a message's button sends.
    pub(crate) fn click(&self, who: &str, message: &Value, button: &str) -> Value {
        let (team, user) = self.ids(who);
        let blocks = message["blocks"].as_array().unwrap();
        let mut buttons = blocks.iter().flat_map(|block| block["elements"].as_array().into_iter().flatten());
        let button = buttons.find(|element| element["action_id"] == button).expect("the button");
        json!({
            "type": "block_actions",
            "user": {"id": user, "team_id": team, "name": who},
            "team": {"id": team, "domain": "lab"},
            "api_app_id": "A1",
            "container": {"type": "message", "message_ts": message["ts"], "channel_id": self.conversation("approvals")},
            "trigger_id": "1.2.3",
            "message": message,
            "actions": [{"action_id": button["action_id"], "block_id": "decide", "type": "button",
                "value": button["value"], "action_ts": "1.0"}],
        })
    }
}

/// A request to the gateway's interactivity address.
pub(crate) struct Interaction {
    path: &'static str,
    kind: &'static str,
    body: String,
    timestamp: String,
    signature: String,
}

impl Interaction {
    /// Signed as Slack does, now.
    pub(crate) fn new(payload: &Value) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self::signed(payload, now, SIGNING_SECRET)
    }

    /// Signed at another time, or with another secret.
    pub(crate) fn signed(payload: &Value, at: u64, secret: &str) -> Self {
        let form = reqwest::Url::parse_with_params("http://form", [("payload", payload.to_string())]).unwrap();
        let kind = "application/x-www-form-urlencoded";
        Self::of("/channels/slack/interactions", kind, form.query().unwrap().to_owned(), at, secret)
    }

    /// What Slack tells of by itself, signed.
    pub(crate) fn event(payload: &Value) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self::of("/channels/slack/events", "application/json", payload.to_string(), now, SIGNING_SECRET)
    }

    fn of(path: &'static str, kind: &'static str, body: String, at: u64, secret: &str) -> Self {
        let timestamp = at.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("v0:{timestamp}:{body}").as_bytes());
        let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
        Self { path, kind, body, timestamp, signature }
    }

    /// Its signature by Slack's own library.
    pub(crate) fn signed_by_slack(mut self, dir: &Path) -> Self {
        let body = dir.join("interaction");
        fs::write(&body, &self.body).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/slack_sign.py");
        let mut python = Command::new(test_tools_dir().join("python/bin/python"));
        let said = run(python.args([script, SIGNING_SECRET, &self.timestamp]).arg(&body), SOON).unwrap();
        said.success("slack_sdk").unwrap().trim().clone_into(&mut self.signature);
        self
    }

    /// The same signature over other bytes.
    pub(crate) fn tampered(mut self) -> Self {
        self.body = self.body.replace("approve", "reject");
        self
    }

    /// Without a signature.
    pub(crate) fn unsigned(mut self) -> Self {
        self.signature.clear();
        self
    }

    /// With another signature over the same bytes.
    pub(crate) fn with_signature(mut self, change: impl Fn(&str) -> String) -> Self {
        self.signature = change(&self.signature);
        self
    }

    /// As Slack's own check is asked about it.
    pub(crate) fn to_check(&self) -> Value {
        json!({"secret": SIGNING_SECRET, "timestamp": self.timestamp, "signature": self.signature, "body": self.body})
    }

    /// Sends it; the status and what was answered.
    pub(crate) fn send(&self, world: &World) -> (u16, String) {
        let runtime = super::api::runtime();
        runtime.block_on(async {
            let client = reqwest::Client::builder().timeout(SOON).build().unwrap();
            let request = client
                .post(format!("{}{}", world.gateway.url(), self.path))
                .header("content-type", self.kind)
                .header("x-slack-request-timestamp", &self.timestamp)
                .header("x-slack-signature", &self.signature)
                .body(self.body.clone());
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }
}
