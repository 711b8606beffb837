//! Text answers of a query, for audits and reports.

use crate::errors::sink_error;
use crate::link::Link;
use sqlx::Row;
use tapeline_runtime::sink::SinkError;

/// Runs `sql` and gives its rows; all columns must be of type text.
///
/// # Errors
/// If the database is away or refuses the query.
pub fn query(url: &str, sql: &str) -> Result<Vec<Vec<String>>, SinkError> {
    let mut link = Link::connect(url, "")?;
    link.call(async |connection| {
        let answered = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await;
        let rows = answered.map_err(|error| sink_error("query", &error))?;
        let text = |row: &sqlx::postgres::PgRow| -> Result<Vec<String>, SinkError> {
            let cells = (0..row.len()).map(|column| row.try_get::<Option<String>, _>(column));
            let cells: Result<Vec<_>, _> = cells.map(|cell| cell.map(Option::unwrap_or_default)).collect();
            cells.map_err(|error| sink_error("query", &error))
        };
        rows.iter().map(text).collect()
    })
}
