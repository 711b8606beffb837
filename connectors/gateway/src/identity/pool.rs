//! Work that takes a core for tens of milliseconds, such as hashing a password: as much at once as there are cores.

use crate::problem::Problem;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Most pieces of work that wait; a client gives up sooner than more of them are done.
const MAX_WAITING: usize = 50;

/// A bounded number of threads that may block, and a bounded queue before them.
pub struct Pool {
    places: Arc<Semaphore>,
    cores: Arc<Semaphore>,
}

impl Default for Pool {
    /// One piece of work for each core.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get), MAX_WAITING)
    }
}

impl Pool {
    fn new(cores: usize, max_waiting: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(cores + max_waiting)), cores: Arc::new(Semaphore::new(cores)) }
    }

    /// Does `work` on a thread that may block, once its turn has come.
    ///
    /// # Errors
    /// 503 if too many wait; 500 if it panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = "too many passwords are being checked at this moment: try again";
            Problem::new(503, "too_busy", "Too busy", detail).retry_after(1)
        })?;
        let bug = |what: String| Problem::new(500, "internal", "A bug", format!("a password can't be checked: {what}"));
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|error| bug(error.to_string()))?;
        let done = tokio::task::spawn_blocking(move || {
            // Whoever asked may have gone: the work goes on, and holds its places until it is done.
            let _held = (place, core);
            work()
        });
        done.await.map_err(|error| bug(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_runs_than_there_are_cores_and_beyond_the_queue_it_is_busy() {
        let pool = Arc::new(Pool::new(2, 3));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut asked = Vec::new();
        let mut gates = Vec::new();
        for number in 0..5 {
            let (open, gate) = channel::<()>();
            gates.push(open);
            let (pool, running, most) = (Arc::clone(&pool), Arc::clone(&running), Arc::clone(&most));
            asked.push(tokio::spawn(async move {
                pool.run(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let _ = gate.recv();
                    running.fetch_sub(1, Ordering::SeqCst);
                    number
                })
                .await
            }));
        }
        while pool.places.available_permits() > 0 || running.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        let refused = pool.run(|| ()).await.expect_err("no place is left");
        assert_eq!((refused.status, refused.code, refused.retry_after_s), (503, "too_busy", Some(1)));
        drop(gates);
        for (number, asked) in asked.into_iter().enumerate() {
            assert_eq!(asked.await.unwrap(), Ok(number));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_ends_one_request_and_gives_its_place_back() {
        let pool = Pool::new(1, 0);
        let failed = pool.run(|| -> () { panic!("a bug of the test") }).await;
        assert_eq!(failed.map_err(|problem| problem.status), Err(500));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }
}
