//! Path templates of one document, and the one that a request's path is of.
//!
//! OpenAPI says that a path without templates comes first, and leaves the rest to tools
//! (<https://spec.openapis.org/oas/v3.1.1.html#path-templating-matching>). Here a template wins when it is at least as exact
//! as every other at every segment: literal, then literal with a parameter in it, then a parameter, then one that spans
//! segments. Where none wins, the path is ambiguous and matches nothing. A parameter is never empty, and one of type
//! `integer` takes digits alone. Deliberately absent: methods; one template may be there several times, each with its own.

use std::collections::BTreeMap;

/// The most templates that are tried against one path before it counts as ambiguous.
const STEPS_MAX: usize = 20_000;
/// The most ways in which one path may match.
const MATCHES_MAX: usize = 64;

/// How exactly a segment is matched, the least exact first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exact {
    Span,
    Parameter,
    Mixed,
    Literal,
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    /// This text.
    Literal(String),
    /// `{name}`; whether it takes digits alone.
    Parameter { integer: bool },
    /// `{name}` over one or more segments.
    Span,
    /// Texts around parameters: `{base}...{head}` is ``, `...`, ``.
    Mixed(Vec<String>),
}

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    /// Its segments.
    pub(super) segments: Vec<Segment>,
    /// The names of its parameters, in order.
    pub(super) names: Vec<String>,
}

impl Template {
    /// Takes a path apart; nothing where its braces are no parameters, or a name comes twice. `kind` says how a parameter is
    /// matched.
    pub(super) fn parse(path: &str, kind: &dyn Fn(&str) -> Segment) -> Option<Self> {
        let mut names: Vec<String> = Vec::new();
        let mut segments = Vec::new();
        for text in path.strip_prefix('/')?.split('/') {
            let (texts, own) = pieces(text)?;
            segments.push(match (texts.as_slice(), own.as_slice()) {
                (_, []) => Segment::Literal(text.to_owned()),
                ([before, after], [name]) if before.is_empty() && after.is_empty() => kind(name),
                _ => Segment::Mixed(texts),
            });
            names.extend(own);
        }
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        (sorted.len() == names.len()).then_some(Self { segments, names })
    }
}

/// The texts around the parameters of a segment, and the parameters' names.
fn pieces(segment: &str) -> Option<(Vec<String>, Vec<String>)> {
    let (mut texts, mut names) = (Vec::new(), Vec::new());
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}')?;
        // two parameters side by side cannot be told apart
        if name.is_empty() || name.contains('{') || before.contains('}') || (before.is_empty() && !names.is_empty()) {
            return None;
        }
        texts.push(before.to_owned());
        names.push(name.to_owned());
        rest = behind;
    }
    texts.push(rest.to_owned());
    (!rest.contains('}')).then_some((texts, names))
}

/// The templates of a document.
#[derive(Debug, Default)]
pub(super) struct Tree {
    literals: BTreeMap<String, Tree>,
    others: Vec<(Segment, Tree)>,
    ends: Vec<usize>,
}

/// One way in which a path matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    /// Which template.
    pub(super) template: usize,
    /// The values of its parameters, in order, with the path's segments they stand in.
    pub(super) values: Vec<(String, std::ops::Range<usize>)>,
    exact: Vec<Exact>,
}

impl Tree {
    /// Adds a template under a number.
    pub(super) fn add(&mut self, segments: &[Segment], number: usize) {
        let Some((first, rest)) = segments.split_first() else { return self.ends.push(number) };
        let next = match first {
            Segment::Literal(text) => self.literals.entry(text.clone()).or_default(),
            Segment::Parameter { .. } | Segment::Span | Segment::Mixed(_) => {
                let known = self.others.iter().position(|(segment, _)| segment == first);
                let at = known.unwrap_or_else(|| {
                    self.others.push((first.clone(), Tree::default()));
                    self.others.len() - 1
                });
                match self.others.get_mut(at) {
                    Some((_, tree)) => tree,
                    None => return,
                }
            }
        };
        next.add(rest, number);
    }

    /// The templates that a path is of, all equally exact and more so than any other; none where that cannot be told.
    pub(super) fn best(&self, path: &[String]) -> Vec<Match> {
        let mut search = Search { path, found: Vec::new(), steps: 0 };
        let start = Match { template: 0, values: Vec::new(), exact: Vec::new() };
        if self.walk(&mut search, 0, &start).is_none() {
            return Vec::new();
        }
        let found = search.found;
        let wins = |one: &Match| found.iter().all(|other| one.exact.iter().zip(&other.exact).all(|(a, b)| a >= b));
        found.iter().filter(|one| wins(one)).cloned().collect()
    }

    /// Whether some template matches.
    pub(super) fn matches(&self, path: &[String]) -> Vec<usize> {
        let mut search = Search { path, found: Vec::new(), steps: 0 };
        let start = Match { template: 0, values: Vec::new(), exact: Vec::new() };
        let _ = self.walk(&mut search, 0, &start);
        search.found.into_iter().map(|found| found.template).collect()
    }

    fn walk(&self, search: &mut Search<'_>, at: usize, so_far: &Match) -> Option<()> {
        search.steps += 1;
        if search.steps > STEPS_MAX || search.found.len() > MATCHES_MAX {
            return None;
        }
        let Some(text) = search.path.get(at) else {
            search.found.extend(self.ends.iter().map(|number| Match { template: *number, ..so_far.clone() }));
            return Some(());
        };
        if let Some(next) = self.literals.get(text) {
            next.walk(search, at + 1, &so_far.with(Exact::Literal, [], at..at + 1))?;
        }
        for (segment, next) in &self.others {
            next.take(search, segment, at, so_far)?;
        }
        Some(())
    }

    /// Goes on behind a segment that is no literal, in every way in which it matches.
    fn take(&self, search: &mut Search<'_>, segment: &Segment, at: usize, so_far: &Match) -> Option<()> {
        let path = search.path;
        let text = path.get(at).map_or("", String::as_str);
        match segment {
            Segment::Literal(_) => Some(()),
            Segment::Parameter { integer } => {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                if text.is_empty() || (*integer && !digits) {
                    return Some(());
                }
                self.walk(search, at + 1, &so_far.with(Exact::Parameter, [text.to_owned()], at..at + 1))
            }
            Segment::Mixed(texts) => match mixed(text, texts) {
                Some(values) => self.walk(search, at + 1, &so_far.with(Exact::Mixed, values, at..at + 1)),
                None => Some(()),
            },
            Segment::Span => {
                let ends =
                    (at + 1..=path.len()).take_while(|end| path.get(end - 1).is_some_and(|text| !text.is_empty()));
                for end in ends {
                    let value = path.get(at..end).unwrap_or_default().join("/");
                    self.walk(search, end, &so_far.with(Exact::Span, [value], at..end))?;
                }
                Some(())
            }
        }
    }
}

struct Search<'a> {
    path: &'a [String],
    found: Vec<Match>,
    steps: usize,
}

impl Match {
    fn with(&self, exact: Exact, values: impl IntoIterator<Item = String>, range: std::ops::Range<usize>) -> Self {
        let mut next = self.clone();
        next.exact.extend(range.clone().map(|_| exact));
        next.values.extend(values.into_iter().map(|value| (value, range.clone())));
        next
    }
}

/// The values of parameters between texts; nothing where a text comes more than once, so that they could be others.
fn mixed(text: &str, texts: &[String]) -> Option<Vec<String>> {
    let (first, between) = texts.split_first()?;
    let (last, between) = between.split_last()?;
    let mut rest = text.strip_prefix(first.as_str())?.strip_suffix(last.as_str())?;
    let mut values = Vec::new();
    for separator in between {
        let (value, behind) = rest.split_once(separator.as_str())?;
        if behind.contains(separator.as_str()) {
            return None;
        }
        values.push(value.to_owned());
        rest = behind;
    }
    values.push(rest.to_owned());
    values.iter().all(|value| !value.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATES: &[&str] = &[
        "/pets/{pet}",
        "/pets/mine",
        "/{kind}/mine",
        "/v2/{name*}/manifests/{reference}",
        "/v2/{name*}/blobs/{digest}",
        "/v2/{name*}/blobs/uploads/",
        "/issues/{n#}/labels",
        "/issues/comments/{id#}",
        "/compare/{base}...{head}",
        "/cross/{a}/x",
        "/cross/x/{b}",
        "/files/{path*}",
        "/files/{path*}/raw",
    ];

    fn tree() -> Tree {
        let mut tree = Tree::default();
        for (number, path) in TEMPLATES.iter().enumerate() {
            let kind = |name: &str| match name.chars().last() {
                Some('*') => Segment::Span,
                Some('#') => Segment::Parameter { integer: true },
                _ => Segment::Parameter { integer: false },
            };
            tree.add(&Template::parse(path, &kind).expect("a template").segments, number);
        }
        tree
    }

    fn check(path: &str, expected: Option<(&str, &[&str])>) {
        let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
        let best = tree().best(&segments);
        let found = match best.as_slice() {
            [one] => Some((TEMPLATES[one.template], one.values.iter().map(|(value, _)| value.as_str()).collect())),
            _ => None,
        };
        assert_eq!(found, expected.map(|(template, values)| (template, values.to_vec())), "{path}");
    }

    #[test]
    fn the_most_exact_template_wins() {
        check("/pets/7", Some(("/pets/{pet}", &["7"])));
        check("/pets/mine", Some(("/pets/mine", &[])));
        check("/cats/mine", Some(("/{kind}/mine", &["cats"])));
        check("/files/a/b", Some(("/files/{path*}", &["a/b"])));
        check("/files/a/raw", Some(("/files/{path*}/raw", &["a"])));
        check("/issues/comments/7", Some(("/issues/comments/{id#}", &["7"])));
        check("/issues/7/labels", Some(("/issues/{n#}/labels", &["7"])));
    }

    #[test]
    fn what_matches_in_two_ways_matches_in_none() {
        check("/cross/x/x", None);
        check("/compare/a...b...c", None);
        check("/v2/a/blobs/b/blobs/c", Some(("/v2/{name*}/blobs/{digest}", &["a/blobs/b", "c"])));
    }

    #[test]
    fn a_name_may_span_segments() {
        check("/v2/team/app/manifests/v1", Some(("/v2/{name*}/manifests/{reference}", &["team/app", "v1"])));
        check("/v2/app/blobs/uploads/", Some(("/v2/{name*}/blobs/uploads/", &["app"])));
        check("/compare/main...next", Some(("/compare/{base}...{head}", &["main", "next"])));
    }

    #[test]
    fn nothing_empty_matches() {
        for path in ["/pets/", "/pets", "/pets//", "/v2//manifests/x", "/v2/a//b/manifests/x", "/issues/x/labels", "/"]
        {
            check(path, None);
        }
    }

    #[test]
    fn braces_that_are_no_parameters_are_no_template() {
        let kind = |_: &str| Segment::Parameter { integer: false };
        for path in ["/{", "/}", "/{}", "/{a}{b}", "/{a}/{a}", "/{a{b}}", "pets"] {
            assert_eq!(Template::parse(path, &kind), None, "{path}");
        }
    }

    #[test]
    fn many_ways_are_given_up() {
        let mut tree = Tree::default();
        tree.add(&vec![Segment::Span; 12], 0);
        assert!(tree.best(&vec!["a".to_owned(); 60]).is_empty());
    }
}
