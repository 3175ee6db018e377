//! The key that requests to AWS are signed with, as the vault gives it.
//!
//! A lasting key is its secret alone; its id stands in the configuration. A temporary one is what `credential_process` prints,
//! <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-sourcing-external.html>: whatever writes that to the
//! credential's file renews the key, without a restart. Deliberately absent: asking AWS for one, and its `Expiration`, since
//! AWS itself refuses what has ended.

use secrecy::SecretString;
use serde::Deserialize;

/// An access key.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// `AKIA…`, or `ASIA…` where it is a temporary one.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
    /// Where it is a temporary one.
    pub session: Option<SecretString>,
}

/// What `credential_process` prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl AccessKey {
    /// Reads a credential; `id` is the configured one.
    ///
    /// # Errors
    /// It begins as JSON and is not what `credential_process` prints. The message holds nothing of it.
    pub(super) fn read(id: &str, credential: &str) -> Result<Self, String> {
        if !credential.trim_start().starts_with('{') {
            return Ok(Self { id: id.to_owned(), secret: credential.to_owned().into(), session: None });
        }
        let Printed { access_key_id, secret_access_key, session_token } =
            serde_json::from_str(credential).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                format!("the credential is not what `credential_process` prints (line {line}, column {column})")
            })?;
        Ok(Self { id: access_key_id, secret: secret_access_key.into(), session: session_token.map(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn check(credential: &str, expected: Option<(&str, &str, Option<&str>)>) {
        let found = AccessKey::read("AKIA1", credential).ok();
        let session = |key: &AccessKey| key.session.as_ref().map(|session| session.expose_secret().to_owned());
        let found = found.map(|key| (key.id.clone(), key.secret.expose_secret().to_owned(), session(&key)));
        let expected = expected.map(|(id, secret, token)| (id.to_owned(), secret.to_owned(), token.map(str::to_owned)));
        assert_eq!(found, expected, "{credential}");
    }

    #[test]
    fn a_key_is_lasting_or_what_a_process_prints() {
        check("s3cr/et+", Some(("AKIA1", "s3cr/et+", None)));
        check(
            r#"{"Version":1,"AccessKeyId":"ASIA2","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-11-23T00:00:00Z"}"#,
            Some(("ASIA2", "s", Some("t"))),
        );
        check(r#"{"Version":1,"AccessKeyId":"AKIA3","SecretAccessKey":"s"}"#, Some(("AKIA3", "s", None)));
        check(r#"{"SecretAccessKey":"s"}"#, None);
        let error = AccessKey::read("AKIA1", r#"{"SecretAccessKey": sesame}"#).expect_err("no JSON");
        assert!(!error.contains("sesame"), "{error}");
    }
}
