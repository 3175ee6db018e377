//! The gateway as a process: started, stopped, killed, and asked on its command line.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use xtask::loopback::get_status;
use xtask::process::{Finished, run, signal, wait, wait_until};
use xtask::sweeper::Sweeper;

use super::SOON;

/// Where it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) postgres: u16,
}

/// One gateway with its directory.
pub(crate) struct Gateway {
    dir: PathBuf,
    http: u16,
    postgres: u16,
    upstream_password: String,
    disk_bytes: Option<u64>,
    named: bool,
    sweeper: Arc<Sweeper>,
    child: Option<Child>,
}

impl Gateway {
    pub(crate) fn new(dir: &Path, ports: Ports, upstream_password: String, sweeper: Arc<Sweeper>) -> Self {
        let Ports { http, postgres } = ports;
        let dir = dir.to_path_buf();
        Self { dir, http, postgres, upstream_password, disk_bytes: None, named: false, sweeper, child: None }
    }

    /// Gives its data a disk of this size.
    pub(crate) fn with_disk(self, disk_bytes: Option<u64>) -> Self {
        Self { disk_bytes, ..self }
    }

    /// Says that its `public_url` is a name.
    pub(crate) fn with_name(self, named: bool) -> Self {
        Self { named, ..self }
    }

    /// Where its pages are opened: its `public_url`.
    pub(crate) fn page_url(&self) -> String {
        if self.named { format!("http://localhost:{}", self.http) } else { self.url() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The port that PostgreSQL clients use.
    pub(crate) fn postgres_port(&self) -> u16 {
        self.postgres
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The password of the gateway's own account at the database.
    pub(crate) fn upstream_password(&self) -> &str {
        &self.upstream_password
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("countersign.toml")
    }

    /// Where it keeps its state; seen through its own process when it has a disk of its own.
    pub(crate) fn data_dir(&self) -> PathBuf {
        match (&self.child, self.disk_bytes) {
            (Some(child), Some(_)) => PathBuf::from(format!("/proc/{}/root{}/data", child.id(), self.dir.display())),
            _ => self.dir.join("data"),
        }
    }

    /// Everything it wrote to its standard output and error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("gateway.log")).unwrap_or_default()
    }

    /// `countersign serve`, not yet started.
    pub(crate) fn serve_command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_countersign");
        let mut command = match self.disk_bytes {
            None => Command::new(program),
            Some(bytes) => {
                let data = self.dir.join("data");
                std::fs::create_dir_all(&data).unwrap();
                let script = format!("mount -t tmpfs -o size={bytes} tmpfs \"$0\" && exec \"$@\"");
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", &script]).arg(data).arg(program);
                command
            }
        };
        command.arg("serve").arg("--config").arg(self.config()).env("ORDERS_PASSWORD", &self.upstream_password);
        command.current_dir(&self.dir);
        command
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.join("gateway.log")).unwrap();
        let mut command = self.serve_command();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        self.sweeper.watch(child.id());
        let ready = wait_until("the gateway to be ready", SOON, || {
            let ended = child.try_wait().unwrap().is_some();
            (ended || matches!(get_status(self.http, "/readyz"), Ok(200))).then_some(!ended)
        });
        if !matches!(ready, Ok(true)) {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the gateway did not come up: {ready:?}\n{}", self.log());
        }
        self.child = Some(child);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            self.sweeper.forget(child.id());
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), "TERM");
            let status = wait(&mut child, SOON);
            if status.is_err() {
                let _ = child.kill();
                let _ = child.wait();
            }
            self.sweeper.forget(child.id());
            assert!(status.is_ok(), "the gateway did not end when asked to");
        }
    }

    /// A command line of the product, with only the configuration given.
    pub(crate) fn command(&self, args: &[&str]) -> Finished {
        let mut command = self.beside_the_data();
        command.args(args).arg("--config").arg(self.config()).current_dir(&self.dir);
        run(&mut command, SOON).unwrap()
    }

    /// The product, where it sees the same data as the gateway: a disk of its own is visible only to its own process.
    fn beside_the_data(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_countersign");
        match (&self.child, self.disk_bytes) {
            (Some(child), Some(_)) => {
                let mut command = Command::new("nsenter");
                command.args(["--mount", "--target", &child.id().to_string(), program]);
                command
            }
            _ => Command::new(program),
        }
    }

    /// A command of the administrator that must succeed. Returns its output without the final line break.
    pub(crate) fn administer(&self, args: &[&str]) -> String {
        self.command(args).success(&args.join(" ")).unwrap().trim().to_owned()
    }

    /// A command of a person, who has a token and no access to the gateway's files.
    pub(crate) fn as_person(&self, token: &str, args: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(args).env("COUNTERSIGN_URL", self.url()).env("COUNTERSIGN_TOKEN", token).current_dir("/");
        run(&mut command, SOON).unwrap()
    }
}
