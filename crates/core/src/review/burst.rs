//! Bursts: open reviews of one requester that differ only in what their statements say, brought before people as one.
//!
//! A reviewer who is told of forty things reads none of them. What is folded is only how they are told: each review keeps its
//! own card, digests and votes.

use std::collections::{BTreeSet, HashMap};

use crate::action::{Facts, PersonId};
use crate::policy::Quorum;

use super::Review;

/// From how many on they are folded.
pub const BURST_MIN: usize = 4;

/// A review, and those that are told of with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst<'a> {
    /// The first of them.
    pub first: &'a Review,
    /// The others, in their order; none, or at least [`BURST_MIN`] less one.
    pub others: Vec<&'a Review>,
}

impl Burst<'_> {
    /// How many reviews it is.
    pub fn size(&self) -> usize {
        1 + self.others.len()
    }
}

/// What the reviews of a burst share: who asks for whom, for what kind of action on which tables or by which call of which target, and whose
/// approval it takes.
#[derive(PartialEq, Eq, Hash)]
struct Shared<'a> {
    asks: (&'a str, &'a str),
    for_whom: &'a PersonId,
    target: &'a str,
    action: String,
    calls: Vec<String>,
    writes: Vec<&'a BTreeSet<String>>,
    suffices: &'a [BTreeSet<Quorum>],
}

impl<'a> Shared<'a> {
    fn of(review: &'a Review) -> Self {
        let matter = review.matter();
        let described = &matter.described;
        let (mut writes, mut calls) = (Vec::new(), Vec::new());
        match &*described.facts {
            Facts::Sql(facts) => writes.extend(facts.statements.iter().map(|statement| &statement.tables.write)),
            Facts::Http(facts) => calls.extend([facts.verb().to_owned(), facts.path.clone()]),
            Facts::Kubernetes(facts) => calls.extend([facts.verb.clone(), facts.kind(), facts.namespace.clone()]),
            Facts::Aws(facts) => calls.push(facts.action.clone()),
            Facts::Gate(_) => {}
        }
        Self {
            asks: (described.requester.kind(), described.requester.handle()),
            for_whom: &described.on_behalf_of.id,
            target: &described.target.name,
            action: described.facts.action(),
            calls,
            writes,
            suffices: &matter.terms.suffices,
        }
    }
}

/// Folds bursts: each stands where its first review stands, and everything else stays in its order. A change of the gate
/// always stands by itself.
pub fn fold<'a>(reviews: &[&'a Review]) -> Vec<Burst<'a>> {
    let mut places: HashMap<Shared<'a>, Vec<usize>> = HashMap::new();
    for (place, review) in reviews.iter().enumerate() {
        places.entry(Shared::of(review)).or_default().push(place);
    }
    let mut others: Vec<Option<Vec<&'a Review>>> = vec![Some(Vec::new()); reviews.len()];
    for alike in places.into_values() {
        let [first, rest @ ..] = alike.as_slice() else { continue };
        let alone = alike.len() < BURST_MIN || matches!(&*reviews[*first].matter().described.facts, Facts::Gate(_));
        if !alone {
            others[*first] = Some(rest.iter().map(|place| reviews[*place]).collect());
            rest.iter().for_each(|place| others[*place] = None); // told of with the first
        }
    }
    let told = reviews.iter().zip(others);
    told.filter_map(|(first, others)| Some(Burst { first, others: others? })).collect()
}

/// Those of some reviews that would be told of together with one of them, itself included.
pub fn like<'a>(review: &'a Review, all: impl IntoIterator<Item = &'a Review>) -> Vec<&'a Review> {
    let shared = Shared::of(review);
    all.into_iter().filter(|other| Shared::of(other) == shared).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Open;
    use super::super::tests::matter;
    use super::*;
    use crate::action::ReviewId;

    fn review(id: &str, target: &str) -> Review {
        let mut matter = matter();
        matter.id = ReviewId::new(id);
        let aimed = crate::action::Target { name: target.to_owned(), ..(*matter.described.target).clone() };
        matter.described.target = aimed.into();
        Review::Open(Open::new(matter))
    }

    fn folded(of: &[(&str, &str)]) -> Vec<(String, usize)> {
        let reviews: Vec<Review> = of.iter().map(|(id, target)| review(id, target)).collect();
        let reviews: Vec<&Review> = reviews.iter().collect();
        fold(&reviews).iter().map(|burst| (burst.first.matter().id.to_string(), burst.size())).collect()
    }

    fn told(of: &[(&str, usize)]) -> Vec<(String, usize)> {
        of.iter().map(|(id, size)| ((*id).to_owned(), *size)).collect()
    }

    #[test]
    fn a_few_alike_stand_by_themselves_in_their_order() {
        let few = [("a", "orders"), ("b", "billing"), ("c", "orders"), ("d", "orders")];
        assert_eq!(folded(&few), told(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]));
        assert_eq!(folded(&[]), told(&[]));
    }

    #[test]
    fn many_alike_stand_where_the_first_of_them_does() {
        let many = [("a", "orders"), ("b", "billing"), ("c", "orders"), ("d", "orders"), ("e", "orders")];
        assert_eq!(folded(&many), told(&[("a", 4), ("b", 1)]));
    }

    #[test]
    fn the_like_of_one_is_itself_and_those_folded_with_it() {
        let reviews = [("a", "orders"), ("b", "billing"), ("c", "orders")].map(|(id, target)| review(id, target));
        let alike = like(&reviews[0], &reviews);
        assert_eq!(alike, [&reviews[0], &reviews[2]]);
    }
}
