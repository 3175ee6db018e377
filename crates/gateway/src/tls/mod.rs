//! TLS: towards clients of every listener with our certificate ([`ServerTls`]), towards PostgreSQL as `sslmode` says ([`ClientTls`]).
//!
//! Always the aws-lc-rs provider, named explicitly: no process-wide default is needed or used. Protocol versions and cipher
//! suites are rustls' own choice (TLS 1.2 and 1.3). Client certificates are not asked for: agents log in by SCRAM, bound
//! to the connection by `tls-server-end-point` ([`endpoint_hash`]).

mod client;
mod endpoint;
mod server;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

pub use client::{ClientTls, SslMode, Trust};
pub use endpoint::endpoint_hash;
pub use server::ServerTls;

/// Why TLS cannot be set up. All of these are faults of the configuration, none of a peer.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or unreadable.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or directory of the self-signed certificate cannot be written.
    #[error("`{}` cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate file has no certificate in PEM form, or a broken one.
    #[error("`{}` has no valid certificate in PEM form", path.display())]
    MalformedCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A key file has no private key in PEM form, or one of a kind we cannot use.
    #[error("`{}` has no private key in PEM form that can be used", path.display())]
    MalformedKey {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key belong to different pairs.
    #[error("the key in `{}` does not match the certificate in `{}`", key.display(), certificate.display())]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Only one of the two files of the self-signed certificate is there.
    #[error("`{}` is there, `{}` is not: restore it, or remove both for a new pair", found.display(), missing.display())]
    HalfPair {
        /// The one that is there.
        found: PathBuf,
        /// The one that is not.
        missing: PathBuf,
    },
    /// A certificate cannot be made for this host name.
    #[error("no certificate can be made for `{hostname}`")]
    Generate {
        /// The name asked for.
        hostname: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The system has no trusted roots.
    #[error("the system has no trusted certificates; name a file with `sslrootcert`")]
    NoSystemRoots,
    /// rustls refuses the set-up.
    #[error("TLS cannot be configured")]
    Configure(#[source] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// Every certificate of a PEM file; at least one.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(TlsError::MalformedCertificate { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
