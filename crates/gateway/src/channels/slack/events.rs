//! What Slack tells of without anybody clicking: that somebody opened the app's page.
//!
//! Specification: Slack, *Events API*, `url_verification` and `app_home_opened`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::home;
use super::interactions::{Desk, Team, User};

/// An event, or the question whether this is the app's address.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told {
    /// Slack asks for its challenge back.
    UrlVerification {
        challenge: String,
    },
    EventCallback {
        team_id: String,
        event: Happened,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Happened {
    AppHomeOpened {
        user: String,
        #[serde(default)]
        tab: String,
    },
    #[serde(other)]
    Other,
}

/// Handles it. Returns what Slack is to be answered, where that is more than that it arrived.
pub(super) async fn handle(desk: &Desk, told: Told) -> Option<Value> {
    match told {
        Told::UrlVerification { challenge } => Some(json!({"challenge": challenge})),
        Told::EventCallback { team_id, event: Happened::AppHomeOpened { user, tab } }
            if tab == "home" || tab.is_empty() =>
        {
            home::publish(desk, User { id: user, team_id: None }, Team { id: team_id }).await;
            None
        }
        Told::EventCallback { .. } | Told::Other => None,
    }
}
