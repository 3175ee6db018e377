//! The head of a request as it was captured: what it is about is read from here, and what reaches the upstream is this.
//!
//! A path is kept as the client sent it, and taken apart once, here: RFC 3986 §3.3, percent-encoding decoded a single
//! time. What two readers could take for two different paths (dot segments, backslashes, control characters) is refused,
//! never repaired.

use http::{HeaderMap, Method};

/// The longest path with its query: 16 KiB, what common servers take.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;

/// A request's head.
#[derive(Debug, Clone)]
pub struct Head {
    /// The method.
    pub method: Method,
    path: String,
    query: Option<String>,
    segments: Vec<String>,
    /// The headers that reach the upstream, and no others.
    pub headers: HeaderMap,
}

/// A request's target that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotATarget {
    /// It does not begin with a slash, or is no text of RFC 3986.
    #[error("the path is not one of RFC 3986")]
    Malformed,
    /// Longer than [`TARGET_BYTES_MAX`].
    #[error("the path and query are longer than {TARGET_BYTES_MAX} bytes")]
    TooLong,
    /// `.` or `..`, however they are written.
    #[error("the path has a segment `.` or `..`, which servers read differently: send the path it stands for")]
    DotSegment,
    /// A backslash or a control character, however it is written.
    #[error("the path has a backslash or a control character, which servers read differently")]
    Ambiguous,
}

impl Head {
    /// A head with this path and query, as sent.
    ///
    /// # Errors
    /// [`NotATarget`].
    pub fn new(method: Method, path: &str, query: Option<&str>, headers: HeaderMap) -> Result<Self, NotATarget> {
        if path.len() + query.map_or(0, str::len) > TARGET_BYTES_MAX {
            return Err(NotATarget::TooLong);
        }
        let rest = path.strip_prefix('/').ok_or(NotATarget::Malformed)?;
        let segments = rest.split('/').map(segment).collect::<Result<_, _>>()?;
        if query.is_some_and(|query| query.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#')) {
            return Err(NotATarget::Malformed);
        }
        Ok(Self { method, path: path.to_owned(), query: query.map(str::to_owned), segments, headers })
    }

    /// The path as sent; it begins with a slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query as sent, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The path's segments, decoded once: `/a//b%2Fc/` has `a`, ``, `b/c` and ``. The path `/` has one empty segment.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// Whether a segment holds an encoded slash: servers that decode before they split read another path.
    pub fn has_encoded_slash(&self) -> bool {
        self.segments.iter().any(|segment| segment.contains('/'))
    }

    /// The query's pairs in order, decoded as a form is (`+` is a space). A name without `=` has an empty value.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        let query = self.query.as_deref().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// Path and query as they stand on the request line.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// A header that is there once; `None` where it is absent, there twice, or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(first)
    }
}

fn segment(raw: &str) -> Result<String, NotATarget> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let (Some(high), Some(low)) = (high, low) else { return Err(NotATarget::Malformed) };
                u8::try_from(high * 16 + low).map_err(|_| NotATarget::Malformed)?
            }
            b'\\' => return Err(NotATarget::Ambiguous),
            byte if byte.is_ascii_graphic() && !b"?#".contains(&byte) => byte,
            _ => return Err(NotATarget::Malformed),
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| NotATarget::Malformed)?;
    if text == "." || text == ".." {
        return Err(NotATarget::DotSegment);
    }
    // `..;` and the like are parameters of a dot segment to some servers
    let before_parameters = text.split(';').next().unwrap_or_default();
    if text.contains(';') && (before_parameters == "." || before_parameters == "..") {
        return Err(NotATarget::DotSegment);
    }
    if text.split(['/', '\\']).any(|part| part == "." || part == "..") {
        return Err(NotATarget::DotSegment);
    }
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err(NotATarget::Ambiguous);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Result<&[&str], NotATarget>) {
        let head = Head::new(Method::GET, path, None, HeaderMap::new());
        let segments = head.map(|head| head.segments().to_vec());
        let expected = expected.map(|segments| segments.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(segments, expected, "{path}");
    }

    #[test]
    fn a_path_is_decoded_once() {
        check("/", Ok(&[""]));
        check("/a/b", Ok(&["a", "b"]));
        check("/a//b%2Fc/", Ok(&["a", "", "b/c", ""]));
        check("/%25%32%46", Ok(&["%2F"]));
        check("/caf%C3%A9;v=1", Ok(&["café;v=1"]));
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for path in ["/a/../b", "/a/%2e%2E/b", "/.", "/a/.%2e", "/..;/b", "/a%2f..%2fb", "/..%5cb", "/%2e%2e%2f"] {
            let found = Head::new(Method::GET, path, None, HeaderMap::new()).map(drop);
            assert!(matches!(found, Err(NotATarget::DotSegment)), "{path} {found:?}");
        }
        for path in ["/a%00b", "/a%0d%0ab", "/a\\b", "/a%5cb", "/%7f"] {
            check(path, Err(NotATarget::Ambiguous));
        }
        for path in ["", "a", "/%", "/%2", "/%zz", "/%ff", "/a b", "/é", "/a#b", "/a?b"] {
            check(path, Err(NotATarget::Malformed));
        }
        check(&format!("/{}", "a".repeat(TARGET_BYTES_MAX)), Err(NotATarget::TooLong));
    }
}
