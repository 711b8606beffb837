//! Folds topics into ClickHouse: commands, verdicts, executions, trades, settlements and postings as replacing tables,
//! and the analysts' views over them. `docs/clickhouse.md` lists every table, view and column.
//!
//! Each row's key is the position of its Kafka record, so writing it again changes nothing. The offsets are written last,
//! and every view shows exactly the records below them: a batch that was written in part is not seen.
//! What is absent: a Kafka client; [`tapeline_runtime::sink_lane`] feeds the sink.

mod address;
mod component;
mod migrate;
mod query;
mod rows;
mod server;
mod sink;

pub use component::{NAME, spawn};
pub use migrate::{Migration, apply, plan};
pub use query::Session;
pub use sink::{ClickhouseSink, TOPICS};
