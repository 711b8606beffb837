//! What must be done now and then: a signing key in time, repairs, and forgetting.

use super::store::Store;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapeline_runtime::metrics::LaneMetrics;

/// How long a key signs.
const ROTATE_AFTER: Duration = Duration::from_secs(12 * 3_600);
/// How often it is looked whether the key is still good.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often ended sessions are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// Pause after something could not be published.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Keeps a good signing key; ready once the first one has been read back.
pub async fn keep_signer(store: Arc<Store>, metrics: LaneMetrics) {
    store.completed().await;
    let mut forgot_at = Instant::now();
    loop {
        if store.needs_signer() {
            match store.renew_signer(ROTATE_AFTER).await {
                Ok(()) => metrics.set_ready(true),
                Err(problem) => {
                    tracing::warn!(why = problem.detail, "no new signing key: trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            }
        }
        if forgot_at.elapsed() >= FORGET_EVERY {
            store.forget_ended();
            forgot_at = Instant::now();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Publishes repairs whenever there may be some.
pub async fn keep_repaired(store: Arc<Store>) {
    loop {
        store.to_repair.notified().await;
        while let Err(problem) = store.repair().await {
            tracing::warn!(why = problem.detail, "a repair can't be published: trying again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
