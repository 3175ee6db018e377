//! A gate for tests: the real store in a temporary folder, the real starter policies, real people; a clock that stands
//! still, and doubles of the journal and the log.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use countersign_core::action::sql::{SqlClass, SqlFacts, SqlStatement, SqlTables};
use countersign_core::action::{
    ActionId, AgentId, Described, Environment, Facts, PayloadDigest, PersonId, PersonRef, Requester, ReviewId,
    Sensitivity, SessionFacts, Target, Timestamp, redact,
};
use countersign_core::card::Card;
use countersign_core::policy::Decision;
use countersign_core::record::{Event, Record};
use countersign_core::review::{Matter, Review};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::config::Config;
use crate::gate::{Changes, Declared, Gate};
use crate::identity::keys::{self, Kind};
use crate::identity::people::Roster;
use crate::identity::workload::Workloads;
use crate::policies::Policies;
use crate::ports::*;
use crate::store::sqlite::SqliteStore;
use crate::targets::Targets;
use crate::vault::LocalVault;
use crate::waiting::WaitingRoom;

/// Where the tests' time begins.
const START: i64 = 1_700_000_000;

/// A clock that moves when told to.
#[derive(Default)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(START + self.0.load(Ordering::SeqCst))
    }
}

/// Keeps what was appended.
#[derive(Default)]
pub(crate) struct KeptJournal(Mutex<Vec<Record>>);

#[async_trait]
impl Journal for KeptJournal {
    fn stage(&self, record: &Record) -> Result<Receipt, JournalError> {
        let mut kept = self.0.lock().expect("not poisoned");
        kept.push(record.clone());
        Ok(Receipt::new(kept.len() as u64))
    }

    fn release(&self, _receipt: Receipt) -> Result<Release, JournalError> {
        Ok(Release::Now)
    }

    async fn synced(&self, _receipt: Receipt) -> Result<(), JournalError> {
        Ok(())
    }
}

/// A log of three leaves that knows every path it was asked for.
#[derive(Default)]
pub(crate) struct PaperLog {
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) broken: std::sync::atomic::AtomicBool,
}

impl PaperLog {
    fn check(&self) -> Result<(), LogError> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(LogError::Unavailable("`/secret/path` is on fire".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl LogView for PaperLog {
    async fn checkpoint(&self) -> Result<String, LogError> {
        self.check()?;
        Ok("example.org/log\n3\nroot\n\n— example.org/log sig\n".to_owned())
    }

    fn verifier_key(&self) -> String {
        "example.org/log+0a0b0c0d+key".to_owned()
    }

    async fn file(&self, path: &str) -> Result<Option<LogFile>, LogError> {
        self.check()?;
        self.asked.lock().expect("not poisoned").push(path.to_owned());
        let (content_type, immutable) = match path {
            "checkpoint" => ("text/plain; charset=utf-8", false),
            "tile/0/000.p/3" => ("application/octet-stream", true),
            _ => return Ok(None),
        };
        Ok(Some(LogFile { content_type, immutable, bytes: path.as_bytes().to_vec() }))
    }

    async fn entries(&self, range: Range<u64>) -> Result<Vec<LogEntry>, LogError> {
        self.check()?;
        Ok(range
            .filter(|index| *index < 3)
            .map(|index| LogEntry { index, leaf: format!("{{\"n\":{index}}}") })
            .collect())
    }

    async fn size(&self) -> Result<u64, LogError> {
        self.check().map(|()| 3)
    }

    async fn prove(&self, index: u64) -> Result<String, LogError> {
        self.check()?;
        if index < 3 {
            Ok(format!("c2sp.org/tlog-proof@v1\nindex {index}\n"))
        } else {
            Err(LogError::Absent(index.to_string()))
        }
    }

    async fn growth(&self, old: u64) -> Result<String, LogError> {
        self.check()?;
        if old <= 3 { Ok(format!("old {old}\n\n")) } else { Err(LogError::Absent(old.to_string())) }
    }

    async fn flush(&self) -> Result<(), LogError> {
        self.check()
    }

    fn health(&self) -> Result<(), LogError> {
        self.check()
    }
}

/// A gateway's inner parts with people, agents and their secrets.
pub(crate) struct World {
    pub(crate) gate: Arc<Gate>,
    pub(crate) router: Router,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) log: Arc<PaperLog>,
    pub(crate) store: SqliteStore,
    _folder: tempfile::TempDir,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts a problem of RFC 9457 with this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        let body = self.json();
        assert_eq!((self.status.as_u16(), body["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("urn:countersign:error:{code}"));
        for field in ["title", "detail"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {body}");
        }
    }
}

const CONFIG: &str = r#"
    [server]
    public_url = "https://gate.example.org"
    policies = "POLICIES"
    [review]
    open_per_owner_max = 20000
    [[webhook]]
    name = "pager"
    url = "http://127.0.0.1:1/nobody-listens"
    secret = { env = "PAGER_SECRET" }
    all = true
    [[target]]
    name = "orders"
    protocol = "postgres"
    upstream = "postgres://app@10.9.8.7:5432/orders"
    credential = { env = "ORDERS_PASSWORD" }
    [[target]]
    name = "sandbox"
    protocol = "postgres"
    upstream = "postgres://app@10.9.8.7:5432/sandbox"
    environment = "dev"
    labels = { sensitivity = "none" }
"#;

/// The people: name, groups, suspended. Ada owns `coder`, finn owns `scout`.
const PEOPLE: [(&str, &[&str], bool); 5] = [
    ("ada", &["dba"], false),
    ("dora", &["dba"], false),
    ("finn", &["dba"], false),
    ("sam", &["sre"], false),
    ("zoe", &["dba"], true),
];
const AGENTS: [(&str, &str); 2] = [("coder", "ada"), ("scout", "finn")];

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path(), crate::vault::testing::sealer(folder.path())).expect("opens");
        let clock = Arc::new(HandClock::default());
        let log = Arc::new(PaperLog::default());
        let config = Arc::new(config(folder.path()));
        let scribe = Scribe::new(clock.clone(), "n1".to_owned());
        for (name, groups, suspended) in PEOPLE {
            add_person(&store, &scribe, name, groups, suspended).await;
        }
        for (name, owner) in AGENTS {
            add_agent(&store, &scribe, name, owner).await;
        }
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
            journal: Arc::new(KeptJournal::default()),
            log: log.clone(),
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
        Self { router: super::router(gate.clone()), gate, clock, log, store, _folder: folder }
    }

    /// A new token of a person.
    pub(crate) async fn token(&self, person: &str, scope: Scope) -> String {
        self.credential(CredentialKind::Token, Kind::Token, person, scope).await
    }

    /// A new console session of a person.
    pub(crate) async fn session(&self, person: &str) -> String {
        self.credential(CredentialKind::Session, Kind::Session, person, Scope::ReviewVote).await
    }

    async fn credential(&self, kind: CredentialKind, secret: Kind, person: &str, scope: Scope) -> String {
        let secret = keys::make(secret).expect("randomness").to_string();
        let now = self.gate.scribe.now();
        let (id, person) = (secret[..12].to_owned(), PersonId::new(format!("p-{person}")));
        let credential = Credential::local(id, person, scope, now, 3_600);
        self.store.add_credential(kind, keys::hash(&secret), credential, None).await.expect("adds");
        secret
    }

    /// Opens a review of a write by an agent, as the line would.
    pub(crate) async fn ask(&self, agent: &str, statement: &str) -> Review {
        self.open(described(agent, statement, self.gate.scribe.now()), statement).await
    }

    /// Opens a review of a schema change by an agent, for which two people are asked.
    pub(crate) async fn ask_ddl(&self, agent: &str, statement: &str) -> Review {
        let mut described = described(agent, statement, self.gate.scribe.now());
        let Facts::Sql(facts) = Arc::make_mut(&mut described.facts) else { panic!("a statement") };
        facts.class = SqlClass::Ddl;
        facts.statements[0].class = SqlClass::Ddl;
        facts.statements[0].verb = "ALTER TABLE".to_owned();
        self.open(described, statement).await
    }

    /// Opens a review of a described action.
    pub(crate) async fn open(&self, described: Described, statement: &str) -> Review {
        let digest = described.digest().expect("canonical");
        let none = BTreeSet::new();
        let moment = self.gate.moment();
        let Decision::Review(terms) = moment.bundle.decide(&described, &moment.with(&described, &none)) else {
            panic!("the starter policies ask people about a write")
        };
        let card = Card::new(&described, digest, &terms).digest().expect("canonical");
        let opened_at = self.gate.scribe.now();
        let matter = Matter {
            id: ReviewId::new(uuid::Uuid::now_v7().to_string()),
            action: digest,
            card,
            described,
            terms,
            offer: None,
            opened_at,
            expires_at: opened_at.plus_seconds(1_800),
        };
        let record = self.gate.scribe.record(Event::ConfigChanged { what: "test".to_owned() });
        let places = self.gate.config.places(&BTreeSet::new(), std::iter::empty());
        let ask = Ask {
            matter,
            fingerprint: statement.to_owned(),
            limits: self.gate.config.limits,
            places,
            hidden: redact::Values::default(),
            record,
        };
        match self.gate.store.ask(ask).await.expect("asks") {
            Asked::Opened(review) => review,
            other => panic!("expected a new review, got {other:?}"),
        }
    }

    /// Records a refused attempt.
    pub(crate) async fn refused_attempt(&self, agent: &str, statement: &str) -> ActionId {
        let described = described(agent, statement, self.gate.scribe.now());
        let digest = described.digest().expect("canonical");
        let record = self.gate.scribe.record(Event::ConfigChanged { what: "test".to_owned() });
        self.gate.store.refuse(&described, digest, "policy_denied", record).await.expect("keeps");
        described.id
    }

    /// The codes of votes and withdrawals that were refused, as recorded.
    /// How many records there are of a kind.
    pub(crate) async fn recorded(&self, kind: &str) -> usize {
        let records = self.store.records_after(0, 10_000).await.expect("reads");
        let leaves = records.iter().map(|record| serde_json::from_slice::<Value>(&record.leaf).expect("JSON"));
        leaves.filter(|leaf| leaf["kind"] == kind).count()
    }

    pub(crate) async fn recorded_refusals(&self) -> Vec<String> {
        let records = self.store.records_after(0, 10_000).await.expect("reads");
        let leaves = records.iter().map(|record| serde_json::from_slice::<Value>(&record.leaf).expect("JSON"));
        let refused = leaves.filter(|leaf| leaf["kind"] == "review.refused");
        refused.map(|leaf| leaf["code"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body").to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str, secret: &str) -> Answer {
        self.send(request(Method::GET, path, secret).body(Body::empty()).expect("well-formed")).await
    }

    pub(crate) async fn post(&self, path: &str, secret: &str, body: &Value) -> Answer {
        let request = request(Method::POST, path, secret).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).expect("well-formed")).await
    }
}

/// A request with a bearer secret; none when it is empty.
pub(crate) fn request(method: Method, path: &str, secret: &str) -> axum::http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    if secret.is_empty() { request } else { request.header("authorization", format!("Bearer {secret}")) }
}

/// What handlers are given, without the routes.
pub(crate) fn api(world: &World) -> Arc<super::Api> {
    super::state(Arc::clone(&world.gate))
}

/// The key of an agent: made from its name, so that tests need not carry it.
pub(crate) fn agent_key(name: &str) -> String {
    format!("csk_{name}-key")
}

fn config(folder: &Path) -> Config {
    let text = CONFIG.replace("POLICIES", concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies"));
    Config::parse(&folder.join("countersign.toml"), &text).expect("valid")
}

async fn add_person(store: &SqliteStore, scribe: &Scribe, name: &str, groups: &[&str], suspended: bool) {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let mut person = Person::new(PersonId::new(format!("p-{name}")), name.to_owned(), None, groups, scribe.now());
    person.suspended = suspended;
    let record = scribe.record(Event::ConfigChanged { what: "test".to_owned() });
    store.add_person(person, None, vec![record]).await.expect("adds");
}

async fn add_agent(store: &SqliteStore, scribe: &Scribe, name: &str, owner: &str) {
    let (id, owner) = (AgentId::new(format!("g-{name}")), PersonId::new(format!("p-{owner}")));
    let agent = Agent::new(id, name.to_owned(), owner, BTreeSet::new(), scribe.now());
    let verifier = ScramVerifier { salt: vec![1; 16], iterations: 4_096, stored_key: [2; 32], server_key: [3; 32] };
    let own = AgentKey::own(format!("k-{name}"), &agent, scribe.now());
    let key = NewAgentKey { key: own, verifier, hash: keys::hash(&agent_key(name)) };
    let record = scribe.record(Event::ConfigChanged { what: "test".to_owned() });
    store.add_agent(agent, key, record).await.expect("adds");
}

/// A write by one of the agents.
pub(crate) fn described(agent: &str, statement: &str, at: Timestamp) -> Described {
    let owner = AGENTS.iter().find(|(name, _)| *name == agent).expect("a known agent").1;
    let owner = PersonRef { id: PersonId::new(format!("p-{owner}")), name: owner.to_owned() };
    let update = SqlStatement {
        verb: "UPDATE".to_owned(),
        class: SqlClass::Write,
        apart: SqlClass::Write,
        code: BTreeSet::new(),
        tables: SqlTables { read: BTreeSet::new(), write: BTreeSet::from(["orders".to_owned()]) },
        functions: BTreeSet::new(),
        has_where: true,
    };
    Described {
        impact: countersign_core::action::impact::Impact::default(),
        id: ActionId::new(uuid::Uuid::now_v7().to_string()),
        requester: Requester::Agent {
            id: AgentId::new(format!("g-{agent}")),
            name: agent.to_owned(),
            owner: owner.clone(),
            job: None,
        }
        .into(),
        on_behalf_of: owner.clone().into(),
        closure: Arc::new(BTreeSet::from([owner.id])),
        target: Target {
            name: "orders".to_owned(),
            environment: Environment::Production,
            sensitivity: Sensitivity::High,
            generation: "1".to_owned(),
        }
        .into(),
        facts: Facts::Sql(SqlFacts { class: SqlClass::Write, statements: vec![update] }).into(),
        session: SessionFacts::default().into(),
        shown: redact::redact(statement, &[], &[Some("7".to_owned()), None]).shown,
        reason: Some("close a stuck order".to_owned()),
        payload: PayloadDigest::of(statement.as_bytes()),
        at,
    }
}
