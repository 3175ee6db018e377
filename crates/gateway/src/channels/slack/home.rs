//! The app's own page in Slack: what waits for whoever opens it, and what they asked for, with links into the console.
//!
//! Nothing is decided here: the page names reviews and leads to them.

use countersign_core::review::{Review, Verdict};
use serde_json::{Value, json};

use super::super::Notice;
use super::blocks::{context, escaped, escaped_within, section};
use super::interactions::{self, Desk, Team, User};
use crate::gate::Moment;
use crate::identity::{Caller, SignedIn};
use crate::ports::{ReviewFilter, StoreError};
use crate::resolve;

/// Reviews read for one look at the page.
const READ_MAX: u32 = 1_000;
/// Reviews named in each part; the rest is counted. A page has at most 100 blocks.
const ROWS_MAX: usize = 20;
/// The longest line of a row, in characters: two of them fit into a section.
const LINE_CHARS_MAX: usize = 1_200;

/// Shows somebody their page. What fails is logged: they look again.
pub(super) async fn publish(desk: &Desk, user: User, team: Team) {
    let id = user.id.clone();
    let view = match interactions::caller(desk, &user, Some(&team)).await {
        Ok(Caller::Person(signed_in)) => match page(desk, &signed_in).await {
            Ok(view) => view,
            Err(error) => return tracing::error!(%error, "a page in Slack could not be made"),
        },
        Ok(Caller::Agent(_)) => return,
        Err(denied) => home(vec![section(&escaped(&format!("Nothing is shown here: {}.", denied.message)))]),
    };
    if let Err(failure) = desk.slack.call("views.publish", &json!({"user_id": id, "view": view})).await {
        tracing::warn!(%failure, "a page in Slack could not be shown");
    }
}

async fn page(desk: &Desk, who: &SignedIn) -> Result<Value, StoreError> {
    let gate = &desk.gate;
    let open = gate.store.reviews(ReviewFilter::Open, READ_MAX).await?;
    let moment = gate.moment();
    let waits: Vec<&Review> =
        open.iter().filter(|review| resolve::waits_for(&moment, review, &who.person.id)).collect();
    let own = |review: &&Review| {
        let request = &review.matter().described;
        request.on_behalf_of.id == who.person.id || request.closure.contains(&who.person.id)
    };
    let asked: Vec<&Review> = open.iter().filter(own).collect();
    let url = &gate.config.public_url;
    let mut blocks = part(&moment, "What waits for you", "Nothing waits for you.", &waits, url);
    blocks.push(json!({"type": "divider"}));
    blocks.extend(part(&moment, "What your side asked for", "You wait for nobody.", &asked, url));
    blocks.push(context(&format!("<{url}/|Open the console>")));
    Ok(home(blocks))
}

fn home(blocks: Vec<Value>) -> Value {
    json!({"type": "home", "blocks": blocks})
}

fn part(moment: &Moment, title: &str, none: &str, reviews: &[&Review], url: &str) -> Vec<Value> {
    let title = format!("{title} ({})", reviews.len());
    let mut blocks = vec![json!({"type": "header", "text": {"type": "plain_text", "text": title}})];
    if reviews.is_empty() {
        blocks.push(context(none));
    }
    blocks.extend(reviews.iter().take(ROWS_MAX).map(|review| row(moment, review, url)));
    if reviews.len() > ROWS_MAX {
        let more = reviews.len() - ROWS_MAX;
        blocks.push(context(&format!("{more} more are <{url}/|in the console>.")));
    }
    blocks
}

fn row(moment: &Moment, review: &Review, url: &str) -> Value {
    let notice = Notice::new(moment, review, &Default::default(), url);
    let line = |text: &str| escaped_within(text, LINE_CHARS_MAX);
    let approvals = notice.votes.iter().filter(|said| said.verdict == Verdict::Approve).count();
    let so_far = if approvals == 0 { String::new() } else { format!(" · {approvals} approved so far") };
    let text = format!("*{}*\n{}{so_far}", line(&notice.headline()), line(&notice.standing()));
    let open = json!({"type": "button", "action_id": "open", "url": notice.url,
        "text": {"type": "plain_text", "text": "Open"}});
    let mut row = section(&text);
    row["accessory"] = open;
    row
}
