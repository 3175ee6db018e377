//! How much memory the gateway takes while something passes through it, as Linux counts it.

use std::fs;

use super::stage::GATEWAY;
use super::suites::Job;

/// The gateway's memory from a moment on; nothing on the direct side, or where there is no `/proc`.
pub(super) struct Watch {
    process: Option<(u32, u64)>,
}

impl Watch {
    pub(super) fn begin(job: &Job<'_>) -> Self {
        let pid = (job.side.name == GATEWAY).then(|| job.stage.gateway_pid()).flatten();
        let process = pid.and_then(|pid| {
            // `5` sets the peak back to what is held now (proc(5), clear_refs)
            fs::write(format!("/proc/{pid}/clear_refs"), "5").ok()?;
            Some((pid, bytes(pid, "VmRSS:")?))
        });
        Self { process }
    }

    /// How far the peak since then is above what was held at the beginning.
    pub(super) fn grown(&self) -> Option<u64> {
        let (pid, before) = self.process?;
        Some(bytes(pid, "VmHWM:")?.saturating_sub(before))
    }
}

fn bytes(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
