//! Attack tools as people use them, against the gateway and, to show that they bite, against the server without it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use xtask::process::{Finished, run};
use xtask::test_tools_dir;

use crate::harness::{AGENT, Plan, TARGET, UPSTREAM_USER, World};

/// The longest that one run of a tool takes.
const TOOL_BOUND: Duration = Duration::from_secs(120);

/// Only reads, and settings of the own session.
const READ_ONLY: &str = r#"
@id("reads") permit (principal, action in [Action::"sql:read", Action::"sql:session"], resource);
"#;

/// Everything that an attack could leave behind.
const TRACES: &str = "SELECT md5(concat((SELECT string_agg(c::text, ';' ORDER BY id) FROM customers c), \
    (SELECT string_agg(o::text, ';' ORDER BY id) FROM orders o), \
    (SELECT string_agg(concat(oid, relname, relacl), ';' ORDER BY oid) FROM pg_class), \
    (SELECT string_agg(concat(oid, proname), ';' ORDER BY oid) FROM pg_proc WHERE oid >= 16384), \
    (SELECT count(*) FROM pg_largeobject_metadata), (SELECT last_value FROM touched)))";

fn tool(name: &str) -> Command {
    Command::new(test_tools_dir().join("attackers/bin").join(name))
}

/// An application that can be injected, connected to the gateway or directly.
struct Application {
    child: Child,
    url: String,
}

impl Application {
    fn start(port: u16, (user, password): (&str, &str)) -> Self {
        let mut command = tool("python");
        command.arg(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/vulnerable.py")));
        command.env("PGHOST", "127.0.0.1").env("PGPORT", port.to_string()).env("PGSSLMODE", "require");
        command.env("PGUSER", user).env("PGPASSWORD", password).env("PGDATABASE", TARGET);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("Python; `cargo xtask tools` installs it");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, url: format!("http://127.0.0.1:{}/customer?id=1", port.trim()) }
    }

    /// Runs sqlmap; what it found out stays in a directory of this name.
    fn attack(&self, world: &World, name: &str, wish: &[&str]) -> Finished {
        let mut command = tool("sqlmap");
        command.args(["-u", &self.url, "-p", "id", "--batch", "--dbms=PostgreSQL", "--technique=BES", "--time-sec=1"]);
        command.arg("--disable-coloring").arg("--output-dir").arg(world.dir.join(name)).args(wish);
        run(&mut command, TOOL_BOUND).unwrap()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an attacker wants, in sqlmap's words.
const WISHES: &[&[&str]] =
    &[&["--sql-query=SELECT setval('touched', 7)"], &["--os-cmd=echo hello"], &["--sql-query=DELETE FROM orders"]];

/// An injectable application behind a gateway that lets it read is injected, and nothing changes. Without the gateway the
/// same attacks change everything.
#[test]
fn an_injectable_application_changes_nothing() {
    let world = Plan::default().only_policies(READ_ONLY).start();
    world.truth(&format!("CREATE SEQUENCE touched; ALTER ROLE {UPSTREAM_USER} SUPERUSER"));
    let before = world.truth(TRACES);
    let behind = Application::start(world.gateway.postgres_port(), (AGENT, &world.key));
    let dumped = behind.attack(&world, "behind", &["--dump", "-T", "customers"]);
    assert!(dumped.stdout.contains("Cascade"), "the injection works, as far as reading goes: {}", dumped.stdout);
    for wish in WISHES {
        let said = behind.attack(&world, "behind", wish).stdout;
        assert!(!said.contains("output: 'hello'"), "{said}");
        assert_eq!(world.truth(TRACES), before, "{wish:?}: {said}");
    }
    drop(behind);
    let direct = Application::start(world.cluster.port(), (UPSTREAM_USER, world.gateway.upstream_password()));
    let said = direct.attack(&world, "direct", WISHES[1]).stdout;
    assert!(said.contains("output: 'hello'"), "{said}");
    for wish in WISHES {
        let before = world.truth(TRACES);
        let said = direct.attack(&world, "direct", wish).stdout;
        let changed = world.truth(TRACES) != before;
        assert!(changed || wish == &WISHES[1], "{wish:?} changed nothing: {said}");
    }
}

/// What sslyze saw of a PostgreSQL server on this port.
fn scan(world: &World, port: u16) -> Value {
    let report = world.dir.join(format!("tls-{port}.json"));
    let mut command = tool("sslyze");
    command.arg("--starttls=postgres").arg("--json_out").arg(&report).arg(format!("127.0.0.1:{port}"));
    run(&mut command, TOOL_BOUND).unwrap(); // it ends with 1 where Mozilla's profile is not met to the letter
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let scanned = &report["server_scan_results"][0];
    assert_eq!(scanned["scan_status"], "COMPLETED", "{scanned}");
    scanned["scan_result"].clone()
}

/// Cipher suites that were accepted in a version of TLS.
fn accepted(scan: &Value, version: &str) -> Vec<String> {
    let suites = &scan[format!("{version}_cipher_suites")]["result"]["accepted_cipher_suites"];
    let suites = suites.as_array().unwrap_or_else(|| panic!("no {version} in {scan}"));
    suites.iter().map(|suite| suite["cipher_suite"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Everything that should not be there.
fn findings(scan: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for version in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"] {
        found.extend(accepted(scan, version).iter().map(|suite| format!("{version}: {suite}")));
    }
    let weak = |suite: &String| {
        !suite.starts_with("TLS_ECDHE_") || !(suite.contains("_GCM_") || suite.contains("_CHACHA20_POLY1305_"))
    };
    found.extend(accepted(scan, "tls_1_2").into_iter().filter(weak));
    for (check, key, good) in [
        ("heartbleed", "is_vulnerable_to_heartbleed", Value::Bool(false)),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", Value::Bool(false)),
        ("robot", "robot_result", Value::from("NOT_VULNERABLE_RSA_NOT_SUPPORTED")),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", Value::Bool(false)),
        ("tls_compression", "supports_compression", Value::Bool(false)),
        ("tls_extended_master_secret", "supports_ems_extension", Value::Bool(true)),
    ] {
        if scan[check]["result"][key] != good {
            found.push(format!("{check}: {}", scan[check]["result"]));
        }
    }
    found
}

/// sslyze finds nothing in the gateway's TLS, and something in that of a server with its defaults.
#[test]
fn only_current_tls_with_forward_secrecy() {
    let world = World::start();
    let gateway = scan(&world, world.gateway.postgres_port());
    assert_eq!(findings(&gateway), Vec::<String>::new());
    assert!(accepted(&gateway, "tls_1_3").len() >= 3 && accepted(&gateway, "tls_1_2").len() >= 3, "{gateway}");
    assert!(findings(&scan(&world, world.cluster.port())).len() > 5, "the check can fail");
}
