//! The directory over SQLite: each method one job of the writer or the reader.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Record;

use super::{SqliteStore, agents, credentials, disclosures, people};
use crate::ports::{
    Account, Agent, AgentKey, Credential, CredentialKind, Directory, NewAgentKey, Once, Person, ScramVerifier,
    SealError, Sealed, SecretHash, StoreError,
};

#[async_trait]
impl Sealed for SqliteStore {
    async fn seal_anew(&self) -> Result<(), SealError> {
        let seal = Arc::clone(&self.seal);
        let all = self.db.write(move |c| {
            agents::seal_all(c, &*seal, false)?;
            disclosures::seal_all(c, &*seal)
        });
        let sealed = all.await;
        sealed.map_err(|error| SealError::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl Directory for SqliteStore {
    async fn add_person(
        &self,
        person: Person,
        account: Option<Account>,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        self.db.write(move |c| people::add(c, &person, account.as_ref(), &records)).await
    }

    async fn update_person(&self, before: Person, after: Person, records: Vec<Record>) -> Result<(), StoreError> {
        self.db.write(move |c| people::update(c, &before, &after, &records)).await
    }

    async fn people(&self) -> Result<Vec<Person>, StoreError> {
        self.db.read(people::all).await
    }

    async fn person(&self, id: &PersonId) -> Result<Option<Person>, StoreError> {
        let id = id.clone();
        self.db.read(move |c| people::one(c, &id)).await
    }

    async fn link_account(&self, account: Account, records: Vec<Record>) -> Result<(), StoreError> {
        self.db.write(move |c| people::link(c, &account, &records)).await
    }

    async fn unlink_account(
        &self,
        (provider, subject): (&str, &str),
        person: &PersonId,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        let (provider, subject, person) = (provider.to_owned(), subject.to_owned(), person.clone());
        self.db.write(move |c| people::unlink(c, (&provider, &subject), &person, &records)).await
    }

    async fn give_account(
        &self,
        (before, after): (Person, Person),
        account: Account,
        records: Vec<Record>,
    ) -> Result<(), StoreError> {
        self.db.write(move |c| people::give_account(c, (&before, &after), &account, &records)).await
    }

    async fn account(&self, provider: &str, subject: &str) -> Result<Option<Account>, StoreError> {
        let (provider, subject) = (provider.to_owned(), subject.to_owned());
        self.db.read(move |c| people::account(c, &provider, &subject)).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.db.read(people::accounts).await
    }

    async fn add_agent(&self, agent: Agent, key: NewAgentKey, record: Record) -> Result<(), StoreError> {
        let seal = Arc::clone(&self.seal);
        self.db.write(move |c| agents::add(c, &*seal, &agent, &key, &record)).await
    }

    async fn add_agent_key(&self, key: NewAgentKey, record: Record) -> Result<(), StoreError> {
        let seal = Arc::clone(&self.seal);
        self.db.write(move |c| agents::add_key(c, &*seal, &key, &record)).await
    }

    async fn update_agent(&self, agent: Agent, record: Record) -> Result<(), StoreError> {
        self.db.write(move |c| agents::update(c, &agent, &record)).await
    }

    async fn replace_agent(&self, before: Agent, after: Agent, records: Vec<Record>) -> Result<(), StoreError> {
        self.db.write(move |c| agents::replace(c, &before, &after, &records)).await
    }

    async fn agents(&self) -> Result<Vec<Agent>, StoreError> {
        self.db.read(agents::all).await
    }

    async fn agent_login(
        &self,
        login: &str,
        now: Timestamp,
    ) -> Result<Option<(Agent, AgentKey, ScramVerifier)>, StoreError> {
        let login = login.to_owned();
        let seal = Arc::clone(&self.seal);
        self.db.read(move |c| agents::login(c, &*seal, &login, now)).await
    }

    async fn agent_by_key(&self, key: &SecretHash, now: Timestamp) -> Result<Option<(Agent, AgentKey)>, StoreError> {
        let key = *key;
        self.db.read(move |c| agents::by_key(c, &key, now)).await
    }

    async fn add_credential(
        &self,
        kind: CredentialKind,
        hash: SecretHash,
        credential: Credential,
        record: Option<Record>,
    ) -> Result<(), StoreError> {
        self.db.write(move |c| credentials::add(c, kind, &hash, &credential, record.as_ref())).await
    }

    async fn credential(
        &self,
        kind: CredentialKind,
        hash: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<Credential>, StoreError> {
        let hash = *hash;
        self.db.read(move |c| credentials::one(c, kind, &hash, now)).await
    }

    async fn take_credential(
        &self,
        kind: CredentialKind,
        hash: &SecretHash,
        now: Timestamp,
        record: Option<Record>,
    ) -> Result<Option<Credential>, StoreError> {
        let hash = *hash;
        self.db.write(move |c| credentials::take(c, kind, &hash, now, record.as_ref())).await
    }

    async fn credentials(
        &self,
        person: Option<&PersonId>,
        now: Timestamp,
    ) -> Result<Vec<(CredentialKind, Credential)>, StoreError> {
        let person = person.cloned();
        self.db.read(move |c| credentials::list(c, person.as_ref(), now)).await
    }

    async fn end_credentials(&self, ids: Vec<String>, records: Vec<Record>) -> Result<u64, StoreError> {
        self.db.write(move |c| credentials::end(c, &ids, &records)).await
    }

    async fn put_once(&self, once: Once, now: Timestamp) -> Result<(), StoreError> {
        self.db.write(move |c| credentials::put_once(c, &once, now)).await
    }

    async fn take_once(
        &self,
        kind: &'static str,
        key: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let key = *key;
        self.db.write(move |c| credentials::take_once(c, kind, &key, now)).await
    }
}
