//! The `tapeline` command as a library: each module is one of its verbs.
//!
//! What is absent: rules (domain), loops (runtime), clients of Kafka (kafka) and of the databases (connectors).

pub mod apply;
pub mod audit;
pub mod clock;
pub mod demo;
pub mod drain;
pub mod parts;
pub mod publish;
pub mod run;
