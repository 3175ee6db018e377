//! A CI platform as a process: the certified `oidc-provider`, whose tokens carry claims of our choice.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use xtask::loopback::{free_port, get_status};
use xtask::process::wait_until;
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

use super::{SOON, World};

/// For whom its tokens are meant.
const AUDIENCE: &str = "https://gate.example";

/// One platform.
pub(crate) struct Ci {
    dir: PathBuf,
    port: u16,
    sweeper: Arc<Sweeper>,
    child: Option<Child>,
}

impl Ci {
    /// Starts it beside a gateway that is not started yet, and has the gateway trust it.
    pub(crate) fn start(world: &World) -> Self {
        let (dir, port) = (world.dir.join("ci"), free_port().unwrap());
        fs::create_dir(&dir).unwrap();
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/ci.mjs"), dir.join("ci.mjs")).unwrap();
        std::os::unix::fs::symlink(test_tools_dir().join("node/node_modules"), dir.join("node_modules")).unwrap();
        let mut ci = Self { dir, port, sweeper: world.sweeper.clone(), child: None };
        ci.run();
        let mut configuration = fs::read_to_string(world.gateway.config()).unwrap();
        configuration.push_str(&ci.configuration());
        fs::write(world.gateway.config(), configuration).unwrap();
        ci
    }

    fn configuration(&self) -> String {
        format!(
            r#"
[[issuer]]
name = "github"
kind = "github"
issuer = "http://127.0.0.1:{}"
audience = "{AUDIENCE}"

[[issuer.agent]]
name = "deployer"
match = {{ repository_id = "1296269", ref = "refs/heads/*" }}
person = {{ claim = "actor_id", provider = "github", on_behalf_of = true }}
"#,
            self.port
        )
    }

    /// Where it gives tokens.
    pub(crate) fn token_url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// A token of a job: GitHub's claims, and these.
    pub(crate) fn token(&self, more: &Value) -> String {
        self.spoilt(more, Value::Null)
    }

    /// The same, spoilt in some way.
    pub(crate) fn spoilt(&self, more: &Value, way: impl Into<Value>) -> String {
        let mut claims = json!({
            "repository": "acme/app", "repository_id": "1296269", "ref": "refs/heads/main", "event_name": "push",
            "actor": "octocat", "actor_id": "583231", "runner_environment": "github-hosted",
            "job_workflow_ref": "acme/app/.github/workflows/deploy.yml@refs/heads/main",
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        fs::write(self.dir.join("job.json"), json!({"claims": claims, "spoil": way.into()}).to_string()).unwrap();
        let url = self.token_url();
        let body = format!("grant_type=client_credentials&scope=deploy&resource={AUDIENCE}");
        let answer: Value = super::api::runtime().block_on(async {
            let request = reqwest::Client::new().post(url).basic_auth("job", Some("a-job-secret"));
            let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
            request.send().await.unwrap().json().await.unwrap()
        });
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
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
        let mut command = Command::new("node");
        command.arg(self.dir.join("ci.mjs")).arg(self.port.to_string()).arg(self.dir.join("job.json"));
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("Node; `cargo xtask tools` says how to install it");
        self.sweeper.watch(child.id());
        self.child = Some(child);
        let up = || matches!(get_status(self.port, "/.well-known/openid-configuration"), Ok(200)).then_some(());
        wait_until("the CI platform", SOON, up).unwrap();
    }
}

impl Drop for Ci {
    fn drop(&mut self) {
        self.stop();
    }
}
