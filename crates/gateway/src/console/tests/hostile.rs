//! Text that wants to be more than text: on no page does any of it stay what it was.

use axum::http::StatusCode;
use countersign_core::action::{PersonId, Timestamp};
use countersign_core::record::Event;

use super::world::{Wish, World};
use crate::ports::Person;

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u{202E}evil\u{2066}\u{200B}\u{0}\u{1B}[31m\u{FEFF}\r{{7*7}}";

fn wish() -> Wish {
    Wish {
        verb: HOSTILE.to_owned(),
        parameters: vec![Some(HOSTILE.to_owned()), None],
        reads: vec![HOSTILE.to_owned()],
        writes: vec![HOSTILE.to_owned()],
        functions: vec![HOSTILE.to_owned()],
        reason: Some(HOSTILE.to_owned()),
        ..Wish::write(HOSTILE)
    }
}

#[track_caller]
fn check(path: &str, body: &str) {
    for raw in ["<script>alert", "<img", "onerror=alert(2)>\"", "\"'>"] {
        assert!(!body.contains(raw), "{path} has {raw}");
    }
    let unseen =
        |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{200B}'..='\u{200F}' | '\u{FEFF}');
    let odd = body.chars().find(|c| unseen(*c) || (c.is_control() && !matches!(c, '\n' | '\t')));
    assert_eq!(odd, None, "{path}");
}

#[tokio::test]
async fn nothing_hostile_gets_onto_a_page() {
    let world = World::new().await;
    let record = world.gate.scribe.record(Event::SystemAlarm { code: HOSTILE.to_owned(), detail: HOSTILE.to_owned() });
    let groups = ["dba".to_owned(), HOSTILE.to_owned()].into();
    let (id, at) = (PersonId::new("p-mallory"), Timestamp::from_seconds(0));
    let person = Person::new(id, HOSTILE.to_owned(), Some(HOSTILE.to_owned()), groups, at);
    world.gate.directory.add_person(person, None, vec![record]).await.expect("adds");
    world.gate.roster.refresh().await.expect("reads");
    let mallory = world.browser("mallory").await;

    let open = world.ask(wish()).await.matter().id.clone();
    let closed = world.ask(Wish { statement: format!("{HOSTILE} 2"), ..wish() }).await.matter().id.clone();
    assert_eq!(mallory.vote(&closed, "approve", HOSTILE).await.status, StatusCode::SEE_OTHER);
    let described = super::world::described(wish(), world.gate.scribe.now());
    let digest = described.digest().expect("canonical");
    let record = world.gate.scribe.record(Event::ConfigChanged { what: HOSTILE.to_owned() });
    world.gate.store.refuse(&described, digest, HOSTILE, record).await.expect("keeps");
    world.ledger.flush().await.expect("publishes");

    let paths = [
        "/",
        "/history",
        "/activity",
        "/targets",
        "/people",
        "/policies",
        "/record",
        "/me",
        "/console/inbox",
        &format!("/reviews/{open}"),
        &format!("/reviews/{closed}"),
        &format!("/console/reviews/{open}?seen=open-0"),
    ];
    for path in paths {
        let page = mallory.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        check(path, &page.body);
    }
    let review = mallory.get(&format!("/reviews/{open}")).await.body;
    assert!(review.contains("U+202E") && review.contains("␀") && review.contains("&lt;script&gt;"));
    let refused = mallory.vote(&closed, "approve", HOSTILE).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    check("a refused vote", &refused.body);
}

#[tokio::test]
async fn a_reason_cannot_leave_its_field() {
    let world = World::new().await;
    let id = world.ask(Wish::write("UPDATE orders SET a = 1 WHERE id = 1")).await.matter().id.clone();
    let dora = world.browser("dora").await;
    let reason = format!("</textarea><script>alert(1)</script>{}", "x".repeat(2_001));
    let answer = dora.vote(&id, "approve", &reason).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.contains("reason_invalid") && !answer.body.contains("<script>alert"));
}

/// Everything shown passes through `show`, or is escaped by askama; nothing is marked as safe in a template.
#[test]
fn no_template_lifts_the_escaping() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    let files: Vec<_> =
        std::fs::read_dir(folder).expect("there").map(|entry| entry.expect("an entry").path()).collect();
    assert!(files.len() > 10);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        assert!(!text.contains("|safe") && !text.contains("| safe") && !text.contains("escape"), "{}", file.display());
    }
}
