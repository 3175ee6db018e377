//! Bounds on a policy's shape, checked before Cedar's parser sees the text.
//!
//! Parser and validator recurse into expressions, and a text that nests deeply enough would exhaust the stack and take
//! the process with it; nested `if`s take the validator exponential time. The scan knows no more of the language than
//! strings, comments, brackets and the `;` that ends a policy.

use super::problem::{Place, Problem};

/// The largest policy, comments left out: a chain of operators nests as deep as it is long.
pub const POLICY_BYTES_MAX: usize = 16 * 1024;
/// How deep brackets of all kinds may nest: a third of what exhausts 2 MiB of stack in an unoptimised build.
pub const NESTING_MAX: usize = 24;
/// The most `if`s in one policy: they may nest without brackets, and each may double the validator's work.
pub const IFS_MAX: usize = 8;

/// What of a file is out of bounds; such a file must not be parsed.
pub(super) fn check(place: Place<'_>) -> Vec<Problem> {
    let mut scan = Scan { place, policy: Shape::default(), problems: Vec::new() };
    scan.run();
    scan.problems
}

/// The policy being read.
#[derive(Debug, Default)]
struct Shape {
    bytes: usize,
    depth: usize,
    ifs: usize,
    reported: bool,
}

struct Scan<'a> {
    place: Place<'a>,
    policy: Shape,
    problems: Vec<Problem>,
}

impl Scan<'_> {
    fn run(&mut self) {
        let bytes = self.place.text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let length = match byte {
                b'/' if bytes.get(at + 1) == Some(&b'/') => {
                    at += until(bytes, at, b'\n');
                    continue;
                }
                b'"' => match string(bytes, at) {
                    Some(length) => length,
                    None => return self.report(at, "this string is not closed".to_owned()),
                },
                _ if word_char(*byte) => word(bytes, at),
                _ => 1,
            };
            self.token(at, &bytes[at..at + length]);
            at += length;
        }
    }

    fn token(&mut self, at: usize, token: &[u8]) {
        self.policy.bytes += token.len();
        match token {
            b";" => self.policy = Shape::default(),
            b"(" | b"[" | b"{" => self.policy.depth += 1,
            b")" | b"]" | b"}" => self.policy.depth = self.policy.depth.saturating_sub(1),
            b"if" => self.policy.ifs += 1,
            _ => {}
        }
        if self.policy.depth > NESTING_MAX {
            self.report(at, format!("brackets nest deeper than {NESTING_MAX}"));
        }
        if self.policy.ifs > IFS_MAX {
            self.report(at, format!("a policy may hold at most {IFS_MAX} `if`s"));
        }
        if self.policy.bytes > POLICY_BYTES_MAX {
            self.report(at, format!("a policy may hold at most {POLICY_BYTES_MAX} bytes"));
        }
    }

    /// Once a policy.
    fn report(&mut self, at: usize, message: String) {
        if !std::mem::replace(&mut self.policy.reported, true) {
            let help = Some("split it into several policies".to_owned());
            self.problems.push(self.place.problem(Some(at), message, help));
        }
    }
}

/// Bytes up to the next one of this kind, or to the end.
pub(super) fn until(bytes: &[u8], at: usize, end: u8) -> usize {
    bytes[at..].iter().position(|byte| *byte == end).unwrap_or(bytes.len() - at)
}

/// Bytes of the string that begins here, quotes included.
pub(super) fn string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut escaped = false;
    for (length, byte) in bytes[at..].iter().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return Some(length + 1),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

pub(super) fn word_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Bytes of the word that begins here.
pub(super) fn word(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| !word_char(*byte)).unwrap_or(bytes.len() - at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str, expected: &[(usize, &str)]) {
        let found = check(Place { file: "f", text });
        let found: Vec<(usize, &str)> = found.iter().map(|p| (p.line, p.message.as_str())).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((line, message), (wanted_line, wanted)) in found.iter().zip(expected) {
            assert!(line == wanted_line && message.contains(wanted), "{found:?}");
        }
    }

    #[test]
    fn shapes_are_bounded() {
        let (deep, flat) = ("(".repeat(NESTING_MAX + 9), "()".repeat(99));
        check_text(&flat, &[]);
        check_text(&format!("ok;\n{deep}; [{{(;\n{deep};"), &[(2, "nest"), (3, "nest")]);
        check_text(&format!("// {deep}\n\"{deep}\" \"\\\"{deep}\""), &[]);
        check_text(&"if x then ".repeat(IFS_MAX + 1), &[(1, "`if`s")]);
        check_text(&"if x; ifs elif _if ".repeat(IFS_MAX + 1), &[]);
        check_text(&"a&&".repeat(POLICY_BYTES_MAX), &[(1, "bytes")]);
        check_text(&format!("\"{}\"", "é".repeat(POLICY_BYTES_MAX)), &[(1, "bytes")]);
        check_text("a\n\"b\\\"", &[(2, "not closed")]);
    }
}
