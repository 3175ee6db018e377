//! TLS towards an upstream, as libpq's `sslmode` and `sslrootcert` have it.
//!
//! | mode | encrypted | certificate |
//! |---|---|---|
//! | `disable` | never | |
//! | `prefer` | if the server can | any |
//! | `require` | always | any; its chain is checked if `sslrootcert` is given |
//! | `verify-ca` | always | its chain |
//! | `verify-full` | always | its chain and its name; the system's roots unless `sslrootcert` is given |

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{TlsError, provider, read_certificates};

/// How a connection to an upstream is encrypted and verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can; protects against nobody who can change packets.
    Prefer,
    /// Encrypted; the server may be anybody.
    Require,
    /// Encrypted, and the certificate comes from a trusted authority.
    VerifyCa,
    /// Encrypted, from a trusted authority, and for this host.
    VerifyFull,
}

impl SslMode {
    /// The word of a connection URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl FromStr for SslMode {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let all = [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];
        all.into_iter().find(|mode| mode.as_str() == word).ok_or(())
    }
}

/// What a completed handshake proves about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Nothing.
    Anybody,
    /// A trusted authority issued its certificate.
    Authority,
    /// The same, for the host asked for.
    Host,
}

/// A set-up for connections to one upstream.
#[derive(Clone)]
pub struct ClientTls {
    /// For rustls.
    pub config: Arc<ClientConfig>,
    /// What a handshake under it proves.
    pub trust: Trust,
}

impl ClientTls {
    /// Reads the roots that the mode needs; `None` for `disable`. Blocks on files: for start-up.
    ///
    /// # Errors
    /// [`TlsError`]: the roots cannot be read, or there are none.
    pub fn new(mode: SslMode, root_certificates: Option<&Path>) -> Result<Option<Self>, TlsError> {
        let trust = match (mode, root_certificates) {
            (SslMode::Disable, _) => return Ok(None),
            (SslMode::Prefer, _) | (SslMode::Require, None) => Trust::Anybody,
            (SslMode::Require, Some(_)) | (SslMode::VerifyCa, _) => Trust::Authority,
            (SslMode::VerifyFull, _) => Trust::Host,
        };
        let roots = match (trust, root_certificates) {
            (Trust::Anybody, _) => Vec::new(),
            (Trust::Authority | Trust::Host, Some(path)) => read_certificates(path)?,
            (Trust::Authority | Trust::Host, None) => system_roots()?,
        };
        let provider = provider();
        let verifier = Verifier::new(trust, roots, root_certificates, provider.clone())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Configure)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Some(Self { config: Arc::new(config), trust }))
    }
}

/// What the system trusts; certificates that cannot be read are left out, as every other program does.
fn system_roots() -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() { Err(TlsError::NoSystemRoots) } else { Ok(found.certs) }
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    anchors: RootCertStore,
    roots: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(
        trust: Trust,
        roots: Vec<CertificateDer<'static>>,
        file: Option<&Path>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let mut anchors = RootCertStore::empty();
        let (_, ignored) = anchors.add_parsable_certificates(roots.iter().cloned());
        match file {
            Some(path) if ignored > 0 => Err(TlsError::MalformedCertificate { path: path.to_owned() }),
            _ => Ok(Self { trust, anchors, roots, provider }),
        }
    }

    fn verify_chain(
        &self,
        certificate: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let chain = verify_server_cert_signed_by_trust_anchor(parsed, &self.anchors, intermediates, now, algorithms);
        match chain {
            // A server's own self-signed certificate, made by `openssl req -x509`, is marked as an authority. Named by the
            // operator as the root it is exactly what to expect; its dates were checked before this error.
            Err(error) if is_ca_as_end_entity(&error) && self.roots.iter().any(|root| root == certificate) => Ok(()),
            other => other,
        }
    }
}

/// rustls has no variant of its own for this one, only webpki's error inside.
fn is_ca_as_end_entity(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = error else { return false };
    inner.to_string() == "CaUsedAsEndEntity"
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.trust == Trust::Anybody {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        self.verify_chain(end_entity, &parsed, intermediates, now)?;
        if self.trust == Trust::Host {
            verify_server_name(&parsed, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
