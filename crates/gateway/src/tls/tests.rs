//! Both sides against each other, over a pipe in memory, and files that are wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls_pki_types::ServerName;
use sha2::{Digest, Sha256, Sha384};
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

fn write(directory: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

async fn handshake(server: &ServerTls, client: &ClientTls, name: &str, alpn: Option<&[u8]>) -> Result<(), String> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let mut config = (*client.config).clone();
    config.alpn_protocols = alpn.into_iter().map(<[u8]>::to_vec).collect();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let acceptor = TlsAcceptor::from(server.config.clone());
    let (accepted, connected) = tokio::join!(acceptor.accept(theirs), connector.connect(name, ours));
    let connected = connected.map_err(|error| error.to_string())?;
    accepted.map_err(|error| error.to_string())?;
    let shown = connected.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(endpoint_hash(&shown), server.endpoint);
    Ok(())
}

fn client(mode: SslMode, root: Option<&Path>) -> ClientTls {
    ClientTls::new(mode, root).unwrap().unwrap()
}

#[tokio::test]
async fn a_certificate_is_made_once_and_serves_its_names() {
    let data = TempDir::new().unwrap();
    let made = ServerTls::load_or_create(data.path(), Some("gate.example")).unwrap();
    let again = ServerTls::load_or_create(data.path(), Some("other.example")).unwrap();
    assert_eq!(made.certificate, again.certificate);
    let root = data.path().join("tls/cert.pem");
    for file in ["tls/cert.pem", "tls/key.pem"] {
        let mode = fs::metadata(data.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(made.endpoint.as_deref(), Some(Sha256::digest(&made.certificate).as_slice()));
    let full = client(SslMode::VerifyFull, Some(&root));
    for name in ["localhost", "127.0.0.1", "::1", "gate.example"] {
        assert_eq!(handshake(&made, &full, name, None).await, Ok(()), "{name}");
    }
    assert!(handshake(&made, &full, "other.example", None).await.is_err());
}

#[tokio::test]
async fn each_mode_trusts_what_it_says() {
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = ServerTls::load_or_create(ours.path(), None).unwrap();
    ServerTls::load_or_create(theirs.path(), None).unwrap();
    let (right, wrong) = (ours.path().join("tls/cert.pem"), theirs.path().join("tls/cert.pem"));
    let check = async |mode, root: Option<&Path>, name, accepted| {
        let done = handshake(&server, &client(mode, root), name, None).await;
        assert_eq!(done.is_ok(), accepted, "{mode:?} {root:?} {name}: {done:?}");
    };
    check(SslMode::Prefer, None, "anything.example", true).await;
    check(SslMode::Require, None, "anything.example", true).await;
    check(SslMode::Require, Some(&right), "anything.example", true).await;
    check(SslMode::Require, Some(&wrong), "localhost", false).await;
    check(SslMode::VerifyCa, Some(&right), "anything.example", true).await;
    check(SslMode::VerifyCa, Some(&wrong), "localhost", false).await;
    check(SslMode::VerifyFull, Some(&right), "localhost", true).await;
    check(SslMode::VerifyFull, Some(&right), "anything.example", false).await;
    check(SslMode::VerifyFull, Some(&wrong), "localhost", false).await;
    assert!(ClientTls::new(SslMode::Disable, None).unwrap().is_none());
}

/// As `openssl req -x509` makes them: self-signed and marked as an authority.
fn authority_as_server(not_after_year: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(not_after_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_self_signed_authority_is_taken_as_a_server_only_when_named_and_in_date() {
    let files = TempDir::new().unwrap();
    for (year, accepted) in [(4000, true), (2001, false)] {
        let (certificate, key) = authority_as_server(year);
        let certificate = write(&files, "c.pem", &certificate);
        let server = ServerTls::load(&certificate, &write(&files, "k.pem", &key)).unwrap();
        let full = client(SslMode::VerifyFull, Some(&certificate));
        let done = handshake(&server, &full, "localhost", None).await;
        assert_eq!(done.is_ok(), accepted, "{year}: {done:?}");
        assert!(handshake(&server, &full, "other.example", None).await.is_err());
    }
}

#[tokio::test]
async fn other_protocols_are_turned_away() {
    let data = TempDir::new().unwrap();
    let server = ServerTls::load_or_create(data.path(), None).unwrap();
    let any = client(SslMode::Require, None);
    assert_eq!(handshake(&server, &any, "localhost", Some(b"postgresql")).await, Ok(()));
    assert!(handshake(&server, &any, "localhost", Some(b"h2")).await.is_err());
    assert!(server.config_without_alpn.alpn_protocols.is_empty());
}

/// The server's order of cipher suites holds, whichever the client would rather have.
#[tokio::test]
async fn the_servers_order_holds() {
    let data = TempDir::new().unwrap();
    let server = ServerTls::load_or_create(data.path(), None).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut chosen = Vec::new();
        for reversed in [false, true] {
            let mut offered = (*provider()).clone();
            if reversed {
                offered.cipher_suites.reverse();
            }
            let mut roots = rustls::RootCertStore::empty();
            roots.add(server.certificate.clone()).unwrap();
            let config = rustls::ClientConfig::builder_with_provider(Arc::new(offered))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let acceptor = TlsAcceptor::from(server.config.clone());
            let connector = TlsConnector::from(Arc::new(config));
            let name = ServerName::try_from("localhost").unwrap();
            let (accepted, connected) = tokio::join!(acceptor.accept(theirs), connector.connect(name, ours));
            connected.unwrap();
            chosen.push(accepted.unwrap().get_ref().1.negotiated_cipher_suite().unwrap().suite());
        }
        assert_eq!(chosen[0], chosen[1], "{version:?}");
    }
}

#[test]
fn wrong_files_are_named() {
    let files = TempDir::new().unwrap();
    let pair = || {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let ((certificate, key), (_, other_key)) = (pair(), pair());
    let certificate = write(&files, "cert.pem", &certificate);
    let key = write(&files, "key.pem", &key);
    let other_key = write(&files, "other.pem", &other_key);
    let garbage = write(&files, "garbage.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let missing = files.path().join("missing.pem");
    assert!(ServerTls::load(&certificate, &key).is_ok());
    let check = |certificate: &Path, key: &Path, expected: &str| {
        let error = ServerTls::load(certificate, key).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&missing, &key, "missing.pem` cannot be read");
    check(&certificate, &missing, "missing.pem` cannot be read");
    check(&certificate, &other_key, "other.pem` does not match");
    check(&certificate, &certificate, "cert.pem` has no private key");
    check(&key, &key, "key.pem` has no valid certificate");
    check(&garbage, &key, "garbage.pem` has no valid certificate");
    assert!(ClientTls::new(SslMode::VerifyFull, Some(&garbage)).is_err());
    assert!(ClientTls::new(SslMode::VerifyFull, Some(&missing)).is_err());
}

#[test]
fn half_a_pair_is_not_replaced() {
    for half in ["cert.pem", "key.pem"] {
        let data = TempDir::new().unwrap();
        ServerTls::load_or_create(data.path(), None).unwrap();
        fs::remove_file(data.path().join("tls").join(half)).unwrap();
        assert!(matches!(ServerTls::load_or_create(data.path(), None), Err(TlsError::HalfPair { .. })));
    }
}

#[test]
fn a_certificate_is_hashed_as_it_is_signed() {
    let certificate = |key: KeyPair| {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    };
    let strong = certificate(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
    assert_eq!(endpoint_hash(&strong), Some(Sha384::digest(&strong).to_vec()));
    assert_eq!(endpoint_hash(&certificate(KeyPair::generate_for(&PKCS_ED25519).unwrap())), None);
    for length in 0..strong.len() {
        let _ = endpoint_hash(&strong[..length]);
    }
    assert_eq!(endpoint_hash(b""), None);
    assert_eq!(endpoint_hash(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
}
