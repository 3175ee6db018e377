//! A request's parameters, decoded as Go's `net/url` decodes them.
//!
//! Where Go would drop a pair without a word (`;` in it, a `%` that is no escape), or where a parameter that matters comes
//! twice, the query has no meaning here. <https://pkg.go.dev/net/url#ParseQuery>.

/// The parameters in order.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Takes a query apart; `None` where Go would read less of it than stands there.
    pub(super) fn parse(query: &str) -> Option<Self> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Option<_>>()?;
        Some(Self { pairs })
    }

    /// All of them.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// A parameter that matters: `Some(None)` where it is absent, `None` where it comes twice.
    pub(super) fn once(&self, name: &str) -> Option<Option<&str>> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        values.next().is_none().then_some(first)
    }

    /// A switch, as the API machinery converts one: all but `0` and `false` turns it on, also nothing.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        let value = self.once(name)?;
        Some(value.is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false")))
    }

    /// The name that `fieldSelector` asks for, if it does: `metadata.name=x`.
    pub(super) fn selected_name(&self) -> Option<Option<&str>> {
        let Some(selector) = self.once("fieldSelector")? else { return Some(None) };
        if selector.contains('\\') {
            return None;
        }
        let mut names = selector.split(',').filter_map(|term| {
            let (field, value) = term.split_once('=')?; // `a!=b` has `a!` as its field
            (field == "metadata.name").then(|| value.strip_prefix('=').unwrap_or(value))
        });
        let first = names.next();
        names.next().is_none().then_some(first.filter(|name| is_segment_name(name)))
    }
}

/// Whether a text can be an object's name in a path, by the API machinery's rules.
fn is_segment_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%'])
}

fn pair(raw: &str) -> Option<(String, String)> {
    if raw.contains(';') {
        return None;
    }
    let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
    Some((unescaped(name)?, unescaped(value)?))
}

fn unescaped(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Option<&[(&str, &str)]>) {
        let found = Query::parse(query).map(|query| query.pairs);
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        assert_eq!(found, expected.map(|pairs| pairs.iter().map(own).collect()), "{query}");
    }

    #[test]
    fn pairs_are_decoded_as_go_does() {
        check("", Some(&[]));
        check("a=1&b&&c=%2B+x%3D=y", Some(&[("a", "1"), ("b", ""), ("c", "+ x==y")]));
        for query in ["a;b", "a=%", "a=%zz", "a=%ff", "a=1;dryRun=All"] {
            check(query, None);
        }
    }

    #[test]
    fn a_parameter_that_comes_twice_has_no_meaning() {
        let query = Query::parse("dryRun=All&dry%52un=All&watch=FALSE").unwrap();
        assert_eq!(query.once("dryRun"), None);
        assert_eq!(query.once("nothing"), Some(None));
        assert_eq!((query.switch("watch"), query.switch("nothing")), (Some(false), Some(false)));
        let on = ["watch", "watch=", "watch=1", "watch=true", "watch=no"];
        assert!(on.iter().all(|query| Query::parse(query).unwrap().switch("watch") == Some(true)));
    }

    #[test]
    fn a_name_can_be_selected() {
        let name = |query: &str| Query::parse(query).unwrap().selected_name().map(|name| name.map(str::to_owned));
        assert_eq!(name("fieldSelector=metadata.name%3Dweb"), Some(Some("web".into())));
        assert_eq!(name("fieldSelector=metadata.name%3D%3Dweb,spec.nodeName%3Da"), Some(Some("web".into())));
        assert_eq!(name("fieldSelector=metadata.name!%3Dweb"), Some(None));
        assert_eq!(name("fieldSelector=metadata.name%3D.."), Some(None));
        assert_eq!(name("limit=500"), Some(None));
        assert_eq!(name("fieldSelector=metadata.name%3Da%5C,b"), None);
        assert_eq!(name("fieldSelector=metadata.name%3Da,metadata.name%3Db"), None);
    }
}
