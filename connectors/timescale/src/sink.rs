//! The sink: one database transaction for each batch, offsets first.
//!
//! Offsets, then tables, in one fixed order, and rows within a table by key: two instances that write at the same
//! time wait for each other, they never deadlock.

use crate::errors::sink_error;
use crate::fold::fold;
use crate::link::Link;
use crate::rows::Rows;
use smol_str::SmolStr;
use sqlx::postgres::PgConnection;
use std::cell::RefCell;
use std::collections::HashMap;
use tapeline_runtime::sink::{Sink, SinkBatch, SinkError, Span};

const OFFSETS: &str = "SELECT topic, partition, next_offset FROM public.view_offsets
WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::int[]))";

const ADD_OFFSETS: &str = "INSERT INTO public.view_offsets (topic, partition, next_offset)
SELECT topic, partition, 0 FROM unnest($1::text[], $2::int[]) AS span (topic, partition)
ORDER BY topic, partition ON CONFLICT DO NOTHING";

const LOCK_OFFSETS: &str = "SELECT topic, partition, next_offset FROM public.view_offsets
WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::int[]))
ORDER BY topic, partition FOR UPDATE";

const MOVE_OFFSETS: &str = "UPDATE public.view_offsets AS v SET next_offset = span.next_offset
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS span (topic, partition, next_offset)
WHERE v.topic = span.topic AND v.partition = span.partition";

/// Merges the rows of one table, if there are any.
macro_rules! merge {
    ($connection:expr, $rows:expr, $table:literal) => {
        if !$rows.is_empty() {
            let merged =
                $rows.bind(include_str!(concat!("../sql/merge/", $table, ".sql"))).execute(&mut *$connection).await;
            merged.map_err(|error| sink_error(concat!("table ", $table, ", sql/merge/", $table, ".sql"), &error))?;
        }
    };
}

/// The view in TimescaleDB. Blocks its thread; must not be called from within an async runtime.
pub struct TimescaleSink {
    /// In a cell because reading offsets needs the connection too.
    link: RefCell<Link>,
}

impl TimescaleSink {
    /// Connects to the database of `url`, for example `postgres://postgres@127.0.0.1:55432/tapeline`. A connection that
    /// is lost later on makes one call end in [`SinkError::Away`]; the next one opens another.
    ///
    /// # Errors
    /// [`SinkError::Away`] if the server can't be reached now; [`SinkError::Fatal`] if the URL is wrong, the server
    /// refuses the user, or the tables are missing (see [`crate::apply`]).
    pub fn connect(url: &str) -> Result<Self, SinkError> {
        Ok(Self { link: RefCell::new(Link::connect(url, include_str!("../sql/session.sql"))?) })
    }
}

impl Sink for TimescaleSink {
    fn positions(&self, partitions: &[(SmolStr, i32)]) -> Result<Vec<i64>, SinkError> {
        let stated = self.link.borrow_mut().call(async |connection| {
            let (topics, numbers) = partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition)).unzip();
            stated_offsets(connection, OFFSETS, topics, numbers).await
        })?;
        Ok(partitions.iter().map(|(topic, partition)| stated_at(&stated, topic, *partition)).collect())
    }

    fn write(&mut self, batch: &SinkBatch) -> Result<(), SinkError> {
        if batch.spans.is_empty() {
            return Ok(());
        }
        let fold = fold(batch);
        if let Some((count, first)) = &fold.skipped {
            tracing::warn!(count, first, "records that make no sense change nothing in the view");
        }
        let rows = Rows::of(fold);
        self.link.get_mut().call(async |connection| write_rows(connection, &batch.spans, &rows).await)
    }
}

type Stated = HashMap<(String, i32), i64>;

fn stated_at(stated: &Stated, topic: &str, partition: i32) -> i64 {
    stated.get(&(topic.to_owned(), partition)).copied().unwrap_or(0)
}

async fn stated_offsets(
    connection: &mut PgConnection,
    sql: &'static str,
    topics: Vec<&str>,
    partitions: Vec<i32>,
) -> Result<Stated, SinkError> {
    let query = sqlx::query_as::<_, (String, i32, i64)>(sql).bind(topics).bind(partitions);
    let rows = query.fetch_all(connection).await;
    let rows = rows.map_err(|error| sink_error("table view_offsets, SELECT", &error))?;
    Ok(rows.into_iter().map(|(topic, partition, next_offset)| ((topic, partition), next_offset)).collect())
}

async fn write_rows(connection: &mut PgConnection, spans: &[Span], rows: &Rows<'_>) -> Result<(), SinkError> {
    execute(connection, "BEGIN").await?;
    move_offsets(connection, spans).await?;
    merge!(connection, rows.trades, "trades");
    merge!(connection, rows.candles, "candles");
    merge!(connection, rows.best_quotes, "best_quotes");
    merge!(connection, rows.orders, "orders");
    merge!(connection, rows.balances, "balances");
    execute(connection, "COMMIT").await
}

/// Compare-and-set: refuses the batch unless the database states for each span what the batch begins at.
async fn move_offsets(connection: &mut PgConnection, spans: &[Span]) -> Result<(), SinkError> {
    let topics: Vec<&str> = spans.iter().map(|span| span.topic.as_str()).collect();
    let partitions: Vec<i32> = spans.iter().map(|span| span.partition).collect();
    let next: Vec<i64> = spans.iter().map(|span| span.next_offset).collect();
    let failed = |error| sink_error("table view_offsets, compare and set", &error);

    let add = sqlx::query(ADD_OFFSETS).bind(&topics).bind(&partitions);
    add.execute(&mut *connection).await.map_err(failed)?;
    let stated = stated_offsets(connection, LOCK_OFFSETS, topics.clone(), partitions.clone()).await?;
    for span in spans {
        let found = stated_at(&stated, &span.topic, span.partition);
        if found != span.from_offset {
            return Err(SinkError::Moved(format!(
                "{}, partition {}: the batch begins at offset {}, the database states {found}",
                span.topic, span.partition, span.from_offset
            )));
        }
    }
    let advance = sqlx::query(MOVE_OFFSETS).bind(&topics).bind(&partitions).bind(&next);
    advance.execute(&mut *connection).await.map_err(failed)?;
    Ok(())
}

async fn execute(connection: &mut PgConnection, sql: &'static str) -> Result<(), SinkError> {
    let done = sqlx::raw_sql(sql).execute(connection).await;
    done.map(drop).map_err(|error| sink_error(sql, &error))
}
