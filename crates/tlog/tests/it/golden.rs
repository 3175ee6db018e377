//! Published values, and our own output byte for byte: a change of format must not slip in.

use countersign_tlog::note::open;
use countersign_tlog::{Appender, Cosigner, Signer, TlogProof, VerifierKey};

use crate::support::{MemorySource, TestLog, leaf};

/// The example of the signed-note reference implementation.
#[test]
fn the_reference_note_opens_and_its_text_signs_the_same() {
    let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let note = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\n\
                — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let opened = open(note.as_bytes(), std::slice::from_ref(&key)).unwrap();
    let seed = [
        0x81, 0x0a, 0x14, 0x02, 0xd5, 0x14, 0x6c, 0x8d, 0x84, 0xf2, 0x44, 0x33, 0x30, 0xf5, 0x40, 0x80, 0xeb, 0xf9,
        0x8e, 0xe1, 0x7d, 0x9c, 0x74, 0xf6, 0x25, 0x2f, 0xc5, 0xd5, 0xc7, 0x28, 0x31, 0x73,
    ];
    let signer = Signer::from_seed("PeterNeumann", &seed).unwrap();
    assert_eq!(*signer.verifier_key(), key);
    assert_eq!(signer.sign(opened.text()).unwrap(), note);
}

/// The public Go checksum database's key.
#[test]
fn a_published_key_parses() {
    let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    let key: VerifierKey = text.parse().unwrap();
    assert_eq!((key.to_string().as_str(), key.id().to_string().as_str()), (text, "033de0ae"));
}

#[test]
fn our_own_files_byte_for_byte() {
    let log = TestLog::published_at(&[3]);
    let note = String::from_utf8(log.read("checkpoint")).unwrap();
    let witness = Cosigner::from_seed("witness.example", &[9; 32]).unwrap();
    let source = log.source();
    let hashes = countersign_tlog::proof::inclusion(&source, 3, 1).unwrap();
    let checkpoint = witness.cosign(&note, 1_700_000_000).unwrap();
    let proof = TlogProof { extra: Some(b"extra".to_vec()), index: 1, hashes, checkpoint };
    let text = format!("{}\n{}\n{proof}", log.key(), witness.verifier_key());
    assert_eq!(text, include_str!("golden.txt"));
}

#[test]
fn tiles_byte_for_byte() {
    let (source, _) = MemorySource::with_leaves(2);
    let entries = [&[0, 32][..], &leaf(0), &[0, 33], &leaf(1)].concat();
    assert_eq!(source.0["tile/entries/000.p/2"], entries);
    let mut log = Appender::new();
    let paths: Vec<_> = log.append(&vec![vec![]; 257]).unwrap().iter().map(|write| write.path.to_string()).collect();
    let expected = ["tile/entries/000", "tile/0/000", "tile/entries/001.p/1", "tile/0/001.p/1", "tile/1/000.p/1"];
    assert_eq!(paths, expected);
}
