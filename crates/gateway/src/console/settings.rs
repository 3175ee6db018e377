//! Settings: what the gateway runs with, without secrets and for reading alone, and how this browser shows things.

use std::net::SocketAddr;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::page::{Frame, render};
use super::session::Session;
use super::show::{Html, line, span};
use crate::config::{Config, MasterKeySource, PolicyChanges};

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    /// For people who may see what others ask.
    groups: Vec<Group>,
    path: Html,
    version: &'static str,
}

/// Settings that belong together.
struct Group {
    name: &'static str,
    settings: Vec<Setting>,
}

/// One setting in force.
struct Setting {
    /// Its key in the configuration.
    key: &'static str,
    value: Html,
    /// What it means, in words.
    words: &'static str,
}

fn setting(key: &'static str, value: impl AsRef<str>, words: &'static str) -> Setting {
    Setting { key, value: line(value.as_ref()), words }
}

/// The page.
pub(super) async fn page(State(console): State<Console>, Extension(session): Extension<Session>) -> Response {
    let config = &console.gate.config;
    let groups = match session.signed_in.reads_all() {
        true => vec![server(config), reviews(config), people(config), told(config), kept(config)],
        false => Vec::new(),
    };
    let page = SettingsPage {
        frame: Frame::new("Settings", "/settings", &session),
        groups,
        path: line(&config.path.display().to_string()),
        version: env!("CARGO_PKG_VERSION"),
    };
    render(StatusCode::OK, &page)
}

fn server(config: &Config) -> Group {
    let listens = |at: Option<SocketAddr>| at.map_or_else(|| "nowhere".to_owned(), |at| at.to_string());
    let settings = vec![
        setting("server.public_url", &config.public_url, "where people reach the console; passkeys are bound to it"),
        setting("server.listen", config.listen.to_string(), "console and API"),
        setting("postgres.listen", listens(config.postgres.listen), "agents, by PostgreSQL’s protocol"),
        setting("postgres.connections_max", config.postgres.connections_max.to_string(), "agents’ connections at once"),
        setting("server.node", &config.node, "this gateway’s name in the record"),
    ];
    Group { name: "Gateway", settings }
}

fn reviews(config: &Config) -> Group {
    let seconds = |seconds: u32| span(i64::from(seconds));
    let (waits, limits) = (&config.waits, &config.limits);
    let settings = vec![
        setting(
            "review.expires_seconds",
            seconds(waits.expires),
            "a review closes by itself after it, unless a policy says otherwise",
        ),
        setting("review.hold_seconds", seconds(waits.hold), "a live call waits at most so long"),
        setting(
            "review.hold_in_transaction_seconds",
            seconds(waits.hold_in_transaction),
            "the same inside an open transaction",
        ),
        setting("review.grant_seconds", seconds(waits.grant_life), "an approval that nobody uses ends after it"),
        setting(
            "review.open_per_owner_max",
            limits.open_per_owner_max.to_string(),
            "open reviews of one owner’s agents",
        ),
        setting("review.open_max", limits.open_max.to_string(), "open reviews in all"),
        setting(
            "review.rejected_wait_seconds",
            seconds(limits.rejected_wait_seconds),
            "what was rejected may be asked again after it",
        ),
    ];
    Group { name: "Reviews", settings }
}

fn people(config: &Config) -> Group {
    let changes = match config.changes {
        PolicyChanges::File => "files are taken as they are: whoever can write them decides what is permitted",
        PolicyChanges::Review => "what permits more waits until others have approved it",
    };
    let groups: Vec<&str> = config.groups.iter().map(String::as_str).collect();
    let provider = config.oidc.as_ref().map_or("none", |oidc| oidc.issuer.as_str());
    let links = config.oidc.as_ref().is_none_or(|oidc| oidc.login_links);
    let jobs: Vec<&str> = config.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
    let settings = vec![
        setting("policy.changes", config.changes.name(), changes),
        setting("groups", groups.join(", "), "the groups that policies may name"),
        setting("oidc.issuer", provider, "who says who people are; without one, the gateway’s host does"),
        setting(
            "oidc.login_links",
            if links { "yes" } else { "no" },
            "links made on the gateway’s host sign people in",
        ),
        setting("scim", if config.scim.is_some() { "on" } else { "off" }, "the provider adds and suspends people"),
        setting("issuer", or_none(&jobs), "whose tokens jobs log in with"),
    ];
    Group { name: "Who decides", settings }
}

fn told(config: &Config) -> Group {
    let hooks: Vec<&str> = config.webhooks.iter().map(|hook| hook.name.as_str()).collect();
    let settings = vec![
        setting("slack", if config.slack.is_some() { "on" } else { "off" }, "people are told and can decide in Slack"),
        setting("mail", if config.mail.is_some() { "on" } else { "off" }, "people are told by mail, with a link"),
        setting("webhook", or_none(&hooks), "who hears of reviews as events"),
    ];
    Group { name: "Where people are told", settings }
}

fn kept(config: &Config) -> Group {
    let master = match config.secrets.master_key {
        None => "a file in the data directory",
        Some(MasterKeySource::Env(_)) => "an environment variable",
        Some(MasterKeySource::File(_)) => "a file",
        Some(MasterKeySource::Command(_)) => "a program of yours",
    };
    let reads = if config.ledger.reads_durable { "durable" } else { "within 10 ms" };
    let settings = vec![
        setting("ledger.reads", reads, "when the record of a read is safe from a loss of power"),
        setting("secrets.master_key", master, "what unseals stored secrets"),
    ];
    Group { name: "What is kept", settings }
}

fn or_none(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
