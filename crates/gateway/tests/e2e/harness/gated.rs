//! A cluster behind a gateway, and an agent with `kubectl` and its like.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};

use xtask::process::Finished;

use super::api::Review;
use super::kubernetes::{ApiServer, kubectl};
use super::{Plan, World};

/// The target's name.
pub(crate) const CLUSTER: &str = "cluster";

/// A cluster behind a gateway.
pub(crate) struct Gated {
    // dropped first: it lies in the world's directory
    pub(crate) server: ApiServer,
    pub(crate) world: World,
}

impl Gated {
    /// One with these policies beside the starter pack.
    pub(crate) fn set(policies: &'static str) -> Self {
        let mut world = Plan::default().policies_beside(policies).prepare();
        let server = ApiServer::start(&world.dir, world.sweeper.clone());
        let file = world.gateway.config();
        let configuration = std::fs::read_to_string(&file).unwrap();
        let (cert, key) = server.certificate();
        // `kubectl` sends no token without TLS
        let tls = format!("[server]\ntls_cert = \"{}\"\ntls_key = \"{}\"", cert.display(), key.display());
        let host = world.gateway.url().replace("http://127.0.0.1", "localhost");
        let configuration = configuration.replacen("[server]", &tls, 1) + &server.target(CLUSTER, &host);
        std::fs::write(&file, configuration).unwrap();
        world.gateway.start();
        world.enrol(&[]);
        Self { server, world }
    }

    /// By its name: `kubectl get --raw` leaves out what stands before a server's paths.
    pub(crate) fn url(&self) -> String {
        self.world.gateway.url().replace("http://127.0.0.1", "https://localhost")
    }

    /// `kubectl` as the agent.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Finished {
        self.server.kubectl(&self.url(), &self.world.key, args)
    }

    /// The same, which has to succeed.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        self.kubectl(args).success("kubectl").unwrap()
    }

    /// The same, which has to fail. What it said.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let finished = self.kubectl(args);
        assert!(!finished.ok(), "{args:?}: {}", finished.stdout);
        format!("{}{}", finished.stdout, finished.stderr)
    }

    /// The same while it waits for a review.
    pub(crate) fn paused(&self, args: &[&str]) -> (Child, Review) {
        let before = self.world.dora().open_reviews().len();
        let child = self.begun(kubectl(), args);
        (child, self.world.review_beyond(before))
    }

    /// A program with a kubeconfig of the agent's, to be started.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Command {
        self.server.command_of(program, &self.url(), &self.world.key, args)
    }

    /// The same, started.
    pub(crate) fn begun(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Child {
        self.command(program, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// What a command said, and whether it succeeded.
pub(crate) fn ended(child: Child) -> (bool, String) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}
