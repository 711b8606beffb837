//! What goes over the wire: the Avro schema of each topic (`schemas/*.avsc`), Rust types of the same shape,
//! the Confluent wire format, and conversions between wire and domain.
//!
//! What is absent: Kafka, the schema registry's HTTP interface (see [`codec::SchemaSource`]) and any trading rule.

pub mod body;
pub mod codec;
mod convert;
pub mod inspect;
pub mod topic;
pub mod wire;

pub use convert::Unfit;
