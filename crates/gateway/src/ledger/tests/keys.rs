//! The signing key: made once, kept private, never replaced.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use countersign_tlog::Signer;

use crate::ledger::keys::{Error, KEY_FILE, PLACE, VERIFIER_KEY_FILE, verifier_key};
use crate::vault::testing::sealer;

fn open(dir: &std::path::Path, origin: Option<&str>, is_known: bool) -> Result<Signer, Error> {
    crate::ledger::keys::open(dir, origin, is_known, &*sealer(dir))
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_is_made_once_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let made = open(dir.path(), None, false).unwrap().verifier_key().clone();
    assert_eq!(mode(&dir.path().join(KEY_FILE)), 0o600);
    let suffix = made.name().as_str().strip_prefix("countersign.local/").unwrap();
    assert!(suffix.len() == 8 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit()), "{suffix}");
    assert_eq!(*open(dir.path(), None, true).unwrap().verifier_key(), made);
    assert_eq!(verifier_key(dir.path()).unwrap(), made);
    fs::remove_file(dir.path().join(VERIFIER_KEY_FILE)).unwrap();
    assert_eq!(*open(dir.path(), Some(made.name().as_str()), true).unwrap().verifier_key(), made);
    assert_eq!(verifier_key(dir.path()).unwrap(), made);
}

#[test]
fn an_unfinished_first_start_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let aside = dir.path().join(".log.key.new");
    fs::write(&aside, "PRIVATE+KEY+half").unwrap();
    fs::set_permissions(&aside, Permissions::from_mode(0o644)).unwrap();
    open(dir.path(), Some("example.com/log"), false).unwrap();
    assert_eq!(mode(&dir.path().join(KEY_FILE)), 0o600);
}

#[test]
fn a_key_is_never_made_beside_a_log() {
    for trace in ["log.vkey", "checkpoint", "checkpoints", "tile", "journal"] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(trace)).unwrap();
        assert!(matches!(open(dir.path(), None, false), Err(Error::Missing { .. })), "{trace}");
        assert!(!dir.path().join(KEY_FILE).exists());
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(open(dir.path(), None, true), Err(Error::Missing { .. })));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), None, false).unwrap();
    for exposed in [0o640, 0o604, 0o660, 0o610] {
        fs::set_permissions(dir.path().join(KEY_FILE), Permissions::from_mode(exposed)).unwrap();
        let error = open(dir.path(), None, false).unwrap_err();
        assert!(matches!(error, Error::Exposed { mode, .. } if mode == exposed), "{error}");
    }
}

#[test]
fn a_malformed_key_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), Some("example.com/log"), false).unwrap();
    let path = dir.path().join(KEY_FILE);
    let sealed = fs::read_to_string(&path).unwrap();
    let text = sealed.trim_end().strip_prefix("COUNTERSIGN+SEALED+").unwrap();
    let good = String::from_utf8(sealer(dir.path()).unseal(PLACE, text).unwrap().to_vec()).unwrap();
    fs::write(&path, &good).unwrap();
    open(dir.path(), None, false).unwrap();
    assert!(!fs::read_to_string(&path).unwrap().contains("PRIVATE"), "one that another tool wrote is sealed");
    let end = good.len() - 1;
    let others = [
        String::new(),
        "not a key".to_owned(),
        good[..end - 4].to_owned(),
        good.replace("example.com", "example.org"),
        good.replace("PRIVATE+KEY+", ""),
        format!("{good}{good}"),
        "x".repeat(5_000),
        "\u{fffd}".to_owned(),
    ];
    for bad in others {
        fs::write(&path, &bad).unwrap();
        let error = open(dir.path(), None, false).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "`{bad}`: {error}");
        assert!(!error.to_string().contains("PRIVATE"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    let end = sealed.len() - 1;
    let elsewhere = tempfile::tempdir().unwrap();
    open(elsewhere.path(), Some("example.com/log"), false).unwrap();
    let theirs = fs::read_to_string(elsewhere.path().join(KEY_FILE)).unwrap();
    for bad in [sealed[..end - 8].to_owned(), sealed.replace("v1.", "v2."), format!("{sealed}{sealed}"), theirs] {
        fs::write(&path, &bad).unwrap();
        let error = open(dir.path(), None, false).unwrap_err();
        assert!(matches!(error, Error::Sealed { .. } | Error::Malformed { .. }), "`{bad}`: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
}

#[test]
fn another_keys_public_half_is_refused() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open(ours.path(), Some("example.com/log"), false).unwrap();
    open(theirs.path(), Some("example.com/log"), false).unwrap();
    fs::copy(theirs.path().join(VERIFIER_KEY_FILE), ours.path().join(VERIFIER_KEY_FILE)).unwrap();
    assert!(matches!(open(ours.path(), None, false), Err(Error::Mismatch { .. })));
    fs::write(ours.path().join(VERIFIER_KEY_FILE), "nonsense").unwrap();
    assert!(matches!(open(ours.path(), None, false), Err(Error::Mismatch { .. })));
}

#[test]
fn an_origin_cannot_change_and_must_be_a_name() {
    let dir = tempfile::tempdir().unwrap();
    for bad in ["", "with space", "with+plus"] {
        assert!(matches!(open(dir.path(), Some(bad), false), Err(Error::Name(_))), "`{bad}`");
        assert!(!dir.path().join(KEY_FILE).exists());
    }
    open(dir.path(), Some("example.com/log"), false).unwrap();
    let error = open(dir.path(), Some("example.org/log"), false).unwrap_err();
    assert!(error.to_string().contains("`example.com/log`, the configuration says `example.org/log`"), "{error}");
}
