//! A real API server with its etcd, and `kubectl`.
//!
//! `cargo xtask tools` builds the server. Pods never run; one that a test puts on a node of its own is that node's kubelet's.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use xtask::kubernetes::api_server;
use xtask::loopback::free_port;
use xtask::process::{Finished, run, wait_until};
use xtask::sweeper::Sweeper;
use xtask::test_tools_dir;

/// How long one command may take; it repeats what waits.
const COMMAND_TIME: Duration = Duration::from_secs(180);
/// How long the server may take to come up on a busy machine.
const START_TIME: Duration = Duration::from_secs(90);
/// The gateway's token there: it may do everything.
pub(crate) const TOKEN: &str = "the-gateways-token";

/// The command line, as the tests' tools have it.
pub(crate) fn kubectl() -> PathBuf {
    test_tools_dir().join("kubernetes/kubectl/kubectl")
}

/// One server, with nothing in it.
pub(crate) struct ApiServer {
    dir: PathBuf,
    port: u16,
    children: Vec<Child>,
    sweeper: Arc<Sweeper>,
}

impl ApiServer {
    /// Starts it under `dir`.
    pub(crate) fn start(dir: &Path, sweeper: Arc<Sweeper>) -> Self {
        let dir = dir.join("kubernetes");
        fs::create_dir(&dir).unwrap();
        certificate(&dir);
        fs::write(dir.join("tokens.csv"), format!("{TOKEN},gateway,1,\"system:masters\"\n")).unwrap();
        fs::write(dir.join("token"), format!("{TOKEN}\n")).unwrap();
        let mut server = Self { dir, port: free_port().unwrap(), children: Vec::new(), sweeper };
        let etcd = server.etcd();
        server.serve(etcd);
        server
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Its certificate, which is its own authority, and the key to it.
    pub(crate) fn certificate(&self) -> (PathBuf, PathBuf) {
        (self.dir.join("server.crt"), self.dir.join("server.key"))
    }

    /// What the gateway is told of it: a target of this name, which clients reach by `host` too.
    pub(crate) fn target(&self, name: &str, host: &str) -> String {
        format!(
            "\n[[target]]\nname = \"{name}\"\nprotocol = \"kubernetes\"\nupstream = \"{}\"\n\
             credential = {{ file = \"{}\" }}\nenvironment = \"production\"\n[target.http]\nhosts = [\"{host}\"]\nca = \"{}\"\n",
            self.url(),
            self.dir.join("token").display(),
            self.certificate().0.display()
        )
    }

    /// `kubectl` behind the gateway's back, which has to succeed.
    pub(crate) fn admin(&self, args: &[&str]) -> String {
        self.kubectl(&self.url(), TOKEN, args).success("kubectl").unwrap()
    }

    /// `kubectl` against an address, with a bearer token.
    pub(crate) fn kubectl(&self, url: &str, token: &str, args: &[&str]) -> Finished {
        run(&mut self.command(url, token, args), COMMAND_TIME).unwrap()
    }

    /// The same, to be started.
    pub(crate) fn command(&self, url: &str, token: &str, args: &[&str]) -> Command {
        self.command_of(kubectl(), url, token, args)
    }

    /// The same with another program that reads a kubeconfig.
    pub(crate) fn command_of(&self, program: impl AsRef<OsStr>, url: &str, token: &str, args: &[&str]) -> Command {
        let config = self.dir.join(format!("config-{}", xtask::loopback::random_secret().unwrap()));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: \"{url}\", certificate-authority: \"{}\"}}}}]\n\
             users: [{{name: u, user: {{token: \"{token}\"}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u, namespace: default}}}}]\n",
            self.certificate().0.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command.args(args).env("KUBECONFIG", config).env("HOME", &self.dir).current_dir(&self.dir);
        command.stdin(Stdio::null());
        command
    }

    /// A file beside the server, for `-f`.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn etcd(&mut self) -> u16 {
        let (port, peers) = (free_port().unwrap(), free_port().unwrap());
        let (url, peers) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(self.dir.join("etcd")).arg("--unsafe-no-fsync");
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}")]);
        self.spawn("etcd", command);
        let up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(());
        wait_until("etcd", START_TIME, up).unwrap();
        port
    }

    fn serve(&mut self, etcd: u16) {
        let (cert, key) = self.certificate();
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        let tokens = self.dir.join("tokens.csv").display().to_string();
        let (etcd, port) = (format!("http://127.0.0.1:{etcd}"), self.port.to_string());
        let settings = [
            ("etcd-servers", etcd.as_str()),
            ("bind-address", "127.0.0.1"),
            ("advertise-address", "127.0.0.1"),
            ("secure-port", &port),
            ("tls-cert-file", &cert),
            ("tls-private-key-file", &key),
            ("authorization-mode", "RBAC"),
            ("token-auth-file", &tokens),
            ("service-account-key-file", &key),
            ("service-account-signing-key-file", &key),
            ("service-account-issuer", "https://kubernetes.default"),
            ("service-cluster-ip-range", "10.0.0.0/24"),
            ("disable-admission-plugins", "ServiceAccount"),
            ("endpoint-reconciler-type", "none"),
        ];
        let mut command = Command::new(api_server());
        command.args(settings.iter().map(|(name, value)| format!("--{name}={value}")));
        command.arg(format!("--cert-dir={}", self.dir.display()));
        self.spawn("kube-apiserver", command);
        let ready = || self.kubectl(&self.url(), TOKEN, &["get", "namespace", "default"]).ok().then_some(());
        wait_until("the API server", START_TIME, ready).unwrap();
    }

    fn spawn(&mut self, name: &str, mut command: Command) {
        let log = File::create(self.dir.join(format!("{name}.log"))).unwrap();
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("an API server and etcd; `cargo xtask tools` builds and installs them");
        self.sweeper.watch(child.id());
        self.children.push(child);
    }
}

/// A certificate of its own for `localhost`, and an RSA key, which service accounts' tokens need.
fn certificate(dir: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    // an authority of its own may not sign for a server with rustls
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.arg("-keyout").arg(dir.join("server.key")).arg("-out").arg(dir.join("server.crt"));
    run(&mut openssl, Duration::from_secs(30)).unwrap().success("openssl").unwrap();
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
            self.sweeper.forget(child.id());
        }
    }
}
