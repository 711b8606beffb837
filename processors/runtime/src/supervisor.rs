//! Keeps a lane alive: builds it, runs it, and builds it anew with growing pauses while something is away. One log
//! line for each change, no exit storm. A fenced lane and a fatal error end the process.

use crate::lane::LaneError;
use crate::metrics::LaneMetrics;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A lane that worked this long has recovered: the next pause is short again.
const RECOVERED_AFTER: Duration = Duration::from_secs(10);

/// Runs `attempt` until it ends without error, is fenced or fails for good, or `stop` is set.
///
/// # Errors
/// [`LaneError::Fenced`] and [`LaneError::Fatal`] are passed on.
pub fn supervise(
    component: &str,
    metrics: &LaneMetrics,
    stop: &AtomicBool,
    mut attempt: impl FnMut() -> Result<(), LaneError>,
) -> Result<(), LaneError> {
    let mut pause = FIRST_PAUSE;
    let mut last_said = String::new();
    while !stop.load(Ordering::Relaxed) {
        let started_at = Instant::now();
        let error = match attempt() {
            Err(LaneError::Away(why)) => why,
            ended => return ended,
        };
        metrics.set_ready(false);
        metrics.restarted();
        if started_at.elapsed() > RECOVERED_AFTER {
            (pause, last_said) = (FIRST_PAUSE, String::new());
        }
        if error != last_said {
            tracing::warn!(component, error, "waiting, then starting anew");
            last_said = error;
        }
        wait(pause, stop);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

/// Sleeps for `pause`, but not past a stop.
fn wait(pause: Duration, stop: &AtomicBool) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
    }
}
