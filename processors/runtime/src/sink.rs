//! What a sink is: something that folds topics into a database and keeps its offsets there, with the rows.
//!
//! The loop that reads Kafka and calls a sink is [`crate::sink_lane`]; databases are in `connectors/`.

use smol_str::SmolStr;
use tapeline_schemas::wire;

/// A decoded record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "most records are the large ones: boxing would cost an allocation each")]
pub enum Event {
    /// From `orders`.
    Command(wire::Command),
    /// From `orders.validated`.
    Validated(wire::ValidatedCommand),
    /// From `orders.rejected`.
    Rejected(wire::Rejection),
    /// From `trades.executed`.
    Executed(wire::Execution),
    /// From `trades.settled`.
    Settled(wire::Settlement),
    /// From `market.ticks`.
    Market(wire::MarketTick),
}

/// A decoded record and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkRecord {
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Broker's append time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// What it says; tells the topic too.
    pub event: Event,
}

/// The range of one partition that a batch covers, records that were skipped or dead-lettered included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Topic.
    pub topic: SmolStr,
    /// Partition.
    pub partition: i32,
    /// Offset that the sink stood at before: what its database states now.
    pub from_offset: i64,
    /// Offset after the last record of the batch: what its database states afterwards.
    pub next_offset: i64,
}

/// A batch of records, in order within each partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkBatch {
    /// The records.
    pub records: Vec<SinkRecord>,
    /// What it covers, one span for each partition in it.
    pub spans: Vec<Span>,
}

/// Why a sink could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The database is away or overloaded: the same batch is written again after a pause.
    #[error("the database is away: {0}")]
    Away(String),
    /// The database states another offset than the batch begins at: the answer to a write was lost, or another instance
    /// writes the same view. If the group still counts the loop as a member, it reads the positions again and goes on
    /// from there.
    #[error("the view has moved: {0}")]
    Moved(String),
    /// Anything else: stops the process.
    #[error("{0}")]
    Fatal(String),
}

/// A view in a database.
pub trait Sink: Send {
    /// The next offset to apply for each of `partitions`, as the database states it; 0 where it states nothing.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn positions(&self, partitions: &[(SmolStr, i32)]) -> Result<Vec<i64>, SinkError>;

    /// Applies `batch` and moves the stated offsets from `from_offset` to `next_offset`, so that a batch that is
    /// written twice, or was written in part before a crash, changes nothing.
    ///
    /// # Errors
    /// See [`SinkError`]; after an error the batch counts as not written.
    fn write(&mut self, batch: &SinkBatch) -> Result<(), SinkError>;
}
