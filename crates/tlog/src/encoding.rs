//! The spellings that the formats here share: strict base64 and strict decimals.
//!
//! C2SP texts are compared and signed byte for byte, so each value must have exactly one spelling: padding is required,
//! stray bits after the last byte and leading zeroes are refused.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// WebAuthn's own alphabet: URL-safe, without padding.
pub(crate) fn from_base64_url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A decimal number without sign or leading zeroes.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_one_spelling() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse_decimal(text), expected, "`{text}`");
        check("0", Some(0));
        check("70000", Some(70_000));
        check("18446744073709551615", Some(u64::MAX));
        for bad in ["", "00", "01", "+1", "-1", " 1", "1 ", "1e3", "0x1", "18446744073709551616", "١"] {
            check(bad, None);
        }
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(from_base64("AA=="), Some(vec![0]));
        for bad in ["AA", "AB==", "A===", "AA==\n", "A-_="] {
            assert_eq!(from_base64(bad), None, "`{bad}`");
        }
    }
}
