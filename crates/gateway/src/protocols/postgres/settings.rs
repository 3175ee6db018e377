//! Session settings at start-up: which a client may give, and which change how a statement's text is read.
//!
//! Settings that later statements change are described with the statement; this module only knows the start and the
//! few that are refused by whatever route, because the server would then read the text differently than the parser.

use std::collections::BTreeMap;

use super::describe::{Description, Effect, Setting};
use crate::codes::Code;
use crate::refusal::Refusal;

/// Settings that a client may give when it connects, in lower case. None of them changes rights.
const STARTUP: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "default_transaction_deferrable",
    "extra_float_digits",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "plan_cache_mode",
    "search_path",
    "statement_timeout",
    "timezone",
    "transaction_timeout",
    "work_mem",
    "xmloption",
];

/// Settings that change nothing about what a statement does: they are not part of an action's meaning.
const HARMLESS: &[&str] = &[
    "application_name",
    "client_min_messages",
    "extra_float_digits",
    "bytea_output",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "jit",
    "lc_messages",
    "lock_timeout",
    "statement_timeout",
    "transaction_timeout",
    "client_encoding",
];

/// Whether a setting is no part of an action's meaning.
pub(super) fn harmless(name: &str) -> bool {
    HARMLESS.contains(&name)
}

/// The settings of a start-up that are part of the meaning of what follows.
pub(super) fn tracked(settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    settings.iter().filter(|(name, _)| !harmless(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Checks the settings a client connects with.
///
/// # Errors
/// [`Code::SettingRefused`] for one that changes how text is read, or that is not on the list.
pub(super) fn check_startup(settings: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (name, value) in settings {
        let name = name.to_ascii_lowercase();
        check(&name, Some(value))?;
        if !STARTUP.contains(&name.as_str()) {
            return Err(refused(&name, "cannot be set when connecting through the gateway"));
        }
    }
    Ok(())
}

/// Checks what a message would set. `alone` when nothing after it is read before the server has reported its settings:
/// then a setting may be computed, for the session ends if it was one that changes how text is read.
///
/// # Errors
/// [`Code::SettingRefused`].
pub(super) fn check_message(description: &Description, alone: bool) -> Result<(), Refusal> {
    for effect in &description.effects {
        match effect {
            Effect::Set(setting) => check_setting(setting)?,
            Effect::Query { settings, .. } if alone && description.effects.len() == 1 => {
                settings.iter().filter(|setting| setting.name.is_some()).try_for_each(check_setting)?;
            }
            Effect::Query { settings, .. } | Effect::DeclareCursor { settings, .. } => {
                settings.iter().try_for_each(check_setting)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a message sets something whose name the server computes.
pub(super) fn computes_names(description: &Description) -> bool {
    let computed = |settings: &[Setting]| settings.iter().any(|setting| setting.name.is_none());
    description.effects.iter().any(|effect| matches!(effect, Effect::Query { settings, .. } if computed(settings)))
}

fn check_setting(setting: &Setting) -> Result<(), Refusal> {
    match &setting.name {
        Some(name) => check(&name.to_ascii_lowercase(), setting.value.as_deref()),
        None => Err(refused("set_config", "must name its setting as a constant")),
    }
}

/// Checks a setting as the server reports it.
///
/// # Errors
/// [`Code::SettingRefused`]; the session must end.
pub(super) fn check_reported(name: &str, value: &str) -> Result<(), Refusal> {
    check(&name.to_ascii_lowercase(), Some(value))
}

fn check(name: &str, value: Option<&str>) -> Result<(), Refusal> {
    let value = value.map(str::to_ascii_lowercase);
    match (name, value.as_deref()) {
        ("standard_conforming_strings", Some("on" | "true" | "yes" | "1")) => Ok(()),
        ("backslash_quote", Some("safe_encoding")) => Ok(()),
        ("client_encoding" | "names", Some(value)) if is_readable_encoding(value) => Ok(()),
        ("standard_conforming_strings" | "backslash_quote" | "client_encoding" | "names", _) => {
            Err(refused(name, "would make the server read statements differently than they were reviewed"))
        }
        _ => Ok(()),
    }
}

/// A value as the server reports it, as far as that can be told from the value a client gave. What differs is told again
/// once the server is connected.
pub(super) fn as_reported(name: &str, value: &str) -> String {
    let cleaned: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    match (name, cleaned.to_ascii_lowercase().as_str()) {
        ("client_encoding", "utf8" | "unicode") => "UTF8".to_owned(),
        ("client_encoding", "sqlascii") => "SQL_ASCII".to_owned(),
        _ => value.to_owned(),
    }
}

/// The server compares encodings by their letters and digits alone (`clean_encoding_name` in `encnames.c`).
fn is_readable_encoding(value: &str) -> bool {
    let cleaned: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    matches!(cleaned.as_str(), "utf8" | "unicode" | "sqlascii")
}

fn refused(name: &str, why: &str) -> Refusal {
    Refusal::new(Code::SettingRefused, format!("the setting `{name}` {why}"))
        .hint("leave it at its default; client_encoding may be UTF8 or SQL_ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_reading_is_refused() {
        for (name, value) in [
            ("standard_conforming_strings", "off"),
            ("backslash_quote", "on"),
            ("client_encoding", "LATIN1"),
            ("role", "x"),
        ] {
            let settings = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(check_startup(&settings).is_err(), "{name} = {value}");
        }
    }

    #[test]
    fn what_drivers_send_is_taken() {
        let settings =
            [("client_encoding", "'utf-8'"), ("DateStyle", "ISO"), ("TimeZone", "UTC"), ("extra_float_digits", "2")];
        let settings = settings.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        assert!(check_startup(&settings).is_ok());
    }
}
