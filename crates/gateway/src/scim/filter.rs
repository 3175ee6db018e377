//! Filters (RFC 7644 §3.4.2.2) and the paths in them: parsed into a tree of bounded depth, and asked of JSON.

use serde_json::{Map, Value};

use super::json;
use super::refusal::Refusal;

/// The longest filter, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;
/// How deep it may be nested.
const DEPTH_MAX: usize = 16;
/// What may stand before an attribute of ours.
const SCHEMAS: [&str; 2] = [super::schemas::USER, super::schemas::GROUP];

/// An attribute, and a part of it: `name.familyName`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) part: Option<String>,
}

impl Attribute {
    /// Parses a name with the schema's own prefix or none; that of an extension stays a part of the name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let own = SCHEMAS.iter().find_map(|schema| {
            let prefixed = text.get(..schema.len()).is_some_and(|start| start.eq_ignore_ascii_case(schema));
            if prefixed { text[schema.len()..].strip_prefix(':') } else { None }
        });
        let text = own.unwrap_or(text);
        if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
            return text.chars().all(|c| !c.is_whitespace()).then(|| Self { name: text.to_owned(), part: None });
        }
        let (name, part) = text.split_once('.').map_or((text, None), |(name, part)| (name, Some(part)));
        let valid = |text: &str| {
            let tail = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '$'));
            tail && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
        };
        let whole = valid(name) && part.is_none_or(valid);
        whole.then(|| Self { name: name.to_owned(), part: part.map(str::to_owned) })
    }

    /// Everything that it stands for: each value of a multi-valued attribute, and `value` where no part is named.
    fn values<'a>(&self, object: &'a Map<String, Value>) -> Vec<&'a Value> {
        let of = match json::get(object, &self.name) {
            None => return Vec::new(),
            Some(Value::Array(list)) => list.as_slice(),
            Some(alone) => std::slice::from_ref(alone),
        };
        let part = self.part.as_deref().unwrap_or("value");
        let inner = |value: &'a Value| match value {
            Value::Object(object) => json::get(object, part),
            plain => self.part.is_none().then_some(plain),
        };
        of.iter().filter_map(inner).collect()
    }

    /// Ids differ by the case of their letters; what people write does not.
    fn is_exact(&self) -> bool {
        ["id", "externalId"].iter().any(|name| name.eq_ignore_ascii_case(&self.name))
    }
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Contains,
    Starts,
    Ends,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Present(Attribute),
    Compare(Attribute, Comparison, Value),
    /// One value of an attribute meets all of it: `emails[type eq "work"]`.
    Any(String, Box<Filter>),
}

impl Filter {
    /// Parses it.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Refusal::filter(format!("a filter has at most {TEXT_BYTES_MAX} bytes")));
        }
        let mut parser = Parser { tokens: tokens(text)?, at: 0 };
        let filter = parser.either(0)?;
        if parser.at < parser.tokens.len() {
            return Err(Refusal::filter("the filter goes on after its end"));
        }
        Ok(filter)
    }

    /// Whether an object meets it.
    pub(super) fn matches(&self, object: &Map<String, Value>) -> bool {
        match self {
            Filter::And(one, two) => one.matches(object) && two.matches(object),
            Filter::Or(one, two) => one.matches(object) || two.matches(object),
            Filter::Not(inner) => !inner.matches(object),
            Filter::Present(attribute) => !attribute.values(object).is_empty(),
            Filter::Compare(attribute, Comparison::Unequal, value) => {
                let exact = attribute.is_exact();
                !attribute.values(object).into_iter().any(|own| compare(own, Comparison::Equal, value, exact))
            }
            Filter::Compare(attribute, comparison, value) => {
                let exact = attribute.is_exact();
                attribute.values(object).into_iter().any(|own| compare(own, *comparison, value, exact))
            }
            Filter::Any(name, inner) => {
                let of = match json::get(object, name) {
                    None => &[],
                    Some(Value::Array(list)) => list.as_slice(),
                    Some(alone) => std::slice::from_ref(alone),
                };
                of.iter().filter_map(Value::as_object).any(|object| inner.matches(object))
            }
        }
    }

    /// What a new value must say to meet it, as far as the filter says so by `eq` and `and` alone.
    pub(super) fn equalities(&self) -> Option<Map<String, Value>> {
        match self {
            Filter::And(one, two) => {
                let mut all = one.equalities()?;
                all.extend(two.equalities()?);
                Some(all)
            }
            Filter::Compare(Attribute { name, part: None }, Comparison::Equal, value) => {
                Some(Map::from_iter([(name.clone(), value.clone())]))
            }
            Filter::Or(..) | Filter::Not(_) | Filter::Present(_) | Filter::Compare(..) | Filter::Any(..) => None,
        }
    }
}

fn compare(own: &Value, comparison: Comparison, with: &Value, exact: bool) -> bool {
    let (Value::String(own), Value::String(with)) = (own, with) else {
        return match comparison {
            Comparison::Equal | Comparison::GreaterOrEqual | Comparison::LessOrEqual => own == with,
            _ => false,
        };
    };
    if comparison == Comparison::Equal && own.is_ascii() && with.is_ascii() {
        return if exact { own == with } else { own.eq_ignore_ascii_case(with) };
    }
    let folded = |text: &str| if exact { text.to_owned() } else { text.to_lowercase() };
    let (own, with) = (folded(own), folded(with));
    match comparison {
        Comparison::Equal => own == with,
        Comparison::Unequal => own != with,
        Comparison::Contains => own.contains(&with),
        Comparison::Starts => own.starts_with(&with),
        Comparison::Ends => own.ends_with(&with),
        Comparison::Greater => own > with,
        Comparison::GreaterOrEqual => own >= with,
        Comparison::Less => own < with,
        Comparison::LessOrEqual => own <= with,
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    OpenValue,
    CloseValue,
    Text(Value),
    Word(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '[' => (Token::OpenValue, 1),
            ']' => (Token::CloseValue, 1),
            '"' => quoted(rest)?,
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()[]\"".contains(c)).unwrap_or(rest.len());
                (Token::Word(rest[..end].to_owned()), end)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// A text in the quotes of JSON, and how many bytes of the filter it takes.
fn quoted(rest: &str) -> Result<(Token, usize), Refusal> {
    let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    match stream.next() {
        Some(Ok(value)) => Ok((Token::Text(value), stream.byte_offset())),
        Some(Err(_)) | None => Err(Refusal::filter("a text in the filter does not end, or is not written as in JSON")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// Takes the word if it is the next.
    fn takes(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) -> Result<(), Refusal> {
        match self.next() {
            Some(next) if next == *token => Ok(()),
            _ => Err(Refusal::filter("a bracket in the filter is not closed")),
        }
    }

    fn either(&mut self, depth: usize) -> Result<Filter, Refusal> {
        let mut filter = self.both(depth)?;
        while self.takes("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both(depth)?));
        }
        Ok(filter)
    }

    fn both(&mut self, depth: usize) -> Result<Filter, Refusal> {
        let mut filter = self.one(depth)?;
        while self.takes("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one(depth)?));
        }
        Ok(filter)
    }

    fn one(&mut self, depth: usize) -> Result<Filter, Refusal> {
        if depth > DEPTH_MAX {
            return Err(Refusal::filter(format!("the filter is nested more than {DEPTH_MAX} times")));
        }
        if self.takes("not") {
            self.expect(&Token::Open)?;
            let inner = self.either(depth + 1)?;
            self.expect(&Token::Close)?;
            return Ok(Filter::Not(Box::new(inner)));
        }
        match self.next() {
            Some(Token::Open) => {
                let inner = self.either(depth + 1)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Word(word)) => self.of_attribute(&word, depth),
            _ => Err(Refusal::filter("the filter names no attribute where one is expected")),
        }
    }

    fn of_attribute(&mut self, word: &str, depth: usize) -> Result<Filter, Refusal> {
        let attribute = Attribute::parse(word);
        let attribute = attribute.ok_or_else(|| Refusal::filter(format!("`{word}` is no attribute")))?;
        if self.tokens.get(self.at) == Some(&Token::OpenValue) {
            self.at += 1;
            let inner = self.either(depth + 1)?;
            self.expect(&Token::CloseValue)?;
            return Ok(Filter::Any(attribute.name, Box::new(inner)));
        }
        if self.takes("pr") {
            return Ok(Filter::Present(attribute));
        }
        let comparison = self.comparison()?;
        Ok(Filter::Compare(attribute, comparison, self.value()?))
    }

    fn comparison(&mut self) -> Result<Comparison, Refusal> {
        let word = match self.next() {
            Some(Token::Word(word)) => word.to_ascii_lowercase(),
            _ => String::new(),
        };
        Ok(match word.as_str() {
            "eq" => Comparison::Equal,
            "ne" => Comparison::Unequal,
            "co" => Comparison::Contains,
            "sw" => Comparison::Starts,
            "ew" => Comparison::Ends,
            "gt" => Comparison::Greater,
            "ge" => Comparison::GreaterOrEqual,
            "lt" => Comparison::Less,
            "le" => Comparison::LessOrEqual,
            _ => return Err(Refusal::filter(format!("`{word}` is no operator of filters"))),
        })
    }

    fn value(&mut self) -> Result<Value, Refusal> {
        let value = match self.next() {
            Some(Token::Text(value)) => Some(value),
            Some(Token::Word(word)) => serde_json::from_str(&word.to_ascii_lowercase()).ok(),
            _ => None,
        };
        value.ok_or_else(|| Refusal::filter("the filter compares with no value; write texts in quotes"))
    }
}
