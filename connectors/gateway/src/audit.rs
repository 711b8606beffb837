//! What an auditor wants to know: what was done with users, sessions and keys, and which requests were refused for who asked
//! or how often. It goes to the topic `gateway.audit`.
//!
//! Records wait in a bounded queue. A gateway that is flooded, or that Kafka has left for long, loses some of them rather
//! than answer late; how many, it counts and logs. A record whose acknowledgement got lost is written again, so it may
//! lie in the topic twice.

use crate::identity::log::{Entry, IdentityLog};
use crate::metrics::GatewayMetrics;
use smol_str::SmolStr;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tapeline_identity::audit::{Audit as What, Caller};
use tapeline_schemas::wire::GatewayAudit;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

/// Most records that wait to be kept.
const MAX_WAITING: usize = 4_096;
/// Most records that are on their way at once.
const MAX_TOGETHER: usize = 256;
/// Pause after Kafka has not taken a record.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A request that was refused for who asked or how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Code of the problem.
    pub code: SmolStr,
    /// Method and path as the router has it, for example `POST /v1/orders`.
    pub route: String,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The user, if a valid token or key was shown.
    pub user_id: Option<SmolStr>,
    /// The API key, if it was one.
    pub key_id: Option<SmolStr>,
}

impl Refusal {
    /// Whether an auditor wants to know of an answer with this HTTP status: 401, 403, 429.
    pub const fn is_one(status: u16) -> bool {
        matches!(status, 401 | 403 | 429)
    }

    /// The record that tells of it.
    pub fn record(&self) -> GatewayAudit {
        let by_key = self.key_id.as_ref().map(|key_id| format!(" by API key {key_id}")).unwrap_or_default();
        let what = format!("{}: {}{by_key}", self.code, self.route);
        let address = self.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let caller = Caller { address, user_agent: None };
        What::Request { user_id: self.user_id.as_deref(), what: &what }.record(None, &caller, self.at_ms)
    }
}

/// Takes records; never waits.
#[derive(Clone)]
pub struct Audit {
    records: Sender<GatewayAudit>,
    /// Taken and not yet kept.
    waiting: Arc<AtomicUsize>,
    metrics: GatewayMetrics,
}

/// What is to be kept.
pub struct Records {
    /// The records, in the order in which they were noted.
    pub queue: Receiver<GatewayAudit>,
    waiting: Arc<AtomicUsize>,
    metrics: GatewayMetrics,
}

impl Audit {
    /// A queue of records.
    pub fn channel(metrics: GatewayMetrics) -> (Self, Records) {
        let (sender, queue) = channel(MAX_WAITING);
        let waiting = Arc::new(AtomicUsize::new(0));
        let records = Records { queue, waiting: Arc::clone(&waiting), metrics: metrics.clone() };
        (Self { records: sender, waiting, metrics }, records)
    }

    /// Notes a record, if there is room for it.
    pub fn note(&self, record: GatewayAudit) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.records.try_send(record).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.metrics.audit_lost();
        }
    }

    /// Whether all that was noted is kept.
    pub fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }
}

impl Records {
    /// Keeps records in the log, however often it takes.
    pub async fn keep(mut self, log: Arc<dyn IdentityLog>) {
        let (mut batch, mut lost_told) = (Vec::new(), 0);
        while self.queue.recv_many(&mut batch, MAX_TOGETHER).await > 0 {
            let mut last_said = String::new();
            while !batch.is_empty() {
                let (taken, left, why) = append(&log, std::mem::take(&mut batch)).await;
                self.waiting.fetch_sub(taken, Ordering::Relaxed);
                batch = left;
                self.tell_lost(&mut lost_told);
                let Some(why) = why else { continue };
                if why != last_said {
                    tracing::warn!(why, "audit records can't be kept: trying again");
                    last_said = why;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    fn tell_lost(&self, told: &mut u64) {
        let lost = self.metrics.audit_lost_total();
        if lost > *told {
            tracing::error!(lost = lost - *told, "audit records were lost: more came than Kafka took");
            *told = lost;
        }
    }
}

/// Appends a batch; how many were taken, those that were not, and why.
async fn append(log: &Arc<dyn IdentityLog>, batch: Vec<GatewayAudit>) -> (usize, Vec<GatewayAudit>, Option<String>) {
    let mut appending = JoinSet::new();
    for record in batch {
        let log = Arc::clone(log);
        appending.spawn(async move {
            let appended = log.append(Entry::Audit(record.clone())).await;
            appended.map(drop).map_err(|problem| (record, problem.detail))
        });
    }
    let (mut taken, mut left, mut why) = (0, Vec::new(), None);
    while let Some(done) = appending.join_next().await {
        match done {
            // A task that panicked has lost its record.
            Ok(Ok(())) | Err(_) => taken += 1,
            Ok(Err((record, detail))) => {
                left.push(record);
                why = Some(detail);
            }
        }
    }
    (taken, left, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::log::Answering;
    use crate::problem::Problem;
    use std::sync::Mutex;
    use tapeline_runtime::metrics::Metrics;

    /// Refuses each record once, then keeps it.
    #[derive(Default)]
    struct Reluctant {
        refused: Mutex<Vec<GatewayAudit>>,
        kept: Mutex<Vec<GatewayAudit>>,
    }

    impl IdentityLog for Reluctant {
        fn append(&self, entry: Entry) -> Answering<'_, i64> {
            Box::pin(async move {
                let Entry::Audit(record) = entry else { panic!("not of the audit trail: {entry:?}") };
                let mut refused = self.refused.lock().unwrap();
                if !refused.contains(&record) {
                    refused.push(record);
                    return Err(Problem::new(503, "kafka_away", "Kafka is away", "nothing was written"));
                }
                self.kept.lock().unwrap().push(record);
                Ok(0)
            })
        }

        fn end_of(&self, _topic: &'static str) -> Answering<'_, i64> {
            Box::pin(async { Ok(0) })
        }
    }

    fn refusal(number: i64) -> GatewayAudit {
        let (code, route) = ("no_token".into(), "GET /v1/orders".into());
        Refusal { at_ms: number, code, route, address: None, user_id: None, key_id: Some("k1".into()) }.record()
    }

    fn channel() -> (Audit, Records) {
        Audit::channel(GatewayMetrics::new(Metrics::new().unwrap()).unwrap())
    }

    #[tokio::test]
    async fn records_wait_until_the_log_takes_them() {
        let (audit, records) = channel();
        let log = Arc::new(Reluctant::default());
        let keeping = tokio::spawn(records.keep(Arc::clone(&log) as Arc<dyn IdentityLog>));
        (0..3).for_each(|number| audit.note(refusal(number)));
        assert!(!audit.is_idle());
        while !audit.is_idle() {
            tokio::task::yield_now().await;
        }
        let mut kept: Vec<i64> = log.kept.lock().unwrap().iter().map(|record| record.at_ms).collect();
        kept.sort_unstable();
        assert_eq!(kept, [0, 1, 2]);
        drop(audit);
        keeping.await.unwrap();
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let (audit, mut records) = channel();
        (0..MAX_WAITING as i64 + 3).for_each(|number| audit.note(refusal(number)));
        assert_eq!(audit.metrics.audit_lost_total(), 3);
        let first = records.queue.try_recv().unwrap();
        assert_eq!((first.at_ms, first.text.as_str()), (0, "no_token: GET /v1/orders by API key k1"));
        audit.note(refusal(9));
        assert_eq!(audit.metrics.audit_lost_total(), 3, "there is room again");
    }
}
