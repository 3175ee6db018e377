//! An identity provider as a process: the certified `oidc-provider` with people of our choice.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use xtask::loopback::{free_port, get_status};
use xtask::process::wait_until;
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

use super::SOON;

/// One provider, its people in a file.
pub(crate) struct Idp {
    dir: PathBuf,
    port: u16,
    gateway: u16,
    sweeper: Arc<Sweeper>,
    child: Option<Child>,
    told: Value,
}

impl Idp {
    /// Starts it, for a gateway at this port.
    pub(crate) fn start(dir: &Path, gateway: u16, people: &Value, sweeper: Arc<Sweeper>) -> Self {
        let (dir, port, told) = (dir.join("idp"), free_port().unwrap(), json!({ "people": people }));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("secret"), "a-client-secret\n").unwrap();
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/idp.mjs"), dir.join("idp.mjs")).unwrap();
        std::os::unix::fs::symlink(test_tools_dir().join("node/node_modules"), dir.join("node_modules")).unwrap();
        let mut idp = Self { dir, port, gateway, sweeper, child: None, told };
        idp.tell("spoil", Value::Null);
        idp.run();
        idp
    }

    /// What the gateway is told of it.
    pub(crate) fn configuration(&self, settings: &str) -> String {
        let (issuer, secret) = (self.issuer(), self.dir.join("secret"));
        let groups = if settings.contains("groups =") { "" } else { "groups = { db-approvers = \"dba\" }" };
        format!(
            "\n[oidc]\nissuer = \"{issuer}\"\nclient_id = \"countersign\"\nclient_secret = {{ file = \"{}\" }}\n\
             groups_endpoint = \"{issuer}/graph\"\n{groups}\n{settings}\n",
            secret.display()
        )
    }

    /// What the gateway is told of it where it stands for Slack's *Sign in with Slack*.
    pub(crate) fn as_slack(&self, settings: &str) -> String {
        format!(
            "\n[slack.sign_in]\nissuer = \"{}\"\nclient_id = \"countersign\"\nclient_secret = {{ file = \"{}\" }}\n{settings}\n",
            self.issuer(),
            self.dir.join("secret").display()
        )
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes something of what it is told; it reads that anew for each sign-in.
    pub(crate) fn tell(&mut self, key: &str, value: Value) {
        self.told[key] = value;
        fs::write(self.dir.join("people.json"), self.told.to_string()).unwrap();
    }

    /// Changes what is known of somebody.
    pub(crate) fn person(&mut self, name: &str, claims: Value) {
        let mut people = self.told["people"].clone();
        people[name] = claims;
        self.tell("people", people);
    }

    /// The address of a token of its making, with these parts besides the usual ones.
    pub(crate) fn signed(&self, header: &Value, claims: &Value) -> String {
        let what: String = json!({"header": header, "claims": claims}).to_string();
        format!("{}/sign?what={}", self.issuer(), super::console::encode(&what))
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            self.sweeper.forget(child.id());
        }
    }

    /// Runs it, with new keys.
    pub(crate) fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let gateway = format!("http://127.0.0.1:{}", self.gateway);
        let mut command = Command::new("node");
        command.arg(self.dir.join("idp.mjs")).arg(self.port.to_string());
        command.arg(format!("{gateway}/login/oidc/callback")).arg(format!("{gateway}/api/v1/sign-in/logout"));
        command.arg(self.dir.join("people.json")).current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("Node; `cargo xtask tools` says how to install it");
        self.sweeper.watch(child.id());
        self.child = Some(child);
        let up = || matches!(get_status(self.port, "/.well-known/openid-configuration"), Ok(200)).then_some(());
        wait_until("the identity provider", SOON, up).unwrap();
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.stop();
    }
}
