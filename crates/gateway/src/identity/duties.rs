//! Giving one's duty as a reviewer to somebody else, for a time, and taking it back.
//!
//! A duty is given by its holder alone, from a sign-in by two factors a moment ago, for groups that they are in themselves:
//! what was given to them is not theirs to give. What it is worth is asked anew with every vote
//! ([`crate::resolve`]): the holder must still be in the group and not suspended, and both must stand outside the
//! requester's side.

use std::collections::BTreeSet;

use countersign_core::action::Timestamp;
use countersign_core::record::Event;
use countersign_core::review::Method;

use super::SignedIn;
use super::stewardship::FRESH_SECONDS;
use crate::ports::{Directory, Duty, Person, Role, Scribe, StoreError};

/// The longest a duty may be given away: 30 days.
pub const DUTY_SECONDS_MAX: i64 = 30 * 24 * 60 * 60;
/// How far ahead one may begin: 90 days.
pub const AHEAD_SECONDS_MAX: i64 = 90 * 24 * 60 * 60;
/// Duties that one person may have given at once.
const GIVEN_MAX: u32 = 20;

/// What somebody wants to give.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The name of whoever shall do it.
    pub deputy: String,
    /// For which groups; all of one's own when empty.
    pub groups: BTreeSet<String>,
    /// From when; from now on when absent.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Timestamp,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be given so.
    #[error("{0}")]
    Invalid(String),
    /// Only from a fresh and strong sign-in.
    #[error("a duty is given within 15 minutes of signing in with a second factor; sign in again")]
    Stale,
    /// There is no such duty that is theirs.
    #[error("there is no such duty of yours")]
    NotYours,
    /// The directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gives one's duty.
///
/// # Errors
/// [`Error`].
pub async fn give(directory: &dyn Directory, scribe: &Scribe, by: &SignedIn, wish: Wish) -> Result<Duty, Error> {
    if !by.mfa || by.age_seconds > FRESH_SECONDS || by.method == Method::Api {
        return Err(Error::Stale);
    }
    let people = directory.people().await?;
    let deputy = people.iter().find(|person| person.name.eq_ignore_ascii_case(wish.deputy.trim()));
    let deputy = deputy.ok_or_else(|| Error::Invalid(format!("there is nobody called `{}`", wish.deputy.trim())))?;
    let now = scribe.now();
    let duty = duty(&by.person, deputy, &wish, now)?;
    let event = Event::DutyGiven {
        duty: duty.id.clone(),
        of: duty.of.clone(),
        deputy: duty.deputy.clone(),
        groups: duty.groups.clone(),
        from: duty.from,
        until: duty.until,
    };
    match directory.add_duty(duty.clone(), GIVEN_MAX, scribe.record(event)).await {
        Ok(()) => Ok(duty),
        Err(StoreError::Conflict) => Err(Error::Invalid(format!("{GIVEN_MAX} duties are given already; end some"))),
        Err(error) => Err(error.into()),
    }
}

fn duty(of: &Person, deputy: &Person, wish: &Wish, now: Timestamp) -> Result<Duty, Error> {
    let invalid = |text: String| Err(Error::Invalid(text));
    let from = wish.from.unwrap_or(now);
    let groups = if wish.groups.is_empty() { of.groups.clone() } else { wish.groups.clone() };
    if deputy.id == of.id {
        return invalid("nobody is their own deputy".to_owned());
    }
    if deputy.suspended || deputy.roles.contains(&Role::Auditor) {
        return invalid(format!("{} cannot decide anything: suspended, or an auditor", deputy.name));
    }
    if of.roles.contains(&Role::Auditor) || groups.is_empty() {
        return invalid("you have no duty to give: you are in no group, or an auditor".to_owned());
    }
    if let Some(other) = groups.iter().find(|group| !of.groups.contains(*group)) {
        return invalid(format!("you are not in `{other}` yourself"));
    }
    if wish.until <= from || wish.until <= now || from.seconds_since(now) > AHEAD_SECONDS_MAX {
        return invalid("say from when until when, beginning within 90 days".to_owned());
    }
    if wish.until.seconds_since(from) > DUTY_SECONDS_MAX {
        return invalid("a duty is given for at most 30 days".to_owned());
    }
    Ok(Duty {
        id: uuid::Uuid::now_v7().to_string(),
        of: of.id.clone(),
        deputy: deputy.id.clone(),
        groups,
        from: from.max(now),
        until: wish.until,
        given_at: now,
    })
}

/// Ends a duty: whoever gave it, whoever does it, and administrators may.
///
/// # Errors
/// [`Error`].
pub async fn end(directory: &dyn Directory, scribe: &Scribe, by: &Person, id: &str) -> Result<(), Error> {
    let found = directory.duties(scribe.now()).await?.into_iter().find(|duty| duty.id == id);
    let theirs = |duty: &Duty| duty.of == by.id || duty.deputy == by.id || by.roles.contains(&Role::Admin);
    let duty = found.filter(theirs).ok_or(Error::NotYours)?;
    let event = Event::DutyEnded { duty: duty.id.clone(), by: by.id.clone() };
    match directory.end_duty(&duty.id, scribe.record(event)).await {
        Err(StoreError::NotFound(_)) => Err(Error::NotYours),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::action::PersonId;

    use super::*;

    fn person(name: &str, groups: &[&str]) -> Person {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Person::new(PersonId::new(format!("p_{name}")), name.to_owned(), None, groups, Timestamp::from_seconds(0))
    }

    #[test]
    fn only_what_is_ones_own_is_given_and_for_a_time() {
        let at = Timestamp::from_seconds;
        let (dora, gil) = (person("dora", &["dba"]), person("gil", &["sre"]));
        let wish = |groups: &[&str], from: i64, until: i64| Wish {
            deputy: "gil".to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            from: Some(at(from)),
            until: at(until),
        };
        let now = at(1_000);
        let given = duty(&dora, &gil, &wish(&[], 1_000, 2_000), now).expect("fits");
        assert_eq!(given.groups, dora.groups);
        for (wish, of, to) in [
            (wish(&["sre"], 1_000, 2_000), &dora, &gil),
            (wish(&[], 1_000, 2_000), &dora, &dora),
            (wish(&[], 1_000, 1_000), &dora, &gil),
            (wish(&[], 500, 900), &dora, &gil),
            (wish(&[], 1_000, 1_001 + DUTY_SECONDS_MAX), &dora, &gil),
            (wish(&[], 1_001 + AHEAD_SECONDS_MAX, 2_000 + AHEAD_SECONDS_MAX), &dora, &gil),
            (wish(&[], 1_000, 2_000), &person("ned", &[]), &gil),
            (wish(&[], 1_000, 2_000), &dora, &Person { suspended: true, ..gil.clone() }),
            (wish(&[], 1_000, 2_000), &dora, &Person { roles: [Role::Auditor].into(), ..gil.clone() }),
            (wish(&[], 1_000, 2_000), &Person { roles: [Role::Auditor].into(), ..dora.clone() }, &gil),
        ] {
            assert!(duty(of, to, &wish, now).is_err(), "{wish:?} of {}", of.name);
        }
    }
}
