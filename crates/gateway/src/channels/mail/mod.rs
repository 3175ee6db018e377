//! Mail: one letter when a review waits, answers beneath it when it is escalated or over, and a link.
//!
//! Nothing is decided by mail, and nothing by following its link: programs follow links in mail (scanners, previews), and who
//! reads a mailbox is nobody the gateway knows. The link leads to the console, where whoever follows it signs in.
//!
//! A letter is never changed. What is posted again after a crash has the same `Message-ID` (RFC 5322 §3.6.4), by which mail
//! programs know it; later ones answer it (`In-Reply-To`), and all say that a program wrote them (RFC 3834).

mod letter;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Channel, Excerpt, Failure, Happening, Notice, Room, cut};
use crate::config::{Mail as Settings, MailTls};
use crate::fetch;
use crate::gate::Gate;
use crate::ports::{Account, MAIL_PASSWORD, Person, Scribe, Vault};
use letter::Letter;

/// What the channel is called.
const NAME: &str = "mail";
/// How long the server may take for each step.
const TIME_MAX: Duration = Duration::from_secs(20);
/// What a server answers that does not let the gateway in: that is no matter of one letter (RFC 4954 §6).
const NOT_LET_IN: [&str; 4] = ["530", "534", "535", "538"];

/// The server, and who the mail is from.
pub(super) struct Mail {
    settings: Settings,
    tls: Tls,
    vault: Arc<dyn Vault>,
    scribe: Scribe,
}

impl Mail {
    /// None where none is configured.
    ///
    /// # Errors
    /// The roots that it trusts cannot be read.
    pub(super) fn new(gate: &Gate) -> Result<Option<Self>, fetch::Error> {
        let Some(settings) = gate.config.mail.clone() else { return Ok(None) };
        let (vault, scribe) = (gate.vault.clone(), gate.scribe.clone());
        Ok(Some(Self { tls: tls(&settings)?, settings, vault, scribe }))
    }

    /// A letter to an address. `answers` is the first one about the same review there.
    fn message(&self, to: &str, letter: &Letter, id: &str, answers: Option<&str>) -> Result<Message, Failure> {
        let never = |why: String| Failure::Never(why);
        let address: Address = to.parse().map_err(|error| never(format!("`{to}` is no address: {error}")))?;
        let mut builder = Message::builder()
            .from(self.settings.from.clone())
            .to(Mailbox::new(None, address))
            .date(SystemTime::from(chrono::DateTime::<chrono::Utc>::from_timestamp_nanos(
                self.scribe.now().micros().saturating_mul(1_000),
            )))
            .message_id(Some(id.to_owned()))
            .header(AutoSubmitted);
        if let Some(first) = answers {
            builder = builder.in_reply_to(first.to_owned()).references(first.to_owned());
        }
        let subject = if answers.is_some() { format!("Re: {}", letter.subject) } else { letter.subject.clone() };
        let (text, html) = letter.bodies().map_err(|error| never(error.to_string()))?;
        builder
            .subject(subject)
            .multipart(MultiPart::alternative_plain_html(text, html))
            .map_err(|error| never(error.to_string()))
    }

    async fn send(&self, message: Message) -> Result<(), Failure> {
        let away = |why: String| Failure::Away { why, after: None };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.settings.server)
            .port(self.settings.port)
            .tls(self.tls.clone())
            .timeout(Some(TIME_MAX));
        if let Some(username) = &self.settings.username {
            let password = self.vault.secret(MAIL_PASSWORD).await.map_err(|error| away(error.to_string()))?;
            server = server.credentials(Credentials::new(username.clone(), password.expose_secret().to_owned()));
        }
        server.build().send(message).await.map(drop).map_err(|error| failure(&error))
    }

    /// What a letter is known by: the same review, place and matter have the same, whenever it is sent.
    fn id(&self, review: &str, place: &str, matter: &str) -> String {
        let digest = hex::encode(Sha256::digest(format!("{review}\n{place}\n{matter}")));
        format!("<{}@{}>", &digest[..32], self.settings.from.email.domain())
    }
}

#[async_trait]
impl Channel for Mail {
    fn name(&self) -> &'static str {
        NAME
    }

    fn render(&self, notice: &Notice) -> Value {
        letter::of(notice).into()
    }

    fn render_burst(&self, notice: &Notice, _: usize) -> Value {
        letter::of_burst(notice).into()
    }

    /// A letter is found again by its `Message-ID`. It is answered when the review is over, and by nothing else that changes.
    async fn tell(&self, place: &str, first: Option<&str>, body: &Value) -> Result<String, Failure> {
        let letter = Letter::try_from(body).map_err(|error| Failure::Never(error.to_string()))?;
        let Some(first) = first else {
            let id = self.id(&letter.review, place, "opened");
            self.send(self.message(place, &letter, &id, None)?).await?;
            return Ok(id);
        };
        if letter.is_over {
            let id = self.id(&letter.review, place, "closed");
            self.send(self.message(place, &letter, &id, Some(first))?).await?;
        }
        Ok(first.to_owned())
    }

    fn personal(&self, person: &Person, _: &[&Account]) -> Option<String> {
        person.email.clone()
    }

    fn threads(&self) -> bool {
        true
    }

    /// People are reminded, and hear that it was escalated. Votes they read when it is over, and in the console.
    async fn reply(&self, place: &str, first: &str, notice: &Notice, happening: &Happening) -> Result<(), Failure> {
        if !happening.calls {
            return Ok(());
        }
        let letter = letter::of_happening(notice, happening);
        let id = self.id(&letter.review, place, &happening.key);
        self.send(self.message(place, &letter, &id, Some(first))?).await
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834 §5): vacation programs do not answer it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn tls(settings: &Settings) -> Result<Tls, fetch::Error> {
    if settings.tls == MailTls::None {
        return Ok(Tls::None);
    }
    let unusable = |error: String| fetch::Error::Unusable(format!("mail.ca: {error}"));
    let mut parameters = TlsParameters::builder(settings.server.clone());
    if let Some(path) = &settings.ca {
        let text = std::fs::read(path).map_err(|error| unusable(format!("`{}`: {error}", path.display())))?;
        let root = Certificate::from_pem(&text).map_err(|error| unusable(error.to_string()))?;
        parameters = parameters.add_root_certificate(root);
    }
    let parameters = parameters.build_rustls().map_err(|error| unusable(error.to_string()))?;
    Ok(if settings.tls == MailTls::Tls { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
}

/// 4xx may be tried again, 5xx not (RFC 5321 §4.2.1); whatever else is wrong is the server's, not the letter's.
fn failure(error: &SmtpError) -> Failure {
    let why = cut(&format!("the mail server: {}", fetch::with_causes(error)), 300).0;
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    match () {
        () if NOT_LET_IN.contains(&code.as_str()) || code == "421" => Failure::Away { why, after: None },
        () if error.is_permanent() => Failure::Never(why),
        () if error.is_transient() => Failure::Later(why),
        () => Failure::Away { why, after: None },
    }
}
