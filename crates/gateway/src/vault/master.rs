//! The master key: what the keys that seal secrets are themselves wrapped with.
//!
//! It is 32 random bytes in a file or an environment variable, written `csm_` and base64url; or it never leaves a key
//! management service, and a program of the operator's wraps and unwraps with it there.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::config::MasterKeySource;
use crate::ports::SealError;

const PREFIX: &str = "csm_";
/// How long the operator's program may take: 10 seconds.
const PROGRAM_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest text that is read from a file or a program: 64 KiB.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// Makes a master key, as text.
///
/// # Errors
/// The system gives no random bytes.
pub fn generate() -> Result<Zeroizing<String>, SealError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut()).map_err(unavailable)?;
    Ok(Zeroizing::new(format!("{PREFIX}{}\n", URL_SAFE_NO_PAD.encode(key.as_ref()))))
}

/// Writes a new master key where there is none.
///
/// # Errors
/// The file cannot be written.
pub fn create(path: &Path) -> Result<(), SealError> {
    let named = |error: io::Error| SealError::Unavailable(format!("`{}`: {error}", path.display()));
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(generate()?.as_bytes()).and_then(|()| file.sync_all()).map_err(named),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(named(error)),
    }
}

/// Whether a master key can be used: what it wraps it unwraps. Returns which it is.
///
/// # Errors
/// [`SealError`].
pub fn check(source: &MasterKeySource) -> Result<String, SealError> {
    const CONTEXT: &str = "countersign/check";
    let sample = b"countersign doctor";
    let (name, wrapped) = wrap(source, CONTEXT, sample)?;
    let unwrapped = unwrap(source, CONTEXT, &name, &wrapped)?;
    if unwrapped.as_slice() == sample { Ok(name) } else { Err(SealError::Broken) }
}

/// Wraps a key. Returns which master key it was, and the wrapped bytes.
///
/// # Errors
/// [`SealError`].
pub fn wrap(source: &MasterKeySource, context: &str, key: &[u8]) -> Result<(String, Vec<u8>), SealError> {
    match source {
        MasterKeySource::Command(command) => {
            let wrapped = run(command, "wrap", context, key)?;
            Ok((name_of_command(command), wrapped.to_vec()))
        }
        MasterKeySource::Env(_) | MasterKeySource::File(_) => {
            let master = read(source)?;
            Ok((name_of_key(&master), encrypt(&master, context, key)?))
        }
    }
}

/// Unwraps a key.
///
/// # Errors
/// [`SealError`]; also when it was wrapped with another master key.
pub fn unwrap(
    source: &MasterKeySource,
    context: &str,
    master: &str,
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    match source {
        MasterKeySource::Command(command) => run(command, "unwrap", context, wrapped),
        MasterKeySource::Env(_) | MasterKeySource::File(_) => {
            let key = read(source)?;
            if name_of_key(&key) != master {
                return Err(SealError::UnknownKey(master.to_owned()));
            }
            decrypt(&key, context, wrapped)
        }
    }
}

/// AES-256-GCM with a random nonce in front.
pub(super) fn encrypt(key: &[u8; 32], context: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
    let failed = |_| SealError::Unavailable("the cipher failed".to_owned());
    let mut sealed = Zeroizing::new(secret.to_vec());
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(failed)?;
    let nonce = key.seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut *sealed).map_err(failed)?;
    Ok([nonce.as_ref().as_slice(), &sealed].concat())
}

/// The other way round.
pub(super) fn decrypt(key: &[u8; 32], context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let broken = |_| SealError::Broken;
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::Broken)?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(broken)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(broken)?;
    let mut opened = Zeroizing::new(rest.to_vec());
    let length = key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut opened).map_err(broken)?.len();
    opened.truncate(length);
    Ok(opened)
}

fn read(source: &MasterKeySource) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let text = match source {
        MasterKeySource::File(path) => read_private(path)?,
        MasterKeySource::Env(name) => std::env::var(name).map(Zeroizing::new).map_err(|_| {
            SealError::Unavailable(format!("the environment variable `{name}` (secrets.master_key) is not set"))
        })?,
        MasterKeySource::Command(_) => return Err(SealError::Broken),
    };
    let malformed = || {
        let text = "the master key is not one: `countersign secrets generate` prints one (`csm_` and 43 characters)";
        SealError::Unavailable(text.to_owned())
    };
    let encoded = text.trim_end_matches(['\r', '\n']).strip_prefix(PREFIX).ok_or_else(malformed)?;
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| malformed())?);
    bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| malformed())
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, SealError> {
    let named =
        |problem: String| SealError::Unavailable(format!("`{}` (secrets.master_key): {problem}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| named(error.to_string()))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(named("others can read it; run `chmod 600` on it, and consider the key disclosed".to_owned()));
    }
    if metadata.len() > TEXT_BYTES_MAX {
        return Err(named("it is too long for a key".to_owned()));
    }
    fs::read_to_string(path).map(Zeroizing::new).map_err(|error| named(error.to_string()))
}

/// Tells master keys apart without telling anything of them.
fn name_of_key(key: &[u8; 32]) -> String {
    let hash = Sha256::new().chain_update(b"countersign/master/v1\0").chain_update(key).finalize();
    hex::encode(&hash[..8])
}

fn name_of_command(command: &[String]) -> String {
    command.first().map(|program| format!("command {program}")).unwrap_or_default()
}

/// Runs the operator's program: `PROGRAM… wrap|unwrap CONTEXT`, base64 in, base64 out.
fn run(command: &[String], what: &str, context: &str, input: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let fail =
        |problem: String| SealError::Unavailable(format!("secrets.master_key: `{}`: {problem}", command.join(" ")));
    let (program, arguments) = command.split_first().ok_or_else(|| fail("is empty".to_owned()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .args([what, context])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null()) // it may hold what must not be logged
        .spawn()
        .map_err(|error| fail(error.to_string()))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let text = Zeroizing::new(STANDARD.encode(input));
    // what is written is less than a pipe holds, so that this does not wait for the program
    let written = stdin.is_none_or(|mut stdin| stdin.write_all(text.as_bytes()).is_ok());
    let reader = std::thread::spawn(move || -> Option<Zeroizing<String>> {
        let mut answer = Zeroizing::new(String::new());
        stdout?.take(TEXT_BYTES_MAX).read_to_string(&mut answer).ok()?;
        Some(answer)
    });
    let end = Instant::now() + PROGRAM_TIME_MAX;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill(); // it may have ended by itself
                let _ = child.wait();
                return Err(fail(format!("did not end within {} seconds", PROGRAM_TIME_MAX.as_secs())));
            }
        }
    };
    if !status.success() || !written {
        return Err(fail(format!("failed ({status})")));
    }
    let answer = reader.join().ok().flatten().ok_or_else(|| fail("its answer cannot be read".to_owned()))?;
    let answer = STANDARD.decode(answer.trim()).map_err(|_| fail("its answer is not base64".to_owned()))?;
    Ok(Zeroizing::new(answer))
}

fn unavailable(error: impl std::fmt::Display) -> SealError {
    SealError::Unavailable(error.to_string())
}
