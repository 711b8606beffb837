//! The `tapeline` command as a library: each module is one of its verbs.
//!
//! What is absent: rules (domain), loops (runtime), clients of Kafka (kafka) and of the databases (connectors).

pub mod apply;
pub mod bench;
pub mod chaos;
pub mod check;
pub mod clock;
pub mod component;
pub mod demo;
pub mod dlq;
pub mod drain;
pub mod fingerprint;
pub mod latency;
pub mod parts;
pub mod plot;
pub mod publish;
mod rig;
pub mod run;
pub mod status;
pub mod table;
pub mod tx;
pub mod verify;
pub mod wait;
