//! A request as a card shows it: lines of text in which each value is known, so that what must not be shown is replaced.
//!
//! Writing is in one order: the request line, headers by name, the body. What is not shown is counted and hashed, never left
//! out without a word. Deliberately absent: what a request means; dialects add lines of their own.

use countersign_core::action::redact::{Literal, Place, Position, Redacted, Redactor, Rules, Shown, ShownStream};
use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::dialect::Content;
use super::head::Head;
use super::json::Json;

/// Headers that say nothing to a reviewer: they follow from the rest of the request.
const FOLLOWING: &[&str] = &["content-length", "host", "connection", "accept-encoding", "transfer-encoding"];
/// Headers whose value is a credential whatever it looks like.
const SECRETS: &[&str] = &["authorization", "cookie", "proxy-authorization", "x-amz-security-token", "x-vault-token"];
/// The deepest nesting that is written with an indent of its own.
const INDENT_MAX: usize = 32;

/// What is written so far.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    literals: Vec<Literal>,
    stream: Option<ShownStream>,
}

impl Page {
    /// Words of ours, or of a document: nothing in them is replaced by its column.
    pub fn words(&mut self, words: &str) {
        self.text.push_str(words);
    }

    /// Ends the line.
    pub fn line(&mut self) {
        self.text.push('\n');
    }

    /// A value as it is written, and what it stands for.
    pub fn value(&mut self, written: &str, value: &str, place: Place) {
        self.put(written, value, place, false);
    }

    fn put(&mut self, written: &str, value: &str, place: Place, secret: bool) {
        let start = self.text.len();
        self.text.push_str(written);
        if start < self.text.len() {
            let end = self.text.len();
            self.literals.push(Literal { start, end, value: value.to_owned(), secret, place });
        }
    }

    /// The request line. `column` names what a path's segment is, by its place in the path.
    pub fn request_line(&mut self, head: &Head, column: &dyn Fn(usize) -> Option<String>) {
        self.words(head.method.as_str());
        self.words(" ");
        for (at, (raw, value)) in head.path().split('/').skip(1).zip(head.segments()).enumerate() {
            self.words("/");
            self.value(raw, value, Place { position: Position::Predicate, column: column(at) });
        }
        if let Some(query) = head.query() {
            self.words("?");
            self.pairs(query, Position::Predicate);
        }
        self.line();
    }

    /// Pairs of a query or a form, as they were sent.
    pub fn pairs(&mut self, raw: &str, position: Position) {
        for (at, pair) in raw.split('&').enumerate() {
            if at > 0 {
                self.words("&");
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = |raw: &str| match url::form_urlencoded::parse(raw.replace('=', "%3D").as_bytes()).next() {
                Some((text, _)) => text.into_owned(),
                None => String::new(),
            };
            self.value(name, &plain(name), Place::of(position));
            if pair.contains('=') {
                self.words("=");
                let secret = SECRETS.contains(&plain(name).to_lowercase().as_str());
                self.put(value, &plain(value), Place { position, column: Some(plain(name)) }, secret);
            }
        }
    }

    /// Headers that are `wanted`, by name.
    pub fn headers(&mut self, headers: &HeaderMap, wanted: &dyn Fn(&str) -> bool) {
        let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        for name in names.into_iter().filter(|name| !FOLLOWING.contains(name) && wanted(name)) {
            for value in headers.get_all(name) {
                let value = String::from_utf8_lossy(value.as_bytes());
                self.words(&format!("{name}: "));
                let place = Place { position: Position::Predicate, column: Some(name.to_owned()) };
                self.put(&value, &value, place, SECRETS.contains(&name));
                self.line();
            }
        }
    }

    /// A body, as what it says it is.
    pub fn body(&mut self, head: &Head, content: Content<'_>) {
        let Content::Whole(bytes) = content else {
            self.words("\nthe body was not read: it is longer than what is read to describe a request\n");
            return;
        };
        if bytes.is_empty() {
            return;
        }
        self.line();
        let kind = media(head).unwrap_or_default();
        if let Some(json) = Json::parse(bytes).filter(|_| !head.headers.contains_key("content-encoding")) {
            self.json(&json, None, 0);
            self.line();
        } else if let Some(text) = readable(bytes) {
            match kind.as_str() {
                "application/x-www-form-urlencoded" => self.pairs(text, Position::Written),
                _ => self.value(text, text, Place::default()),
            }
            self.line();
        } else {
            self.bytes(bytes);
        }
    }

    /// A body that is no text: its length and hash.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let sha256 = hex::encode(Sha256::digest(bytes));
        self.words(&format!("{} bytes that are no text, SHA-256 {sha256}\n", bytes.len()));
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.stream = Some(ShownStream { bytes: count, sha256, cut_bytes: count, ..ShownStream::default() });
    }

    /// A value of JSON over several lines, in the order it was sent.
    pub fn json(&mut self, json: &Json, column: Option<&str>, depth: usize) {
        let place = || Place { position: Position::Written, column: column.map(str::to_owned) };
        match json {
            Json::Null => self.words("null"),
            Json::Flag(flag) => self.value(&flag.to_string(), &flag.to_string(), place()),
            Json::Number(digits) => self.value(digits, digits, place()),
            Json::Text(text) => self.quoted(text, place()),
            Json::List(items) if items.is_empty() => self.words("[]"),
            Json::Object(members) if members.is_empty() => self.words("{}"),
            Json::List(items) => {
                self.words("[");
                for (at, item) in items.iter().enumerate() {
                    self.next(at, depth + 1);
                    self.json(item, column, depth + 1);
                }
                self.close(depth, "]");
            }
            Json::Object(members) => {
                self.words("{");
                for (at, (name, value)) in members.iter().enumerate() {
                    self.next(at, depth + 1);
                    self.quoted(name, Place::default());
                    self.words(": ");
                    self.json(value, Some(name), depth + 1);
                }
                self.close(depth, "}");
            }
        }
    }

    fn next(&mut self, at: usize, depth: usize) {
        self.words(if at > 0 { ",\n" } else { "\n" });
        self.words(&"  ".repeat(depth.min(INDENT_MAX)));
    }

    fn close(&mut self, depth: usize, bracket: &str) {
        self.line();
        self.words(&"  ".repeat(depth.min(INDENT_MAX)));
        self.words(bracket);
    }

    fn quoted(&mut self, text: &str, place: Place) {
        let written = serde_json::Value::from(text).to_string();
        let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
        self.words("\"");
        self.value(inner, text, place);
        self.words("\"");
    }

    /// The card's text, by the rules of its target.
    pub fn finish(self, rules: &Rules) -> Redacted {
        let mut redactor = Redactor::new(rules);
        let last = self.literals.last().map_or(0, |literal| literal.end);
        let whole = self.text.strip_suffix('\n').filter(|text| last <= text.len()).unwrap_or(&self.text);
        let (text, cut_bytes) = redactor.text(whole, &self.literals);
        redactor.finish(Shown { text, cut_bytes, stream: self.stream, ..Shown::default() })
    }
}

/// The body's media type without parameters, in lower case.
pub fn media(head: &Head) -> Option<String> {
    let kind = head.header("content-type")?;
    Some(kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// A body that people can read: text without control characters.
fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(plain).then_some(text)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn check(method: Method, target: (&str, Option<&str>), kind: &str, body: &[u8], expected: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().expect("a header"));
        let head = Head::new(method, target.0, target.1, headers).expect("a head");
        let mut page = Page::default();
        page.request_line(&head, &|_| None);
        page.body(&head, Content::Whole(body));
        assert_eq!(page.finish(&Rules::default()).shown.text, expected);
    }

    #[test]
    fn a_body_is_laid_out_in_the_order_it_was_sent() {
        check(
            Method::POST,
            ("/a", None),
            "application/json",
            br#"{"z":[12345678901234567891,{"y":null}],"e":{},"mail":"ada@example.org"}"#,
            "POST /a\n\n{\n  \"z\": [\n    12345678901234567891,\n    {\n      \"y\": null\n    }\n  ],\n  \"e\": {},\n  \"mail\": \"‹email 1›\"\n}",
        );
    }

    #[test]
    fn a_query_a_form_and_a_path_are_redacted() {
        check(
            Method::POST,
            ("/users/ada%40example.org", Some("q=1&password=x%20y")),
            "application/x-www-form-urlencoded",
            b"a=b&secret=hunter",
            "POST /users/‹email 1›?q=1&password=‹password 1›\n\na=b&secret=‹secret 1›",
        );
    }

    #[test]
    fn what_is_no_text_is_counted_and_hashed() {
        check(
            Method::PUT,
            ("/a", None),
            "application/octet-stream",
            &[0, 255],
            "PUT /a\n\n2 bytes that are no text, SHA-256 06eb7d6a69ee19e5fbdf749018d3d2abfa04bcbd1365db312eb86dc7169389b8",
        );
    }
}
