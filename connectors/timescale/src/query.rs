//! Text answers of a query, for audits and reports.

use crate::errors::sink_error;
use crate::link::Link;
use sqlx::Row;
use tapeline_runtime::sink::SinkError;

/// Runs `sql` and gives its rows; all columns must be of type text, NULL is empty.
///
/// # Errors
/// If the database is away or refuses the query.
pub fn query(url: &str, sql: &str) -> Result<Vec<Vec<String>>, SinkError> {
    let rows = Session::open(url)?.query(sql)?;
    Ok(rows.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect())
}

/// One connection for several statements, which may be those of a transaction. After an error it must not be used again:
/// the transaction is lost.
pub struct Session {
    link: Link,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// If the database is away or refuses the user.
    pub fn open(url: &str) -> Result<Self, SinkError> {
        Ok(Self { link: Link::connect_quietly(url)? })
    }

    /// Runs one or more statements and gives their rows; all columns must be of type text.
    ///
    /// # Errors
    /// If the database is away or refuses a statement.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, SinkError> {
        self.link.call(async |connection| {
            let answered = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await;
            let rows = answered.map_err(|error| sink_error("query", &error))?;
            let text = |row: &sqlx::postgres::PgRow| -> Result<Vec<Option<String>>, SinkError> {
                let cells = (0..row.len()).map(|column| row.try_get::<Option<String>, _>(column));
                cells.collect::<Result<_, _>>().map_err(|error| sink_error("query", &error))
            };
            rows.iter().map(text).collect()
        })
    }
}
