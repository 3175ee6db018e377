//! The policies: their texts and what waits in the files (here), what they answer to an action ([`trial`]), and what holds for
//! every action ([`checks`]).

pub(super) mod checks;
pub(super) mod trial;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use countersign_core::action::BundleDigest;
use countersign_core::policy::Bundle;
use countersign_core::review::REASON_BYTES_MAX;

use super::Console;
use super::page::{Failure, Frame, render};
use super::session::Session;
use super::show::{Html, block, difference, line};
use crate::config::PolicyChanges;
use crate::policies::{self, Policies};

/// Bytes of policy text on the page; the rest is counted.
const POLICY_BYTES_MAX: usize = 60 * 1024;

#[derive(Template)]
#[template(path = "policies.html")]
struct PoliciesPage {
    frame: Frame,
    digest: String,
    groups: Vec<Html>,
    files: Vec<FileView>,
    cut_bytes: usize,
    /// Why the texts shown are not those in force, if they are not.
    problem: Option<Html>,
    /// What they would mean, where people are asked about them.
    proposal: Option<ProposalView>,
    reason_bytes_max: usize,
}

/// Files that may be proposed.
struct ProposalView {
    digest: String,
    effect: Html,
}

struct FileView {
    name: Html,
    text: Html,
    lines: usize,
}

/// The policies in force.
pub(in crate::console) async fn page(
    State(console): State<Console>,
    Extension(session): Extension<Session>,
) -> Result<Response, Failure> {
    let (config, policies) = (console.gate.config.clone(), console.gate.policies.clone());
    let read = tokio::task::spawn_blocking(move || {
        let disk = policies::load(&config);
        let digest = disk.as_ref().ok().map(Bundle::digest);
        (policies::sources(&config.policies), digest, out_of_force(&policies, disk))
    });
    let (sources, digest, problem) = read.await.map_err(Failure::unavailable)?;
    let (mut files, mut cut_bytes) = (Vec::new(), 0);
    let mut left = POLICY_BYTES_MAX;
    for source in sources.unwrap_or_default() {
        let end = (0..=left.min(source.text.len())).rev().find(|at| source.text.is_char_boundary(*at)).unwrap_or(0);
        left -= end;
        cut_bytes += source.text.len() - end;
        let lines = source.text.lines().count();
        files.push(FileView { name: line(&source.name), text: block(&source.text[..end]), lines });
    }
    let bundle = console.gate.policies.current();
    let page = PoliciesPage {
        frame: Frame::new("Policies", "/policies", &session),
        digest: bundle.digest().to_string(),
        groups: bundle.vocabulary().groups().iter().map(|group| line(group)).collect(),
        files,
        cut_bytes,
        problem: problem.as_deref().map(block),
        proposal: proposal(&console, digest),
        reason_bytes_max: REASON_BYTES_MAX,
    };
    Ok(render(StatusCode::OK, &page))
}

/// What the files would mean, once the gateway has looked at them, where people are asked.
fn proposal(console: &Console, files: Option<BundleDigest>) -> Option<ProposalView> {
    if console.gate.config.changes != PolicyChanges::Review {
        return None;
    }
    let examined = console.gate.policies.examined()?;
    let digest = examined.bundle.digest();
    let is_it = files == Some(digest) && console.gate.policies.current().digest() == examined.from;
    is_it.then(|| ProposalView { digest: digest.to_string(), effect: difference(&examined.effect.words()) })
}

/// Why what is on disk is not what is in force.
fn out_of_force(policies: &Policies, on_disk: Result<Bundle, policies::Error>) -> Option<String> {
    match on_disk {
        Err(error) => Some(error.to_string()),
        Ok(bundle) if bundle.digest() == policies.current().digest() => None,
        Ok(_) => {
            Some(policies.problem().unwrap_or_else(|| "the files changed a moment ago and are being read".to_owned()))
        }
    }
}
