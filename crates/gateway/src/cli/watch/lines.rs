//! Each change as a line, for programs, logs and pipes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::feed::{self, News};
use super::{Input, QUEUE, look};
use crate::cli::Context;
use crate::cli::card::suffices;
use crate::cli::output;
use crate::cli::review::{Api, text};

/// Of a statement in a line, in characters.
const EXCERPT_CHARS: usize = 80;

/// Runs until it is ended.
pub(super) async fn run(context: &Context, api: &Arc<Api>, first: Vec<Value>) -> anyhow::Result<ExitCode> {
    let mut known = BTreeMap::new();
    let (sender, mut inputs) = mpsc::channel(QUEUE);
    report(context, api, &mut known, first).await?;
    feed::start(Arc::clone(api), sender);
    while let Some(Input::News(news)) = inputs.recv().await {
        match news {
            News::Reviews(reviews) => report(context, api, &mut known, reviews).await?,
            News::Away(why) => output::aside(&why),
            News::Ended(error) => return Err(error),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells what differs from what is known: `opened`, `changed`, `closed`.
async fn report(
    context: &Context,
    api: &Api,
    known: &mut BTreeMap<String, Value>,
    reviews: Vec<Value>,
) -> anyhow::Result<()> {
    let now: BTreeMap<String, Value> = reviews.into_iter().map(|review| (text(&review, "id"), review)).collect();
    let whole = now.len() < feed::READ_MAX; // else one that is missing may be beyond the end of the list
    let gone: Vec<String> = known.keys().filter(|id| whole && !now.contains_key(*id)).cloned().collect();
    for id in gone {
        known.remove(&id);
        line(context, "closed", &look(api, &id).await?)?;
    }
    for (id, review) in now {
        let news = match known.get(&id) {
            None => Some("opened"),
            Some(before) if moved(before) != moved(&review) => Some("changed"),
            Some(_) => None,
        };
        if let Some(what) = news {
            line(context, what, &review)?;
            known.insert(id, review);
        }
    }
    Ok(())
}

/// What of a review is worth a line when it differs; the time that is left is not.
fn moved(review: &Value) -> [&Value; 4] {
    [&review["votes"], &review["state"], &review["escalations"], &review["reminded_at"]]
}

fn line(context: &Context, what: &str, review: &Value) -> anyhow::Result<()> {
    if context.json {
        output::line(&serde_json::to_string(&json!({"event": what, "review": review}))?);
        return Ok(());
    }
    let statement = text(review, "statement").replace(['\n', '\t'], " ");
    let short: String = statement.chars().take(EXCERPT_CHARS).collect();
    let cut = if short.len() < statement.len() { "…" } else { "" };
    let who = format!("{} for {}", text(&review["requester"], "name"), text(review, "on_behalf_of"));
    let how = if what == "closed" { text(review, "state") } else { suffices(review) };
    let id = text(review, "id");
    output::line(&format!("{what:<8} {id}  {who}  {}  {how}  {short}{cut}", text(review, "target")));
    Ok(())
}
