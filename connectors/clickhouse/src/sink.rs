//! The sink: what is written when. Which record gives which row is in [`crate::rows`].

use crate::rows::{OffsetRow, Rows};
use crate::server::{Server, fetch, insert};
use clickhouse::Row;
use serde::Deserialize;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};
use tapeline_runtime::sink::{Sink, SinkBatch, SinkError, Span};
use tapeline_schemas::topic;

/// Topics that the view folds.
pub const TOPICS: &[&str] = &[topic::ORDERS, topic::VALIDATED, topic::REJECTED, topic::EXECUTED, topic::SETTLED];

/// A view in a ClickHouse database. Its tables must be there: see [`crate::apply`].
///
/// Its methods block and must not be called from within an asynchronous task.
pub struct ClickhouseSink {
    server: Server,
    /// Told apart from other lives of the sink: the server keeps deduplication tokens although rows were deleted, and
    /// would drop the same batch when a wiped view is filled again.
    life: u128,
}

#[derive(Row, Deserialize)]
struct Stated {
    topic: String,
    kafka_partition: i32,
    next_offset: i64,
}

impl ClickhouseSink {
    /// A sink for the database at `url`: `http[s]://[user:password@]host:port/[?database=NAME]`, database `tapeline`
    /// where it names none. Opens no connection yet.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] if the URL is not one.
    pub fn connect(url: &str) -> Result<Self, SinkError> {
        let life = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Ok(Self { server: Server::new(url)?, life })
    }

    fn stated(&self) -> Result<BTreeMap<(String, i32), i64>, SinkError> {
        let sql = "SELECT topic::String AS topic, kafka_partition, next_offset FROM view_offsets_raw FINAL";
        let rows: Vec<Stated> =
            self.server.wait(|client| async move { fetch(&client, sql, "view_offsets_raw").await })?;
        Ok(rows.into_iter().map(|row| ((row.topic, row.kafka_partition), row.next_offset)).collect())
    }

    /// Refuses a batch that does not begin where the database stands.
    fn check(&self, spans: &[Span]) -> Result<(), SinkError> {
        let stated = self.stated()?;
        for span in spans {
            let at = stated.get(&(span.topic.to_string(), span.partition)).copied().unwrap_or(0);
            if at != span.from_offset {
                return Err(SinkError::Moved(format!(
                    "{} partition {}: the database states offset {at}, the batch begins at {}",
                    span.topic, span.partition, span.from_offset
                )));
            }
        }
        Ok(())
    }

    fn token(&self, spans: &[Span]) -> String {
        let mut token = format!("{:x}", self.life);
        for span in spans {
            // Writing to a string can't fail.
            let _ = write!(token, " {}/{}:{}-{}", span.topic, span.partition, span.from_offset, span.next_offset);
        }
        token
    }
}

impl Sink for ClickhouseSink {
    fn positions(&self, partitions: &[(SmolStr, i32)]) -> Result<Vec<i64>, SinkError> {
        let stated = self.stated()?;
        let at =
            |(topic, partition): &(SmolStr, i32)| stated.get(&(topic.to_string(), *partition)).copied().unwrap_or(0);
        Ok(partitions.iter().map(at).collect())
    }

    fn write(&mut self, batch: &SinkBatch) -> Result<(), SinkError> {
        if batch.spans.is_empty() {
            return Ok(());
        }
        self.check(&batch.spans)?;
        let rows = Rows::of(&batch.records)?;
        let offsets: Vec<OffsetRow<'_>> = batch.spans.iter().map(OffsetRow::of).collect();
        let token = self.token(&batch.spans);
        self.server.wait(|client| async move {
            rows.insert(&client, &token).await?;
            // Last: only now do the views show the rows.
            insert::<OffsetRow<'_>>(&client, "view_offsets_raw", &token, &offsets).await
        })
    }
}
