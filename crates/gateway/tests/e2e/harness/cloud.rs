//! AWS as `moto` answers for it, and the clients that people use: AWS's own command line and boto3.
//!
//! `cargo xtask tools` installs them. The server writes down each request that reaches it, with its headers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use xtask::loopback::free_port;
use xtask::process::{Finished, run, wait_until};
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

use super::World;

/// How long one command may take; it repeats what waits.
const COMMAND_TIME: Duration = Duration::from_secs(120);
/// How long the server may take to come up on a busy machine.
const START_TIME: Duration = Duration::from_secs(60);
/// The id of the gateway's access key.
const GATEWAYS_KEY: &str = "AKIAGATEWAY";
/// The region of all that is asked.
pub(crate) const REGION: &str = "eu-central-1";

/// An account with nothing in it.
pub(crate) struct Moto {
    dir: PathBuf,
    port: u16,
    child: Child,
    sweeper: Arc<Sweeper>,
}

impl Moto {
    /// Starts it under `dir`.
    pub(crate) fn start(dir: &Path, sweeper: Arc<Sweeper>) -> Self {
        let (dir, port) = (dir.join("aws"), free_port().unwrap());
        fs::create_dir(&dir).unwrap();
        let log = File::create(dir.join("moto.log")).unwrap();
        let mut command = Command::new(program("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).current_dir(&dir);
        command.env("MOTO_ENABLE_RECORDING", "true").env("MOTO_RECORDER_FILEPATH", dir.join("requests"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("moto; `cargo xtask tools` installs it");
        sweeper.watch(child.id());
        let up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(());
        wait_until("moto", START_TIME, up).unwrap();
        Self { dir, port, child, sweeper }
    }

    /// What the gateway is told of it: a target of this name.
    pub(crate) fn target(&self, name: &str, environment: &str) -> String {
        format!(
            "\n[[target]]\nname = \"{name}\"\nprotocol = \"aws\"\nupstream = \"http://127.0.0.1:{}\"\n\
             credential = {{ env = \"ORDERS_PASSWORD\" }}\nenvironment = \"{environment}\"\n\
             [target.http]\nauth = {{ sigv4 = {{ access_key_id = \"{GATEWAYS_KEY}\" }} }}\n",
            self.port
        )
    }

    /// The command line behind the gateway's back, which has to succeed.
    pub(crate) fn admin(&self, args: &[&str]) -> String {
        let mut command = self.client(&program("aws"), args);
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port));
        command.env("AWS_ACCESS_KEY_ID", "admin").env("AWS_SECRET_ACCESS_KEY", "admin");
        run(&mut command, COMMAND_TIME).unwrap().success("aws").unwrap()
    }

    /// A client with no settings of anybody's.
    fn client(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.dir).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &self.dir);
        command.env("AWS_DEFAULT_REGION", REGION).env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_PAGER", "");
        command
    }

    /// A client as the agent, with the settings that `countersign connect` tells.
    pub(crate) fn command(&self, world: &World, target: &str, program: &Path, args: &[&str]) -> Command {
        let told = world.gateway.administer(&["connect", target, "--agent", super::AGENT, "--json"]);
        let told: Value = serde_json::from_str(&told).unwrap();
        let mut command = self.client(program, args);
        for (name, value) in told["environment"].as_object().unwrap() {
            command.env(name, value.as_str().unwrap());
        }
        for name in told["key_variables"].as_array().unwrap() {
            command.env(name.as_str().unwrap(), &world.key);
        }
        command
    }

    /// AWS's command line as the agent.
    pub(crate) fn aws(&self, world: &World, target: &str, args: &[&str]) -> Finished {
        run(&mut self.command(world, target, &program("aws"), args), COMMAND_TIME).unwrap()
    }

    /// The same, to be started.
    pub(crate) fn started(&self, world: &World, target: &str, args: &[&str]) -> Child {
        let mut command = self.command(world, target, &program("aws"), args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The boto3 client of `tests/clients` as the agent.
    pub(crate) fn boto3(&self, world: &World, target: &str, args: &[&str]) -> Finished {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/py_boto3.py");
        let args: Vec<&str> = [script].into_iter().chain(args.iter().copied()).collect();
        run(&mut self.command(world, target, &program("python"), &args), COMMAND_TIME).unwrap()
    }

    /// A file of this length beside the server.
    pub(crate) fn file(&self, name: &str, bytes: usize) -> String {
        let path = self.dir.join(name);
        let text: Vec<u8> = (0..bytes).map(|at| b'a' + u8::try_from(at % 23).unwrap()).collect();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Every request that has reached it, as it wrote them down.
    pub(crate) fn requests(&self) -> String {
        fs::read_to_string(self.dir.join("requests")).unwrap()
    }
}

/// A program of the clients' own environment.
fn program(name: &str) -> PathBuf {
    test_tools_dir().join("cloud/bin").join(name)
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.forget(self.child.id());
    }
}
