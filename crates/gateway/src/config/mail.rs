//! `[mail]`: the server by which people are told by mail. Nothing is sent in clear but to a server on this host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox;
use serde::Deserialize;

use super::Error;
use super::raw::{Check, CredentialSource};

/// The longest address (RFC 5321 §4.5.3.1.3, without its brackets).
const ADDRESS_BYTES_MAX: usize = 254;

/// A server that takes mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Its name or address; its certificate is for it.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How what is sent is kept from others on the way.
    pub tls: MailTls,
    /// Roots that its certificate is trusted by, besides the system's.
    pub ca: Option<PathBuf>,
    /// As whom the gateway signs in, where the server asks.
    pub username: Option<String>,
    /// The password to it.
    pub password: Option<CredentialSource>,
    /// Who the mail is from.
    pub from: Mailbox,
    /// Where reviews are told of whose policies name no address.
    pub to: Option<String>,
    /// Where the people of a group are told of what they are asked, as well.
    pub groups: BTreeMap<String, String>,
    /// Whether people are told what became of what was asked on their behalf.
    pub owners: bool,
}

/// How a connection to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// It begins in clear and goes on only once TLS is there (RFC 3207).
    Starttls,
    /// It begins with TLS (RFC 8314).
    Tls,
    /// It is in clear: for a server on this host alone.
    None,
}

impl MailTls {
    /// The port that the standards name.
    fn port(self) -> u16 {
        match self {
            MailTls::Starttls => 587,
            MailTls::Tls => 465,
            MailTls::None => 25,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMail {
    server: String,
    port: Option<u16>,
    #[serde(default = "starttls")]
    tls: MailTls,
    ca: Option<PathBuf>,
    username: Option<String>,
    password: Option<CredentialSource>,
    from: String,
    to: Option<String>,
    #[serde(default)]
    groups: BTreeMap<String, String>,
    #[serde(default)]
    owners: bool,
}

fn starttls() -> MailTls {
    MailTls::Starttls
}

pub(super) fn mail(check: &Check<'_>, raw: RawMail, groups: &BTreeSet<String>) -> Result<Mail, Error> {
    if raw.server.is_empty() || raw.server.contains(['/', ' ', '@']) {
        return check.fail("mail.server", format!("is `{}`; write a host, as in `smtp.example.org`", raw.server));
    }
    if raw.tls == MailTls::None && !is_here(&raw.server) {
        return check.fail("mail.tls", "is `none`, which is for a server on this host alone; use `starttls` or `tls`");
    }
    if raw.username.is_some() != raw.password.is_some() {
        return check.fail("mail.username", "and `mail.password` go together");
    }
    if let Some(group) = raw.groups.keys().find(|group| !groups.contains(*group)) {
        return check.fail("mail.groups", format!("names `{group}`, which `policy.groups` does not"));
    }
    for address in raw.to.iter().chain(raw.groups.values()) {
        let of_people = address.strip_prefix('@').is_some_and(|who| who == "on-duty" || groups.contains(who));
        if !of_people && (address.len() > ADDRESS_BYTES_MAX || address.parse::<Address>().is_err()) {
            return check.fail("mail.to", format!("is `{address}`; write an address, as in `dba@example.org`"));
        }
    }
    let Ok(from) = raw.from.parse::<Mailbox>() else {
        let message = format!("is `{}`; write `Countersign <countersign@example.org>`", raw.from);
        return check.fail("mail.from", message);
    };
    Ok(Mail {
        port: raw.port.unwrap_or(raw.tls.port()),
        server: raw.server,
        tls: raw.tls,
        ca: raw.ca.map(|path| check.resolve(path)),
        username: raw.username,
        password: raw.password.map(|source| check.source(source)),
        from,
        to: raw.to,
        groups: raw.groups,
        owners: raw.owners,
    })
}

/// Whether a server is on this host.
fn is_here(server: &str) -> bool {
    server == "localhost" || server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
