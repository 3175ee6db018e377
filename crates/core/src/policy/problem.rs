//! What is wrong with a bundle: every problem at once, each with its file, line and column.

use std::fmt;

use cedar_policy::ffi::DetailedError;

use super::vocabulary::VocabularyError;

/// One thing that is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, by the name it was given with.
    pub file: String,
    /// Line, from 1; 0 where the problem has no place.
    pub line: usize,
    /// Column in characters, from 1; 0 where the problem has no place.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message)?,
            _ => write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The files have problems; all of them, in order of file and line.
    #[error("{}", lines(.0))]
    Policies(Vec<Problem>),
    /// The files together are larger than [`super::BUNDLE_BYTES_MAX`].
    #[error("the policy files hold {bytes} bytes; at most {max} are accepted")]
    TooLarge {
        /// How large they are.
        bytes: usize,
        /// How large they may be.
        max: usize,
    },
    /// There are more than [`super::POLICIES_MAX`] policies.
    #[error("the policy files hold {policies} policies; at most {max} are accepted")]
    TooMany {
        /// How many there are.
        policies: usize,
        /// How many there may be.
        max: usize,
    },
    /// The vocabulary is not one.
    #[error("the configured groups make no vocabulary")]
    Vocabulary(#[from] VocabularyError),
    /// The generated schema is refused by Cedar: our fault, not the author's.
    #[error("the generated schema is not valid: {0}")]
    Schema(String),
}

impl LoadError {
    /// The problems of single files, if those are what is wrong.
    pub fn problems(&self) -> &[Problem] {
        match self {
            LoadError::Policies(problems) => problems,
            LoadError::TooLarge { .. }
            | LoadError::TooMany { .. }
            | LoadError::Vocabulary(_)
            | LoadError::Schema(_) => &[],
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// A file's text, for turning byte offsets into lines and columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Place<'_> {
    /// A problem at a byte offset of the file.
    pub(super) fn problem(self, offset: Option<usize>, message: impl Into<String>, help: Option<String>) -> Problem {
        let (line, column) = offset.map_or((0, 0), |offset| position(self.text, offset));
        Problem { file: self.file.to_owned(), line, column, message: message.into(), help }
    }

    /// Cedar's own error, in one line of plain text.
    pub(super) fn cedar(self, error: &DetailedError) -> Problem {
        let first = error.source_locations.first();
        let message = match first.and_then(|place| place.label.as_deref()) {
            Some(label) if !error.message.contains(label) => format!("{}: {label}", error.message),
            _ => error.message.clone(),
        };
        self.problem(first.map(|place| place.loc.start), message, error.help.clone())
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns() {
        let text = "ab\nçd\n";
        for (offset, expected) in [(0, (1, 1)), (1, (1, 2)), (3, (2, 1)), (5, (2, 2)), (7, (3, 1)), (99, (3, 1))] {
            assert_eq!(position(text, offset), expected, "{offset}");
        }
    }
}
