//! The sample database, and the gateway's target in front of it.

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

/// The lines of the gateway's configuration for it.
pub(super) fn configuration(listen: u16, upstream: u16, certificate: &Path) -> String {
    let certificate = certificate.display();
    format!(
        r#"
[postgres]
listen = "127.0.0.1:{listen}"

[[target]]
name        = "{DATABASE}"
protocol    = "postgres"
upstream    = "postgres://{UPSTREAM_USER}@127.0.0.1:{upstream}/{DATABASE}?sslmode=verify-full&sslrootcert={certificate}"
credential  = {{ env = "ORDERS_PASSWORD" }}
environment = "production"
"#
    )
}
