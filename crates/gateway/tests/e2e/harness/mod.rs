//! The world of a test: a private PostgreSQL, a gateway process, people and an agent.

pub(crate) mod api;
pub(crate) mod browser;
pub(crate) mod ci;
pub(crate) mod clients;
pub(crate) mod cloud;
pub(crate) mod console;
pub(crate) mod emulated;
pub(crate) mod gated;
pub(crate) mod gateway;
pub(crate) mod go;
pub(crate) mod guarded;
pub(crate) mod idp;
pub(crate) mod kubelet;
pub(crate) mod kubernetes;
pub(crate) mod mail;
pub(crate) mod origin;
pub(crate) mod pager;
pub(crate) mod playground;
pub(crate) mod policies;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod record;
mod setup;
pub(crate) mod slack;
pub(crate) mod slack_front;
pub(crate) mod teams;
pub(crate) mod terminal;
pub(crate) mod vault;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use xtask::cluster::Cluster;
use xtask::loopback::{free_port, random_secret};
use xtask::process::{Finished, wait_until};
use xtask::repository;
use xtask::sweeper::Sweeper;

use api::{Api, Review};
use clients::{Call, Client};
use emulated::{Emulated, Shape};
use gateway::{Gateway, Ports};
use idp::Idp;
use mail::{Mail, Protected};
use receiver::Receiver;
use serde_json::Value;
use setup::{configuration, database, directory, fill};
use slack::Slack;
use teams::Teams;

/// How long anything that should happen at once may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The target's name and the database behind it.
pub(crate) const TARGET: &str = "orders";
/// The agent's name.
pub(crate) const AGENT: &str = "coder";
/// A row that tests change: its credit limit is 200 at first.
pub(crate) const ROW: &str = "SELECT credit_limit FROM customers WHERE id = 3";
/// The token of the identity provider's provisioning client.
pub(crate) const SCIM_TOKEN: &str = "a-provisioning-token-of-32-bytes-or-more";
/// The gateway's own account at the database.
pub(crate) const UPSTREAM_USER: &str = "app";

/// What differs from the usual world.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Replacements in the starter policies.
    policy: Vec<(&'static str, &'static str)>,
    /// Policies beside the starter pack.
    more_policies: &'static str,
    /// Policies in the place of the starter pack.
    own_policies: Option<&'static str>,
    /// `copy_bytes_max` of `[postgres]`.
    copy_bytes_max: Option<u64>,
    /// An identity provider with these people, and more settings of `[oidc]`.
    oidc: Option<(Value, &'static str)>,
    /// An identity provider in the shape of another.
    emulated: Option<Shape>,
    /// Whether people are asked in Slack.
    slack: bool,
    /// Whether the gateway listens at Slack (Socket Mode) instead of being posted to.
    socket_mode: bool,
    /// More settings of `[slack.sign_in]`, where people link their accounts themselves at the identity provider.
    slack_sign_in: Option<&'static str>,
    /// Whether people are asked in Teams.
    teams: bool,
    /// How the mail server lets itself be reached by which people are told, if they are.
    mail: Option<Protected>,
    /// Whether a webhook hears of every review.
    webhook: bool,
    /// Whether the target is labelled as of low sensitivity.
    sensitivity_low: bool,
    /// What the target's cards hide and show.
    redact: Option<&'static str>,
    /// Whether the provider provisions people (SCIM).
    provisioning: bool,
    /// Whether `public_url` has a name: `localhost` instead of the address.
    named: bool,
    /// Whether changes of the policies wait for people.
    changes_reviewed: bool,
    /// More people, with their groups.
    people: &'static [(&'static str, &'static str)],
    /// More targets, as the configuration has them.
    targets: String,
    /// Bytes of a small disk of its own for the gateway's data.
    disk_bytes: Option<u64>,
}

impl Plan {
    /// Reviews of writes end by themselves after three seconds.
    pub(crate) fn short_reviews(mut self) -> Self {
        self.policy.push(("@expires(\"30m\")", "@expires(\"3s\")"));
        self
    }

    /// Writes want a vote that a passkey signed.
    pub(crate) fn stepup(mut self) -> Self {
        self.policy.push(("@expires(\"30m\")", "@expires(\"30m\")\n@stepup(\"passkey\")"));
        self
    }

    /// Writes may be approved as patterns: three times within an hour.
    pub(crate) fn patterns(mut self) -> Self {
        self.policy.push(("@expires(\"30m\")", "@expires(\"30m\")\n@pattern(\"3 in 1h\")"));
        self
    }

    /// Reviews of writes are told of at this place too.
    pub(crate) fn told_at(mut self, place: &str) -> Self {
        let there = format!("@expires(\"30m\")\n@channel(\"{place}\")");
        self.policy.push(("@expires(\"30m\")", there.leak()));
        self
    }

    /// Approvals of writes have to say why.
    pub(crate) fn justified(mut self) -> Self {
        self.policy.push(("@expires(\"30m\")", "@expires(\"30m\")\n@justify(\"required\")"));
        self
    }

    /// Writes are brought before the SREs when nobody has decided after three seconds.
    pub(crate) fn escalating(mut self) -> Self {
        let one = "unless { context.approvals.contains(Quorum::\"dba:1\") };";
        let either = "unless { context.approvals.contains(Quorum::\"dba:1\") || context.approvals.contains(Quorum::\"sre:1\") };";
        self.policy.push(("@expires(\"30m\")", "@expires(\"30m\")\n@escalate(\"3s: sre\")"));
        self.policy.push((one, either));
        self
    }

    /// Gives the gateway a name, which passkeys can be bound to.
    pub(crate) fn named(mut self) -> Self {
        self.named = true;
        self
    }

    /// Adds policies to the starter pack.
    pub(crate) fn policies_beside(mut self, text: &'static str) -> Self {
        self.more_policies = text;
        self
    }

    /// Only these policies are in force.
    pub(crate) fn only_policies(mut self, text: &'static str) -> Self {
        self.own_policies = Some(text);
        self
    }

    /// Keeps at most so much data of a COPY that waits.
    pub(crate) fn copy_bytes_max(mut self, bytes: u64) -> Self {
        self.copy_bytes_max = Some(bytes);
        self
    }

    /// People sign in with an identity provider that knows these.
    pub(crate) fn identity_provider(mut self, people: Value, settings: &'static str) -> Self {
        self.oidc = Some((people, settings));
        self
    }

    /// People sign in with a provider in this shape.
    pub(crate) fn emulated(mut self, shape: Shape) -> Self {
        self.emulated = Some(shape);
        self
    }

    /// People are asked in Slack.
    pub(crate) fn slack(mut self) -> Self {
        self.slack = true;
        self
    }

    /// People are asked in Slack, where the gateway listens for what they click.
    pub(crate) fn socket_mode(mut self) -> Self {
        self.socket_mode = true;
        self.slack()
    }

    /// People link their accounts in Slack themselves; the identity provider stands for Slack.
    pub(crate) fn slack_sign_in(mut self, settings: &'static str) -> Self {
        self.slack_sign_in = Some(settings);
        self.slack()
    }

    /// People are asked in Teams.
    pub(crate) fn teams(mut self) -> Self {
        self.teams = true;
        self
    }

    /// People are told by mail.
    pub(crate) fn mail(mut self, protected: Protected) -> Self {
        self.mail = Some(protected);
        self
    }

    /// A webhook hears of every review.
    pub(crate) fn webhook(mut self) -> Self {
        self.webhook = true;
        self
    }

    /// The target's cards hide and show this besides.
    pub(crate) fn redact(mut self, settings: &'static str) -> Self {
        self.redact = Some(settings);
        self
    }

    /// Losing the target would be bad, not the worst: a click in chat decides on writes to it.
    pub(crate) fn sensitivity_low(mut self) -> Self {
        self.sensitivity_low = true;
        self
    }

    /// The identity provider provisions people, by [`SCIM_TOKEN`].
    pub(crate) fn provisioning(mut self) -> Self {
        self.provisioning = true;
        self
    }

    /// Changes of the policies wait for people, unless they permit nothing more.
    pub(crate) fn changes_reviewed(mut self) -> Self {
        self.changes_reviewed = true;
        self
    }

    /// Adds more people, with their groups, at the gateway's host.
    pub(crate) fn people(mut self, people: &'static [(&'static str, &'static str)]) -> Self {
        self.people = people;
        self
    }

    /// Adds targets, as the configuration has them.
    pub(crate) fn targets(mut self, configuration: String) -> Self {
        self.targets = configuration;
        self
    }

    /// Gives the gateway's data a disk of this size.
    pub(crate) fn disk(mut self, bytes: u64) -> Self {
        self.disk_bytes = Some(bytes);
        self
    }

    /// Builds the world and starts everything in it.
    pub(crate) fn start(self) -> World {
        let (reviewed, people) = (self.changes_reviewed, self.people);
        let mut world = self.prepare();
        if reviewed {
            world.enrol(people); // nobody could approve the first people: they are there before anybody is asked
            world.review_changes();
            world.gateway.start();
        } else {
            world.gateway.start();
            world.enrol(people);
        }
        world
    }

    /// Builds the world; the gateway is configured and not started.
    pub(crate) fn prepare(self) -> World {
        let dir = directory();
        let sweeper = Arc::new(Sweeper::start(&dir).unwrap());
        let cluster = database(&dir, &sweeper);
        let password = random_secret().unwrap();
        fill(&cluster, &password);
        fs::create_dir(dir.join("policies")).unwrap();
        fs::write(dir.join("policies/starter.cedar"), self.policies()).unwrap();
        let ports = Ports { http: free_port().unwrap(), postgres: free_port().unwrap() };
        let certificate = cluster.certificate_for_clients(&dir).unwrap();
        let upstream = format!(
            "postgres://{UPSTREAM_USER}@127.0.0.1:{}/{TARGET}?sslmode=verify-full&sslrootcert={}",
            cluster.port(),
            certificate.display()
        );
        let copy_bytes_max = self
            .copy_bytes_max
            .map(|bytes| format!("listen = \"127.0.0.1:{}\"\ncopy_bytes_max = {bytes}", ports.postgres));
        let mut configuration = configuration(ports, &upstream);
        if let Some(setting) = copy_bytes_max {
            configuration = configuration.replace(&format!("listen = \"127.0.0.1:{}\"", ports.postgres), &setting);
        }
        let idp = self.oidc.map(|(people, settings)| {
            let idp = Idp::start(&dir, ports.http, &people, sweeper.clone());
            configuration.push_str(&idp.configuration(settings));
            idp
        });
        let emulated = self.emulated.map(|shape| Emulated::start(&dir, shape, ports.http, sweeper.clone()));
        if let Some(emulated) = &emulated {
            configuration.push_str(emulated.configuration());
        }
        if self.sensitivity_low {
            let target = "environment = \"production\"\n";
            configuration = configuration.replace(target, &format!("{target}labels = {{ sensitivity = \"low\" }}\n"));
        }
        if let Some(settings) = self.redact {
            let target = "environment = \"production\"\n";
            configuration = configuration.replace(target, &format!("{target}redact = {{ {settings} }}\n"));
        }
        let slack = self.slack.then(|| Slack::prepare(&dir, self.socket_mode, sweeper.clone()));
        if let Some(slack) = &slack {
            configuration.push_str(&slack.configuration());
        }
        if let (Some(idp), Some(settings)) = (&idp, self.slack_sign_in) {
            configuration.push_str(&idp.as_slack(settings));
        }
        let teams = self.teams.then(|| Teams::prepare(&dir, ports.http));
        if let Some(teams) = &teams {
            configuration.push_str(&teams.configuration());
        }
        let mail = self.mail.map(|protected| Mail::prepare(&dir, protected, sweeper.clone()));
        if let Some(mail) = &mail {
            configuration.push_str(&mail.configuration());
        }
        let receiver = self.webhook.then(Receiver::start);
        if let Some(receiver) = &receiver {
            configuration.push_str(&receiver.configuration(&dir));
        }
        if self.provisioning {
            fs::write(dir.join("scim"), format!("{SCIM_TOKEN}\n")).unwrap();
            configuration.push_str("\n[scim]\ntoken = { file = \"scim\" }\n");
        }
        if self.named {
            configuration = configuration.replace("public_url = \"http://127.0.0.1", "public_url = \"http://localhost");
        }
        fs::write(dir.join("countersign.toml"), configuration + &self.targets).unwrap();
        let gateway =
            Gateway::new(&dir, ports, password, sweeper.clone()).with_disk(self.disk_bytes).with_name(self.named);
        World {
            gateway,
            cluster,
            idp,
            _emulated: emulated,
            slack,
            teams,
            mail,
            receiver,
            ada: None,
            dora: None,
            finn: None,
            key: String::new(),
            login: AGENT.to_owned(),
            dir,
            sweeper,
        }
    }

    fn policies(&self) -> String {
        if let Some(own) = self.own_policies {
            return own.to_owned();
        }
        let mut text = fs::read_to_string(repository().join("policies/starter.cedar")).unwrap();
        for (from, to) in &self.policy {
            assert!(text.contains(from), "the starter policies have no {from}");
            text = text.replace(from, to);
        }
        format!("{text}\n{}", self.more_policies)
    }
}

/// Everything that runs for a test.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) cluster: Cluster,
    idp: Option<Idp>,
    _emulated: Option<Emulated>,
    slack: Option<Slack>,
    teams: Option<Teams>,
    mail: Option<Mail>,
    receiver: Option<Receiver>,
    /// Owner of the agent, and a DBA.
    ada: Option<Api>,
    /// A DBA.
    dora: Option<Api>,
    /// Another DBA.
    finn: Option<Api>,
    /// The agent's key.
    pub(crate) key: String,
    /// What clients log in as: the agent, unless a test says otherwise.
    pub(crate) login: String,
    pub(crate) dir: PathBuf,
    // Last: it removes the directory once everything in it has ended.
    pub(crate) sweeper: Arc<Sweeper>,
}

impl World {
    pub(crate) fn start() -> Self {
        Plan::default().start()
    }

    /// From the next start on, what permits more waits for people.
    fn review_changes(&self) {
        let file = self.dir.join("countersign.toml");
        let configuration = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("{configuration}\n[policy]\nchanges = \"review\"\n")).unwrap();
    }

    /// Adds the people and the agent at the gateway's host.
    pub(crate) fn enrol(&mut self, more: &[(&str, &str)]) {
        for (name, groups) in [("ada", "dba"), ("dora", "dba"), ("finn", "dba")].iter().chain(more) {
            let email = format!("{name}@example.org");
            self.gateway.administer(&["person", "add", name, "--email", &email, "--groups", groups]);
        }
        self.key = self.gateway.administer(&["agent", "create", AGENT, "--owner", "ada"]);
        (self.ada, self.dora, self.finn) =
            (Some(self.token("ada")), Some(self.token("dora")), Some(self.token("finn")));
    }

    /// A new token of a person.
    pub(crate) fn token(&self, person: &str) -> Api {
        let token = self.gateway.administer(&["person", "token", "create", person, "--scope", "review:vote"]);
        self.api(&token)
    }

    /// The API with any bearer token.
    pub(crate) fn api(&self, token: &str) -> Api {
        Api::new(&self.gateway.url(), token)
    }

    pub(crate) fn idp(&mut self) -> &mut Idp {
        self.idp.as_mut().unwrap()
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        self.receiver.as_ref().unwrap()
    }

    pub(crate) fn slack(&self) -> &Slack {
        self.slack.as_ref().unwrap()
    }

    pub(crate) fn slack_mut(&mut self) -> &mut Slack {
        self.slack.as_mut().unwrap()
    }

    pub(crate) fn teams(&self) -> &Teams {
        self.teams.as_ref().unwrap()
    }

    pub(crate) fn mail(&self) -> &Mail {
        self.mail.as_ref().unwrap()
    }

    pub(crate) fn mail_mut(&mut self) -> &mut Mail {
        self.mail.as_mut().unwrap()
    }

    pub(crate) fn ada(&self) -> &Api {
        self.ada.as_ref().unwrap()
    }

    pub(crate) fn dora(&self) -> &Api {
        self.dora.as_ref().unwrap()
    }

    pub(crate) fn finn(&self) -> &Api {
        self.finn.as_ref().unwrap()
    }

    /// Sends a statement as the agent, by one of the real clients.
    pub(crate) fn send(&self, client: Client, scenario: &str, sql: Option<&str>) -> Call {
        clients::send(self, client, scenario, sql)
    }

    /// The same with any login and key.
    pub(crate) fn send_as(&self, login: (&str, &str), client: Client, scenario: &str) -> Call {
        clients::send_as(self, login, client, scenario, None)
    }

    /// Sends a write by psql, and waits until it hangs on a review.
    pub(crate) fn paused(&self, sql: &str) -> (Call, Review) {
        self.paused_as((&self.login, &self.key), sql)
    }

    /// The same with any login and key.
    pub(crate) fn paused_as(&self, login: (&str, &str), sql: &str) -> (Call, Review) {
        let before = self.dora().open_reviews().len();
        let call = clients::send_as(self, login, Client::Psql, "write", Some(sql));
        let review = self.review_beyond(before);
        (call, review)
    }

    /// The newest open review, once there are more than `before`.
    pub(crate) fn review_beyond(&self, before: usize) -> Review {
        let open = wait_until("a review to open", SOON, || {
            let open = self.dora().open_reviews();
            (open.len() > before).then_some(open)
        });
        open.unwrap().into_iter().max_by(|a, b| a.opened_at().cmp(b.opened_at())).unwrap()
    }

    /// What the database holds, read behind the gateway's back.
    pub(crate) fn truth(&self, sql: &str) -> String {
        self.cluster.admin(TARGET, sql).unwrap()
    }

    /// How many statements of the gateway the database is executing right now, by a word in their text.
    pub(crate) fn executing(&self, word: &str) -> bool {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{UPSTREAM_USER}' AND state = 'active' AND query LIKE '%{word}%'"
        );
        self.truth(&sql) != "0"
    }

    /// How many connections the gateway holds to the database.
    pub(crate) fn upstream_connections(&self) -> u32 {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{UPSTREAM_USER}' AND application_name <> 'countersign'"
        );
        self.truth(&sql).parse().unwrap()
    }

    /// How many connections of the gateway execute something, or hold a transaction open.
    pub(crate) fn upstream_busy(&self) -> u32 {
        let busy =
            format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{UPSTREAM_USER}' AND state <> 'idle'");
        self.truth(&busy).parse().unwrap()
    }

    /// Verifies the record as an auditor would, once everything so far is in it.
    pub(crate) fn verify(&self) -> Finished {
        let data = self.gateway.data_dir();
        self.gateway.command(&["ledger", "verify", "--data", &data.to_string_lossy()])
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the gateway's log ----\n{}", self.gateway.log());
        }
        self.gateway.kill();
        self.cluster.stop();
        drop(self.idp.take());
        drop(self.mail.take());
        self.sweeper.finish();
    }
}
