//! What the file may say, and what the errors tell.

use super::*;

fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(Path::new("/etc/countersign/countersign.toml"), text)
}

fn check_error(text: &str, expected: &str) {
    let message = parse(text).expect_err(text).to_string();
    assert!(message.contains(expected), "`{message}` does not say `{expected}`");
}

const ORDERS: &str = r#"
[[target]]
name = "orders"
protocol = "postgres"
upstream = "postgres://app@127.0.0.1:5432/orders"
credential = { env = "ORDERS_PASSWORD" }
"#;

#[test]
fn an_empty_file_is_a_server_on_loopback() {
    let config = parse("").expect("defaults");
    assert!(config.listen.ip().is_loopback());
    assert_eq!(config.data_dir, Path::new("/etc/countersign/./data"));
    assert_eq!(config.postgres.listen, None);
}

#[test]
fn what_is_absent_is_production_and_sensitive() {
    let config = parse(ORDERS).expect("valid");
    let target = config.target("orders").expect("there");
    assert_eq!(target.environment, Environment::Production);
    assert_eq!(target.sensitivity, Sensitivity::High);
    assert!(config.postgres.listen.is_some());
}

#[test]
fn mistakes_are_named() {
    check_error("[server]\nlistne = 1", "listne");
    check_error("[policy]\ngroups = [\"any\"]", "policy.groups");
    check_error(&format!("{ORDERS}{ORDERS}"), "stands twice");
    check_error(&format!("{ORDERS}environment = \"prod\""), "prod");
    check_error(&format!("{ORDERS}labels = {{ sensitivity = \"huge\" }}"), "none, low, medium or high");
    check_error("[review]\nhold_seconds = 0", "review.hold_seconds");
    check_error("[postgres]\ntls_cert = \"a.pem\"", "postgres.tls_key");
    check_error("[server]\npublic_url = \"ftp://x\"", "server.public_url");
}
