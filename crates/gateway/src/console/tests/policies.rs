//! Trying the policies, and the tests and proofs about them.

use axum::http::StatusCode;

use super::world::{Wish, World};

const WRITE: &str = "UPDATE orders SET status = 'paid' WHERE id = 1";

#[tokio::test]
async fn a_trial_says_what_would_be_answered_and_does_nothing() {
    let world = World::new().await;
    let dora = world.browser("dora").await;
    let csrf = dora.get("/policies/try").await.field("csrf");
    let ask = |text: &'static str, approvals: &'static str| {
        let (dora, csrf) = (&dora, &csrf);
        async move {
            let fields = [("csrf", csrf.as_str()), ("text", text), ("target", "orders"), ("approvals", approvals)];
            dora.post("/policies/try", &fields).await
        }
    };
    let review = ask(WRITE, "").await;
    assert_eq!(review.status, StatusCode::OK);
    assert!(review.body.contains("It waits until the people below approve."), "{}", review.body);
    assert!(review.body.contains("dba:1"));
    assert!(review.body.contains("production-write"), "{}", review.body);
    let approved = ask(WRITE, "dba:1").await;
    assert!(approved.body.contains("It runs at once"), "{}", approved.body);
    let refused = ask("DELETE FROM orders", "dba:2").await;
    assert!(refused.body.contains("It is refused, whoever approves.") && refused.body.contains("no-unbounded-writes"));
    for (text, approvals, words) in [("", "", "Write a statement"), (WRITE, "dba", "Approvals are written as")] {
        let wrong = ask(text, approvals).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(wrong.body.contains(words), "{}", wrong.body);
    }
    let escaped = ask("SELECT '</textarea><script>'", "").await;
    assert!(!escaped.body.contains("</textarea><script>"), "{}", escaped.body);
    assert!(world.gate.store.attempts(10).await.unwrap().is_empty(), "a trial is no attempt");
}

#[tokio::test]
async fn a_past_action_is_explained_by_the_policies_of_now() {
    let world = World::new().await;
    let review = world.ask(Wish::write(WRITE)).await;
    let dora = world.browser("dora").await;
    let page = dora.get(&format!("/policies/try?action={}", review.matter().id)).await;
    assert!(page.body.contains("What <bdi>coder</bdi> asked for") && page.body.contains("dba:1"), "{}", page.body);
    assert_eq!(dora.get("/policies/try?action=unknown").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tests_are_run_on_what_is_in_force() {
    let world = World::new().await;
    let page = world.browser("dora").await.get("/policies/checks").await;
    assert!(page.body.contains("all pass") && page.body.contains("Prove now"), "{}", page.body);
}
