//! A transactional producer for tools that write rarely and must write once.
//!
//! Whoever opens a transactional id ends what its former owner left open and fences that owner: of two runs of a tool at
//! the same time, at most one commits at a time.

use crate::client::{QuietContext, producer_config, producer_error};
use crate::port::{flush, repeat, send};
use rdkafka::producer::{BaseProducer, Producer};
use std::time::Duration;
use tapeline_runtime::port::{OutRecord, PortError};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A producer whose records become visible together or not at all.
pub struct TransactionalPublisher {
    producer: BaseProducer<QuietContext>,
}

impl TransactionalPublisher {
    /// Takes the transactional id over. When this returns, all that its former owners committed can be read.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn open(bootstrap: &str, transactional_id: &str) -> Result<Self, PortError> {
        let mut config = producer_config(bootstrap, transactional_id);
        config.set("transactional.id", transactional_id).set("transaction.timeout.ms", "60000");
        let producer: BaseProducer<QuietContext> =
            config.create_with_context(QuietContext).map_err(|error| PortError::Fatal(format!("producer: {error}")))?;
        repeat(&producer, "taking over the transactional id", || producer.init_transactions(REQUEST_TIMEOUT))?;
        Ok(Self { producer })
    }

    /// Writes `records` in one transaction. After an error all or none of them are there: who wants to know reads.
    ///
    /// # Errors
    /// See [`PortError`]; [`PortError::Fenced`] if somebody else has opened the transactional id since.
    pub fn commit(&self, records: &[OutRecord]) -> Result<(), PortError> {
        let fatal = || self.producer.client().fatal_error();
        let begun = self.producer.begin_transaction();
        begun.map_err(|error| producer_error("beginning a transaction", &error, fatal()))?;
        let written = records.iter().try_for_each(|record| send(&self.producer, record.view()));
        let written = written
            .and_then(|()| flush(&self.producer))
            .and_then(|()| repeat(&self.producer, "committing", || self.producer.commit_transaction(REQUEST_TIMEOUT)));
        if written.is_err()
            && let Err(error) = self.producer.abort_transaction(REQUEST_TIMEOUT)
        {
            // The broker ends it after its time-out, or has ended it already for whoever fenced this producer.
            tracing::debug!(%error, "a transaction could not be aborted");
        }
        written
    }
}
