//! What of the open reviews somebody wants to see: a plain query string, so that it works without a script, can be kept as a
//! bookmark, and is the same in the address of a live update.

use std::collections::BTreeSet;

use countersign_core::action::{Described, Facts, Sensitivity};
use countersign_core::review::Review;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::inbox::effect;
use super::show::{Html, line};

/// Words looked for; more are not.
const WORDS_MAX: usize = 8;
/// Of what is looked for, in characters.
const SOUGHT_CHARS_MAX: usize = 200;
/// Names offered of a kind.
const CHOICES_MAX: usize = 100;

/// Which of both lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Show {
    /// The beginning of each.
    #[default]
    Both,
    /// What waits for the reader.
    Mine,
    /// What waits for others.
    Others,
}

/// What is looked for. An empty field asks for nothing.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Filter {
    /// A review of the burst to unfold.
    like: Option<String>,
    /// Words that must all be there.
    q: Option<String>,
    target: Option<String>,
    agent: Option<String>,
    class: Option<String>,
    /// How much harm a mistake could do at the target.
    sensitivity: Option<String>,
    #[serde(default)]
    show: Show,
    /// From 1.
    page: Option<usize>,
}

/// A choice of a list.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: Html,
    pub(super) chosen: bool,
}

/// The form as it stands.
pub(super) struct Form {
    pub(super) sought: String,
    pub(super) targets: Vec<Choice>,
    pub(super) agents: Vec<Choice>,
    pub(super) classes: Vec<Choice>,
    /// From the most sensitive to the least.
    pub(super) sensitivities: Vec<Choice>,
    pub(super) show: Show,
    /// Whether anything is left out.
    pub(super) narrows: bool,
    /// The query of the address, with its question mark; empty when there is none.
    pub(super) query: String,
}

impl Filter {
    /// The burst to unfold.
    pub(super) fn like(&self) -> Option<&str> {
        given(self.like.as_deref())
    }

    /// Which of both lists.
    pub(super) fn show(&self) -> Show {
        self.show
    }

    /// The page of the list, from 0.
    pub(super) fn page(&self) -> usize {
        self.page.unwrap_or(1).max(1) - 1
    }

    /// Whether it leaves anything out.
    pub(super) fn narrows(&self) -> bool {
        let fields = [&self.q, &self.target, &self.agent, &self.class, &self.sensitivity];
        fields.into_iter().any(|field| given(field.as_deref()).is_some())
    }

    /// Those that are wanted, in their order.
    pub(super) fn of<'a>(&self, reviews: Vec<&'a Review>) -> Vec<&'a Review> {
        if !self.narrows() {
            return reviews;
        }
        let words = words(self.q.as_deref().unwrap_or_default());
        reviews.into_iter().filter(|review| self.wants(review, &words)).collect()
    }

    fn wants(&self, review: &Review, words: &[String]) -> bool {
        let described = &review.matter().described;
        let is = |wanted: &Option<String>, value: &str| given(wanted.as_deref()).is_none_or(|wanted| wanted == value);
        is(&self.target, &described.target.name)
            && is(&self.agent, described.requester.name())
            && is(&self.class, described.facts.class())
            && is(&self.sensitivity, described.target.sensitivity.name())
            && contains(review, words)
    }

    /// The address of the same with other pages or lists.
    pub(super) fn address(&self, show: Show, page: usize) -> String {
        let show = match show {
            Show::Both => None,
            Show::Mine => Some("mine"),
            Show::Others => Some("others"),
        };
        let number = (page > 0).then(|| (page + 1).to_string());
        let fields = [
            ("like", self.like.as_deref()),
            ("q", self.q.as_deref()),
            ("target", self.target.as_deref()),
            ("agent", self.agent.as_deref()),
            ("class", self.class.as_deref()),
            ("sensitivity", self.sensitivity.as_deref()),
            ("show", show),
            ("page", number.as_deref()),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name, given(value)?)));
        let query = Serializer::new(String::new()).extend_pairs(given).finish();
        if query.is_empty() { String::new() } else { format!("?{query}") }
    }

    /// The form, with what there is to choose from.
    pub(super) fn form(&self, live: &[Review]) -> Form {
        let of = |name: fn(&Described) -> &str, chosen: &Option<String>| {
            choices(live.iter().map(|review| name(&review.matter().described)), chosen)
        };
        let mut classes = of(|described| described.facts.class(), &self.class);
        classes.iter_mut().for_each(|choice| choice.label = line(effect(&choice.value)));
        let mut sensitivities = of(|described| described.target.sensitivity.name(), &self.sensitivity);
        sensitivities.sort_by_key(|choice| std::cmp::Reverse(level(&choice.value)));
        sensitivities.iter_mut().for_each(|choice| choice.label = line(&format!("{} sensitivity", choice.value)));
        Form {
            sought: self.q.clone().unwrap_or_default(),
            targets: of(|described| &described.target.name, &self.target),
            agents: of(|described| described.requester.name(), &self.agent),
            classes,
            sensitivities,
            show: self.show,
            narrows: self.narrows(),
            query: self.address(self.show, self.page()),
        }
    }
}

/// The number that policies know a sensitivity by; a name that is none comes last.
fn level(name: &str) -> Option<i64> {
    let all = [Sensitivity::None, Sensitivity::Low, Sensitivity::Medium, Sensitivity::High];
    all.into_iter().find(|sensitivity| sensitivity.name() == name).map(Sensitivity::level)
}

/// What there is to choose from, in the order of the names; what is chosen is always among it.
pub(super) fn choices<'a>(there: impl Iterator<Item = &'a str>, chosen: &'a Option<String>) -> Vec<Choice> {
    let chosen = given(chosen.as_deref());
    let all: BTreeSet<&str> = there.chain(chosen).collect();
    let choice = |name: &str| Choice { value: name.to_owned(), label: line(name), chosen: chosen == Some(name) };
    all.into_iter().take(CHOICES_MAX).map(choice).collect()
}

/// A field that somebody filled in.
pub(super) fn given(field: Option<&str>) -> Option<&str> {
    field.map(str::trim).filter(|value| !value.is_empty())
}

/// The words that are looked for.
pub(super) fn words(sought: &str) -> Vec<String> {
    let sought: String = sought.chars().take(SOUGHT_CHARS_MAX).collect();
    sought.to_lowercase().split_whitespace().take(WORDS_MAX).map(str::to_owned).collect()
}

/// Whether all words are in what the review's card says.
fn contains(review: &Review, words: &[String]) -> bool {
    let matter = review.matter();
    let described = &matter.described;
    let mut texts = vec![
        described.shown.text.as_str(),
        described.requester.name(),
        &described.on_behalf_of.name,
        &described.target.name,
        described.reason.as_deref().unwrap_or_default(),
        matter.id.as_str(),
    ];
    let verbs = described.facts.verbs();
    texts.extend(verbs.iter().map(String::as_str));
    if let Facts::Sql(facts) = &*described.facts {
        for statement in &facts.statements {
            texts.extend(statement.tables.read.iter().chain(&statement.tables.write).map(String::as_str));
        }
    }
    let texts: Vec<String> =
        if words.is_empty() { Vec::new() } else { texts.iter().map(|t| t.to_lowercase()).collect() };
    words.iter().all(|word| texts.iter().any(|text| text.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_sought_and_no_more() {
        let filter = Filter { q: Some(" drop & table ".to_owned()), target: Some(String::new()), ..Filter::default() };
        assert_eq!(filter.address(Show::Mine, 1), "?q=drop+%26+table&show=mine&page=2");
        assert_eq!(Filter::default().address(Show::Both, 0), "");
        assert!(filter.narrows() && !Filter::default().narrows());
    }

    #[test]
    fn what_is_sought_is_bounded() {
        assert_eq!(words("A  b\tC"), ["a", "b", "c"]);
        assert_eq!(words(&"x ".repeat(1_000)).len(), WORDS_MAX);
        assert_eq!(words(&"x".repeat(10_000)).concat().len(), SOUGHT_CHARS_MAX);
        assert_eq!(Filter { page: Some(0), ..Filter::default() }.page(), 0);
    }
}
