//! Conversations that bots were brought into, by their places.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{SqliteStore, bodies, failed, to_json};
use crate::ports::{Conversation, Conversations, Destination, StoreError};

/// The most that are remembered: everybody of a large organization.
const CONVERSATIONS_MAX: i64 = 100_000;

#[async_trait]
impl Conversations for SqliteStore {
    async fn learn(&self, conversation: &Conversation) -> Result<(), StoreError> {
        let conversation = conversation.clone();
        self.db.write(move |c| learn(c, &conversation)).await
    }

    async fn forget(&self, place: &Destination) -> Result<(), StoreError> {
        let place = place.to_string();
        self.db
            .write(move |c| {
                let mut statement = c.prepare_cached("DELETE FROM conversation WHERE place = ?1").map_err(failed)?;
                statement.execute([place]).map(|_| ()).map_err(failed)
            })
            .await
    }

    async fn conversation(&self, place: &Destination) -> Result<Option<Conversation>, StoreError> {
        let place = place.to_string();
        self.db.read(move |c| Ok(bodies(c, "SELECT body FROM conversation WHERE place = ?1", [place])?.pop())).await
    }
}

fn learn(c: &Connection, conversation: &Conversation) -> Result<(), StoreError> {
    let (place, body) = (conversation.place.to_string(), to_json(conversation)?);
    let kept = c
        .prepare_cached(
            "INSERT INTO conversation (place, body)
             SELECT ?1, ?2 WHERE (SELECT count(*) FROM conversation) < ?3
                OR EXISTS (SELECT 1 FROM conversation WHERE place = ?1)
             ON CONFLICT (place) DO UPDATE SET body = excluded.body",
        )
        .and_then(|mut s| s.execute(params![place, body, CONVERSATIONS_MAX]))
        .map_err(failed)?;
    if kept == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}
