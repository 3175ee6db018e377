//! The example of the guide that turns events into incidents, as a process, before a service that keeps what it is told.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use xtask::loopback::free_port;
use xtask::process::wait_until;
use xtask::repository;
use xtask::sweeper::Sweeper;

use super::SOON;
use super::receiver::{Receiver, SECRET};

/// The example and the service behind it.
pub(crate) struct Pager {
    child: Child,
    sweeper: Arc<Sweeper>,
    port: u16,
    /// What stands for the service.
    pub(crate) service: Receiver,
}

impl Pager {
    /// Starts both, for one of the services that the example knows.
    pub(crate) fn start(service: &str, sweeper: Arc<Sweeper>) -> Self {
        let (port, behind) = (free_port().unwrap(), Receiver::start());
        let mut command = Command::new("python3");
        command.arg(repository().join("docs/guide/pager.py")).stdin(Stdio::null());
        command.env("PORT", port.to_string()).env("WEBHOOK_SECRET", SECRET).env("SERVICE", service);
        command.env("KEY", "a-key").env("URL", format!("http://127.0.0.1:{}/hook", behind.port));
        let child = command.spawn().unwrap();
        sweeper.watch(child.id());
        let up = || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop);
        wait_until("the example", SOON, up).unwrap();
        Self { child, sweeper, port, service: behind }
    }

    /// What the gateway is told of it: it hears of what the SREs are asked.
    pub(crate) fn configuration(&self, name: &str) -> String {
        format!(
            "\n[[webhook]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{}/\"\nsecret = {{ file = \"webhook\" }}\ngroups = [\"sre\"]\n",
            self.port
        )
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.forget(self.child.id());
    }
}
