//! Child processes: run to the end with a bound, or wait for a condition with a bound.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::trouble::{Doing, Result};

const POLL: Duration = Duration::from_millis(20);

/// How a program ended and what it said.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Whether it ended with 0.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output if it ended with 0.
    ///
    /// # Errors
    /// It did not; told with what it said.
    pub fn success(self, what: &str) -> Result<String> {
        if self.ok() {
            return Ok(self.stdout);
        }
        let code = self.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        crate::fail!("{what} ended with {code}: {}{}", self.stderr.trim_end(), self.stdout.trim_end())
    }
}

/// Runs a program to its end, or ends it after `bound`.
///
/// # Errors
/// It cannot be started, or takes longer than `bound`.
pub fn run(command: &mut Command, bound: Duration) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().doing(format!("starting `{name}`"))?;
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    let status = match wait(&mut child, bound) {
        Ok(status) => status,
        Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            let said = stderr.map(joined).unwrap_or_default();
            crate::fail!("`{name}` did not end within {} s: {said}", bound.as_secs());
        }
    };
    let stdout = stdout.map(joined).unwrap_or_default();
    let stderr = stderr.map(joined).unwrap_or_default();
    Ok(Finished { code: status.code(), stdout, stderr })
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn joined(handle: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&handle.join().unwrap_or_default()).into_owned()
}

/// Waits for a child, at most `bound`.
///
/// # Errors
/// The child still runs when the bound is over.
pub fn wait(child: &mut Child, bound: Duration) -> Result<ExitStatus> {
    wait_until("the program to end", bound, || child.try_wait().ok().flatten())
}

/// Polls until there is an answer, at most `bound`.
///
/// # Errors
/// There is none in time; the message names `what`.
pub fn wait_until<T>(what: &str, bound: Duration, mut poll: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + bound;
    loop {
        if let Some(answer) = poll() {
            return Ok(answer);
        }
        if Instant::now() >= end {
            crate::fail!("waited {} s for {what}", bound.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// Sends a signal by its name, such as `INT`.
pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\" 2>/dev/null", "sh", name, &pid.to_string()]).status();
}

/// The path of a program, found as the shell would.
pub fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_program(file))
}

/// Whether there is a file here that may be run.
pub fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Whether this process is root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0) || {
        let id = Command::new("id").arg("-u").output();
        id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
    }
}

/// A command as a person would type it.
pub fn as_typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_code_are_kept() {
        let finished = run(&mut sh("echo out; echo err >&2; exit 3"), Duration::from_secs(5)).unwrap();
        assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(3), "out\n", "err\n"));
        assert!(finished.success("the script").unwrap_err().to_string().contains("exit code 3: err"));
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let error = run(&mut sh("exec sleep 60"), Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }

    #[test]
    fn a_word_with_blanks_is_quoted() {
        assert_eq!(as_typed(&sh("it's")), r"sh -c 'it'\''s'");
    }
}
