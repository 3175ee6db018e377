//! URLs, and log-ins against servers that are played from a script over a socket pair.

use std::path::PathBuf;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::protocols::postgres::wire::backend::{self, Negotiation};
use crate::protocols::postgres::wire::startup::ProtocolVersion;

fn parse(url: &str) -> Result<Endpoint, EndpointError> {
    url.parse()
}

#[test]
fn urls_are_read() {
    let endpoint =
        parse("postgres://app%40corp@db.example:5433/or%20ders?sslmode=verify-full&sslrootcert=%2Fca.pem").unwrap();
    assert_eq!(endpoint.host, Host::Tcp("db.example".into()));
    assert_eq!((endpoint.port, endpoint.user.as_str(), endpoint.database.as_str()), (5433, "app@corp", "or ders"));
    assert_eq!((endpoint.sslmode, endpoint.sslrootcert.clone()), (SslMode::VerifyFull, Some(PathBuf::from("/ca.pem"))));
    let plain = parse("postgresql://app@[::1]").unwrap();
    assert_eq!(
        (plain.address().as_str(), plain.database.as_str(), plain.sslmode),
        ("[::1]:5432", "app", SslMode::Prefer)
    );
    for socket in ["postgres://app@%2Frun%2Fpg:6000/x", "postgres://app@:6000/x?host=/run/pg"] {
        assert_eq!(parse(socket).unwrap().address(), "/run/pg/.s.PGSQL.6000");
    }
    assert_eq!(parse("postgres://a@h?sslmode=verify-full&sslrootcert=system").unwrap().sslrootcert, None);
}

#[test]
fn doubtful_urls_are_refused() {
    let check = |url: &str, expected| assert_eq!(parse(url), Err(expected), "{url}");
    check("mysql://a@h", EndpointError::Scheme);
    check("postgres://a:secret@h/d", EndpointError::Password);
    check("postgres://a:p@ss@h/d", EndpointError::Password);
    check("postgres://a@h/d?password=secret", EndpointError::Password);
    check("postgres://h/d", EndpointError::NoUser);
    check("postgres://@h/d", EndpointError::NoUser);
    check("postgres://a@/d", EndpointError::Host);
    check("postgres://a@h1,h2/d", EndpointError::Host);
    check("postgres://a@[::1/d", EndpointError::Host);
    check("postgres://a@h/d?host=/run", EndpointError::Host);
    check("postgres://a@h:0/d", EndpointError::Port);
    check("postgres://a@h:65536/d", EndpointError::Port);
    check("postgres://a@h:+1/d", EndpointError::Port);
    check("postgres://a@h/d%4", EndpointError::Encoding("database"));
    check("postgres://a@h/d%00", EndpointError::Encoding("database"));
    check("postgres://a@h/d%ff", EndpointError::Encoding("database"));
    check("postgres://a@h/d#x", EndpointError::Encoding("database"));
    check("postgres://a@h/d?options=-csearch_path=x", EndpointError::UnknownParameter("options".into()));
    check("postgres://a@h/d?sslmode=disable&sslmode=require", EndpointError::Duplicate("sslmode".into()));
    check("postgres://a@h/d?sslmode=allow", EndpointError::SslMode);
    check("postgres://a@h/d?sslmode=verify-ca", EndpointError::NoRoot);
    check("postgres://a@h/d?sslrootcert=/ca.pem", EndpointError::UnusedRoot("prefer"));
    check("postgres://a@h/d?sslmode=require&sslrootcert=system", EndpointError::UnusedRoot("require"));
    check("postgres://a@%2Frun/d?sslmode=require", EndpointError::TlsOnSocket);
}

const SECRET: &str = "correct horse";

/// Plays a server: after the start-up packet it says each line once the client has said something.
async fn play(lines: Vec<BytesMut>, trust: Option<Trust>) -> Result<Connection, ConnectError> {
    let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
    let server = tokio::spawn(async move {
        for line in lines {
            let mut heard = [0; 4096];
            if theirs.read(&mut heard).await.unwrap_or(0) == 0 {
                return;
            }
            theirs.write_all(&line).await.unwrap();
        }
        let _ = theirs.read(&mut [0; 4096]).await;
    });
    let opened = Opened { stream: Stream::Unix(ours), trust, binding: None };
    let endpoint = parse("postgres://app@h/orders").unwrap();
    let done = login::login(opened, &endpoint, Some(&SecretString::from(SECRET)), &BTreeMap::new()).await;
    server.abort();
    done
}

fn line(put: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    put(&mut out);
    out
}

fn started(out: &mut BytesMut) {
    backend::authentication_ok(out);
    backend::parameter_status(out, "server_version", "15.0").unwrap();
    Notice::new(super::super::wire::notice::Severity::Warning, SqlState::SUCCESSFUL, "old").put_notice(out);
    let key = CancelKey { process_id: 7, secret: Bytes::from_static(b"abcd") };
    backend::backend_key_data(out, &key).unwrap();
    backend::ready_for_query(out, TransactionStatus::Idle);
}

#[tokio::test]
async fn a_session_that_needs_no_password_starts() {
    let connection = play(vec![line(started)], None).await.unwrap();
    assert_eq!(connection.parameters["server_version"], "15.0");
    assert_eq!(connection.cancel_key.unwrap().process_id, 7);
    assert_eq!(connection.notices[0].message, "old");
    assert!(connection.read_buf.is_empty());
}

#[tokio::test]
async fn the_clear_password_goes_only_to_a_verified_server() {
    let ask = || line(|out| out.extend_from_slice(b"R\0\0\0\x08\0\0\0\x03"));
    for trust in [None, Some(Trust::Anybody)] {
        let refused = play(vec![ask(), line(started)], trust).await;
        assert!(matches!(refused, Err(ConnectError::CleartextRefused)));
    }
    assert!(play(vec![ask(), line(started)], Some(Trust::Host)).await.is_ok());
}

#[tokio::test]
async fn a_server_that_skips_its_own_proof_is_refused() {
    let sasl = || line(|out| backend::authentication_sasl(out, &["SCRAM-SHA-256"]).unwrap());
    let refused = play(vec![sasl(), line(started)], None).await;
    assert!(matches!(refused, Err(ConnectError::Unexpected("no SCRAM challenge"))));
    let challenge = line(|out| backend::authentication_sasl_continue(out, b"r=other,s=AAAA,i=4096").unwrap());
    let refused = play(vec![sasl(), challenge], None).await;
    assert!(matches!(refused, Err(ConnectError::Scram(_))));
}

#[tokio::test]
async fn what_the_server_said_is_kept_and_the_secret_is_not() {
    let check = |refused: Result<Connection, ConnectError>, code: &str| {
        let error = refused.unwrap_err();
        assert_eq!(error.notice().unwrap().code.as_str(), code);
        assert!(!format!("{error} {error:?}").contains(SECRET));
        error
    };
    let say = |code, text: &str| line(|out| Notice::fatal(code, text).put_error(out));
    let refused = play(vec![say(SqlState::INVALID_PASSWORD, "password authentication failed")], None).await;
    assert!(matches!(check(refused, "28P01"), ConnectError::AuthenticationFailed(_)));
    let refused = play(vec![say(SqlState::INVALID_CATALOG_NAME, "no such database")], None).await;
    assert!(matches!(check(refused, "3D000"), ConnectError::Rejected(_)));
}

#[tokio::test]
async fn messages_out_of_turn_are_refused() {
    let kerberos = line(|out| out.extend_from_slice(b"R\0\0\0\x08\0\0\0\x07"));
    assert!(matches!(play(vec![kerberos], None).await, Err(ConnectError::UnsupportedMethod(name)) if name == "GSSAPI"));
    let ready = line(|out| backend::ready_for_query(out, TransactionStatus::Idle));
    assert!(matches!(play(vec![ready], None).await, Err(ConnectError::Unexpected(_))));
    let older = Negotiation { version: ProtocolVersion::V3_0, unknown_options: vec![] };
    let older = line(|out| backend::negotiate_protocol_version(out, &older).unwrap());
    assert!(matches!(play(vec![older], None).await, Err(ConnectError::Unexpected(_))));
    let rows = line(|out| backend::data_row(out, &[]).unwrap());
    assert!(matches!(play(vec![rows], None).await, Err(ConnectError::Protocol(WireError::UnknownKind(b'D')))));
}

#[tokio::test]
async fn settings_cannot_change_who_logs_in() {
    let connector = Connector::new(parse("postgres://app@127.0.0.1:1/orders").unwrap()).unwrap();
    for name in ["user", "DATABASE", "replication", "options", "_pq_.x"] {
        let settings = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
        let refused = connector.connect(None, &settings, Timeouts::default()).await;
        assert!(matches!(refused, Err(ConnectError::ReservedSetting(_))), "{name}");
    }
}
