//! From what an identity provider proved to one of our people: found by immutable ids, linked with proof, or added.
//!
//! An account is one person's for good. A person is found by their account's ids; by the claim that all accounts of one
//! human share; by an address, once, when the provider has verified it and the person has no account of that provider yet;
//! and is otherwise added. Anything that would make two people of one human, or one of two, is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::{Event, Record};

use super::oidc::{Provider, Verified};
use super::{logout, told};
use crate::config::{Config, Oidc};
use crate::ports::{Account, Directory, Person, Scribe, StoreError};

/// Why somebody whom the provider knows is nobody here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They were not added, and are not added by signing in.
    #[error("nobody here has this account, and signing in adds nobody (oidc.provision); ask an administrator")]
    Unknown,
    /// They are suspended.
    #[error("this person is suspended")]
    Suspended,
    /// Two of our people would be one human.
    #[error("this account belongs to one person here and its human's other account to another; ask an administrator")]
    TwoPeople,
    /// The directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How people sign in: the provider that proves who they are, and the reception that knows them.
pub struct SignIn {
    /// The provider.
    pub provider: Provider,
    /// The reception.
    pub reception: Reception,
}

impl SignIn {
    /// Ends the sessions that a logout token of the provider names. Returns how many there were.
    ///
    /// # Errors
    /// [`logout::Error`]; nothing ended.
    pub async fn log_out(&self, token: &str) -> Result<u64, logout::Error> {
        let Reception { directory, scribe, oidc, .. } = &self.reception;
        logout::end(self.provider.keys(), oidc, &**directory, scribe, token).await
    }
}

/// Finds, links or adds the person behind a proof, and brings what is known of them up to date.
pub struct Reception {
    config: Arc<Config>,
    oidc: Oidc,
    directory: Arc<dyn Directory>,
    scribe: Scribe,
}

impl Reception {
    /// For one provider.
    pub fn new(config: Arc<Config>, oidc: Oidc, directory: Arc<dyn Directory>, scribe: Scribe) -> Self {
        Self { config, oidc, directory, scribe }
    }

    /// The person.
    ///
    /// # Errors
    /// [`Error`]; nothing was changed.
    pub async fn receive(&self, proof: &Verified) -> Result<Person, Error> {
        let own = self.directory.account(&proof.issuer, &proof.subject).await?;
        let shared = self.shared_account(proof).await?;
        let person = match (own.map(|account| account.person), shared.map(|account| account.person)) {
            (Some(own), Some(shared)) if own != shared => return Err(Error::TwoPeople),
            (Some(own), shared) => {
                let person = self.person(&own).await?;
                self.link_missing(&person, proof, true, shared.is_some(), "oidc").await?;
                person
            }
            (None, Some(shared)) => {
                let person = self.person(&shared).await?;
                self.link_missing(&person, proof, false, true, "oidc").await?;
                person
            }
            (None, None) => match self.by_verified_email(proof).await? {
                Some(person) => {
                    self.link_missing(&person, proof, false, false, "verified_email").await?;
                    person
                }
                None => self.add(proof).await?,
            },
        };
        if person.suspended {
            return Err(Error::Suspended);
        }
        self.bring_up_to_date(person, proof).await
    }

    /// What all accounts of one human are found by, where a claim for it is configured.
    fn human_provider(&self, proof: &Verified) -> Option<(String, String)> {
        let claim = self.oidc.person_claim.as_ref()?;
        Some((format!("{}#{claim}", proof.issuer), proof.human.clone()?))
    }

    async fn shared_account(&self, proof: &Verified) -> Result<Option<Account>, StoreError> {
        match self.human_provider(proof) {
            Some((provider, value)) => self.directory.account(&provider, &value).await,
            None => Ok(None),
        }
    }

    async fn person(&self, id: &PersonId) -> Result<Person, Error> {
        self.directory.person(id).await?.ok_or(Error::Unknown)
    }

    /// Somebody who was added by name and address before, and has not signed in by this provider yet.
    async fn by_verified_email(&self, proof: &Verified) -> Result<Option<Person>, Error> {
        let Some(email) = proof.email.as_ref().filter(|_| self.oidc.link_verified_email && proof.email_verified) else {
            return Ok(None);
        };
        let (people, accounts) = (self.directory.people().await?, self.directory.accounts().await?);
        let found = told::by_email(&people, &accounts, email, &proof.issuer);
        found.map(Option::<&Person>::cloned).map_err(|told::TwoPeople| Error::TwoPeople)
    }

    async fn link_missing(
        &self,
        person: &Person,
        proof: &Verified,
        has_own: bool,
        has_shared: bool,
        by: &str,
    ) -> Result<(), Error> {
        let own = (!has_own).then(|| (proof.issuer.clone(), proof.subject.clone()));
        let shared = self.human_provider(proof).filter(|_| !has_shared);
        for (provider, subject) in own.into_iter().chain(shared) {
            let account = self.account(person, provider, subject, proof, by);
            let record = self.enrolled("account", &account.provider, &person.id, "linked");
            self.directory.link_account(account, vec![record]).await?;
        }
        Ok(())
    }

    fn account(&self, person: &Person, provider: String, subject: String, proof: &Verified, by: &str) -> Account {
        let label = proof.name.clone().or_else(|| proof.email.clone()).unwrap_or_else(|| subject.clone());
        let (person, linked_at) = (person.id.clone(), self.scribe.now());
        Account { provider, subject, person, label, proof: by.to_owned(), linked_at }
    }

    async fn add(&self, proof: &Verified) -> Result<Person, Error> {
        if !self.oidc.provision {
            return Err(Error::Unknown);
        }
        let (id, groups) = (PersonId::new(format!("p_{}", uuid::Uuid::new_v4().simple())), BTreeSet::new());
        let email = proof.email.clone().filter(|_| proof.email_verified);
        let wished = proof.name.as_deref().or(proof.email.as_deref()).unwrap_or_default();
        let name = told::free_name(&self.directory.people().await?, wished, &id);
        let person = Person::new(id, name, email, groups, self.scribe.now());
        let account = self.account(&person, proof.issuer.clone(), proof.subject.clone(), proof, "oidc");
        let records = vec![
            self.enrolled("person", person.id.as_str(), &person.id, "added"),
            self.enrolled("account", &account.provider, &person.id, "linked"),
        ];
        self.directory.add_person(person.clone(), Some(account), records).await?;
        self.link_missing(&person, proof, true, false, "oidc").await?;
        Ok(person)
    }

    /// Groups and roles are the provider's, all of them: what was given on the host ends with the first sign-in. Those of
    /// people whom it provisions it tells by itself, and a sign-in, which is older than that, changes nothing.
    async fn bring_up_to_date(&self, before: Person, proof: &Verified) -> Result<Person, Error> {
        if before.managed && self.config.scim.is_some() {
            return Ok(before);
        }
        let (groups, roles) = told::entitlements(&self.config, &self.oidc, &proof.groups);
        let mut person = Person { groups, roles, managed: false, ..before.clone() };
        if proof.email_verified {
            person.email = proof.email.clone();
        }
        person.confirmed_at = Some(self.scribe.now());
        let changed = person.groups != before.groups || person.roles != before.roles;
        let records =
            if changed { vec![self.enrolled("person", person.id.as_str(), &person.id, "groups")] } else { vec![] };
        self.directory.update_person(before, person.clone(), records).await?;
        Ok(person)
    }

    fn enrolled(&self, what: &str, id: &str, person: &PersonId, change: &str) -> Record {
        self.scribe.record(Event::IdentityEnrolled {
            what: what.to_owned(),
            id: id.to_owned(),
            person: Some(person.clone()),
            change: change.to_owned(),
            local: false,
            passkey: None,
        })
    }
}

/// Whether what a provider said of a person's groups is too old to vote by. What the host gave has no age; and what a
/// provider provisions is of now, as long as it does (`provisions`).
pub fn groups_are_old(person: &Person, max_age_seconds: u32, provisions: bool, now: Timestamp) -> bool {
    let old = |at: Timestamp| now.seconds_since(at) > i64::from(max_age_seconds);
    match person.managed {
        true if provisions => false,
        true => person.confirmed_at.is_none_or(old),
        false => person.confirmed_at.is_some_and(old),
    }
}
