//! Text answers of a query, for audits and reports.

use crate::server::Server;
use tapeline_runtime::sink::SinkError;

/// Runs `sql` in the view's database and gives its rows, each value as ClickHouse prints it in TabSeparated.
///
/// # Errors
/// If the database is away or refuses the query.
pub fn query(url: &str, sql: &str) -> Result<Vec<Vec<String>>, SinkError> {
    let server = Server::new(url)?;
    let text = server.wait(|client| async move { crate::server::fetch_text(&client, sql).await })?;
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Runs a statement that gives no rows in the view's database.
///
/// # Errors
/// If the database is away or refuses the statement.
pub fn execute(url: &str, sql: &str) -> Result<(), SinkError> {
    let server = Server::new(url)?;
    server.wait(|client| async move { crate::server::execute(&client, sql, "statement").await })
}
