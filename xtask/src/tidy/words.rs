//! Words that have no place in the repository: promises of later work, paths of somebody's machine, hosts of registries.

use super::{Finding, Text};

/// Each word is spelt in two halves here, so that this file does not find itself.
const FORBIDDEN: [(&str, &str, &str); 9] = [
    ("TO", "DO", "do it, or open an issue"),
    ("FIX", "ME", "mend it, or open an issue"),
    ("todo", "!(", "write the code"),
    ("unimplemented", "!(", "write the code, or refuse with an error"),
    ("/wo", "rk/", "a path of one machine: take it from the environment or the repository's root"),
    ("/ro", "ot/", "a path of one machine: take it from the environment or the repository's root"),
    ("registry.npm", "js.org", "leave the registry to the client's own configuration"),
    ("files.python", "hosted.org", "leave the registry to the client's own configuration"),
    ("deb.deb", "ian.org", "leave the registry to the client's own configuration"),
];
/// Written by Cargo, with its registry's address.
const GENERATED: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let ours = texts.iter().filter(|text| !GENERATED.iter().any(|name| text.path.ends_with(name)) && !vendored(text));
    ours.flat_map(check_text).collect()
}

/// Scripts of others, kept as they were published.
fn vendored(text: &Text) -> bool {
    text.name().contains(".min.") || text.path.components().any(|part| part.as_os_str() == "vendor")
}

fn check_text(text: &Text) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.text.lines().enumerate() {
        for (head, tail, advice) in FORBIDDEN {
            let word = format!("{head}{tail}");
            if contains_word(line, &word) {
                findings.push(Finding::new(&text.path, index + 1, format!("`{word}`: {advice}")));
            }
        }
    }
    findings
}

fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let joins = |c: char| c.is_alphanumeric() || c == '_';
        let before = word.starts_with(joins) && line[..at].ends_with(joins);
        let after = word.ends_with(joins) && line[at + word.len()..].starts_with(joins);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{messages, text};

    #[test]
    fn promises_are_found_with_their_line() {
        let promise = format!("fine\n// {}{}: later\n", "TO", "DO");
        let found = messages(&check(&[text("a.rs", &promise)]));
        assert_eq!(found, [format!("a.rs:2: `{}{}`: do it, or open an issue", "TO", "DO")]);
    }

    #[test]
    fn words_inside_words_are_none() {
        assert!(check(&[text("a.md", "MASTODON, mysTODOs and the TODOS of others")]).is_empty());
    }

    #[test]
    fn machine_paths_are_found() {
        let path = format!("see /{}ork/main", 'w');
        assert_eq!(check(&[text("a.md", &path)]).len(), 1);
    }
}
