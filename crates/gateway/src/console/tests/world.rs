//! A gate with people, an agent and reviews, and a browser that keeps its cookie. [`preview`] serves one for looking at.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use countersign_core::action::sql::{SqlClass, SqlFacts, SqlStatement, SqlTables};
use countersign_core::action::{
    ActionId, AgentId, Described, Environment, Facts, PayloadDigest, PersonId, PersonRef, Requester, ReviewId,
    Sensitivity, SessionFacts, Target, Timestamp, redact,
};
use countersign_core::card::Card;
use countersign_core::grant::RecordLevel;
use countersign_core::policy::Decision;
use countersign_core::record::{Event, Record, Status};
use countersign_core::review::{Matter, Review};
use tower::ServiceExt as _;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::gate::{Changes, Declared, Gate, summary};
use crate::identity::keys::{self, Kind};
use crate::identity::people::Roster;
use crate::identity::workload::Workloads;
use crate::ledger::{Ledger, Settings};
use crate::pipeline::{Outcomes, finish};
use crate::policies::Policies;
use crate::ports::*;
use crate::store::sqlite::SqliteStore;
use crate::targets::Targets;
use crate::vault::LocalVault;
use crate::waiting::WaitingRoom;

const CONFIG: &str = r#"
    [server]
    public_url = "PUBLIC_URL"
    data_dir = "."
    policies = "POLICIES"
    [[target]]
    name = "orders"
    protocol = "postgres"
    upstream = "postgres://app@10.9.8.7:5432/orders"
    [[target]]
    name = "sandbox"
    protocol = "postgres"
    upstream = "postgres://app@10.9.8.7:5432/sandbox"
    environment = "dev"
    labels = { sensitivity = "none" }
"#;

/// Ada owns `coder`; she and dora are DBAs, finn is not.
const PEOPLE: [(&str, &[&str]); 3] = [("ada", &["dba"]), ("dora", &["dba"]), ("finn", &["sre"])];

/// A clock that moves when told to.
pub(super) struct HandClock(AtomicI64);

impl HandClock {
    pub(super) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// What the tests look into.
pub(super) struct World {
    pub(super) gate: Arc<Gate>,
    pub(super) router: Router,
    pub(super) clock: Arc<HandClock>,
    pub(super) store: SqliteStore,
    pub(super) ledger: Arc<Ledger>,
    _folder: tempfile::TempDir,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The value of a hidden field of the first form that has it.
    pub(super) fn field(&self, name: &str) -> String {
        let lead = format!("name=\"{name}\" value=\"");
        let found = self.body.split_once(&lead).and_then(|(_, rest)| rest.split_once('"'));
        found.map_or_else(|| panic!("no field {name} in {}", self.body), |(value, _)| value.to_owned())
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::at("http://127.0.0.1:8470").await
    }

    pub(super) async fn at(public_url: &str) -> Self {
        let clock = Arc::new(HandClock(AtomicI64::new(1_790_000_000)));
        Self::with(public_url, clock.clone(), clock).await
    }

    async fn with(public_url: &str, clock: Arc<dyn Clock>, hand: Arc<HandClock>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path(), crate::vault::testing::sealer(folder.path())).expect("opens");
        let ledger = Ledger::open(
            folder.path(),
            Settings::default(),
            Arc::new(store.clone()),
            &*crate::vault::testing::sealer(folder.path()),
        )
        .await
        .expect("opens");
        let ledger = Arc::new(ledger);
        let config = Arc::new(config(folder.path(), public_url));
        let scribe = Scribe::new(clock, "gateway-1".to_owned());
        for (name, groups) in PEOPLE {
            add_person(&store, &scribe, name, groups).await;
        }
        add_agent(&store, &scribe).await;
        let directory: Arc<dyn Directory> = Arc::new(store.clone());
        let roster = Arc::new(Roster::open(directory.clone()).await.expect("reads"));
        let workloads = Workloads::new(&config, directory.clone(), roster.clone(), scribe.clone()).expect("valid");
        let bundles: Arc<dyn Bundles> = Arc::new(store.clone());
        let started = scribe.record(Event::ConfigChanged { what: "test".to_owned() });
        let policies = Policies::open(config.clone(), bundles.clone(), &scribe, started).await;
        let incidents: Arc<dyn Incidents> = Arc::new(store.clone());
        let declared = Declared::open(&*incidents).await.expect("reads");
        let targets = Targets::open(config.clone(), Arc::new(store.clone()), &scribe).await;
        let gate = Arc::new(Gate {
            incidents,
            declared,
            policies: Arc::new(policies.expect("the starter policies load")),
            targets: Arc::new(targets.expect("the targets load")),
            bundles,
            roster,
            config,
            store: Arc::new(store.clone()),
            directory,
            journal: ledger.journal(),
            log: ledger.clone(),
            seal: crate::vault::testing::sealer(folder.path()),
            vault: Arc::new(LocalVault::default()),
            scribe,
            sign_in: None,
            linking: None,
            workloads,
            provisioner: None,
            waiting: WaitingRoom::default(),
            changes: Changes::default(),
        });
        let router = super::super::router(gate.clone(), Arc::new(crate::protocols::postgres::describe::ByText));
        Self { gate, router, clock: hand, store, ledger, _folder: folder }
    }

    /// A login link's secret for a person, good for 15 minutes.
    pub(super) async fn link(&self, person: &str, scope: Scope) -> String {
        let secret = keys::make(Kind::LoginLink).expect("randomness").to_string();
        let now = self.gate.scribe.now();
        let (id, person) = (format!("link-{}", &secret[4..12]), PersonId::new(format!("p-{person}")));
        let link = Credential::local(id, person, scope, now, 900);
        self.store.add_credential(CredentialKind::LoginLink, keys::hash(&secret), link, None).await.expect("adds");
        secret
    }

    /// A browser that is signed in.
    pub(super) async fn browser(&self, person: &str) -> Browser<'_> {
        let mut browser = Browser { world: self, cookie: String::new() };
        let link = self.link(person, Scope::ReviewVote).await;
        let answer = browser.post("/login", &[("secret", &link)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser.keep(&answer);
        browser
    }

    /// Opens a review of what `coder` asks, as the line would.
    pub(super) async fn ask(&self, wish: Wish) -> Review {
        self.ask_and_escalate(wish, &[]).await
    }

    /// The same, escalated to these groups after so many seconds.
    pub(super) async fn ask_and_escalate(&self, wish: Wish, escalations: &[(u32, &str)]) -> Review {
        let hidden = redacted(&wish).values;
        let described = described(wish, self.gate.scribe.now());
        let digest = described.digest().expect("canonical");
        let moment = self.gate.moment();
        let none = BTreeSet::new();
        let Decision::Review(mut terms) = moment.bundle.decide(&described, &moment.with(&described, &none)) else {
            panic!("the starter policies ask people")
        };
        terms.obligations.escalate = escalations.iter().map(|(after, group)| (*after, (*group).to_owned())).collect();
        let card = Card::new(&described, digest, &terms).digest().expect("canonical");
        let (id, opened_at) = (ReviewId::new(uuid::Uuid::now_v7().to_string()), moment.now);
        let expires = i64::from(terms.obligations.expires_seconds.unwrap_or(1_800));
        let record = self.gate.scribe.record(Event::ReviewOpened {
            review: id.clone(),
            action: summary(&described, digest),
            card,
            policies: terms.policies.iter().map(|note| note.id.clone()).collect(),
            suffices: terms.suffices.clone(),
            expires_at: opened_at.plus_seconds(expires),
            bundle: terms.bundle,
        });
        let fingerprint = described.payload.to_string();
        let expires_at = opened_at.plus_seconds(expires);
        let matter = Matter { id, action: digest, card, described, terms, offer: None, opened_at, expires_at };
        match self
            .gate
            .store
            .ask(Ask { matter, fingerprint, limits: self.gate.config.limits, places: BTreeSet::new(), hidden, record })
            .await
        {
            Ok(Asked::Opened(review)) => review,
            other => panic!("expected a new review, got {other:?}"),
        }
    }

    pub(super) async fn review(&self, id: &ReviewId) -> Review {
        self.store.review(id).await.expect("reads").expect("there").review
    }

    /// Every record, as the log has it.
    pub(super) async fn records(&self) -> Vec<Record> {
        self.gate.log.flush().await.expect("publishes");
        let size = self.gate.log.size().await.expect("reads");
        let entries = self.gate.log.entries(0..size).await.expect("reads");
        entries.iter().map(|entry| serde_json::from_str(&entry.leaf).expect("a record")).collect()
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 4 << 20).await.expect("a body");
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

/// A browser: it keeps its cookie and says where its requests come from.
pub(super) struct Browser<'a> {
    pub(super) world: &'a World,
    pub(super) cookie: String,
}

impl Browser<'_> {
    /// Keeps the cookie that came with an answer.
    pub(super) fn keep(&mut self, answer: &Answer) {
        let cookie = answer.header("set-cookie");
        self.cookie = cookie.split_once(';').map_or(cookie, |(pair, _)| pair).to_owned();
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        let request = Request::builder().uri(path).header("cookie", &self.cookie).header("host", "127.0.0.1:8470");
        self.world.send(request.body(Body::empty()).expect("well-formed")).await
    }

    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let headers = [("origin", self.world.gate.config.public_url.as_str()), ("sec-fetch-site", "same-origin")];
        self.post_from(path, fields, &headers).await
    }

    pub(super) async fn post_from(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let request = Request::builder().method(Method::POST).uri(path).header("cookie", &self.cookie);
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").header("host", "127.0.0.1:8470");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.world.send(request.body(Body::from(form(fields))).expect("well-formed")).await
    }

    /// Votes with what the review's page holds.
    pub(super) async fn vote(&self, id: &ReviewId, verdict: &str, reason: &str) -> Answer {
        let token = self.token().await;
        let matter = self.world.review(id).await.matter().clone();
        let (action, card) = (matter.action.to_string(), matter.card.to_string());
        let fields = [
            ("csrf", &*token),
            ("verdict", verdict),
            ("reason", reason),
            ("action_digest", &action),
            ("card_digest", &card),
        ];
        self.post(&format!("/reviews/{id}/vote"), &fields).await
    }

    /// The form token of this session.
    pub(super) async fn token(&self) -> String {
        self.get("/me").await.field("csrf")
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| {
            format!("{name}={}", {
                let v: String = encode(value);
                v
            })
        })
        .collect();
    pairs.join("&")
}

/// What `coder` wants.
#[derive(Clone)]
pub(super) struct Wish {
    pub(super) class: SqlClass,
    pub(super) verb: String,
    pub(super) statement: String,
    pub(super) hide: Option<String>,
    pub(super) parameters: Vec<Option<String>>,
    pub(super) reads: Vec<String>,
    pub(super) writes: Vec<String>,
    pub(super) functions: Vec<String>,
    pub(super) reason: Option<String>,
    pub(super) in_transaction: bool,
}

impl Wish {
    /// A write.
    pub(super) fn write(statement: &str) -> Self {
        Self {
            class: SqlClass::Write,
            verb: "UPDATE".to_owned(),
            statement: statement.to_owned(),
            hide: None,
            parameters: vec![],
            reads: vec![],
            writes: vec!["orders".to_owned()],
            functions: vec![],
            reason: Some("close a stuck order".to_owned()),
            in_transaction: false,
        }
    }
}

/// What its card shows, and hides.
pub(super) fn redacted(wish: &Wish) -> redact::Redacted {
    let literals = wish.hide.as_ref().and_then(|value| {
        let start = wish.statement.find(value.as_str())?;
        Some(vec![redact::Literal {
            start,
            end: start + value.len(),
            value: value.clone(),
            secret: false,
            place: redact::Place::default(),
        }])
    });
    redact::redact(&wish.statement, &literals.unwrap_or_default(), &wish.parameters)
}

pub(super) fn described(wish: Wish, at: Timestamp) -> Described {
    let ada = PersonRef { id: PersonId::new("p-ada"), name: "ada".to_owned() };
    let shown = redacted(&wish).shown;
    let statement = SqlStatement {
        verb: wish.verb,
        class: wish.class,
        apart: wish.class,
        code: BTreeSet::new(),
        tables: SqlTables { read: wish.reads.into_iter().collect(), write: wish.writes.into_iter().collect() },
        functions: wish.functions.into_iter().collect(),
        has_where: true,
    };
    Described {
        impact: countersign_core::action::impact::Impact::default(),
        id: ActionId::new(uuid::Uuid::now_v7().to_string()),
        requester: Requester::Agent {
            id: AgentId::new("g-coder"),
            name: "coder".to_owned(),
            owner: ada.clone(),
            job: None,
        }
        .into(),
        on_behalf_of: ada.clone().into(),
        closure: Arc::new(BTreeSet::from([ada.id])),
        target: Target {
            name: "orders".to_owned(),
            environment: Environment::Production,
            sensitivity: Sensitivity::High,
            generation: "1".to_owned(),
        }
        .into(),
        facts: Facts::Sql(SqlFacts { class: wish.class, statements: vec![statement] }).into(),
        session: SessionFacts { in_transaction: wish.in_transaction, ..SessionFacts::default() }.into(),
        shown,
        reason: wish.reason,
        payload: PayloadDigest::of(wish.statement.as_bytes()),
        at,
    }
}

fn config(folder: &Path, public_url: &str) -> Config {
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let text = CONFIG.replace("POLICIES", policies).replace("PUBLIC_URL", public_url);
    Config::parse(&folder.join("countersign.toml"), &text).expect("valid")
}

async fn add_person(store: &SqliteStore, scribe: &Scribe, name: &str, groups: &[&str]) {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let (id, email) = (PersonId::new(format!("p-{name}")), Some(format!("{name}@example.org")));
    let person = Person::new(id, name.to_owned(), email, groups, scribe.now());
    store.add_person(person, None, vec![scribe.record(enrolled("person", name))]).await.expect("adds");
}

async fn add_agent(store: &SqliteStore, scribe: &Scribe) {
    let (id, owner) = (AgentId::new("g-coder"), PersonId::new("p-ada"));
    let agent = Agent::new(id, "coder".to_owned(), owner, BTreeSet::new(), scribe.now());
    let verifier = ScramVerifier { salt: vec![1; 16], iterations: 4_096, stored_key: [2; 32], server_key: [3; 32] };
    let own = AgentKey::own("k-coder".to_owned(), &agent, scribe.now());
    let key = NewAgentKey { key: own, verifier, hash: keys::hash("csk_coder") };
    store.add_agent(agent, key, scribe.record(enrolled("agent", "ada"))).await.expect("adds");
}

fn enrolled(what: &str, person: &str) -> Event {
    Event::IdentityEnrolled {
        what: what.to_owned(),
        id: format!("{what}-1"),
        person: Some(PersonId::new(format!("p-{person}"))),
        change: "added".to_owned(),
        local: true,
        passkey: None,
    }
}

/// Serves a console with something on every page at `CONSOLE_PREVIEW`, and prints login links.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves until it is killed; for looking at pages: CONSOLE_PREVIEW=127.0.0.1:8499"]
async fn preview() {
    let address = std::env::var("CONSOLE_PREVIEW").expect("CONSOLE_PREVIEW names an address to listen on");
    let unused = Arc::new(HandClock(AtomicI64::new(0)));
    let world = World::with(&format!("http://{address}"), Arc::new(SystemClock::default()), unused).await;
    furnish(&world).await;
    for (person, _) in PEOPLE {
        for _ in 0..9 {
            println!("{person} http://{address}/login/{}", world.link(person, Scope::ReviewVote).await);
        }
    }
    println!("ready");
    let listener = tokio::net::TcpListener::bind(&address).await.expect("the address is free");
    axum::serve(listener, world.router.clone()).await.expect("serves");
}

async fn furnish(world: &World) {
    let dora = world.browser("dora").await;
    let done = world.ask(Wish::write("UPDATE orders SET status = 'shipped' WHERE id = 4211")).await;
    dora.vote(&done.matter().id, "approve", "checked against the carrier's report").await;
    ran(world, &done).await;
    let no = world
        .ask(Wish { verb: "DELETE".to_owned(), ..Wish::write("DELETE FROM orders WHERE created_at < '2020-01-01'") })
        .await;
    dora.vote(&no.matter().id, "reject", "finance still needs 2019; archive instead").await;
    refused(world).await;
    world
        .ask(Wish {
            reason: Some("clean up test rows from the last load test".to_owned()),
            verb: "DELETE".to_owned(),
            writes: vec!["order_items".to_owned()],
            ..Wish::write("DELETE FROM order_items WHERE order_id BETWEEN 90000 AND 90500")
        })
        .await;
    let ddl = Wish {
        class: SqlClass::Ddl,
        verb: "ALTER TABLE".to_owned(),
        in_transaction: true,
        reason: None,
        ..Wish::write("ALTER TABLE orders\n  ADD COLUMN refunded_at timestamptz,\n  DROP COLUMN legacy_ref")
    };
    let ddl = world.ask(ddl).await;
    dora.vote(&ddl.matter().id, "approve", "").await;
    world.ask(featured()).await;
    world.ledger.flush().await.expect("publishes");
}

fn featured() -> Wish {
    let text = "UPDATE customers\n   SET email = 'mara@example.net', tier = $1\n WHERE id = 7731\n   AND region IN (SELECT region FROM sales_regions WHERE active)";
    Wish {
        hide: Some("mara@example.net".to_owned()),
        parameters: vec![Some("gold".to_owned())],
        reads: vec!["customers".to_owned(), "sales_regions".to_owned()],
        writes: vec!["customers".to_owned()],
        reason: Some("Ticket 4711: the customer asked support to correct a typo in their address.".to_owned()),
        ..Wish::write(text)
    }
}

/// The action of an approved review runs.
async fn ran(world: &World, review: &Review) {
    let matter = review.matter();
    let event = Event::ActionIntent {
        broken_by: None,
        action: summary(&matter.described, matter.action),
        bundle: matter.terms.bundle,
        policies: vec!["changes-may-be-asked-for".to_owned()],
        grant: None,
        pattern: None,
        masks: Vec::new(),
    };
    let records = vec![world.gate.scribe.record(event)];
    world.gate.store.begin(&matter.described, matter.action, None, records).await.expect("begins");
    let outcome = Outcomes { status: Status::Succeeded, rows: Some(1), stream: None, micros: 1_840, error: None };
    finish(&world.gate, &matter.described.id, RecordLevel::Durable, outcome).expect("records");
}

async fn refused(world: &World) {
    let wish = Wish {
        class: SqlClass::Admin,
        verb: "ALTER SYSTEM".to_owned(),
        ..Wish::write("ALTER SYSTEM SET work_mem = '4GB'")
    };
    let described = described(wish, world.gate.scribe.now());
    let digest = described.digest().expect("canonical");
    let event = Event::ActionRefused {
        action: summary(&described, digest),
        code: "policy_denied".to_owned(),
        policies: vec!["no-server-administration".to_owned()],
    };
    let record = world.gate.scribe.record(event);
    world.gate.store.refuse(&described, digest, "policy_denied", record).await.expect("keeps");
}
