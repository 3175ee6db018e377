//! `countersign connect TARGET`: how a client of the target's own protocol gets in.
//!
//! For Kubernetes it writes a kubeconfig that kubectl, helm and client-go take as it is. The agent's key is read from the
//! environment and stands in files of their owner's alone, never on a terminal.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Context;
use super::output::{self, Paint};
use crate::config::{Config, Protocol, Target};

/// Where the agent's key is looked for.
const KEY: &str = "COUNTERSIGN_AGENT_KEY";

/// What is asked.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The target's name
    target: String,
    /// The agent that connects
    #[arg(long, default_value = "AGENT")]
    agent: String,
    /// Kubernetes: where the kubeconfig is written; `-` for standard output [default: TARGET.kubeconfig]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let config = context.load()?;
    let target = config.target(&args.target).with_context(|| {
        let names: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
        format!("there is no target `{}`; there is: {}", args.target, names.join(", "))
    })?;
    match target.protocol {
        Protocol::Postgres => postgres(context, &config, args),
        Protocol::Http => http(context, &config, target),
        Protocol::Kubernetes => kubernetes(context, &config, args),
        Protocol::Aws => aws(context, &config, args),
    }
}

fn postgres(context: &Context, config: &Config, Args { target, agent, .. }: &Args) -> anyhow::Result<ExitCode> {
    let address = config.postgres.listen.context("the PostgreSQL listener is not configured")?;
    let url = format!("postgres://{agent}@{address}/{target}?sslmode=require");
    if context.json {
        output::json(&json!({"url": url}))?;
    } else {
        output::line(&format!("psql \"{url}\""));
        note("the password is the agent's key (PGPASSWORD, or at the prompt)");
    }
    Ok(ExitCode::SUCCESS)
}

fn http(context: &Context, config: &Config, target: &Target) -> anyhow::Result<ExitCode> {
    let url = format!("{}/t/{}", config.public_url, target.name);
    let hosts: Vec<&String> = target.http.iter().flat_map(|http| &http.hosts).collect();
    if context.json {
        output::json(&json!({"url": url, "hosts": hosts}))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("curl -H \"Authorization: Bearer ${KEY}\" {url}/"));
    // `gh` looks for the API there
    let for_gh = target.http.iter().any(|http| http.mounts.contains("/api/v3"));
    for host in hosts {
        output::line(&format!("curl -H \"Authorization: Bearer ${KEY}\" https://{host}/"));
        if for_gh {
            output::line(&format!("GH_HOST={host} GH_ENTERPRISE_TOKEN=\"${KEY}\" gh api user"));
        }
    }
    note(&format!("{KEY} is the agent's key; where a client asks for a user and a password, the key is the password"));
    note("say why with the header `Countersign-Reason`; ask not to be kept waiting with `Prefer: respond-async`");
    Ok(ExitCode::SUCCESS)
}

fn aws(context: &Context, config: &Config, Args { target, agent, .. }: &Args) -> anyhow::Result<ExitCode> {
    let url = format!("{}/t/{target}", config.public_url);
    if context.json {
        let environment = json!({"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": agent});
        output::json(
            &json!({"url": url, "environment": environment, "key_variables": ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]}),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("export AWS_ENDPOINT_URL={url}"));
    output::line(&format!("export AWS_ACCESS_KEY_ID={agent}"));
    output::line(&format!("export AWS_SECRET_ACCESS_KEY=\"${KEY}\" AWS_SESSION_TOKEN=\"${KEY}\""));
    note(&format!("{KEY} is the agent's key; the gateway signs anew with the credential that it alone has"));
    Ok(ExitCode::SUCCESS)
}

fn kubernetes(context: &Context, config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let key = std::env::var(KEY).ok().filter(|key| !key.is_empty());
    let kubeconfig = kubeconfig(config, args, key.as_deref())?;
    let text = serde_json::to_string_pretty(&kubeconfig)?; // JSON is YAML, and no client minds
    let path = args.kubeconfig.clone().unwrap_or_else(|| PathBuf::from(format!("{}.kubeconfig", args.target)));
    if path == Path::new("-") {
        output::line(&text);
        return Ok(ExitCode::SUCCESS);
    }
    write_private(&path, &text)?;
    if context.json {
        output::json(&json!({"kubeconfig": path, "has_key": key.is_some()}))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("export KUBECONFIG={}", path.display()));
    match key {
        Some(_) => note("kubectl, helm and whatever reads a kubeconfig go through the gateway with it"),
        None => note(&format!("it has no key yet: set {KEY} to the agent's key and run this again")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Clients leave a token out where the server's address is not one of TLS, so it always is.
fn kubeconfig(config: &Config, args: &Args, key: Option<&str>) -> anyhow::Result<serde_json::Value> {
    let address = config.public_url.replacen("http://", "https://", 1);
    let mut cluster = json!({"server": format!("{address}/t/{}", args.target)});
    let own = config.tls.is_none() && config.public_url.starts_with("http://");
    if own {
        let path = config.data_dir.join("tls").join("cert.pem");
        let certificate = std::fs::read(&path).with_context(|| {
            format!("the gateway's certificate `{}` is not there yet: start the gateway once", path.display())
        })?;
        cluster["certificate-authority-data"] = STANDARD.encode(certificate).into();
    }
    let (name, user) = (format!("countersign-{}", args.target), format!("{}@countersign", args.agent));
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": key.unwrap_or("KEY")}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }))
}

/// A file that holds a key is its owner's alone, from its first moment.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = || -> std::io::Result<()> {
        let staged = path.with_extension("new");
        let _ = std::fs::remove_file(&staged);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        std::fs::rename(&staged, path)
    };
    written().with_context(|| format!("`{}` cannot be written", path.display()))
}

fn note(text: &str) {
    output::line(&output::painted(Paint::Quiet, text));
}
