//! What processes use: processor time and bytes written, of a process and all its descendants (PostgreSQL works in child
//! processes). From `/proc`.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Sub;

/// Of one process and its descendants, since their start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Seconds on a processor, in the program and in the kernel.
    pub(super) cpu_seconds: f64,
    /// Bytes that it let be written to disks; what is still in the page cache counts.
    pub(super) written_bytes: u64,
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
        }
    }
}

/// A process as `/proc/<id>/stat` tells of it.
struct Process {
    parent: u32,
    /// Its own ticks and those of children that have ended.
    ticks: u64,
}

/// Usage by name, of the processes `named` with their descendants.
pub(super) fn usage(named: &[(String, u32)]) -> Result<BTreeMap<String, Usage>> {
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("reading /proc")? {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may have ended since.
        if let Some(process) = fs::read_to_string(format!("/proc/{id}/stat")).ok().as_deref().and_then(parse) {
            processes.insert(id, process);
        }
    }
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let mut of_all: BTreeMap<String, Usage> = named.iter().map(|(name, _)| (name.clone(), Usage::default())).collect();
    for (id, process) in &processes {
        let Some(name) = named.iter().find(|(_, root)| is_within(&processes, *id, *root)).map(|(name, _)| name) else {
            continue;
        };
        let Some(usage) = of_all.get_mut(name) else { continue };
        usage.cpu_seconds += process.ticks as f64 / ticks_per_second;
        usage.written_bytes += written_bytes(*id);
    }
    Ok(of_all)
}

fn is_within(processes: &BTreeMap<u32, Process>, mut id: u32, root: u32) -> bool {
    while id != root {
        match processes.get(&id) {
            Some(process) if process.parent > 1 => id = process.parent,
            _ => return false,
        }
    }
    true
}

/// Fields of `/proc/<id>/stat` after the command's name, which may hold spaces: state, parent, ... (proc(5)).
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    // utime, stime, cutime, cstime.
    let ticks = field(14)? + field(15)? + field(16)? + field(17)?;
    Some(Process { parent: u32::try_from(field(4)?).ok()?, ticks })
}

/// Zero if the system does not tell: another user's process.
fn written_bytes(id: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{id}/io")).unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_is_no_hindrance() {
        let stat = "77 (a b) c) S 12 77 77 0 -1 4194304 100 200 0 0 5 6 7 8 20 0 1 0 100 1000 50";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.ticks), (12, 26));
    }

    #[test]
    fn a_process_that_works_uses_time() {
        let own = [("own".to_owned(), std::process::id())];
        let before = usage(&own).unwrap()["own"];
        let until = before.cpu_seconds + 0.05;
        while usage(&own).unwrap()["own"].cpu_seconds < until {}
    }
}
