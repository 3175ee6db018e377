//! A tamper-evident log in [C2SP] formats, and its offline verifier.
//!
//! Entries go in; what comes out is a folder of plain files that anyone can check with nothing but the log's public
//! key: with `countersign-verify`, with this library, or with any other tool that reads these formats.
//!
//! | File | Content | Module |
//! |---|---|---|
//! | `tile/entries/<N>[.p/<W>]` | 256 entries each | [`append`], [`tile`] |
//! | `tile/<L>/<N>[.p/<W>]` | 256 hashes each | [`append`], [`tile`] |
//! | `checkpoint` | the latest signed size and root | [`checkpoint`], [`note`] |
//! | `checkpoints` | every published checkpoint, one line each: the base64 of the signed note | [`verify`] |
//! | `*.tlog-proof` | one entry's proof, self-contained | [`proof`] |
//!
//! # Writing
//! ```
//! use countersign_tlog::{Appender, Checkpoint, Signer};
//!
//! let signer = Signer::from_seed("example.com/log", &[7; 32])?; // the seed comes from a vault
//! let mut log = Appender::new(); // or Appender::resume(size, &source)
//! for write in log.append(&[b"first entry".to_vec(), b"second entry".to_vec()])? {
//!     println!("{}: {} bytes", write.path, write.bytes.len()); // write and sync these files, then
//! }
//! let checkpoint = Checkpoint { origin: "example.com/log".to_owned(), size: log.size(), root: log.root() };
//! let note = checkpoint.sign(&signer)?; // replace `checkpoint` with this, then add its line to `checkpoints`
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Checking
//! ```no_run
//! use countersign_tlog::{DirSource, VerifierKey, verify};
//!
//! let key: VerifierKey = "example.com/log+…+…".parse()?; // from a place you trust, not from the log's folder
//! let report = verify::log(&DirSource::new("ledger"), &key, &verify::Options::default())?;
//! println!("{} leaves under root {}", report.size, report.root);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a verified log means
//! Every entry is one that the key's holder signed for, in that order, and every earlier checkpoint in the history is a
//! prefix of it. It does not mean that nothing was left out before signing, nor that nobody was shown another log: for
//! the former compare with other sources, for the latter keep a checkpoint (or let witnesses do so).
//!
//! # Purity
//! No clock, no randomness, no tasks, no globals: times, seeds and sources are arguments. Only [`DirSource`] and, with
//! the feature `http`, `HttpSource` touch the outside, and only when asked to fetch.
//!
//! [C2SP]: https://c2sp.org/tlog-tiles

pub mod append;
pub mod checkpoint;
mod edge;
mod encoding;
pub mod hash;
#[cfg(feature = "http")]
mod http;
pub mod note;
pub mod passkey;
pub mod proof;
pub mod source;
pub mod tile;
pub mod verify;

pub use append::{Appender, TileWrite};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use hash::{Hash, empty_root, leaf_hash, node_hash};
#[cfg(feature = "http")]
pub use http::HttpSource;
pub use note::{Cosigner, Signer, VerifierKey};
pub use proof::{TlogProof, TreeHead};
pub use source::{DirSource, SourceError, TileSource};
pub use tile::{LEAF_BYTES_MAX, TileKind, TilePath};
pub use verify::{Report, VerifyError};
