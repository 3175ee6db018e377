//! What an identity provider says of people, in our own terms: their names, groups and roles, and who they may be already.

use std::collections::BTreeSet;

use countersign_core::action::PersonId;

use super::stewardship::NAME_BYTES_MAX;
use crate::config::{Config, Oidc};
use crate::ports::{Account, Person, Role};

/// It cannot be told which of our people somebody is, or two of them would be one human.
#[derive(Debug)]
pub(super) struct TwoPeople;

/// What the provider calls them, as far as it is a name of ours; with a part of the handle where it is taken.
pub(super) fn free_name(people: &[Person], wished: &str, id: &PersonId) -> String {
    let plain = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    let mut name: String = wished.chars().filter(plain).collect();
    while name.len() > NAME_BYTES_MAX - 9 {
        name.pop();
    }
    let taken = people.iter().any(|person| person.name.eq_ignore_ascii_case(&name));
    if name.is_empty() || taken {
        let tail: String = id.as_str().chars().rev().take(8).collect();
        name = format!("{name}-{tail}").trim_start_matches('-').to_owned();
    }
    name
}

/// Somebody who was added by name and address before, and has no account of this provider yet.
pub(super) fn by_email<'a>(
    people: &'a [Person],
    accounts: &[Account],
    email: &str,
    provider: &str,
) -> Result<Option<&'a Person>, TwoPeople> {
    let mut same = people.iter().filter(|p| p.email.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(email)));
    let Some(person) = same.next() else { return Ok(None) };
    let taken = accounts.iter().any(|account| account.person == person.id && account.provider == provider);
    if taken || same.next().is_some() { Err(TwoPeople) } else { Ok(Some(person)) }
}

/// The groups and roles that follow from groups by the provider's names.
pub(super) fn entitlements(
    config: &Config,
    oidc: &Oidc,
    told: &BTreeSet<String>,
) -> (BTreeSet<String>, BTreeSet<Role>) {
    let named = told.iter().map(|group| oidc.groups.get(group).unwrap_or(group));
    let groups = named.filter(|group| config.groups.contains(*group)).cloned().collect();
    let admin = (!oidc.admins.is_disjoint(told)).then_some(Role::Admin);
    let auditor = (!oidc.auditors.is_disjoint(told)).then_some(Role::Auditor);
    (groups, admin.into_iter().chain(auditor).collect())
}
