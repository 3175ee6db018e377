//! The targets in force: what the configuration says where it is taken as it is, and otherwise what people approved.
//!
//! The configuration is read once, at the start. With `changes = "review"` a target that is new in it, or another than it was,
//! is a wish: the former form stays in force, or none, until people approved the new one. What permits nothing more (a target
//! that is gone; a higher sensitivity and nothing else) is in force at once. Environments have no order that policies would
//! have to follow, so any change of one waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use countersign_core::action::digest::canonical;
use countersign_core::action::gate::{GatePart, GateStep};
use countersign_core::action::redact::{Pattern, Redaction};
use countersign_core::action::{PayloadDigest, PersonId, ReviewId};
use countersign_core::record::{Event, Record};
use serde::Serialize;

use crate::codes::Code;
use crate::config::{Config, CredentialSource, HttpTarget, OpenApi, Pinned, PolicyChanges, Protocol, Target};
use crate::ports::{Scribe, StoreError, TargetStore};
use crate::refusal::Refusal;

/// Targets by their names.
pub type ByName = BTreeMap<String, Target>;

/// The targets in force, and those that the configuration wishes for.
pub struct Targets {
    config: Arc<Config>,
    store: Arc<dyn TargetStore>,
    in_force: ArcSwap<ByName>,
    /// Held while one is put in force, so that memory and store change in the same order.
    swap: tokio::sync::Mutex<()>,
}

/// Why a target did not come into force.
#[derive(Debug, thiserror::Error)]
pub enum NotActivated {
    /// Another form of it than the one it was to replace is in force by now.
    #[error("the target is another than it was")]
    Stale,
    /// The store failed.
    #[error("the change could not be recorded: {0}")]
    Store(#[source] StoreError),
}

/// A target of the configuration that is not in force as it stands there.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// What is in force under its name.
    pub before: Option<Target>,
    /// What the configuration says.
    pub after: Target,
}

impl Targets {
    /// Puts the first targets in force.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(config: Arc<Config>, store: Arc<dyn TargetStore>, scribe: &Scribe) -> Result<Self, StoreError> {
        let kept = store.targets_in_force().await?;
        let before = kept.clone().map(by_name);
        let wished = by_name(config.targets.clone());
        let after = match (&before, config.changes) {
            (Some(before), PolicyChanges::Review) => at_start(before, &wished),
            (Some(_), PolicyChanges::File) | (None, _) => wished,
        };
        if before.as_ref() != Some(&after) {
            let why = match (&before, config.changes) {
                (None, _) => "start",
                (Some(_), PolicyChanges::File) => "file",
                (Some(_), PolicyChanges::Review) => "stricter",
            };
            // what is taken as it is, is recorded only once there is something that it differs from
            let tell = before.is_some() || config.changes == PolicyChanges::Review;
            let events = if tell { differences(&before.unwrap_or_default(), &after, why) } else { Vec::new() };
            let records = events.into_iter().map(|event| scribe.record(event)).collect();
            store.set_targets(kept, after.values().cloned().collect(), records).await?;
        }
        Ok(Self { config, store, in_force: ArcSwap::from_pointee(after), swap: tokio::sync::Mutex::default() })
    }

    /// Those in force.
    pub fn current(&self) -> Arc<ByName> {
        self.in_force.load_full()
    }

    /// The same, for a moment: who holds many of these, or holds one for long, makes the others slow.
    pub fn peek(&self) -> Guard<Arc<ByName>> {
        self.in_force.load()
    }

    /// What the configuration says of a target, where that is not in force.
    pub fn waiting(&self, name: &str) -> Option<Waiting> {
        let after = self.config.target(name)?.clone();
        let before = self.current().get(name).cloned();
        (before.as_ref() != Some(&after)).then_some(Waiting { before, after })
    }

    /// A target in force that is spoken to in one of these protocols.
    ///
    /// # Errors
    /// [`Refusal`]: there is none, or it waits for people.
    pub fn spoken<'t>(
        &self,
        in_force: &'t ByName,
        name: &str,
        is_spoken: impl Fn(Protocol) -> bool,
    ) -> Result<&'t Target, Refusal> {
        let spoken = |target: &&Target| is_spoken(target.protocol);
        if let Some(target) = in_force.get(name).filter(spoken) {
            return Ok(target);
        }
        Err(match self.waiting(name) {
            Some(_) => Refusal::new(Code::TargetWaits, format!("the target `{name}` waits for people to approve it"))
                .hint("somebody proposes it: `countersign target propose`, or the page Targets"),
            None => {
                let names: Vec<&str> = in_force.values().filter(spoken).map(|target| target.name.as_str()).collect();
                Refusal::new(Code::UnknownTarget, format!("there is no target `{name}`"))
                    .hint(format!("there is: {}", names.join(", ")))
            }
        })
    }

    /// Puts one in force in the place of what `from` names.
    ///
    /// # Errors
    /// [`NotActivated`]; what was in force stays.
    pub async fn activate(&self, from: &str, to: Target, records: Vec<Record>) -> Result<(), NotActivated> {
        let _swapping = self.swap.lock().await;
        let before = self.current();
        if standing(&before, &to.name).as_deref() != Some(from) {
            return Err(NotActivated::Stale);
        }
        let mut after = ByName::clone(&before);
        after.insert(to.name.clone(), to);
        let values = |targets: &ByName| targets.values().cloned().collect::<Vec<_>>();
        match self.store.set_targets(Some(values(&before)), values(&after), records).await {
            Ok(()) => {}
            Err(StoreError::Conflict) => return Err(NotActivated::Stale),
            Err(error) => return Err(NotActivated::Store(error)),
        }
        self.in_force.store(Arc::new(after));
        Ok(())
    }
}

impl Waiting {
    /// In what way it permits more.
    pub fn step(&self) -> GateStep {
        if self.before.is_some() { GateStep::TargetChanged } else { GateStep::TargetAdded }
    }

    /// What would change, line by line.
    pub fn words(&self) -> String {
        let (name, after) = (&self.after.name, lines(&self.after));
        let (lead, before) = match &self.before {
            None => (format!("Agents could connect to a new target, {name}"), Vec::new()),
            Some(before) => (format!("The target {name} would be another"), lines(before)),
        };
        let mut text = format!("{lead}\n\n{name}:\n");
        for (at, line) in after.iter().enumerate() {
            match before.get(at) {
                Some(former) if former == line => text.push_str(&format!("  {line}\n")),
                Some(former) => text.push_str(&format!("- {former}\n+ {line}\n")),
                None => text.push_str(&format!("+ {line}\n")),
            }
        }
        text
    }
}

/// Everything that a target is, one thing a line, in a fixed order.
fn lines(target: &Target) -> Vec<String> {
    let credential = match &target.credential {
        None => "none".to_owned(),
        Some(CredentialSource::Env(name)) => format!("the environment variable {name}"),
        Some(CredentialSource::File(path)) => format!("the file {}", path.display()),
    };
    let mut lines = vec![
        format!("protocol: {}", target.protocol.name()),
        format!("upstream: {}", target.upstream),
        format!("credential: {credential}"),
        format!("environment: {}", target.environment.name()),
        format!("sensitivity: {} of 3", target.sensitivity.level()),
        format!("cards hide besides: {}", hidden(&target.redact)),
        format!("cards show all the same: {}", shown(&target.redact)),
    ];
    if let Some(http) = &target.http {
        let HttpTarget { auth, ca, hosts, headers, openapi, models, .. } = &**http;
        let file = |file: &Option<Pinned>| file.as_ref().map_or("none".to_owned(), Pinned::words);
        let meaning = openapi.as_ref().map_or("none".to_owned(), |openapi| {
            let OpenApi { name, document, classes } = openapi;
            format!("{name}, document {}, classes {}", file(document), file(classes))
        });
        lines.extend([
            format!("the credential goes by: {auth:?}"),
            format!(
                "certificates trusted besides: {}",
                ca.as_ref().map_or("none".to_owned(), |path| path.display().to_string())
            ),
            format!("reached by name: {}", listed(hosts.iter().cloned().collect())),
            format!("headers passed on besides: {}", listed(headers.iter().cloned().collect())),
            format!("meaning of requests: {meaning}"),
            format!("service models: {}", file(models)),
            format!(
                "bounds: {} bytes read, {} bytes spooled, {} seconds to an answer, HTTP/2 {}",
                http.body_bytes_max, http.spool_bytes_max, http.answer_seconds_max, http.http2
            ),
        ]);
    }
    lines
}

fn hidden(redaction: &Redaction) -> String {
    let columns = redaction.hide_columns.iter().map(|column| format!("column {column}"));
    let patterns = redaction.hide.iter().map(|Pattern { name, pattern }| format!("{name} {pattern:?}"));
    listed(columns.chain(patterns).collect())
}

fn shown(redaction: &Redaction) -> String {
    let columns = redaction.show_columns.iter().map(|column| format!("column {column}"));
    listed(redaction.show_kinds.iter().cloned().chain(columns).collect())
}

fn listed(names: Vec<String>) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// What is in force under a name, by digest: also that nothing is.
pub fn standing(targets: &ByName, name: &str) -> Option<String> {
    digest(name, targets.get(name))
}

/// A target under a name, or none, by digest.
pub fn digest(name: &str, target: Option<&Target>) -> Option<String> {
    #[derive(Serialize)]
    struct Standing<'a> {
        kind: &'static str,
        name: &'a str,
        target: Option<&'a Target>,
    }
    let standing = Standing { kind: "target", name, target };
    canonical(&standing).ok().map(|bytes| PayloadDigest::of(&bytes).to_string())
}

/// The record of a target that came into force, or went.
pub fn changed(
    (name, before, after): (&str, Option<&Target>, Option<&Target>),
    why: &str,
    approved: Option<(PersonId, ReviewId)>,
) -> Event {
    let step = match (before, after) {
        (_, None) => "target_removed",
        (None, Some(_)) => GateStep::TargetAdded.name(),
        (Some(_), Some(_)) => GateStep::TargetChanged.name(),
    };
    let (by, review) = approved.unzip();
    Event::GateChanged {
        part: GatePart::Targets.name().to_owned(),
        step: step.to_owned(),
        subject: name.to_owned(),
        from: digest(name, before).unwrap_or_default(),
        to: digest(name, after).unwrap_or_default(),
        why: why.to_owned(),
        by,
        review,
    }
}

fn by_name(targets: Vec<Target>) -> ByName {
    targets.into_iter().map(|target| (target.name.clone(), target)).collect()
}

/// What is in force of what is wished, at a start: each as it was, unless it only became stricter.
fn at_start(before: &ByName, wished: &ByName) -> ByName {
    let kept = wished.iter().filter_map(|(name, wish)| {
        let former = before.get(name)?;
        let now = if is_stricter(former, wish) { wish } else { former };
        Some((name.clone(), now.clone()))
    });
    kept.collect()
}

/// Whether a target differs in nothing but a higher sensitivity.
fn is_stricter(before: &Target, after: &Target) -> bool {
    after.sensitivity > before.sensitivity && Target { sensitivity: before.sensitivity, ..after.clone() } == *before
}

fn differences(before: &ByName, after: &ByName, why: &str) -> Vec<Event> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let pairs = names.into_iter().map(|name| (name, before.get(name), after.get(name)));
    pairs.filter(|(_, old, new)| old != new).map(|(name, old, new)| changed((name, old, new), why, None)).collect()
}

#[cfg(test)]
mod tests {
    use countersign_core::action::{Environment, Sensitivity};

    use super::*;

    fn target(name: &str) -> Target {
        Target {
            name: name.to_owned(),
            protocol: Protocol::Postgres,
            upstream: "postgres://app@10.0.0.1/orders".to_owned(),
            credential: Some(CredentialSource::Env("PASSWORD".to_owned())),
            environment: Environment::Production,
            sensitivity: Sensitivity::Medium,
            redact: Redaction::default(),
            http: None,
        }
    }

    fn check(wish: Target, in_force: Option<&Target>) {
        let before = by_name(vec![target("orders")]);
        let after = at_start(&before, &by_name(vec![wish.clone()]));
        assert_eq!(after.get(&wish.name), in_force, "{wish:?}");
    }

    #[test]
    fn only_what_is_stricter_needs_nobody() {
        let before = target("orders");
        check(before.clone(), Some(&before));
        check(target("other"), None);
        let higher = Target { sensitivity: Sensitivity::High, ..before.clone() };
        check(higher.clone(), Some(&higher));
        for wish in [
            Target { sensitivity: Sensitivity::Low, ..before.clone() },
            Target { environment: Environment::Dev, ..before.clone() },
            Target { upstream: "postgres://app@10.0.0.2/orders".to_owned(), ..before.clone() },
            Target { credential: None, ..before.clone() },
            Target { sensitivity: Sensitivity::High, environment: Environment::Staging, ..before.clone() },
        ] {
            check(wish, Some(&before));
        }
        assert!(at_start(&by_name(vec![before]), &ByName::new()).is_empty(), "a target that is gone is gone at once");
    }

    #[test]
    fn what_would_change_is_told_line_by_line() {
        let after = Target { environment: Environment::Dev, ..target("orders") };
        let waiting = Waiting { before: Some(target("orders")), after };
        let words = waiting.words();
        assert!(words.contains("- environment: production\n+ environment: dev\n"), "{words}");
        assert!(words.contains("  upstream: postgres://app@10.0.0.1/orders\n"), "{words}");
    }
}
