//! What a lane needs from a log: the one interface between the runtime and a Kafka client. The real one is in the
//! `kafka` crate; tests drive the same lane over one in memory.

use std::time::Duration;

/// A record of an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Which of the lane's inputs, by its place in [`crate::lane::LaneSpec::inputs`].
    pub input: usize,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Broker's append time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Value, if it has one.
    pub payload: Option<Vec<u8>>,
    /// Headers, untouched.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A record to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutRecord {
    /// Topic.
    pub topic: String,
    /// Partition; `None` lets the key decide (murmur2).
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub payload: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A record to write that lies elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutView<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition; `None` lets the key decide (murmur2).
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub payload: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [(String, Vec<u8>)],
}

impl<'a> OutView<'a> {
    /// A record with a key and a value and without headers.
    pub fn without_headers(topic: &'a str, partition: Option<i32>, key: &'a [u8], payload: &'a [u8]) -> Self {
        Self { topic, partition, key: Some(key), payload: Some(payload), headers: &[] }
    }
}

impl OutRecord {
    /// It, borrowed.
    pub fn view(&self) -> OutView<'_> {
        OutView {
            topic: &self.topic,
            partition: self.partition,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: &self.headers,
        }
    }
}

impl From<OutView<'_>> for OutRecord {
    fn from(view: OutView<'_>) -> Self {
        Self {
            topic: view.topic.to_owned(),
            partition: view.partition,
            key: view.key.map(<[u8]>::to_vec),
            payload: view.payload.map(<[u8]>::to_vec),
            headers: view.headers.to_vec(),
        }
    }
}

/// An input partition: index of the input and partition.
pub type InputPartition = (usize, i32);

/// What a poll brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// Nothing within the time.
    Nothing,
    /// A record of an assigned or broadcast partition.
    Record(Record),
    /// The group gave this member more partitions.
    Assigned(Vec<InputPartition>),
    /// The group took partitions away; what was read of them and not yet processed must be dropped.
    Revoked(Vec<InputPartition>),
}

/// Why the log could not do it, by what the lane must do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Another process has taken over: this one must write nothing more and end.
    #[error("fenced: {0}")]
    Fenced(String),
    /// The broker is away or the transaction was lost: start the lane anew after a pause.
    #[error("{0}")]
    Away(String),
    /// Waiting would not help: end the process.
    #[error("{0}")]
    Fatal(String),
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Offset of the first record that is still there, or will be.
    pub start: i64,
    /// At most the offset of the next record to be committed: where what this process writes from now on can be found.
    pub end: i64,
}

/// Reads one partition up to the end that it has on opening.
pub trait Reader {
    /// The next committed record, or `None` at the end.
    ///
    /// # Errors
    /// See [`PortError`].
    fn next(&mut self) -> Result<Option<Record>, PortError>;
}

/// A member of a consumer group with a transactional producer.
pub trait Port {
    /// Waits up to `wait` for a record or a change of the assignment.
    ///
    /// # Errors
    /// See [`PortError`].
    fn poll(&mut self, wait: Duration) -> Result<Polled, PortError>;

    /// Lets the broker rest between two transactions. Without a broker, in memory or in a simulation, nobody needs it.
    fn rest(&mut self, _duration: Duration) {}

    /// A reader of a partition of any topic, beginning at `from`; its records' `input` is `usize::MAX`.
    ///
    /// # Errors
    /// See [`PortError`].
    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError>;

    /// The group's committed offset of a partition.
    ///
    /// # Errors
    /// See [`PortError`].
    fn committed(&self, topic: &str, partition: i32) -> Result<Option<i64>, PortError>;

    /// Where a partition begins and ends now.
    ///
    /// # Errors
    /// See [`PortError`].
    fn bounds(&self, topic: &str, partition: i32) -> Result<Bounds, PortError>;

    /// Waits until readers of committed records can see all that a partition holds now: until no transaction is open on it,
    /// and none that was decided lacks its marker there.
    ///
    /// # Errors
    /// [`PortError::Away`] if a transaction stays open.
    fn wait_stable(&mut self, topic: &str, partition: i32) -> Result<(), PortError>;

    /// Number of partitions of a topic.
    ///
    /// # Errors
    /// See [`PortError`].
    fn partitions(&self, topic: &str) -> Result<i32, PortError>;

    /// (Re)starts reading the broadcast inputs at these offsets.
    ///
    /// # Errors
    /// See [`PortError`].
    fn follow_broadcast(&mut self, positions: &[(InputPartition, i64)]) -> Result<(), PortError>;

    /// Begins a transaction.
    ///
    /// # Errors
    /// See [`PortError`].
    fn begin(&mut self) -> Result<(), PortError>;

    /// Writes a record within the transaction.
    ///
    /// # Errors
    /// See [`PortError`].
    fn send(&mut self, record: OutView<'_>) -> Result<(), PortError>;

    /// Commits the transaction with the group's next offsets.
    ///
    /// # Errors
    /// See [`PortError`]; the transaction is then aborted or will be.
    fn commit(&mut self, offsets: &[(InputPartition, i64)]) -> Result<(), PortError>;

    /// The offset after the newest record that this port has committed to a partition of the lane's journal or snapshots;
    /// `None` before the first. Asks nobody, so that no record waits for it.
    fn written(&self, topic: &str, partition: i32) -> Option<i64>;

    /// Where each assigned partition begins, as last reported by the client.
    fn starts(&self) -> Vec<(InputPartition, i64)>;

    /// Consumer lag in records of each assigned partition, as last reported by the client.
    fn lag(&self) -> Vec<(InputPartition, i64)>;
}
