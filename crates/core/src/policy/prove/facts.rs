//! What the gateway guarantees of every question it asks, as a condition that proofs may take for granted.
//!
//! A solver tries everything the schema allows, and would refute a policy with an hour of −5. Only what [`super::super`]
//! builds by construction may stand here; a test holds real questions against it.

use std::collections::BTreeSet;

use super::super::decision::Quorum;
use super::super::vocabulary::{ANY, implied};

const ALWAYS: &str = "
  context.time.weekday >= 1 && context.time.weekday <= 7 && context.time.hour >= 0 && context.time.hour <= 23 &&
  (if resource has sensitivity then resource.sensitivity >= 0 && resource.sensitivity <= 3 else true) &&
  (if context has impact then
     context.impact.records >= 0 &&
     (context.impact.known || (context.impact.records == 9223372036854775807 && !context.impact.reversible))
   else true) &&
  (if context has sql then
     context.sql.tables.containsAll(context.sql.readTables) && context.sql.tables.containsAll(context.sql.writeTables)
   else true)";

/// The condition, as the text of a policy. Of the approvals it says that a larger quorum implies the smaller, for these
/// quorums and what they imply: policies that name no others cannot tell the difference.
pub(super) fn text(mentioned: &BTreeSet<Quorum>) -> String {
    let mut approvals = Vec::new();
    for quorum in implied(mentioned) {
        for weaker in next_weaker(&quorum) {
            let has = |quorum: &Quorum| format!("context.approvals.contains(Quorum::\"{quorum}\")");
            approvals.push(format!("(!{} || {})", has(&quorum), has(&weaker)));
        }
    }
    let approvals = all_of(&approvals);
    format!(
        "permit (principal, action, resource) when {{{ALWAYS} && (if context has approvals then {approvals} else true) }};"
    )
}

/// All of the conditions, halved again and again: a plain chain would be as deep as it is long, and evaluators give up.
fn all_of(conditions: &[String]) -> String {
    match conditions {
        [] => "true".to_owned(),
        [one] => one.clone(),
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            format!("({} && {})", all_of(left), all_of(right))
        }
    }
}

/// One person less of the same group, and as many of any group.
fn next_weaker(quorum: &Quorum) -> Vec<Quorum> {
    let fewer = Quorum { group: quorum.group.clone(), count: quorum.count.saturating_sub(1) };
    let anyone = Quorum { group: ANY.to_owned(), count: quorum.count };
    let mut weaker = Vec::new();
    if fewer.count > 0 {
        weaker.push(fewer);
    }
    if quorum.group != ANY {
        weaker.push(anyone);
    }
    weaker
}
