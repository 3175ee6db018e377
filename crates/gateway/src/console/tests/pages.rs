//! Pages that show much: searched, paged, and what readers see of others.

use axum::http::StatusCode;

use super::world::{Wish, World};

/// What is looked for narrows the list, and a page of it is never more than what fits.
#[tokio::test]
async fn an_inbox_is_searched_and_paged_by_its_address() {
    let world = World::new().await;
    for n in 0..90 {
        let wish = Wish::write(&format!("UPDATE invoices SET paid = true WHERE id = {n}"));
        let table = format!("invoices_{n}"); // each by itself: nothing is folded
        world.ask(Wish { writes: vec![table], verb: "UPDATE".to_owned(), ..wish }).await;
    }
    let dora = world.browser("dora").await;
    let rows = |body: &str| body.matches("<li class=\"wait").count();
    let whole = dora.get("/").await.body;
    assert!(rows(&whole) == 25 && whole.contains("65 more wait for you"), "{whole}");
    let last = dora.get("/?show=mine&page=3").await.body;
    assert!(rows(&last) == 10 && last.contains("Page 3 of 3") && !last.contains("rel=\"next\""), "{last}");
    assert!(last.contains("hx-get=\"/console/inbox?show=mine&#38;page=3\""), "{last}");
    let beyond = dora.get("/?show=mine&page=99").await.body;
    assert!(beyond.contains("Page 3 of 3"), "{beyond}");
    let one = dora.get("/?q=INVOICES_77&target=orders&class=write").await.body;
    assert_eq!(rows(&one), 1, "{one}");
    let sensitive = dora.get("/?q=INVOICES_77&sensitivity=high").await.body;
    assert!(rows(&sensitive) == 1 && sensitive.contains("value=\"high\" selected"), "{sensitive}");
    for nothing in [
        "/?q=invoices_77+nowhere",
        "/?target=elsewhere",
        "/?agent=nobody",
        "/?class=ddl",
        "/?sensitivity=low",
        "/?q=%3Cscript%3E",
    ] {
        let empty = dora.get(nothing).await.body;
        assert!(rows(&empty) == 0 && empty.contains("Nothing that waits is like that"), "{nothing}: {empty}");
        assert!(!empty.contains("<script>"), "{nothing}");
    }
    let others = dora.get("/?show=others").await.body;
    assert!(rows(&others) == 0 && others.contains("90 wait for you"), "{others}");
}

/// What there is to know of everybody's doings, without a secret. That others do not see it is shown end to end, with a provider.
#[tokio::test]
async fn what_others_do_is_shown_to_readers() {
    let world = World::new().await;
    world.ask(Wish::write("UPDATE orders SET status = 'paid' WHERE id = 1")).await;
    world.ledger.flush().await.expect("publishes");
    let dora = world.browser("dora").await;
    for (page, words) in [
        ("/agents", "answered for by"),
        ("/evidence", "What an auditor asks"),
        ("/start", "A second person who decides"),
        ("/settings", "review.open_max"),
        ("/activity", "How reviews ended"),
        ("/evidence/reviews.csv", "\"review\",\"opened\""),
    ] {
        let shown = dora.get(page).await;
        assert!(shown.status == StatusCode::OK && shown.body.contains(words), "{page}: {}", shown.body);
        assert!(!shown.body.contains("ORDERS_PASSWORD\n"), "{page}");
    }
    assert_eq!(dora.get("/targets/nowhere/health").await.status, StatusCode::NOT_FOUND);
}
