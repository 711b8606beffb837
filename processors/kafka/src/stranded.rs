//! Brings back clients that have forgotten every broker.
//!
//! A broker that has just started, or that its controller has fenced for a moment, answers a request for metadata with
//! no brokers at all. librdkafka (2.10 and later, 2.12.1 here) then drops all that it knows, those of
//! `bootstrap.servers` included, and never asks anybody again: <https://github.com/confluentinc/librdkafka/issues/5301>.
//! Producers deliver nothing from then on, members of groups lose their sessions, and nothing says why. Until that is
//! mended there, each client that lives long looks at its own statistics and is given its servers anew.
//!
//! What is absent: clients that live for a few requests. They run into their time-outs and are opened anew.

use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::{Client, ClientContext};
use rdkafka::statistics::Statistics;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often a client looks, in milliseconds, as `statistics.interval.ms`.
pub(crate) const STATISTICS_INTERVAL_MS: u32 = 500;

/// What a client's context keeps for this.
pub(crate) struct Stranded {
    bootstrap: CString,
    is_stranded: AtomicBool,
}

impl Stranded {
    /// `bootstrap` as in `bootstrap.servers`.
    pub(crate) fn new(bootstrap: &str) -> Self {
        // With a zero byte in it there would be no client.
        Self { bootstrap: CString::new(bootstrap).unwrap_or_default(), is_stranded: AtomicBool::new(false) }
    }

    /// Call it with all statistics of the client.
    pub(crate) fn note(&self, statistics: &Statistics) {
        let knows_one = statistics.brokers.values().any(|broker| matches!(&*broker.source, "learned" | "configured"));
        self.is_stranded.store(!knows_one, Ordering::Relaxed);
    }

    /// Call it often: gives the client its servers anew if it knows none.
    pub(crate) fn bring_back<C: ClientContext>(&self, client: &Client<C>) {
        if self.is_stranded.load(Ordering::Relaxed) {
            self.is_stranded.store(false, Ordering::Relaxed);
            tracing::warn!("the Kafka client had forgotten all brokers (librdkafka issue 5301): it begins again");
            add_brokers(client, &self.bootstrap);
        }
    }
}

#[allow(unsafe_code, reason = "rdkafka has no safe call for it")]
fn add_brokers<C: ClientContext>(client: &Client<C>, bootstrap: &CString) {
    // SAFETY: the handle is valid for as long as `client` is borrowed, the string ends with a zero byte and is copied by
    // the call, and the call may be made from any thread.
    unsafe { rd_kafka_brokers_add(client.native_ptr(), bootstrap.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::statistics::Broker;

    #[test]
    fn a_client_without_learned_or_configured_brokers_is_stranded() {
        let with = |sources: &[&str]| {
            let broker =
                |source: &&str| (source.to_string(), Broker { source: source.to_string(), ..Broker::default() });
            Statistics { brokers: sources.iter().map(broker).collect(), ..Statistics::default() }
        };
        let stranded = Stranded::new("127.0.0.1:9092");
        for (sources, expected) in [
            (&["configured", "internal"][..], false),
            (&["learned", "logical", "internal"], false),
            (&["logical", "internal"], true),
            (&[], true),
        ] {
            stranded.note(&with(sources));
            assert_eq!(stranded.is_stranded.load(Ordering::Relaxed), expected, "{sources:?}");
        }
    }
}
