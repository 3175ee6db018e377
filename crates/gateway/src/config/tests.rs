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
    check_error("[scim]\ntoken = { env = \"T\" }", "needs `[oidc]`");
    let oidc = "[oidc]\nissuer = \"https://idp.example.org\"\nclient_id = \"c\"\nperson_claim = \"oid\"\n";
    check_error(&format!("{oidc}[scim]\ntoken = {{ env = \"T\" }}\nclaim = \"email\""), "scim.claim");
    check_error(&format!("{oidc}[scim]\ntoken = {{ env = \"T\" }}\nsubject = \"name\""), "externalId");
    parse(&format!("{oidc}[scim]\ntoken = {{ env = \"T\" }}\nclaim = \"oid\"")).expect("valid");
    check_error("[server]\npublic_url = \"ftp://x\"", "server.public_url");
}

const GITHUB: &str = r#"
[[issuer]]
name = "github"
kind = "github"
audience = "https://gate.example"
"#;

#[test]
fn a_kind_of_issuer_brings_what_is_known_of_it() {
    let rule = "[[issuer.agent]]\nname = \"deployer\"\nmatch = { repository_id = \"7\", ref = \"refs/heads/*\" }\n\
                person = { claim = \"actor_id\", provider = \"github\" }";
    let config = parse(&format!("{GITHUB}{rule}")).expect("valid");
    let [issuer] = config.issuers.as_slice() else { unreachable!() };
    assert_eq!(issuer.issuer, "https://token.actions.githubusercontent.com");
    assert_eq!(issuer.algorithms, [issuer::Signing::RS256]);
    assert_eq!((issuer.exchanges_max, issuer.age_seconds_max), (1, Some(3600)));
    assert_eq!(issuer.claims.get("workflow").map(String::as_str), Some("job_workflow_ref"));
    let [rule] = issuer.rules.as_slice() else { unreachable!() };
    assert!(rule.matches["ref"].fits("refs/heads/main"));
    for other in ["refs/heads/", "refs/tags/main", "x/refs/heads/main"] {
        assert!(!rule.matches["ref"].fits(other));
    }
}

#[test]
fn an_issuer_that_could_be_taken_for_another_is_refused() {
    let rule = |matches: &str| format!("{GITHUB}[[issuer.agent]]\nname = \"a\"\nmatch = {{ {matches} }}");
    check_error(&rule("repository = \"acme/app\""), "compares nothing that lasts");
    check_error(&rule(""), "compares nothing that lasts");
    check_error(&rule("repository_id = \"7*\""), "a `*` stands at the end, after");
    check_error(&rule("repository_id = \"7/*\""), "which is an id");
    check_error(&rule("repository_id = \"7\", ref = \"*\""), "a `*` stands at the end, after");
    check_error(&rule("repository_id = \"7\", ref = \"refs/*/main\""), "a `*` stands at the end, after");
    check_error(&rule("repository_id = \"7\", ref = \"\""), "empty");
    check_error(&format!("{GITHUB}algorithms = [\"HS256\"]"), "HS256");
    check_error(&format!("{GITHUB}algorithms = [\"none\"]"), "none");
    check_error(&format!("{GITHUB}algorithms = []"), "issuer.algorithms");
    check_error(&format!("{GITHUB}claims = {{ actor = \"actor\" }}"), "the attributes of a job are");
    check_error(&format!("{GITHUB}issuer = \"http://issuer.example\""), "https://");
    check_error(&format!("{GITHUB}jwks_uri = \"http://issuer.example/keys\""), "https://");
    check_error(&format!("{GITHUB}{GITHUB}"), "stands twice");
    check_error("[[issuer]]\nname = \"x\"\nissuer = \"https://x.example\"", "audience");
    check_error("[[issuer]]\nname = \"x\"\naudience = \"y\"", "issuer.issuer");
    check_error(
        "[[issuer]]\nname = \"x\"\nkind = \"spiffe\"\nissuer = \"spiffe://prod\"\naudience = \"y\"",
        "jwks_uri",
    );
    check_error("[[issuer]]\nname = \"x\"\nissuer = \"spiffe://prod\"\naudience = \"y\"", "spiffe://TRUST-DOMAIN");
}

#[test]
fn mail_goes_in_clear_to_this_host_alone() {
    let mail =
        |more: &str| format!("[mail]\nserver = \"smtp.example.org\"\nfrom = \"Gate <gate@example.org>\"\n{more}\n");
    let port = |more: &str| parse(&mail(more)).expect("valid").mail.expect("there").port;
    assert_eq!((port(""), port("tls = \"tls\""), port("port = 2525")), (587, 465, 2525));
    check_error(&mail("tls = \"none\""), "mail.tls");
    for here in ["127.0.0.1", "::1", "localhost"] {
        parse(&mail("tls = \"none\"").replace("smtp.example.org", here)).expect("valid");
    }
    for elsewhere in ["127.0.0.1.evil.test", "localhost.evil.test", "0.0.0.0", "10.0.0.1"] {
        check_error(&mail("tls = \"none\"").replace("smtp.example.org", elsewhere), "mail.tls");
    }
    check_error(&mail("username = \"u\""), "mail.username");
    check_error(&mail("to = \"nobody\""), "mail.to");
    check_error(&mail("to = \"a@example.org\\r\\nBcc: b@example.org\""), "mail.to");
    check_error(&mail("groups = { dba = \"dba\" }"), "mail.to");
    check_error(&mail("groups = { cooks = \"a@example.org\" }"), "mail.groups");
    check_error(&mail("").replace("Gate <gate@example.org>", "Gate"), "mail.from");
    check_error(&mail("").replace("smtp.example.org", "smtp://smtp.example.org"), "mail.server");
}

fn api(name: &str, http: &str) -> String {
    format!(
        "[[target]]\nname = \"{name}\"\nprotocol = \"http\"\nupstream = \"https://api.example.org\"\n[target.http]\n{http}\n"
    )
}

#[test]
fn a_name_leads_to_one_target() {
    let (first, second) = (api("a", "hosts = [\"API.example.org\"]"), api("b", "hosts = [\"api.example.org\"]"));
    check_error(&format!("{first}{second}"), "`api.example.org` for both `a` and `b`");
    let own = "[server]\npublic_url = \"https://gate.example.org\"\n";
    check_error(&format!("{own}{}", api("a", "hosts = [\"gate.example.org\"]")), "the gateway's own");
    parse(&format!("{own}{first}{}", api("b", "hosts = [\"api.example.org:8443\"]"))).expect("valid");
}

#[test]
fn no_header_says_for_the_gateway_who_asks() {
    let check = |name: &str, expected: &str| check_error(&api("a", &format!("headers = [\"{name}\"]")), expected);
    for name in ["Authorization", "cookie", "Proxy-Authorization", "x-amz-security-token"] {
        check(name, "credential");
    }
    for name in ["host", "content-length", "Transfer-Encoding", "te", "connection", "upgrade", "expect", "keep-alive"] {
        check(name, "where a message ends");
    }
    for name in ["x-forwarded-for", "X-Forwarded-Proto", "forwarded", "via", "impersonate-user", "X-Remote-User"] {
        check(name, "who asks");
    }
    check("x-http-method-override", "another method");
    check("prefer", "read by the gateway");
    let keyed = |more: &str| api("a", &format!("auth = {{ header = {{ name = \"X-Api-Key\" }} }}\n{more}"));
    check_error(&keyed("headers = [\"x-api-key\"]"), "the gateway's credential");
    parse(&keyed("headers = [\"x-mode\"]")).expect("valid");
    let named = |name: &str| api("a", &format!("auth = {{ header = {{ name = \"{name}\" }} }}"));
    check_error(&named("host"), "target.http.auth.header.name");
    parse(&named("Authorization")).expect("valid");
}

#[test]
fn an_api_is_looked_for_at_plain_paths() {
    for mount in ["api", "/", "/api/", "//api", "/a/../b", "/a/./b", "/a%2Fb", "/a?b", ""] {
        check_error(&api("a", &format!("mounts = [\"{mount}\"]")), "target.http.mounts");
    }
    parse(&api("a", "mounts = [\"/api\", \"/api/v3\", \"/a-b/c_d/e.f~\"]")).expect("valid");
}
