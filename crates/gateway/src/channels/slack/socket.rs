//! Socket Mode: what people do in Slack arrives over a WebSocket that the gateway opens, so that it needs no inbound port.
//!
//! Who may listen is said by the app's own token; what arrives there is therefore Slack's, and carries no signature. Each
//! envelope is acknowledged within three seconds or comes again; handling one twice changes nothing, since a vote counts once.
//!
//! Specification: Slack, *Using Socket Mode*; RFC 6455.

use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{SinkExt as _, StreamExt as _};
use http::header;
use reqwest::Upgraded;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::events;
use super::interactions::{self, Desk};
use super::{Failure, REQUEST_BYTES_MAX};
use crate::ports::SLACK_APP_TOKEN;

/// Envelopes that are handled at once; further ones wait in the connection.
const AT_ONCE_MAX: usize = 16;
/// How long Slack may be silent before it is asked whether it is still there; it pings more often than that.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The longest pause between two attempts to connect.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a form's answer may take: Slack wants it within three seconds.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(2_500);

type Socket = WebSocketStream<Upgraded>;

/// What comes over the connection.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Incoming {
    Hello,
    Disconnect {
        #[serde(default)]
        reason: String,
    },
    Interactive {
        envelope_id: String,
        payload: Value,
    },
    EventsApi {
        envelope_id: String,
        payload: Value,
    },
    #[serde(untagged)]
    Other {
        envelope_id: Option<String>,
    },
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// Slack wants another one opened.
    #[error("Slack asks to connect anew ({0})")]
    Asked(String),
    /// It broke off, or Slack said nothing any more.
    #[error("the connection ended: {0}")]
    Broken(String),
}

/// Listens, and connects again whenever the connection ends, until the future is dropped.
pub(super) async fn listen(desk: &Desk) {
    let mut pause = Duration::from_secs(1);
    loop {
        let failure = match open(desk).await {
            Ok(socket) => {
                let (ended, greeted) = converse(desk, socket).await;
                if greeted {
                    pause = Duration::from_secs(1);
                }
                match ended {
                    Ended::Asked(_) if greeted => {
                        tracing::info!("{ended}");
                        continue;
                    }
                    ended => ended.to_string(),
                }
            }
            Err(failure) => failure.to_string(),
        };
        tracing::warn!(%failure, "nothing is heard from Slack; connecting again");
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Asks Slack where to listen, and connects.
async fn open(desk: &Desk) -> Result<Socket, Failure> {
    let answer = desk.slack.call_as(SLACK_APP_TOKEN, "apps.connections.open", &json!({})).await?;
    let url = web_address(&answer.url).ok_or_else(|| Failure::Later("Slack names no `wss://` address".to_owned()))?;
    let (key, later) = (generate_key(), |why: String| Failure::Later(why));
    let request = http::Request::get(url)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key)
        .body(Vec::new())
        .map_err(|error| later(error.to_string()))?;
    let (head, stream) = desk.slack.fetch.upgrade(request).await.map_err(|error| later(error.to_string()))?;
    let accepted = head.get(header::SEC_WEBSOCKET_ACCEPT).and_then(|value| value.to_str().ok());
    if accepted != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err(later("the other side does not speak WebSocket".to_owned()));
    }
    let limits = WebSocketConfig::default()
        .max_message_size(Some(REQUEST_BYTES_MAX))
        .max_frame_size(Some(REQUEST_BYTES_MAX))
        .max_write_buffer_size(REQUEST_BYTES_MAX * AT_ONCE_MAX);
    Ok(WebSocketStream::from_raw_socket(stream, Role::Client, Some(limits)).await)
}

/// The address of a WebSocket as that of its handshake: over TLS, unless it is on this host.
fn web_address(url: &str) -> Option<String> {
    if let Some(rest) = url.strip_prefix("wss://") {
        return Some(format!("https://{rest}"));
    }
    let rest = url.strip_prefix("ws://127.0.0.1:")?;
    Some(format!("http://127.0.0.1:{rest}"))
}

/// Handles what comes until the connection ends. Returns why it did, and whether Slack had greeted.
async fn converse(desk: &Desk, mut socket: Socket) -> (Ended, bool) {
    let (mut greeted, mut asked, mut silent) = (false, None, false);
    let mut handled = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(answer) = handled.next(), if !handled.is_empty() => {
                if let Err(error) = socket.send(Message::text(Value::to_string(&answer))).await {
                    return (broken(error), greeted);
                }
            }
            frame = timeout(SILENCE_MAX, socket.next()), if asked.is_none() && handled.len() < AT_ONCE_MAX => {
                let text = match frame {
                    Ok(Some(Ok(Message::Text(text)))) => text,
                    Ok(Some(Ok(_))) => { silent = false; continue }
                    Ok(Some(Err(error))) => return (broken(error), greeted),
                    Ok(None) => return (Ended::Broken("closed".to_owned()), greeted),
                    Err(_) if silent => return (Ended::Broken("silence".to_owned()), greeted),
                    Err(_) => {
                        silent = true;
                        match socket.send(Message::Ping(Vec::new().into())).await {
                            Ok(()) => continue,
                            Err(error) => return (broken(error), greeted),
                        }
                    }
                };
                silent = false;
                match serde_json::from_str(&text) {
                    Ok(Incoming::Hello) => greeted = true,
                    Ok(Incoming::Disconnect { reason }) => asked = Some(reason),
                    Ok(Incoming::Interactive { envelope_id, payload }) => {
                        handled.push(acknowledged(desk, envelope_id, Content::Interaction(payload)));
                    }
                    Ok(Incoming::EventsApi { envelope_id, payload }) => {
                        handled.push(acknowledged(desk, envelope_id, Content::Event(payload)));
                    }
                    Ok(Incoming::Other { envelope_id: Some(id) }) => handled.push(acknowledged(desk, id, Content::Foreign)),
                    Ok(Incoming::Other { envelope_id: None }) => {}
                    Err(error) => return (Ended::Broken(format!("what came is no envelope: {error}")), greeted),
                }
            }
            else => return (Ended::Asked(asked.unwrap_or_default()), greeted),
        }
    }
}

/// What is in an envelope.
enum Content {
    Interaction(Value),
    Event(Value),
    /// Nothing for us.
    Foreign,
}

/// Handles one envelope. Returns its acknowledgement: with a form's answer where there is one.
async fn acknowledged(desk: &Desk, envelope: String, content: Content) -> Value {
    let desk = desk.clone();
    // what was begun is finished, even when Slack is answered before
    let handling = tokio::spawn(async move {
        match content {
            Content::Interaction(payload) => interactions::handle(&desk, serde_json::from_value(payload).ok()?).await,
            Content::Event(payload) => events::handle(&desk, serde_json::from_value(payload).ok()?).await,
            Content::Foreign => None,
        }
    });
    match timeout(ANSWER_TIME_MAX, handling).await {
        Ok(Ok(Some(answer))) => json!({"envelope_id": envelope, "payload": answer}),
        Ok(_) | Err(_) => json!({"envelope_id": envelope}),
    }
}

fn broken(error: Error) -> Ended {
    Ended::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_over_tls_or_of_this_host_are_listened_at() {
        assert_eq!(web_address("wss://x.slack.com/link?a=1").as_deref(), Some("https://x.slack.com/link?a=1"));
        assert_eq!(web_address("ws://127.0.0.1:9/l").as_deref(), Some("http://127.0.0.1:9/l"));
        for other in ["ws://x.slack.com/", "ws://127.0.0.1.evil.net/", "http://x", "", "ftp://wss://x"] {
            assert_eq!(web_address(other), None, "{other}");
        }
    }

    #[test]
    fn envelopes_are_read_as_slack_sends_them() {
        let read = |text: &str| serde_json::from_str::<Incoming>(text).expect("an envelope");
        assert!(matches!(read(r#"{"type":"hello","num_connections":1,"debug_info":{}}"#), Incoming::Hello));
        let bye = r#"{"type":"disconnect","reason":"warning","debug_info":{}}"#;
        assert!(matches!(read(bye), Incoming::Disconnect { reason } if reason == "warning"));
        let click =
            r#"{"envelope_id":"e1","type":"interactive","accepts_response_payload":true,"payload":{"type":"x"}}"#;
        assert!(matches!(read(click), Incoming::Interactive { envelope_id, .. } if envelope_id == "e1"));
        let other = r#"{"envelope_id":"e2","type":"slash_commands","payload":{}}"#;
        assert!(matches!(read(other), Incoming::Other { envelope_id: Some(id) } if id == "e2"));
    }
}
