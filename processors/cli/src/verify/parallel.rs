//! Pieces of work on all cores.

use anyhow::{Context, Result, anyhow};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A piece of work.
pub(super) type Task<'t, T> = Box<dyn FnOnce() -> Result<T> + Send + 't>;

/// A task until somebody takes it, and its result once there is one.
type Slot<'t, T> = Mutex<(Option<Task<'t, T>>, Option<Result<T>>)>;

/// Runs tasks on all cores, two threads each, so that one computes while another waits for the broker; results in their
/// order.
pub(super) fn run_all<T: Send>(tasks: Vec<Task<'_, T>>) -> Result<Vec<T>> {
    let threads = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    let slots: Vec<Slot<'_, T>> = tasks.into_iter().map(|task| Mutex::new((Some(task), None))).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let task = slot.lock().ok().and_then(|mut slot| slot.0.take());
                    let done = task.map(|task| task());
                    if let Ok(mut slot) = slot.lock() {
                        slot.1 = done;
                    }
                }
            });
        }
    });
    let result = |slot: Slot<'_, T>| {
        let (_, done) = slot.into_inner().map_err(|_| anyhow!("a worker panicked"))?;
        done.context("a worker did not finish")?
    };
    slots.into_iter().map(result).collect()
}
