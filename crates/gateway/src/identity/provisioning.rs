//! What a provisioning client (SCIM 2.0, RFC 7644) does to our people: a user is a person, found by the account they sign in
//! with; a group of the provider gives its members what the configuration maps it to.
//!
//! Requests are done one at a time, each in one transaction with its records, and the roster knows of it before the answer.
//! Who is withdrawn is suspended, never removed: the record goes on naming them, and should they come back with the same
//! id, they are the same person.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use countersign_core::action::PersonId;
use countersign_core::record::{Event, Record};
use tokio::sync::Mutex;

use super::people::Roster;
use super::told;
use crate::config::{Config, Oidc, Scim, Subject};
use crate::ports::{
    Account, GroupAttributes, Person, PersonChange, Provision, Provisioning, ScimGroup, ScimUser, Scribe, StoreError,
    UserAttributes,
};

/// The most users, deleted ones included.
const USERS_MAX: usize = 50_000;
/// The most groups.
const GROUPS_MAX: usize = 2_000;
/// The most members of a group.
const MEMBERS_MAX: usize = 20_000;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such user or group.
    #[error("there is no {0} with this id")]
    Absent(&'static str),
    /// Another has it.
    #[error("another {0} has this {1}")]
    Taken(&'static str, &'static str),
    /// Two of our people would be one human, or one of them two.
    #[error("somebody here has this address and another account of the provider; ask an administrator of the gateway")]
    TwoPeople,
    /// Who they are to the provider never changes.
    #[error("`{0}` says who a user is and cannot change; delete the user, and make another")]
    OtherSubject(&'static str),
    /// Members are users that were provisioned.
    #[error("there is no user `{0}` to be a member")]
    UnknownMember(PersonId),
    /// There are too many.
    #[error("there may be at most {0} {1}")]
    TooMany(usize, &'static str),
    /// The directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Does what a provisioning client asks.
pub struct Provisioner {
    config: Arc<Config>,
    oidc: Oidc,
    scim: Scim,
    directory: Arc<dyn Provisioning>,
    roster: Arc<Roster>,
    scribe: Scribe,
    /// One request at a time: each reads what the one before it left.
    turn: Mutex<()>,
}

/// Everything as it is, while one request is done.
struct Known {
    people: BTreeMap<PersonId, Person>,
    users: Vec<ScimUser>,
    groups: Vec<ScimGroup>,
}

impl Known {
    fn person(&self, id: &PersonId) -> Result<&Person, Error> {
        self.people.get(id).ok_or(Error::Absent("user"))
    }

    fn user(&self, id: &PersonId) -> Result<&ScimUser, Error> {
        self.users.iter().find(|user| user.person == *id && !user.deleted).ok_or(Error::Absent("user"))
    }

    fn group(&self, id: &str) -> Result<&ScimGroup, Error> {
        self.groups.iter().find(|group| group.id == id).ok_or(Error::Absent("group"))
    }

    /// The groups of a person by the provider's names, with one group as it is to be in the place of what it was.
    fn told(&self, person: &PersonId, put: Option<&ScimGroup>, deleted: Option<&str>) -> BTreeSet<String> {
        let kept = self.groups.iter().filter(|group| {
            let replaced = put.is_some_and(|put| put.id == group.id);
            !replaced && deleted != Some(group.id.as_str())
        });
        let theirs = kept.chain(put).filter(|group| group.attributes.members.contains(person));
        theirs.map(|group| group.attributes.display_name.clone()).collect()
    }
}

impl Provisioner {
    /// For the provisioning client of one provider. `None` when none is configured.
    pub fn new(
        config: Arc<Config>,
        directory: Arc<dyn Provisioning>,
        roster: Arc<Roster>,
        scribe: Scribe,
    ) -> Option<Self> {
        let (oidc, scim) = (config.oidc.clone()?, config.scim.clone()?);
        Some(Self { config, oidc, scim, directory, roster, scribe, turn: Mutex::new(()) })
    }

    /// The users that were not deleted, in the order they came.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users(&self) -> Result<Vec<ScimUser>, StoreError> {
        let users = self.directory.scim_users().await?;
        Ok(users.into_iter().filter(|user| !user.deleted).collect())
    }

    /// The groups, in the order they came.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn groups(&self) -> Result<Vec<ScimGroup>, StoreError> {
        self.directory.scim_groups().await
    }

    /// Brings everyone's groups in line with how the configuration maps them now; called before anything listens.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reconcile(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let known = self.known().await?;
        let everyone = known.users.iter().filter(|user| !user.deleted).map(|user| user.person.clone()).collect();
        let people = self.regrouped(&known, &everyone, None, None);
        if people.is_empty() {
            return Ok(());
        }
        let records = self.of_people(&people);
        self.done(Provision { people, records, ..Provision::default() }).await
    }

    /// Adds a user: somebody new, or a person whom the provider's account or address tells to be the same.
    ///
    /// # Errors
    /// [`Error`]; nothing was changed.
    pub async fn create_user(&self, attributes: UserAttributes) -> Result<ScimUser, Error> {
        let _turn = self.turn.lock().await;
        let known = self.known().await?;
        unique_user(&known, &attributes, None)?;
        let (found, linked) = self.find(&known, &attributes).await?;
        let former = found.as_ref().and_then(|person| known.users.iter().find(|user| user.person == person.id));
        if former.is_some_and(|user| !user.deleted) {
            return Err(Error::Taken("user", self.subject_name()));
        }
        if former.is_none() && known.users.len() >= USERS_MAX {
            return Err(Error::TooMany(USERS_MAX, "users"));
        }
        let now = self.scribe.now();
        let before = found.unwrap_or_else(|| {
            let id = PersonId::new(format!("p_{}", uuid::Uuid::new_v4().simple()));
            let people: Vec<Person> = known.people.values().cloned().collect();
            let name = told::free_name(&people, &attributes.user_name, &id);
            Person::new(id, name, None, BTreeSet::new(), now)
        });
        let user = ScimUser {
            person: before.id.clone(),
            withheld: former.is_some_and(|user| user.withheld),
            created_at: former.map_or(now, |user| user.created_at),
            changed_at: now,
            deleted: false,
            attributes,
        };
        let is_new = !known.people.contains_key(&before.id);
        let account = self.account(&user).filter(|_| !linked);
        let mut records = vec![self.enrolled("scim_user", before.id.as_str(), Some(&before.id), "added")];
        if is_new {
            records.push(self.enrolled("person", before.id.as_str(), Some(&before.id), "added"));
        }
        if let Some(account) = &account {
            records.push(self.enrolled("account", &account.provider, Some(&before.id), "linked"));
        }
        self.save_user(&known, before, user, account, is_new, records).await
    }

    /// Changes a user as `change` says, from what they are at that moment.
    ///
    /// # Errors
    /// [`Error`], or what `change` says; nothing was changed.
    pub async fn change_user<E: From<Error>>(
        &self,
        id: &PersonId,
        change: impl FnOnce(&UserAttributes) -> Result<UserAttributes, E>,
    ) -> Result<ScimUser, E> {
        let _turn = self.turn.lock().await;
        let known = self.known().await.map_err(Error::from)?;
        let user = known.user(id)?;
        let attributes = change(&user.attributes)?;
        Ok(self.put_user(&known, user, attributes).await?)
    }

    async fn put_user(&self, known: &Known, user: &ScimUser, attributes: UserAttributes) -> Result<ScimUser, Error> {
        if attributes == user.attributes {
            return Ok(user.clone());
        }
        unique_user(known, &attributes, Some(&user.person))?;
        let (was, is) = (self.subject(&user.attributes), self.subject(&attributes));
        if was.is_some() && was != is {
            return Err(Error::OtherSubject(self.subject_name()));
        }
        let before = known.person(&user.person)?.clone();
        let user = ScimUser { attributes, changed_at: self.scribe.now(), ..user.clone() };
        let account = self.account(&user).filter(|_| was.is_none());
        if let Some(account) = &account
            && self.directory.account(&account.provider, &account.subject).await?.is_some()
        {
            return Err(Error::Taken("person", self.subject_name()));
        }
        let mut records = vec![self.enrolled("scim_user", user.person.as_str(), Some(&user.person), "changed")];
        if let Some(account) = &account {
            records.push(self.enrolled("account", &account.provider, Some(&user.person), "linked"));
        }
        self.save_user(known, before, user, account, false, records).await
    }

    /// Withdraws a user: the person is suspended and in no group; to the client they are not there any more.
    ///
    /// # Errors
    /// [`Error`]; nothing was changed.
    pub async fn delete_user(&self, id: &PersonId) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let known = self.known().await?;
        let (user, before) = (known.user(id)?, known.person(id)?.clone());
        let now = self.scribe.now();
        let after = Person {
            suspended: true,
            email: None, // it may be given to somebody else
            groups: BTreeSet::new(),
            roles: BTreeSet::new(),
            ..before.clone()
        };
        let withheld = user.withheld || !before.suspended;
        let mut user = ScimUser { deleted: true, withheld, changed_at: now, ..user.clone() };
        user.attributes.active = false;
        let theirs = known.groups.iter().filter(|group| group.attributes.members.contains(id)).cloned();
        let groups = theirs.map(|mut group| {
            group.attributes.members.remove(id);
            ScimGroup { changed_at: now, ..group }
        });
        let people = vec![PersonChange { before, after }];
        let mut records = vec![self.enrolled("scim_user", id.as_str(), Some(id), "removed")];
        records.extend(self.of_people(&people));
        let groups = groups.collect();
        Ok(self.done(Provision { people, user: Some(user), groups, records, ..Provision::default() }).await?)
    }

    /// Adds a group.
    ///
    /// # Errors
    /// [`Error`]; nothing was changed.
    pub async fn create_group(&self, attributes: GroupAttributes) -> Result<ScimGroup, Error> {
        let _turn = self.turn.lock().await;
        let known = self.known().await?;
        if known.groups.len() >= GROUPS_MAX {
            return Err(Error::TooMany(GROUPS_MAX, "groups"));
        }
        let (id, now) = (format!("g_{}", uuid::Uuid::new_v4().simple()), self.scribe.now());
        self.save_group(&known, None, ScimGroup { id, attributes, created_at: now, changed_at: now }).await
    }

    /// Changes a group as `change` says, from what it is at that moment.
    ///
    /// # Errors
    /// [`Error`], or what `change` says; nothing was changed.
    pub async fn change_group<E: From<Error>>(
        &self,
        id: &str,
        change: impl FnOnce(&GroupAttributes) -> Result<GroupAttributes, E>,
    ) -> Result<ScimGroup, E> {
        let _turn = self.turn.lock().await;
        let known = self.known().await.map_err(Error::from)?;
        let before = known.group(id)?;
        let attributes = change(&before.attributes)?;
        if attributes == before.attributes {
            return Ok(before.clone());
        }
        let after = ScimGroup { attributes, changed_at: self.scribe.now(), ..before.clone() };
        Ok(self.save_group(&known, Some(before), after).await?)
    }

    /// Deletes a group; its members lose what it gave them.
    ///
    /// # Errors
    /// [`Error`]; nothing was changed.
    pub async fn delete_group(&self, id: &str) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let known = self.known().await?;
        let group = known.group(id)?;
        let people = self.regrouped(&known, &group.attributes.members, None, Some(id));
        let mut records = vec![self.enrolled("scim_group", id, None, "removed")];
        records.extend(self.of_people(&people));
        let deleted_group = Some(id.to_owned());
        Ok(self.done(Provision { people, deleted_group, records, ..Provision::default() }).await?)
    }

    async fn known(&self) -> Result<Known, StoreError> {
        let people = self.directory.people().await?;
        Ok(Known {
            people: people.into_iter().map(|person| (person.id.clone(), person)).collect(),
            users: self.directory.scim_users().await?,
            groups: self.directory.scim_groups().await?,
        })
    }

    /// The person that a user is already, and whether their account is linked.
    async fn find(&self, known: &Known, attributes: &UserAttributes) -> Result<(Option<Person>, bool), Error> {
        let provider = self.provider();
        if let Some(subject) = self.subject(attributes)
            && let Some(account) = self.directory.account(&provider, subject).await?
        {
            return Ok((Some(known.person(&account.person)?.clone()), true));
        }
        let Some(email) = attributes.email().filter(|_| self.oidc.link_verified_email) else {
            return Ok((None, false));
        };
        let people: Vec<Person> = known.people.values().cloned().collect();
        let accounts = self.directory.accounts().await?;
        let found = told::by_email(&people, &accounts, email, &provider);
        Ok((found.map_err(|told::TwoPeople| Error::TwoPeople)?.cloned(), false))
    }

    async fn save_user(
        &self,
        known: &Known,
        before: Person,
        mut user: ScimUser,
        account: Option<Account>,
        is_new: bool,
        mut records: Vec<Record>,
    ) -> Result<ScimUser, Error> {
        let told = known.told(&before.id, None, None);
        let (groups, roles) = told::entitlements(&self.config, &self.oidc, &told);
        let email = user.attributes.email().map(str::to_owned);
        let mut after = Person { email, groups, roles, managed: true, confirmed_at: None, ..before.clone() };
        if !user.attributes.active && !before.suspended {
            (after.suspended, user.withheld) = (true, true);
        } else if user.attributes.active && user.withheld {
            (after.suspended, user.withheld) = (false, false);
        }
        let mut provision = Provision { account, user: Some(user.clone()), ..Provision::default() };
        if is_new {
            provision.added = Some(after);
        } else {
            provision.people = vec![PersonChange { before, after }];
            records.extend(self.of_people(&provision.people));
        }
        self.done(Provision { records, ..provision }).await?;
        Ok(user)
    }

    async fn save_group(
        &self,
        known: &Known,
        before: Option<&ScimGroup>,
        after: ScimGroup,
    ) -> Result<ScimGroup, Error> {
        let GroupAttributes { display_name, members, .. } = &after.attributes;
        let same_name = |other: &ScimGroup| {
            other.id != after.id && other.attributes.display_name.eq_ignore_ascii_case(display_name)
        };
        if known.groups.iter().any(same_name) {
            return Err(Error::Taken("group", "displayName"));
        }
        if members.len() > MEMBERS_MAX {
            return Err(Error::TooMany(MEMBERS_MAX, "members of a group"));
        }
        let there: BTreeSet<&PersonId> = known.users.iter().filter(|u| !u.deleted).map(|user| &user.person).collect();
        if let Some(unknown) = members.iter().find(|member| !there.contains(member)) {
            return Err(Error::UnknownMember(unknown.clone()));
        }
        let were = before.map(|group| group.attributes.members.clone()).unwrap_or_default();
        let affected = were.union(members).cloned().collect();
        let people = self.regrouped(known, &affected, Some(&after), None);
        let change = if before.is_some() { "changed" } else { "added" };
        let mut records = vec![self.enrolled("scim_group", &after.id, None, change)];
        records.extend(self.of_people(&people));
        let groups = vec![after.clone()];
        self.done(Provision { people, groups, records, ..Provision::default() }).await?;
        Ok(after)
    }

    /// Those of these people whose groups or roles are no longer what they were.
    fn regrouped(
        &self,
        known: &Known,
        affected: &BTreeSet<PersonId>,
        put: Option<&ScimGroup>,
        deleted: Option<&str>,
    ) -> Vec<PersonChange> {
        let changes = affected.iter().filter_map(|id| {
            let before = known.people.get(id)?;
            let told = known.told(id, put, deleted);
            let (groups, roles) = told::entitlements(&self.config, &self.oidc, &told);
            // one who signed in while the provisioning client was not configured is its again
            let after = Person { groups, roles, managed: true, confirmed_at: None, ..before.clone() };
            (after != *before).then(|| PersonChange { before: before.clone(), after })
        });
        changes.collect()
    }

    fn of_people(&self, changes: &[PersonChange]) -> Vec<Record> {
        let mut records = Vec::new();
        for PersonChange { before, after } in changes {
            let mut push = |change| records.push(self.enrolled("person", after.id.as_str(), Some(&after.id), change));
            match (before.suspended, after.suspended) {
                (false, true) => push("suspended"),
                (true, false) => push("restored"),
                (true, true) | (false, false) => {}
            }
            if before.groups != after.groups || before.roles != after.roles {
                push("groups");
            }
        }
        records
    }

    async fn done(&self, provision: Provision) -> Result<(), StoreError> {
        self.directory.provision(provision).await?;
        self.roster.refresh().await
    }

    /// Whose ids those of the users are: the subjects of sign-ins, or what all accounts of one human are found by.
    fn provider(&self) -> String {
        match self.scim.claim.as_str() {
            "sub" => self.oidc.issuer.clone(),
            claim => format!("{}#{claim}", self.oidc.issuer),
        }
    }

    fn subject<'a>(&self, attributes: &'a UserAttributes) -> Option<&'a str> {
        match self.scim.subject {
            Subject::ExternalId => attributes.external_id.as_deref(),
            Subject::UserName => Some(&attributes.user_name),
        }
    }

    fn subject_name(&self) -> &'static str {
        match self.scim.subject {
            Subject::ExternalId => "externalId",
            Subject::UserName => "userName",
        }
    }

    fn account(&self, user: &ScimUser) -> Option<Account> {
        let subject = self.subject(&user.attributes)?.to_owned();
        let (person, label) = (user.person.clone(), user.attributes.user_name.clone());
        let (provider, proof) = (self.provider(), "scim".to_owned());
        Some(Account { provider, subject, person, label, proof, linked_at: self.scribe.now() })
    }

    fn enrolled(&self, what: &str, id: &str, person: Option<&PersonId>, change: &str) -> Record {
        self.scribe.record(Event::IdentityEnrolled {
            what: what.to_owned(),
            id: id.to_owned(),
            person: person.cloned(),
            change: change.to_owned(),
            local: false,
            passkey: None,
        })
    }
}

/// No two users have one name or one external id, whatever the case of a name's letters.
fn unique_user(known: &Known, attributes: &UserAttributes, but: Option<&PersonId>) -> Result<(), Error> {
    let others = || known.users.iter().filter(|user| !user.deleted && Some(&user.person) != but);
    if others().any(|user| user.attributes.user_name.eq_ignore_ascii_case(&attributes.user_name)) {
        return Err(Error::Taken("user", "userName"));
    }
    let same_id = |user: &ScimUser| user.attributes.external_id == attributes.external_id;
    if attributes.external_id.is_some() && others().any(same_id) {
        return Err(Error::Taken("user", "externalId"));
    }
    Ok(())
}
