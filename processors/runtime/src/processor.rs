//! What a processor is: a plain, synchronous function from a state and an event to effects, which come back as data.

use tapeline_domain::image::Image;

/// Where an event stands in the log: the only source of time and identity that a processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which of the processor's inputs.
    pub input: usize,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Broker's append time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Number of partitions of the processor's partitioned inputs.
    pub partitions: i32,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It took its effect; a business "no" is an effect too.
    Done,
    /// It means nothing here.
    Ignored(&'static str),
    /// It can't be true: to the dead letters, with this sentence.
    Poison(String),
}

/// A processor's rules.
pub trait Processor {
    /// A decoded record of one of its inputs.
    type In;
    /// An effect.
    type Out;
    /// What it knows, for one partition.
    type State: Image;

    /// The state before the first record of `partition`.
    fn new_state(&self, partition: i32) -> Self::State;

    /// Applies one event. Same state, position and event: same effects, always.
    fn apply(&self, state: &mut Self::State, at: &Position, event: Self::In, out: &mut Vec<Self::Out>) -> Verdict;
}

/// Why a record could not become an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecodable {
    /// The record is at fault: to the dead letters. A short reason code and a sentence.
    Poison {
        /// Short code, for headers and metrics.
        code: &'static str,
        /// What is wrong.
        text: String,
    },
    /// The registry is away: try again later.
    Away(String),
}

/// How a processor's records are read and written.
pub trait Coding<P: Processor> {
    /// Reads a record of input number `input`.
    ///
    /// # Errors
    /// See [`Undecodable`].
    fn decode(&mut self, input: usize, key: Option<&[u8]>, payload: Option<&[u8]>) -> Result<P::In, Undecodable>;

    /// Writes an effect as a record: sets the topic, appends key and value to the empty buffers.
    fn encode(&mut self, out: &P::Out, draft: &mut Draft);

    /// What metrics count this effect as.
    fn label(out: &P::Out) -> Label;
}

/// A record in the making. Its buffers are used again for the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// Topic.
    pub topic: &'static str,
    /// Key.
    pub key: Vec<u8>,
    /// Value.
    pub payload: Vec<u8>,
}

impl Draft {
    /// Empties the buffers.
    pub fn clear(&mut self) {
        self.key.clear();
        self.payload.clear();
    }
}

/// What metrics say of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its kind, for example `rejected`.
    pub kind: &'static str,
    /// Why, for example `INVALID_TICK`; empty where there is no reason.
    pub reason: &'static str,
    /// Append time of the command that it goes back to, for end-to-end latency.
    pub commanded_at_ms: i64,
}
