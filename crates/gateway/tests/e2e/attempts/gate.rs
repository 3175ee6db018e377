//! Attempts on who decides: more groups for one's own agent, past everybody whose side gains.

use serde_json::json;

use super::{Kept, Person, Stage, Table};
use crate::harness::api::Review;

const PROPOSALS: &str = "/api/v1/people/proposals";

pub(super) fn who_decides(table: &mut Table, Stage { world, key, side, gil, .. }: &Stage) {
    let wish = json!({"change": {"do": "add_agent_groups", "agent": "deployer", "groups": ["sre"]}});
    let asked = gil.script().post(PROPOSALS, &wish);
    assert_eq!(asked.status, 202, "{asked:?}");
    let review = Review(asked.body["review"].clone());
    gil.every_way_when(table, world, 25, &review, "self_approval", " more groups for an agent, which they proposed");
    for member in side {
        member.every_way_when(table, world, 25, &review, "self_approval", " more groups for the agent");
    }
    let (agent, of) = (world.api(key), (25, Kept::Vote));
    let vote = agent.approve(&review);
    table.api(of, "the agent itself", "approves more groups for itself", &vote, "self_approval");
    assert_eq!(gil.script().review(review.id()).votes(), 0);
    assert_eq!(gil.script().withdraw(&review).ok()["state"], "withdrawn");

    let of = (25, Kept::Nothing);
    table.api(of, "the agent itself", "proposes groups for itself", &agent.post(PROPOSALS, &wish), "forbidden");
    let ivy = Person::new(world, "ivy", "an auditor in the group");
    table.api(of, ivy.who, "proposes groups for an agent", &ivy.script().post(PROPOSALS, &wish), "forbidden");
    let told = json!({"change": {"do": "add_groups", "person": "sam", "groups": ["dba"]}});
    let answer = side[0].script().post(PROPOSALS, &told);
    table.api(of, side[0].who, "proposes groups for somebody whose provider gives them", &answer, "bad_request");
    let made = json!({"name": "mover", "groups": ["dba"]});
    let answer = side[0].script().post("/api/v1/agents", &made);
    table.api(of, side[0].who, "makes an agent that has groups from the start", &answer, "proposal_needed");
    for args in [
        &["--json", "agent", "group", "add", "deployer", "sre"][..],
        &["--json", "person", "add", "ned", "--groups", "dba"],
        &["--json", "person", "link", "gil", "--provider", "github", "--subject", "1"],
        &["--json", "person", "restore", "gil"],
    ] {
        let what = format!("runs `{}`", args[1..].join(" "));
        table.command(of, "whoever commands the host", &what, &world.gateway.command(args), "proposal_needed");
    }
}
