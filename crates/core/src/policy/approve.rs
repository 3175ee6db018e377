//! Who may approve: the action `approve` on a request, as policy and the compiled-in forbids see it.
//!
//! Says nothing about votes already cast, digests or deadlines: those are the review's.

use std::collections::BTreeSet;

use cedar_policy::{Context, Request, RestrictedExpression as Value};

use crate::action::{Described, PersonId};
use crate::review::{Method, PasskeyUse};

use super::bundle::{Bundle, Meta};
use super::decide::{Answer, Broken};
use super::vocabulary::ANY;
use super::world::{self, Circumstances, World, WorldError};

/// How a voter was authenticated when they voted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authn {
    /// Whether a second factor was used.
    pub mfa: bool,
    /// How long ago they authenticated, in seconds.
    pub age_seconds: i64,
    /// By which way they vote.
    pub method: Method,
    /// The passkey that signed the vote.
    pub passkey: Option<PasskeyFacts>,
}

/// What policy may know of the passkey behind a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasskeyFacts {
    /// Whether copies of it can exist on other devices.
    pub synced: bool,
    /// Enrolled by somebody who had signed in with what the gateway's own host minted.
    pub local: bool,
}

impl From<&PasskeyUse> for PasskeyFacts {
    fn from(passkey: &PasskeyUse) -> Self {
        Self { synced: passkey.synced, local: passkey.local }
    }
}

impl Authn {
    pub(super) fn value(&self, world: &World) -> Result<Value, WorldError> {
        let mut fields = vec![
            ("mfa".to_owned(), Value::new_bool(self.mfa)),
            ("ageSeconds".to_owned(), Value::new_long(self.age_seconds)),
            ("method".to_owned(), world.method(self.method)?),
        ];
        if let Some(PasskeyFacts { synced, local }) = self.passkey {
            let facts = [("synced".to_owned(), Value::new_bool(synced)), ("local".to_owned(), Value::new_bool(local))];
            fields.push(("passkey".to_owned(), world::record(facts)?));
        }
        world::record(fields)
    }
}

/// Proof that policy lets a person approve a request for some groups; only [`Bundle::may_approve`] makes one.
///
/// ```compile_fail
/// use countersign_core::policy::Approvable;
/// fn forge(person: countersign_core::action::PersonId) -> Approvable {
///     Approvable { person, groups: ["dba".to_owned()].into(), deputy_for: None } // private fields
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvable {
    person: PersonId,
    groups: BTreeSet<String>,
    deputy_for: Option<PersonId>,
}

impl Approvable {
    /// Who.
    pub fn person(&self) -> &PersonId {
        &self.person
    }

    /// In whose place they would speak, if not in their own.
    pub fn deputy_for(&self) -> Option<&PersonId> {
        self.deputy_for.as_ref()
    }

    /// The groups they may speak for; never empty.
    pub fn groups(&self) -> &BTreeSet<String> {
        &self.groups
    }
}

/// A person may not approve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ApproveDenial {
    /// The stable code.
    pub code: ApproveCode,
    /// Why, for the person.
    pub text: String,
}

/// Why a person may not approve; the gravest first, which is the one reported where several hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApproveCode {
    /// They stand on the requester's side.
    SelfApproval,
    /// Their account is suspended.
    Suspended,
    /// Nobody of this name is known.
    UnknownPerson,
    /// They are not in the group that was asked.
    NotAReviewer,
    /// A forbid failed to evaluate, or the facts do not fit the schema.
    PolicyError,
    /// Policy forbids it, or nothing permits it.
    PolicyDenied,
}

impl ApproveCode {
    /// The name in answers and records.
    pub fn name(self) -> &'static str {
        match self {
            ApproveCode::SelfApproval => "self_approval",
            ApproveCode::Suspended => "suspended",
            ApproveCode::UnknownPerson => "unknown_person",
            ApproveCode::NotAReviewer => "not_a_reviewer",
            ApproveCode::PolicyError => "policy_error",
            ApproveCode::PolicyDenied => "policy_denied",
        }
    }

    /// What a forbid that stood in the way means.
    fn of(policy: &str) -> Self {
        match policy {
            "core:no-self-approval" | "core:not-the-agents-owner" => ApproveCode::SelfApproval,
            "core:live-person" => ApproveCode::Suspended,
            "core:member-of-the-quorum" => ApproveCode::NotAReviewer,
            _ => ApproveCode::PolicyDenied,
        }
    }
}

impl Bundle {
    /// Whether a person may approve a request for a group; for `any`, for which of their groups.
    ///
    /// Of the circumstances, the moment and the people count.
    ///
    /// # Errors
    /// [`ApproveDenial`], the gravest reason first: someone on the requester's side is told so, whatever else is wrong.
    pub fn may_approve(
        &self,
        voter: &PersonId,
        authn: &Authn,
        request: &Described,
        group: &str,
        circumstances: &Circumstances<'_>,
    ) -> Result<Approvable, ApproveDenial> {
        let mut allowed = BTreeSet::new();
        let mut denial: Option<ApproveDenial> = None;
        for group in self.candidates(voter, group, circumstances) {
            match self.may_approve_for(voter, authn, request, (&group, None), circumstances) {
                Ok(()) => drop(allowed.insert(group)),
                Err(error) if error.code == ApproveCode::PolicyError => return Err(error),
                Err(error) => denial = Some(denial.filter(|first| first.code <= error.code).unwrap_or(error)),
            }
        }
        if !allowed.is_empty() {
            return Ok(Approvable { person: voter.clone(), groups: allowed, deputy_for: None });
        }
        let unknown =
            || ApproveDenial { code: ApproveCode::NotAReviewer, text: format!("the policies know no group `{group}`") };
        Err(denial.unwrap_or_else(unknown))
    }

    /// Whether a person may approve a request for a group by the duty of one of its members, who gave it to them. That
    /// the duty is in force, and that the member stands outside the request's side, the caller asks.
    ///
    /// # Errors
    /// [`ApproveDenial`]; as for [`Bundle::may_approve`], and `not_a_reviewer` where the member is unknown, suspended, or not
    /// in the group any more.
    pub fn may_approve_as_deputy(
        &self,
        (voter, member): (&PersonId, &PersonId),
        authn: &Authn,
        request: &Described,
        group: &str,
        circumstances: &Circumstances<'_>,
    ) -> Result<Approvable, ApproveDenial> {
        let facts = circumstances.people.persons.get(member);
        let holds = facts.is_some_and(|facts| !facts.suspended && facts.groups.contains(group));
        let known = circumstances.people.persons.contains_key(voter) && self.vocabulary().groups().contains(group);
        if !holds || !known {
            let text = format!("nobody who is in `{group}` has given them that duty");
            return Err(ApproveDenial { code: ApproveCode::NotAReviewer, text });
        }
        let mut people = circumstances.people.clone();
        if let Some(facts) = people.persons.get_mut(voter) {
            facts.groups.insert(group.to_owned()); // for this question alone
        }
        let circumstances = Circumstances { people: &people, ..*circumstances };
        self.may_approve_for(voter, authn, request, (group, Some(member)), &circumstances)?;
        let groups = [group.to_owned()].into();
        Ok(Approvable { person: voter.clone(), groups, deputy_for: Some(member.clone()) })
    }

    /// The groups to ask about. For `any` those of the voter; of a voter without groups, one they are not in.
    fn candidates(&self, voter: &PersonId, group: &str, circumstances: &Circumstances<'_>) -> BTreeSet<String> {
        let known = self.vocabulary().groups();
        if group != ANY {
            return known.get(group).cloned().into_iter().collect();
        }
        let of_voter = circumstances.people.persons.get(voter).map(|facts| &facts.groups);
        let own: BTreeSet<String> = of_voter.into_iter().flatten().filter(|g| known.contains(*g)).cloned().collect();
        if own.is_empty() { known.first().cloned().into_iter().collect() } else { own }
    }

    fn may_approve_for(
        &self,
        voter: &PersonId,
        authn: &Authn,
        request: &Described,
        asked: (&str, Option<&PersonId>),
        circumstances: &Circumstances<'_>,
    ) -> Result<(), ApproveDenial> {
        let answer = self.approval(voter, authn, request, asked, circumstances).map_err(broken)?;
        if answer.allow {
            return Ok(());
        }
        Err(self.barred(&answer, "no policy lets this person approve"))
    }

    /// Why an answer lets a person do nothing: the forbids in the way, the gravest alone, or `otherwise` that nothing permits.
    pub(super) fn barred(&self, answer: &Answer, otherwise: &str) -> ApproveDenial {
        let gravest = answer.reasons.iter().map(|id| ApproveCode::of(id)).min().unwrap_or(ApproveCode::PolicyDenied);
        let told = answer.reasons.iter().filter(|id| ApproveCode::of(id) == gravest);
        let notes = self.notes(told, Meta::refusing);
        let texts: Vec<String> = notes
            .into_iter()
            .map(|note| if note.text.is_empty() { format!("policy `{}` forbids it", note.id) } else { note.text })
            .collect();
        let text = if texts.is_empty() { otherwise.to_owned() } else { texts.join("; ") };
        ApproveDenial { code: gravest, text }
    }

    fn approval(
        &self,
        voter: &PersonId,
        authn: &Authn,
        request: &Described,
        (group, member): (&str, Option<&PersonId>),
        circumstances: &Circumstances<'_>,
    ) -> Result<Answer, Broken> {
        let world = &self.world;
        let parties = [Some(voter), member].into_iter().flatten().collect();
        let entities = world.for_approval(request, circumstances.people, parties)?;
        let quorum = world.group_uid(group).ok_or_else(|| WorldError::Facts(format!("no group `{group}`")))?;
        let mut facts = vec![
            ("quorum".to_owned(), Value::new_entity_uid(quorum)),
            ("time".to_owned(), world::time(circumstances)?),
            ("authn".to_owned(), authn.value(world)?),
        ];
        if let Some(member) = member {
            facts.push(("deputyFor".to_owned(), Value::new_entity_uid(world.user_uid(member)?)));
        }
        let context = Context::from_pairs(facts);
        let asked = Request::new(
            world.user_uid(voter)?,
            world.action("approve")?,
            world.approval_uid(request)?,
            context.map_err(WorldError::facts)?,
            Some(&world.schema),
        );
        self.strict(&asked.map_err(WorldError::facts)?, &entities)
    }
}

pub(super) fn broken(broken: Broken) -> ApproveDenial {
    let code = match &broken {
        Broken::World(WorldError::UnknownPerson(_) | WorldError::UnknownAgent(_)) => ApproveCode::UnknownPerson,
        Broken::World(WorldError::Facts(_)) | Broken::TooLong(_) | Broken::Forbids(_) => ApproveCode::PolicyError,
    };
    let texts: Vec<String> = broken.notes().into_iter().map(|note| format!("{}: {}", note.id, note.text)).collect();
    ApproveDenial { code, text: texts.join("; ") }
}
