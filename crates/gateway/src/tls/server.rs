//! Our own certificate: loaded from the operator's files, or made once and kept in the data directory.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Datelike;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::{TlsError, endpoint_hash, provider, read, read_certificates};

/// PostgreSQL's protocol in ALPN, as PostgreSQL 17 and later name it.
const ALPN: &[u8] = b"postgresql";
/// Years that a certificate of our own making is valid.
const SELF_SIGNED_YEARS: i32 = 10;

/// What a listener needs to speak TLS.
#[derive(Clone)]
pub struct ServerTls {
    /// With ALPN `postgresql`: a client that offers only other protocols is turned away.
    pub config: Arc<ServerConfig>,
    /// Without ALPN.
    pub config_without_alpn: Arc<ServerConfig>,
    /// Our certificate's hash for channel binding, if one is defined.
    pub endpoint: Option<Vec<u8>>,
    /// The first certificate of the chain, in DER form.
    pub certificate: CertificateDer<'static>,
}

impl ServerTls {
    /// Loads a chain (own certificate first) and its key, both in PEM form.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_certificates(certificate)?;
        let malformed_key = || TlsError::MalformedKey { path: key.to_owned() };
        let pem = Zeroizing::new(read(key)?);
        let secret = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| malformed_key())?;
        let own =
            chain.first().cloned().ok_or_else(|| TlsError::MalformedCertificate { path: certificate.to_owned() })?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Configure)?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    TlsError::KeyMismatch { certificate: certificate.to_owned(), key: key.to_owned() }
                }
                rustls::Error::InvalidCertificate(_) => TlsError::MalformedCertificate { path: certificate.to_owned() },
                _ => malformed_key(),
            })?;
        config.ignore_client_order = true; // the provider's order has the strongest first; scanners ask for it
        let config_without_alpn = Arc::new(config.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { config: Arc::new(config), config_without_alpn, endpoint: endpoint_hash(&own), certificate: own })
    }

    /// The same certificate for the HTTP listener: HTTP/2 where the client offers it, HTTP/1.1 otherwise (RFC 9113 §3.3).
    pub fn for_http(&self) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.config_without_alpn);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Loads `tls/cert.pem` and `tls/key.pem` of the data directory; makes a self-signed pair if neither is there. It is
    /// valid for `localhost`, the loopback addresses and `hostname`.
    ///
    /// # Errors
    /// [`TlsError`]; a pair of which one half is missing is not replaced.
    pub fn load_or_create(data_dir: &Path, hostname: Option<&str>) -> Result<Self, TlsError> {
        let paths = Pair::within(&data_dir.join("tls"));
        match (paths.certificate.exists(), paths.key.exists()) {
            (true, true) => {}
            (false, false) => create(data_dir, hostname)?,
            (true, false) => return Err(TlsError::HalfPair { found: paths.certificate, missing: paths.key }),
            (false, true) => return Err(TlsError::HalfPair { found: paths.key, missing: paths.certificate }),
        }
        Self::load(&paths.certificate, &paths.key)
    }
}

struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    fn within(directory: &Path) -> Self {
        Self { certificate: directory.join("cert.pem"), key: directory.join("key.pem") }
    }
}

/// Makes both files in a directory of their own and renames that: a crash leaves both or neither.
fn create(data_dir: &Path, hostname: Option<&str>) -> Result<(), TlsError> {
    let (certificate, key) = self_signed(hostname)?;
    let staging = data_dir.join(format!("tls.new-{}", std::process::id()));
    let written = |path: &Path, source| TlsError::Write { path: path.to_owned(), source };
    fs::create_dir_all(data_dir).map_err(|source| written(data_dir, source))?;
    let _ = fs::remove_dir_all(&staging);
    fs::DirBuilder::new().mode(0o700).create(&staging).map_err(|source| written(&staging, source))?;
    let paths = Pair::within(&staging);
    write_private(&paths.certificate, certificate.as_bytes())?;
    write_private(&paths.key, key.as_bytes())?;
    let directory = data_dir.join("tls");
    fs::rename(&staging, &directory).map_err(|source| written(&directory, source))
}

fn self_signed(hostname: Option<&str>) -> Result<(String, Zeroizing<String>), TlsError> {
    let failed = |source| TlsError::Generate { hostname: hostname.unwrap_or("localhost").to_owned(), source };
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    names.extend(hostname.filter(|name| !names.iter().any(|known| known == name)).map(String::from));
    let mut params = CertificateParams::new(names).map_err(failed)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, hostname.unwrap_or("localhost"));
    params.distinguished_name = subject;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let year = chrono::Utc::now().year();
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + SELF_SIGNED_YEARS, 1, 1);
    let pair = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&pair).map_err(failed)?;
    Ok((certificate.pem(), Zeroizing::new(pair.serialize_pem())))
}

fn write_private(path: &Path, content: &[u8]) -> Result<(), TlsError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .map_err(|source| TlsError::Write { path: path.to_owned(), source })
}
