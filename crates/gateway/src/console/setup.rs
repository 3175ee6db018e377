//! What the gateway was set up with: targets. Nothing can be changed here; what changed in the configuration can be proposed.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::page::{Frame, render};
use super::session::Session;
use super::show::{Html, difference, line};
use crate::config::{Protocol, Target};
use crate::targets;

#[derive(Template)]
#[template(path = "targets.html")]
struct TargetsPage {
    frame: Frame,
    targets: Vec<TargetView>,
    /// Whether the reader may propose those that wait.
    proposes: bool,
}

struct TargetView {
    name: Html,
    /// For addresses.
    handle: String,
    protocol: &'static str,
    environment: &'static str,
    /// Its name, and its number.
    sensitivity: (&'static str, i64),
    upstream: Html,
    connect: Option<Html>,
    /// Whether it is in force in some form.
    in_force: bool,
    /// What the configuration has of it that waits for people.
    waits: Option<WaitingView>,
}

/// A target as the configuration has it.
struct WaitingView {
    name: String,
    digest: String,
    difference: Html,
}

/// The upstreams.
pub(super) async fn targets(State(console): State<Console>, Extension(session): Extension<Session>) -> Response {
    let (config, in_force) = (&console.gate.config, console.gate.targets.current());
    let listen = config.postgres.listen.map(|address| address.to_string());
    let view = |target: &Target| TargetView {
        in_force: in_force.contains_key(&target.name),
        waits: waiting(&console, &target.name),
        name: line(&target.name),
        handle: target.name.clone(),
        protocol: target.protocol.name(),
        environment: target.environment.name(),
        sensitivity: (target.sensitivity.name(), target.sensitivity.level()),
        upstream: line(place(&target.upstream)),
        connect: match target.protocol {
            Protocol::Postgres => {
                listen.as_ref().map(|at| line(&format!("psql \"postgres://AGENT:KEY@{at}/{}\"", target.name)))
            }
            Protocol::Http => {
                Some(line(&format!("curl -H \"Authorization: Bearer KEY\" {}/t/{}/", config.public_url, target.name)))
            }
            Protocol::Kubernetes | Protocol::Aws => Some(line(&format!("countersign connect {}", target.name))),
        },
    };
    let new = config.targets.iter().filter(|target| !in_force.contains_key(&target.name));
    let targets = in_force.values().chain(new).map(view).collect();
    let proposes = session.may_propose(config);
    render(StatusCode::OK, &TargetsPage { frame: Frame::new("Targets", "/targets", &session), targets, proposes })
}

/// What waits for people of a target.
fn waiting(console: &Console, name: &str) -> Option<WaitingView> {
    let waiting = console.gate.targets.waiting(name)?;
    let digest = targets::digest(name, Some(&waiting.after))?;
    Some(WaitingView { name: name.to_owned(), digest, difference: difference(&waiting.words()) })
}

/// An address without scheme, user and parameters: those name files on the gateway's host.
fn place(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_where_and_no_more() {
        assert_eq!(place("postgres://app@db:5432/orders?sslrootcert=/etc/ca.crt"), "db:5432/orders");
        assert_eq!(place("postgres://a%40b:x@[::1]/orders"), "[::1]/orders");
        assert_eq!(place("postgres://app@db/orders?options=a@b"), "db/orders");
    }
}
