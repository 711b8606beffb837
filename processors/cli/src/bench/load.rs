//! The load: an upstream exchange that sends commands when they are due, or as fast as the broker takes them.
//!
//! Open loop: a command's latency counts from the moment it was due, whether or not the client could send it then. A burst
//! goes out when the one before is acknowledged: librdkafka 2.12 has one request of a partition on its way, and while the
//! next is overdue its threads ask without a pause whether it may go, which takes a core from what is measured.

use super::flow::Prepared;
use crate::latency::DueTimes;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};
use tapeline_kafka::publisher::Publisher;
use tapeline_schemas::topic;

/// Most commands of a burst: some 150 KiB for each of four partitions.
const MOST_IN_BURST: usize = 4_000;
/// Pause between two looks at clock and acknowledgements: with the 2 ms for which the client gathers records a burst goes out
/// about every 5 ms, as from a client with Kafka's own default of `linger.ms`.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How fast commands come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// So many a second, evenly.
    PerSecond(u64),
    /// As fast as the broker takes them.
    Saturating,
}

/// Sends all commands and waits until the broker has them; `due` hears when each was due.
pub(super) fn publish(publisher: &Publisher, commands: &Prepared, pace: Pace, due: Option<&DueTimes>) -> Result<()> {
    let began_at = Instant::now();
    let mut next = 0;
    while next < commands.len() {
        let reached = match pace {
            Pace::PerSecond(rate) => (began_at.elapsed().as_secs_f64() * rate as f64) as usize + 1,
            Pace::Saturating => commands.len(),
        };
        let until = reached.min(commands.len()).min(next + MOST_IN_BURST);
        if next == until || publisher.in_flight() > 0 {
            publisher.poll();
            std::thread::sleep(LOOK_EVERY);
            continue;
        }
        for index in next..until {
            let Some(command) = commands.get(index) else { break };
            if let (Some(due), Pace::PerSecond(rate)) = (due, pace) {
                due.note(command.partition, began_at + Duration::from_secs_f64(index as f64 / rate as f64))?;
            }
            publisher
                .send_bytes(topic::ORDERS, command.partition, command.key, command.payload)
                .context("publishing orders")?;
        }
        next = until;
    }
    publisher.flush().context("publishing orders")
}
