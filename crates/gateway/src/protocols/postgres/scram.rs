//! SCRAM-SHA-256, server side: a client proves that it knows its key, and we prove that we know its verifier.
//!
//! Sans I/O: [`Server`] takes the client's first message and becomes [`Challenged`]; that takes its last and yields
//! [`Authenticated`], which nothing else can make. Does what PostgreSQL's `auth-scram.c` does: the name in the exchange is
//! ignored (the start-up packet's counts), unknown users get a challenge that looks like any other, channel binding is
//! `tls-server-end-point`, and a client that was talked out of it (`y`) is refused.
//!
//! Specification: RFC 5802, RFC 7677, RFC 5929 §4.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use crate::ports::ScramVerifier;

/// The mechanism without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// PBKDF2 rounds of every verifier. One figure for all, or a challenge would tell who exists. Keys have 256 random bits:
/// more rounds would add nothing but time.
pub const ITERATIONS: u32 = 4096;
/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;
/// Random bytes of our part of the nonce.
const NONCE_BYTES: usize = 18;
/// Longest message of a client (PostgreSQL's `PG_MAX_SASL_MESSAGE_LENGTH`).
const MESSAGE_BYTES_MAX: usize = 1024;

/// Why a login by SCRAM failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// The client does not speak the exchange: `08P01`.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// The client chose a mechanism that was not offered: `08P01`.
    #[error("the client selected an authentication mechanism that was not offered")]
    UnknownMechanism,
    /// The client asks for something we do not do: `0A000`.
    #[error("SCRAM: {0} is not supported")]
    Unsupported(&'static str),
    /// Somebody between us hid that we offer channel binding: `28000`.
    #[error("the client supports SCRAM channel binding but thinks the server does not")]
    Downgraded,
    /// The client is bound to another TLS connection than ours: `28000`.
    #[error("SCRAM channel binding check failed")]
    BindingMismatch,
    /// Unknown user or wrong key; nobody can tell which: `28P01`.
    #[error("authentication failed")]
    WrongProof,
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

impl ScramVerifier {
    /// The verifier of a key. The key is taken as its bytes: for the ASCII keys we mint that is what SASLprep yields.
    pub fn derive(key: &SecretString, salt: &[u8], iterations: u32) -> Self {
        let salted = Zeroizing::new(pbkdf2(key.expose_secret().as_bytes(), salt, iterations));
        let client_key = Zeroizing::new(hmac(&*salted, &[b"Client Key"]));
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: Sha256::digest(client_key.as_slice()).into(),
            server_key: hmac(&*salted, &[b"Server Key"]),
        }
    }

    /// The verifier of a new key: a random salt and the usual rounds.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn generate(key: &SecretString) -> Result<Self, getrandom::Error> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt)?;
        Ok(Self::derive(key, &salt, ITERATIONS))
    }
}

/// What salts of users who do not exist are made of: random, kept as long as the verifiers are, told to nobody.
#[derive(Clone)]
pub struct MockSecret(Zeroizing<[u8; 32]>);

impl MockSecret {
    /// From stored bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    fn salt(&self, user: &str) -> Vec<u8> {
        hmac(&*self.0, &[b"countersign mock salt\0", user.as_bytes()])[..SALT_BYTES].to_vec()
    }
}

/// Who wants to log in, and over what.
pub struct Login<'a> {
    /// The start-up packet's user.
    pub user: &'a str,
    /// Their verifier; `None` if there is no such user.
    pub verifier: Option<ScramVerifier>,
    /// For users who do not exist.
    pub mock_secret: &'a MockSecret,
    /// The hash of the certificate that the client's TLS connection shows; `None` without TLS.
    pub endpoint: Option<Vec<u8>>,
}

/// Waits for the client's choice and first message.
pub struct Server {
    verifier: ScramVerifier,
    known: Choice,
    endpoint: Option<Vec<u8>>,
}

impl Server {
    /// For one login.
    pub fn new(login: Login<'_>) -> Self {
        let known = Choice::from(u8::from(login.verifier.is_some()));
        // Made in any case, so that both cases take the same time.
        let salt = login.mock_secret.salt(login.user);
        let mock = ScramVerifier { salt, iterations: ITERATIONS, stored_key: [0; 32], server_key: [0; 32] };
        Self { verifier: login.verifier.unwrap_or(mock), known, endpoint: login.endpoint }
    }

    /// What to offer, best first.
    pub fn mechanisms(&self) -> &'static [&'static str] {
        if self.endpoint.is_some() { &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256] } else { &[SCRAM_SHA_256] }
    }

    /// Takes the client's first message; yields the challenge to send as `AuthenticationSASLContinue`.
    ///
    /// # Errors
    /// [`ScramError`]; the connection must be closed.
    pub fn first(self, mechanism: &str, message: &[u8]) -> Result<(Challenged, String), ScramError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        self.first_with(mechanism, message, &BASE64.encode(nonce))
    }

    fn first_with(self, mechanism: &str, message: &[u8], our_nonce: &str) -> Result<(Challenged, String), ScramError> {
        let client = ClientFirst::parse(text(message)?)?;
        let binding = self.binding(mechanism, client.flag)?;
        let nonce = format!("{}{our_nonce}", client.nonce);
        let challenge = format!("r={nonce},s={},i={}", BASE64.encode(&self.verifier.salt), self.verifier.iterations);
        let challenged = Challenged {
            verifier: self.verifier,
            known: self.known,
            nonce,
            binding: BASE64.encode(binding),
            exchange: format!("{},{challenge}", client.bare),
        };
        Ok((challenged, challenge))
    }

    /// What the client's last message must bind to: its GS2 header, and the certificate's hash if it binds.
    fn binding(&self, mechanism: &str, flag: Flag) -> Result<Vec<u8>, ScramError> {
        let plus = match mechanism {
            SCRAM_SHA_256 => false,
            SCRAM_SHA_256_PLUS if self.endpoint.is_some() => true,
            _ => return Err(ScramError::UnknownMechanism),
        };
        match (flag, &self.endpoint, plus) {
            (Flag::Bound, Some(endpoint), true) => Ok([b"p=tls-server-end-point,,", endpoint.as_slice()].concat()),
            (Flag::Bound, _, _) => Err(ScramError::Malformed("channel binding without SCRAM-SHA-256-PLUS")),
            (_, _, true) => Err(ScramError::Malformed("SCRAM-SHA-256-PLUS without channel binding")),
            (Flag::ServerCannot, Some(_), false) => Err(ScramError::Downgraded),
            (Flag::ServerCannot, None, false) => Ok(b"y,,".to_vec()),
            (Flag::Unsupported, _, false) => Ok(b"n,,".to_vec()),
        }
    }
}

/// Waits for the client's proof.
pub struct Challenged {
    verifier: ScramVerifier,
    known: Choice,
    nonce: String,
    binding: String,
    exchange: String,
}

impl Challenged {
    /// Takes the client's last message.
    ///
    /// # Errors
    /// [`ScramError`]; the connection must be closed.
    pub fn finish(self, message: &[u8]) -> Result<Authenticated, ScramError> {
        let client = ClientFinal::parse(text(message)?)?;
        if client.nonce != self.nonce {
            return Err(ScramError::Malformed("the nonce does not match"));
        }
        if client.binding != self.binding {
            return Err(ScramError::BindingMismatch);
        }
        let exchange = [self.exchange.as_bytes(), b",", client.without_proof.as_bytes()];
        let signature = hmac(&self.verifier.stored_key, &exchange);
        let mut client_key = client.proof;
        client_key.iter_mut().zip(signature).for_each(|(key, signature)| *key ^= signature);
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        client_key.zeroize();
        if !bool::from(stored_key.ct_eq(&self.verifier.stored_key) & self.known) {
            return Err(ScramError::WrongProof);
        }
        let signature = BASE64.encode(hmac(&self.verifier.server_key, &exchange));
        Ok(Authenticated { message: format!("v={signature}") })
    }
}

/// Proof that a client knows its key; only [`Challenged::finish`] makes one.
#[derive(Debug)]
pub struct Authenticated {
    message: String,
}

impl Authenticated {
    /// Our own proof, to send as `AuthenticationSASLFinal` before `AuthenticationOk`.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The client's word on channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    /// `n`: it cannot.
    Unsupported,
    /// `y`: it can, and thinks that we cannot.
    ServerCannot,
    /// `p`: it does.
    Bound,
}

struct ClientFirst<'a> {
    flag: Flag,
    bare: &'a str,
    nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// `gs2-cbind-flag "," [authzid] "," [reserved-mext ","] username "," nonce ["," extensions]`
    fn parse(message: &'a str) -> Result<Self, ScramError> {
        let (flag, rest) = message.split_once(',').ok_or(ScramError::Malformed("no GS2 header"))?;
        let flag = match flag {
            "n" => Flag::Unsupported,
            "y" => Flag::ServerCannot,
            "p=tls-server-end-point" => Flag::Bound,
            other if other.starts_with("p=") => return Err(ScramError::Unsupported("this channel binding type")),
            _ => return Err(ScramError::Malformed("the channel binding flag")),
        };
        let bare = match rest.split_once(',') {
            Some(("", bare)) => bare,
            Some((identity, _)) if identity.starts_with("a=") => {
                return Err(ScramError::Unsupported("an authorization identity"));
            }
            _ => return Err(ScramError::Malformed("the GS2 header")),
        };
        let mut attributes = bare.split(',');
        match attributes.next().and_then(|first| first.split_once('=')) {
            Some(("n", _)) => {}
            Some(("m", _)) => return Err(ScramError::Unsupported("a mandatory extension")),
            _ => return Err(ScramError::Malformed("the user name")),
        }
        let nonce = value(attributes.next(), "r").ok_or(ScramError::Malformed("the nonce"))?;
        if nonce.is_empty() || !nonce.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(ScramError::Malformed("the nonce"));
        }
        attributes.try_for_each(extension)?;
        Ok(Self { flag, bare, nonce })
    }
}

struct ClientFinal<'a> {
    binding: &'a str,
    nonce: &'a str,
    without_proof: &'a str,
    proof: [u8; 32],
}

impl<'a> ClientFinal<'a> {
    /// `channel-binding "," nonce ["," extensions] "," proof`
    fn parse(message: &'a str) -> Result<Self, ScramError> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed("no proof"))?;
        let proof = BASE64.decode(proof).ok().and_then(|proof| proof.try_into().ok());
        let mut attributes = without_proof.split(',');
        let binding = value(attributes.next(), "c").ok_or(ScramError::Malformed("the channel binding"))?;
        let nonce = value(attributes.next(), "r").ok_or(ScramError::Malformed("the nonce"))?;
        attributes.try_for_each(extension)?;
        Ok(Self { binding, nonce, without_proof, proof: proof.ok_or(ScramError::Malformed("the proof"))? })
    }
}

/// The value of an attribute that must have this name.
fn value<'a>(attribute: Option<&'a str>, name: &str) -> Option<&'a str> {
    attribute?.split_once('=').filter(|(found, _)| *found == name).map(|(_, value)| value)
}

/// An optional extension: a letter and a value, which we ignore.
fn extension(attribute: &str) -> Result<(), ScramError> {
    match attribute.as_bytes() {
        [letter, b'=', ..] if letter.is_ascii_alphabetic() => Ok(()),
        _ => Err(ScramError::Malformed("an extension")),
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::Malformed("too long"));
    }
    let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed("not UTF-8"))?;
    if text.contains('\0') { Err(ScramError::Malformed("a NUL inside")) } else { Ok(text) }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// `Hi` of RFC 5802 §2.2.
fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let keyed = keyed(password);
    let round = |parts: [&[u8]; 2]| -> [u8; 32] {
        let mut mac = keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut last = round([salt, &1u32.to_be_bytes()]);
    let mut all = last;
    for _ in 1..iterations {
        last = round([&last, &[]]);
        all.iter_mut().zip(last).for_each(|(all, last)| *all ^= last);
    }
    last.zeroize();
    all
}

#[cfg(test)]
mod tests {
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    use super::*;

    const KEY: &str = "csk_0123456789abcdef";

    fn verifier() -> ScramVerifier {
        ScramVerifier::derive(&KEY.into(), b"0123456789abcdef", ITERATIONS)
    }

    fn server(verifier: Option<ScramVerifier>, endpoint: Option<&[u8]>) -> Server {
        let mock_secret = MockSecret::new([7; 32]);
        Server::new(Login { user: "bot", verifier, mock_secret: &mock_secret, endpoint: endpoint.map(<[u8]>::to_vec) })
    }

    /// A whole exchange with an independent client.
    fn login(server: Server, key: &str, mechanism: &str, binding: ChannelBinding) -> Result<(), ScramError> {
        let mut client = ScramSha256::new(key.as_bytes(), binding);
        let (challenged, challenge) = server.first(mechanism, client.message())?;
        client.update(challenge.as_bytes()).unwrap();
        let authenticated = challenged.finish(client.message())?;
        client.finish(authenticated.message().as_bytes()).expect("the client accepts our proof");
        Ok(())
    }

    #[test]
    fn the_vector_of_rfc_7677_is_accepted() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = ScramVerifier::derive(&"pencil".into(), &salt, 4096);
        let (challenged, challenge) = server(Some(verifier), None)
            .first_with(SCRAM_SHA_256, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
            .unwrap();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        assert_eq!(challenge, format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
        let last = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let authenticated = challenged.finish(last.as_bytes()).unwrap();
        assert_eq!(authenticated.message(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn the_verifier_is_what_postgresql_stores() {
        let stored = postgres_protocol::password::scram_sha_256(KEY.as_bytes());
        let (head, keys) = stored.rsplit_once('$').unwrap();
        let salt = BASE64.decode(head.rsplit_once(':').unwrap().1).unwrap();
        let ours = ScramVerifier::derive(&KEY.into(), &salt, 4096);
        assert_eq!(keys, format!("{}:{}", BASE64.encode(ours.stored_key), BASE64.encode(ours.server_key)));
    }

    #[test]
    fn right_keys_pass_and_others_do_not() {
        let hash: &[u8] = &[9; 32];
        let bound = || ChannelBinding::tls_server_end_point(hash.to_vec());
        let (plain, plus) = (SCRAM_SHA_256, SCRAM_SHA_256_PLUS);
        assert_eq!(login(server(Some(verifier()), None), KEY, plain, ChannelBinding::unsupported()), Ok(()));
        assert_eq!(login(server(Some(verifier()), None), KEY, plain, ChannelBinding::unrequested()), Ok(()));
        assert_eq!(login(server(Some(verifier()), Some(hash)), KEY, plus, bound()), Ok(()));
        assert_eq!(login(server(Some(verifier()), Some(hash)), KEY, plain, ChannelBinding::unsupported()), Ok(()));
        let wrong = login(server(Some(verifier()), None), "other", plain, ChannelBinding::unsupported());
        assert_eq!(wrong, Err(ScramError::WrongProof));
        let unknown = login(server(None, None), KEY, plain, ChannelBinding::unsupported());
        assert_eq!(unknown, Err(ScramError::WrongProof));
    }

    #[test]
    fn channel_binding_cannot_be_talked_away_or_moved() {
        let (ours, theirs): (&[u8], &[u8]) = (&[9; 32], &[8; 32]);
        let bound = |hash: &[u8]| ChannelBinding::tls_server_end_point(hash.to_vec());
        let check = |endpoint, mechanism, binding, expected| {
            assert_eq!(login(server(Some(verifier()), endpoint), KEY, mechanism, binding), Err(expected));
        };
        check(Some(ours), SCRAM_SHA_256, ChannelBinding::unrequested(), ScramError::Downgraded);
        check(Some(ours), SCRAM_SHA_256_PLUS, bound(theirs), ScramError::BindingMismatch);
        check(None, SCRAM_SHA_256_PLUS, bound(ours), ScramError::UnknownMechanism);
        let mixed = ScramError::Malformed("SCRAM-SHA-256-PLUS without channel binding");
        check(Some(ours), SCRAM_SHA_256_PLUS, ChannelBinding::unsupported(), mixed);
        let mixed = ScramError::Malformed("channel binding without SCRAM-SHA-256-PLUS");
        check(Some(ours), SCRAM_SHA_256, bound(ours), mixed);
    }

    #[test]
    fn unknown_users_look_like_known_ones() {
        let salt_of = |user: &str| {
            let mock_secret = MockSecret::new([7; 32]);
            let login = Login { user, verifier: None, mock_secret: &mock_secret, endpoint: None };
            let (_, challenge) = Server::new(login).first(SCRAM_SHA_256, b"n,,n=,r=abc").unwrap();
            let (_, salt) = challenge.split_once(",s=").unwrap();
            salt.to_owned()
        };
        assert_eq!(salt_of("eve"), salt_of("eve"));
        assert_ne!(salt_of("eve"), salt_of("mallory"));
        let (_, known) = server(Some(verifier()), None).first(SCRAM_SHA_256, b"n,,n=,r=abc").unwrap();
        assert_eq!(salt_of("eve").len(), known.split_once(",s=").unwrap().1.len());
    }

    #[test]
    fn malformed_first_messages_are_refused() {
        for bad in [
            "",
            "n",
            "n,",
            "n,,",
            "x,,n=,r=a",
            "n,,n=",
            "n,,n=,r=",
            "n,,r=a,n=",
            "n,,n=,r=a b",
            "n,,n=,r=a,x",
            "n,,n=,r=a\0",
        ] {
            let refused = server(Some(verifier()), None).first(SCRAM_SHA_256, bad.as_bytes()).err();
            assert!(matches!(refused, Some(ScramError::Malformed(_))), "{bad:?} gave {refused:?}");
        }
        for unsupported in ["p=tls-unique,,n=,r=a", "n,a=admin,n=,r=a", "n,,m=x,n=,r=a"] {
            let refused = server(Some(verifier()), None).first(SCRAM_SHA_256, unsupported.as_bytes()).err();
            assert!(matches!(refused, Some(ScramError::Unsupported(_))), "{unsupported:?} gave {refused:?}");
        }
    }

    #[test]
    fn malformed_last_messages_are_refused() {
        let proof = BASE64.encode([0; 32]);
        let check = |last: &str, expected: ScramError| {
            let (challenged, _) =
                server(Some(verifier()), None).first_with(SCRAM_SHA_256, b"n,,n=,r=abc", "def").unwrap();
            assert_eq!(challenged.finish(last.as_bytes()).err(), Some(expected), "{last}");
        };
        check("", ScramError::Malformed("no proof"));
        check("c=biws,r=abcdef,p=AAAA", ScramError::Malformed("the proof"));
        check(&format!("r=abcdef,c=biws,p={proof}"), ScramError::Malformed("the channel binding"));
        check(&format!("c=biws,r=abcdeg,p={proof}"), ScramError::Malformed("the nonce does not match"));
        check(&format!("c=biws,r=abc,p={proof}"), ScramError::Malformed("the nonce does not match"));
        check(&format!("c=eSws,r=abcdef,p={proof}"), ScramError::BindingMismatch);
        check(&format!("c=biws,r=abcdef,p={proof},x=1"), ScramError::Malformed("the proof"));
        check(&format!("c=biws,r=abcdef,p={proof}"), ScramError::WrongProof);
    }
}
