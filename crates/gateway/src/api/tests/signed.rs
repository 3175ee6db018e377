//! Signed votes as far as no authenticator is needed: who gets a challenge, and how long it is good. The signatures
//! themselves are made and refused in a real browser (`tests/e2e/passkeys.rs`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_core::action::PersonId;
use countersign_core::record::{EnrolledPasskey, Event, Record};
use countersign_core::review::Review;
use serde_json::{Value, json};

use crate::api::testing::{Answer, World, agent_key};
use crate::ports::{Passkey, Passkeys as _, Scope};

const SQL: &str = "UPDATE orders SET status = 'done' WHERE id = $1";

/// Gives dora a passkey whose public key nobody has.
async fn enrol_dora(world: &World) {
    let now = world.gate.scribe.now();
    let enrolled = EnrolledPasskey {
        credential_sha256: String::new(),
        public_key: String::new(),
        rp_id: "gate.example.org".to_owned(),
        aaguid: String::new(),
        attestation: "none".to_owned(),
        backup_eligible: false,
        synced: false,
    };
    let passkey = Passkey {
        id: "k-dora".to_owned(),
        person: PersonId::new("p-dora"),
        label: "key".to_owned(),
        credential: "AAAA".to_owned(),
        verifier: Value::Null,
        counter: 0,
        enrolled,
        synced: false,
        local: true,
        added_at: now,
        used_at: None,
    };
    let record =
        Record { at: now, node: "n1".to_owned(), event: Event::ConfigChanged { what: "a passkey".to_owned() } };
    world.store.add_passkey(passkey, 1, record).await.expect("adds");
}

fn ballot(review: &Review, verdict: &str) -> Value {
    let matter = review.matter();
    let (action, card) = (matter.action.to_string(), matter.card.to_string());
    json!({"verdict": verdict, "action_digest": action, "card_digest": card})
}

async fn challenge(world: &World, review: &Review, secret: &str) -> Answer {
    let path = format!("/api/v1/reviews/{}/votes/challenge", review.matter().id);
    world.post(&path, secret, &ballot(review, "approve")).await
}

/// Answers a challenge with a signature that nobody made.
async fn answer(world: &World, review: &Review, secret: &str, asked: &Answer) -> Answer {
    let challenge = asked.json()["public_key"]["challenge"].clone();
    let said =
        json!({"type": "webauthn.get", "challenge": challenge, "origin": "https://gate.example.org"}).to_string();
    let mut body = ballot(review, "approve");
    body["assertion"] = json!({
        "id": "AAAA", "rawId": "AAAA", "type": "public-key", "extensions": {},
        "response": {"clientDataJSON": URL_SAFE_NO_PAD.encode(said), "authenticatorData": "AAAA", "signature": "AAAA"},
    });
    world.post(&format!("/api/v1/reviews/{}/votes", review.matter().id), secret, &body).await
}

#[tokio::test]
async fn a_signature_that_comes_too_late() {
    let world = World::new().await;
    enrol_dora(&world).await;
    let review = world.ask("coder", SQL).await;
    let dora = world.token("dora", Scope::ReviewVote).await;
    let (first, second) = (challenge(&world, &review, &dora).await, challenge(&world, &review, &dora).await);
    let options = &first.json()["public_key"];
    assert_eq!((&options["rpId"], &options["userVerification"]), (&json!("gate.example.org"), &json!("required")));
    assert_ne!(options["challenge"], second.json()["public_key"]["challenge"]);
    answer(&world, &review, &dora, &first).await.refused(403, "passkey_refused");
    world.clock.advance(121);
    answer(&world, &review, &dora, &second).await.refused(409, "challenge_void");
    assert_eq!(world.recorded_refusals().await, ["passkey_refused", "challenge_void"]);
}

#[tokio::test]
async fn a_challenge_is_for_those_who_may_vote() {
    let world = World::new().await;
    let review = world.ask("coder", SQL).await;
    let token = |person: &'static str| world.token(person, Scope::ReviewVote);
    challenge(&world, &review, &token("ada").await).await.refused(403, "self_approval");
    challenge(&world, &review, &agent_key("coder")).await.refused(403, "self_approval");
    challenge(&world, &review, &token("sam").await).await.refused(403, "not_a_reviewer");
    challenge(&world, &review, &token("dora").await).await.refused(403, "passkey_required");
    let expected = ["self_approval", "self_approval", "not_a_reviewer", "passkey_required"];
    assert_eq!(world.recorded_refusals().await, expected);
}
