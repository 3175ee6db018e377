//! Sealing: bound to its place, under keys that change, under master keys that change.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{MASTER_FILE, Sealer, master};
use crate::config::{MasterKeySource, Secrets};
use crate::ports::{Place, Seal as _, SealError};

const HERE: Place<'_> = Place { what: "agent_key.verifier", id: "k1" };

fn opened(dir: &Path) -> Result<Sealer, SealError> {
    Sealer::open(dir, &Secrets::default())
}

fn with(dir: &Path, master_key: MasterKeySource, previous: Vec<MasterKeySource>) -> Result<Sealer, SealError> {
    Sealer::open(dir, &Secrets { master_key: Some(master_key), previous })
}

fn key_file(dir: &Path, name: &str) -> MasterKeySource {
    let path = dir.join(name);
    master::create(&path).unwrap();
    MasterKeySource::File(path)
}

#[test]
fn what_is_sealed_opens_in_its_own_place_only() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = opened(dir.path()).unwrap();
    let sealed = sealer.seal(HERE, b"secret").unwrap();
    assert!(!sealed.contains("secret") && sealer.is_current(&sealed));
    assert_ne!(sealed, sealer.seal(HERE, b"secret").unwrap(), "a nonce of its own");
    assert_eq!(*sealer.unseal(HERE, &sealed).unwrap(), b"secret");

    for elsewhere in [Place { id: "k2", ..HERE }, Place { what: "ledger/log.key", ..HERE }, Place { id: "", ..HERE }] {
        assert!(matches!(sealer.unseal(elsewhere, &sealed), Err(SealError::Broken)), "{elsewhere:?}");
    }
    let at = sealed.len() - 5;
    let turned = if &sealed[at..=at] == "A" { "B" } else { "A" };
    let changed = format!("{}{turned}{}", &sealed[..at], &sealed[at + 1..]);
    for broken in [&changed, "", "v1", "v1.", "secret", &sealed[..at]] {
        assert!(sealer.unseal(HERE, broken).is_err(), "{broken}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(matches!(opened(elsewhere.path()).unwrap().unseal(HERE, &sealed), Err(SealError::UnknownKey(_))));
    assert_eq!(*opened(dir.path()).unwrap().unseal(HERE, &sealed).unwrap(), b"secret", "after a restart");
    for file in [MASTER_FILE, "keys.json"] {
        assert_eq!(fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_new_key_is_in_force_at_once_and_older_ones_open_until_they_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = opened(dir.path()).unwrap();
    let before = sealer.seal(HERE, b"secret").unwrap();
    sealer.renew().unwrap();
    assert!(!sealer.is_current(&before));
    assert_eq!(*sealer.unseal(HERE, &before).unwrap(), b"secret");
    assert_eq!(*opened(dir.path()).unwrap().unseal(HERE, &before).unwrap(), b"secret", "after a crash in between");
    let after = sealer.seal(HERE, b"secret").unwrap();
    sealer.forget_older().unwrap();
    let again = opened(dir.path()).unwrap();
    for sealer in [&sealer, &again] {
        assert!(matches!(sealer.unseal(HERE, &before), Err(SealError::UnknownKey(_))));
        assert_eq!(*sealer.unseal(HERE, &after).unwrap(), b"secret");
    }
}

#[test]
fn a_master_key_is_replaced_while_the_gateway_runs_or_when_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (key_file(dir.path(), "first"), key_file(dir.path(), "second"));
    let sealer = with(dir.path(), first.clone(), vec![]).unwrap();
    let sealed = sealer.seal(HERE, b"secret").unwrap();

    // at a start
    assert!(matches!(with(dir.path(), second.clone(), vec![]), Err(SealError::UnknownKey(_))));
    let moved = with(dir.path(), second.clone(), vec![first.clone()]).unwrap();
    assert_eq!(*moved.unseal(HERE, &sealed).unwrap(), b"secret");
    assert!(with(dir.path(), second.clone(), vec![]).is_ok(), "the first is not needed any more");
    assert!(with(dir.path(), first, vec![]).is_err());

    // while it runs
    let MasterKeySource::File(path) = &second else { unreachable!("a file") };
    fs::remove_file(path).unwrap();
    master::create(path).unwrap();
    assert!(with(dir.path(), second.clone(), vec![]).is_err(), "not before it was rotated");
    moved.renew().unwrap();
    moved.forget_older().unwrap();
    assert!(with(dir.path(), second, vec![]).is_ok());
}

/// A program of the operator's with a key that stays where it is: here OpenSSL with an RSA key.
#[test]
fn a_key_management_service_may_keep_the_master_key() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("kms");
    let script = "#!/bin/sh\nset -e\ncd \"$(dirname \"$0\")\"\n\
        [ -f rsa.pem ] || openssl genpkey -algorithm RSA -out rsa.pem 2>/dev/null\n\
        case $1 in wrap) do=-encrypt;; unwrap) do=-decrypt;; esac\n\
        base64 -d | openssl pkeyutl $do -inkey rsa.pem -pkeyopt rsa_padding_mode:oaep | base64 -w0\n";
    fs::write(&program, script).unwrap();
    let command = MasterKeySource::Command(vec!["/bin/sh".to_owned(), program.display().to_string()]);
    let sealer = with(dir.path(), command.clone(), vec![]).unwrap();
    assert!(master::check(&command).unwrap().contains("/bin/sh"));
    let sealed = sealer.seal(HERE, b"secret").unwrap();
    assert_eq!(*with(dir.path(), command.clone(), vec![]).unwrap().unseal(HERE, &sealed).unwrap(), b"secret");
    assert!(!dir.path().join(MASTER_FILE).exists());

    fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
    let error = with(dir.path(), command, vec![]).err().unwrap().to_string();
    assert!(error.contains("exit status: 3"), "{error}");
}

#[test]
fn a_master_key_that_is_none_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let source = MasterKeySource::File(path.clone());
    let refused = |part: &str| {
        let error = with(dir.path(), source.clone(), vec![]).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused("No such file");
    fs::write(&path, "hunter2").unwrap();
    refused("chmod 600");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    refused("countersign secrets generate");
    fs::write(&path, master::generate().unwrap().trim_end()).unwrap();
    assert!(with(dir.path(), source.clone(), vec![]).is_ok());
    fs::write(dir.path().join("keys.json"), "[{}]").unwrap();
    refused("keys.json");
}
