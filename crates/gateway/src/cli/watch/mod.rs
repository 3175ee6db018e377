//! `countersign review watch`: the open reviews, live, in a terminal; one key shows a card, one more decides.
//!
//! [`feed`] keeps the list fresh over the API's events, [`model`] turns keys into votes and knows no terminal, [`screen`]
//! draws. Where nobody sits at a terminal, or with `--json`, [`lines`] tells each change as a line. Votes go through the
//! API like everybody's, with the digests of the card that was on the screen.

mod feed;
mod lines;
mod model;
mod screen;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use self::feed::News;
use self::model::{Effect, Model, Vote};
use super::Context;
use super::output;
use super::review::{Api, path, text, where_to_sign};

/// How often the time that is left is drawn anew.
const TICK: Duration = Duration::from_secs(1);
/// News and answers that may wait to be drawn.
const QUEUE: usize = 16;

/// How to watch.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// How the terminal tells of a review that awaits you
    #[arg(long, value_enum, default_value_t = Notify::Bell)]
    notify: Notify,
}

/// How a terminal is made to tell of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Notify {
    /// Ring its bell
    Bell,
    /// Ask it for a desktop notification (OSC 9) and ring its bell
    Desktop,
    /// Not at all
    Off,
}

/// Something for the screen.
enum Input {
    News(News),
    /// What came of a vote, or of looking again.
    Answer(anyhow::Result<Value>),
}

pub(super) async fn run(context: &Context, api: Api, args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let api = Arc::new(api);
    let first = feed::open_reviews(&api).await?; // what is wrong with address or token is told before anything is drawn
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if context.json || !terminal {
        return lines::run(context, &api, first).await;
    }
    let mut terminal = ratatui::try_init()?;
    let ended = screen_loop(&mut terminal, api, first, args.notify).await;
    ratatui::restore();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn screen_loop(
    terminal: &mut ratatui::DefaultTerminal,
    api: Arc<Api>,
    first: Vec<Value>,
    notify: Notify,
) -> anyhow::Result<()> {
    let (sender, mut inputs) = mpsc::channel(QUEUE);
    feed::start(Arc::clone(&api), sender.clone());
    let (mut model, mut keys, mut tick) = (Model::new(first), EventStream::new(), tokio::time::interval(TICK));
    loop {
        let mut seen = None;
        terminal.draw(|frame| seen = screen::draw(frame, &model))?;
        if let Some((lines, height)) = seen {
            model.drawn(lines, height);
        }
        let effect = tokio::select! {
            key = keys.next() => match key {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => model.key(key),
                Some(Ok(_)) => None, // another size: drawn anew
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()), // the terminal is gone
            },
            Some(input) = inputs.recv() => match input {
                Input::News(News::Reviews(reviews)) => {
                    let (fresh, effect) = model.refresh(reviews);
                    fresh.into_iter().try_for_each(|what| tell(notify, &what))?;
                    effect
                }
                Input::News(News::Away(why)) => { model.away(why); None }
                Input::News(News::Ended(error)) => return Err(error),
                Input::Answer(answer) => { model.answered(answer); None }
            },
            _ = tick.tick() => None,
        };
        match effect {
            Some(Effect::Quit) => return Ok(()),
            Some(effect) => perform(&api, effect, &sender),
            None => {}
        }
    }
}

/// Asks the gateway, beside the screen.
fn perform(api: &Arc<Api>, effect: Effect, sender: &mpsc::Sender<Input>) {
    let (api, sender) = (Arc::clone(api), sender.clone());
    tokio::spawn(async move {
        let answer = match effect {
            Effect::Vote(vote) => cast(&api, &vote).await,
            Effect::Look(id) => look(&api, &id).await,
            Effect::Quit => return,
        };
        let _ = sender.send(Input::Answer(answer)).await; // the screen may be gone
    });
}

async fn look(api: &Api, id: &str) -> anyhow::Result<Value> {
    api.call(Method::GET, &path(id, "")?, None).await
}

/// Votes on the card that was on the screen: its digests go along, not those of a card read now.
async fn cast(api: &Api, vote: &Vote) -> anyhow::Result<Value> {
    let reason = Some(vote.reason.trim()).filter(|reason| !reason.is_empty());
    let body = json!({
        "verdict": vote.verdict.name(),
        "reason": reason,
        "action_digest": vote.review["action_digest"],
        "card_digest": vote.review["card_digest"],
    });
    let id = text(&vote.review, "id");
    let cast = api.call(Method::POST, &path(&id, "/votes")?, Some(body)).await;
    cast.map_err(|error| where_to_sign(error, &vote.review))
}

/// Makes the terminal tell of something, in words that cannot steer it.
fn tell(notify: Notify, what: &str) -> anyhow::Result<()> {
    let what = output::safe(what).replace(['\n', '\t', ';'], " ");
    let bytes = match notify {
        Notify::Off => return Ok(()),
        Notify::Bell => "\x07".to_owned(),
        Notify::Desktop => format!("\x1b]9;{what}\x1b\\\x07"),
    };
    let mut out = std::io::stdout();
    out.write_all(bytes.as_bytes())?;
    Ok(out.flush()?)
}
