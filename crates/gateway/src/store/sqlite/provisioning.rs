//! Users and groups of SCIM, and what follows from them for people.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{SqliteStore, bodies, failed, people, records, to_body};
use crate::ports::{Provision, Provisioning, ScimGroup, ScimUser, StoreError};

#[async_trait]
impl Provisioning for SqliteStore {
    async fn provision(&self, provision: Provision) -> Result<(), StoreError> {
        self.db.write(move |c| apply(c, &provision)).await
    }

    async fn scim_users(&self) -> Result<Vec<ScimUser>, StoreError> {
        self.db.read(|c| bodies(c, "SELECT body FROM scim_user ORDER BY rowid", [])).await
    }

    async fn scim_groups(&self) -> Result<Vec<ScimGroup>, StoreError> {
        self.db.read(|c| bodies(c, "SELECT body FROM scim_group ORDER BY rowid", [])).await
    }
}

fn apply(c: &Connection, provision: &Provision) -> Result<(), StoreError> {
    if let Some(person) = &provision.added {
        people::add(c, person, None, &[])?;
    }
    if let Some(account) = &provision.account {
        people::link(c, account, &[])?;
    }
    for change in &provision.people {
        people::update(c, &change.before, &change.after, &[])?;
    }
    if let Some(user) = &provision.user {
        put_user(c, user)?;
    }
    for group in &provision.groups {
        put_group(c, group)?;
    }
    if let Some(id) = &provision.deleted_group {
        c.prepare_cached("DELETE FROM scim_group WHERE id = ?1").and_then(|mut s| s.execute([id])).map_err(failed)?;
    }
    records::append(c, &provision.records)
}

fn put_user(c: &Connection, user: &ScimUser) -> Result<(), StoreError> {
    c.prepare_cached("INSERT INTO scim_user (person, body) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = ?2")
        .and_then(|mut s| s.execute(params![user.person.as_str(), to_body(user)?]))
        .map_err(failed)?;
    Ok(())
}

fn put_group(c: &Connection, group: &ScimGroup) -> Result<(), StoreError> {
    c.prepare_cached("INSERT INTO scim_group (id, body) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = ?2")
        .and_then(|mut s| s.execute(params![group.id, to_body(group)?]))
        .map_err(failed)?;
    Ok(())
}
