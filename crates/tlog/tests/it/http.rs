//! A log behind a web address, served on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use countersign_tlog::HttpSource;
use countersign_tlog::verify::{self, Options};

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::cli::run;
use crate::support::TestLog;

/// Serves a folder until the test process ends; paths under `big/` answer without end, `moved/` redirects.
fn serve(root: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &root);
        }
    });
    address
}

/// The same with TLS, under a certificate that signs itself; returns the address and the certificate.
fn serve_tls(root: PathBuf) -> (String, String) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![issued.cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = ServerConnection::new(config.clone()).unwrap();
            let _ = answer(StreamOwned::new(session, stream), &root);
        }
    });
    (address, issued.cert.pem())
}

fn answer(mut stream: impl Read + Write, root: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(1, &mut stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
    if path.starts_with("big/") {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        return std::iter::repeat_n([0; 65_536], 300).try_for_each(|chunk| stream.write_all(&chunk));
    }
    if path.starts_with("moved/") {
        return stream.write_all(
            b"HTTP/1.1 302 Found\r\nLocation: /checkpoint\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    let (status, body) = std::fs::read(root.join(path)).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}

#[test]
fn a_log_behind_an_address() {
    let log = TestLog::published_at(&[10, 600]);
    let address = serve(log.dir.path().to_owned());
    let key = log.key().to_string();
    let output = run(&["--key", &key, &address]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    log.edit_entries("tile/entries/001", |entries| entries[0].push(b'!'));
    let output = run(&["--key", &key, &format!("{address}/")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("first bad leaf  256"));
}

#[test]
fn a_log_behind_tls_needs_a_trusted_certificate() {
    let log = TestLog::published_at(&[300]);
    let (address, certificate) = serve_tls(log.dir.path().to_owned());
    log.write("root.pem", certificate.as_bytes());
    log.write("other.pem", rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem().as_bytes());
    for (roots, exit) in [("root.pem", 0), ("other.pem", 1)] {
        let mut verify = Command::new(env!("CARGO_BIN_EXE_countersign-verify"));
        verify.env("SSL_CERT_FILE", log.path(roots)).args(["--key", &log.key().to_string(), &address]);
        let output = verify.output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{roots}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn superseded_partial_tiles_are_found_in_the_full_ones() {
    let mut log = TestLog::published_at(&[100]);
    let signed = log.read("checkpoint");
    log.grow_to(300);
    log.write("checkpoint", &signed);
    log.remove("tile/0/000.p/100");
    log.remove("tile/entries/000.p/100");
    let source = HttpSource::new(&serve(log.dir.path().to_owned())).unwrap();
    assert_eq!(verify::log(&source, &log.key(), &Options::default()).unwrap().size, 100);
}

#[test]
fn endless_and_redirected_answers_are_refused() {
    let log = TestLog::published_at(&[3]);
    let address = serve(log.dir.path().to_owned());
    for (folder, words) in [("big", "is longer than"), ("moved", "cannot read `checkpoint`")] {
        let source = HttpSource::new(&format!("{address}/{folder}")).unwrap();
        let error = verify::log(&source, &log.key(), &Options::default()).unwrap_err();
        assert_eq!(error.problem().code(), "unreadable");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(words), "{cause}");
    }
}

#[test]
fn no_server_is_not_a_verified_log() {
    let log = TestLog::published_at(&[3]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = run(&["--key", &log.key().to_string(), &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("the log cannot be read"));
}
