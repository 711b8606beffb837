//! Deliberate breaks, built in with the feature `mutations` only: the simulation must find each of them. Never part of a
//! normal build.

use std::cell::Cell;

/// A way to break the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A lane commits its input offsets before its outputs.
    OffsetsBeforeOutputs,
    /// A lane writes no journal.
    NoJournal,
    /// A lane's commits name no group member, so that nothing fences it.
    NoFence,
    /// A sink writes its offsets outside the transaction that holds its rows.
    SinkOffsetsApart,
    /// Funds of a cancelled order are released twice.
    ReleaseTwice,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::OffsetsBeforeOutputs, Self::NoJournal, Self::NoFence, Self::SinkOffsetsApart, Self::ReleaseTwice];

    /// Whether it is switched on for this thread.
    pub fn is_active(self) -> bool {
        ACTIVE.get() == Some(self)
    }

    /// Switches one on for this thread, or all off.
    pub fn activate(mutation: Option<Self>) {
        ACTIVE.set(mutation);
    }
}

thread_local! {
    static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
}
