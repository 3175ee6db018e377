//! Compare-and-swap, single use, and what a restart finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::action::sql::{SqlClass, SqlFacts};
use countersign_core::action::{
    AgentId, BundleDigest, CardDigest, Environment, Facts, PayloadDigest, PersonId, PersonRef, Requester, Sensitivity,
    SessionFacts, Target, redact,
};
use countersign_core::policy::{Obligations, Terms};
use countersign_core::record::{EnrolledPasskey, Event};
use countersign_core::review::{Closed, Matter};

use super::*;
use crate::ports::{
    Agent, AgentKey, CredentialKind, Directory as _, IntentError, NewAgentKey, Once, Passkey, Passkeys as _, Person,
    ReviewLimits, ScramVerifier,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

fn record(seconds: i64) -> Record {
    Record { at: at(seconds), node: "n1".to_owned(), event: Event::ConfigChanged { what: "test".to_owned() } }
}

fn described(id: &str, statement: &str) -> Described {
    let owner = PersonRef { id: PersonId::new("p1"), name: "ada".to_owned() };
    Described {
        impact: countersign_core::action::impact::Impact::default(),
        id: ActionId::new(id),
        requester: Requester::Agent {
            id: AgentId::new("g1"),
            name: "coder".to_owned(),
            owner: owner.clone(),
            job: None,
        }
        .into(),
        on_behalf_of: owner.clone().into(),
        closure: Arc::new(BTreeSet::from([owner.id])),
        target: Target {
            name: "orders".to_owned(),
            environment: Environment::Production,
            sensitivity: Sensitivity::High,
            generation: "1".to_owned(),
        }
        .into(),
        facts: Facts::Sql(SqlFacts { class: SqlClass::Write, statements: vec![] }).into(),
        session: SessionFacts::default().into(),
        shown: redact::Shown::default(),
        reason: None,
        payload: PayloadDigest::of(statement.as_bytes()),
        at: at(0),
    }
}

fn ask(id: &str, statement: &str) -> Ask {
    let described = described(id, statement);
    let matter = Matter {
        id: ReviewId::new(format!("r-{id}")),
        action: described.digest().expect("canonical"),
        card: CardDigest::of(b"card"),
        described,
        terms: Terms {
            policies: vec![],
            suffices: vec![],
            obligations: Obligations::default(),
            bundle: BundleDigest::of(b""),
        },
        offer: None,
        opened_at: at(0),
        expires_at: at(1_800),
    };
    let limits = ReviewLimits { open_per_owner_max: 2, open_max: 10, rejected_wait_seconds: 3_600 };
    Ask {
        matter,
        fingerprint: "shape".to_owned(),
        limits,
        places: BTreeSet::new(),
        hidden: redact::Values::default(),
        record: record(0),
    }
}

fn store() -> (tempfile::TempDir, SqliteStore) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path(), crate::vault::testing::sealer(dir.path())).expect("opens");
    (dir, store)
}

async fn withdrawn(store: &SqliteStore, id: &str) -> (u64, Closed) {
    let found = store.review(&ReviewId::new(id)).await.expect("reads").expect("there");
    let Review::Open(open) = found.review else { unreachable!("it is open") };
    (found.version, open.withdraw(&PersonId::new("p1"), at(1)).expect("the owner may"))
}

#[tokio::test]
async fn the_same_action_joins_and_another_does_not() {
    let (_dir, store) = store();
    assert!(matches!(store.ask(ask("a1", "x")).await, Ok(Asked::Opened(_))));
    assert!(matches!(store.ask(ask("a2", "x")).await, Ok(Asked::Joined(_))));
    assert!(matches!(store.ask(ask("a3", "y")).await, Ok(Asked::Opened(_))));
    assert!(matches!(store.ask(ask("a4", "z")).await, Ok(Asked::TooMany { limit: 2 })));
}

#[tokio::test]
async fn a_review_changes_once_per_version() {
    let (_dir, store) = store();
    store.ask(ask("a1", "x")).await.expect("opens");
    let (version, closed) = withdrawn(&store, "r-a1").await;
    let closed = Review::Closed(closed);
    store.save_review(version, &closed, None, vec![record(1)]).await.expect("first");
    assert!(matches!(store.save_review(version, &closed, None, vec![]).await, Err(StoreError::Conflict)));
    assert!(matches!(store.save_review(version + 1, &closed, None, vec![]).await, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn a_grant_is_used_once_and_the_loser_leaves_nothing() {
    let (_dir, store) = store();
    store.ask(ask("a1", "x")).await.expect("opens");
    let (version, closed) = withdrawn(&store, "r-a1").await;
    let action = described("a1", "x").digest().expect("canonical");
    let grant =
        Grant { id: GrantId::new("g"), review: ReviewId::new("r-a1"), action, expires_at: at(900), broken_by: None };
    store.save_review(version, &Review::Closed(closed), Some(grant.clone()), vec![]).await.expect("saves");

    let (one, two) = (described("b1", "x"), described("b2", "x"));
    let (first, second) = tokio::join!(
        store.begin(&one, action, Some(&grant), vec![record(2)]),
        store.begin(&two, action, Some(&grant), vec![record(2)]),
    );
    let results = [first, second];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().any(|result| matches!(result, Err(IntentError::GrantSpent))));
    assert_eq!(store.attempts(10).await.expect("lists").len(), 1);
}

#[tokio::test]
async fn a_grant_that_has_ended_is_not_used() {
    let (_dir, store) = store();
    store.ask(ask("a1", "x")).await.expect("opens");
    let (version, closed) = withdrawn(&store, "r-a1").await;
    let action = described("a1", "x").digest().expect("canonical");
    let grant =
        Grant { id: GrantId::new("g"), review: ReviewId::new("r-a1"), action, expires_at: at(900), broken_by: None };
    store.save_review(version, &Review::Closed(closed), Some(grant.clone()), vec![]).await.expect("saves");
    let late = store.begin(&described("b1", "x"), action, Some(&grant), vec![record(900)]).await;
    assert!(matches!(late, Err(IntentError::GrantSpent)));
}

#[tokio::test]
async fn what_was_running_is_unknown_after_a_restart() {
    let (dir, store) = store();
    let described = described("a1", "x");
    let digest = described.digest().expect("canonical");
    store.begin(&described, digest, None, vec![record(0)]).await.expect("begins");
    drop(store);
    let again = loop {
        // the lock falls when the old threads have ended
        match SqliteStore::open(dir.path(), crate::vault::testing::sealer(dir.path())) {
            Ok(store) => break store,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(again.close_unknown("n1", at(5)).await.expect("closes"), 1);
    assert_eq!(again.attempt(&described.id).await.expect("reads").expect("there").status, "unknown");
    assert_eq!(again.close_unknown("n1", at(6)).await.expect("closes"), 0);
}

#[tokio::test]
async fn two_processes_do_not_share_a_store() {
    let (dir, _store) = store();
    assert!(matches!(
        SqliteStore::open(dir.path(), crate::vault::testing::sealer(dir.path())),
        Err(StoreError::Unavailable(_))
    ));
}

/// A store as the first version left it: people, agents and tokens go on as they were.
#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = rusqlite::Connection::open(dir.path().join("countersign.db")).expect("opens");
    old.execute_batch(include_str!("schema/1.sql")).expect("the first schema");
    let day = "1970-01-02T00:00:00.000000Z";
    old.execute_batch(&format!(
        r#"PRAGMA user_version = 1;
        INSERT INTO person VALUES ('p1', 'ada', 0,
            '{{"id":"p1","name":"ada","email":null,"groups":["dba"],"suspended":false,"created_at":"{day}"}}');
        INSERT INTO agent VALUES ('g1', 'coder', zeroblob(32),
            '{{"salt":[1],"iterations":4096,"stored_key":{key},"server_key":{key}}}', 0,
            '{{"id":"g1","name":"coder","owner":"p1","groups":[],"created_at":"{day}","revoked_at":null}}');
        INSERT INTO credential VALUES ('token', zeroblob(32), 9000000000000000, 0,
            '{{"id":"c1","person":"p1","scope":"review:vote","local":true,"authenticated_at":"{day}","expires_at":"{day}"}}');"#,
        key = serde_json::to_string(&[0_u8; 32]).expect("plain"),
    ))
    .expect("the first version's rows");
    drop(old);

    let store = SqliteStore::open(dir.path(), crate::vault::testing::sealer(dir.path())).expect("opens");
    assert_eq!(store.people().await.expect("reads").len(), 1);
    let (agent, key, _) = store.agent_login("coder", at(1)).await.expect("reads").expect("logs in");
    assert_eq!((agent.accepted_at, &key.agent), (Some(Timestamp::from_seconds(86_400)), &agent.id));
    assert_eq!(store.agent_by_key(&[0; 32], at(1)).await.expect("reads").expect("known").1, key);
    let token = store.credential(CredentialKind::Token, &[0; 32], at(1)).await.expect("reads").expect("in force");
    let ada = PersonId::new("p1");
    assert_eq!(store.credentials(Some(&ada), at(1)).await.expect("reads"), [(CredentialKind::Token, token)]);
    assert_eq!(store.end_credentials(vec!["c1".to_owned()], vec![]).await.expect("ends"), 1);
    assert_eq!(store.credentials(Some(&ada), at(1)).await.expect("reads"), []);
}

/// Whoever can write to the database cannot give one agent the key of another.
#[tokio::test]
async fn a_verifier_is_sealed_for_its_own_key() {
    let (dir, store) = store();
    let person = Person::new(PersonId::new("p1"), "ada".to_owned(), None, BTreeSet::new(), at(0));
    store.add_person(person, None, vec![record(0)]).await.expect("adds");
    for name in ["coder", "other"] {
        let verifier = ScramVerifier { salt: vec![1; 16], iterations: 4_096, stored_key: [2; 32], server_key: [3; 32] };
        let agent = Agent::new(AgentId::new(name), name.to_owned(), PersonId::new("p1"), BTreeSet::new(), at(0));
        let key = AgentKey::own(format!("k-{name}"), &agent, at(0));
        let hash = PayloadDigest::of(name.as_bytes()).as_bytes().to_owned();
        store.add_agent(agent, NewAgentKey { key, verifier, hash }, record(0)).await.expect("adds");
    }
    let database = rusqlite::Connection::open(dir.path().join("countersign.db")).expect("opens");
    let kept: String = database
        .query_row("SELECT verifier FROM agent_key WHERE login = 'coder'", [], |row| row.get(0))
        .expect("reads");
    assert!(kept.starts_with("v1.") && !kept.contains("stored_key"), "{kept}");
    assert!(store.agent_login("coder", at(1)).await.expect("reads").is_some());
    database
        .execute_batch("UPDATE agent_key SET verifier = (SELECT verifier FROM agent_key WHERE login = 'other')")
        .expect("writes");
    assert!(matches!(store.agent_login("coder", at(1)).await, Err(StoreError::Unavailable(_))));
    assert!(store.agent_login("other", at(1)).await.expect("reads").is_some());
    database.execute_batch("UPDATE agent_key SET verifier = '{}'").expect("writes");
    assert!(store.agent_login("other", at(1)).await.is_err(), "what is not sealed is not read");
}

#[tokio::test]
async fn what_may_happen_once_happens_once() {
    let (_dir, store) = store();
    let once = |key: u8| Once { kind: "sign_in", key: [key; 32], body: "there".to_owned(), expires_at: at(60) };
    store.put_once(once(1), at(0)).await.expect("written");
    assert_eq!(store.take_once("challenge", &[1; 32], at(1)).await.expect("reads"), None, "another kind");
    assert_eq!(store.take_once("sign_in", &[1; 32], at(1)).await.expect("reads").as_deref(), Some("there"));
    assert_eq!(store.take_once("sign_in", &[1; 32], at(1)).await.expect("reads"), None, "taken already");
    store.put_once(once(2), at(0)).await.expect("written");
    assert_eq!(store.take_once("sign_in", &[2; 32], at(60)).await.expect("reads"), None, "too late");
}

fn passkey(id: &str, counter: u32) -> Passkey {
    let enrolled = EnrolledPasskey {
        credential_sha256: String::new(),
        public_key: String::new(),
        rp_id: "localhost".to_owned(),
        aaguid: String::new(),
        attestation: "none".to_owned(),
        backup_eligible: false,
        synced: false,
    };
    Passkey {
        id: id.to_owned(),
        person: PersonId::new("p1"),
        label: "key".to_owned(),
        credential: format!("credential of {id}"),
        verifier: serde_json::Value::Null,
        counter,
        enrolled,
        synced: false,
        local: false,
        added_at: at(0),
        used_at: None,
    }
}

#[tokio::test]
async fn a_passkeys_counter_only_grows_and_a_removed_one_is_used_no_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path(), crate::vault::testing::sealer(dir.path())).expect("opens");
    let ada = Person::new(PersonId::new("p1"), "ada".to_owned(), None, BTreeSet::new(), at(0));
    store.add_person(ada.clone(), None, vec![]).await.expect("adds");
    store.add_passkey(passkey("counts", 5), 2, record(0)).await.expect("adds");
    store.add_passkey(passkey("does not", 0), 2, record(0)).await.expect("adds");
    let third = store.add_passkey(passkey("third", 0), 2, record(0)).await;
    assert!(matches!(third, Err(StoreError::Conflict)), "{third:?}");
    let again = store.add_passkey(passkey("counts", 5), 3, record(0)).await;
    assert!(matches!(again, Err(StoreError::NameTaken(_))), "{again:?}");
    for (id, counter, expected) in
        [("counts", 5, false), ("counts", 0, false), ("counts", 6, true), ("counts", 6, false), ("does not", 0, true)]
    {
        let used = store.use_passkey(id, counter, false, at(1)).await.expect("asks");
        assert_eq!(used, expected, "{id} {counter}");
    }
    let other = store.remove_passkey(&PersonId::new("p2"), "counts", record(1)).await;
    assert!(matches!(other, Err(StoreError::NotFound(_))), "somebody else's: {other:?}");
    store.remove_passkey(&ada.id, "counts", record(1)).await.expect("removes");
    assert!(!store.use_passkey("counts", 7, false, at(2)).await.expect("asks"));
    let left: Vec<String> = store.passkeys(&ada.id).await.expect("lists").into_iter().map(|left| left.id).collect();
    assert_eq!(left, ["does not"]);
}
