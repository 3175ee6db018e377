//! Golden bytes as PostgreSQL's own programs send them, round trips, and the promise that no input panics.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::frame::{Scan, Scanner, next_frame, peek_header};
use super::frontend::{Bind, BindNames, BindValues, Execute, FunctionCall, Parse, Query, Target};
use super::notice::{Notice, Severity, SqlState};
use super::startup::{CancelKey, Opening, ProtocolVersion, Startup, StartupError, next_opening, parse_options};
use super::*;

const FRONTEND: Limits = Limits::frontend(frame::FRONTEND_BODY_BYTES_MAX);

fn frame(kind: u8, body: &[u8]) -> Frame {
    Frame { kind, body: Bytes::copy_from_slice(body) }
}

/// Encodes, takes the frame out again, and expects nothing left.
fn reframe(limits: &Limits, put: impl FnOnce(&mut BytesMut)) -> Frame {
    let mut buf = BytesMut::new();
    put(&mut buf);
    let frame = next_frame(&mut buf, limits).unwrap().expect("a whole frame");
    assert!(buf.is_empty());
    frame
}

fn front(put: impl FnOnce(&mut BytesMut)) -> frontend::Message {
    frontend::Message::decode(reframe(&FRONTEND, put)).unwrap()
}

fn back(put: impl FnOnce(&mut BytesMut)) -> backend::Message {
    backend::Message::decode(reframe(&Limits::BACKEND, put)).unwrap()
}

fn startup_packet(version: u32, parameters: &[(&str, &str)]) -> BytesMut {
    let mut body = BytesMut::from(&version.to_be_bytes()[..]);
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.extend_from_slice(b"\0");
    let mut packet = BytesMut::from(&(body.len() as u32 + 4).to_be_bytes()[..]);
    packet.extend_from_slice(&body);
    packet
}

fn started(parameters: &[(&str, &str)]) -> Result<Startup, StartupError> {
    match next_opening(&mut startup_packet(196_608, parameters))? {
        Some(Opening::Startup(startup)) => Ok(startup),
        other => panic!("{other:?}"),
    }
}

#[test]
fn golden_messages_of_a_client() {
    let decode = |kind, body: &[u8]| frontend::Message::decode(frame(kind, body));
    assert_eq!(decode(b'Q', b"select 1\0"), Ok(frontend::Message::Query(Query { sql: "select 1".into() })));
    assert_eq!(
        decode(b'P', b"s1\0select $1\0\0\x01\0\0\0\x17"),
        Ok(frontend::Message::Parse(Parse { name: "s1".into(), sql: "select $1".into(), types: vec![23] }))
    );
    let bind = b"\0s1\0\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\x2a\xff\xff\xff\xff\0\x01\0\0";
    assert_eq!(
        decode(b'B', bind),
        Ok(frontend::Message::Bind(Bind {
            portal: String::new(),
            statement: "s1".into(),
            formats: vec![Format::Binary],
            values: vec![Some(Bytes::from_static(&[0, 0, 0, 42])), None],
            result_formats: vec![Format::Text],
            tail: Bytes::from_static(&bind[4..]),
        }))
    );
    assert_eq!(decode(b'D', b"Ss1\0"), Ok(frontend::Message::Describe(Target::Statement("s1".into()))));
    assert_eq!(decode(b'C', b"P\0"), Ok(frontend::Message::Close(Target::Portal(String::new()))));
    let execute = |max_rows| Ok(frontend::Message::Execute(Execute { portal: String::new(), max_rows }));
    assert_eq!(decode(b'E', b"\0\0\0\0\x05"), execute(5));
    assert_eq!(decode(b'E', b"\0\xff\xff\xff\xff"), execute(0));
}

#[test]
fn inexact_messages_of_a_client_are_refused() {
    let check = |kind, body: &[u8], expected| {
        assert_eq!(frontend::Message::decode(frame(kind, body)), Err(expected), "{kind} {body:?}");
    };
    check(b'Q', b"select 1", WireError::Truncated("query"));
    check(b'Q', b"select 1\0; drop table t\0", WireError::Trailing(15));
    check(b'Q', b"select '\xff'\0", WireError::NotUtf8("query"));
    check(b'Q', b"select '\xed\xa0\x80'\0", WireError::NotUtf8("query"));
    check(b'S', b"\0", WireError::Trailing(1));
    check(b'P', b"\0\0\xff\xff", WireError::Truncated("parameter types"));
    check(b'B', b"\0\0\0\0\xff\xff", WireError::Truncated("values"));
    check(b'B', b"\0\0\0\x01\0\x02\0\0\0\0", WireError::BadValue("format code"));
    check(b'B', b"\0\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0", WireError::BadValue("formats"));
    check(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0", WireError::BadValue("values"));
    check(b'D', b"X\0", WireError::BadValue("target"));
    check(b'p', b"secret\0", WireError::UnknownKind(b'p'));
    check(b'z', b"", WireError::UnknownKind(b'z'));
}

#[test]
fn golden_messages_to_a_server() {
    let mut out = BytesMut::new();
    frontend::query(&mut out, "select 1").unwrap();
    assert_eq!(&out[..], b"Q\0\0\0\x0dselect 1\0");
    out.clear();
    assert_eq!(frontend::query(&mut out, "a\0b"), Err(WireError::InteriorNul("query")));
    assert!(out.is_empty(), "nothing of a failed message stays");
    frontend::sync(&mut out);
    frontend::flush(&mut out);
    frontend::terminate(&mut out);
    assert_eq!(&out[..], b"S\0\0\0\x04H\0\0\0\x04X\0\0\0\x04");
    out.clear();
    let key = CancelKey { process_id: 1, secret: Bytes::from_static(&[0, 0, 0, 2]) };
    startup::cancel_request(&mut out, &key).unwrap();
    assert_eq!(&out[..], b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02");
    assert_eq!(next_opening(&mut out), Ok(Some(Opening::Cancel(key))));
    startup::ssl_request(&mut out);
    assert_eq!(&out[..], b"\0\0\0\x08\x04\xd2\x16\x2f");
    assert_eq!(next_opening(&mut out), Ok(Some(Opening::Tls)));
}

#[test]
fn golden_messages_of_a_server() {
    let decode = |kind, body: &[u8]| backend::Message::decode(frame(kind, body)).unwrap();
    assert_eq!(decode(b'Z', b"T"), backend::Message::ReadyForQuery(TransactionStatus::InTransaction));
    let rows = |tag: &str| backend::CommandTag { tag: tag.into() }.rows();
    assert_eq!(
        [rows("INSERT 0 5"), rows("SELECT 12"), rows("BEGIN"), rows("CREATE TABLE")],
        [Some(5), Some(12), None, None]
    );
    let error = b"SFEHLER\0VERROR\0C42P01\0Mrelation \"x\" does not exist\0P15\0Fparse_relation.c\0L1392\0\0";
    let backend::Message::Error(notice) = decode(b'E', error) else { panic!() };
    assert_eq!((notice.severity, notice.code.as_str(), notice.position), (Severity::Error, "42P01", Some(15)));
    assert_eq!(notice.message, "relation \"x\" does not exist");
    assert_eq!(notice.others, [(b'F', "parse_relation.c".into()), (b'L', "1392".into())]);
    assert_eq!(
        decode(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"),
        backend::Message::Authentication(backend::Authentication::Sasl(vec![
            "SCRAM-SHA-256-PLUS".into(),
            "SCRAM-SHA-256".into()
        ]))
    );
    assert_eq!(
        decode(b'D', b"\0\x02\0\0\0\x011\xff\xff\xff\xff"),
        backend::Message::DataRow(vec![Some(Bytes::from_static(b"1")), None])
    );
}

#[test]
fn golden_messages_to_a_client() {
    let mut out = BytesMut::new();
    backend::authentication_sasl(&mut out, &["SCRAM-SHA-256"]).unwrap();
    assert_eq!(&out[..], b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0");
    out.clear();
    Notice::error(SqlState::INSUFFICIENT_PRIVILEGE, "no\0pe").with_hint("ask").put_error(&mut out);
    assert_eq!(&out[..], "E\0\0\0\x28SERROR\0VERROR\0C42501\0Mno\u{FFFD}pe\0Hask\0\0".as_bytes());
    out.clear();
    let negotiation = backend::Negotiation { version: ProtocolVersion::V3_2, unknown_options: vec!["_pq_.x".into()] };
    backend::negotiate_protocol_version(&mut out, &negotiation).unwrap();
    assert_eq!(&out[..], b"v\0\0\0\x13\0\x03\0\x02\0\0\0\x01_pq_.x\0");
    assert_eq!(
        backend::Message::decode(next_frame(&mut out, &Limits::BACKEND).unwrap().unwrap()),
        Ok(backend::Message::NegotiateProtocolVersion(negotiation))
    );
}

#[test]
fn a_notice_field_past_the_bound_is_cut_and_counted() {
    let long = "é".repeat((1 << 20) / 2 + 1);
    let decoded = back(|out| Notice::error(SqlState::INTERNAL_ERROR, long).put_error(out));
    let backend::Message::Error(notice) = decoded else { panic!() };
    assert!(notice.message.ends_with("é… (2 bytes cut)"));
}

#[test]
fn lengths_are_refused_before_the_body_arrives() {
    let check = |limits: &Limits, bytes: &[u8], expected| assert_eq!(peek_header(bytes, limits), Err(expected));
    check(&FRONTEND, b"Q\0\0\0\x03", WireError::BadLength(3));
    check(&FRONTEND, b"Q\xff\xff\xff\xff", WireError::BadLength(-1));
    check(&FRONTEND, b"p", WireError::UnknownKind(b'p'));
    check(&Limits::UNAUTHENTICATED, b"Q", WireError::UnknownKind(b'Q'));
    let too_long = |kind, body_bytes, body_bytes_max| WireError::TooLong { kind, body_bytes, body_bytes_max };
    check(&Limits::UNAUTHENTICATED, b"p\0\0\x27\x15", too_long(b'p', 10_001, 10_000));
    check(&FRONTEND, b"X\0\0\x27\x15", too_long(b'X', 10_001, 10_000));
    check(&FRONTEND, b"Q\x04\0\0\x05", too_long(b'Q', (64 << 20) + 1, 64 << 20));
    assert_eq!(peek_header(b"d\x40\0\0\x04", &Limits::BACKEND).unwrap().unwrap().body_bytes, 1 << 30);
}

#[test]
fn a_startup_packet_is_read_as_the_server_reads_it() {
    let startup = started(&[
        ("user", "bot"),
        ("database", "orders"),
        ("options", "-c a.b=1 --Search-Path=x\\ y  -cc=d=e -c c=f"),
        ("Application_Name", "psql"),
        ("search_path", "z"),
    ])
    .unwrap();
    let settings: Vec<_> = startup.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(settings, [("a.b", "1"), ("application_name", "psql"), ("c", "f"), ("search_path", "z")]);
    assert_eq!((startup.user.as_str(), startup.database.as_str(), startup.replication), ("bot", "orders", false));
    assert_eq!(startup.negotiation(), None);
    assert_eq!(started(&[("user", "bot")]).unwrap().database, "bot");
}

#[test]
fn doubtful_startup_packets_are_refused() {
    let check = |parameters: &[(&str, &str)], expected| assert_eq!(started(parameters), Err(expected));
    check(&[], StartupError::NoUser);
    check(&[("user", "")], StartupError::NoUser);
    check(&[("user", "a"), ("user", "b")], WireError::Duplicate("user".into()).into());
    check(&[("user", "a"), ("x", "1"), ("X", "2")], WireError::Duplicate("x".into()).into());
    check(&[("user", "a"), ("User", "b")], StartupError::ReservedName("user".into()));
    check(&[("user", "a"), ("options", "-c user=b")], StartupError::ReservedName("user".into()));
    for option in ["-d", "-B", "x", "-", "--", "-c", "-F", "--x"] {
        let refused = started(&[("user", "a"), ("options", option)]);
        assert!(matches!(refused, Err(StartupError::UnsupportedOption(_))), "{option} gave {refused:?}");
    }
    let version = |number| next_opening(&mut startup_packet(number, &[("user", "a")]));
    assert!(matches!(version(2 << 16), Err(StartupError::UnsupportedVersion(_))));
    assert_eq!(next_opening(&mut BytesMut::from(&b"\0\0\x27\x11"[..])), Err(too_long_startup()));
    assert_eq!(next_opening(&mut BytesMut::from(&b"GET "[..])).map_err(|_| ()), Err(()));
    assert_eq!(next_opening(&mut BytesMut::from(&b"\0\0\0\x07"[..])), Err(WireError::BadLength(7).into()));
}

fn too_long_startup() -> StartupError {
    WireError::TooLong { kind: 0, body_bytes: 10_001, body_bytes_max: 10_000 }.into()
}

#[test]
fn newer_versions_and_options_are_negotiated_down() {
    let mut packet = startup_packet(3 << 16 | 9999, &[("user", "a"), ("_pq_.b", "1"), ("_pq_.a", "1")]);
    let Ok(Some(Opening::Startup(startup))) = next_opening(&mut packet) else { panic!() };
    let negotiation = startup.negotiation().unwrap();
    assert_eq!(negotiation.version, ProtocolVersion::V3_2);
    assert_eq!(negotiation.unknown_options, ["_pq_.a", "_pq_.b"]);
    assert!(startup.settings.is_empty());
}

#[test]
fn replication_is_seen_however_it_is_spelled() {
    let asked = |value| started(&[("user", "a"), ("replication", value)]).unwrap().replication;
    assert_eq!(["true", "database", "ON", "1", "nonsense", "", "o"].map(asked), [true; 7]);
    assert_eq!(["false", "F", "off", "of", "no", "n", "0"].map(asked), [false; 7]);
}

#[test]
fn cancel_secrets_are_4_to_256_bytes() {
    for (length, fits) in [(3, false), (4, true), (32, true), (256, true), (257, false)] {
        let mut packet = BytesMut::from(&(12 + length as u32).to_be_bytes()[..]);
        packet.extend_from_slice(b"\x04\xd2\x16\x2e\0\0\0\x01");
        packet.extend_from_slice(&vec![7; length]);
        assert_eq!(next_opening(&mut packet).is_ok(), fits, "{length}");
    }
}

#[test]
fn options_are_split_as_the_server_splits_them() {
    let check = |options, expected: &[(&str, &str)]| {
        let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(parse_options(options), Ok::<BTreeMap<_, _>, _>(expected), "{options}");
    };
    check("", &[]);
    check(" \t\n ", &[]);
    check(r"-c a=\\b\ c", &[("a", r"\b c")]);
    check("-c a=\u{b}-c b=2", &[("a", ""), ("b", "2")]);
    check("-c A=1\\", &[("a", "1")]);
}

#[test]
fn the_relay_forwards_runs_and_stops_at_the_rest() {
    let mut wire = BytesMut::new();
    for row in [&b"1"[..], b"22"] {
        backend::data_row(&mut wire, &[Some(row)]).unwrap();
    }
    let rows = wire.len();
    backend::command_complete(&mut wire, "SELECT 2").unwrap();
    let mut scanner = Scanner::new(Limits::BACKEND);
    let pass = KindSet::of(b"D");
    let Scan::Run(run) = scanner.scan(&wire, pass).unwrap() else { panic!() };
    assert_eq!((run.bytes.len(), run.frames, run.rows), (rows, 2, 2));
    let Scan::Stop(stop) = scanner.scan(&wire[rows..], pass).unwrap() else { panic!() };
    assert_eq!((stop.kind, stop.body()), (b'C', &b"SELECT 2\0"[..]));
    assert_eq!(scanner.scan(&wire[rows..rows + 7], pass), Ok(Scan::Need(7)));
    assert_eq!(scanner.scan(b"", pass), Ok(Scan::Need(5)));
    assert_eq!(scanner.scan(b"!", pass), Err(WireError::UnknownKind(b'!')));
}

#[test]
fn a_large_frame_is_forwarded_before_it_is_complete() {
    let chunk = vec![b'x'; 100_000];
    let mut wire = BytesMut::new();
    frontend::copy_data(&mut wire, &chunk).unwrap();
    frontend::copy_done(&mut wire);
    let mut scanner = Scanner::new(FRONTEND);
    let pass = KindSet::of(b"d");
    let (mut payload, mut at) = (Vec::new(), 0);
    for end in [50_000, 100_005] {
        let Scan::Run(run) = scanner.scan(&wire[at..end], pass).unwrap() else { panic!() };
        run.bodies(b'd').for_each(|part| payload.extend_from_slice(part));
        at += run.bytes.len();
        assert_eq!((at, scanner.at_boundary()), (end, end == 100_005));
    }
    assert_eq!(payload, chunk);
    assert!(matches!(scanner.scan(&wire[at..], pass), Ok(Scan::Stop(stop)) if stop.kind == b'c'));
}

fn name() -> impl Strategy<Value = String> {
    "[^\0]{0,12}"
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Text), Just(Format::Binary)]
}

fn values() -> impl Strategy<Value = (Vec<Format>, Vec<Option<Vec<u8>>>)> {
    vec(proptest::option::of(vec(any::<u8>(), 0..20)), 0..6).prop_flat_map(|values| {
        let count = values.len();
        (prop_oneof![vec(format(), 0..=1), vec(format(), count)], Just(values))
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(kind: u8, body in vec(any::<u8>(), 0..200)) {
        let _ = frontend::Message::decode(frame(kind, &body));
        let _ = backend::Message::decode(frame(kind, &body));
        let _ = frontend::decode_sasl_initial(frame(b'p', &body));
        let _ = frontend::decode_password(frame(b'p', &body));
        let _ = next_opening(&mut BytesMut::from(&body[..]));
        let mut packet = startup_packet(196_608, &[]);
        packet.truncate(8);
        packet.extend_from_slice(&body);
        let length = packet.len() as u32;
        packet[..4].copy_from_slice(&length.to_be_bytes());
        let _ = next_opening(&mut packet);
        let _ = next_frame(&mut BytesMut::from(&body[..]), &FRONTEND);
        let _ = Scanner::new(Limits::BACKEND).scan(&body, KindSet::of(b"DdT"));
    }

    #[test]
    fn likely_bytes_do_not_panic(kind in prop::sample::select(&b"QPBDCESHdcfXFpRKZ123nsIGWTtAVvNE"[..]),
                                 body in vec(prop_oneof![0u8..4, Just(255), Just(b'S')], 0..60)) {
        let _ = frontend::Message::decode(frame(kind, &body));
        let _ = backend::Message::decode(frame(kind, &body));
    }

    #[test]
    fn any_options_do_not_panic(options in ".{0,40}") {
        let _ = parse_options(&options);
    }

    #[test]
    fn parse_comes_back(name in name(), sql in "[^\0]{0,60}", types in vec(any::<u32>(), 0..8)) {
        let message = Parse { name, sql, types };
        prop_assert_eq!(front(|out| frontend::parse(out, &message).unwrap()), frontend::Message::Parse(message));
    }

    #[test]
    fn bind_comes_back_under_new_names(portal in name(), statement in name(), (formats, values) in values(),
                                       result_formats in vec(format(), 0..5)) {
        let borrowed: Vec<_> = values.iter().map(Option::as_deref).collect();
        let content = BindValues { formats: &formats, values: &borrowed, result_formats: &result_formats };
        let tail = frontend::bind_tail(content).unwrap();
        let put = |portal: &str, statement: &str, tail: &[u8]| {
            front(|out| frontend::bind(out, BindNames { portal, statement }, tail).unwrap())
        };
        let values: Vec<_> = values.into_iter().map(|value| value.map(Bytes::from)).collect();
        let frontend::Message::Bind(bind) = put(&portal, &statement, &tail) else { panic!() };
        let frontend::Message::Bind(renamed) = put("p2", "s2", &bind.tail) else { panic!() };
        prop_assert_eq!((&bind.portal, &bind.statement, &bind.values), (&portal, &statement, &values));
        prop_assert_eq!((&bind.formats, &bind.result_formats), (&formats, &result_formats));
        let expected = Bind { portal: "p2".into(), statement: "s2".into(), ..bind };
        prop_assert_eq!(renamed, expected);
    }

    #[test]
    fn small_messages_come_back(text in name(), max_rows in 0..=i32::MAX as u32, statement: bool, chunk in vec(any::<u8>(), 0..50)) {
        let target = if statement { Target::Statement(text.clone()) } else { Target::Portal(text.clone()) };
        let execute = Execute { portal: text.clone(), max_rows };
        let call = FunctionCall {
            function: max_rows, formats: vec![], arguments: vec![Some(chunk.clone().into()), None], result_format: Format::Binary,
        };
        use frontend::Message;
        prop_assert_eq!(front(|out| frontend::query(out, &text).unwrap()), Message::Query(Query { sql: text.clone() }));
        prop_assert_eq!(front(|out| frontend::describe(out, &target).unwrap()), Message::Describe(target.clone()));
        prop_assert_eq!(front(|out| frontend::close(out, &target).unwrap()), Message::Close(target));
        prop_assert_eq!(front(|out| frontend::execute(out, &execute).unwrap()), Message::Execute(execute));
        prop_assert_eq!(front(|out| frontend::function_call(out, &call).unwrap()), Message::FunctionCall(call));
        prop_assert_eq!(front(|out| frontend::copy_fail(out, &text).unwrap()), Message::CopyFail(text));
        prop_assert_eq!(front(|out| frontend::copy_data(out, &chunk).unwrap()), Message::CopyData(chunk.into()));
    }

    #[test]
    fn notices_come_back(message in name(), detail in proptest::option::of(name()), position in proptest::option::of(any::<u32>())) {
        let notice = Notice { detail, position, ..Notice::fatal(SqlState::INVALID_PASSWORD, message) };
        prop_assert_eq!(back(|out| notice.put_error(out)), backend::Message::Error(
            Notice { others: vec![], ..notice.clone() }));
        prop_assert_eq!(back(|out| notice.put_notice(out)), backend::Message::Notice(notice));
    }

    #[test]
    fn settings_come_back(given in btree_map("[a-z_.]{1,8}", name(), 0..6)) {
        prop_assume!(!given.keys().any(|name| startup::is_reserved(name)));
        let mut parameters: BTreeMap<_, _> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        parameters.insert("user", "bot");
        let mut packet = BytesMut::new();
        startup::startup(&mut packet, &parameters).unwrap();
        let Ok(Some(Opening::Startup(startup))) = next_opening(&mut packet) else { panic!() };
        prop_assert_eq!(startup.settings, given);
    }

    /// However the bytes arrive, the relay forwards all of them, in order, and stops at the same frames.
    #[test]
    fn the_relay_loses_nothing(frames in vec((prop::sample::select(&b"DdCZT"[..]), prop_oneof![0usize..40, 16_000..17_000usize]), 1..8),
                               cuts in vec(1usize..9000, 1..12)) {
        let mut wire = BytesMut::new();
        for (kind, length) in &frames {
            frame(*kind, &vec![*kind; *length]).write(&mut wire);
        }
        let (whole, pass) = (wire.clone(), KindSet::of(b"Dd"));
        let (mut scanner, mut buf, mut forwarded, mut rows) = (Scanner::new(Limits::BACKEND), BytesMut::new(), BytesMut::new(), 0);
        for cut in cuts.iter().cycle() {
            buf.extend_from_slice(&wire.split_to((*cut).min(wire.len())));
            loop {
                let taken = match scanner.scan(&buf, pass).unwrap() {
                    Scan::Run(run) => { rows += run.rows; run.bytes }
                    Scan::Stop(stop) => { prop_assert!(scanner.at_boundary() && !pass.contains(stop.kind)); stop.raw }
                    Scan::Need(bytes) => { prop_assert!(bytes > 0); break }
                };
                forwarded.extend_from_slice(taken);
                let count = taken.len();
                buf.advance(count);
            }
            if wire.is_empty() { break }
        }
        prop_assert!(buf.is_empty() && scanner.at_boundary());
        prop_assert_eq!(forwarded, whole);
        prop_assert_eq!(rows, frames.iter().filter(|(kind, _)| *kind == b'D').count() as u64);
    }
}
