//! Our files under an implementation we did not write: Go's `golang.org/x/mod/sumdb`.
//!
//! The program in `tests/interop` is built against the distribution's package (`golang-golang-x-mod-dev`), offline.
//! Where that is absent these tests say so and pass, except under `CI`, where they fail.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_tlog::proof::{consistency, inclusion};
use countersign_tlog::{Checkpoint, Hash, TlogProof, leaf_hash};
use tempfile::TempDir;

use crate::support::{ORIGIN, TestLog, leaf, signer};

const GOPATH: &str = "/usr/share/gocode";
const PACKAGE: &str = "/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog";

struct Interop {
    program: PathBuf,
    _folder: TempDir,
}

/// Builds the program once; `Err` says what is absent.
fn build() -> Result<Interop, String> {
    if Command::new("go").arg("version").output().is_err() {
        return Err("`go` is not installed".to_owned());
    }
    if !Path::new(PACKAGE).is_dir() {
        return Err("the package golang-golang-x-mod-dev is not installed".to_owned());
    }
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("interop");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/main.go");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(source);
    go.env("GO111MODULE", "off").env("GOPATH", GOPATH).env("GOFLAGS", "").env("GOCACHE", folder.path().join("cache"));
    let output = go.output().unwrap();
    assert!(output.status.success(), "go build: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Interop { program, _folder: folder })
}

fn interop() -> Option<&'static Interop> {
    static BUILT: OnceLock<Result<Interop, String>> = OnceLock::new();
    match BUILT.get_or_init(build) {
        Ok(interop) => Some(interop),
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "interoperability must be tested in CI, but {reason}");
            // Straight to standard error: the test harness hides what passing tests print.
            let _ = writeln!(std::io::stderr(), "SKIPPED: interoperability with Go was NOT tested: {reason}");
            None
        }
    }
}

impl Interop {
    fn run(&self, args: &[&str]) -> Output {
        Command::new(&self.program).args(args).output().unwrap()
    }

    #[track_caller]
    fn check(&self, args: &[&str], accepted: bool) {
        let output = self.run(args);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(i32::from(!accepted)), "{args:?}: {text}");
    }
}

fn text_of(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn go_accepts_our_logs() {
    let Some(go) = interop() else { return };
    for size in [1, 2, 255, 256, 257, 700, 65_536, 70_000] {
        let log = TestLog::published_at(&[size]);
        go.check(&["log", &log.key().to_string(), log.dir.path().to_str().unwrap()], true);
    }
}

#[test]
fn go_rejects_tampered_logs() {
    let Some(go) = interop() else { return };
    let check = |tamper: &dyn Fn(&TestLog)| {
        let log = TestLog::published_at(&[700]);
        tamper(&log);
        go.check(&["log", &log.key().to_string(), log.dir.path().to_str().unwrap()], false);
        assert!(log.verify().is_err(), "and so do we");
    };
    check(&|log| log.edit_entries("tile/entries/001", |entries| entries[9].push(b'!')));
    check(&|log| {
        log.edit_entries("tile/entries/001", |entries| entries[9] = b"forged".to_vec());
        log.edit_hashes("tile/0/001", |hashes| hashes[9] = leaf_hash(b"forged"));
    });
    check(&|log| log.edit_hashes("tile/0/001", |hashes| hashes.swap(8, 9)));
    check(&|log| log.edit_hashes("tile/1/000.p/2", |hashes| hashes.swap(0, 1)));
    check(&|log| {
        let note = String::from_utf8(log.read("checkpoint")).unwrap();
        log.write("checkpoint", note.replacen("\n700\n", "\n699\n", 1).as_bytes());
    });
}

#[test]
fn go_checks_our_inclusion_proofs() {
    let Some(go) = interop() else { return };
    let log = TestLog::published_at(&[700]);
    let key = log.key().to_string();
    let checkpoint = String::from_utf8(log.read("checkpoint")).unwrap();
    let (proof_file, leaf_file) = (text_of(log.path("proof")), text_of(log.path("leaf")));
    for index in [0, 1, 17, 255, 256, 511, 512, 699] {
        let hashes = inclusion(&log.source(), 700, index).unwrap();
        let mut proof = TlogProof { extra: Some(vec![1, 2]), index, hashes, checkpoint: checkpoint.clone() };
        log.write("proof", proof.to_string().as_bytes());
        log.write("leaf", &leaf(index));
        go.check(&["proof", &key, &proof_file, &leaf_file], true);
        log.write("leaf", b"forged");
        go.check(&["proof", &key, &proof_file, &leaf_file], false);
        log.write("leaf", &leaf(index));
        proof.hashes[0].0[0] ^= 1;
        log.write("proof", proof.to_string().as_bytes());
        go.check(&["proof", &key, &proof_file, &leaf_file], false);
    }
}

#[test]
fn go_checks_our_consistency_proofs() {
    let Some(go) = interop() else { return };
    let new = TestLog::published_at(&[700]);
    let key = new.key().to_string();
    for size in [1, 2, 128, 255, 256, 257, 512, 699, 700] {
        let old = TestLog::published_at(&[size]);
        let (before, after) = (text_of(old.path("checkpoint")), text_of(new.path("checkpoint")));
        let mut hashes = consistency(&new.source(), size, 700).unwrap();
        let proof = text_of(new.path("hashes"));
        let write = |hashes: &[Hash]| {
            new.write("hashes", hashes.iter().map(|hash| format!("{hash}\n")).collect::<String>().as_bytes());
        };
        write(&hashes);
        go.check(&["consistency", &key, &before, &after, &proof], true);
        hashes.push(leaf_hash(b"forged"));
        write(&hashes);
        go.check(&["consistency", &key, &before, &after, &proof], false);
        write(&[leaf_hash(b"forged")]);
        go.check(&["consistency", &key, &before, &after, &proof], false);
    }
}

#[test]
fn we_open_what_go_signs() {
    let Some(go) = interop() else { return };
    let log = TestLog::published_at(&[5]);
    let key = signer().verifier_key().clone();
    let secret = format!("PRIVATE+KEY+{ORIGIN}+{}+{}", key.id(), STANDARD.encode([&[1][..], &[7; 32]].concat()));
    let head = log.log.head();
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: head.size, root: head.root };
    log.write("text", checkpoint.encode().as_bytes());
    let output = go.run(&["sign", &secret, &text_of(log.path("text"))]);
    assert_eq!(output.stderr, log.read("checkpoint"), "the same key signs the same note");
    assert_eq!(*Checkpoint::open(&output.stderr, &key, &[]).unwrap().checkpoint(), checkpoint);
}
