//! Formats of secrets, as their issuers document them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Hint, Kind, Rule, always};

/// A secret of an issuer with a prefix of its own.
const fn issued(hint: &'static str, pattern: &'static str) -> Rule {
    Rule { kind: Kind::Secret, hint: Hint::Text(hint), pattern, holds: always }
}

/// A password, by what stands before it.
const fn password(hint: Hint, pattern: &'static str) -> Rule {
    Rule { kind: Kind::Password, hint, pattern, holds: is_password }
}

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    // RFC 7468; OpenPGP, RFC 9580 section 6.2
    Rule { kind: Kind::PrivateKey, hint: Hint::Text("-----BEGIN"), pattern: r"(?s)-----BEGIN [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----|\z)", holds: always },
    // age, and its plugins (C2SP age)
    Rule { kind: Kind::PrivateKey, hint: Hint::Text("AGE-SECRET-KEY-1"), pattern: r"(?-u:\b)AGE-SECRET-KEY-1[0-9A-Z]{58}(?-u:\b)", holds: always },
    // RFC 7519
    Rule { kind: Kind::Token, hint: Hint::Text("eyJ"), pattern: r"(?-u:\b)(eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*)", holds: is_jwt },
    // AWS: IAM unique identifiers
    issued("A", r"(?-u:\b)((?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})(?-u:\b)"),
    issued("AIza", r"(?-u:\b)(AIza[0-9A-Za-z_-]{35})"), // Google API key
    issued("GOCSPX-", r"(?-u:\b)(GOCSPX-[0-9A-Za-z_-]{28})"), // Google OAuth client
    issued("ya29.", r"(?-u:\b)(ya29\.[0-9A-Za-z_-]{20,})"), // Google access token
    issued("gh", r"(?-u:\b)(gh[pousr]_[A-Za-z0-9]{36,251})(?-u:\b)"), // GitHub
    issued("github_pat_", r"(?-u:\b)(github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})(?-u:\b)"),
    issued("gl", r"(?-u:\b)(gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_.-]{20,})"), // GitLab
    issued("xox", r"(?-u:\b)(xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,})"), // Slack
    issued("xapp-", r"(?-u:\b)(xapp-[0-9]-[A-Z0-9]+-[0-9]+-[a-z0-9]{20,})"),
    issued("hooks.slack.com", r"https://hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{20,})"),
    issued("k_", r"(?-u:\b)([rs]k_(?:live|test)_[A-Za-z0-9]{10,247})(?-u:\b)"), // Stripe
    issued("hooks.slack.com", r"(?-u:\b)(whsec_[A-Za-z0-9+/=]{24,})"), // Stripe, Standard Webhooks
    issued("npm_", r"(?-u:\b)(npm_[A-Za-z0-9]{36})(?-u:\b)"),
    issued("pypi-", r"(?-u:\b)(pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,})"),
    issued("sk-", r"(?-u:\b)(sk-(?:proj-|svcacct-|admin-|ant-(?:api|admin)[0-9]{2}-|or-v1-)?[A-Za-z0-9_-]{20,})"), // OpenAI, Anthropic
    issued("hf_", r"(?-u:\b)(hf_[A-Za-z]{34})(?-u:\b)"), // Hugging Face
    issued("SG.", r"(?-u:\b)(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})"), // SendGrid
    issued("SK", r"(?-u:\b)(SK[0-9a-f]{32})(?-u:\b)"), // Twilio
    issued("key-", r"(?-u:\b)(key-[0-9a-f]{32})(?-u:\b)"), // Mailgun
    issued("_v1_", r"(?-u:\b)(do[opr]_v1_[0-9a-f]{64})(?-u:\b)"), // DigitalOcean
    issued("shp", r"(?-u:\b)(shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32})(?-u:\b)"), // Shopify
    issued(":AA", r"(?-u:\b)([0-9]{8,10}:AA[A-Za-z0-9_-]{33})(?-u:\b)"), // Telegram
    issued("dapi", r"(?-u:\b)(dapi[0-9a-f]{32}(?:-[0-9])?)(?-u:\b)"), // Databricks
    issued("hv", r"(?-u:\b)(hv[bsr]\.[A-Za-z0-9_-]{20,})"), // HashiCorp Vault
    issued(".atlasv1.", r"(?-u:\b)([A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,70})"), // HCP Terraform
    issued("dckr_", r"(?-u:\b)(dckr_[po]at_[A-Za-z0-9_-]{27,32})"), // Docker
    issued("sq0", r"(?-u:\b)(sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,43})"), // Square
    issued("PMAK-", r"(?-u:\b)(PMAK-[0-9a-f]{24}-[0-9a-f]{34})(?-u:\b)"), // Postman
    issued("NRAK-", r"(?-u:\b)(NRAK-[A-Z0-9]{27})(?-u:\b)"), // New Relic
    issued("gl", r"(?-u:\b)(gl(?:sa|c)_[A-Za-z0-9]{32}_[0-9a-f]{8})(?-u:\b)"), // Grafana
    issued("dp.", r"(?-u:\b)(dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{40,})"), // Doppler
    issued("ATATT3", r"(?-u:\b)(ATATT3[A-Za-z0-9_=-]{60,})"), // Atlassian
    issued("lin_", r"(?-u:\b)(lin_(?:api|oauth)_[A-Za-z0-9]{32,})(?-u:\b)"), // Linear
    issued("ntn_", r"(?-u:\b)(ntn_[A-Za-z0-9]{40,})(?-u:\b)"), // Notion
    issued("pscale_", r"(?-u:\b)(pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,})"), // PlanetScale
    issued("sb", r"(?-u:\b)(sb[ps]_[a-z0-9_]{40,})(?-u:\b)"), // Supabase
    issued("rubygems_", r"(?-u:\b)(rubygems_[0-9a-f]{48})(?-u:\b)"),
    issued("cio", r"(?-u:\b)(cio[A-Za-z0-9]{32})(?-u:\b)"), // crates.io
    issued("EAA", r"(?-u:\b)(EAA[A-Za-z0-9]{80,})(?-u:\b)"), // Meta
    issued("cs", r"(?-u:\b)(cs[aikpl]_[A-Za-z0-9_-]{20,})"), // this gateway's own keys and links
    issued("AccountKey=", r"AccountKey=([A-Za-z0-9+/]{86}==)"), // Azure storage
    issued("sig=", r"[?&]sig=([A-Za-z0-9%]{43,60})"), // Azure shared access signature
    Rule { kind: Kind::Secret, hint: Hint::Words(&["bearer", "basic"]), pattern: r"(?i)(?-u:\b)(?:bearer|basic)[ \t]+([A-Za-z0-9._~+/=-]{16,})", holds: always }, // RFC 6750, RFC 7617
    // PostgreSQL's verifiers; crypt(3) and PHC hashes; Django
    Rule { kind: Kind::Password, hint: Hint::Text("SCRAM-SHA-256$"), pattern: r"(SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+)", holds: always },
    Rule { kind: Kind::Password, hint: Hint::Text("md5"), pattern: r"^(md5[0-9a-f]{32})$", holds: always },
    Rule { kind: Kind::Password, hint: Hint::Text("$"), pattern: r"(\$(?:2[abxy]|5|6|y|argon2(?:id|i|d)|scrypt)\$[A-Za-z0-9./+=,$-]{20,})", holds: always },
    Rule { kind: Kind::Password, hint: Hint::Text("pbkdf2_"), pattern: r"(?-u:\b)(pbkdf2_sha(?:1|256)\$[0-9]+\$[A-Za-z0-9]+\$[A-Za-z0-9+/=]+)", holds: always },
    // RFC 3986 section 3.2.1: the part that it calls deprecated
    Rule { kind: Kind::Password, hint: Hint::Text("://"), pattern: r#"[a-zA-Z][a-zA-Z0-9+.-]{1,30}://[^/?#@\s:"']{0,100}:([^/?#@\s"']{1,200})@"#, holds: is_password },
    // `password=…`, `"password": "…"`, libpq's keywords, environment files
    password(Hint::Words(&["pass", "pwd", "secret", "token", "key", "credential"]), r#"(?i)(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|client[_-]?secret|private[_-]?key|credential)s?\\?["']?[ \t]{0,3}(?::=|=>|[=:])[ \t]{0,3}\\?["']?([^\s"'\\,;&)}\]]{4,200})"#),
    // SQL, as a statement that stands in a text
    password(Hint::Words(&["password", "identified"]), r"(?i)(?-u:\b)(?:password|identified\s+by)\s+'([^']{1,200})'"),
];

/// A JOSE header is a JSON object with an algorithm (RFC 7515, section 4.1.1).
fn is_jwt(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(header).ok();
    let header = decoded.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    header.is_some_and(|header| header.get("alg").is_some_and(serde_json::Value::is_string))
}

/// What stands in the place of a password, and is none: a word of a schema or a manual, or a reference to where it is.
fn is_password(value: &str) -> bool {
    const WORDS: &[&str] = &[
        "true",
        "false",
        "null",
        "none",
        "nil",
        "required",
        "optional",
        "string",
        "text",
        "integer",
        "undefined",
        "hidden",
        "redacted",
        "expired",
        "invalid",
        "missing",
        "reset",
        "changed",
        "bearer",
        "basic",
        "enabled",
        "disabled",
    ];
    let lower = value.to_ascii_lowercase();
    let reference =
        value.starts_with(['$', '<', '{', '%', '‹']) || value.starts_with("env.") || value.starts_with("process.");
    let covered = value.chars().all(|c| matches!(c, '*' | 'x' | 'X' | '•' | '.' | '_' | '-'));
    !WORDS.contains(&lower.as_str()) && !reference && !covered
}
