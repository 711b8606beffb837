//! Waiting for a condition, with a deadline.

use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Pause between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks again and again until `condition` holds.
///
/// # Errors
/// If it does not within `patience`, or if looking fails.
pub fn wait_until(what: &str, patience: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !condition()? {
        ensure!(Instant::now() < deadline, "{what}: not so after {patience:?}");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
