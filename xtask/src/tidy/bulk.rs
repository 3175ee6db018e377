//! What has no place in the repository: what is too long to be looked at, and what is neither text nor a picture (a program, a
//! process's memory). It stays in the history for good.

use std::path::Path;

use super::Finding;

/// The longest file: 1 MiB.
const BYTES_MAX: usize = 1 << 20;
/// What is no text and may be here.
const PICTURES: [&str; 2] = ["jpg", "png"];
/// Where anything may be a few bytes of anything.
const SEEDS: &str = "fuzz/seeds";

pub(super) fn check(path: &Path, bytes: &[u8]) -> Option<Finding> {
    let message = if bytes.len() > BYTES_MAX {
        format!("has {} bytes; past {BYTES_MAX} it has no place in the repository", bytes.len())
    } else if std::str::from_utf8(bytes).is_err() && !is_picture(path) && !path.starts_with(SEEDS) {
        "is neither text nor a picture, and has no place in the repository".to_owned()
    } else {
        return None;
    };
    Some(Finding::new(path, 1, message))
}

fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|extension| PICTURES.iter().any(|picture| extension == *picture))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_dump_is_found() {
        let check = |path: &str, bytes: &[u8]| check(Path::new(path), bytes).map(|finding| finding.to_string());
        let long = check("core", &vec![b'a'; BYTES_MAX + 1]);
        assert_eq!(long.as_deref(), Some("core:1: has 1048577 bytes; past 1048576 it has no place in the repository"));
        let program = check("docs/program", b"\x7fELF\xff");
        assert_eq!(
            program.as_deref(),
            Some("docs/program:1: is neither text nor a picture, and has no place in the repository")
        );
        assert!(check("docs/screens/shown.png", b"\xff").is_none() && check("fuzz/seeds/a/b", b"\xff").is_none());
        assert!(check("docs/screens/long.png", &vec![0xff; BYTES_MAX + 1]).is_some());
        assert!(check("README.md", "ü".as_bytes()).is_none());
    }
}
