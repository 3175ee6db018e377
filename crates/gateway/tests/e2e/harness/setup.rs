//! What a world stands on: its configuration, its folder, and a database with something in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use xtask::cluster::{Binaries, Cluster, Recipe};
use xtask::loopback::random_secret;
use xtask::sweeper::Sweeper;
use xtask::{repository, target_dir};

use super::gateway::Ports;
use super::{TARGET, UPSTREAM_USER};

pub(super) fn configuration(Ports { http, postgres }: Ports, upstream: &str) -> String {
    format!(
        r#"
[server]
listen     = "127.0.0.1:{http}"
public_url = "http://127.0.0.1:{http}"
data_dir   = "./data"
policies   = "./policies"

[postgres]
listen = "127.0.0.1:{postgres}"

[[target]]
name        = "{TARGET}"
protocol    = "postgres"
upstream    = "{upstream}"
credential  = {{ env = "ORDERS_PASSWORD" }}
environment = "production"
"#
    )
}

pub(super) fn directory() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("countersign-e2e-{}", random_secret().unwrap()));
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).unwrap();
    dir
}

pub(super) fn database(dir: &Path, sweeper: &Sweeper) -> Cluster {
    let binaries = Binaries::find().expect("PostgreSQL's server programs; `cargo xtask tools` installs them");
    let template = Some(target_dir().join("test-tools/clusters"));
    let cluster = Cluster::start(Recipe { dir, binaries, template, fsync: false }).unwrap();
    sweeper.watch(cluster.pid().unwrap());
    cluster
}

pub(super) fn fill(cluster: &Cluster, password: &str) {
    cluster.admin("postgres", &format!("CREATE ROLE {UPSTREAM_USER} LOGIN PASSWORD '{password}'")).unwrap();
    cluster.admin("postgres", &format!("CREATE DATABASE {TARGET} OWNER {UPSTREAM_USER}")).unwrap();
    let tables = fs::read_to_string(repository().join("xtask/src/demo/sample.sql")).unwrap();
    cluster.admin(TARGET, &tables).unwrap();
    cluster.admin(TARGET, &format!("ALTER TABLE customers OWNER TO {UPSTREAM_USER}")).unwrap();
}
