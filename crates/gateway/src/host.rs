//! Who else commands the gateway's host: whoever runs as the gateway's own user can open `admin.sock` and mint credentials.
//! What they cannot do is to read the gateway's memory.

use std::path::Path;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Keeps this process's memory from others: no core dumps, and no other program of the same user may read or trace it
/// (prctl(2), `PR_SET_DUMPABLE`). Upstream passwords and keys are in there.
///
/// # Errors
/// The system does not let it.
pub fn guard_memory() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// What runs as the gateway's user beside it, as far as this system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbours {
    /// The user's number.
    pub uid: u32,
    /// Names of programs, without repetition.
    pub programs: Vec<String>,
}

impl Neighbours {
    /// Looks around; `None` where there is no `/proc`.
    pub fn look() -> Option<Self> {
        let own = std::process::id();
        let uid = rustix::process::getuid().as_raw();
        let mut programs = Vec::new();
        for entry in std::fs::read_dir("/proc").ok()?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // threads of the kernel have no program
            let runs = std::fs::read_link(entry.path().join("exe"));
            if pid != own && owner(&entry.path()) == Some(uid) && runs.is_ok() {
                programs.push(std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default().trim().to_owned());
            }
        }
        programs.sort();
        programs.dedup();
        Some(Self { uid, programs })
    }

    /// What to say about it, where there is something to say.
    pub fn warning(&self) -> Option<String> {
        const NAMED_MAX: usize = 8;
        if self.programs.is_empty() {
            return None;
        }
        let named: Vec<&str> = self.programs.iter().take(NAMED_MAX).map(String::as_str).collect();
        let more = self.programs.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!(
            "other programs run as the gateway's user (uid {}): {}{more}. Whatever runs as that user can mint credentials \
             and read the gateway's secrets; give the gateway a user of its own, which agents cannot become",
            self.uid,
            named.join(", ")
        ))
    }
}

fn owner(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_named_and_counted() {
        let of =
            |programs: &[&str]| Neighbours { uid: 7, programs: programs.iter().map(|p| (*p).to_owned()).collect() };
        assert_eq!(of(&[]).warning(), None);
        assert!(of(&["bash", "claude"]).warning().is_some_and(|text| text.contains("(uid 7): bash, claude. ")));
        let many: Vec<String> = (0..10).map(|at| format!("p{at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(of(&many).warning().is_some_and(|text| text.contains("p7 and 2 more")));
    }

    #[test]
    fn whoever_runs_this_test_is_seen() {
        let found = Neighbours::look().expect("there is a /proc");
        assert!(!found.programs.is_empty(), "its parent at least");
    }
}
