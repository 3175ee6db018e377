//! Words that look as random as a generated key.
//!
//! Letters and digits that alternate as they do in base 64, base 62 or base 36, and no letter too often. Hexadecimal words
//! are left alone: they are hashes, commits and identifiers far more often than secrets, and the rules know those that
//! are. So are UUIDs, words joined by hyphens, and pictures.

use std::ops::Range;

/// The shortest word whose randomness is judged.
const WORD_BYTES_MIN: usize = 20;
/// Bits for each character: 20 random characters of base 36 have 3.8, an English word of that length 3.3.
const BITS_MIN: f64 = 3.5;
/// What pictures begin with, in base 64: PNG, JPEG, GIF, WebP, SVG (twice), PDF, BMP.
const PICTURES: [&str; 8] = ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "PHN2Zy", "PD94bWwg", "JVBERi0", "Qk0"];

/// The random words of a text.
pub(super) fn random_words(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (bytes, mut start) = (text.as_bytes(), 0);
    for at in 0..=bytes.len() {
        if bytes.get(at).is_some_and(|byte| is_part(*byte)) {
            continue;
        }
        if at - start >= WORD_BYTES_MIN && text.get(start..at).is_some_and(is_random) {
            found.push(start..at);
        }
        start = at + 1;
    }
    found
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-')
}

fn is_random(word: &str) -> bool {
    if PICTURES.iter().any(|picture| word.starts_with(picture)) {
        return false;
    }
    let plain = |piece: &str| {
        let word = piece.trim_end_matches(|c: char| c.is_ascii_digit());
        let numbered =
            word.bytes().all(|byte| byte.is_ascii_alphabetic()) && (word.is_empty() || piece.len() - word.len() <= 4);
        numbered || piece.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if word.split(['-', '_', '/', '=', '+']).all(plain) {
        return false; // words with or without a number, numbers, hashes, UUIDs, paths, in any order
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    digits >= 2 && alternates(word) && bits(word) >= BITS_MIN
}

/// Whether what stands next to each other is of different sorts as often as chance would have it: in base 36 four times
/// of ten, in base 62 six.
fn alternates(word: &str) -> bool {
    let sort = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let pairs = word.as_bytes().windows(2);
    let changes = pairs.filter(|pair| sort(pair[0]) != sort(pair[1])).count();
    changes * 9 >= word.len() * 2
}

fn bits(word: &str) -> f64 {
    let mut counts = [0_u32; 128];
    for byte in word.bytes() {
        counts[usize::from(byte & 0x7F)] += 1;
    }
    let total = f64::from(u32::try_from(word.len()).unwrap_or(u32::MAX));
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total).map(|p| -p * p.log2()).sum()
}
