//! From the start-up packet to the first `ReadyForQuery`.
//!
//! Authentication as the server asks for it: none, SCRAM (bound to the TLS connection where the server offers it), MD5, or
//! the clear password if TLS has verified the server. A SCRAM exchange counts only once the server has proved itself too.

use std::collections::BTreeMap;
use std::io;

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncReadExt;
use zeroize::{Zeroize, Zeroizing};

use super::{ConnectError, Connection, Endpoint, Opened, Stream, Trust, send};
use crate::protocols::postgres::scram::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use crate::protocols::postgres::wire::backend::{Authentication, Message};
use crate::protocols::postgres::wire::notice::Notice;
use crate::protocols::postgres::wire::{Limits, WireError, frame, frontend, startup};

/// Most notices of a log-in that are kept for the client.
const NOTICES_MAX: usize = 64;
/// Most settings a server may report.
const PARAMETERS_MAX: usize = 256;

pub(super) async fn login(
    opened: Opened,
    endpoint: &Endpoint,
    secret: Option<&SecretString>,
    settings: &BTreeMap<String, String>,
) -> Result<Connection, ConnectError> {
    let mut dialogue = Dialogue { stream: opened.stream, read_buf: BytesMut::new(), notices: Vec::new() };
    dialogue.send(|out| put_startup(out, endpoint, settings)).await?;
    let client = Client { user: &endpoint.user, secret, trust: opened.trust, binding: opened.binding };
    client.authenticate(&mut dialogue).await?;
    dialogue.until_ready().await
}

fn put_startup(out: &mut BytesMut, endpoint: &Endpoint, settings: &BTreeMap<String, String>) -> Result<(), WireError> {
    let mut parameters = BTreeMap::from([("client_encoding", "UTF8")]);
    parameters.extend(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    parameters.insert("user", &endpoint.user);
    parameters.insert("database", &endpoint.database);
    startup::startup(out, &parameters)
}

/// Messages over a stream.
struct Dialogue {
    stream: Stream,
    read_buf: BytesMut,
    notices: Vec<Notice>,
}

impl Dialogue {
    async fn send(&mut self, put: impl FnOnce(&mut BytesMut) -> Result<(), WireError>) -> Result<(), ConnectError> {
        let mut out = BytesMut::new();
        put(&mut out)?;
        let sent = send(&mut self.stream, &out).await;
        out.as_mut().zeroize();
        sent
    }

    /// The next message that is neither a notice nor an error.
    async fn receive(&mut self) -> Result<Message, ConnectError> {
        loop {
            let Some(frame) = frame::next_frame(&mut self.read_buf, &Limits::BACKEND_LOGIN)? else {
                self.fill().await?;
                continue;
            };
            match Message::decode(frame)? {
                Message::Error(notice) => return Err(ConnectError::server_said(notice)),
                Message::Notice(notice) if self.notices.len() < NOTICES_MAX => self.notices.push(notice),
                Message::Notice(_) => return Err(ConnectError::Unexpected("too many notices")),
                message => return Ok(message),
            }
        }
    }

    async fn fill(&mut self) -> Result<(), ConnectError> {
        match self.stream.read_buf(&mut self.read_buf).await {
            Ok(0) => Err(ConnectError::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(ConnectError::Broken(error)),
        }
    }

    async fn authentication(&mut self) -> Result<Authentication, ConnectError> {
        match self.receive().await? {
            Message::Authentication(step) => Ok(step),
            _ => Err(ConnectError::Unexpected("not a step of authentication")),
        }
    }

    async fn until_ready(mut self) -> Result<Connection, ConnectError> {
        let (mut parameters, mut cancel_key) = (BTreeMap::new(), None);
        loop {
            match self.receive().await? {
                Message::ParameterStatus(status) if parameters.len() < PARAMETERS_MAX => {
                    parameters.insert(status.name, status.value);
                }
                Message::BackendKeyData(key) => cancel_key = Some(key),
                Message::ReadyForQuery(status) => {
                    let Self { stream, read_buf, notices } = self;
                    return Ok(Connection { stream, read_buf, parameters, cancel_key, status, notices });
                }
                _ => return Err(ConnectError::Unexpected("not a part of a session's start")),
            }
        }
    }
}

struct Client<'a> {
    user: &'a str,
    secret: Option<&'a SecretString>,
    trust: Option<Trust>,
    binding: Option<Vec<u8>>,
}

impl Client<'_> {
    async fn authenticate(&self, dialogue: &mut Dialogue) -> Result<(), ConnectError> {
        match dialogue.authentication().await? {
            Authentication::Ok => return Ok(()),
            Authentication::CleartextPassword => self.send_cleartext(dialogue).await?,
            Authentication::Md5Password(salt) => self.send_md5(dialogue, salt).await?,
            Authentication::Sasl(mechanisms) => self.exchange_scram(dialogue, &mechanisms).await?,
            Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => {
                return Err(ConnectError::Unexpected("a SASL step before SASL began"));
            }
            Authentication::Unsupported(number) => return Err(unsupported(number)),
        }
        match dialogue.authentication().await? {
            Authentication::Ok => Ok(()),
            _ => Err(ConnectError::Unexpected("a second request for authentication")),
        }
    }

    fn secret(&self) -> Result<&str, ConnectError> {
        self.secret.map(|secret| secret.expose_secret()).ok_or(ConnectError::SecretMissing)
    }

    async fn send_cleartext(&self, dialogue: &mut Dialogue) -> Result<(), ConnectError> {
        match self.trust {
            Some(Trust::Authority | Trust::Host) => {}
            Some(Trust::Anybody) | None => return Err(ConnectError::CleartextRefused),
        }
        let secret = self.secret()?;
        dialogue.send(|out| frontend::password(out, secret)).await
    }

    async fn send_md5(&self, dialogue: &mut Dialogue, salt: [u8; 4]) -> Result<(), ConnectError> {
        let hash = Zeroizing::new(md5_hash(self.user.as_bytes(), self.secret()?.as_bytes(), salt));
        dialogue.send(|out| frontend::password(out, &hash)).await
    }

    async fn exchange_scram(&self, dialogue: &mut Dialogue, offered: &[String]) -> Result<(), ConnectError> {
        let (mechanism, binding) = self.mechanism(offered)?;
        let failed = |error: io::Error| ConnectError::Scram(error.to_string());
        let mut scram = ScramSha256::new(self.secret()?.as_bytes(), binding);
        dialogue.send(|out| frontend::sasl_initial(out, mechanism, scram.message())).await?;
        let Authentication::SaslContinue(challenge) = dialogue.authentication().await? else {
            return Err(ConnectError::Unexpected("no SCRAM challenge"));
        };
        scram.update(&challenge).map_err(failed)?;
        dialogue.send(|out| frontend::sasl_response(out, scram.message())).await?;
        let Authentication::SaslFinal(proof) = dialogue.authentication().await? else {
            return Err(ConnectError::Unexpected("the server did not prove itself"));
        };
        scram.finish(&proof).map_err(failed)
    }

    /// The best of what is offered, and what we say of channel binding: that it is used, that we could but the server does
    /// not offer it (so that a server which did offer it notices), or that we cannot.
    fn mechanism(&self, offered: &[String]) -> Result<(&'static str, ChannelBinding), ConnectError> {
        let offers = |mechanism: &str| offered.iter().any(|offered| offered == mechanism);
        match &self.binding {
            Some(hash) if offers(SCRAM_SHA_256_PLUS) => {
                Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash.clone())))
            }
            Some(_) if offers(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
            None if offers(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
            _ => Err(ConnectError::UnsupportedMethod(format!("SASL {}", offered.join(", ")))),
        }
    }
}

fn unsupported(number: u32) -> ConnectError {
    let name = match number {
        2 => "Kerberos 5".to_owned(),
        7 => "GSSAPI".to_owned(),
        9 => "SSPI".to_owned(),
        other => format!("number {other}"),
    };
    ConnectError::UnsupportedMethod(name)
}
