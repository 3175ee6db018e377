//! What names mean: the relations, functions, operators and types that the executing session will resolve them to.
//!
//! A statement's text only has names. Which relation stands under a name, whether that is a view over something else,
//! whether a trigger, rule, policy, default or check runs somebody's function beside it, whether a function of the user's
//! takes a built-in's place: the server's catalog says, and [`survey.sql`](survey.sql) asks it. The answer, a [`Resolution`],
//! becomes part of the facts ([`apply`]): tables get their schemas and those behind them, and code of the database's users
//! is named and makes the statement `opaque`.
//!
//! **Who is asked.** A connection beside the clients' ([`super::aside`]) is asked with the session's own search path, and
//! the answer is shared by all sessions with that path for [`FRESH`]; statements that change definitions through this
//! gateway end it at once. What only the session itself can see is asked in the session: of its temporary objects anew after
//! [`FRESH`] or whatever changes them, of definitions that its open transaction changed each time. What was reviewed is asked
//! anew before it runs.
//!
//! **What is trusted.** Objects that came with the server (oid below 16384), and the C functions of casts and of types' input
//! and output, which only a superuser can make. Everything else a user made counts as code, also when it calls itself
//! immutable: such labels prove nothing.

mod answer;
mod apply;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) use self::answer::{Resolution, resolution};
pub(super) use self::apply::{Disturbance, Meaning, apply, disturbance};
use super::aside::{self, Aside, AsideError, Question};
use super::target::Upstream;
use crate::codes::Code;
use crate::ports::Vault;
use crate::refusal::Refusal;

/// The question of what a statement's names refer to. `$1` is a statement's [`super::describe::Description::questions`].
pub(super) const SURVEY: &str = include_str!("survey.sql");
/// The question of where a session looks for names, and whether it has temporary objects.
pub(super) const SCOPE: &str = "SELECT pg_catalog.json_build_object('path', pg_catalog.current_schemas(true), \
    'temporary', pg_catalog.pg_my_temp_schema() <> '0'::pg_catalog.oid)::pg_catalog.text";
/// Makes the connection beside look where a session with this start-up setting would.
const SET_PATH: &str = "SELECT pg_catalog.set_config('search_path', $1, false)";
/// The same for a session that starts without one.
const RESET_PATH: &str = "RESET search_path";

/// How long a shared answer is believed.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// Longest question that is asked on the connection that all share, in bytes: some hundred names.
const ORDINARY_BYTES_MAX: usize = 8 * 1024;
/// Shared answers that are kept; beyond it all are dropped.
const ANSWERS_MAX: usize = 10_000;

/// Where a session looks for names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Scope {
    /// Schemas in the order they are searched, the implicit ones included.
    pub(super) path: Vec<String>,
    /// Whether the session has, or had, temporary objects.
    pub(super) temporary: bool,
}

/// What the sessions of one target share.
#[derive(Default)]
pub(super) struct Catalog {
    answers: Mutex<Answers>,
    /// Counts changes of definitions; an answer to an older question is not kept.
    epoch: AtomicU64,
    aside: tokio::sync::Mutex<Aside>,
    /// Another, for questions of more than [`ORDINARY_BYTES_MAX`], which the server takes long to answer: those of one
    /// client shall not keep others waiting.
    large: tokio::sync::Mutex<Aside>,
    /// Another, for plans: they take longer.
    pub(super) plans: tokio::sync::Mutex<Aside>,
}

#[derive(Default)]
struct Answers {
    scopes: HashMap<String, (Instant, Arc<Scope>)>,
    by_path: HashMap<Vec<String>, HashMap<Arc<str>, Answer>>,
    count: usize,
}

/// What names refer to, and how long that is believed unless definitions change.
pub(super) struct Answered {
    pub(super) resolution: Arc<Resolution>,
    pub(super) until: Instant,
}

struct Answer {
    /// When it was asked for; nothing once definitions may have changed.
    at: Option<Instant>,
    resolution: Arc<Resolution>,
}

impl Catalog {
    /// Definitions changed, or may have: nothing that was known before is believed.
    pub(super) fn changed(&self) {
        let mut answers = self.lock();
        self.epoch.fetch_add(1, Ordering::Release);
        answers.scopes.clear();
        answers.by_path.values_mut().flat_map(HashMap::values_mut).for_each(|answer| answer.at = None);
    }

    /// The scope of a session that would start now with these settings.
    pub(super) async fn scope_of_start(
        &self,
        target: &Upstream,
        vault: &dyn Vault,
        settings: &BTreeMap<String, String>,
    ) -> Result<Arc<Scope>, Refusal> {
        let path = settings.iter().find(|(name, _)| name.eq_ignore_ascii_case("search_path"));
        let path = path.map_or("", |(_, value)| value.as_str());
        if let Some((at, scope)) = self.lock().scopes.get(path)
            && at.elapsed() < FRESH
        {
            return Ok(scope.clone());
        }
        let look = match path {
            "" => Question { name: "reset", sql: RESET_PATH, types: &[], values: values(&[])? },
            path => Question { name: "path", sql: SET_PATH, types: &[], values: values(&[path])? },
        };
        let asked = Question { name: "scope", sql: SCOPE, types: &[], values: values(&[])? };
        let at = Instant::now();
        let told = ask(&mut *self.aside.lock().await, target, vault, Some(look), asked).await?;
        let scope = Arc::new(scope(&told)?);
        let mut answers = self.lock();
        if answers.scopes.len() >= ANSWERS_MAX {
            answers.scopes.clear();
        }
        answers.scopes.insert(path.to_owned(), (at, scope.clone()));
        Ok(scope)
    }

    /// Counts changes of definitions.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A shared answer that is fresh.
    fn known(&self, scope: &Scope, question: &Arc<str>) -> Option<Answered> {
        let answers = self.lock();
        let answer = answers.by_path.get(&scope.path)?.get(question)?;
        let until = answer.at? + FRESH;
        (Instant::now() < until).then(|| Answered { resolution: answer.resolution.clone(), until })
    }

    /// The answer for a scope without temporary objects: shared if it is fresh enough, else asked for.
    pub(super) async fn resolve(
        &self,
        target: &Upstream,
        vault: &dyn Vault,
        scope: &Scope,
        question: &Arc<str>,
    ) -> Result<Answered, Refusal> {
        if let Some(known) = self.known(scope, question) {
            return Ok(known);
        }
        let ordinary = question.len() <= ORDINARY_BYTES_MAX;
        let mut aside = if ordinary { self.aside.lock().await } else { self.large.lock().await };
        if let Some(known) = self.known(scope, question) {
            return Ok(known); // somebody before in the queue had the same question
        }
        let (epoch, at) = (self.epoch(), Instant::now());
        let with_path = answer::with_path(question, &scope.path).map_err(|error| unresolved(&error))?;
        let asked = Question { name: "survey", sql: SURVEY, types: &[], values: values(&[&with_path])? };
        let told = ask(&mut aside, target, vault, None, asked).await?;
        let resolution = resolution(question, &told).map_err(|error| unresolved(&error))?;
        let resolution = match ordinary {
            true => self.keep((epoch, at), scope, question, resolution),
            false => Arc::new(resolution), // it would take much room, and comes seldom
        };
        Ok(Answered { resolution, until: at + FRESH })
    }

    fn keep(
        &self,
        (epoch, at): (u64, Instant),
        scope: &Scope,
        question: &Arc<str>,
        resolution: Resolution,
    ) -> Arc<Resolution> {
        let mut answers = self.lock();
        if answers.count >= ANSWERS_MAX {
            answers.by_path.clear();
            answers.count = 0;
        }
        let at = (epoch == self.epoch()).then_some(at);
        let of_path = answers.by_path.entry(scope.path.clone()).or_default();
        let before = of_path.get(question).map(|answer| answer.resolution.clone());
        let new = before.is_none();
        // the same answer stays the same object, so that what was made of it stays valid
        let resolution = before.filter(|before| **before == resolution).unwrap_or_else(|| Arc::new(resolution));
        of_path.insert(question.clone(), Answer { at, resolution: resolution.clone() });
        answers.count += usize::from(new);
        resolution
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner) // the maps are valid after any panic
    }
}

/// Asks the question, on the connection that was asked what comes before it.
async fn ask(
    aside: &mut Aside,
    target: &Upstream,
    vault: &dyn Vault,
    before: Option<Question<'_>>,
    question: Question<'_>,
) -> Result<String, Refusal> {
    let failed = |error| match error {
        AsideError::Connect(refusal) => refusal,
        error => unresolved(&error),
    };
    let mut rows = ask_both(aside, target, vault, before.clone(), question.clone()).await;
    if matches!(rows, Err(AsideError::Gone)) {
        // the server may have ended the connection long ago; asking changes nothing, so it can be asked again
        rows = ask_both(aside, target, vault, before, question).await;
    }
    let rows = rows.map_err(failed)?;
    aside::text(&rows).map(str::to_owned).ok_or_else(|| unresolved(&"an empty answer"))
}

async fn ask_both(
    aside: &mut Aside,
    target: &Upstream,
    vault: &dyn Vault,
    before: Option<Question<'_>>,
    question: Question<'_>,
) -> Result<Vec<aside::Row>, AsideError> {
    if let Some(before) = before {
        aside.ask(target, vault, before).await?;
    }
    aside.ask(target, vault, question).await
}

/// What a server said of a session's scope.
pub(super) fn scope(told: &str) -> Result<Scope, Refusal> {
    serde_json::from_str(told).map_err(|error| unresolved(&error))
}

fn values(values: &[&str]) -> Result<bytes::Bytes, Refusal> {
    aside::values(values).map_err(|error| unresolved(&error))
}

/// Names that cannot be resolved are not decided on.
pub(super) fn unresolved(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(Code::NamesUnresolved, format!("what the names in it refer to could not be asked: {error}"))
        .hint("nothing was sent to the upstream; try again, or see `countersign doctor`")
}
