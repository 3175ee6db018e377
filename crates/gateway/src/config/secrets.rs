//! `[secrets]`: where the master key comes from.

use std::path::PathBuf;

use serde::Deserialize;

use super::Error;
use super::raw::Check;

/// How secrets are kept that the gateway has to store.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// The master key; one in the data directory when absent.
    pub master_key: Option<MasterKeySource>,
    /// Master keys of before, which still open what they wrapped until the next start.
    pub previous: Vec<MasterKeySource>,
}

/// Where a master key comes from: exactly one of these keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum MasterKeySource {
    /// An environment variable of the gateway.
    Env(String),
    /// A file that only the gateway can read.
    File(PathBuf),
    /// A program that wraps and unwraps with a key that never leaves its service.
    Command(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSecrets {
    master_key: Option<MasterKeySource>,
    previous: Vec<MasterKeySource>,
}

/// The most master keys of before.
const PREVIOUS_MAX: usize = 8;

pub(super) fn secrets(check: &Check<'_>, raw: RawSecrets) -> Result<Secrets, Error> {
    if raw.previous.len() > PREVIOUS_MAX {
        return check.fail("secrets.previous", format!("names more than {PREVIOUS_MAX} keys"));
    }
    let source = |source| match source {
        MasterKeySource::File(path) => Ok(MasterKeySource::File(check.resolve(path))),
        MasterKeySource::Command(command) if command.iter().all(String::is_empty) => {
            check.fail("secrets.master_key", "names no program")
        }
        other => Ok(other),
    };
    Ok(Secrets {
        master_key: raw.master_key.map(source).transpose()?,
        previous: raw.previous.into_iter().map(source).collect::<Result<_, _>>()?,
    })
}
