//! Requests over HTTP through the gateway, by curl and by clients that do what none should.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::process::{run, wait_until};

use crate::harness::origin::{Origin, misbehaving};
use crate::harness::{Plan, SOON, World};

/// Reads at once; whatever else is asked waits for a DBA.
const POLICIES: &str = r#"
@id("reads") permit (principal, action in Action::"read", resource);
@id("rest") permit (principal, action in [Action::"write", Action::"admin"], resource);
@id("ask") @review("one DBA") @expires("30m")
forbid (principal, action in [Action::"write", Action::"admin"], resource is Service)
unless { context.approvals.contains(Quorum::"dba:1") || context.http.path like "/open*" };
@id("who") permit (principal, action == Action::"approve", resource);
"#;
/// A change that waits.
const ITEM: &str = r#"{"name":"screws","count":3}"#;

/// An origin, and a world whose gateway leads to it as the target `api`.
fn world(more: &str) -> (Origin, World) {
    let origin = Origin::start();
    let world = Plan::default().only_policies(POLICIES).targets(origin.target("api", more)).start();
    (origin, world)
}

/// What curl prints of an answer.
struct Told {
    status: u16,
    headers: String,
    body: String,
}

impl Told {
    fn of(output: &str) -> Self {
        let mut rest = output;
        loop {
            let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
            let status = headers.split(' ').nth(1).and_then(|status| status.get(..3)?.parse().ok()).unwrap_or(0);
            if status != 100 {
                return Self { status, headers: headers.to_owned(), body: body.to_owned() };
            }
            rest = body; // `100 Continue` stands before the answer
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.headers, self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn command(world: &World, path: &str, args: &[&str]) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--max-time", "60"]);
    curl.args(["--header", &format!("Authorization: Bearer {}", world.key)]).args(args);
    curl.arg(format!("{}/t/api{path}", world.gateway.url()));
    curl
}

fn curl(world: &World, path: &str, args: &[&str]) -> Told {
    let done = run(&mut command(world, path, args), SOON * 2).unwrap();
    assert!(done.ok(), "{}", done.stderr);
    Told::of(&done.stdout)
}

/// A call that hangs.
struct Hanging(Child);

impl Hanging {
    fn start(world: &World, path: &str, args: &[&str]) -> Self {
        let mut curl = command(world, path, args);
        Self(curl.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn told(self) -> Told {
        Told::of(&String::from_utf8_lossy(&self.0.wait_with_output().unwrap().stdout))
    }

    fn leave(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_read_passes_with_the_gateways_credential_and_without_the_agents() {
    let (origin, world) = world("");
    let told = curl(
        &world,
        "/items/1?page=2&x=a%20b",
        &["-H", "X-Forwarded-For: 10.0.0.1", "-H", "Cookie: a=b", "-H", "Accept: text/x"],
    );
    assert_eq!(told.status, 200, "{}", told.body);
    assert!(told.header("set-cookie").is_none(), "a session of the upstream's stays inside");
    assert!(
        told.header("content-security-policy").is_some_and(|policy| policy.starts_with("sandbox")),
        "no page of this host's"
    );
    assert_eq!(curl(&world, "/items/1", &["-H", "Sec-Fetch-Mode: navigate"]).json()["code"], "cross_site");
    let asked = origin.wait_for("/base/items/1?page=2&x=a%20b");
    let own = asked.headers["authorization"].to_str().unwrap();
    assert!(own.starts_with("Bearer ") && !own.contains(&world.key));
    assert_eq!(asked.headers["accept"], "text/x");
    for dropped in ["x-forwarded-for", "cookie", "connection"] {
        assert!(!asked.headers.contains_key(dropped), "{dropped}");
    }
    for (key, status) in
        [("csk_none", 401), (&*world.gateway.administer(&["agent", "create", "other", "--owner", "dora"]), 200)]
    {
        let mut basic = Command::new("curl");
        basic.args(["-si", "-u", &format!("any:{key}"), &format!("{}/t/api/items/2", world.gateway.url())]);
        let told = Told::of(&run(&mut basic, SOON).unwrap().stdout);
        assert_eq!(told.status, status, "{}", told.body);
    }
    assert_eq!(curl(&world, "/moved", &[]).header("location"), Some("/t/api/there?x=1"));
    assert!(world.verify().ok());
}

#[test]
fn a_write_waits_and_runs_once_with_the_very_bytes() {
    let (origin, world) = world("");
    let call = Hanging::start(
        &world,
        "/items?draft=1",
        &["-d", ITEM, "-H", "Content-Type: application/json", "-H", "Countersign-Reason: stock is low"],
    );
    let review = world.review_beyond(0);
    assert!(origin.asked_for("/base/items?draft=1").is_empty(), "nothing was sent");
    let card = world.dora().get(&format!("/api/v1/reviews/{}", review.id())).ok();
    assert!(card["statement"].as_str().unwrap().contains("screws"), "{card}");
    assert_eq!(card["reason"], "stock is low");
    world.dora().approve(&review).ok();
    let told = call.told();
    assert_eq!(told.status, 200, "{}", told.body);
    let asked = origin.asked_for("/base/items?draft=1");
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].method.as_str(), asked[0].bytes), ("POST", ITEM.len() as u64));
    let ran = wait_until("the outcome", SOON, || {
        let action = world.dora().get(&format!("/api/v1/actions/{}", review.id())).ok();
        (action["status"] == "succeeded").then_some(action)
    });
    assert_eq!(ran.unwrap()["action"], "http:write");
}

#[test]
fn a_rejected_write_is_a_problem_with_the_reason() {
    let (origin, world) = world("");
    let call = Hanging::start(&world, "/items", &["-d", ITEM]);
    let review = world.review_beyond(0);
    world.dora().reject(&review, "not on a Friday").ok();
    let told = call.told();
    assert_eq!((told.status, told.header("content-type")), (403, Some("application/problem+json")));
    let problem = told.json();
    assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some("review_rejected"), Some(403)));
    assert!(problem["detail"].as_str().unwrap().contains("not on a Friday"), "{problem}");
    let again = curl(&world, "/items", &["-d", ITEM]).json();
    assert_eq!(again["code"], "rejected_recently");
    assert!(origin.asked_for("/base/items").is_empty());
}

#[test]
fn who_will_not_wait_is_told_where_to_ask_and_sends_it_again() {
    let (origin, world) = world("");
    let asynchronous = ["-d", ITEM, "-H", "Prefer: respond-async"];
    let told = curl(&world, "/items", &asynchronous);
    assert_eq!((told.status, told.header("preference-applied")), (202, Some("respond-async")));
    assert!(told.header("retry-after").is_some());
    let place = told.header("location").unwrap().strip_prefix(&world.gateway.url()).unwrap().to_owned();
    assert_eq!(told.json()["action_url"], told.header("location").unwrap());
    let agent = world.api(&world.key);
    assert_eq!(agent.get(&place).ok()["status"], "waiting");
    let review = world.review_beyond(0);
    // the long poll answers as soon as somebody has decided
    let waiting = std::thread::spawn({
        let (agent, place) = (world.api(&world.key), format!("{place}?wait=25"));
        move || (Instant::now(), agent.get(&place).ok())
    });
    std::thread::sleep(Duration::from_millis(300));
    world.dora().approve(&review).ok();
    let (begun, answer) = waiting.join().unwrap();
    assert_eq!(answer["status"], "approved");
    assert!(begun.elapsed() < Duration::from_secs(20), "it did not wait to the end");
    assert!(origin.asked_for("/base/items").is_empty(), "an approval alone runs nothing");
    assert_eq!(
        curl(&world, "/items", &["-d", ITEM]).status,
        200,
        "it runs at once, whether asked for asynchronously or not"
    );
    assert_eq!(curl(&world, "/items", &asynchronous).status, 202, "one approval, one execution");
    assert_eq!(origin.asked_for("/base/items").len(), 1);
    agent.get(&format!("{place}?wait=26")).refused(400, "bad_request");
}

#[test]
fn what_is_sent_again_must_be_the_same_to_the_byte() {
    let (origin, world) = world("headers = [\"x-mode\"]");
    let prefer = ["-H", "Prefer: respond-async"];
    let ask = |path: &str, args: &[&str]| curl(&world, path, &[args, &prefer].concat()).status;
    assert_eq!(ask("/items", &["-d", ITEM]), 202);
    world.dora().approve(&world.review_beyond(0)).ok();
    for (path, args) in [
        ("/items?", vec!["-d", ITEM]),
        ("/items/", vec!["-d", ITEM]),
        ("/items", vec!["-d", "{\"name\":\"screws\",\"count\":4}"]),
        ("/items", vec!["-X", "PUT", "-d", ITEM]),
        ("/items", vec!["-d", ITEM, "-H", "Content-Type: application/json"]),
        ("/items", vec!["-d", ITEM, "-H", "X-Mode: fast"]),
        ("/items", vec!["-d", ITEM, "-H", "Idempotency-Key: 1"]),
    ] {
        assert_eq!(ask(path, &args), 202, "{path} {args:?}");
    }
    assert!(origin.asked().is_empty());
    assert_eq!(ask("/items", &["-d", ITEM, "-H", "X-Other: dropped"]), 200);
}

#[test]
fn nothing_runs_for_who_has_left() {
    let (origin, world) = world("");
    let call = Hanging::start(&world, "/items", &["-d", ITEM]);
    let review = world.review_beyond(0);
    call.leave();
    wait_until("the call to be gone", SOON, || {
        let refused = world.dora().get("/api/v1/actions").ok();
        refused["actions"].as_array().unwrap().iter().any(|action| action["code"] == "cancelled").then_some(())
    })
    .unwrap();
    world.dora().approve(&review).ok();
    std::thread::sleep(Duration::from_millis(500));
    assert!(origin.asked().is_empty());
    assert_eq!(curl(&world, "/items", &["-d", ITEM]).status, 200, "who sends it again gets it");
    assert_eq!(origin.asked_for("/base/items").len(), 1);
}

#[test]
fn long_bodies_stream_through_or_wait_on_disk() {
    let (origin, world) = world("spool_bytes_max = 3000000");
    let file = world.dir.join("body");
    let body: Vec<u8> = (0..2_500_000_u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(&file, &body).unwrap();
    let data = format!("@{}", file.display());
    let sha256 = {
        use sha2::Digest as _;
        hex::encode(sha2::Sha256::digest(&body))
    };
    let open = curl(&world, "/open/upload", &["--data-binary", &data]);
    assert_eq!((open.status, open.json()["sha256"].as_str()), (200, Some(&*sha256)), "permitted: it streams");
    let call = Hanging::start(&world, "/upload", &["--data-binary", &data]);
    let review = world.review_beyond(0);
    let card = world.dora().get(&format!("/api/v1/reviews/{}", review.id())).ok();
    assert_eq!(
        (card["statement_stream"]["bytes"].as_u64(), card["statement_stream"]["sha256"].as_str()),
        (Some(2_500_000), Some(&*sha256)),
        "{card}"
    );
    world.dora().approve(&review).ok();
    assert_eq!(call.told().json()["sha256"], sha256);
    std::fs::write(&file, vec![b'x'; 3_000_001]).unwrap();
    for (args, code) in [
        (vec!["--data-binary", &data], "too_large"),
        (vec!["--data-binary", &data, "-H", "Transfer-Encoding: chunked"], "too_large"),
    ] {
        assert_eq!(curl(&world, "/upload", &args).json()["code"], code);
    }
    assert_eq!(origin.asked_for("/base/upload").len(), 1);
}

#[test]
fn one_port_speaks_http_2_and_tls_and_leads_there_by_name() {
    let (origin, world) = world("hosts = [\"api.example.org\"]");
    let port = world.gateway.url().rsplit(':').next().unwrap().to_owned();
    let secure = format!("https://127.0.0.1:{port}/t/api/items");
    let authority = world.gateway.data_dir().join("tls/cert.pem");
    let bearer = format!("Authorization: Bearer {}", world.key);
    for (args, version) in [(vec!["--http1.1"], "HTTP/1.1"), (vec!["--http2"], "HTTP/2")] {
        let mut curl = Command::new("curl");
        curl.args(["-si", "--cacert", &authority.to_string_lossy(), "-H", &bearer]).args(&args).arg(&secure);
        let done = run(&mut curl, SOON).unwrap();
        assert!(done.stdout.starts_with(&format!("{version} 200")), "{} {}", done.stdout, done.stderr);
    }
    let plain = curl(&world, "/items", &["--http2-prior-knowledge"]);
    assert!(plain.headers.starts_with("HTTP/2 200"), "{}", plain.headers);
    let mut named = Command::new("curl");
    named.args(["-si", "-H", &bearer, "-H", "Host: api.example.org", &format!("http://127.0.0.1:{port}/deep/item")]);
    assert!(run(&mut named, SOON).unwrap().stdout.starts_with("HTTP/1.1 200"));
    origin.wait_for("/base/deep/item");
    let write = Hanging::start(&world, "/items", &["--http2-prior-knowledge", "-d", ITEM]);
    world.dora().approve(&world.review_beyond(0)).ok();
    assert_eq!(write.told().status, 200);
}

#[test]
fn streams_trailers_and_other_protocols_pass_once_admitted() {
    let (_, world) = world("http2 = true");
    let begun = Instant::now();
    let told = curl(&world, "/events", &["-N"]);
    assert_eq!(told.body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let trailers = curl(&world, "/trailers", &["--http2-prior-knowledge", "-H", "TE: trailers"]);
    assert!(trailers.body.contains("grpc-status: 0") || trailers.body == "body", "{}", trailers.body);
    assert_eq!(curl(&world, "/bytes/5000000", &["-o", "/dev/null", "-w", "HTTP/1.1 %{http_code}\r\n\r\n"]).status, 200);
}

#[test]
fn a_connection_in_another_protocol_waits_like_a_write() {
    let (origin, world) = world("");
    let port: u16 = world.gateway.url().rsplit(':').next().unwrap().parse().unwrap();
    let key = world.key.clone();
    let asked = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let head = format!(
            "GET /t/api/socket HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let (mut read, mut piece) = (Vec::new(), [0; 1024]);
        while !read.windows(4).any(|end| end == b"\r\n\r\n") {
            let count = socket.read(&mut piece).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&piece[..count]);
        }
        socket.write_all(b"hello").unwrap();
        let mut echo = [0; 5];
        socket.read_exact(&mut echo).unwrap();
        (String::from_utf8(read).unwrap(), echo)
    });
    let review = world.review_beyond(0);
    assert_eq!(world.dora().get(&format!("/api/v1/reviews/{}", review.id())).ok()["action"], "http:exec");
    assert!(origin.asked().is_empty());
    world.dora().approve(&review).ok();
    let (head, echo) = asked.join().unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(&echo, b"hello");
}

#[test]
fn an_upstream_that_misbehaves_is_a_problem_and_no_hang() {
    use std::io::Write as _;
    let switches = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let deeds: [(&str, u16); 6] = [
        ("switches", misbehaving(move |socket| socket.write_all(switches.as_bytes()).unwrap())),
        ("resets", misbehaving(|socket| drop(socket.shutdown(std::net::Shutdown::Both)))),
        ("garbage", misbehaving(|socket| socket.write_all(b"\x16\x03\x01nonsense\r\n\r\n").unwrap())),
        ("interim", misbehaving(|socket| while socket.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").is_ok() {})),
        (
            "huge",
            misbehaving(|socket| {
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n");
                while socket
                    .write_all(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
                    .is_ok()
                {}
            }),
        ),
        ("hangs", misbehaving(|_| std::thread::sleep(SOON))),
    ];
    let liar = misbehaving(|socket| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    });
    let targets: String = deeds
        .iter()
        .chain([&("liar", liar)])
        .map(|(name, port)| {
            format!("\n[[target]]\nname = \"{name}\"\nprotocol = \"http\"\nupstream = \"http://127.0.0.1:{port}\"\n[target.http]\nopenapi = {{ name = \"generic\" }}\nanswer_seconds_max = 2\n")
        })
        .collect();
    let world = Plan::default().only_policies(POLICIES).targets(targets).start();
    for (name, _) in deeds {
        let mut curl = Command::new("curl");
        let bearer = format!("Authorization: Bearer {}", world.key);
        curl.args(["-si", "--max-time", "60", "-H", &bearer, &format!("{}/t/{name}/x", world.gateway.url())]);
        let done = run(&mut curl, SOON * 3).unwrap();
        let told = Told::of(&done.stdout);
        assert_eq!(
            (told.status, told.json()["code"].as_str()),
            (502, Some("upstream_unavailable")),
            "{name}: {}",
            told.body
        );
    }
    let mut curl = Command::new("curl");
    let bearer = format!("Authorization: Bearer {}", world.key);
    curl.args(["-si", "--max-time", "60", "-H", &bearer, &format!("{}/t/liar/x", world.gateway.url())]);
    assert!(!run(&mut curl, SOON * 3).unwrap().ok(), "an answer that breaks off is not told as a whole one");
    let alive = world.dora().get("/api/v1/targets");
    assert_eq!(alive.status, 200, "{}", alive.body);
}

#[test]
fn the_outcome_is_what_the_upstream_said() {
    let (_, world) = world("");
    for (path, status, code) in [
        ("/open/missing", "succeeded", None),
        ("/missing", "failed", Some("http_404")),
        ("/broken", "unknown", Some("http_500")),
    ] {
        let before = world.dora().open_reviews().len();
        let call = Hanging::start(&world, path, &["-X", "DELETE"]);
        if !path.starts_with("/open") {
            world.dora().approve(&world.review_beyond(before)).ok();
        }
        call.told();
        wait_until("the outcome", SOON, || {
            let all = world.dora().get("/api/v1/actions").ok();
            let newest = all["actions"].as_array().unwrap().first().cloned()?;
            (newest["status"] == status && newest["code"] == json!(code)).then_some(())
        })
        .unwrap_or_else(|_| panic!("{path}: {}", world.dora().get("/api/v1/actions").body));
    }
    assert!(world.verify().ok());
}

#[test]
fn the_same_key_is_run_once_and_answered_again() {
    let (origin, mut world) = world("");
    let keyed = ["-d", ITEM, "-H", "Idempotency-Key: one"];
    let first = curl(&world, "/open/items", &keyed);
    let second = curl(&world, "/open/items", &keyed);
    assert_eq!((first.status, first.body), (200, second.body), "the same answer");
    assert_eq!(origin.asked_for("/base/open/items").len(), 1);
    let other = curl(&world, "/open/items", &["-d", "{}", "-H", "Idempotency-Key: one"]);
    assert_eq!((other.status, other.json()["code"].as_str()), (422, Some("idempotency_key_reused")));
    assert_eq!(curl(&world, "/open/items", &["-d", ITEM, "-H", "Idempotency-Key: two"]).status, 200);
    // what waits has not run: it is joined, and runs once
    let held = [&keyed[..2], &["-H", "Idempotency-Key: three", "-H", "Prefer: respond-async"]].concat();
    assert_eq!(curl(&world, "/items", &held).status, 202);
    assert_eq!(curl(&world, "/items", &held).status, 202);
    world.dora().approve(&world.review_beyond(0)).ok();
    let ran = curl(&world, "/items", &held);
    assert_eq!((ran.status, curl(&world, "/items", &held).body), (200, ran.body));
    assert_eq!(origin.asked_for("/base/items").len(), 1);
    // that it has run outlives the gateway; its answer does not
    world.gateway.kill();
    world.gateway.start();
    let after = curl(&world, "/open/items", &keyed);
    assert_eq!((after.status, after.json()["code"].as_str()), (409, Some("idempotency_key_used")));
    assert_eq!(origin.asked_for("/base/open/items").len(), 2);
}
