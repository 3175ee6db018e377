//! More than a hundred attempts on the separation of duties and on sessions: what is tried, how it is refused, and what the
//! record says of it. `docs/attempts.md` is the table that comes out; `UPDATE_ATTEMPTS=1` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use xtask::process::Finished;

use crate::harness::api::{Answer, Api, Review};
use crate::harness::clients::Call;
use crate::harness::console::{Browser, Page};
use crate::harness::{Plan, ROW, World};
use crate::sign_in::{LOGOUT, spoilt_logouts};

mod gate;

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";
/// Needs two DBAs.
const DDL: &str = "ALTER TABLE customers ADD COLUMN note text";
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/attempts.md");
const HEAD: &str = "# Attempts

What people, agents and programs try in order to approve what they must not, and what comes of it. Each line was tried against a
real gateway with a certified identity provider, a waiting statement and its review, by the API, the console and the command
line; the test `every_attempt_is_refused_and_what_it_was_about_still_waits` does so on every run and holds this page to it. The
threats are those of [threats.md](threats.md).

| | Threat | Who | Tries | Refused with | In the record |
|---|---|---|---|---|---|
";

/// What the record says of a refusal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    /// `review.refused` with the code.
    Vote,
    /// `identity.refused` with the code.
    SignIn,
    /// `incident.refused` with the code.
    Incident,
    /// Nothing: nobody was there, or nothing was about a review.
    Nothing,
}

struct Row {
    threat: u8,
    who: String,
    what: String,
    code: String,
    kept: Kept,
}

#[derive(Default)]
struct Table {
    rows: Vec<Row>,
}

impl Table {
    fn add(&mut self, (threat, kept): (u8, Kept), who: &str, what: &str, code: &str) {
        let (who, what, code) = (who.to_owned(), what.to_owned(), code.to_owned());
        self.rows.push(Row { threat, who, what, code, kept });
    }

    #[track_caller]
    fn api(&mut self, of: (u8, Kept), who: &str, what: &str, answer: &Answer, code: &str) {
        assert!(!answer.accepted(), "{who} {what}: {answer:?}");
        assert_eq!(answer.body["code"], code, "{who} {what}: {answer:?}");
        self.add(of, who, &format!("{what}, by the API"), code);
    }

    #[track_caller]
    fn page(&mut self, of: (u8, Kept), who: &str, what: &str, page: &Page, code: &str) {
        assert!((400..500).contains(&page.status), "{who} {what}: {page:?}");
        let said = page.status.to_string() == code || page.text.contains(code);
        assert!(said, "{who} {what}: {code} is not in {page:?}");
        self.add(of, who, &format!("{what}, in the console"), code);
    }

    /// The page of several answers 200 and says of each review what came of it.
    #[track_caller]
    fn batch(&mut self, of: (u8, Kept), who: &str, what: &str, page: &Page, code: &str) {
        assert!(page.text.contains(code), "{who} {what}: {code} is not in {page:?}");
        self.add(of, who, &format!("{what}, on the page of several"), code);
    }

    #[track_caller]
    fn command(&mut self, of: (u8, Kept), who: &str, what: &str, said: &Finished, code: &str) {
        assert!(!said.ok() && said.stderr.contains(code), "{who} {what}: {said:?}");
        self.add(of, who, &format!("{what}, by the command line"), code);
    }

    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (at, Row { threat, who, what, code, kept }) in self.rows.iter().enumerate() {
            let kept = match kept {
                Kept::Vote => "`review.refused`",
                Kept::SignIn => "`identity.refused`",
                Kept::Incident => "`incident.refused`",
                Kept::Nothing => "",
            };
            writeln!(text, "| {} | {threat} | {who} | {what} | `{code}` | {kept} |", at + 1).unwrap();
        }
        text
    }

    fn expected(&self, kept: Kept) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.kept == kept) {
            *counts.entry(row.code.as_str()).or_default() += 1;
        }
        counts
    }
}

/// A person of the provider, with a browser and, where they may have one, a token that votes.
struct Person {
    who: &'static str,
    browser: Browser,
    script: Option<Api>,
}

impl Person {
    fn new(world: &World, name: &str, who: &'static str) -> Self {
        let mut browser = Browser::new(world);
        assert_eq!(browser.sign_in_with_provider(name).status, 200, "{name}");
        let fields = [("label", name), ("scope", "review:vote"), ("days", "1")];
        let made = browser.submit("/me", "/me/tokens", &fields).text;
        let token = made.find("cst_").map(|at| made[at..].split('<').next().unwrap().to_owned());
        Self { who, script: token.map(|token| world.api(&token)), browser }
    }

    fn script(&self) -> &Api {
        self.script.as_ref().unwrap()
    }

    /// So that policies ask for less.
    fn declares(&self, table: &mut Table, code: &str) {
        let (of, what) = ((25, Kept::Incident), "declares an incident");
        let page = self.browser.submit("/me", "/incidents", &[("reason", "it burns"), ("time", "1h")]);
        table.page(of, self.who, what, &page, code);
        if let Some(script) = &self.script {
            table.api(of, self.who, what, &script.post("/api/v1/incidents", &json!({"reason": "it burns"})), code);
        }
    }

    fn several(&self, review: &Review, verdict: &str) -> Page {
        let digest = |key: &str| review.0[key].as_str().unwrap();
        let seen = format!("{} {} {}", review.id(), digest("action_digest"), digest("card_digest"));
        self.browser.submit(
            "/me",
            "/reviews/batch",
            &[("verdict", verdict), ("reason", "all of them"), ("seen", &seen)],
        )
    }

    /// Every way to vote, with both verdicts.
    fn every_way(&self, table: &mut Table, world: &World, threat: u8, review: &Review, code: &str) {
        self.every_way_when(table, world, threat, review, code, "");
    }

    fn every_way_when(&self, table: &mut Table, world: &World, threat: u8, review: &Review, code: &str, when: &str) {
        let of = (threat, Kept::Vote);
        for verdict in ["approve", "reject"] {
            let what = format!("{verdict}s{when}");
            if let Some(script) = &self.script {
                table.api(of, self.who, &what, &script.vote(review, verdict, "by a script"), code);
                let reason: &[&str] = if verdict == "reject" { &["--reason", "by hand"] } else { &[] };
                let args = [&["review", verdict, review.id()], reason].concat();
                table.command(of, self.who, &what, &world.gateway.as_person(script.token(), &args), code);
            }
            let page = self.browser.vote_with(review, verdict, &self.browser.csrf("/me"));
            table.page(of, self.who, &what, &page, code);
            table.batch(of, self.who, &what, &self.several(review, verdict), code);
        }
    }
}

struct Stage {
    world: World,
    key: String,
    side: Vec<Person>,
    gil: Person,
    dora: Person,
}

/// An agent that meg made for ann, ann gave to bob, and bob accepted. Bob has two accounts.
fn stage() -> Stage {
    let person = |name: &str, groups: &[&str], employee: u32, amr: &str| {
        json!({"email": format!("{name}@example.org"), "email_verified": true, "groups": groups, "amr": [amr],
            "employee": employee.to_string()})
    };
    let people = json!({
        "meg": person("meg", &["admins", "db-approvers"], 1, "mfa"), "ann": person("ann", &["db-approvers"], 2, "mfa"),
        "bob": person("bob", &["db-approvers"], 3, "mfa"),
        "bob-admin": person("bob-admin", &["admins", "db-approvers"], 3, "mfa"),
        "gil": person("gil", &["db-approvers"], 4, "mfa"), "dora": person("dora", &["db-approvers"], 5, "mfa"),
        "eve": person("eve", &[], 6, "mfa"), "sam": person("sam", &["operators"], 7, "mfa"),
        "ivy": person("ivy", &["audit", "db-approvers"], 8, "mfa"), "fay": person("fay", &["db-approvers"], 9, "pwd"),
        "max": person("max", &["admins"], 10, "mfa"), "zoe": person("zoe", &["db-approvers"], 11, "mfa"),
    });
    let settings = "admins = [\"admins\"]\nauditors = [\"audit\"]\nperson_claim = \"employee\"\n\
        groups = { db-approvers = \"dba\", operators = \"sre\" }";
    let world = Plan::default().identity_provider(people, settings).changes_reviewed().start();
    let meg = Person::new(&world, "meg", "an administrator who made the agent");
    let ann = Person::new(&world, "ann", "who owned the agent until a moment ago");
    let bob = Person::new(&world, "bob", "who answers for the agent");
    let bob_too = Person::new(&world, "bob-admin", "who answers for the agent, by another account");
    let made = meg.script().post("/api/v1/agents", &json!({"name": "deployer", "owner": "ann"})).ok();
    assert_eq!(ann.browser.submit("/me", "/me/agents/deployer/accept", &[]).status, 303);
    assert_eq!(ann.script().put("/api/v1/agents/deployer/owner", &json!({"owner": "bob"})).status, 204);
    assert_eq!(bob.script().post("/api/v1/agents/deployer/accept", &Value::Null).status, 204);
    let key = made["key"].as_str().unwrap().to_owned();
    let (gil, dora) = (Person::new(&world, "gil", "a reviewer"), Person::new(&world, "dora", "a second reviewer"));
    Stage { key, side: vec![meg, ann, bob, bob_too], gil, dora, world }
}

#[test]
fn every_attempt_is_refused_and_what_it_was_about_still_waits() {
    let mut stage = stage();
    let mut table = Table::default();
    let (mut call, review) = stage.world.paused_as(("deployer", &stage.key), WRITE);
    one_s_own(&mut table, &stage, &review);
    untouched(&stage, &mut call, &review);
    not_theirs(&mut table, &stage, &review);
    untouched(&stage, &mut call, &review);
    something_else(&mut table, &stage, &review);
    untouched(&stage, &mut call, &review);
    without_a_session(&mut table, &stage, &review);
    untouched(&stage, &mut call, &review);
    from_other_pages(&mut table, &stage, &review);
    untouched(&stage, &mut call, &review);
    gate::who_decides(&mut table, &stage);
    untouched(&stage, &mut call, &review);
    false_identities(&mut table, &mut stage);
    untouched(&stage, &mut call, &review);
    again_and_late(&mut table, &stage, call, &review);
    recorded(&table, &stage.world);
    assert!(table.rows.len() > 100, "{}", table.rows.len());
    match std::env::var_os("UPDATE_ATTEMPTS") {
        Some(_) => std::fs::write(TABLE, table.text()).unwrap(),
        None => assert_eq!(table.text(), std::fs::read_to_string(TABLE).unwrap(), "UPDATE_ATTEMPTS=1 writes it anew"),
    }
}

/// Whether nothing has come of the attempts: the review is open, without a vote, and the statement waits.
#[track_caller]
fn untouched(stage: &Stage, call: &mut Call, review: &Review) {
    let now = stage.gil.script().review(review.id());
    assert_eq!((now.state(), now.votes()), ("open", 0));
    assert!(!call.answered(), "the statement still waits");
    assert_eq!(stage.world.truth(ROW), "200");
}

/// Each refusal that is to be in the record is there, and no other.
fn recorded(table: &Table, world: &World) {
    let kinds =
        [(Kept::Vote, "review.refused"), (Kept::SignIn, "identity.refused"), (Kept::Incident, "incident.refused")];
    for (kept, kind) in kinds {
        for (code, count) in table.expected(kept) {
            let found = || world.count_recorded(|leaf| leaf["kind"] == kind && leaf["code"] == code);
            let all = xtask::process::wait_until(kind, crate::harness::SOON, || (found() >= count).then_some(()));
            assert!(all.is_ok() && found() == count, "{kind} {code}: {} of {count}", found());
        }
    }
    assert!(world.verify().ok());
}

fn one_s_own(table: &mut Table, Stage { world, key, side, gil, .. }: &Stage, review: &Review) {
    for member in side {
        member.every_way(table, world, 1, review, "self_approval");
    }
    let glass = json!({"reason": "it cannot wait", "action_digest": review.0["action_digest"],
        "card_digest": review.0["card_digest"]});
    let address = format!("/api/v1/reviews/{}/break-glass", review.id());
    let (of, what) = ((1, Kept::Vote), "breaks the glass");
    for member in side {
        table.api(of, member.who, what, &member.script().post(&address, &glass), "self_approval");
        let asked = member.script().post(&format!("{address}/challenge"), &glass);
        table.api(of, member.who, "asks what a passkey must sign to break the glass", &asked, "self_approval");
        let args = ["review", "break-glass", review.id(), "--reason", "it cannot wait"];
        table.command(of, member.who, what, &world.gateway.as_person(member.script().token(), &args), "self_approval");
    }
    table.api(of, "the agent itself", what, &world.api(key).post(&address, &glass), "self_approval");
    let said = world.api(key).post("/api/v1/incidents", &json!({"reason": "it burns"}));
    table.api((25, Kept::Incident), "the agent itself", "declares an incident", &said, "forbidden");
    table.api(
        (2, Kept::Vote),
        gil.who,
        "breaks the glass, which no policy lets them",
        &gil.script().post(&address, &glass),
        "forbidden",
    );
    let agent = world.api(key);
    for verdict in ["approve", "reject"] {
        let answer = agent.vote(review, verdict, "by its key");
        table.api((1, Kept::Vote), "the agent itself", &format!("{verdict}s"), &answer, "self_approval");
    }
}

fn not_theirs(table: &mut Table, Stage { world, gil, .. }: &Stage, review: &Review) {
    let sam = Person::new(world, "sam", "a member of another group");
    let max = Person::new(world, "max", "an administrator in no group");
    for person in [&sam, &max] {
        person.every_way(table, world, 2, review, "not_a_reviewer");
    }
    let ivy = Person::new(world, "ivy", "an auditor in the group");
    ivy.every_way(table, world, 2, review, "forbidden");
    ivy.declares(table, "forbidden");
    let fay = Person::new(world, "fay", "a reviewer without a second factor");
    fay.every_way(table, world, 10, review, "forbidden");
    fay.declares(table, "sign_in_again");
    for person in [&sam, gil] {
        let of = (19, Kept::Vote);
        table.api(of, person.who, "withdraws what others asked", &person.script().withdraw(review), "forbidden");
        let page = person.browser.submit("/me", &format!("/reviews/{}/withdraw", review.id()), &[]);
        table.page(of, person.who, "withdraws what others asked", &page, "forbidden");
    }
    let eve = Person::new(world, "eve", "a person in no group, who knows the review's id");
    eve.declares(table, "forbidden");
    let said = world.dora().post("/api/v1/incidents", &json!({"reason": "it burns"}));
    let minted = "a reviewer with what the gateway's host minted";
    table.api((25, Kept::Incident), minted, "declares an incident", &said, "local_credential");
    let of = (19, Kept::Nothing);
    table.api(of, eve.who, "reads it", &eve.script().get(&format!("/api/v1/reviews/{}", review.id())), "not_found");
    table.page(of, eve.who, "reads it", &eve.browser.get(&format!("/reviews/{}", review.id())), "not_found");
    table.page(of, eve.who, "reads the record", &eve.browser.get("/record"), "forbidden");
    let local = "a reviewer with what the gateway's host minted";
    let of = (2, Kept::Vote);
    table.api(of, local, "approves", &world.dora().approve(review), "local_credential");
    let said = world.gateway.as_person(world.dora().token(), &["review", "approve", review.id()]);
    table.command(of, local, "approves", &said, "local_credential");
    let finn = Browser::sign_in(world, "finn");
    let page = finn.vote_with(review, "approve", &finn.csrf("/me"));
    table.page(of, local, "approves", &page, "local_credential");
}

/// Votes for something else than what waits.
fn something_else(table: &mut Table, Stage { gil, .. }: &Stage, review: &Review) {
    let of = (3, Kept::Vote);
    for key in ["action_digest", "card_digest"] {
        let mut other = review.clone();
        let from = if key == "action_digest" { "card_digest" } else { "action_digest" };
        other.0[key] = review.0[from].clone();
        let what = format!("approves with another {}", key.replace('_', " "));
        table.api(of, gil.who, &what, &gil.script().approve(&other), "digest_mismatch");
        let page = gil.browser.vote_with(&other, "approve", &gil.browser.csrf("/me"));
        table.page(of, gil.who, &what, &page, "digest_mismatch");
        table.batch(of, gil.who, &what, &gil.several(&other, "approve"), "digest_mismatch");
    }
}

fn without_a_session(table: &mut Table, Stage { world, gil, .. }: &Stage, review: &Review) {
    let of = (10, Kept::Nothing);
    let code = "unauthenticated";
    let zoe = Person::new(world, "zoe", "");
    let ended = Person::new(world, "zoe", "");
    let tokens = [
        ("a program without a token", String::new()),
        ("a program with a made-up token", format!("cst_{}", "A".repeat(43))),
        ("a program with a session's cookie for a token", format!("css_{}", "A".repeat(43))),
    ];
    for (who, token) in &tokens {
        table.api(of, who, "approves", &world.api(token).approve(review), code);
    }
    let nobody = Browser::new(world);
    table.page(of, "a browser without a session", "approves", &nobody.vote_with(review, "approve", "0"), "401");
    let mut thief = gil.browser.copied(world);
    thief.call_itself("Thief/1");
    let csrf = gil.browser.csrf("/me");
    table.page(
        (13, Kept::Nothing),
        "another browser with copied cookies",
        "approves",
        &thief.vote_with(review, "approve", &csrf),
        "401",
    );
    let csrf = ended.browser.csrf("/me");
    assert_eq!(ended.browser.submit("/me", "/logout", &[]).status, 303);
    table.page(of, "a session that was ended", "approves", &ended.browser.vote_with(review, "approve", &csrf), "401");
    let csrf = zoe.browser.csrf("/me");
    world.gateway.administer(&["person", "suspend", "zoe"]);
    table.api(of, "the token of somebody suspended", "approves", &zoe.script().approve(review), code);
    table.page(
        of,
        "the session of somebody suspended",
        "approves",
        &zoe.browser.vote_with(review, "approve", &csrf),
        "401",
    );
}

/// Forms that do not come from a page of the person's own session, and links.
fn from_other_pages(table: &mut Table, Stage { gil, dora, .. }: &Stage, review: &Review) {
    let id = review.id();
    let forms = [
        (format!("/reviews/{id}/vote"), "approves"),
        (format!("/reviews/{id}/withdraw"), "withdraws"),
        (format!("/reviews/{id}/retract"), "takes a vote back"),
        ("/reviews/batch".to_owned(), "approves several"),
        ("/me/tokens".to_owned(), "makes a token"),
        ("/me/agents/deployer/accept".to_owned(), "accepts an agent"),
        ("/me/agents/deployer/revoke".to_owned(), "revokes an agent"),
        ("/me/credentials/x/end".to_owned(), "ends a session"),
        ("/me/passkeys".to_owned(), "adds a passkey"),
        ("/people/gil/suspend".to_owned(), "suspends somebody"),
    ];
    let theirs = dora.browser.csrf("/me");
    let of = (13, Kept::Nothing);
    for (address, what) in &forms {
        let bare = gil.browser.post(address, &[("verdict", "approve")]);
        table.page(of, "a form of another site", what, &bare, "cross_site");
        let forged = gil.browser.post(address, &[("csrf", &theirs), ("verdict", "approve")]);
        table.page(of, "a form with another session's token", what, &forged, "cross_site");
    }
    for way in ["vote", "withdraw", "retract"] {
        let page = gil.browser.get(&format!("/reviews/{id}/{way}?verdict=approve"));
        assert_eq!(page.status, 405, "{page:?}");
        table.add(of, "a link in a mail", &format!("leads to `{way}`, in the console"), "405");
    }
}

fn false_identities(table: &mut Table, stage: &mut Stage) {
    let world = &mut stage.world;
    for way in ["issuer", "audience", "expired", "nonce", "signature", "unsigned", "confused", "future"] {
        world.idp().tell("spoil", json!(way));
        let mut browser = Browser::new(world);
        let answer = browser.answer_of_provider("gil");
        let what = format!("signs in with an ID token that is spoilt: {way}");
        table.page(
            (10, Kept::SignIn),
            "somebody between provider and gateway",
            &what,
            &browser.follow(answer),
            "sign_in_failed",
        );
    }
    world.idp().tell("spoil", Value::Null);
    for (what, url) in spoilt_logouts(world) {
        let mut browser = Browser::new(world);
        let token = browser.visit(&url, None).text;
        let page = browser.post(LOGOUT, &[("logout_token", &token)]);
        assert_eq!(page.status, 400, "{what}: {page:?}");
        table.add(
            (10, Kept::Nothing),
            "somebody between provider and gateway",
            &format!("ends sessions by a logout token: {what}"),
            "400",
        );
    }
}

fn again_and_late(table: &mut Table, Stage { world, key, gil, dora, side, .. }: &Stage, call: Call, review: &Review) {
    let mut browser = Browser::new(world);
    let answer = browser.answer_of_provider("gil");
    let (mut elsewhere, mut before) = (Browser::new(world), browser.copied(world));
    let of = (17, Kept::Nothing);
    table.page(
        of,
        "another browser",
        "brings the provider's answer",
        &elsewhere.follow(answer.clone()),
        "sign_in_failed",
    );
    assert_eq!(browser.follow(answer.clone()).status, 200);
    table.page(
        of,
        "the same browser",
        "brings the provider's answer again",
        &browser.follow(answer.clone()),
        "sign_in_failed",
    );
    let of = (17, Kept::SignIn);
    table.page(
        of,
        "a copy of the browser",
        "brings the provider's answer again",
        &before.follow(answer),
        "sign_in_failed",
    );

    // one person, two votes
    let (mut ddl, two) = world.paused_as(("deployer", key), DDL);
    assert_eq!(gil.script().approve(&two).ok()["state"], "open");
    gil.every_way_when(table, world, 24, &two, "voted_already", " after having approved");
    assert_eq!(gil.script().review(two.id()).votes(), 1);
    assert!(!ddl.answered(), "one person is no quorum");
    assert_eq!(side[2].script().withdraw(&two).ok()["state"], "withdrawn");
    ddl.ended();
    dora.every_way_when(table, world, 22, &two, "review_closed", " after it was withdrawn");

    // too late
    assert_eq!(dora.script().approve(review).ok()["state"], "approved");
    assert_eq!(call.outcome().rows(), 1);
    gil.every_way_when(table, world, 22, review, "review_closed", " after it has run");
    let of = (22, Kept::Vote);
    table.api(of, side[2].who, "withdraws what has run", &side[2].script().withdraw(review), "review_closed");
    table.api(of, dora.who, "takes back a vote that was used", &dora.script().retract(review), "review_closed");
    assert_eq!(world.truth(ROW), "900");
}
