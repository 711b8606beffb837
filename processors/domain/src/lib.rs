//! The rules of trading, pure and deterministic: validation, matching, settlement.
//!
//! What is absent: serde, tokio, Kafka, databases, clocks, random numbers, floating point and iteration over hash maps.
//! The same input in the same order gives the same output. Time comes from the record, identities from positions.

pub mod accepted;
pub mod command;
pub mod depth;
pub mod execution;
pub mod image;
pub mod matching;
pub mod money;
#[cfg(feature = "mutations")]
pub mod mutation;
pub mod risk;
pub mod settlement;
pub mod types;
pub mod varint;
