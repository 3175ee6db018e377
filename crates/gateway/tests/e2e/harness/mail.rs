//! A mail server as the gateway sees it: a real one, that keeps what it takes and says what a mail program would make of it.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use xtask::loopback::free_port;
use xtask::process::wait_until;
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

use super::SOON;

/// Where reviews are told of.
pub(crate) const ADDRESS: &str = "dbas@example.org";
/// Where the SREs are.
pub(crate) const SRES: &str = "sres@example.org";
/// The password to the server, where it asks.
const PASSWORD: &str = "a-password-of-the-tests";

/// Recipients that a server in trouble answers: more than are ever tried.
const TROUBLE: usize = 1_000;

/// How the server lets itself be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protected {
    /// In clear, on loopback.
    No,
    /// By STARTTLS, and with a password.
    Yes,
    /// The gateway wants STARTTLS, which somebody on the way has taken out.
    Stripped,
}

/// A mail server, or the place where one would be.
pub(crate) struct Mail {
    server: Option<Child>,
    sweeper: Arc<Sweeper>,
    port: u16,
    protected: Protected,
    dir: PathBuf,
}

impl Mail {
    /// A server that nobody has started yet.
    pub(crate) fn prepare(dir: &Path, protected: Protected, sweeper: Arc<Sweeper>) -> Self {
        let dir = dir.join("mail");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("password"), format!("{PASSWORD}\n")).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { server: None, sweeper, port: free_port().unwrap(), protected, dir }
    }

    pub(crate) fn start(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/mail_server.py");
        let log = File::create(self.dir.join("log")).unwrap();
        let mut command = Command::new(test_tools_dir().join("python/bin/python"));
        command.arg(script).arg(self.port.to_string()).arg(&self.dir);
        if self.protected == Protected::Yes {
            command.arg(self.dir.join("cert.pem")).arg(self.dir.join("key.pem")).arg(PASSWORD);
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.sweeper.watch(child.id());
        self.server = Some(child);
        let up = || TcpStream::connect(("127.0.0.1", self.port)).ok().map(drop);
        wait_until("the mail server", SOON, up)
            .unwrap_or_else(|error| panic!("{error}: {}", fs::read_to_string(self.dir.join("log")).unwrap()));
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
            self.sweeper.forget(server.id());
        }
    }

    /// What the gateway is told of it.
    pub(crate) fn configuration(&self) -> String {
        let dir = self.dir.display();
        let how = match self.protected {
            Protected::No => "server = \"127.0.0.1\"\ntls = \"none\"".to_owned(),
            Protected::Yes | Protected::Stripped => format!(
                "server = \"localhost\"\ntls = \"starttls\"\nca = \"{dir}/cert.pem\"\nusername = \"countersign\"\n\
                 password = {{ file = \"{dir}/password\" }}"
            ),
        };
        format!(
            "\n[mail]\n{how}\nport = {}\nfrom = \"Countersign <gate@example.org>\"\nto = \"{ADDRESS}\"\n\
             groups = {{ sre = \"{SRES}\" }}\n",
            self.port
        )
    }

    /// The gateway's password from now on.
    pub(crate) fn password(&self, password: Option<&str>) {
        fs::write(self.dir.join("password"), format!("{}\n", password.unwrap_or(PASSWORD))).unwrap();
    }

    /// The next recipients are answered so, one by one.
    pub(crate) fn answers(&self, answers: &[&str]) {
        fs::write(self.dir.join("answer"), answers.join("\n")).unwrap();
    }

    /// Every recipient is answered so from now on, if at all.
    pub(crate) fn in_trouble(&self, answer: Option<&str>) {
        match answer {
            Some(answer) => self.answers(&[answer; TROUBLE]),
            None => drop(fs::remove_file(self.dir.join("answer"))),
        }
    }

    /// How many recipients were answered so, until it ended.
    pub(crate) fn troubled(&self) -> usize {
        fs::read_to_string(self.dir.join("answer")).map_or(0, |left| TROUBLE - left.lines().count())
    }

    /// All letters to an address, the oldest first.
    pub(crate) fn letters(&self, to: &str) -> Vec<Value> {
        let kept = fs::read_to_string(self.dir.join("letters")).unwrap_or_default();
        let whole = kept.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        whole.filter(|letter| letter["to"][0] == to).collect()
    }

    /// The newest letter to an address, once it says this.
    #[track_caller]
    pub(crate) fn until_says(&self, to: &str, words: &str) -> Value {
        let newest = || self.letters(to).pop();
        let says = || newest().filter(|letter| letter["text"].as_str().unwrap().contains(words));
        wait_until(&format!("a letter of `{words}`"), SOON, says).unwrap_or_else(|error| {
            panic!("{error}: {:?}\n{}", newest(), fs::read_to_string(self.dir.join("log")).unwrap())
        })
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.stop();
    }
}
