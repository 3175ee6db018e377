//! Tokens of an issuer with planted keys, against a real store: which are exchanged, for what, and who joins the side.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use countersign_core::action::AgentId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::ports::{Account, Clock, NewAgentKey, Person, ScramVerifier};
use crate::store::sqlite::SqliteStore;

const NOW: i64 = 1_900_000_000;

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

struct Bench {
    workloads: Workloads,
    directory: Arc<dyn Directory>,
    clock: Arc<HandClock>,
    pair: KeyPair,
    roster: Arc<Roster>,
    _dir: TempDir,
}

fn jwks(pair: &KeyPair) -> Value {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let raw = pair.public_key_raw();
    json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": encode(&raw[1..33]), "y": encode(&raw[33..])}]})
}

fn config(dir: &Path) -> Config {
    let keys = dir.join("jwks.json");
    let text = format!(
        r#"
[[issuer]]
name = "ci"
issuer = "https://ci.example"
audience = "gate"
jwks_file = "{keys}"
claims = {{ ref = "ref", repository = "repository" }}

[[issuer.agent]]
name = "deployer"
match = {{ repository_id = "7", ref = "refs/heads/*" }}
person = {{ claim = "actor_id", provider = "github", on_behalf_of = true }}

[[issuer.agent]]
name = "coder"
match = {{ repository_id = "8" }}

[[issuer]]
name = "mesh"
kind = "spiffe"
issuer = "spiffe://prod.example"
audience = "gate"
jwks_file = "{keys}"

[[issuer.agent]]
name = "coder"
match = {{ sub = "spiffe://prod.example/coder" }}
"#,
        keys = keys.display()
    );
    Config::parse(&dir.join("countersign.toml"), &text).unwrap()
}

impl Bench {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        std::fs::write(dir.path().join("jwks.json"), jwks(&pair).to_string()).unwrap();
        let directory: Arc<dyn Directory> =
            Arc::new(SqliteStore::open(dir.path(), crate::vault::testing::sealer(dir.path())).unwrap());
        let clock = Arc::new(HandClock(AtomicI64::new(NOW)));
        let scribe = Scribe::new(clock.clone(), "n".to_owned());
        for (name, provider, subject) in
            [("ada", "okta", "1"), ("bea", "github", "583231"), ("cy", "ci", "cy@ci"), ("zoe", "github", "666")]
        {
            let person = Person { suspended: name == "zoe", ..person(name, scribe.now()) };
            let account = Account {
                provider: provider.to_owned(),
                subject: subject.to_owned(),
                person: person.id.clone(),
                label: String::new(),
                proof: "host".to_owned(),
                linked_at: scribe.now(),
            };
            directory.add_person(person, Some(account), Vec::new()).await.unwrap();
        }
        for (name, owner) in [("deployer", "ada"), ("coder", "cy")] {
            let agent =
                Agent::new(AgentId::new(name), name.to_owned(), PersonId::new(owner), BTreeSet::new(), scribe.now());
            let key = AgentKey::own(format!("k-{name}"), &agent, scribe.now());
            let verifier = ScramVerifier::generate(&"secret".into()).unwrap();
            let new = NewAgentKey { key, verifier, hash: keys::hash(&format!("csk_{name}")) };
            let added = scribe.record(countersign_core::record::Event::ConfigChanged { what: "test".to_owned() });
            directory.add_agent(agent, new, added).await.unwrap();
        }
        let roster = Arc::new(Roster::open(directory.clone()).await.unwrap());
        let workloads = Workloads::new(&config(dir.path()), directory.clone(), roster.clone(), scribe).unwrap();
        Self { workloads, directory, clock, pair, roster, _dir: dir }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&self.pair.serialize_der())).unwrap()
    }

    async fn offer(&self, claims: &Value, actor: Option<&str>) -> Result<Exchanged, Refused> {
        self.workloads.exchange(&Offer { subject: &self.sign(claims), actor }).await
    }

    #[track_caller]
    fn refused(result: Result<Exchanged, Refused>, code: Code) -> Refused {
        let refused = result.err().expect("it is refused");
        assert_eq!(refused.code, code, "{}", refused.detail);
        refused
    }
}

fn person(name: &str, at: Timestamp) -> Person {
    Person::new(PersonId::new(name), name.to_owned(), None, BTreeSet::new(), at)
}

fn claims(change: Value) -> Value {
    let mut claims = json!({"iss": "https://ci.example", "aud": "gate", "sub": "repo:acme/app", "jti": "j", "iat": NOW,
        "exp": NOW + 600, "repository_id": 7, "repository": "acme/app", "ref": "refs/heads/main", "actor_id": "583231"});
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn names(ids: &BTreeSet<PersonId>) -> Vec<&str> {
    ids.iter().map(PersonId::as_str).collect()
}

#[tokio::test]
async fn a_job_gets_a_key_that_acts_for_who_started_it() {
    let bench = Bench::new().await;
    let made = bench.offer(&claims(json!({})), None).await.unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!((made.agent.name.as_str(), made.expires_in), ("deployer", 600));
    let now = bench.clock.now();
    let (agent, key, _) = bench.directory.agent_login(&made.minted.key.login, now).await.unwrap().unwrap();
    let by_bearer = bench.directory.agent_by_key(&keys::hash(&made.minted.secret), now).await.unwrap();
    assert_eq!(by_bearer, Some((agent.clone(), key.clone())));
    let side = bench.roster.current().requester(&agent, &key, now).unwrap();
    assert_eq!(side.on_behalf_of.id, PersonId::new("bea"));
    assert_eq!(names(&side.closure), ["ada", "bea"]);
    let job = side.requester.job().unwrap();
    assert_eq!((job.issuer.as_str(), job.subject.as_str()), ("ci", "repo:acme/app"));
    assert_eq!((job.git_ref.as_deref(), job.environment.as_deref()), (Some("refs/heads/main"), None));
    // with its end, the key is nobody's
    bench.clock.0.fetch_add(600, Ordering::SeqCst);
    assert_eq!(bench.directory.agent_login(&made.minted.key.login, bench.clock.now()).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_lives_an_hour_at_most() {
    let bench = Bench::new().await;
    let made = bench.offer(&claims(json!({"exp": NOW + 90_000})), None).await;
    assert_eq!(made.map(|made| made.expires_in), Ok(KEY_SECONDS_MAX));
    // within the leeway the token is believed, but no key can live as long
    Bench::refused(bench.offer(&claims(json!({"exp": NOW, "jti": "late"})), None).await, Code::TokenExpired);
}

#[tokio::test]
async fn a_token_is_exchanged_once() {
    let bench = Bench::new().await;
    let same = claims(json!({}));
    let (one, two) = tokio::join!(bench.offer(&same, None), bench.offer(&same, None));
    assert_eq!([&one, &two].into_iter().filter(|made| made.is_ok()).count(), 1);
    // as long as it would be believed, the leeway included
    bench.clock.0.fetch_add(599, Ordering::SeqCst);
    let refused = Bench::refused(bench.offer(&claims(json!({})), None).await, Code::TokenReplayed);
    assert_eq!(refused.issuer.as_deref(), Some("ci"));
    // signed anew, with the same name
    Bench::refused(bench.offer(&claims(json!({"iat": NOW + 1})), None).await, Code::TokenReplayed);
    assert!(bench.offer(&claims(json!({"jti": "another"})), None).await.is_ok());
}

#[tokio::test]
async fn a_token_that_says_no_name_is_known_by_what_was_signed() {
    let bench = Bench::new().await;
    let anonymous = claims(json!({"jti": null}));
    assert!(bench.offer(&anonymous, None).await.is_ok());
    // ECDSA signs the same text in another way each time
    assert_ne!(bench.sign(&anonymous), bench.sign(&anonymous));
    Bench::refused(bench.offer(&anonymous, None).await, Code::TokenReplayed);
}

#[tokio::test]
async fn what_fits_no_rule_or_names_nobody_is_refused() {
    let bench = Bench::new().await;
    let cases = [
        (json!({"repository_id": 9}), Code::JobUnmatched),
        (json!({"ref": "refs/tags/v1"}), Code::JobUnmatched),
        (json!({"ref": null}), Code::JobUnmatched),
        (json!({"repository_id": ["7"]}), Code::JobUnmatched),
        (json!({"actor_id": "1"}), Code::AccountUnlinked),
        (json!({"actor_id": null}), Code::DelegationRefused),
        (json!({"actor_id": "666"}), Code::DelegationRefused),
        (json!({"sub": ""}), Code::TokenMalformed),
        (json!({"repository": "x".repeat(2000)}), Code::TokenMalformed),
        (json!({"iss": "https://other.example"}), Code::IssuerUnknown),
        (json!({"aud": "other"}), Code::TokenAudience),
        (json!({"exp": NOW - 61}), Code::TokenExpired),
    ];
    for (change, code) in cases {
        Bench::refused(bench.offer(&claims(change), None).await, code);
    }
    let unlinked = bench.offer(&claims(json!({"actor_id": "1"})), None).await;
    let detail = Bench::refused(unlinked, Code::AccountUnlinked).detail;
    assert!(detail.contains("countersign person link NAME --provider github --subject 1"), "{detail}");
    // nothing of it used the token up
    assert!(bench.offer(&claims(json!({})), None).await.is_ok());
}

#[tokio::test]
async fn everyone_a_job_acts_through_joins_its_side() {
    let bench = Bench::new().await;
    // a person of the same issuer, through an agent of ours in another one
    let act = json!({"sub": "cy@ci", "act": {"iss": "spiffe://prod.example", "sub": "spiffe://prod.example/coder"}});
    let made = bench.offer(&claims(json!({"act": act})), None).await.unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!(names(&made.minted.key.delegation.through), ["bea", "cy"]);
    // somebody known by where people sign in
    let act = json!({"iss": "okta", "sub": "1"});
    let made = bench.offer(&claims(json!({"act": act, "jti": "z"})), None).await.unwrap_or_else(|r| panic!("{r:?}"));
    assert_eq!(names(&made.minted.key.delegation.through), ["ada", "bea"]);
    let hole = [
        json!({"sub": "nobody"}),
        json!({"iss": "https://other.example", "sub": "cy@ci"}),
        json!({"iss": "https://ci.example"}),
        json!({"sub": "cy@ci", "act": {"sub": "nobody"}}),
        json!({"sub": "cy@ci", "act": "cy@ci"}),
        json!("cy@ci"),
    ];
    for act in hole {
        let refused = bench.offer(&claims(json!({"act": act, "jti": "x"})), None).await.err().expect("refused");
        assert!(matches!(refused.code, Code::AccountUnlinked | Code::DelegationRefused), "{act}: {refused:?}");
    }
    let mut deep = json!({"sub": "cy@ci"});
    for _ in 0..ACTORS_MAX {
        deep = json!({"sub": "cy@ci", "act": deep});
    }
    Bench::refused(bench.offer(&claims(json!({"act": deep, "jti": "y"})), None).await, Code::DelegationRefused);
}

#[tokio::test]
async fn an_actors_own_token_is_checked_like_any() {
    let bench = Bench::new().await;
    let through = |result: Result<Exchanged, Refused>| {
        let made = result.unwrap_or_else(|refused| panic!("{refused:?}"));
        made.minted.key.delegation.through.iter().map(PersonId::to_string).collect::<Vec<_>>()
    };
    let by_key = bench.offer(&claims(json!({})), Some("csk_coder")).await;
    assert_eq!(through(by_key), ["bea", "cy"]);
    let cy =
        bench.sign(&json!({"iss": "https://ci.example", "aud": "gate", "sub": "cy@ci", "iat": NOW, "exp": NOW + 9}));
    assert_eq!(through(bench.offer(&claims(json!({"jti": "2"})), Some(&cy)).await), ["bea", "cy"]);
    let foreign = json!({"iss": "https://ci.example", "aud": "other", "sub": "cy@ci", "iat": NOW, "exp": NOW + 9});
    let cases = [
        ("csk_unknown".to_owned(), Code::DelegationRefused),
        (bench.sign(&foreign), Code::TokenAudience),
        ("rubbish".to_owned(), Code::TokenMalformed),
    ];
    for (actor, code) in cases {
        Bench::refused(bench.offer(&claims(json!({"jti": "3"})), Some(&actor)).await, code);
    }
}

#[tokio::test]
async fn a_spiffe_id_is_of_its_trust_domain() {
    let bench = Bench::new().await;
    let svid = |sub: &str| json!({"sub": sub, "aud": ["gate"], "exp": NOW + 300});
    let made = bench.offer(&svid("spiffe://prod.example/coder"), None).await.unwrap_or_else(|r| panic!("{r:?}"));
    assert_eq!(made.agent.name, "coder");
    Bench::refused(bench.offer(&svid("spiffe://prod.example/other"), None).await, Code::JobUnmatched);
    for other in ["spiffe://prod.example.org/coder", "spiffe://prod.example", "spiffe://dev.example/coder"] {
        Bench::refused(bench.offer(&svid(other), None).await, Code::IssuerUnknown);
    }
    // a file that several processes read: more than once, and not without end
    for _ in 1..20 {
        assert!(bench.offer(&svid("spiffe://prod.example/coder"), None).await.is_ok());
    }
    Bench::refused(bench.offer(&svid("spiffe://prod.example/coder"), None).await, Code::TokenReplayed);
}

#[tokio::test]
async fn an_agent_without_a_live_owner_gets_no_key() {
    let bench = Bench::new().await;
    let people = bench.directory.people().await.unwrap();
    let ada = people.into_iter().find(|person| person.name == "ada").unwrap();
    let suspended = Person { suspended: true, ..ada.clone() };
    bench.directory.update_person(ada, suspended, Vec::new()).await.unwrap();
    bench.roster.refresh().await.unwrap();
    Bench::refused(bench.offer(&claims(json!({})), None).await, Code::DelegationRefused);
    let coder = claims(json!({"repository_id": "8"}));
    assert!(bench.offer(&coder, None).await.is_ok());
    let agents = bench.directory.agents().await.unwrap();
    let revoked = agents.into_iter().find(|agent| agent.name == "coder").unwrap();
    let revoked = Agent { revoked_at: Some(bench.clock.now()), ..revoked };
    let scribe = Scribe::new(bench.clock.clone(), "n".to_owned());
    let record = scribe.record(countersign_core::record::Event::ConfigChanged { what: "test".to_owned() });
    bench.directory.update_agent(revoked, record).await.unwrap();
    Bench::refused(bench.offer(&claims(json!({"repository_id": "8", "jti": "2"})), None).await, Code::JobUnmatched);
}
