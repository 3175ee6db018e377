//! The main job, by five real clients: read, refused, paused and approved, paused and rejected, paused and expired.

use crate::harness::clients::Client;
use crate::harness::{Plan, ROW, World};

fn reads(client: Client) {
    let world = World::start();
    let rows = "SELECT id, city FROM customers WHERE id < 3 ORDER BY id";
    let outcome = world.send(client, "read", Some(rows)).outcome();
    let text = outcome.rows().to_string();
    assert!(text.contains("Aurora") && text.contains("Boreal") && !text.contains("Cascade"), "{text}");
    world.until_recorded("the read", |leaf| leaf["kind"] == "action.read" && leaf["action"]["target"] == "orders");
}

fn is_refused(client: Client) {
    let world = World::start();
    let outcome = world.send(client, "refused", None).outcome();
    let message = outcome.refused("42501");
    assert!(message.contains("WHERE"), "the reason is told: {message}");
    assert_eq!(world.truth("SELECT count(*) FROM customers"), "4");
    world.until_recorded("the refusal", |leaf| leaf["kind"] == "action.refused" && leaf["code"] == "policy_denied");
    assert_eq!(world.count_recorded(|leaf| leaf["kind"] == "action.intent"), 0);
}

/// What hangs costs the upstream nothing, and the client is told at once where it hangs.
fn is_approved(client: Client) {
    let world = World::start();
    let mut call = world.send(client, "write", None);
    let review = world.review_beyond(0);
    call.until_notice(review.id());
    assert_eq!((world.truth(ROW).as_str(), world.upstream_busy()), ("200", 0));
    if client == Client::Psql {
        // The extended protocol has the upstream describe the statement first, so there an idle connection waits too.
        assert_eq!(world.upstream_connections(), 0, "a paused agent costs the upstream nothing");
    }
    assert!(!call.answered());
    assert_eq!(world.dora().approve(&review).ok()["state"], "approved");
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "201");
    let consumed = world.until_recorded("the grant's use", |leaf| leaf["kind"] == "grant.consumed");
    let attempt = consumed["id"].clone();
    world.until_recorded("the outcome", |leaf| {
        leaf["kind"] == "action.outcome" && leaf["id"] == attempt && leaf["status"] == "succeeded" && leaf["rows"] == 1
    });
}

fn is_rejected(client: Client) {
    let world = World::start();
    let call = world.send(client, "write", None);
    let review = world.review_beyond(0);
    assert_eq!(world.dora().reject(&review, "not before the audit").ok()["state"], "rejected");
    let outcome = call.outcome();
    let message = outcome.refused("42501");
    assert!(message.contains("not before the audit"), "the reviewer's reason is told: {message}");
    assert_eq!(world.truth(ROW), "200");
    world.until_recorded("the end", |leaf| leaf["kind"] == "review.closed" && leaf["outcome"] == "rejected");
    let again = world.send(client, "write", None).outcome();
    assert!(again.refused("42501").contains("rejected"), "the same may not be asked again at once");
}

fn expires(client: Client) {
    let world = Plan::default().short_reviews().start();
    let call = world.send(client, "write", None);
    let review = world.review_beyond(0);
    let outcome = call.outcome();
    outcome.refused("57014");
    assert_eq!((world.dora().review(review.id()).state(), world.truth(ROW).as_str()), ("expired", "200"));
    world.until_recorded("the end", |leaf| leaf["kind"] == "review.closed" && leaf["outcome"] == "expired");
}

macro_rules! by_every_client {
    ($($client:ident => $variant:ident,)*) => {
        $(mod $client {
            use super::Client;

            #[test]
            fn reads() {
                super::reads(Client::$variant);
            }

            #[test]
            fn is_refused() {
                super::is_refused(Client::$variant);
            }

            #[test]
            fn is_approved() {
                super::is_approved(Client::$variant);
            }

            #[test]
            fn is_rejected() {
                super::is_rejected(Client::$variant);
            }

            #[test]
            fn expires() {
                super::expires(Client::$variant);
            }
        })*
    };
}

by_every_client! {
    psql => Psql,
    psycopg => Psycopg,
    asyncpg => Asyncpg,
    node_pg => NodePg,
    jdbc => Jdbc,
}
