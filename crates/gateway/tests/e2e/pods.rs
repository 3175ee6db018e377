//! `kubectl exec`, `attach`, `cp` and `port-forward` to a pod, by way of the gateway: waited for, let through, and refused.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use xtask::process::wait_until;

use crate::harness::SOON;
use crate::harness::gated::{Gated, ended};
use crate::harness::kubelet::{Kubelet, POD};
use crate::harness::kubernetes::kubectl;

const POLICIES: &str = r#"
@id("k8s-may")
permit (principal is Agent, action in [Action::"k8s:read", Action::"k8s:exec"], resource is Cluster);

@id("k8s-sessions")
@review("a session in production: one DBA")
@hold("50s")
forbid (principal is Agent, action == Action::"k8s:exec", resource is Cluster)
unless { context.approvals.contains(Quorum::"dba:1") };
"#;
/// `kubectl` speaks SPDY, as releases before 1.31 did.
const BY_SPDY: [(&str, &str); 2] =
    [("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"), ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")];

/// A cluster with one pod.
struct Stage {
    kubelet: Kubelet,
    gated: Gated,
}

impl Stage {
    fn set() -> Self {
        let gated = Gated::set(POLICIES);
        let kubelet = Kubelet::start(&gated.world.dir, &gated.server, gated.world.sweeper.clone());
        Self { kubelet, gated }
    }

    fn command(&self, args: &[&str], more: &[(&str, &str)]) -> Command {
        let mut command = self.gated.command(kubectl(), args);
        command.envs(more.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a session, sees that nothing of it is known where it leads to, and approves it. What its card says.
    fn approved(&self, mut command: Command) -> (Child, String) {
        let (before, asked) = (self.gated.world.dora().open_reviews().len(), self.kubelet.asked().len());
        let child = command.spawn().unwrap();
        let review = self.gated.world.review_beyond(before);
        assert_eq!(self.kubelet.asked().len(), asked, "it waits");
        let card = self.gated.world.dora().get(&format!("/api/v1/reviews/{}", review.id())).ok();
        self.gated.world.dora().approve(&review).ok();
        (child, card.to_string())
    }

    fn last_asked(&self) -> String {
        self.kubelet.asked().last().cloned().unwrap_or_default()
    }
}

#[test]
fn sessions_in_pods_go_through_once_approved() {
    let stage = Stage::set();
    for (by, how) in [(&[][..], "websocket v5.channel.k8s.io"), (&BY_SPDY[..], "SPDY/3.1 ")] {
        a_command_runs_and_its_status_arrives(&stage, by, how);
        what_is_typed_arrives(&stage, by);
        a_process_is_attached_to(&stage, by);
        files_are_copied(&stage, by);
        a_port_is_forwarded(&stage, by);
    }
    what_is_rejected_reaches_nobody(&stage);
    a_session_ends_with_its_agent(&stage);
    assert!(stage.gated.world.verify().ok());
}

fn a_command_runs_and_its_status_arrives(stage: &Stage, by: &[(&str, &str)], how: &str) {
    let script = "echo shown; echo wrong >&2; exit 3";
    let (child, card) = stage.approved(stage.command(&["exec", POD, "--", "sh", "-c", script], by));
    assert!(card.contains("echo shown") && card.contains("k8s:exec"), "{card}");
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((&*out, output.status.code()), ("shown\n", Some(3)), "{err} {:?}", stage.kubelet.asked());
    assert!(err.contains("wrong") && err.contains("exit code 3"), "{err}");
    assert_eq!(stage.last_asked(), format!("exec {how} sh -c {script}"));
}

fn what_is_typed_arrives(stage: &Stage, by: &[(&str, &str)]) {
    let mut command = stage.command(&["exec", "-i", POD, "--", "cat"], by);
    command.stdin(Stdio::piped());
    let (mut child, _) = stage.approved(command);
    let text = "x".repeat(100_000);
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let (ok, said) = ended(child);
    assert!(ok && said == text, "{} bytes: {}", said.len(), said.trim_start_matches('x'));
}

fn a_process_is_attached_to(stage: &Stage, by: &[(&str, &str)]) {
    let (child, _) = stage.approved(stage.command(&["attach", POD], by));
    let (ok, said) = ended(child);
    assert!(ok && said.contains("attached"), "{said}");
    assert!(stage.last_asked().starts_with("attach "));
}

fn files_are_copied(stage: &Stage, by: &[(&str, &str)]) {
    let (there, here) = (stage.gated.world.dir.join("there"), stage.gated.world.dir.join("here"));
    std::fs::write(&there, "carried\n".repeat(10_000)).unwrap();
    let _ = std::fs::remove_file(&here);
    let from = format!("{POD}:{}", there.display());
    let (child, _) = stage.approved(stage.command(&["cp", &from, &here.display().to_string()], by));
    let (ok, said) = ended(child);
    assert!(ok, "{said}");
    assert_eq!(std::fs::read(&here).unwrap(), std::fs::read(&there).unwrap());
}

fn a_port_is_forwarded(stage: &Stage, by: &[(&str, &str)]) {
    let (mut child, _) = stage.approved(stage.command(&["port-forward", POD, ":80"], by));
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = said.next().unwrap().unwrap();
    let port: u16 =
        first.strip_prefix("Forwarding from 127.0.0.1:").unwrap().split(' ').next().unwrap().parse().unwrap();
    for text in [&b"hello"[..], b"again"] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket.write_all(text).unwrap();
        let mut echo = [0; 5];
        socket.read_exact(&mut echo).unwrap();
        assert_eq!(echo, text);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// `kubectl` tries SPDY when WebSocket is refused to it; nobody is asked twice.
fn what_is_rejected_reaches_nobody(stage: &Stage) {
    let asked = stage.kubelet.asked();
    let before = stage.gated.world.dora().open_reviews().len();
    let child = stage.command(&["exec", POD, "--", "rm", "-rf", "/nothing"], &[]).spawn().unwrap();
    let review = stage.gated.world.review_beyond(before);
    stage.gated.world.dora().reject(&review, "not there").ok();
    let (ok, said) = ended(child);
    assert!(!ok && said.contains("rejected a short while ago"), "{said}");
    assert_eq!(stage.kubelet.asked(), asked);
    assert!(stage.gated.world.dora().open_reviews().len() <= before);
}

fn a_session_ends_with_its_agent(stage: &Stage) {
    let (mut child, _) =
        stage.approved(stage.command(&["exec", POD, "--", "sh", "-c", "echo begun; exec sleep 600"], &[]));
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "begun");
    stage.gated.world.gateway.administer(&["agent", "revoke", crate::harness::AGENT]);
    let ended = wait_until("the session to end", SOON, || child.try_wait().unwrap());
    assert!(!ended.unwrap().success());
}
