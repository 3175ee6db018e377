//! Deciding: what the pages offer, and what the buttons do.

use axum::http::StatusCode;
use countersign_core::action::sql::SqlClass;
use countersign_core::record::Event;
use countersign_core::review::Method;

use super::world::{Wish, World};
use crate::ports::{Attentions as _, ReviewFilter, Scope};
use crate::resolve;

fn write() -> Wish {
    Wish::write("UPDATE orders SET status = 'paid' WHERE id = 42")
}

async fn refusals(world: &World) -> Vec<String> {
    let refused = world.records().await.into_iter().filter_map(|record| match record.event {
        Event::ReviewRefused { code, .. } => Some(code),
        _ => None,
    });
    refused.collect()
}

#[tokio::test]
async fn one_click_approves() {
    let world = World::new().await;
    let review = world.ask(write()).await;
    let id = &review.matter().id;
    let dora = world.browser("dora").await;
    let inbox = dora.get("/").await;
    assert!(inbox.body.contains(&format!("href=\"/reviews/{id}\"")) && inbox.body.contains("You can decide"));
    let page = dora.get(&format!("/reviews/{id}")).await;
    assert!(
        page.body.contains(&review.matter().action.to_string())
            && page.body.contains(&review.matter().card.to_string())
    );

    let fields = [
        ("csrf", page.field("csrf")),
        ("action_digest", page.field("action_digest")),
        ("card_digest", page.field("card_digest")),
        ("verdict", "approve".to_owned()),
        ("reason", "looks\r\nright".to_owned()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = dora.post(&format!("/reviews/{id}/vote"), &fields).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, &*format!("/reviews/{id}")));

    let closed = world.review(id).await;
    assert_eq!(closed.state(), "approved");
    let vote = &closed.votes()[0];
    assert_eq!(
        (vote.name.as_str(), vote.method, vote.reason.as_deref()),
        ("dora", Method::Local, Some("looks\nright"))
    );
    let page = dora.get(&format!("/reviews/{id}")).await;
    assert!(page.body.contains("outcome approved") && !page.body.contains("value=\"approve\""));
    assert!(dora.get("/history").await.body.contains(&format!("href=\"/reviews/{id}\"")));
    assert!(dora.get("/").await.body.contains("Nothing waits for anyone"));
}

#[tokio::test]
async fn a_rejection_carries_its_reason() {
    let world = World::new().await;
    let id = world.ask(write()).await.matter().id.clone();
    let dora = world.browser("dora").await;
    assert_eq!(dora.vote(&id, "reject", "wrong order").await.status, StatusCode::SEE_OTHER);
    assert_eq!(world.review(&id).await.state(), "rejected");
    let page = world.browser("ada").await.get(&format!("/reviews/{id}")).await;
    assert!(page.body.contains("wrong order") && page.body.contains("dora"));
}

#[tokio::test]
async fn the_owner_cannot_approve_and_the_attempt_is_recorded() {
    let world = World::new().await;
    let review = world.ask(write()).await;
    let id = &review.matter().id;
    let ada = world.browser("ada").await;
    let page = ada.get(&format!("/reviews/{id}")).await;
    assert!(!page.body.contains("value=\"approve\"") && page.body.contains("Nobody approves their own action"));
    assert!(page.body.contains("Withdraw this request"));

    let answer = ada.vote(id, "approve", "").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("self_approval") && answer.body.contains("role=\"alert\""));
    assert_eq!(world.review(id).await, review);
    assert_eq!(refusals(&world).await, ["self_approval"]);
}

#[tokio::test]
async fn others_are_told_that_they_were_not_asked() {
    let world = World::new().await;
    let id = world.ask(write()).await.matter().id.clone();
    let finn = world.browser("finn").await;
    let page = finn.get(&format!("/reviews/{id}")).await;
    assert!(page.body.contains("none of your groups was asked") && !page.body.contains("value=\"approve\""));
    assert!(page.body.contains("Who can: dora"), "says who could");
    let answer = finn.vote(&id, "approve", "").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("not_a_reviewer"));
    assert_eq!(refusals(&world).await, ["not_a_reviewer"]);
}

#[tokio::test]
async fn what_was_seen_must_be_what_waits() {
    let world = World::new().await;
    let review = world.ask(write()).await;
    let other = world.ask(Wish::write("UPDATE orders SET status = 'void' WHERE id = 43")).await;
    let dora = world.browser("dora").await;
    let token = dora.token().await;
    let path = format!("/reviews/{}/vote", review.matter().id);
    let (action, card) = (other.matter().action.to_string(), other.matter().card.to_string());
    let fields = [
        ("csrf", &*token),
        ("verdict", "approve"),
        ("reason", "kept text"),
        ("action_digest", &action),
        ("card_digest", &card),
    ];
    let answer = dora.post(&path, &fields).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("digest_mismatch") && answer.body.contains(">kept text</textarea>"));
    for wrong in [("verdict", "maybe"), ("verdict", ""), ("action_digest", "sha256:00"), ("card_digest", "x")] {
        let fields = fields.map(|field| if field.0 == wrong.0 { wrong } else { field });
        assert_eq!(dora.post(&path, &fields).await.status, StatusCode::BAD_REQUEST, "{wrong:?}");
    }
    assert_eq!(world.review(&review.matter().id).await, review);
}

#[tokio::test]
async fn two_are_needed_where_policy_asks_for_two() {
    let world = World::new().await;
    let wish = Wish { class: SqlClass::Ddl, verb: "DROP TABLE".to_owned(), ..Wish::write("DROP TABLE orders") };
    let id = world.ask(wish).await.matter().id.clone();
    let dora = world.browser("dora").await;
    assert_eq!(dora.vote(&id, "approve", "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(world.review(&id).await.state(), "open");
    let page = dora.get(&format!("/reviews/{id}")).await;
    assert!(page.body.contains("1 of 2") && page.body.contains("You approved this. It waits for more people."));
    assert!(page.body.contains("Nobody is left who could."));
    let again = dora.vote(&id, "approve", "").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.body.contains("voted_already"));
}

#[tokio::test]
async fn too_late_is_said() {
    let world = World::new().await;
    let id = world.ask(write()).await.matter().id.clone();
    let dora = world.browser("dora").await;
    world.clock.advance(1_800);
    assert!(dora.get("/").await.body.contains("Nothing waits for anyone"));
    let answer = dora.vote(&id, "approve", "").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("review_closed"));
}

#[tokio::test]
async fn the_requesters_side_takes_back_and_nobody_else() {
    let world = World::new().await;
    let id = world.ask(write()).await.matter().id.clone();
    let (ada, dora) = (world.browser("ada").await, world.browser("dora").await);
    let path = format!("/reviews/{id}/withdraw");
    let token = dora.token().await;
    assert_eq!(dora.post(&path, &[("csrf", &token)]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.review(&id).await.state(), "open");
    let token = ada.token().await;
    assert_eq!(ada.post(&path, &[("csrf", &token)]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(world.review(&id).await.state(), "withdrawn");
    assert!(dora.vote(&id, "approve", "").await.body.contains("review_closed"));
}

#[tokio::test]
async fn a_session_that_may_only_read_cannot_vote() {
    let world = World::new().await;
    let id = world.ask(write()).await.matter().id.clone();
    let mut reader = world.browser("dora").await;
    let link = world.link("dora", Scope::ReviewRead).await;
    let answer = reader.post("/login", &[("secret", &link)]).await;
    reader.keep(&answer);
    assert!(reader.get(&format!("/reviews/{id}")).await.body.contains("may read reviews, not vote"));
    assert_eq!(reader.vote(&id, "approve", "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.review(&id).await.state(), "open");
}

#[tokio::test]
async fn an_open_page_is_reloaded_when_the_review_moved_on() {
    let world = World::new().await;
    let id = world.ask(write()).await.matter().id.clone();
    let (ada, dora) = (world.browser("ada").await, world.browser("dora").await);
    let part = format!("/console/reviews/{id}?seen=open-0");
    let same = ada.get(&part).await;
    assert!(same.header("hx-refresh").is_empty() && same.body.contains("What is needed"));
    dora.vote(&id, "approve", "").await;
    assert_eq!(ada.get(&part).await.header("hx-refresh"), "true");
}

#[tokio::test]
async fn unknown_things_are_not_found() {
    let world = World::new().await;
    let dora = world.browser("dora").await;
    for path in [
        "/reviews/none",
        "/console/reviews/none",
        "/record/999999/proof",
        "/record/999999/leaf",
        "/record/18446744073709551615/leaf",
        "/record/x/proof",
        "/nowhere",
    ] {
        let answer = dora.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.body.contains("not_found"), "{path}");
    }
    let token = dora.token().await;
    let sum = format!("sha256:{}", "0".repeat(64));
    let fields = [("csrf", &*token), ("verdict", "approve"), ("action_digest", &sum), ("card_digest", &sum)];
    assert_eq!(dora.post("/reviews/none/vote", &fields).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_record_is_shown_with_its_proofs() {
    let world = World::new().await;
    let id = world.ask(write()).await.matter().id.clone();
    let dora = world.browser("dora").await;
    dora.vote(&id, "approve", "").await;
    world.ledger.flush().await.expect("publishes");
    let page = dora.get("/record").await;
    for part in ["review.vote", "dora approved", "grant.issued", "countersign-verify --key"] {
        assert!(page.body.contains(part), "{part}");
    }
    let proof = dora.get("/record/0/proof").await;
    assert_eq!(proof.status, StatusCode::OK);
    assert_eq!(proof.header("content-disposition"), "attachment; filename=\"leaf-0.tlog-proof\"");
    let leaf = dora.get("/record/0/leaf").await;
    assert_eq!(leaf.header("content-type"), "application/json");
    let parsed = leaf.body.parse::<serde_json::Value>().expect("JSON");
    assert_eq!(parsed["kind"], "identity.enrolled");
    assert!(proof.body.starts_with("c2sp.org/tlog-proof@v1\n"), "{}", proof.body);
}

#[tokio::test]
async fn a_full_inbox_stays_small_and_counts_what_it_leaves_out() {
    let world = World::new().await;
    for n in 0..100 {
        world.ask(Wish::write(&format!("UPDATE orders SET note = '{}' WHERE id = {n}", "x".repeat(2_000)))).await;
    }
    assert_eq!(world.gate.store.reviews(ReviewFilter::Open, 200).await.expect("lists").len(), 100);
    let dora = world.browser("dora").await;
    let folded = dora.get("/").await.body;
    assert!(folded.contains("and 99 more like it") && !folded.contains("more wait for you"), "{folded}");
    assert_eq!(mine(&folded).matches("<li class=\"wait").count(), 1);
    let like = between(&folded, "href=\"/?like=", "\"");
    let unfolded = dora.get(&format!("/?like={like}")).await.body;
    assert!(unfolded.contains("75 more wait for you") && unfolded.contains("The whole inbox"), "{unfolded}");
    assert!(unfolded.contains(&format!("hx-get=\"/console/inbox?like={like}\"")));
    assert!(unfolded.len() < 62_500, "{} bytes", unfolded.len());
    let gone = dora.get("/?like=r_nothing").await.body;
    assert!(gone.contains("and 99 more like it") && !gone.contains("The whole inbox"), "shows everything: {gone}");
}

/// One agent's burst leaves the others' requests in sight.
#[tokio::test]
async fn what_is_folded_is_decided_with_its_like_alone() {
    let world = World::new().await;
    for n in 0..5 {
        world.ask(Wish::write(&format!("UPDATE orders SET note = 'paid' WHERE id = {n}"))).await;
    }
    let other = Wish::write("DELETE FROM invoices WHERE id = 7");
    world.ask(Wish { writes: vec!["invoices".to_owned()], verb: "DELETE".to_owned(), ..other }).await;
    let dora = world.browser("dora").await;
    let inbox = dora.get("/").await.body;
    assert!(inbox.contains("and 4 more like it") && inbox.contains("invoices"), "{inbox}");
    let like = between(&inbox, "href=\"/?like=", "\"");
    let several = dora.get(&format!("/reviews/batch?like={like}")).await.body;
    assert_eq!((several.matches("name=\"seen\"").count(), several.contains("invoices")), (5, false), "{several}");
    assert!(several.contains(&format!("action=\"/reviews/batch?like={like}\"")));
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).expect("there").1;
    rest.split_once(after).expect("closed").0
}

/// What stands under "Waiting for you".
fn mine(inbox: &str) -> &str {
    inbox.split("id=\"others\"").next().unwrap_or_default()
}

/// Finn is no DBA: he sees it when it is escalated to his group, and may do no more than before.
#[tokio::test]
async fn what_nobody_decides_is_brought_before_others_once() {
    let world = World::new().await;
    let review = world.ask_and_escalate(write(), &[(600, "sre"), (2_400, "sre")]).await;
    let link = format!("href=\"/reviews/{}\"", review.matter().id);
    let (dora, finn) = (world.browser("dora").await, world.browser("finn").await);
    resolve::attend_due(&world.gate).await.expect("nothing is due");
    assert!(mine(&dora.get("/").await.body).contains(&link) && !mine(&finn.get("/").await.body).contains(&link));
    assert!(finn.get(&format!("/reviews/{}", review.matter().id)).await.body.contains("Escalates to <bdi>sre</bdi>"));
    world.clock.advance(600);
    for _ in 0..2 {
        resolve::attend_due(&world.gate).await.expect("escalates");
    }
    let inbox = finn.get("/").await.body;
    assert!(mine(&inbox).contains(&link) && mine(&inbox).contains("Escalated to <bdi>sre</bdi>"), "{inbox}");
    let told = |record: &countersign_core::record::Record| matches!(record.event, Event::ReviewEscalated { .. });
    assert_eq!(world.records().await.iter().filter(|record| told(record)).count(), 1);
    finn.vote(&review.matter().id, "approve", "they let me see it").await;
    assert_eq!(
        (world.review(&review.matter().id).await.state(), refusals(&world).await),
        ("open", vec!["not_a_reviewer".to_owned()])
    );
}

#[tokio::test]
async fn people_are_reminded_and_what_is_due_comes_first() {
    let world = World::new().await;
    let later = world.ask(Wish::write("UPDATE orders SET status = 'paid' WHERE id = 7")).await;
    world.clock.advance(60);
    let mut changes = world.gate.changes.listen();
    world.clock.advance(800);
    resolve::attend_due(&world.gate).await.expect("nothing is due");
    assert!(changes.try_recv().is_err());
    let newest = world.ask(write()).await;
    world.clock.advance(60);
    resolve::attend_due(&world.gate).await.expect("reminds");
    assert!(changes.try_recv().is_ok(), "open pages are told");
    let inbox = world.browser("dora").await.get("/").await.body;
    let place = |id: &countersign_core::action::ReviewId| inbox.find(&format!("id=\"review-{id}\"")).expect("listed");
    assert!(place(&later.matter().id) < place(&newest.matter().id));
    assert_eq!(inbox.matches("due soon:").count(), 1, "{inbox}");
    world.clock.advance(1_800);
    resolve::expire_due(&world.gate).await.expect("closes");
    resolve::attend_due(&world.gate).await.expect("nothing is left");
    assert!(world.store.attentions_due(world.gate.scribe.now()).await.expect("reads").is_empty());
}
