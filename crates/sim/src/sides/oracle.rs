//! Whose word let what run: worked out from the plain facts and from what happened, by ways of its own.
//!
//! Nothing here calls the core or [`super::rule`]. Who is on a side is read off the matrix of who made whom an approver,
//! closed by Warshall's algorithm; people are counted by giving each of them a seat of their own, or of somebody whose duty
//! they do, as many as possible at once. What the policies ask for stands here a second time, by hand.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::action::Timestamp;
use countersign_core::review::Review;

use super::facts::{Facts, PEOPLE, Who};
use super::step::{Origin, What};
use super::world::{Authority, Happened, World};
use crate::check::Violation;

/// Links of the last 30 days count.
const LOOK_BACK_SECONDS: i64 = 30 * 24 * 60 * 60;
/// An approval for once is good for 15 minutes, one for the like of it for an hour and three times.
const ONCE_SECONDS: i64 = 15 * 60;
const PATTERN_SECONDS: i64 = 60 * 60;
const PATTERN_USES: usize = 3;
/// The values that votes for a pattern let vary.
const PATTERN_VALUES: std::ops::RangeInclusive<i64> = 0..=9;

type Side = BTreeSet<Who>;
type Checked = Result<(), Violation>;

fn hold(holds: bool, invariant: &'static str, detail: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { invariant, detail: detail() }) }
}

/// An approval as it was given.
#[derive(Debug, Clone)]
struct Word {
    who: Who,
    pattern: bool,
    /// Their groups then.
    groups: BTreeSet<String>,
    /// Whose duty they did then, and for which groups.
    duties: Vec<(Who, BTreeSet<String>)>,
}

/// What became of a review.
#[derive(Debug, Clone)]
struct Seen {
    session: usize,
    what: What,
    value: i64,
    words: Vec<Word>,
    broken_by: Option<Who>,
    /// When the last word came: nothing is approved before.
    last: Timestamp,
    uses: usize,
    voided: bool,
}

/// Everything heard so far.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    heard: usize,
    logins: usize,
    /// Who was behind each login, and whom time alone never takes away from its side.
    frozen: Vec<Side>,
    reviews: BTreeMap<usize, Seen>,
}

impl Oracle {
    pub(super) fn after_step(&mut self, world: &World<'_>) -> Checked {
        for session in world.sessions.get(self.logins..).unwrap_or_default() {
            self.frozen.push(behind(&world.facts, &session.origin, session.owner, session.at));
        }
        self.logins = world.sessions.len();
        for happened in world.happened.get(self.heard..).unwrap_or_default() {
            self.hear(world, happened)?;
        }
        self.heard = world.happened.len();
        Ok(())
    }

    fn hear(&mut self, world: &World<'_>, happened: &Happened) -> Checked {
        match happened {
            Happened::Opened { review, session, what, value } => {
                let (session, what, value, last) = (*session, *what, *value, world.now);
                let (words, broken_by, uses, voided) = (Vec::new(), None, 0, false);
                let seen = Seen { session, what, value, words, broken_by, last, uses, voided };
                self.reviews.insert(*review, seen);
                Ok(())
            }
            Happened::Voted { review, who, approve, pattern } => self.voted(world, *review, *who, (*approve, *pattern)),
            Happened::TakenBack { review, who } => {
                let open = matches!(world.reviews.get(*review).map(|kept| &kept.review), Some(Review::Open(_)));
                self.with(*review, |seen| {
                    seen.words.retain(|word| !open || word.who != *who);
                    seen.voided |= !open; // what had come of it is over, for good
                });
                Ok(())
            }
            Happened::Broken { review, who } => self.broken(world, *review, *who),
            Happened::FollowedUp { review, who } => self.followed_up(world, *review, *who),
            Happened::Ran { session, what, value, authority } => self.ran(world, *session, (*what, *value), *authority),
        }
    }

    fn with(&mut self, review: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.reviews.get_mut(&review) {
            change(seen);
        }
    }

    fn seen(&self, review: usize) -> Result<Seen, Violation> {
        let absent = || Violation { invariant: "nothing happens to no review", detail: review.to_string() };
        self.reviews.get(&review).cloned().ok_or_else(absent)
    }

    /// Everyone on a session's side now.
    fn side(&self, world: &World<'_>, session: usize) -> Side {
        let mut roots = self.frozen.get(session).cloned().unwrap_or_default();
        if let Some(session) = world.sessions.get(session) {
            roots.extend(answering(&world.facts, &session.origin, world.now));
        }
        reached(&world.facts, &roots, world.now)
    }

    fn voted(&mut self, world: &World<'_>, review: usize, who: Who, (approve, pattern): (bool, bool)) -> Checked {
        let seen = self.seen(review)?;
        let side = self.side(world, seen.session);
        let detail = || format!("p{who} on review {review}, whose side is {side:?}");
        hold(!side.contains(&who), "nobody on the requester's side votes", detail)?;
        hold(world.facts.live(who), "nobody who is suspended votes", detail)?;
        let word = Word { who, pattern, groups: world.facts.groups(who), duties: duties(&world.facts, who, world.now) };
        if seen.what == What::Ddl && !speaks(&word, "dba", &side) {
            let before = self.people(world, &seen.words, &side);
            hold(before.count("dba") >= 2, "nobody votes before their turn", detail)?;
        }
        let now = world.now;
        self.with(review, |seen| {
            seen.last = now;
            seen.voided |= !approve;
            seen.words.extend(Some(word).filter(|_| approve));
        });
        Ok(())
    }

    fn broken(&mut self, world: &World<'_>, review: usize, who: Who) -> Checked {
        let seen = self.seen(review)?;
        self.may_break(world, &self.side(world, seen.session), who, review)?;
        let now = world.now;
        self.with(review, |seen| (seen.broken_by, seen.last) = (Some(who), now));
        Ok(())
    }

    fn may_break(&self, world: &World<'_>, side: &Side, who: Who, review: usize) -> Checked {
        let detail = || format!("p{who} on review {review}, whose side is {side:?}");
        hold(!side.contains(&who), "nobody on the requester's side breaks the glass", detail)?;
        let may = world.facts.live(who) && world.facts.groups(who).contains("sre");
        hold(may, "only those break the glass whom policy lets", detail)
    }

    fn followed_up(&mut self, world: &World<'_>, review: usize, who: Who) -> Checked {
        let seen = self.seen(review)?;
        let side = self.side(world, seen.session);
        let detail = || format!("p{who} on review {review}, whose side is {side:?}");
        hold(!side.contains(&who), "nobody follows up what their own side profited from", detail)?;
        let breaker: Side = seen.broken_by.into_iter().collect();
        let own = reached(&world.facts, &breaker, world.now).contains(&who)
            || seen.broken_by.is_none_or(|breaker| reached(&world.facts, &[who].into(), world.now).contains(&breaker));
        hold(!own, "nobody follows up what they or theirs broke", detail)
    }

    fn ran(&mut self, world: &World<'_>, session: usize, (what, value): (What, i64), authority: Authority) -> Checked {
        let (review, once) = match authority {
            Authority::Policy => {
                return hold(what == What::Read, "only reads run by themselves", || format!("{what:?}"));
            }
            Authority::Grant(review) => (review, true),
            Authority::Pattern(review) => (review, false),
        };
        let seen = self.seen(review)?;
        let (uses, seconds) = if once { (1, ONCE_SECONDS) } else { (PATTERN_USES, PATTERN_SECONDS) };
        let named = || format!("review {review}: {seen:?}");
        hold(!seen.voided, "what was taken back lets nothing run", named)?;
        hold(seen.uses < uses, "nothing runs more often than was approved", named)?;
        hold(world.now < seen.last.plus_seconds(seconds), "nothing runs longer than was approved", named)?;
        let value_fits = if once { seen.value == value } else { PATTERN_VALUES.contains(&value) };
        hold(seen.what == what && value_fits, "nothing runs but what was approved", named)?;
        self.with(review, |seen| seen.uses += 1);
        let mut sides = self.side(world, seen.session);
        sides.extend(self.side(world, session));
        if let Some(breaker) = seen.broken_by {
            self.may_break(world, &sides, breaker, review)?;
        }
        let counted = |word: &&Word| (once || word.pattern) && Some(word.who) != seen.broken_by;
        let words: Vec<Word> = seen.words.iter().filter(counted).cloned().collect();
        sides.extend(seen.broken_by); // neither they nor a deputy of theirs counts beside
        let people = self.people(world, &words, &sides);
        let enough = needed(what, seen.broken_by.is_some()).iter().all(|(group, count)| people.count(group) >= *count);
        let detail = || format!("{what:?} by {authority:?} of {:?}, without {sides:?}", words);
        hold(enough, "those outside the side are enough by themselves", detail)
    }

    /// Who of those who gave their word still counts, outside of a side.
    fn people(&self, world: &World<'_>, words: &[Word], side: &Side) -> People {
        let mut people = People::default();
        for word in words.iter().filter(|word| !side.contains(&word.who) && world.facts.live(word.who)) {
            let own: BTreeSet<String> = word.groups.intersection(&world.facts.groups(word.who)).cloned().collect();
            let still = duties(&world.facts, word.who, world.now);
            let now =
                |of: Who, group: &String| still.iter().any(|(other, groups)| *other == of && groups.contains(group));
            let mut seats = BTreeSet::new();
            for (of, groups) in word.duties.iter().filter(|(of, _)| !side.contains(of)) {
                seats.extend(groups.iter().filter(|group| now(*of, group)).map(|group| (*of, group.clone())));
            }
            people.0.push(Counted { who: word.who, own, seats });
        }
        people
    }
}

/// Somebody who counts.
#[derive(Debug)]
struct Counted {
    who: Who,
    /// For which groups of their own.
    own: BTreeSet<String>,
    /// Whose seats in which groups they may take.
    seats: BTreeSet<(Who, String)>,
}

/// Those who count.
#[derive(Debug, Default)]
struct People(Vec<Counted>);

impl People {
    /// How many seats of a group they fill at most.
    fn count(&self, group: &str) -> usize {
        let owns = |own: &BTreeSet<String>| if group == "any" { !own.is_empty() } else { own.contains(group) };
        let own: BTreeSet<Who> = self.0.iter().filter(|one| owns(&one.own)).map(|one| one.who).collect();
        let of_group = |seats: &BTreeSet<(Who, String)>| -> Vec<Who> {
            let wanted = seats.iter().filter(|(_, of)| group == "any" || of == group);
            wanted.map(|(of, _)| *of).filter(|of| !own.contains(of)).collect()
        };
        let wishes: Vec<Vec<Who>> =
            self.0.iter().filter(|one| !owns(&one.own)).map(|one| of_group(&one.seats)).collect();
        let mut taken: [Option<usize>; PEOPLE] = [None; PEOPLE];
        let seated = (0..wishes.len()).filter(|deputy| seat(*deputy, &wishes, &mut taken, &mut BTreeSet::new()));
        own.len() + seated.count()
    }
}

/// Seats a deputy, moving others where that helps (Kuhn's algorithm).
fn seat(deputy: usize, wishes: &[Vec<Who>], taken: &mut [Option<usize>; PEOPLE], tried: &mut BTreeSet<Who>) -> bool {
    for of in wishes.get(deputy).into_iter().flatten() {
        if !tried.insert(*of) {
            continue;
        }
        let free = match taken.get(*of).copied().flatten() {
            None => true,
            Some(other) => seat(other, wishes, taken, tried),
        };
        if let Some(place) = taken.get_mut(*of).filter(|_| free) {
            *place = Some(deputy);
            return true;
        }
    }
    false
}

/// What must be there, all of it.
fn needed(what: What, broken: bool) -> &'static [(&'static str, usize)] {
    match (what, broken) {
        (What::Read, _) | (What::Write, true) => &[],
        (What::Write, false) | (What::Ddl, true) => &[("dba", 2)],
        (What::Ddl, false) => &[("dba", 2), ("security", 1)],
        (What::Opaque, _) => &[("any", 2)],
    }
}

/// Whether a word could be for a group.
fn speaks(word: &Word, group: &str, side: &Side) -> bool {
    let by_duty = |(of, groups): &(Who, BTreeSet<String>)| !side.contains(of) && groups.contains(group);
    word.groups.contains(group) || word.duties.iter().any(by_duty)
}

/// Whose duty somebody does now, and for which groups.
fn duties(facts: &Facts, who: Who, now: Timestamp) -> Vec<(Who, BTreeSet<String>)> {
    let mine = facts.duties.iter().filter(|duty| duty.deputy == who && duty.from <= now && duty.until > now);
    let mine = mine.filter(|duty| facts.live(duty.of));
    mine.map(|duty| (duty.of, duty.groups.intersection(&facts.groups(duty.of)).cloned().collect())).collect()
}

/// Those who are behind a login.
fn behind(facts: &Facts, origin: &Origin, owner: Who, at: Timestamp) -> Side {
    let mut side = answering(facts, origin, at);
    side.insert(owner);
    if let Origin::Agent { on_behalf_of, through, .. } = origin {
        side.extend(on_behalf_of.iter().chain(through).copied());
    }
    side
}

/// Those who answer for an agent: owner, creator, and owners until lately.
fn answering(facts: &Facts, origin: &Origin, at: Timestamp) -> Side {
    let Origin::Agent { agent, .. } = origin else { return Side::new() };
    let Some(agent) = facts.agents.get(*agent) else { return Side::new() };
    let lately = agent.former.iter().filter(|(_, until)| at.seconds_since(*until) <= LOOK_BACK_SECONDS);
    lately.map(|(who, _)| *who).chain([agent.owner]).chain(agent.creator).collect()
}

/// The roots and everyone whom they made an approver lately, at any distance.
fn reached(facts: &Facts, roots: &Side, now: Timestamp) -> Side {
    let mut made = [[false; PEOPLE]; PEOPLE];
    for one in facts.made.iter().filter(|one| now.seconds_since(one.at) <= LOOK_BACK_SECONDS) {
        if let Some(place) = made.get_mut(one.by).and_then(|row| row.get_mut(one.whom)) {
            *place = true;
        }
    }
    let at =
        |made: &[[bool; PEOPLE]; PEOPLE], from: Who, to: Who| made.get(from).and_then(|row| row.get(to)) == Some(&true);
    for middle in 0..PEOPLE {
        for from in 0..PEOPLE {
            for to in 0..PEOPLE {
                if at(&made, from, middle)
                    && at(&made, middle, to)
                    && let Some(row) = made.get_mut(from)
                {
                    row.get_mut(to).into_iter().for_each(|place| *place = true);
                }
            }
        }
    }
    (0..PEOPLE).filter(|who| roots.contains(who) || roots.iter().any(|root| at(&made, *root, *who))).collect()
}
