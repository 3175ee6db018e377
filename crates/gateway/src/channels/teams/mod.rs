//! Microsoft Teams: one Adaptive Card a review and conversation, with buttons that decide (Bot Framework, Universal Actions).
//!
//! [`check`] says whether what comes in is from Bot Framework, [`activities`] what it means, [`card`] puts a review into a
//! card, and [`connector`] writes to conversations. The bot writes only where it was brought in, or where the configuration
//! says, and shows its token to hosts of the configuration alone.

mod activities;
mod card;
mod check;
mod connector;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use countersign_core::action::PersonId;
use serde_json::{Value, json};

use super::{Channel, Door, Failure, Notice, person_behind};
use crate::config;
use crate::fetch;
use crate::gate::Gate;
use crate::ports::{Conversation, Destination, Directory, Store};
use check::Checker;
use connector::Connector;

/// What the channel is called, and what the accounts of people are linked as; their ids are `TENANT/OBJECT-ID`.
const NAME: &str = "teams";
/// The most people who see a card of their own (Teams, *User Specific Views*).
const OWN_VIEWS_MAX: usize = 60;

/// The bot.
pub(super) struct Teams {
    config: config::Teams,
    store: Arc<dyn Store>,
    directory: Arc<dyn Directory>,
    connector: Connector,
    checker: Checker,
}

impl Teams {
    /// None where none is configured.
    ///
    /// # Errors
    /// No client can be made.
    pub(super) fn new(gate: &Gate) -> Result<Option<Self>, fetch::Error> {
        let Some(config) = gate.config.teams.clone() else { return Ok(None) };
        Ok(Some(Self {
            connector: Connector::new(config.clone(), gate.vault.clone())?,
            checker: Checker::new(config.clone())?,
            store: gate.store.clone(),
            directory: gate.directory.clone(),
            config,
        }))
    }

    /// The conversation at a place. A channel or a group chat is written to even if nothing was heard of it; a person has to
    /// have installed the app first.
    async fn conversation(&self, place: &str) -> Result<(String, String), Failure> {
        let destination = Destination::new(NAME, place);
        let known = self.store.conversation(&destination).await;
        let known: Option<Conversation> = known.map_err(|error| Failure::Later(error.to_string()))?;
        match known {
            Some(known) => Ok((known.id, known.service_url)),
            None if place.starts_with("19:") => Ok((place.to_owned(), self.config.service_url.clone())),
            None => Err(Failure::Later("this person has not installed the app in Teams yet".to_owned())),
        }
    }

    /// The ids in Teams of those of the requester's side who read along: their cards have no buttons.
    async fn own_views(
        &self,
        (conversation, service_url): (&str, &str),
        side: &BTreeSet<PersonId>,
    ) -> Result<Vec<String>, Failure> {
        let accounts = self.directory.accounts().await.map_err(|error| Failure::Later(error.to_string()))?;
        let theirs = accounts.iter().filter(|account| account.provider == NAME && side.contains(&account.person));
        let mut members = Vec::new();
        for (tenant, object) in theirs.filter_map(|account| account.subject.split_once('/')).take(OWN_VIEWS_MAX) {
            if tenant == self.config.tenant {
                members.extend(self.connector.member(service_url, conversation, object).await?);
            }
        }
        Ok(members)
    }
}

#[async_trait]
impl Channel for Teams {
    fn name(&self) -> &'static str {
        NAME
    }

    fn render(&self, notice: &Notice) -> Value {
        let side: Vec<&PersonId> = if notice.outcome.is_none() { notice.side.iter().collect() } else { Vec::new() };
        json!({"summary": card::summary(notice), "card": card::of(notice, card::View::Shared), "review": notice.review,
            "side": side})
    }

    fn render_burst(&self, notice: &Notice, waiting: usize) -> Value {
        let (summary, card) = card::burst(notice, waiting);
        json!({"summary": summary, "card": card})
    }

    /// A message is found again as `CONVERSATION ACTIVITY`; neither has a space in it.
    async fn tell(&self, place: &str, message: Option<&str>, body: &Value) -> Result<String, Failure> {
        let (conversation, service_url) = self.conversation(place).await?;
        let mut card = body["card"].clone();
        let side: BTreeSet<PersonId> = serde_json::from_value(body["side"].clone()).unwrap_or_default();
        let own = self.own_views((&conversation, &service_url), &side).await?;
        if !own.is_empty() {
            card["refresh"] = card::refresh(&body["review"], &own);
        }
        let activity = json!({"type": "message", "summary": body["summary"], "attachments": [
            {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}]});
        match message.and_then(|message| message.split_once(' ')) {
            Some((conversation, id)) => {
                self.connector.change(&service_url, conversation, id, activity).await?;
                Ok(format!("{conversation} {id}"))
            }
            None => {
                let id = self.connector.post(&service_url, &conversation, activity).await?;
                Ok(format!("{conversation} {id}"))
            }
        }
    }

    fn router(self: Arc<Self>, gate: Arc<Gate>) -> Router {
        activities::router(gate, self)
    }
}
