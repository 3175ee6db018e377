//! Where an upstream is: `postgres://user@host:port/database?sslmode=…&sslrootcert=…`.
//!
//! The host may be a name, an address, an IPv6 address in brackets, or the directory of a Unix socket (`%2Frun%2Fpostgresql`,
//! or `?host=/run/postgresql` with an empty host). What is not understood is refused, and errors never repeat the URL: it
//! may have a password in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use crate::tls::SslMode;

const PORT: u16 = 5432;

/// Where an upstream is, and how to log in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The server.
    pub host: Host,
    /// Its port (part of the file name, for a socket).
    pub port: u16,
    /// Who to log in as.
    pub user: String,
    /// The database; the user's name if the URL has none.
    pub database: String,
    /// How to encrypt and verify; `prefer` if the URL does not say.
    pub sslmode: SslMode,
    /// Whom to trust; a file in PEM form.
    pub sslrootcert: Option<PathBuf>,
}

/// A server's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or an address.
    Tcp(String),
    /// The directory of its Unix socket.
    Socket(PathBuf),
}

/// Why an upstream's URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is no PostgreSQL URL.
    #[error("an upstream is a URL that begins with `postgres://` or `postgresql://`")]
    Scheme,
    /// It has a password.
    #[error("an upstream's URL must not have a password: use `credential`")]
    Password,
    /// It names no user.
    #[error("an upstream's URL must name the user to log in as: `postgres://USER@HOST/DATABASE`")]
    NoUser,
    /// It names no host, or more than one.
    #[error("an upstream's URL must name exactly one host")]
    Host,
    /// The port is none.
    #[error("the port of an upstream's URL must be a number from 1 to 65535")]
    Port,
    /// A percent sign without two digits, a result that is not UTF-8, a NUL, or a `#`.
    #[error("the {0} of an upstream's URL is not encoded correctly")]
    Encoding(&'static str),
    /// A parameter that we do not know.
    #[error("the parameter `{0}` is not known; an upstream's URL takes `sslmode`, `sslrootcert` and `host`")]
    UnknownParameter(String),
    /// A parameter that is there twice.
    #[error("the parameter `{0}` is given twice")]
    Duplicate(String),
    /// No such mode.
    #[error("`sslmode` must be `disable`, `prefer`, `require`, `verify-ca` or `verify-full`")]
    SslMode,
    /// A root that would not be used.
    #[error("`sslrootcert` has no effect with `sslmode={0}`: use `verify-full`")]
    UnusedRoot(&'static str),
    /// Any authority of the system could vouch for any host.
    #[error("`sslmode=verify-ca` needs `sslrootcert`: with the system's roots only `verify-full` proves anything")]
    NoRoot,
    /// A socket has no TLS.
    #[error("a Unix socket is never encrypted: `sslmode` must be `disable` or `prefer`")]
    TlsOnSocket,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(url: &str) -> Result<Self, EndpointError> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or(EndpointError::Scheme)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, address) = authority.rsplit_once('@').ok_or(EndpointError::NoUser)?;
        let user = parse_user(user)?;
        let (host, port) = split_port(address)?;
        let mut query = parse_query(query)?;
        let host = parse_host(host, query.remove("host"))?;
        let database = Some(decode(path, "database")?).filter(|name| !name.is_empty());
        let endpoint = Self {
            host,
            port,
            database: database.unwrap_or_else(|| user.clone()),
            user,
            sslmode: query.remove("sslmode").map_or(Ok(SslMode::Prefer), |mode| parse_mode(&mode))?,
            sslrootcert: query.remove("sslrootcert").map(PathBuf::from),
        };
        match query.into_keys().next() {
            Some(unknown) => Err(EndpointError::UnknownParameter(unknown)),
            None => endpoint.check(),
        }
    }
}

impl Endpoint {
    /// For messages: `host:port`, or the socket's path.
    pub fn address(&self) -> String {
        match &self.host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]:{}", self.port),
            Host::Tcp(host) => format!("{host}:{}", self.port),
            Host::Socket(_) => self.socket_path().display().to_string(),
        }
    }

    pub(super) fn socket_path(&self) -> PathBuf {
        let directory = match &self.host {
            Host::Socket(directory) => directory.clone(),
            Host::Tcp(host) => PathBuf::from(host),
        };
        directory.join(format!(".s.PGSQL.{}", self.port))
    }

    fn check(self) -> Result<Self, EndpointError> {
        match (&self.host, self.sslmode, &self.sslrootcert) {
            (Host::Socket(_), SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, _) => {
                Err(EndpointError::TlsOnSocket)
            }
            (_, SslMode::Disable | SslMode::Prefer, Some(_)) => Err(EndpointError::UnusedRoot(self.sslmode.as_str())),
            (_, SslMode::VerifyCa, None) => Err(EndpointError::NoRoot),
            // libpq's word for the system's roots, which are what `verify-full` uses anyway.
            (_, SslMode::VerifyFull, Some(root)) if root.as_os_str() == "system" => {
                Ok(Self { sslrootcert: None, ..self })
            }
            (_, mode, Some(root)) if root.as_os_str() == "system" => Err(EndpointError::UnusedRoot(mode.as_str())),
            _ => Ok(self),
        }
    }
}

fn parse_user(user: &str) -> Result<String, EndpointError> {
    if user.contains(':') {
        return Err(EndpointError::Password);
    }
    match decode(user, "user")? {
        user if user.is_empty() => Err(EndpointError::NoUser),
        user => Ok(user),
    }
}

fn split_port(address: &str) -> Result<(&str, u16), EndpointError> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(EndpointError::Host)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(EndpointError::Host),
            }
        }
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => PORT,
        Some(port) if port.bytes().all(|c| c.is_ascii_digit()) => port.parse().map_err(|_| EndpointError::Port)?,
        Some(_) => return Err(EndpointError::Port),
    };
    if port == 0 { Err(EndpointError::Port) } else { Ok((host, port)) }
}

fn parse_host(host: &str, parameter: Option<String>) -> Result<Host, EndpointError> {
    let host = decode(host, "host")?;
    let host = match (host.is_empty(), parameter) {
        (false, None) => host,
        (true, Some(directory)) if directory.starts_with('/') => directory,
        _ => return Err(EndpointError::Host),
    };
    if host.starts_with('/') {
        Ok(Host::Socket(PathBuf::from(host)))
    } else if host.contains([',', ' ', '/', '@']) {
        Err(EndpointError::Host)
    } else {
        Ok(Host::Tcp(host))
    }
}

fn parse_mode(mode: &str) -> Result<SslMode, EndpointError> {
    mode.parse().map_err(|()| EndpointError::SslMode)
}

fn parse_query(query: &str) -> Result<BTreeMap<String, String>, EndpointError> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name, "query")?;
        if name == "password" {
            return Err(EndpointError::Password);
        }
        if parameters.insert(name.clone(), decode(value, "query")?).is_some() {
            return Err(EndpointError::Duplicate(name));
        }
    }
    Ok(parameters)
}

/// Percent-decoding (RFC 3986 §2.1); a plus sign is a plus sign, as in libpq.
fn decode(text: &str, part: &'static str) -> Result<String, EndpointError> {
    let bad = || EndpointError::Encoding(part);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push(hex_digit(*high).ok_or_else(bad)? << 4 | hex_digit(*low).ok_or_else(bad)?);
                after
            }
            (b'%' | b'#' | 0, _) => return Err(bad()),
            (other, after) => {
                bytes.push(*other);
                after
            }
        };
    }
    if bytes.contains(&0) { Err(bad()) } else { String::from_utf8(bytes).map_err(|_| bad()) }
}

fn hex_digit(c: u8) -> Option<u8> {
    char::from(c).to_digit(16).map(|digit| digit as u8)
}
