//! How much memory each process of a run takes at most: resident set sizes, looked at twice a second.

use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A process's memory over time: seconds since the beginning, and MiB.
pub(crate) type Curve = Vec<(f64, f64)>;

/// Looks at processes on a thread of its own.
pub(crate) struct MemoryWatch {
    curves: Arc<Mutex<BTreeMap<String, Curve>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl MemoryWatch {
    /// Looks at `processes`: name and process id.
    pub(crate) fn start(processes: Vec<(String, u32)>) -> Self {
        let (curves, stop) = (Arc::new(Mutex::new(BTreeMap::<String, Curve>::new())), Arc::new(AtomicBool::new(false)));
        let (shared, ended, began_at) = (Arc::clone(&curves), Arc::clone(&stop), Instant::now());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let seconds = began_at.elapsed().as_secs_f64();
                for (name, process_id) in &processes {
                    if let (Some(mib), Ok(mut curves)) = (resident_mib(*process_id), shared.lock()) {
                        curves.entry(name.clone()).or_default().push((seconds, mib));
                    }
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Self { curves, stop, thread }
    }

    /// What was seen.
    pub(crate) fn end(self) -> Result<BTreeMap<String, Curve>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the watch over memory panicked"))?;
        let curves = self.curves.lock().map_err(|_| anyhow::anyhow!("the watch over memory panicked"))?;
        Ok(curves.clone())
    }
}

/// The most of a curve.
pub(crate) fn peak(curve: &Curve) -> f64 {
    curve.iter().map(|point| point.1).fold(0.0, f64::max)
}

/// Resident set size of a process, if it runs.
pub(crate) fn resident_mib(process_id: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).ok()?;
    let kib: f64 =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_and_a_missing_one_none() {
        assert!(resident_mib(std::process::id()).is_some_and(|mib| mib > 0.5));
        assert_eq!(resident_mib(u32::MAX), None);
    }

    #[test]
    fn the_peak_is_the_largest_value() {
        assert_eq!(peak(&vec![(0.0, 1.0), (1.0, 7.5), (2.0, 3.0)]), 7.5);
        assert_eq!(peak(&Vec::new()), 0.0);
    }
}
