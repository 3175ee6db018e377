//! Characters that cannot be seen, or that make a text read as another: controls, odd and zero-width spaces, marks and
//! overrides of direction, private and unassigned code points. Every surface shows them by name (threat 3).

use std::fmt::Write as _;

/// What is shown in the place of a character that cannot be seen: a picture of a control, or its code point.
pub fn badge(c: char) -> Option<String> {
    let code = u32::from(c);
    match code {
        0..=0x1F => char::from_u32(0x2400 + code).map(String::from),
        0x7F => Some("␡".to_owned()),
        _ if is_unseen(c) => Some(format!("U+{code:04X}")),
        _ => None,
    }
}

/// Whether a character cannot be seen for what it is. A line break and a tab count among them.
pub fn is_unseen(c: char) -> bool {
    matches!(u32::from(c),
        0..=0x1F | 0x7F
        | 0x80..=0xA0 // C1 controls, no-break space
        | 0xAD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x1680 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
        | 0x2000..=0x200F // odd spaces, zero-width, marks of direction
        | 0x2028..=0x202F | 0x205F..=0x206F // separators, embeddings, overrides, isolates
        | 0x2800 | 0x3000 | 0x3164
        | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFF
        | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
        | 0xE0000..=0x10_FFFF)
}

/// A text of several lines for places without markup: what cannot be seen stands there as `<U+202E>`.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') || !is_unseen(c) {
            out.push(c);
        } else {
            let _ = write!(out, "<U+{:04X}>", u32::from(c)); // writing to a string does not fail
        }
    }
    out
}

/// The same on one line: line breaks and tabs become spaces.
pub fn visible_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_named() {
        assert_eq!(visible("a\x1b[2Jb\u{202e}c\n\tü\u{a0}"), "a<U+001B>[2Jb<U+202E>c\n\tü<U+00A0>");
        assert_eq!(visible_line("a\nb"), "a b");
        assert_eq!((badge('\x1b'), badge('\u{200b}'), badge('x')), (Some("␛".into()), Some("U+200B".into()), None));
    }
}
