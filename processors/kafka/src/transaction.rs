//! A transactional producer for tools that write rarely and must write once.
//!
//! Whoever opens a transactional id ends what its former owner left open and fences that owner: of two runs of a tool at
//! the same time, at most one commits at a time.

use crate::producer::Producer;
use tapeline_runtime::port::{OutRecord, PortError};

/// A producer whose records become visible together or not at all.
pub struct TransactionalPublisher {
    producer: Producer,
}

impl TransactionalPublisher {
    /// Takes the transactional id over. When this returns, all that its former owners committed can be read.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn open(bootstrap: &str, transactional_id: &str) -> Result<Self, PortError> {
        let mut producer = Producer::new(bootstrap, transactional_id);
        producer.claim()?;
        Ok(Self { producer })
    }

    /// Writes `records` in one transaction. After an error all or none of them are there: who wants to know reads.
    ///
    /// # Errors
    /// See [`PortError`]; [`PortError::Fenced`] if somebody else has opened the transactional id since.
    pub fn commit(&mut self, records: &[OutRecord]) -> Result<(), PortError> {
        let written = records.iter().try_for_each(|record| self.producer.send(&record.view()));
        let written = written.and_then(|()| self.producer.commit(None));
        if written.is_err()
            && let Err(error) = self.producer.abort()
        {
            // The coordinator ends it after its time-out, or has ended it already for whoever fenced this producer.
            tracing::debug!(%error, "a transaction could not be aborted");
        }
        written
    }
}
