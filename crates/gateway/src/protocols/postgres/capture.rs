//! From a captured message to an [`ActionRequest`]: the payload that is bound, and what a reviewer will be shown.
//!
//! The payload of a simple query is its text. That of a portal is its statement's text, the types, and everything of the
//! `Bind` after the two names; the names are the client's own business and may differ when the same is sent again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use countersign_core::action::impact::Impact;
use countersign_core::action::redact::{self, Redacted, Redactor, Rules, Shown};
use countersign_core::action::{
    ActionRequest, Described, PayloadDigest, PersonId, PersonRef, Repeats, Requester, SealedPayload, SessionFacts,
    Target, Timestamp,
};
use countersign_core::card::difference;

use super::catalog::Meaning;
use super::copy::{self, Spool};
use super::describe::{self, CopyIn, Description, Effect, Routine};
use super::session::{Prepared, Session};
use super::wire::Format;
use super::wire::frontend::Bind;
use crate::codes::Code;
use crate::pipeline;
use crate::ports::Scribe;
use crate::refusal::Refusal;

/// Who is connected to what.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) requester: Arc<Requester>,
    pub(super) on_behalf_of: Arc<PersonRef>,
    pub(super) closure: Arc<BTreeSet<PersonId>>,
    pub(super) target: Arc<Target>,
    /// When the key ends that it logged in with.
    pub(super) until: Option<Timestamp>,
    /// `application_name`, when it is not a driver's own.
    pub(super) stated_reason: Option<String>,
}

/// The most meanings whose session is kept.
const SESSIONS_MAX: usize = 64;
/// The longest text whose facts are kept, in bytes: longer ones take memory, and little of their time is spent here.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// What one connection asked for before: what repeats is not made again.
#[derive(Default)]
pub(super) struct Before {
    digests: Repeats,
    /// What each meaning found of the session; the last used first.
    sessions: VecDeque<Found>,
}

/// A session's facts for one meaning, and the settings of which they hold the digests.
struct Found {
    meaning: Arc<Meaning>,
    settings: BTreeMap<String, String>,
    facts: Arc<SessionFacts>,
}

impl Before {
    /// The facts of the session: those of the last time, if all of them are equal.
    fn session_facts(&mut self, captured: &Captured, session: &Session) -> Arc<SessionFacts> {
        if !captured.is_short() {
            return Arc::new(captured.session_facts(session, captured.executes(session)));
        }
        let at = self.sessions.iter().position(|found| Arc::ptr_eq(&found.meaning, captured.meaning()));
        let kept = at.and_then(|at| self.sessions.remove(at));
        let prepared = captured.executes(session);
        let same = kept.filter(|Found { settings, facts, .. }| {
            facts.prepared == prepared
                && settings == session.settings()
                && facts.in_transaction == session.in_transaction()
                && facts.transaction == session.transaction()
        });
        let found = same.unwrap_or_else(|| Found {
            meaning: captured.meaning().clone(),
            settings: session.settings().clone(),
            facts: Arc::new(captured.session_facts(session, prepared)),
        });
        let facts = found.facts.clone();
        self.sessions.truncate(SESSIONS_MAX - 1);
        self.sessions.push_front(found);
        facts
    }
}

/// A message that wants to run.
#[derive(Debug)]
pub(super) enum Captured {
    /// A simple query.
    Query {
        sql: Arc<str>,
        description: Arc<Description>,
        meaning: Arc<Meaning>,
        /// The data of its COPY, once it was taken in.
        spool: Option<Box<Spool>>,
    },
    /// A portal.
    Portal { bind: Bind, prepared: Arc<Prepared>, description: Arc<Description>, meaning: Arc<Meaning> },
    /// A function-call message, as the statement that would do the same; the bind's tail is the message.
    Function { bind: Bind, prepared: Arc<Prepared>, description: Arc<Description>, meaning: Arc<Meaning> },
}

impl Captured {
    /// What its text says.
    pub(super) fn described(&self) -> &Arc<Description> {
        match self {
            Captured::Query { description, .. }
            | Captured::Portal { description, .. }
            | Captured::Function { description, .. } => description,
        }
    }

    /// The same with its names resolved.
    pub(super) fn meaning(&self) -> &Arc<Meaning> {
        match self {
            Captured::Query { meaning, .. } | Captured::Portal { meaning, .. } | Captured::Function { meaning, .. } => {
                meaning
            }
        }
    }

    pub(super) fn description(&self) -> &Arc<Description> {
        &self.meaning().description
    }

    pub(super) fn sql(&self) -> &str {
        match self {
            Captured::Query { sql, .. } => sql,
            Captured::Portal { prepared, .. } | Captured::Function { prepared, .. } => &prepared.sql,
        }
    }

    /// Whether what is made of it is small enough to be kept for the next time.
    fn is_short(&self) -> bool {
        self.sql().len() <= KEPT_BYTES_MAX
    }

    pub(super) fn fingerprint(&self, target: &str) -> String {
        let shape = describe::fingerprint(self.sql());
        let shape = shape.unwrap_or_else(|| PayloadDigest::of(self.sql().as_bytes()).to_string());
        format!("{target} {shape}")
    }

    fn payload(&self) -> Vec<u8> {
        match self {
            Captured::Query { sql, spool: Some(spool), .. } => copy::payload(sql, &spool.summary()),
            Captured::Query { sql, spool: None, .. } => sql.as_bytes().to_vec(),
            Captured::Portal { bind, prepared, .. } | Captured::Function { bind, prepared, .. } => {
                portal_payload(prepared, &bind.tail)
            }
        }
    }

    /// Whether it begins by ending a failed transaction. `PREPARE TRANSACTION` rolls one back, as `COMMIT` does.
    pub(super) fn ends_failed_transaction(&self) -> bool {
        use Effect::{Commit, PrepareTransaction, Rollback, RollbackTo};
        let first = self.description().effects.first();
        matches!(first, Some(Commit { .. } | Rollback { .. } | RollbackTo { .. } | PrepareTransaction { .. }))
    }

    /// Whether there is no statement in it: the server says so even in a failed transaction.
    pub(super) fn is_empty(&self) -> bool {
        self.description().effects.is_empty()
    }

    /// What can be refused before anybody decides.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        super::settings::check_message(self.description(), matches!(self, Captured::Query { .. }))?;
        // `EXECUTE` looks its name up when the portal runs, not when it is bound and decided on
        let executes = self.description().effects.iter().any(|effect| matches!(effect, Effect::Execute { .. }));
        if executes && matches!(self, Captured::Portal { .. }) {
            let message = "EXECUTE inside the extended protocol is not supported";
            return Err(Refusal::new(Code::Unsupported, message)
                .hint("bind the prepared statement itself, or send EXECUTE as a simple query"));
        }
        Ok(())
    }

    /// What cannot be paused: a stream that was not taken in.
    pub(super) fn check_reviewable(&self) -> Result<(), Refusal> {
        if matches!(self, Captured::Query { spool: Some(_), .. }) {
            return Ok(());
        }
        self.stream_in().map(drop)
    }

    /// The stream that has to be taken in before people can be asked.
    ///
    /// # Errors
    /// There is one, and it cannot be: its data would not be part of what is approved.
    pub(super) fn stream_in(&self) -> Result<Option<&CopyIn>, Refusal> {
        let effects = &self.description().effects;
        let mut streams = effects.iter().filter(|effect| matches!(effect, Effect::CopyIn(_) | Effect::CopyOut));
        let Some(Effect::CopyIn(first)) = streams.next() else {
            return match streams.any(|effect| matches!(effect, Effect::CopyIn(_))) {
                true => Err(second_stream()),
                false => Ok(None),
            };
        };
        if streams.next().is_some() {
            return Err(second_stream());
        }
        match self {
            Captured::Query { .. } | Captured::Function { .. } => Ok(Some(first)),
            Captured::Portal { .. } => {
                let message = "COPY … FROM STDIN cannot wait for a review inside the extended protocol, where it is \
                               decided on before its data comes";
                Err(Refusal::new(Code::Unsupported, message)
                    .hint("send it as a simple query, as psql's \\copy and most drivers' copy functions do"))
            }
        }
    }

    /// What was taken in belongs to it from here on.
    pub(super) fn attach(&mut self, taken: Spool) {
        if let Captured::Query { spool, .. } = self {
            *spool = Some(Box::new(taken));
        }
    }

    /// The action.
    pub(super) fn describe(
        &self,
        subject: &Subject,
        session: &Session,
        scribe: &Scribe,
        before: &mut Before,
    ) -> Result<ActionRequest, Refusal> {
        let payload = SealedPayload::seal(self.payload());
        let described = Described {
            impact: Impact::default(),
            id: pipeline::attempt(),
            requester: subject.requester.clone(),
            on_behalf_of: subject.on_behalf_of.clone(),
            closure: subject.closure.clone(),
            target: subject.target.clone(),
            facts: self.meaning().facts.clone(),
            session: before.session_facts(self, session),
            shown: Shown::default(),
            reason: self.stated(subject.stated_reason.as_deref()).map(redact::words),
            payload: payload.digest(),
            at: scribe.now(),
        };
        let request = match self.is_short() {
            true => ActionRequest::again(described, payload, &mut before.digests),
            false => ActionRequest::new(described, payload),
        };
        request
            .map_err(|error| Refusal::new(Code::RecordUnavailable, format!("the action cannot be described: {error}")))
    }

    /// The prepared statements that it executes, by name.
    fn executes(&self, session: &Session) -> BTreeMap<String, PayloadDigest> {
        let mut prepared = BTreeMap::new();
        for effect in &self.description().effects {
            if let Effect::Execute { name, .. } = effect
                && let Some(known) = session.statement(name)
            {
                prepared.insert(name.clone(), PayloadDigest::of(&meaning(&known)));
            }
        }
        prepared
    }

    fn session_facts(&self, session: &Session, prepared: BTreeMap<String, PayloadDigest>) -> SessionFacts {
        SessionFacts {
            settings: session
                .settings()
                .iter()
                .map(|(name, value)| (name.clone(), PayloadDigest::of(value.as_bytes())))
                .collect(),
            prepared,
            names: self.meaning().identities.clone(),
            transaction: session.transaction(),
            in_transaction: session.in_transaction(),
        }
    }

    /// The statement as a card shows it, with the text of the prepared statements that it executes, and the stated reason.
    /// `standing` is the body of the routine that it would replace.
    pub(super) fn shown(
        &self,
        session: &Session,
        rules: &Rules,
        (reason, standing): (Option<&str>, Option<&str>),
    ) -> Redacted {
        let mut redactor = Redactor::new(rules);
        let columns = &self.meaning().columns;
        let mut shown = describe::show(&mut redactor, self.sql(), self.description(), columns);
        shown.parameters = self.shown_parameters(&mut redactor);
        if let Captured::Query { spool: Some(spool), .. } = self {
            shown.stream = Some(spool.shown(&mut redactor, columns));
        }
        if let Captured::Portal { prepared, .. } | Captured::Function { prepared, .. } = self
            && !prepared.part.is_empty()
        {
            shown.text = format!("-- {}\n{}", prepared.part, shown.text);
        }
        for effect in &self.description().effects {
            if let Effect::Execute { name, .. } = effect
                && let Some(known) = session.statement(name)
            {
                let inner = describe::show(&mut redactor, &known.sql, &known.description, columns);
                shown.text = format!("{}\n-- {name:?} {}:\n{}", shown.text, known.part, inner.text);
                shown.cut_bytes += inner.cut_bytes;
            }
        }
        if let (Some(standing), Some(Routine { body, .. })) = (standing, self.replacement()) {
            shown.replaces = difference::hunks(&redactor.words(standing), &redactor.words(&body));
        }
        shown.settings = redactor.settings(session.settings());
        let reason = self.stated(reason).map(|said| redactor.words(said));
        Redacted { reason, ..redactor.finish(shown) }
    }

    /// The routine that it may put in the place of another.
    pub(super) fn replacement(&self) -> Option<Routine> {
        let [statement] = self.description().facts.statements.as_slice() else { return None };
        matches!(statement.verb.as_str(), "CREATE FUNCTION" | "CREATE PROCEDURE")
            .then(|| describe::replacement(self.sql()))?
    }

    fn shown_parameters(&self, redactor: &mut Redactor<'_>) -> Vec<Option<String>> {
        let (Captured::Portal { bind, prepared, .. } | Captured::Function { bind, prepared, .. }) = self else {
            return Vec::new();
        };
        let values = parameters(bind, &prepared.types);
        if values.is_empty() {
            return values;
        }
        let places = describe::places(self.sql(), &self.meaning().columns);
        let show = |(index, value): (usize, Option<String>)| {
            value.map(|value| redactor.value(&value, &places.parameter(index + 1)))
        };
        values.into_iter().enumerate().map(show).collect()
    }

    /// The reason that the statement states, or else its session.
    fn stated<'a>(&'a self, session: Option<&'a str>) -> Option<&'a str> {
        self.description().reason.as_deref().or(session)
    }
}

fn second_stream() -> Refusal {
    let message = "a message with more than one COPY stream cannot wait for a review";
    Refusal::new(Code::Unsupported, message).hint("send each COPY in a message of its own")
}

fn portal_payload(prepared: &Prepared, tail: &[u8]) -> Vec<u8> {
    let statement = meaning(prepared);
    let mut payload = Vec::with_capacity(statement.len() + tail.len() + 16);
    payload.put_u64(statement.len() as u64);
    payload.put_slice(&statement);
    payload.put_u64(tail.len() as u64);
    payload.put_slice(tail);
    payload
}

/// What makes a prepared statement what it is: its text, which part of it, and the types it was declared with.
fn meaning(prepared: &Prepared) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(prepared.sql.len() + prepared.part.len() + 4 * prepared.declared.len() + 16);
    for text in [&*prepared.sql, prepared.part.as_str()] {
        bytes.put_u64(text.len() as u64);
        bytes.put_slice(text.as_bytes());
    }
    prepared.declared.iter().for_each(|oid| bytes.put_u32(*oid));
    bytes
}

/// The `Bind`'s tail, out of a payload that [`portal_payload`] made: what is sent is what was bound.
pub(super) fn portal_tail(payload: &[u8]) -> Option<&[u8]> {
    let (length, rest) = payload.split_first_chunk::<8>()?;
    let rest = rest.get(usize::try_from(u64::from_be_bytes(*length)).ok()?..)?;
    let (length, tail) = rest.split_first_chunk::<8>()?;
    (usize::try_from(u64::from_be_bytes(*length)).ok()? == tail.len()).then_some(tail)
}

/// Parameters as text, as far as a reviewer can read them.
pub(super) fn parameters(bind: &Bind, types: &[u32]) -> Vec<Option<String>> {
    let one = |(index, value): (usize, &Option<Bytes>)| {
        let value = value.as_ref()?;
        let oid = types.get(index).copied().unwrap_or(0);
        Some(match bind.format(index) {
            Format::Text => text(value),
            Format::Binary => binary(value, oid).unwrap_or_else(|| format!("‹{} bytes, type {oid}›", value.len())),
        })
    };
    bind.values.iter().enumerate().map(one).collect()
}

fn text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("‹{} bytes that are not text›", value.len()),
    }
}

/// The common types' binary formats (`src/backend/utils/adt`, the `*send` functions), by type oid.
fn binary(value: &[u8], oid: u32) -> Option<String> {
    Some(match oid {
        16 => (u8::from_be_bytes(value.try_into().ok()?) != 0).to_string(),
        20 => i64::from_be_bytes(value.try_into().ok()?).to_string(),
        21 => i16::from_be_bytes(value.try_into().ok()?).to_string(),
        23 => i32::from_be_bytes(value.try_into().ok()?).to_string(),
        26 => u32::from_be_bytes(value.try_into().ok()?).to_string(),
        700 => f32::from_be_bytes(value.try_into().ok()?).to_string(),
        701 => f64::from_be_bytes(value.try_into().ok()?).to_string(),
        19 | 25 | 114 | 1042 | 1043 => text(value),
        2950 => uuid::Uuid::from_slice(value).ok()?.to_string(),
        1700 => numeric(value)?,
        1082 => date(i32::from_be_bytes(value.try_into().ok()?))?,
        1114 | 1184 => instant(i64::from_be_bytes(value.try_into().ok()?))?,
        _ => return None,
    })
}

/// `numeric_send`: count, weight, sign and scale, then digits to the base of 10,000.
fn numeric(value: &[u8]) -> Option<String> {
    let words: Vec<i16> = value.chunks_exact(2).map(|word| i16::from_be_bytes([word[0], word[1]])).collect();
    let [count, weight, sign, scale, digits @ ..] = words.as_slice() else { return None };
    let sign = match *sign {
        0 => "",
        0x4000 => "-",
        _ => return None, // NaN and the infinities
    };
    let (weight, scale) = (i32::from(*weight), usize::try_from(*scale).ok()?);
    if usize::try_from(*count).ok()? != digits.len() || digits.len() > 64 || !(-32..=32).contains(&weight) || scale > 64
    {
        return None;
    }
    let digit = |place: i32| usize::try_from(place).ok().and_then(|place| digits.get(place)).copied().unwrap_or(0);
    let whole: String =
        (0..=weight.max(0)).map(|place| format!("{:04}", if weight < 0 { 0 } else { digit(place) })).collect();
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction: String = (1..).map(|n| format!("{:04}", digit(weight + n))).take(scale.div_ceil(4)).collect();
    let fraction = fraction.get(..scale)?;
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// Days from the Unix epoch to PostgreSQL's, 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;

fn date(days: i32) -> Option<String> {
    let seconds = (i64::from(days) + EPOCH_DAYS) * 86_400;
    Some(chrono::DateTime::from_timestamp(seconds, 0)?.format("%Y-%m-%d").to_string())
}

fn instant(micros: i64) -> Option<String> {
    let micros = micros.checked_add(EPOCH_DAYS * 86_400 * 1_000_000)?;
    Some(chrono::DateTime::from_timestamp_micros(micros)?.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// What drivers call themselves; none of it is a reason.
const DRIVERS: &[&str] = &[
    "psql",
    "pgbench",
    "pg_dump",
    "pg_restore",
    "PostgreSQL JDBC Driver",
    "DBeaver",
    "pgAdmin 4",
    "asyncpg",
    "psycopg",
    "node-postgres",
];

/// The reason in an `application_name`: whatever the requester wrote there, unless it is a driver's own name.
pub(super) fn stated_reason(application_name: Option<&String>) -> Option<String> {
    let name = application_name?.trim();
    let driver = DRIVERS.iter().any(|driver| name.starts_with(driver));
    let name = name.strip_prefix("reason:").map_or(name, str::trim);
    (!name.is_empty() && !driver).then(|| name.chars().take(describe::REASON_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portals_payload_gives_its_tail_back() {
        let description = Arc::new(describe::describe("SELECT $1", &describe::NoSession));
        let prepared =
            Prepared { sql: "SELECT $1".into(), part: String::new(), declared: vec![], types: vec![], description };
        assert_eq!(portal_tail(&portal_payload(&prepared, b"tail")), Some(b"tail".as_slice()));
        assert_eq!(portal_tail(b"short"), None);
    }

    #[test]
    fn numerics_are_read() {
        let send = |words: &[i16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        for (words, expected) in [
            (&[1, 0, 0, 0, 9][..], Some("9")),
            (&[2, 1, 0x4000, 2, 1, 2345, 6700][..], None),
            (&[3, 1, 0x4000, 2, 1, 2345, 6700], Some("-12345.67")),
            (&[1, -1, 0, 3, 50], Some("0.005")),
            (&[0, 0, 0, 2], Some("0.00")),
        ] {
            assert_eq!(numeric(&send(words)).as_deref(), expected, "{words:?}");
        }
    }

    #[test]
    fn a_drivers_name_is_no_reason() {
        assert_eq!(stated_reason(Some(&"psql".to_owned())), None);
        assert_eq!(stated_reason(Some(&"reason: ticket 7".to_owned())).as_deref(), Some("ticket 7"));
    }
}
