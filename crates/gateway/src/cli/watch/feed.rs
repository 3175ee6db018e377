//! Keeps the list of open reviews fresh: listens to the API's events, reads the list after each, and comes back when the
//! gateway was away.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Input;
use crate::cli::output::Coded;
use crate::cli::review::Api;

/// Reviews read at once; the API gives no more.
pub(super) const READ_MAX: usize = 500;
/// Changes within this time of each other are read once.
const GATHER: Duration = Duration::from_millis(100);
/// The list is read anew at least so often, whatever the events say.
const READ_EVERY: Duration = Duration::from_secs(30);
/// How long to wait before the first attempt to come back, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// What the feed tells.
pub(super) enum News {
    /// The open reviews, oldest first.
    Reviews(Vec<Value>),
    /// The gateway does not answer; it is tried again.
    Away(String),
    /// Trying again does not help: the token has ended, say.
    Ended(anyhow::Error),
}

/// The open reviews.
pub(super) async fn open_reviews(api: &Api) -> anyhow::Result<Vec<Value>> {
    let list = api.call(Method::GET, &format!("reviews?state=open&limit={READ_MAX}"), None).await?;
    Ok(list["reviews"].as_array().cloned().unwrap_or_default())
}

/// Starts it; it ends with the receiver.
pub(super) fn start(api: Arc<Api>, sender: mpsc::Sender<Input>) {
    tokio::spawn(async move {
        let mut pause = BACK_OFF.0;
        loop {
            let Err(error) = follow(&api, &sender, &mut pause).await else { return };
            let ended = is_final(&error);
            let news = if ended { News::Ended(error) } else { News::Away(format!("{error:#}")) };
            if sender.send(Input::News(news)).await.is_err() || ended {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF.1);
        }
    });
}

/// Refused for what the caller is, not for how the gateway fares.
fn is_final(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Coded>().map(|coded| coded.code.as_str());
    matches!(code, Some("unauthenticated" | "forbidden"))
}

/// Follows the events until they fail; `Ok` when nobody listens any more. An end without a failure is followed anew: the
/// gateway ends each stream after a while.
async fn follow(api: &Api, sender: &mpsc::Sender<Input>, pause: &mut Duration) -> anyhow::Result<()> {
    loop {
        let mut events = api.events().await?.bytes_stream();
        loop {
            let reviews = open_reviews(api).await?;
            *pause = BACK_OFF.0;
            if sender.send(Input::News(News::Reviews(reviews))).await.is_err() {
                return Ok(());
            }
            if !changed(&mut events).await? {
                break;
            }
        }
    }
}

/// Waits until something changed, or the list is old; false at the stream's end.
async fn changed<S, B>(events: &mut S) -> reqwest::Result<bool>
where
    S: futures::Stream<Item = reqwest::Result<B>> + Unpin,
    B: AsRef<[u8]>,
{
    let due = tokio::time::sleep(READ_EVERY);
    tokio::pin!(due);
    loop {
        tokio::select! {
            () = &mut due => return Ok(true),
            piece = events.next() => match piece {
                None => return Ok(false),
                Some(piece) => {
                    if tells(piece?.as_ref()) {
                        tokio::time::sleep(GATHER).await;
                        return Ok(true);
                    }
                }
            },
        }
    }
}

/// Whether a piece of the stream tells of a change. Each event is a few bytes and says only that something changed, so a
/// piece that is not a comment alone is reason enough to read.
fn tells(piece: &[u8]) -> bool {
    piece.split(|byte| *byte == b'\n').any(|line| !line.is_empty() && !line.starts_with(b":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_tell_nothing() {
        assert!(!tells(b":\n\n") && !tells(b": alive\n\n") && !tells(b""));
        assert!(tells(b"event: review\ndata: {}\n\n") && tells(b":\n\nevent: reload\n"));
    }
}
