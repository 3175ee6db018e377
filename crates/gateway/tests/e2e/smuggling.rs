//! Requests that servers on the way could read differently: none of them reaches the upstream as anything but the one that was decided.
//!
//! The corpus stands in `tests/data/http/smuggling.txt` and `smuggling_h2.txt`, one case a line: what is expected, what it is, its
//! bytes. All are sent at once, each on a connection and with a path of its own.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::harness::origin::Origin;
use crate::harness::{Plan, SOON, World};

const POLICIES: &str = r#"@id("all") permit (principal, action, resource);"#;
/// How long the other side may be silent once it has begun to answer.
const SILENCE_MAX: Duration = Duration::from_millis(500);
/// How a connection of HTTP/2 begins, and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// One line.
struct Case {
    /// How often the upstream is asked for the case's own path.
    passes: bool,
    name: String,
    /// The case's own path.
    path: String,
    bytes: Vec<u8>,
}

fn cases(file: &str, key: &str, bytes: fn(&str) -> Vec<u8>) -> Vec<Case> {
    let path = xtask::repository().join("crates/gateway/tests/data/http").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |(number, line): (usize, &str)| {
        let mut parts = line.splitn(3, " | ");
        let [expected, name, request] = std::array::from_fn(|_| parts.next().unwrap_or_else(|| panic!("{line}")));
        assert!(["passes", "refused"].contains(&expected), "{line}");
        let path = format!("{}-{number}-", file.replace(['.', '_'], "-"));
        let request = request.replace("{case}", &path).replace("{auth}", &format!("Authorization: Bearer {key}"));
        let request = request.replace("{key}", key);
        Case { passes: expected == "passes", name: name.to_owned(), path, bytes: bytes(&request) }
    };
    lines.enumerate().map(case).collect()
}

/// `\r`, `\n`, `\t`, `\\` and `\xNN`, and `{x*N}` for a letter so many times.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => bytes.push(match rest.next().unwrap() {
                'r' => b'\r',
                'n' => b'\n',
                't' => b'\t',
                'x' => u8::from_str_radix(&rest.by_ref().take(2).collect::<String>(), 16).unwrap(),
                other => other as u8,
            }),
            '{' => {
                let (what, count) = rest.as_str().split_once('}').unwrap().0.split_once('*').unwrap();
                rest = rest.as_str()[what.len() + count.len() + 2..].chars();
                bytes.extend(what.repeat(count.parse().unwrap()).bytes());
            }
            other => bytes.extend(other.to_string().bytes()),
        }
    }
    bytes
}

/// Fields as `name=value & name=value`, on stream 1; `@body` is sent after them, and `@more` are fields of a second block.
fn framed(text: &str) -> Vec<u8> {
    let (mut blocks, mut body) = (vec![Vec::new()], None);
    for field in text.split(" & ") {
        // the name may begin with a colon, and be empty
        let (name, value) = field.split_once('=').unwrap();
        match name {
            "@body" => body = Some(unescaped(value)),
            "@more" => blocks.push(Vec::new()),
            _ => literal(blocks.last_mut().unwrap(), &unescaped(name), &unescaped(value)),
        }
    }
    let mut bytes = PREFACE.to_vec();
    let (first, more) = blocks.split_first().unwrap();
    let ends = body.is_none() && more.is_empty();
    frame(&mut bytes, 1, 4 | u8::from(ends), first);
    if let Some(body) = body {
        frame(&mut bytes, 0, u8::from(more.is_empty()), &body);
    }
    more.iter().for_each(|block| frame(&mut bytes, 1, 5, block));
    bytes
}

/// A field without indexing or compression (RFC 7541 §6.2.2).
fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    for text in [name, value] {
        let length = u8::try_from(text.len()).unwrap();
        match length {
            0..127 => block.push(length),
            127.. => block.extend([127, length - 127]),
        }
        block.extend(text);
    }
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, payload: &[u8]) {
    bytes.extend(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
    bytes.extend([kind, flags, 0, 0, 0, 1]);
    bytes.extend(payload);
}

/// Sends bytes as they are, and reads until the other side is done or says no more. Nothing where it said nothing in time.
fn told(port: u16, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let _ = socket.write_all(bytes); // it may have closed before the end
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match socket.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => {
                text.extend_from_slice(&piece[..count]);
                socket.set_read_timeout(Some(SILENCE_MAX)).unwrap();
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && text.is_empty() => return None,
            Err(_) => break,
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
    Some(text)
}

/// The statuses of all answers over HTTP/1.
fn statuses(text: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(text);
    let heads = text.match_indices("HTTP/1.").filter_map(|(at, _)| text[at..].split(' ').nth(1)?.parse().ok());
    heads.filter(|status| *status != 100).collect()
}

/// What the answer over HTTP/2 begins with: 200, or something else.
fn status_h2(mut frames: &[u8]) -> Vec<u16> {
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        match kind {
            1 if rest.first() == Some(&0x88) => return vec![200],
            1 | 3 | 7 => return vec![400],
            _ => frames = rest.get(length..).unwrap_or_default(),
        }
    }
    vec![]
}

fn run(world: &World, origin: &Origin, cases: Vec<Case>, statuses: fn(&[u8]) -> Vec<u16>) {
    let port: u16 = world.gateway.url().rsplit(':').next().unwrap().parse().unwrap();
    let begun = cases.into_iter().map(|case| std::thread::spawn(move || (told(port, &case.bytes), case)));
    let begun: Vec<_> = begun.collect(); // all of them, before the first is waited for
    let sent: Vec<_> = begun.into_iter().map(|sending| sending.join().unwrap()).collect();
    let asked = origin.asked();
    let mut wrong = Vec::new();
    for (answer, Case { passes, name, path, .. }) in sent {
        let own = asked.iter().filter(|asked| asked.target.contains(&path)).count();
        let hidden = asked.iter().any(|asked| asked.target.contains(&path) && asked.target.contains("hidden"));
        let found = answer.as_deref().map(statuses);
        let right = match (&found, passes) {
            (Some(found), true) => found.first() == Some(&200) && own == 1,
            (Some(found), false) => found.first().is_none_or(|status| (400..502).contains(status)) && own == 0,
            (None, _) => false,
        };
        if !right || hidden {
            let text = answer.map(|text| String::from_utf8_lossy(&text).chars().take(300).collect::<String>());
            wrong.push(format!("{name} ({path}): asked {own} times, {found:?} {text:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_readers_disagree_about_never_reaches_the_upstream() {
    let origin = Origin::start();
    let world = Plan::default().only_policies(POLICIES).targets(origin.target("api", "")).start();
    let plain = cases("smuggling.txt", &world.key, unescaped);
    let framed = cases("smuggling_h2.txt", &world.key, framed);
    assert!(plain.len() + framed.len() >= 80, "{} and {}", plain.len(), framed.len());
    run(&world, &origin, plain, statuses);
    run(&world, &origin, framed, status_h2);
    assert_eq!(world.dora().get("/api/v1/targets").status, 200, "it is there still");
}
