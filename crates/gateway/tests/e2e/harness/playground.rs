//! Microsoft's own playground for Teams, in front of somebody: what the bot writes is shown there by Microsoft's renderer, and
//! what is clicked there is sent by Microsoft's code.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use xtask::loopback::{free_port, get_status};
use xtask::process::wait_until;
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

use super::teams::{APP, CHANNEL, TENANT, mri, object};
use super::{SOON, World};

/// The conversation of the one who sits before it with the bot.
pub(crate) const PERSONAL: &str = "a:personal-and-the-bot";

/// The program, whose pages are at its port.
pub(crate) struct Playground {
    child: Child,
    sweeper: Arc<Sweeper>,
    port: u16,
}

impl Playground {
    /// Starts it before somebody, with the Bot Connector of a world between it and the gateway.
    pub(crate) fn start(world: &World, who: &str) -> Self {
        let (dir, port) = (world.dir.join("playground"), free_port().unwrap());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(".m365agentsplayground.yml"), people(who).to_string()).unwrap();
        let package = test_tools_dir().join("node/node_modules/@microsoft/m365agentsplayground");
        let log = File::create(dir.join("log")).unwrap();
        let mut command = Command::new("node");
        command.arg(package.join("cli.js")).args(["start", "--disable-telemetry", "--channel-id", "msteams"]);
        command.args(["--app-endpoint", &format!("{}/api/messages", world.teams().base())]);
        command.args(["--port", &port.to_string()]).current_dir(&dir).env("HOME", &dir);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("node; `cargo xtask tools` installs it");
        world.sweeper.watch(child.id());
        let up = || matches!(get_status(port, "/"), Ok(200)).then_some(());
        wait_until("the playground", SOON, up).unwrap();
        world.teams().played_at(port);
        Self { child, sweeper: world.sweeper.clone(), port }
    }

    /// Its page.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.forget(self.child.id());
    }
}

/// Its configuration: JSON is YAML.
fn people(who: &str) -> Value {
    let person = |name: &str| {
        json!({"id": mri(name), "name": name, "userPrincipleName": format!("{name}@example.org"), "givenName": name,
            "surname": name, "email": format!("{name}@example.org"), "aadObjectId": object(name)})
    };
    let all = ["ada", "dora", "finn", "meg", "ann", "gil"]; // it wants five others
    let others: Vec<Value> = all.into_iter().filter(|name| *name != who).map(person).collect();
    json!({
        "version": "0.1.1", "tenantId": TENANT, "bot": {"id": format!("28:{APP}"), "name": "Countersign"},
        "currentUser": person(who), "users": others, "personalChat": {"id": PERSONAL},
        "groupChat": {"id": "19:group@thread.v2", "name": "Group chat"},
        "team": {"id": "19:team@thread.tacv2", "name": "Databases", "aadGroupId": TENANT,
            "channels": [{"id": CHANNEL, "name": "Approvals"}]},
    })
}
