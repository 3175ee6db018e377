//! People as an identity provider provisions them: users and groups of SCIM 2.0 (RFC 7643), beside the people they are.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Record;
use serde::{Deserialize, Serialize};

use super::{Account, Directory, Person, StoreError};

/// What a provisioning client says of a user; nothing else of what it sends is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserAttributes {
    /// What they are called there; unique, whatever the case of its letters.
    pub user_name: String,
    /// Their id there.
    pub external_id: Option<String>,
    /// For showing.
    pub display_name: Option<String>,
    /// The parts of their name, by the standard's names.
    pub name: BTreeMap<String, String>,
    /// Their addresses.
    pub emails: Vec<Email>,
    /// Whether they may sign in and count.
    pub active: bool,
}

impl UserAttributes {
    /// The address they are known by: the primary one, or the first.
    pub fn email(&self) -> Option<&str> {
        let primary = self.emails.iter().find(|email| email.primary).or(self.emails.first());
        primary.map(|email| email.value.as_str())
    }
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// The address.
    pub value: String,
    /// `work`, `home`, `other`.
    pub kind: Option<String>,
    /// Whether it is the one to use.
    pub primary: bool,
}

/// A user as stored. Their id is the person's handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimUser {
    /// The person they are.
    pub person: PersonId,
    /// What the client says.
    pub attributes: UserAttributes,
    /// The client has deleted them: to it they are not there.
    pub deleted: bool,
    /// The client's word suspended the person, so that its word restores them. Whom the host suspended it does not.
    pub withheld: bool,
    /// When the client first told of them.
    pub created_at: Timestamp,
    /// When something of it last changed.
    pub changed_at: Timestamp,
}

/// What a provisioning client says of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupAttributes {
    /// Its name there, which the configuration maps to one of the policies; unique.
    pub display_name: String,
    /// Its id there.
    pub external_id: Option<String>,
    /// Who is in it.
    pub members: BTreeSet<PersonId>,
}

/// A group as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimGroup {
    /// Our handle.
    pub id: String,
    /// What the client says.
    pub attributes: GroupAttributes,
    /// When the client first told of it.
    pub created_at: Timestamp,
    /// When something of it last changed.
    pub changed_at: Timestamp,
}

/// A person as they were read, and as they are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonChange {
    /// As read; when they are so no longer, nothing is changed.
    pub before: Person,
    /// As they are to be.
    pub after: Person,
}

/// Everything that follows from one request of a provisioning client: all of it happens, or nothing.
#[derive(Debug, Clone, Default)]
pub struct Provision {
    /// A new person.
    pub added: Option<Person>,
    /// What is linked to a person.
    pub account: Option<Account>,
    /// Who is changed by it.
    pub people: Vec<PersonChange>,
    /// The user as they are to be.
    pub user: Option<ScimUser>,
    /// The groups as they are to be.
    pub groups: Vec<ScimGroup>,
    /// The group that is deleted.
    pub deleted_group: Option<String>,
    /// What is recorded of it.
    pub records: Vec<Record>,
}

/// Who is who, as far as an identity provider provisions it.
#[async_trait]
pub trait Provisioning: Directory {
    /// Does everything of one request.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody is no longer as they were read; nothing happened then.
    async fn provision(&self, provision: Provision) -> Result<(), StoreError>;
    /// Every user, deleted ones included.
    async fn scim_users(&self) -> Result<Vec<ScimUser>, StoreError>;
    /// Every group.
    async fn scim_groups(&self) -> Result<Vec<ScimGroup>, StoreError>;
}
