//! Incidents: that something is badly wrong, said by a person, for a time; policies see it as `context.incident`.
//!
//! A policy may ask for less while one goes on, so nobody declares it for themselves: on a request whose side the declarer
//! stands on, and for what the declarer does themselves, it is not there ([`Incident`]s are weighed in
//! [`Moment::incident_for`](crate::gate::Moment::incident_for), at each decision and again at each release). It takes a person
//! who reviews, by a sign-in as strong as breaking the glass takes; it is recorded, alarms, and ends by itself.

use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Event;
use countersign_core::review::intent::text_sha256;
use countersign_core::review::{Method, REASON_BYTES_MAX, is_strong};

use super::{Denied, Voter};
use crate::codes::Code;
use crate::gate::{Change, Gate};
use crate::identity::sign_in::groups_are_old;
use crate::identity::{Caller, SignedIn};
use crate::ports::{Incident, Role, Scope, StoreError};

/// The longest an incident lasts that nobody ends: 4 hours.
pub const INCIDENT_SECONDS_MAX: u32 = 4 * 60 * 60;
/// How long one lasts unless said otherwise: 1 hour.
pub const INCIDENT_SECONDS_DEFAULT: u32 = 60 * 60;
/// How many may go on at once, each declared by somebody else.
const INCIDENTS_MAX: u32 = 16;

/// Declares one.
///
/// # Errors
/// [`Denied`]; the attempt is recorded, and nothing is changed.
pub async fn declare(gate: &Gate, caller: &Caller, reason: &str, seconds: Option<u32>) -> Result<Incident, Denied> {
    let incident = match incident(gate, caller, reason, seconds) {
        Ok(incident) => incident,
        Err(denied) => return Err(record_denied(gate, caller, "declare", denied).await),
    };
    let Incident { id, by, until, .. } = &incident;
    let (method, mfa) = match caller {
        Caller::Person(signed_in) => (signed_in.method, signed_in.mfa),
        Caller::Agent(_) => return Err(not_a_person()),
    };
    let declared = Event::IncidentDeclared {
        incident: id.clone(),
        by: by.clone(),
        method,
        mfa,
        reason_sha256: text_sha256(&incident.reason),
        until: *until,
    };
    let detail = format!("person {by} declared incident {id} until {until}");
    let alarm = Event::SystemAlarm { code: "incident_declared".to_owned(), detail };
    let records = [declared, alarm].into_iter().map(|event| gate.scribe.record(event)).collect();
    match gate.incidents.declare_incident(incident.clone(), INCIDENTS_MAX, records).await {
        Ok(()) => {
            tracing::error!(incident = %id, "an incident was declared");
            changed(gate).await?;
            Ok(incident)
        }
        Err(StoreError::Conflict) => {
            let denied = Denied::new(Code::IncidentDeclared, "an incident that you declared goes on, or too many do");
            Err(record_denied(gate, caller, "declare", denied).await)
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends one: whoever may declare one may.
///
/// # Errors
/// [`Denied`]; the attempt is recorded, and nothing is changed.
pub async fn end(gate: &Gate, caller: &Caller, id: &str) -> Result<(), Denied> {
    let by = match may_declare(gate, caller) {
        Ok(signed_in) => signed_in.person.id.clone(),
        Err(denied) => return Err(record_denied(gate, caller, "end", denied).await),
    };
    let absent = || Denied::new(Code::NotFound, "there is no such incident, or it has ended");
    finish(gate, id, Some(by)).await?.then_some(()).ok_or_else(absent)
}

/// Ends those whose time is over; called by a timer.
///
/// # Errors
/// The store's; the timer tries again.
pub async fn end_due(gate: &Gate) -> Result<(), StoreError> {
    let now = gate.scribe.now();
    for over in gate.declared.current().iter().filter(|incident| incident.until <= now) {
        finish(gate, &over.id, None).await?;
    }
    Ok(())
}

/// Those that go on now.
pub fn going_on(gate: &Gate) -> Vec<Incident> {
    let now = gate.scribe.now();
    gate.declared.current().iter().filter(|incident| now < incident.until).cloned().collect()
}

/// Whether somebody may declare an incident, and end one.
///
/// # Errors
/// [`Denied`], with what stands in the way.
pub fn may_declare<'a>(gate: &Gate, caller: &'a Caller) -> Result<&'a SignedIn, Denied> {
    let Caller::Person(signed_in) = caller else { return Err(not_a_person()) };
    let person = &signed_in.person;
    if signed_in.scope < Scope::ReviewVote {
        return Err(Denied::new(Code::Forbidden, "this token may only read"));
    }
    let moment = gate.moment();
    let known = moment.bundle.vocabulary().groups();
    if person.roles.contains(&Role::Auditor) || !person.groups.iter().any(|group| known.contains(group)) {
        return Err(Denied::new(Code::Forbidden, "only those who review declare an incident, and no auditor does"));
    }
    let voter = Voter::plain(signed_in);
    if moment.groups_max_age.is_some() && voter.counted_as() == Method::Local {
        let message = "a link or token made on the gateway's own host declares no incident; sign in";
        return Err(Denied::new(Code::LocalCredential, message));
    }
    let old = |max_age| groups_are_old(person, max_age, moment.provisions, moment.now);
    if !is_strong(&voter.authn()) || moment.groups_max_age.is_some_and(old) {
        let message = "declaring or ending an incident takes a second factor of the last 15 minutes; sign in again";
        return Err(Denied::new(Code::SignInAgain, message));
    }
    Ok(signed_in)
}

fn incident(gate: &Gate, caller: &Caller, reason: &str, seconds: Option<u32>) -> Result<Incident, Denied> {
    let by = &may_declare(gate, caller)?.person;
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let message = format!("say what is going on, in at most {REASON_BYTES_MAX} bytes: everybody reads it");
        return Err(Denied::new(Code::ReasonInvalid, message));
    }
    let seconds = seconds.unwrap_or(INCIDENT_SECONDS_DEFAULT);
    if !(1..=INCIDENT_SECONDS_MAX).contains(&seconds) {
        return Err(Denied::new(Code::BadRequest, "an incident lasts at most 4 hours; declare it again then"));
    }
    let declared_at: Timestamp = gate.scribe.now();
    Ok(Incident {
        id: uuid::Uuid::now_v7().to_string(),
        by: by.id.clone(),
        name: by.name.clone(),
        reason: reason.to_owned(),
        declared_at,
        until: declared_at.plus_seconds(i64::from(seconds)),
    })
}

/// Whether there was one to end.
async fn finish(gate: &Gate, id: &str, by: Option<PersonId>) -> Result<bool, StoreError> {
    let record = gate.scribe.record(Event::IncidentEnded { incident: id.to_owned(), by });
    let ended = match gate.incidents.end_incident(id, vec![record]).await {
        Ok(()) => true,
        Err(StoreError::NotFound(_)) => false,
        Err(error) => return Err(error),
    };
    changed(gate).await?;
    Ok(ended)
}

async fn changed(gate: &Gate) -> Result<(), StoreError> {
    gate.declared.refresh(&*gate.incidents).await?;
    gate.changes.tell(Change::Review);
    Ok(())
}

fn not_a_person() -> Denied {
    Denied::new(Code::Forbidden, "an agent declares no incident; people do")
}

async fn record_denied(gate: &Gate, caller: &Caller, what: &str, denied: Denied) -> Denied {
    let (person, agent) = match caller {
        Caller::Person(signed_in) => (Some(signed_in.person.id.to_string()), None),
        Caller::Agent(agent) => (None, Some(agent.id.to_string())),
    };
    let by = person.or(agent);
    let event = Event::IncidentRefused { by, what: what.to_owned(), code: denied.code.name().to_owned() };
    match gate.store.append(vec![gate.scribe.record(event)]).await {
        Ok(()) => denied,
        Err(error) => error.into(),
    }
}
