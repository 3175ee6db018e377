//! Tokens that must and must not be believed, by keys made for the test.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _};
use serde_json::json;
use tempfile::TempDir;

use super::super::jwks::{KEPT_MAX, RETRY_AFTER, Source, client};
use super::*;
use crate::config::issuer::is_trustworthy;

const NOW: Timestamp = Timestamp::from_seconds(1_900_000_000);
const ISSUER: &str = "https://issuer.example";

/// An issuer with keys of its own, published in a file.
struct Issuer {
    dir: TempDir,
    keys: Keys,
}

struct Pair {
    id: &'static str,
    algorithm: Algorithm,
    pair: KeyPair,
}

fn p256(id: &'static str) -> Pair {
    Pair { id, algorithm: Algorithm::ES256, pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap() }
}

fn ed25519(id: &'static str) -> Pair {
    Pair { id, algorithm: Algorithm::EdDSA, pair: KeyPair::generate_for(&PKCS_ED25519).unwrap() }
}

impl Pair {
    fn jwk(&self) -> Value {
        let raw = self.pair.public_key_raw();
        match self.algorithm {
            Algorithm::ES256 => json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256",
                "x": URL_SAFE_NO_PAD.encode(&raw[1..33]), "y": URL_SAFE_NO_PAD.encode(&raw[33..])}),
            _ => json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": URL_SAFE_NO_PAD.encode(raw)}),
        }
    }

    fn signer(&self) -> EncodingKey {
        match self.algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&self.pair.serialize_der()),
            _ => EncodingKey::from_ed_der(&self.pair.serialize_der()),
        }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.signer()).unwrap()
    }
}

impl Issuer {
    fn publishing(keys: &[Value]) -> Self {
        let dir = TempDir::new().unwrap();
        let source = Source::File(dir.path().join("jwks.json"));
        let issuer = Self { keys: Keys::new(client(Vec::new()).unwrap(), source), dir };
        issuer.publish(keys);
        issuer
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("jwks.json")
    }

    fn publish(&self, keys: &[Value]) {
        std::fs::write(self.file(), json!({ "keys": keys }).to_string()).unwrap();
    }

    async fn verify(&self, token: &str) -> Result<Claims, Error> {
        self.verify_within(token, None).await
    }

    async fn verify_within(&self, token: &str, age_seconds_max: Option<i64>) -> Result<Claims, Error> {
        self.verify_as(token, Expectations { age_seconds_max, ..usual() }).await
    }

    async fn verify_as(&self, token: &str, expected: Expectations<'_>) -> Result<Claims, Error> {
        verify(&self.keys, token, &expected, NOW).await
    }
}

fn usual() -> Expectations<'static> {
    Expectations {
        issuer: Some(ISSUER),
        audience: "countersign",
        algorithms: &Signing::ALL,
        types: &["", "jwt"],
        age_seconds_max: None,
        leeway_seconds: LEEWAY_SECONDS,
        endorsement: None,
    }
}

fn claims() -> Value {
    let now = NOW.micros() / 1_000_000;
    json!({"iss": ISSUER, "aud": "countersign", "sub": "job", "jti": "1", "iat": now - 5, "nbf": now - 5, "exp": now + 300})
}

fn with(change: Value) -> Value {
    let mut claims = claims();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn time(detail: &'static str) -> Error {
    Error::Time(detail)
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_is_believed() {
    for pair in [p256("one"), ed25519("two")] {
        let issuer = Issuer::publishing(&[p256("other").jwk(), pair.jwk()]);
        let believed = issuer.verify(&pair.sign(&claims())).await.unwrap();
        assert_eq!((believed.issuer(), believed.subject(), believed.id()), (Some(ISSUER), Some("job"), Some("1")));
        assert_eq!(believed.expires_at(), Some(NOW.plus_seconds(300)));
    }
}

#[tokio::test]
async fn what_is_not_for_us_or_not_in_force_is_not_believed() {
    let now = NOW.micros() / 1_000_000;
    let pair = p256("one");
    let issuer = Issuer::publishing(&[pair.jwk()]);
    let audience = || Error::Audience("countersign".to_owned());
    let cases = [
        (json!({"iss": "https://issuer.example/"}), Error::Issuer),
        (json!({"iss": null}), Error::Issuer),
        (json!({"iss": [ISSUER]}), Error::Issuer),
        (json!({"aud": "countersign2"}), audience()),
        (json!({"aud": ["a", "b"]}), audience()),
        (json!({"aud": null}), audience()),
        (json!({"aud": {"countersign": true}}), audience()),
        (json!({"exp": now - 60}), time("it has expired")),
        (json!({"exp": null}), time("it does not say when it ends")),
        (json!({"exp": "4000000000"}), time("one of its times is not a time")),
        (json!({"exp": -1}), time("one of its times is not a time")),
        (json!({"exp": 1e300}), time("one of its times is not a time")),
        (json!({"nbf": now + 61}), time("it is from the future")),
        (json!({"iat": now + 61}), time("it is from the future")),
        (json!({"nbf": "soon"}), time("one of its times is not a time")),
    ];
    for (change, expected) in cases {
        assert_eq!(issuer.verify(&pair.sign(&with(change.clone()))).await, Err(expected), "{change}");
    }
    for within_leeway in [json!({"exp": now - 59}), json!({"nbf": now + 59}), json!({"aud": ["x", "countersign"]})] {
        assert!(issuer.verify(&pair.sign(&with(within_leeway))).await.is_ok());
    }
}

/// An issuer that signs for several services says of each key which ones it is for.
#[tokio::test]
async fn a_key_that_is_endorsed_for_something_else_signs_nothing_for_us() {
    let (plain, other, ours) = (p256("plain"), p256("other"), p256("ours"));
    let endorsed = |pair: &Pair, endorsements: Value| {
        let mut jwk = pair.jwk();
        jwk["endorsements"] = endorsements;
        jwk
    };
    let odd = p256("odd");
    let issuer = Issuer::publishing(&[
        plain.jwk(),
        endorsed(&other, json!(["webchat", "msteams2"])),
        endorsed(&ours, json!(["skype", "msteams"])),
        endorsed(&odd, json!("msteams")),
    ]);
    let expected = Expectations { endorsement: Some("msteams"), ..usual() };
    for pair in [&plain, &other] {
        let refused = Err(Error::Endorsement("msteams".to_owned()));
        assert_eq!(issuer.verify_as(&pair.sign(&claims()), expected).await, refused, "{}", pair.id);
        assert!(issuer.verify(&pair.sign(&claims())).await.is_ok(), "where nobody asks for it");
    }
    let unreadable = issuer.verify_as(&odd.sign(&claims()), expected).await;
    assert_eq!(unreadable, Err(Error::Keys(jwks::Error::UnknownKey)), "no list: no key");
    assert!(issuer.verify_as(&ours.sign(&claims()), expected).await.is_ok());
}

/// Bot Framework asks for five minutes.
#[tokio::test]
async fn an_issuers_clock_may_be_off_by_as_much_as_is_said() {
    let now = NOW.micros() / 1_000_000;
    let pair = p256("one");
    let issuer = Issuer::publishing(&[pair.jwk()]);
    let expected = Expectations { leeway_seconds: 300, ..usual() };
    let verdict = async |change: Value| issuer.verify_as(&pair.sign(&with(change)), expected).await.map(drop);
    assert_eq!(verdict(json!({"exp": now - 299})).await, Ok(()));
    assert_eq!(verdict(json!({"exp": now - 300})).await, Err(time("it has expired")));
    assert_eq!(verdict(json!({"nbf": now + 299})).await, Ok(()));
    assert_eq!(verdict(json!({"nbf": now + 301})).await, Err(time("it is from the future")));
}

#[tokio::test]
async fn a_token_may_be_too_old_before_it_ends() {
    let now = NOW.micros() / 1_000_000;
    let pair = p256("one");
    let issuer = Issuer::publishing(&[pair.jwk()]);
    let old = pair.sign(&with(json!({"iat": now - 700})));
    assert!(issuer.verify(&old).await.is_ok());
    assert_eq!(issuer.verify_within(&old, Some(600)).await, Err(time("it was issued too long ago")));
    let silent = pair.sign(&with(json!({"iat": null})));
    assert_eq!(issuer.verify_within(&silent, Some(600)).await, Err(time("it does not say when it was issued")));
}

#[tokio::test]
async fn no_token_is_believed_without_a_signature_by_an_asymmetric_key() {
    let pair = p256("one");
    // an issuer that would even publish a symmetric key
    let symmetric = json!({"kty": "oct", "kid": "one", "alg": "HS256", "k": "c2VjcmV0"});
    let issuer = Issuer::publishing(&[symmetric, pair.jwk()]);
    let body = URL_SAFE_NO_PAD.encode(claims().to_string());
    for alg in ["none", "None", "NONE", "", "ES512", "es256"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "one"}).to_string());
        for signature in ["", "AAAA"] {
            let refused = issuer.verify(&format!("{header}.{body}.{signature}")).await;
            assert!(matches!(refused, Err(Error::Malformed(_))), "{alg}: {refused:?}");
        }
    }
    // the public key, in every form an attacker has it, as the secret of an HMAC
    let jwk = pair.jwk().to_string();
    for secret in
        [b"secret".as_slice(), pair.pair.public_key_raw(), &pair.pair.subject_public_key_info(), jwk.as_bytes()]
    {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = Header { kid: Some("one".to_owned()), ..Header::new(algorithm) };
            let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
            let refused = issuer.verify(&token).await;
            assert!(matches!(refused, Err(Error::Malformed(_))), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn a_changed_token_or_another_key_is_noticed() {
    let (pair, thief) = (p256("one"), p256("one"));
    let issuer = Issuer::publishing(&[pair.jwk()]);
    let token = pair.sign(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(with(json!({"sub": "admin"})).to_string());
    assert_eq!(issuer.verify(&format!("{}.{other}.{}", parts[0], parts[2])).await, Err(Error::Signature));
    assert_eq!(issuer.verify(&thief.sign(&claims())).await, Err(Error::Signature));
    // a key that the token brings along counts for nothing
    let header = json!({"alg": "ES256", "kid": "one", "jwk": thief.jwk(), "jku": "https://thief.example/"});
    let unsigned = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1]);
    let signature = jsonwebtoken::crypto::sign(unsigned.as_bytes(), &thief.signer(), Algorithm::ES256).unwrap();
    assert_eq!(issuer.verify(&format!("{unsigned}.{signature}")).await, Err(Error::Signature));
    // the right key under another algorithm's name
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "kid": "one"}).to_string());
    let refused = issuer.verify(&format!("{header}.{}.{}", parts[1], parts[2])).await;
    assert_eq!(refused, Err(Error::Keys(jwks::Error::UnknownKey)));
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_asking_for_keys() {
    let issuer = Issuer::publishing(&[p256("one").jwk()]);
    let long = "a".repeat(TOKEN_BYTES_MAX + 1);
    let header = |value: Value| format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(value.to_string()));
    let tokens = [
        String::new(),
        "a.b".to_owned(),
        "a.b.c.d.e".to_owned(),
        "~.~.~".to_owned(),
        long,
        header(json!([])),
        header(json!({"alg": "ES256", "crit": ["exp"], "exp": 1})),
        header(json!({"alg": "ES256", "b64": false})),
        header(json!({"alg": "ES256", "typ": "logout+jwt"})),
        header(json!({"alg": "ES256", "kid": "k".repeat(KEY_ID_BYTES_MAX + 1)})),
        header(json!({"alg": ["ES256"]})),
    ];
    for token in tokens {
        let refused = issuer.verify(&token).await;
        assert!(matches!(refused, Err(Error::Malformed(_))), "{refused:?}");
    }
    assert!(issuer.keys.untouched());
}

#[tokio::test(start_paused = true)]
async fn new_keys_are_found_but_the_issuer_is_not_asked_at_every_token() {
    let (old, new) = (p256("old"), p256("new"));
    let issuer = Issuer::publishing(&[old.jwk()]);
    assert!(issuer.verify(&old.sign(&claims())).await.is_ok());
    issuer.publish(&[old.jwk(), new.jwk()]);
    let unknown = Err(Error::Keys(jwks::Error::UnknownKey));
    assert_eq!(issuer.verify(&new.sign(&claims())).await, unknown); // asked a moment ago
    tokio::time::advance(RETRY_AFTER).await;
    assert_eq!(issuer.verify(&p256("never").sign(&claims())).await, unknown); // this one asks
    assert!(issuer.verify(&new.sign(&claims())).await.is_ok());
    assert!(issuer.verify(&old.sign(&claims())).await.is_ok());
    // a key that was withdrawn is forgotten with the next look
    issuer.publish(&[new.jwk()]);
    tokio::time::advance(Duration::from_secs(11 * 60)).await;
    assert_eq!(issuer.verify(&old.sign(&claims())).await, unknown);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_refuses_once_its_keys_are_old() {
    let pair = p256("one");
    let issuer = Issuer::publishing(&[pair.jwk()]);
    let token = pair.sign(&claims());
    assert!(issuer.verify(&token).await.is_ok());
    std::fs::remove_file(issuer.file()).unwrap();
    tokio::time::advance(KEPT_MAX - Duration::from_secs(60)).await;
    assert!(issuer.verify(&token).await.is_ok());
    tokio::time::advance(Duration::from_secs(61)).await;
    let refused = issuer.verify(&token).await;
    assert!(matches!(refused, Err(Error::Keys(jwks::Error::Unavailable(_)))), "{refused:?}");
    issuer.publish(&[pair.jwk()]);
    tokio::time::advance(RETRY_AFTER).await;
    assert!(issuer.verify(&token).await.is_ok());
}

#[tokio::test]
async fn a_token_that_names_no_key_needs_an_issuer_with_one() {
    let (pair, other) = (p256("one"), p256("two"));
    let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(), &pair.signer()).unwrap();
    assert!(Issuer::publishing(&[ed25519("x").jwk(), pair.jwk()]).verify(&token).await.is_ok());
    let unknown = Err(Error::Keys(jwks::Error::UnknownKey));
    assert_eq!(Issuer::publishing(&[other.jwk(), pair.jwk()]).verify(&token).await, unknown);
}

#[tokio::test]
async fn keys_for_other_purposes_are_passed_over() {
    let pair = p256("one");
    let changed = |name: &str, value: Value| {
        let mut jwk = pair.jwk();
        jwk[name] = value;
        jwk
    };
    let token = pair.sign(&claims());
    let others = [changed("use", json!("enc")), changed("alg", json!("ES384")), changed("key_ops", json!(["sign"]))];
    for jwk in others {
        let refused = Issuer::publishing(std::slice::from_ref(&jwk)).verify(&token).await;
        assert!(matches!(refused, Err(Error::Keys(jwks::Error::Unavailable(_)))), "{jwk}: {refused:?}");
    }
    let beside_nonsense = [json!(7), json!({"kty": "EC"}), json!({"kty": "new"}), pair.jwk()];
    assert!(Issuer::publishing(&beside_nonsense).verify(&token).await.is_ok());
}

#[test]
fn claims_are_found_by_path() {
    let claims =
        json!({"kubernetes.io": {"namespace": "prod"}, "a/b": "whole", "a": {"b": "part", "n": 7, "l": ["x"]}});
    let Value::Object(claims) = claims else { unreachable!() };
    let claims = Claims(claims);
    assert_eq!(claims.text("a/b").as_deref(), Some("whole"));
    assert_eq!(claims.text("a/n").as_deref(), Some("7"));
    assert_eq!(claims.text("a/l"), None);
    assert_eq!(claims.text("a/c"), None);
    assert_eq!(claims.text("kubernetes.io/namespace").as_deref(), Some("prod"));
}

#[test]
fn what_may_be_asked_is_encrypted_or_here() {
    let may = |url: &str| is_trustworthy(&reqwest::Url::parse(url).unwrap());
    for url in
        ["https://a.example/x", "http://127.0.0.1:9/x", "http://localhost/", "http://[::1]:3/", "http://127.9.9.9/"]
    {
        assert!(may(url), "{url}");
    }
    for url in [
        "http://a.example/",
        "http://127.0.0.1.example/",
        "ftp://127.0.0.1/",
        "https://u:p@a.example/",
        "file:///etc/passwd",
        "http://0.0.0.0/",
        "http://169.254.169.254/",
    ] {
        assert!(!may(url), "{url}");
    }
}
