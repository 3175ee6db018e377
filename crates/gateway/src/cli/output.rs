//! What commands print: plain words or JSON; colour only on a terminal that wants it; nothing that moves the cursor.

use std::io::{IsTerminal as _, Write as _};

use countersign_core::card::unseen::visible;

use crate::admin;

/// An error with an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Coded {
    pub(super) exit: u8,
    pub(super) code: String,
    pub(super) message: String,
}

/// Failed.
pub(super) const FAILED: u8 = 1;
/// Used wrongly.
pub(super) const USAGE: u8 = 2;
/// Refused by policy or by the separation of duties.
pub(super) const REFUSED: u8 = 3;

/// The exit code of an error.
pub(super) fn code_of(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Coded>().map_or(FAILED, |coded| coded.exit)
}

/// Tells an error on standard error.
pub(super) fn error(error: &anyhow::Error, json: bool) {
    if json {
        let code = match (error.downcast_ref::<Coded>(), error.downcast_ref::<admin::Failure>()) {
            (Some(coded), _) => coded.code.clone(),
            (None, Some(failure)) => failure.code.clone(),
            (None, None) => "failed".to_owned(),
        };
        eprintln!("{}", serde_json::json!({"error": {"code": code, "message": format!("{error:#}")}}));
    } else {
        eprintln!("{} {}", paint(Paint::Bad, "error:", std::io::stderr().is_terminal()), safe(&format!("{error:#}")));
    }
}

/// Prints a line; a reader that has gone away is no failure.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}"); // `countersign review list | head` ends the reader early
}

/// Whether somebody watches standard error.
pub(super) fn told_on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Tells on standard error how far something is.
pub(super) fn aside(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", paint(Paint::Quiet, &safe(text), told_on_terminal())); // nobody may read it
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A colour by its meaning.
#[derive(Clone, Copy)]
pub(super) enum Paint {
    Good,
    Bad,
    Waiting,
    Quiet,
    Strong,
}

/// Colours a text for standard output, if it is a terminal and `NO_COLOR` is not set.
pub(super) fn painted(paint_as: Paint, text: &str) -> String {
    paint(paint_as, text, std::io::stdout().is_terminal())
}

fn paint(paint: Paint, text: &str, terminal: bool) -> String {
    let wanted = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if !wanted {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Good => "32",
        Paint::Bad => "31",
        Paint::Waiting => "33",
        Paint::Quiet => "2",
        Paint::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Text from outside, safe for a terminal: what cannot be seen, or moves the cursor, is shown as its code point.
pub(super) fn safe(text: &str) -> String {
    visible(text)
}

/// A table with aligned columns; the last column may be of any width.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head.get(column).map_or(0, |name| name.len())]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let print = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    line(&painted(Paint::Quiet, &print(head.to_vec())));
    for row in rows {
        line(&print(row.iter().map(String::as_str).collect()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered_by_text() {
        assert_eq!(safe("a\x1b[2Jb\u{202e}c\n"), "a<U+001B>[2Jb<U+202E>c\n");
    }
}
