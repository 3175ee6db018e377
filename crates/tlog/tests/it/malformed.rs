//! Notes, checkpoints, keys and proof files that must be refused, and never panic.

use countersign_tlog::note::{Error, SIGNATURES_MAX, open};
use countersign_tlog::{Checkpoint, Hash, Signer, TlogProof, VerifierKey, empty_root, leaf_hash};
use proptest::prelude::*;

use crate::support::{ORIGIN, signer};

const TEXT: &str = "example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

fn note() -> String {
    signer().sign(TEXT).unwrap()
}

fn refused(note: &str) -> Error {
    open(note.as_bytes(), &[signer().verifier_key().clone()]).unwrap_err()
}

#[test]
fn malformed_notes() {
    let good = note();
    let line = good.lines().last().unwrap();
    assert_eq!(refused(""), Error::Malformed);
    assert_eq!(refused(TEXT), Error::Malformed);
    assert_eq!(refused(&format!("{TEXT}\n")), Error::Malformed);
    assert_eq!(refused(good.trim_end()), Error::Malformed);
    assert_eq!(refused(&good.replace('\n', "\r\n")), Error::NotText);
    assert_eq!(refused(&good.replacen("log", "l\u{7}g", 1)), Error::NotText);
    assert_eq!(refused(&format!("{good}\n")), Error::Malformed, "the last blank line is after the signatures");
    for bad in [
        "- x AAAAAAA=",
        "\u{2014} x",
        "\u{2014} x+y AAAAAAA=",
        "\u{2014}  AAAAAAA=",
        "\u{2014} x AAAA",
        "\u{2014} x AAAAAAA",
        "",
    ] {
        let with_bad_line = format!("{good}{bad}\n");
        assert!(matches!(refused(&with_bad_line), Error::SignatureLine(_) | Error::Malformed), "`{bad}`");
    }
    assert_eq!(refused(&format!("{TEXT}\n\u{2014} other AAAAAAA=\n")), Error::Unsigned);
    assert_eq!(refused(&good.replacen("\n0\n", "\n1\n", 1)), Error::BadSignature(ORIGIN.parse().unwrap()));
    let many = format!("{TEXT}\n{}", format!("{line}\n").repeat(SIGNATURES_MAX + 1));
    assert_eq!(refused(&many), Error::TooManySignatures);
    assert_eq!(open(&[0xff, 0xfe], &[]).unwrap_err(), Error::NotText);
    assert_eq!(open(&vec![b'a'; 1_000_001], &[]).unwrap_err(), Error::TooLarge);
}

#[test]
fn unknown_signatures_are_counted_and_repeated_ones_taken_once() {
    let good = note();
    let line = good.lines().last().unwrap();
    let noted = format!("{good}\u{2014} other AAAAAAA=\n{line}\n");
    let opened = open(noted.as_bytes(), &[signer().verifier_key().clone()]).unwrap();
    assert_eq!((opened.text(), opened.unknown_count(), opened.verified().len()), (TEXT, 1, 1));
}

#[test]
fn texts_that_cannot_be_signed() {
    for text in ["", "\n", "no newline", "tab\there\n", "nul\0\n"] {
        assert_eq!(signer().sign(text), Err(Error::Text), "{text:?}");
    }
}

#[test]
fn malformed_checkpoints() {
    let root = leaf_hash(b"x").to_string();
    let parse = |text: &str| text.parse::<Checkpoint>();
    assert!(parse(&format!("log\n5\n{root}\n")).is_ok());
    assert!(parse(&format!("log\n5\n{root}\nextension\n")).is_ok());
    for bad in [
        String::new(),
        "log\n5\n".to_owned(),
        format!("log\n5\n{root}"),
        format!("\n5\n{root}\n"),
        format!("log\n05\n{root}\n"),
        format!("log\n+5\n{root}\n"),
        format!("log\n-5\n{root}\n"),
        format!("log\n\n{root}\n"),
        format!("log\n9223372036854775808\n{root}\n"),
        format!("log\n5\n{root}\n\n"),
        format!("log\n5\n{root}\n\nextension\n"),
        format!("log\n5\n{}\n", &root[1..]),
        format!("log\n5\n{}\n", root.trim_end_matches('=')),
        format!("log\n5\n {root}\n"),
        format!("log\n0\n{root}\n"),
    ] {
        assert!(parse(&bad).is_err(), "{bad:?}");
    }
    let two_lines = Checkpoint { origin: "a\nb".to_owned(), size: 0, root: empty_root() };
    assert!(two_lines.sign(&signer()).is_err());
}

#[test]
fn malformed_keys() {
    let key = signer().verifier_key().to_string();
    assert_eq!(key.parse::<VerifierKey>().unwrap(), *signer().verifier_key());
    let (name, rest) = key.split_once('+').unwrap();
    let (id, public) = rest.split_once('+').unwrap();
    for bad in [
        String::new(),
        name.to_owned(),
        format!("{name}+{id}"),
        format!("other+{id}+{public}"),
        format!("{name}+00000000+{public}"),
        format!("{name}+{}+{public}", id.to_uppercase().replace(char::is_numeric, "F")),
        format!("{name}+{id}+"),
        format!("{name}+{id}+AAAA"),
        format!("{name}+{id}+{public}="),
        format!("a b+{id}+{public}"),
        format!("+{id}+{public}"),
    ] {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad:?}");
    }
    for bad in ["", "a b", "a+b", "a\nb"] {
        assert!(Signer::from_seed(bad, &[0; 32]).is_err(), "{bad:?}");
    }
}

#[test]
fn malformed_proofs() {
    let hash = leaf_hash(b"x");
    let check = |text: String| assert!(text.parse::<TlogProof>().is_err(), "{text:?}");
    let good = format!("c2sp.org/tlog-proof@v1\nindex 3\n{hash}\n\n{}", note());
    assert!(good.parse::<TlogProof>().is_ok());
    check(String::new());
    check(good.replacen("@v1", "@v2", 1));
    check(good.replacen("index 3", "index 03", 1));
    check(good.replacen("index 3", "index", 1));
    check(good.replacen("index 3\n", "", 1));
    check(good.replacen("index 3", "extra !\nindex 3", 1));
    check(good.replacen("index 3", "extra AAAA\nextra AAAA\nindex 3", 1));
    check(good.replacen("index 3", "other\nindex 3", 1));
    check(good.replacen(&hash.to_string(), "AAAA", 1));
    check(good.replacen(&hash.to_string(), &format!("{hash}\n").repeat(65), 1));
    check(format!("c2sp.org/tlog-proof@v1\nindex 3\n{hash}\n\n"));
}

proptest! {
    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,200}") {
        let keys = [signer().verifier_key().clone()];
        let _ = open(&bytes, &keys);
        let _ = open(format!("{text}\n\n{text}\n").as_bytes(), &keys);
        let _ = text.parse::<TlogProof>();
        let _ = text.parse::<Checkpoint>();
        let _ = text.parse::<VerifierKey>();
        let _ = text.parse::<Hash>();
        let _ = text.parse::<countersign_tlog::TilePath>();
    }

    #[test]
    fn any_changed_byte_of_a_note_is_refused(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = note().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(open(&bytes, &[signer().verifier_key().clone()]).is_err());
    }

    #[test]
    fn notes_round_trip(text in "[a-z0-9 \n\u{2014}]{1,80}\n", seed in any::<[u8; 32]>()) {
        let signer = Signer::from_seed("name", &seed).unwrap();
        let note = signer.sign(&text).unwrap();
        let opened = open(note.as_bytes(), &[signer.verifier_key().clone()]).unwrap();
        prop_assert_eq!(opened.text(), text);
    }
}
