//! A node of a cluster: a kubelet of ours, and a pod on it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use xtask::process::wait_until;
use xtask::sweeper::Sweeper;

use super::kubernetes::ApiServer;
use super::{SOON, go};

/// The pod's name.
pub(crate) const POD: &str = "web";

/// A kubelet, and what it was asked.
pub(crate) struct Kubelet {
    child: Child,
    log: PathBuf,
    sweeper: Arc<Sweeper>,
}

impl Kubelet {
    /// Starts it, and gives the cluster its node with a pod that is said to run there.
    pub(crate) fn start(dir: &Path, server: &ApiServer, sweeper: Arc<Sweeper>) -> Self {
        let (program, log) = (go::built(dir, "kubelet"), dir.join("kubelet.log"));
        let (certificate, key) = server.certificate();
        let mut command = Command::new(program);
        command.arg(certificate).arg(key).current_dir(dir).stdin(Stdio::null()).stdout(File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        sweeper.watch(child.id());
        let kubelet = Self { child, log, sweeper };
        let port = wait_until("the kubelet's port", SOON, || kubelet.lines().first()?.parse::<u16>().ok()).unwrap();
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            },
        });
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD},
            "spec": {"nodeName": "node", "containers": [{"name": "c", "image": "x"}]},
        });
        for (name, object) in [("node.json", node), ("pod.json", pod)] {
            server.admin(&["create", "-f", &server.file(name, &object.to_string())]);
        }
        let runs = r#"{"status":{"phase":"Running"}}"#;
        server.admin(&["patch", "pod", POD, "--subresource=status", "--type=merge", "-p", runs]);
        kubelet
    }

    /// What it was asked, one line each.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.lines().split_off(1)
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.log).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.sweeper.forget(self.child.id());
    }
}
