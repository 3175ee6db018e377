//! The credential that the gateway adds, of each kind: the upstream gets it, nobody else ever sees it, and the agent's own
//! goes no further than the gateway. AWS's signatures are in `cloud.rs`.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};
use xtask::loopback::free_port;
use xtask::process::wait_until;

use crate::harness::api::runtime;
use crate::harness::ci::Ci;
use crate::harness::guarded::{Guarded, Mutual};
use crate::harness::origin::Origin;
use crate::harness::{Plan, SOON, World};

/// Anything runs at once but what is held.
const POLICIES: &str = r#"
@id("all") permit (principal, action in [Action::"read", Action::"write"], resource is Service);
@id("ask") @review("one DBA") @expires("30m")
forbid (principal, action == Action::"http:write", resource is Service)
when { context.http.path like "/held*" }
unless { context.approvals.contains(Quorum::"dba:1") };
@id("who") permit (principal, action == Action::"approve", resource);
"#;
/// What the gateway has and nobody else may see.
const SECRET: &str = "the-gateways-own-secret-7f3a";

/// One target over HTTP, its secret in a file of the configuration's folder.
fn target(name: &str, upstream: &str, secret: &str, more: &str) -> String {
    format!(
        "\n[[target]]\nname = \"{name}\"\nprotocol = \"http\"\nupstream = \"{upstream}\"\n\
         credential = {{ file = \"{secret}\" }}\nenvironment = \"production\"\n[target.http]\n\
         openapi = {{ name = \"generic\" }}\n{more}\n"
    )
}

/// A world with these targets, whose secret is [`SECRET`].
fn world(prepare: impl FnOnce(&mut World) -> String) -> World {
    let mut world = Plan::default().only_policies(POLICIES).prepare();
    std::fs::write(world.dir.join("secret"), format!("{SECRET}\n")).unwrap();
    let targets = prepare(&mut world);
    let file = world.gateway.config();
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &targets).unwrap();
    world.gateway.start();
    world.enrol(&[]);
    world
}

/// An answer as the agent gets it: status and everything in it.
struct Told {
    status: u16,
    text: String,
}

/// A request with these headers and no others of ours.
fn ask(world: &World, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Told {
    let url = format!("{}/t/{path}", world.gateway.url());
    runtime().block_on(async {
        let mut request = reqwest::Client::new().request(method.parse().unwrap(), url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        Told { status, text: headers + &answer.text().await.unwrap() }
    })
}

fn get(world: &World, path: &str) -> Told {
    let told = ask(world, "GET", path, &[("authorization", &format!("Bearer {}", world.key))], "");
    assert!(!told.text.contains(SECRET), "{}", told.text);
    told
}

/// Refused with this code, before anything was sent.
fn not_sent(world: &World, path: &str) {
    let told = get(world, path);
    assert_eq!(told.status, 502, "{}", told.text);
    assert!(told.text.contains("upstream_unavailable") && told.text.contains("nothing was sent"), "{}", told.text);
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

/// Looks wherever something of a credential could have been left.
fn nothing_leaked(world: &World, secrets: &[&str]) {
    let mut found = Vec::new();
    files(&world.gateway.data_dir(), &mut found);
    let has = |text: &[u8], secret: &str| text.windows(secret.len()).any(|window| window == secret.as_bytes());
    let mut places: Vec<(String, Vec<u8>)> =
        found.into_iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap_or_default())).collect();
    for path in ["/metrics", "/api/v1/actions", "/api/v1/reviews", "/api/v1/targets", "/api/v1/ledger/entries"] {
        places.push((path.to_owned(), world.dora().get(path).body.to_string().into_bytes()));
    }
    places.push(("the log".to_owned(), world.gateway.log().into_bytes()));
    for (place, text) in &places {
        for secret in secrets {
            assert!(!has(text, secret), "`{secret}` in {place}");
        }
    }
    assert!(world.verify().ok());
}

#[test]
fn a_secret_stands_in_a_header_of_the_upstreams() {
    let origin = Origin::start();
    let url = format!("http://127.0.0.1:{}", origin.port);
    let world = world(|_| {
        [
            target("bearer", &url, "secret", ""),
            target("basic", &url, "secret", "auth = { basic = { user = \"svc\" } }"),
            target("header", &url, "secret", "auth = { header = { name = \"X-Api-Key\", prefix = \"key \" } }"),
            target("absent", &url, "no-such-file", ""),
        ]
        .concat()
    });
    let pair = STANDARD.encode(format!("svc:{SECRET}"));
    let (bearer, basic) =
        (format!("Bearer {}", world.key), format!("Basic {}", STANDARD.encode(format!("any:{}", world.key))));
    for (path, offered, header, expected) in [
        ("bearer/bytes/1", ("authorization", &*bearer), "authorization", format!("Bearer {SECRET}")),
        ("bearer/bytes/2", ("authorization", &*basic), "authorization", format!("Bearer {SECRET}")),
        ("basic/bytes/3", ("authorization", &*basic), "authorization", format!("Basic {pair}")),
        ("header/bytes/4", ("x-api-key", &*world.key), "x-api-key", format!("key {SECRET}")),
        ("header/bytes/5", ("authorization", &*bearer), "x-api-key", format!("key {SECRET}")),
    ] {
        let told = ask(&world, "GET", path, &[offered], "");
        assert_eq!(told.status, 200, "{path}: {}", told.text);
        assert!(!told.text.contains(SECRET) && !told.text.contains(&pair));
        let asked = origin.wait_for(path.trim_start_matches(char::is_alphabetic));
        assert_eq!(asked.headers[header], expected, "{path}");
        assert_eq!(asked.headers.contains_key("authorization"), header == "authorization", "{path}");
        let sent = format!("{:?}", asked.headers);
        assert!(!sent.contains(&world.key) && !sent.contains(basic.trim_start_matches("Basic ")), "{sent}");
    }
    not_sent(&world, "absent/bytes/6");
    assert!(origin.asked_for("/bytes/6").is_empty());
    // another secret in its place is used without a restart
    std::fs::write(world.dir.join("secret"), "another-secret-91bc\n").unwrap();
    let rotated = wait_until("the other secret", SOON, || {
        get(&world, "bearer/bytes/7");
        origin
            .asked_for("/bytes/7")
            .iter()
            .any(|one| one.headers["authorization"] == "Bearer another-secret-91bc")
            .then_some(())
    });
    rotated.unwrap();
    nothing_leaked(&world, &[SECRET, &pair, "another-secret-91bc", &world.key]);
}

#[test]
fn a_token_is_had_by_client_credentials_and_replaced() {
    let guarded = Guarded::start();
    let (url, closed) = (format!("http://127.0.0.1:{}", guarded.port), free_port().unwrap());
    let oauth = |url: &str| {
        format!("auth = {{ oauth = {{ token_url = \"{url}\", client_id = \"gate way\", scope = \"read write\" }} }}")
    };
    let world = world(|_| {
        let own = oauth(&format!("{url}/token"));
        let nobody = oauth(&format!("http://127.0.0.1:{closed}/token"));
        target("api", &url, "secret", &own) + &target("nobody", &url, "secret", &nobody)
    });
    let count = || guarded.tell(|desk| (desk.issued, desk.asked.len()));
    assert_eq!((get(&world, "api/a").status, get(&world, "api/b").status, count()), (200, 200, (1, 2)));
    let (line, own, form) = guarded.tell(|desk| desk.wishes[0].clone());
    assert_eq!((&*line, &*form), ("POST /token", &b"grant_type=client_credentials&scope=read+write"[..]));
    assert_eq!(own, format!("Basic {}", STANDARD.encode(format!("gate+way:{SECRET}"))), "RFC 6749 §2.3.1");
    // revoked before its end: what was refused for it is sent once more, and nothing of the client's is lost
    guarded.tell(|desk| desk.revoked = 1);
    let bearer = format!("Bearer {}", world.key);
    let told = ask(&world, "POST", "api/c", &[("authorization", &*bearer)], "twelve");
    assert_eq!((told.status, count()), (200, (2, 4)), "{}", told.text);
    let sent = guarded.tell(|desk| desk.asked.split_off(2));
    let expected = |number: u8| format!("Bearer token-{number}-of-the-gateway");
    for (one, number) in sent.iter().zip([1, 2]) {
        assert_eq!((&*one.0, &one.1, &*one.2), ("POST /c", &expected(number), &b"twelve"[..]));
    }
    // what no token opens is told as the upstream told it
    guarded.tell(|desk| (desk.revoked, desk.seconds) = (usize::MAX - 1, 1));
    assert_eq!(get(&world, "api/d").status, 401);
    guarded.tell(|desk| desk.revoked = 0);
    // one that ends at once is asked for again
    let before = count().0;
    wait_until("another token", SOON, || (get(&world, "api/e").status == 200 && count().0 > before + 2).then_some(()))
        .unwrap();
    the_token_endpoint_fails(&world, &guarded);
    not_sent(&world, "nobody/f");
    nothing_leaked(&world, &[SECRET, &STANDARD.encode(format!("gate+way:{SECRET}")), "-of-the-gateway", &world.key]);
}

/// Nothing is sent without a token, and what the endpoint says goes no further.
fn the_token_endpoint_fails(world: &World, guarded: &Guarded) {
    for instead in [
        (StatusCode::SERVICE_UNAVAILABLE, "echo the-gateways-own-secret-7f3a"),
        (StatusCode::OK, "echo the-gateways-own-secret-7f3a"),
        (StatusCode::OK, r#"{"access_token": "a", "token_type": "the-gateways-own-secret-7f3a"}"#),
        (StatusCode::FOUND, ""),
    ] {
        let wishes = guarded.tell(|desk| {
            desk.instead = Some(instead);
            desk.wishes.len()
        });
        // the last token, or that there is none, is believed for a second
        let refused = wait_until("no token", SOON, || {
            let before = guarded.tell(|desk| desk.asked.len());
            let refused = get(world, "api/g").status == 502 && guarded.tell(|desk| desk.wishes.len()) > wishes;
            refused.then(|| assert_eq!(guarded.tell(|desk| desk.asked.len()), before))
        });
        refused.unwrap();
        not_sent(world, "api/g");
    }
}

#[test]
fn a_client_certificate_opens_what_asks_for_one() {
    let world = world(|world| {
        let url = format!("https://localhost:{}", Mutual::start(&world.dir).port);
        let with = "ca = \"authority.pem\"\nauth = { certificate = { chain = \"client.pem\" } }";
        target("mutual", &url, "client.key", with)
            + &target("without", &url, "secret", "ca = \"authority.pem\"")
            + &target("untrusted", &url, "client.key", "auth = { certificate = { chain = \"client.pem\" } }")
    });
    let told = get(&world, "mutual/a");
    assert!(told.status == 200 && told.text.contains("certificates: 1, bare: true"), "{}", told.text);
    let told = get(&world, "without/a");
    assert_eq!(told.status, 502, "{}", told.text);
    not_sent(&world, "untrusted/a");
    let key = std::fs::read_to_string(world.dir.join("client.key")).unwrap();
    nothing_leaked(&world, &[key.lines().nth(1).unwrap(), SECRET, &world.key]);
}

#[test]
fn a_job_asks_with_its_own_token() {
    let origin = Origin::start();
    let mut ci = None;
    let world = world(|world| {
        let started = ci.insert(Ci::start(world));
        let oauth = format!("auth = {{ oauth = {{ token_url = \"{}\", client_id = \"job\" }} }}", started.token_url());
        let url = format!("http://127.0.0.1:{}", origin.port);
        std::fs::write(world.dir.join("job"), "a-job-secret\n").unwrap();
        target("api", &url, "secret", "") + &target("provider", &url, "job", &oauth)
    });
    let ci = ci.unwrap();
    let mut world = world;
    world.gateway.administer(&["agent", "create", "deployer", "--owner", "ada"]);
    world.gateway.administer(&["person", "link", "finn", "--provider", "github", "--subject", "583231"]);
    let token = ci.token(&json!({}));
    let bearer = format!("Bearer {token}");
    let job = |method: &str, path: &str| ask(&world, method, path, &[("authorization", &*bearer)], "x");
    let told = job("GET", "api/bytes/1");
    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(origin.wait_for("/bytes/1").headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(job("GET", "api/bytes/1").status, 200, "the same token, as often as it is good");
    // it waits for somebody who did not start the job, and the card says which job it is
    let (told, review) = std::thread::scope(|scope| {
        let call = scope.spawn(|| job("POST", "api/held/1"));
        let review = world.review_beyond(0);
        world.finn().approve(&review).refused(403, "self_approval");
        world.dora().approve(&review).ok();
        (call.join().unwrap(), review)
    });
    assert_eq!(told.status, 200, "{}", told.text);
    let who = &review.0["requester"];
    assert_eq!((&who["name"], &who["job"]["ref"]), (&json!("deployer"), &json!("refs/heads/main")), "{}", review.0);
    world.gateway.stop();
    world.gateway.start();
    let told = ask(&world, "GET", "api/bytes/1", &[("authorization", &*bearer)], "");
    assert_eq!(told.status, 200, "a job outlives the gateway: {}", told.text);
    // the certified provider grants the gateway itself a token
    assert_eq!((get(&world, "provider/bytes/3").status, get(&world, "provider/bytes/3").status), (200, 200));
    let own: Vec<_> = origin.asked_for("/bytes/3").iter().map(|asked| asked.headers["authorization"].clone()).collect();
    let granted = own[0].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
    assert!(own[0] == own[1] && granted.len() > 20 && granted != token, "{own:?}");
    for (token, status) in [(ci.spoilt(&json!({}), "signature"), 403), (ci.spoilt(&json!({}), "expired"), 403)] {
        let told = ask(&world, "GET", "api/bytes/2", &[("authorization", &format!("Bearer {token}"))], "");
        assert_eq!(told.status, status, "{}", told.text);
    }
    assert!(origin.asked_for("/bytes/2").is_empty());
    assert!(!origin.asked().iter().any(|asked| format!("{:?}", asked.headers).contains(&token)));
    nothing_leaked(&world, &[SECRET, &token, &granted, "a-job-secret"]);
    let _: Value = world.until_recorded("the job's key", |leaf| leaf["kind"] == "identity.enrolled");
}
