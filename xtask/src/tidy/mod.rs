//! The rules of the house that no compiler checks. Each finding names a place and says how to mend it.

mod adr;
mod bulk;
mod directions;
mod errors;
mod links;
mod manifests;
mod purity;
mod shape;
mod source;
mod threats;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use xtask::process::run as run_program;
use xtask::trouble::{Doing, Result};

const GIT_BOUND: Duration = Duration::from_secs(30);

/// A rule broken somewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: PathBuf,
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

impl Finding {
    fn new(file: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_path_buf(), line, message: message.into() }
    }
}

/// A text file of the repository; `path` is relative to its root.
#[derive(Debug, Clone)]
struct Text {
    path: PathBuf,
    text: String,
}

impl Text {
    fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "rs")
    }

    fn is_markdown(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "md")
    }

    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

/// Checks the repository.
pub(crate) fn run() -> Result<ExitCode> {
    let root = xtask::repository();
    let Files { texts, mut findings } = files(&root)?;
    findings.extend(self::findings(&root, &texts));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    for (path, lines) in shape::long(&texts) {
        println!("note: {} has {lines} lines; past {} it must be split", path.display(), shape::LINES_MAX);
    }
    println!("tidy: {} files, {} findings", texts.len(), findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn findings(root: &Path, texts: &[Text]) -> Vec<Finding> {
    let mut all = Vec::new();
    all.extend(manifests::check(texts));
    all.extend(directions::check(texts));
    all.extend(shape::check(texts));
    all.extend(words::check(texts));
    all.extend(errors::check(texts));
    all.extend(adr::check(texts));
    all.extend(links::check(root, texts));
    all.extend(purity::check(texts));
    all.extend(threats::check(texts));
    all
}

/// What Git tracks or would track.
struct Files {
    texts: Vec<Text>,
    /// What of it should not be there.
    findings: Vec<Finding>,
}

fn files(root: &Path) -> Result<Files> {
    let mut command = Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(root);
    let listed = run_program(&mut command, GIT_BOUND)?.success("`git ls-files`")?;
    let mut files = Files { texts: Vec::new(), findings: Vec::new() };
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let bytes = match std::fs::read(root.join(name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).doing(format!("reading {name}")),
        };
        files.findings.extend(bulk::check(Path::new(name), &bytes));
        if let Ok(text) = String::from_utf8(bytes) {
            files.texts.push(Text { path: PathBuf::from(name), text });
        }
    }
    Ok(files)
}

#[cfg(test)]
fn text(path: &str, text: &str) -> Text {
    Text { path: PathBuf::from(path), text: text.to_owned() }
}

#[cfg(test)]
fn messages(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_itself_is_listed() {
        let texts = super::files(&xtask::repository()).unwrap().texts;
        assert!(texts.iter().any(|text| text.path.ends_with("xtask/src/tidy/mod.rs")));
    }
}
