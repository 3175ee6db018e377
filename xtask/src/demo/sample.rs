//! The sample database and the gateway's configuration in front of it.

use std::path::Path;

use xtask::cluster::Cluster;
use xtask::trouble::Result;

/// The database, and the target's name at the gateway.
pub(super) const DATABASE: &str = "orders";
/// The account that only the gateway can use; it owns nothing and is no superuser.
pub(super) const UPSTREAM_USER: &str = "app";
const TABLES: &str = include_str!("sample.sql");

/// Makes the account and the database.
pub(super) fn fill(cluster: &Cluster, password: &str) -> Result<()> {
    cluster.admin("postgres", &format!("CREATE ROLE {UPSTREAM_USER} LOGIN PASSWORD '{password}'"))?;
    cluster.admin("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
    cluster.admin(DATABASE, TABLES).map(drop)
}

/// Ports of the gateway and of the PostgreSQL behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) postgres: u16,
    pub(super) upstream: u16,
}

/// The gateway's configuration.
pub(super) fn configuration(ports: Ports, certificate: &Path) -> String {
    let Ports { http, postgres, upstream } = ports;
    let certificate = certificate.display();
    format!(
        r#"# Written by `cargo demo`.
[server]
listen     = "127.0.0.1:{http}"
public_url = "http://127.0.0.1:{http}"
data_dir   = "./data"
policies   = "./policies"

[postgres]
listen = "127.0.0.1:{postgres}"

[[target]]
name        = "{DATABASE}"
protocol    = "postgres"
upstream    = "postgres://{UPSTREAM_USER}@127.0.0.1:{upstream}/{DATABASE}?sslmode=verify-full&sslrootcert={certificate}"
credential  = {{ env = "ORDERS_PASSWORD" }}
environment = "production"
"#
    )
}
