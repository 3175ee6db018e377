//! Which quorums suffice: the smallest sets that lift everything in the way.
//!
//! A pure search over the quorums that policies mention. It knows nothing of Cedar: the caller answers whether a set of
//! quorums is enough. With few alternatives every minimal set is found; past the given number of combinations one is.

use std::collections::{BTreeMap, BTreeSet};

use super::decision::Quorum;
use super::vocabulary::implied;

/// The minimal sets among `mentioned` for which `enough` holds, weakest first; empty when not even all of them do.
///
/// `enough` is given each set with everything it implies. No set contains, or implies, another. Up to `points_max`
/// combinations are tried; where there are more, one minimal set is found by lowering group after group.
///
/// # Errors
/// The first error of `enough`.
pub(super) fn minimal_sets<E>(
    mentioned: &BTreeSet<Quorum>,
    points_max: usize,
    mut enough: impl FnMut(&BTreeSet<Quorum>) -> Result<bool, E>,
) -> Result<Vec<BTreeSet<Quorum>>, E> {
    let everything = implied(mentioned);
    if mentioned.is_empty() || !enough(&everything)? {
        return Ok(Vec::new());
    }
    let chains = chains(mentioned);
    match points(&chains, points_max) {
        Some(points) => search(points, |set| Ok(*set == everything || enough(set)?)),
        None => Ok(vec![descend(&chains, enough)?]),
    }
}

/// Per group the counts that are mentioned, ascending.
type Chains<'a> = BTreeMap<&'a str, Vec<&'a Quorum>>;

fn chains(mentioned: &BTreeSet<Quorum>) -> Chains<'_> {
    let mut chains: Chains<'_> = BTreeMap::new();
    for quorum in mentioned {
        chains.entry(quorum.group.as_str()).or_default().push(quorum);
    }
    chains
}

/// Every choice of at most one quorum a group; none when there are more than `points_max`.
fn points(chains: &Chains<'_>, points_max: usize) -> Option<Vec<BTreeSet<Quorum>>> {
    let mut points = vec![BTreeSet::new()];
    for chain in chains.values() {
        if points.len() * (chain.len() + 1) > points_max {
            return None;
        }
        let with = |point: &BTreeSet<Quorum>, quorum: &Quorum| point.iter().cloned().chain([quorum.clone()]).collect();
        let grown: Vec<_> =
            points.iter().flat_map(|point| chain.iter().map(move |quorum| with(point, quorum))).collect();
        points.extend(grown);
    }
    Some(points)
}

/// Tries the points from the weakest up, so that what is found first can only be implied by what comes later.
fn search<E>(
    mut points: Vec<BTreeSet<Quorum>>,
    mut enough: impl FnMut(&BTreeSet<Quorum>) -> Result<bool, E>,
) -> Result<Vec<BTreeSet<Quorum>>, E> {
    points.retain(|point| !point.is_empty());
    points.sort_by_cached_key(|point| (implied(point).len(), point.len(), point.clone()));
    let mut found: Vec<(BTreeSet<Quorum>, BTreeSet<Quorum>)> = Vec::new();
    for point in points {
        let all = implied(&point);
        let covered = found.iter().any(|(_, weaker)| weaker.is_subset(&all));
        if !covered && enough(&all)? {
            found.push((point, all));
        }
    }
    Ok(found.into_iter().map(|(point, _)| point).collect())
}

/// From everything down: each group in turn to the lowest count that is still enough.
fn descend<E>(
    chains: &Chains<'_>,
    mut enough: impl FnMut(&BTreeSet<Quorum>) -> Result<bool, E>,
) -> Result<BTreeSet<Quorum>, E> {
    let mut kept: BTreeMap<&str, &Quorum> = chains.iter().filter_map(|(group, c)| Some((*group, *c.last()?))).collect();
    let set = |kept: &BTreeMap<&str, &Quorum>| kept.values().map(|quorum| (*quorum).clone()).collect::<BTreeSet<_>>();
    for (group, chain) in chains {
        for lower in [None].into_iter().chain(chain.iter().map(Some)) {
            let before = kept.clone();
            match lower {
                None => kept.remove(group),
                Some(quorum) => kept.insert(group, quorum),
            };
            if !kept.is_empty() && enough(&implied(&set(&kept)))? {
                break;
            }
            kept = before;
        }
    }
    Ok(set(&kept))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn quorums(texts: &[&str]) -> BTreeSet<Quorum> {
        texts.iter().map(|text| Quorum::try_from((*text).to_owned()).expect("well formed")).collect()
    }

    /// `wanted` is a list of alternatives, each a list of quorums that must all be there.
    fn check(mentioned: &[&str], wanted: &[&[&str]], expected: &[&[&str]]) {
        let enough = |set: &BTreeSet<Quorum>| Ok::<_, Infallible>(wanted.iter().any(|all| quorums(all).is_subset(set)));
        let found = minimal_sets(&quorums(mentioned), 256, enough).expect("infallible");
        assert_eq!(found, expected.iter().map(|set| quorums(set)).collect::<Vec<_>>(), "{mentioned:?} {wanted:?}");
    }

    #[test]
    fn minimal_sets_are_found() {
        check(&["dba:1"], &[&["dba:1"]], &[&["dba:1"]]);
        check(&["dba:1", "dba:2"], &[&["dba:2"]], &[&["dba:2"]]);
        check(&["dba:1", "dba:2"], &[&["dba:1"]], &[&["dba:1"]]);
        check(&["cto:1", "sre:1"], &[&["sre:1"], &["cto:1"]], &[&["cto:1"], &["sre:1"]]);
        check(
            &["any:2", "security:1", "sre:1"],
            &[&["any:2", "security:1", "sre:1"]],
            &[&["any:2", "security:1", "sre:1"]],
        );
        check(&["any:1", "any:2", "dba:2"], &[&["any:2"]], &[&["any:2"]]);
        check(&["dba:1"], &[&["sre:1"]], &[]);
        check(&[], &[&[]], &[]);
    }

    #[test]
    fn many_alternatives_yield_one_minimal_set() {
        let names: Vec<String> = (0..20).map(|n| format!("g{n:02}:1")).collect();
        let mentioned: Vec<&str> = names.iter().map(String::as_str).collect();
        check(&mentioned, &[&["g03:1", "g07:1"], &["g18:1", "g19:1"]], &[&["g18:1", "g19:1"]]);
    }
}
