//! Just enough of Rust's lexical grammar: comments and literals blanked out, braces matched, paths after `crate::` and
//! `super::` read. Line numbers are kept.

/// The code with every comment and literal replaced by blanks.
pub(super) fn blanked(code: &str) -> String {
    let chars: Vec<char> = code.chars().collect();
    let mut out = String::with_capacity(code.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` if none begins there.
fn skipped(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment(rest),
        ['"', ..] => at + quoted(rest, '"'),
        ['r', '"' | '#', ..] if !after_word(chars, at) => at + raw_string(rest),
        ['\'', '\\', ..] => at + quoted(rest, '\''),
        ['\'', _, '\'', ..] => at + 3,
        _ => at,
    }
}

fn after_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() && chars[at - 1] != 'b' || chars[at - 1] == '_')
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = 2 + hashes;
    while at < rest.len() {
        let closing = rest[at] == '"' && rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        if closing {
            return at + 1 + hashes;
        }
        at += 1;
    }
    rest.len()
}

/// The 1-based line of a byte offset.
pub(super) fn line_of(code: &str, offset: usize) -> usize {
    code[..offset].matches('\n').count() + 1
}

/// A path that code names: where, and its segments after the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
}

/// Every path in blanked code that begins with `crate::`, or with `super::` as seen from `module`.
pub(super) fn paths(code: &str, module: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    for (offset, _) in code.match_indices("crate::").filter(|(offset, _)| starts_word(code, *offset)) {
        let (line, rest) = (line_of(code, offset), &code[offset + "crate::".len()..]);
        found.extend(tree(rest).into_iter().map(|segments| Named { line, segments }));
    }
    for (offset, _) in code.match_indices("super::").filter(|(offset, _)| starts_word(code, *offset)) {
        if code[..offset].trim_end().ends_with("super::") {
            continue;
        }
        found.extend(relative(code, offset, module));
    }
    found
}

fn starts_word(code: &str, offset: usize) -> bool {
    !code[..offset].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
}

fn relative(code: &str, offset: usize, module: &[String]) -> Vec<Named> {
    let mut rest = &code[offset..];
    let mut ups = 0;
    while let Some(after) = rest.strip_prefix("super::") {
        (rest, ups) = (after, ups + 1);
    }
    let mut here = module.to_vec();
    here.extend(inline_modules(code, offset));
    here.truncate(here.len().saturating_sub(ups));
    let line = line_of(code, offset);
    let with_root = |tail: Vec<String>| Named { line, segments: here.iter().cloned().chain(tail).collect() };
    tree(rest).into_iter().map(with_root).collect()
}

/// The names of the `mod name { … }` blocks around an offset.
fn inline_modules(code: &str, offset: usize) -> Vec<String> {
    let mut open: Vec<Option<String>> = Vec::new();
    for (at, c) in code[..offset].char_indices() {
        match c {
            '{' => open.push(module_before(&code[..at])),
            '}' => drop(open.pop()),
            _ => {}
        }
    }
    open.into_iter().flatten().collect()
}

fn module_before(code: &str) -> Option<String> {
    let mut words = code.trim_end().rsplit(|c: char| c.is_whitespace());
    let name = words.next()?;
    (words.find(|word| !word.is_empty()) == Some("mod")).then(|| name.to_owned())
}

/// The paths of a use tree: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn tree(rest: &str) -> Vec<Vec<String>> {
    let rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        return members(group).into_iter().flat_map(tree).collect();
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    if end == 0 {
        return vec![Vec::new()];
    }
    let name = rest[..end].to_owned();
    let tails = match rest[end..].strip_prefix("::") {
        Some(after) => tree(after),
        None => vec![Vec::new()],
    };
    tails.into_iter().map(|tail| std::iter::once(name.clone()).chain(tail).collect()).collect()
}

/// The comma-separated members of a group whose opening brace is already gone.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(group[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|member| !member.is_empty());
    found
}

/// The code before its unit tests.
pub(super) fn without_tests(code: &str) -> &str {
    match code.find("#[cfg(test)]\nmod tests {") {
        Some(at) => &code[..at],
        None => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, module: &str, expected: &[&str]) {
        let module: Vec<String> = module.split("::").filter(|m| !m.is_empty()).map(str::to_owned).collect();
        let found: Vec<String> = paths(&blanked(code), &module).iter().map(|named| named.segments.join("::")).collect();
        assert_eq!(found, expected, "{code}");
    }

    #[test]
    fn groups_are_taken_apart() {
        check("use crate::{store::Db, api::{self, x}};", "", &["store::Db", "api::self", "api::x"]);
    }

    #[test]
    fn paths_inside_expressions_count() {
        check("fn f() { crate::store::open(); }", "", &["store::open"]);
    }

    #[test]
    fn comments_and_literals_do_not_count() {
        let code = "// crate::a::b\n/* crate::c /* crate::d */ */ let x = \"crate::e\"; let y = r#\"crate::\"f\"#; let c = '\"'; crate::g::h();";
        check(code, "", &["g::h"]);
    }

    #[test]
    fn super_is_resolved_from_the_module() {
        check("use super::super::api::X;", "channels::slack::post", &["channels::api::X"]);
        check("use super::wire;", "protocols::postgres::serve", &["protocols::postgres::wire"]);
    }

    #[test]
    fn inline_modules_count_for_super() {
        check("mod tests { use super::*; }", "store", &["store"]);
        check("mod tests { use super::super::api; }", "store::db", &["store::api"]);
    }

    #[test]
    fn lines_are_kept() {
        let code = blanked("/* a\nb */\ncrate::x::y");
        assert_eq!(paths(&code, &[])[0].line, 3);
    }

    #[test]
    fn lifetimes_are_not_characters() {
        check("fn f<'a>(x: &'a str) { crate::a::b('{') }", "", &["a::b"]);
    }
}
