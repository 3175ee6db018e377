//! PostgreSQL refuses to run as root, so root runs it as somebody else.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::process::is_root;
use crate::trouble::{Doing, Result};

/// In this order, the first that the machine has.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Who runs PostgreSQL's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Whoever we are.
    Own,
    /// Somebody else, because we are root.
    Other {
        /// Their user id.
        uid: u32,
        /// Their group id.
        gid: u32,
    },
}

impl Account {
    /// Ourselves, or an unprivileged account when we are root.
    ///
    /// # Errors
    /// We are root, and the machine knows neither `postgres` nor `nobody`.
    pub fn for_servers() -> Result<Self> {
        if !is_root() {
            return Ok(Self::Own);
        }
        let accounts = std::fs::read_to_string("/etc/passwd").doing("reading /etc/passwd")?;
        let found = CANDIDATES.iter().find_map(|name| entry(&accounts, name));
        found.doing("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")
    }

    /// A command that runs as this account.
    pub fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
        command
    }

    /// Gives a file or directory to this account.
    ///
    /// # Errors
    /// The system refuses.
    pub fn own(self, path: &Path) -> Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .doing(format!("giving {} to PostgreSQL's user", path.display())),
        }
    }
}

fn entry(accounts: &str, name: &str) -> Option<Account> {
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (uid != 0).then_some(Account::Other { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/false\nzero:x:0:0::/:/bin/sh\n";

    #[test]
    fn ids_are_read_by_whole_name() {
        assert_eq!(entry(PASSWD, "nobody"), Some(Account::Other { uid: 65534, gid: 65533 }));
        assert_eq!(entry(PASSWD, "nobod"), None);
    }

    #[test]
    fn root_by_another_name_does_not_count() {
        assert_eq!(entry(PASSWD, "zero"), None);
    }
}
