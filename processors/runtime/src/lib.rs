//! The runtime of Tapeline's components: what a processor and a sink are, the loops that drive them exactly once,
//! the journal, the topology, and what operations look at (metrics, health, logs).
//!
//! What is absent: any trading rule, any Kafka client (see [`port`] for what one must offer) and any database.

pub mod addresses;
pub mod dead_letter;
pub mod event_decoder;
pub mod journal;
pub mod lane;
pub mod metrics;
pub mod port;
pub mod processor;
mod restore;
pub mod serve;
pub mod sink;
pub mod sink_lane;
pub mod snapshot;
pub mod supervisor;
mod task;
pub mod topology;
pub mod wall_clock;
