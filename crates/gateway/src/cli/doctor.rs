//! `countersign doctor`: is everything in place.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::Context;
use super::output::{self, FAILED, Paint};
use crate::admin::{self, Request};
use crate::clock::SystemClock;
use crate::config::issuer::Issuer;
use crate::config::{Config, Oidc, PolicyChanges, Target};
use crate::host::Neighbours;
use crate::identity::flow::Flow;
use crate::identity::oidc::{Provider, Wish};
use crate::identity::passkeys::RelyingParty;
use crate::identity::workload;
use crate::ports::{Clock as _, OIDC_CLIENT_SECRET, Vault as _};
use crate::protocols::postgres::upstream::{Connector, Endpoint, Timeouts};
use crate::tls::ServerTls;
use crate::vault::{LocalVault, master};
use crate::{policies, protocols, relay};

/// What was looked at, and what was found.
struct Finding {
    what: String,
    problem: Option<String>,
    note: String,
}

impl Finding {
    fn of(what: impl Into<String>, found: anyhow::Result<String>) -> Self {
        let what = what.into();
        match found {
            Ok(note) => Self { what, problem: None, note },
            Err(error) => Self { what, problem: Some(format!("{error:#}")), note: String::new() },
        }
    }
}

pub(super) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let mut findings = vec![Finding::of("configuration", Ok(config.path.display().to_string()))];
    findings.push(Finding::of("policies", policies(&config)));
    findings.push(Finding::of("data directory", data_dir(&config)));
    findings.push(Finding::of("master key", master_key(&config)));
    findings.push(Finding::of("certificate", certificate(&config)));
    findings.push(Finding::of("passkeys", Ok(passkeys(&config))));
    findings.push(Finding::of("server", server(&config).await));
    findings.extend(neighbours());
    if let Some(oidc) = &config.oidc {
        findings.push(Finding::of("identity provider", provider(&config, oidc).await));
    }
    for trusted in &config.issuers {
        findings.push(Finding::of(format!("issuer {}", trusted.name), issuer(trusted).await));
    }
    for target in &config.targets {
        findings.push(Finding::of(format!("target {}", target.name), upstream(&config, target).await));
    }
    let failed = findings.iter().any(|finding| finding.problem.is_some());
    if context.json {
        let list: Vec<_> = findings
            .iter()
            .map(|f| serde_json::json!({"what": f.what, "ok": f.problem.is_none(), "problem": f.problem, "note": f.note}))
            .collect();
        output::json(&list)?;
    } else {
        findings.iter().for_each(print);
    }
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn print(finding: &Finding) {
    match &finding.problem {
        None => output::line(&format!("{}  {}  {}", output::painted(Paint::Good, "ok  "), finding.what, finding.note)),
        Some(problem) => {
            let text = output::safe(problem);
            output::line(&format!("{}  {}  {text}", output::painted(Paint::Bad, "FAIL"), finding.what));
        }
    }
}

fn policies(config: &Config) -> anyhow::Result<String> {
    let bundle = policies::load(config)?;
    let changes = match config.changes {
        PolicyChanges::File => "warning: whoever can write them decides what is permitted (policy.changes = \"file\")",
        PolicyChanges::Review if bundle.changeable(SystemClock::default().now()) => {
            "changes that permit more wait for people"
        }
        PolicyChanges::Review => "warning: under these policies nobody could approve a change of them",
    };
    Ok(format!("{} policies in {}; {changes}", bundle.policy_ids().count(), config.policies.display()))
}

fn master_key(config: &Config) -> anyhow::Result<String> {
    let Some(source) = &config.secrets.master_key else {
        let note = "in the data directory: whoever copies all of that can open what it seals; see `secrets.master_key`";
        return Ok(note.to_owned());
    };
    Ok(format!("{}, wraps and unwraps", master::check(source)?))
}

fn data_dir(config: &Config) -> anyhow::Result<String> {
    let path = &config.data_dir;
    if !path.exists() {
        return Ok(format!("{} (will be made at the first start)", path.display()));
    }
    let probe = path.join(".doctor");
    std::fs::write(&probe, b"ok").with_context(|| format!("`{}` cannot be written", path.display()))?;
    std::fs::remove_file(&probe)?;
    Ok(path.display().to_string())
}

fn certificate(config: &Config) -> anyhow::Result<String> {
    match &config.postgres.tls {
        Some(files) => {
            ServerTls::load(&files.cert, &files.key)?;
            Ok(files.cert.display().to_string())
        }
        None => Ok("self-signed, made at the first start".to_owned()),
    }
}

/// A gateway without passkeys is sound; it only cannot ask for them.
fn passkeys(config: &Config) -> String {
    match RelyingParty::of(&config.public_url) {
        Ok(party) => format!("bound to {}, on pages of {}", party.rp_id(), party.origin()),
        Err(error) => format!("not available: {error}"),
    }
}

async fn server(config: &Config) -> anyhow::Result<String> {
    match admin::ask(&config.admin_socket(), &Request::PersonList).await {
        None => Ok("not running".to_owned()),
        Some(Ok(_)) => Ok(format!("running at {}", config.public_url)),
        Some(Err(failure)) => Err(failure.into()),
    }
}

/// No failure: on a developer's machine it is as it is. But whoever sets up a gateway for others must see it.
fn neighbours() -> Option<Finding> {
    let warning = Neighbours::look()?.warning()?;
    Some(Finding { what: "host".to_owned(), problem: None, note: format!("warning: {warning}") })
}

async fn provider(config: &Config, oidc: &Oidc) -> anyhow::Result<String> {
    let vault = Arc::new(LocalVault::new(config));
    if oidc.client_secret.is_some() {
        vault.secret(OIDC_CLIENT_SECRET).await?;
    }
    Provider::new(oidc.clone(), &config.public_url, vault)?
        .authorization_url(&Flow::begin("/", SystemClock::default().now())?, Wish::default())
        .await?;
    Ok(format!("{}, redirecting to {}/login/oidc/callback", oidc.issuer, config.public_url))
}

async fn issuer(issuer: &Issuer) -> anyhow::Result<String> {
    let count = workload::keys_of(issuer).await?;
    Ok(format!("{}, {count} keys, {} rules", issuer.issuer, issuer.rules.len()))
}

async fn upstream(config: &Config, target: &Target) -> anyhow::Result<String> {
    if target.protocol.is_http() {
        let found = relay::check(target, protocols::dialect, &LocalVault::new(config), &config.data_dir).await;
        return found.map(|note| format!("{note}, {}", target.environment.name())).map_err(anyhow::Error::msg);
    }
    let endpoint: Endpoint = target.upstream.parse()?;
    let address = endpoint.address();
    let secret = match &target.credential {
        Some(_) => Some(LocalVault::new(config).secret(&target.name).await?),
        None => None,
    };
    let connector = Connector::new(endpoint)?;
    let connected = connector.connect(secret.as_ref(), &std::collections::BTreeMap::new(), Timeouts::default()).await?;
    let version = connected.parameters.get("server_version").cloned().unwrap_or_default();
    if connected.parameters.get("is_superuser").is_some_and(|value| value == "on") {
        anyhow::bail!(
            "the credential is a superuser: give the gateway a role with the rights its agents need, no more"
        );
    }
    let environment = target.environment.name();
    Ok(format!("{address}, PostgreSQL {version}, {environment}"))
}
