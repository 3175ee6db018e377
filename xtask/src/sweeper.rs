//! Cleans up whatever happens: Ctrl-C, a panic, even `kill -9`.
//!
//! A small shell waits at the end of a pipe. When this process ends for any reason the pipe closes, and the shell ends the
//! processes it was told of (and no others) and removes the directory. Without it a demo broken off half-way would leave a
//! PostgreSQL behind.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::trouble::{Doing, Result};

/// Reads `+PID`, `-PID` and `keep`; at the end of input ends what is left, newest first, and removes the directory.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=; keep=
# An ended process that nobody has waited for still takes signals; where there is a /proc it shows as a zombie.
runs() {
  kill -s 0 "$1" 2>/dev/null || return 1
  [ -r "/proc/$1/stat" ] || return 0
  read -r stat <"/proc/$1/stat" 2>/dev/null || return 1
  case ${stat##*) } in Z*) return 1 ;; esac
}
while read -r line; do
  case $line in
    +*) pids="${line#+} $pids" ;;
    -*) left=; for p in $pids; do [ "$p" = "${line#-}" ] || left="$left $p"; done; pids=$left ;;
    keep) keep=yes ;;
  esac
done
for p in $pids; do kill -s INT "$p" 2>/dev/null; done
for p in $pids; do
  i=0
  while runs "$p" && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
  runs "$p" && kill -s KILL "$p" 2>/dev/null
done
[ -n "$keep" ] || rm -rf -- "$1"
"#;

/// The shell behind the pipe.
#[derive(Debug)]
pub struct Sweeper {
    shell: Mutex<Child>,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Sweeper {
    /// Will remove `dir` when this process ends or [`Sweeper::finish`] is called.
    ///
    /// # Errors
    /// `sh` cannot be started.
    pub fn start(dir: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sweeper"]).arg(dir).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().doing("starting `sh`")?;
        let pipe = Mutex::new(shell.stdin.take());
        Ok(Self { shell: Mutex::new(shell), pipe })
    }

    /// Will also end this process.
    pub fn watch(&self, pid: u32) {
        self.tell(&format!("+{pid}"));
    }

    /// This process has ended and been waited for: its number may belong to another soon.
    pub fn forget(&self, pid: u32) {
        self.tell(&format!("-{pid}"));
    }

    /// Leaves the directory where it is.
    pub fn keep(&self) {
        self.tell("keep");
    }

    fn tell(&self, line: &str) {
        if let Some(pipe) = self.pipe.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = writeln!(pipe, "{line}");
        }
    }

    /// Cleans up now.
    pub fn finish(&self) {
        drop(self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.shell.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::wait;

    #[test]
    fn ends_what_it_watches_and_removes_the_directory() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("demo");
        std::fs::create_dir(&dir).unwrap();
        let mut watched = Command::new("sleep").arg("60").spawn().unwrap();
        let mut spared = Command::new("sleep").arg("60").spawn().unwrap();
        let sweeper = Sweeper::start(&dir).unwrap();
        sweeper.watch(watched.id());
        sweeper.watch(spared.id());
        sweeper.forget(spared.id());
        sweeper.finish();
        assert!(!wait(&mut watched, Duration::from_secs(1)).unwrap().success());
        assert!(spared.try_wait().unwrap().is_none());
        assert!(!dir.exists());
        spared.kill().unwrap();
        spared.wait().unwrap();
    }

    #[test]
    fn keeps_the_directory_when_told() {
        let parent = tempfile::tempdir().unwrap();
        let sweeper = Sweeper::start(parent.path()).unwrap();
        sweeper.keep();
        sweeper.finish();
        assert!(parent.path().exists());
    }
}
