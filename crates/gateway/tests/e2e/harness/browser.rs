//! A real Chromium, driven by `tests/clients/browser.mjs`: every person has a window and an authenticator of their own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use xtask::needs;
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

use super::World;

/// The browser.
pub(crate) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    sweeper: Arc<Sweeper>,
    base: String,
}

impl Chromium {
    /// Starts it.
    pub(crate) fn start(world: &World) -> Self {
        let drivers = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients"));
        let mut command = Command::new("node");
        command.arg("browser.mjs").current_dir(drivers).env("NODE_MODULES", test_tools_dir().join("node"));
        command.env("CHROMIUM", needs::chromium().expect("Chromium; `cargo xtask tools` installs it"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node; `cargo xtask tools` installs it");
        world.sweeper.watch(child.id());
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from, sweeper: world.sweeper.clone(), base: world.gateway.page_url() }
    }

    /// One command; the error is what the browser said.
    pub(crate) fn try_do(&mut self, command: &Value) -> Result<Value, String> {
        writeln!(self.to, "{command}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the browser ended: {line}"));
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].clone()),
        }
    }

    /// One command that must succeed.
    #[track_caller]
    pub(crate) fn run(&mut self, command: Value) -> Value {
        self.try_do(&command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Opens a window for a person, with an authenticator, and signs them in by a link.
    #[track_caller]
    pub(crate) fn sign_in(&mut self, world: &World, who: &str, authenticator: Value) {
        self.run(json!({"do": "person", "who": who, "authenticator": authenticator}));
        let base = self.base.clone();
        self.sign_in_at(world, who, &base);
    }

    /// Signs a person in by a link, at any of the gateway's addresses.
    #[track_caller]
    pub(crate) fn sign_in_at(&mut self, world: &World, who: &str, base: &str) {
        let link = world.gateway.administer(&["person", "login-link", who]);
        let secret = link.rsplit('/').next().unwrap();
        self.run(json!({"do": "open", "who": who, "url": format!("{base}/login/{secret}")}));
        self.press(who, "main form button");
        self.until(who, "nav[aria-label=Main]");
    }

    /// Adds a passkey on a person's own page.
    #[track_caller]
    pub(crate) fn enrol(&mut self, who: &str, label: &str) {
        self.open(who, "/me/passkeys");
        self.run(json!({"do": "fill", "who": who, "selector": "#label", "value": label}));
        self.press(who, "button[data-passkey=create]");
        self.until(who, &format!("ul.passkeys li:has-text('{label}')"));
    }

    #[track_caller]
    pub(crate) fn open(&mut self, who: &str, path: &str) {
        let url = format!("{}{path}", self.base);
        self.run(json!({"do": "open", "who": who, "url": url}));
    }

    #[track_caller]
    pub(crate) fn press(&mut self, who: &str, selector: &str) {
        self.run(json!({"do": "press", "who": who, "selector": selector}));
    }

    #[track_caller]
    pub(crate) fn until(&mut self, who: &str, selector: &str) {
        self.run(json!({"do": "until", "who": who, "selector": selector}));
    }

    /// What a page of any origin would sign for these options.
    pub(crate) fn sign(&mut self, who: &str, options: &Value) -> Value {
        self.run(json!({"do": "sign", "who": who, "options": options}))
    }

    /// Asserts that the page has no flaw that axe finds and that nothing failed in its console; keeps its looks, in light
    /// and dark, wide and narrow, where `COUNTERSIGN_LOOKS` names a directory.
    #[track_caller]
    pub(crate) fn inspect(&mut self, who: &str, name: &str) {
        let log = self.run(json!({"do": "log", "who": who}));
        assert_eq!(log, json!([]), "{name}");
        self.inspect_quietly(who, name);
    }

    /// The same for a page on which something was made to fail.
    #[track_caller]
    pub(crate) fn inspect_quietly(&mut self, who: &str, name: &str) {
        let flaws = self.run(json!({"do": "axe", "who": who}));
        assert_eq!(flaws, json!([]), "{name}");
        let Some(looks) = std::env::var_os("COUNTERSIGN_LOOKS").map(PathBuf::from) else { return };
        for (dark, width) in [(false, 1280), (true, 1280), (false, 390)] {
            let file = format!("{name}-{}-{width}.png", if dark { "dark" } else { "light" });
            self.run(json!({"do": "look", "who": who, "path": looks.join(file), "dark": dark, "width": width}));
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.forget(self.child.id());
    }
}
