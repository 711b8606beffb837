//! Text answers of queries, for audits and reports.

use crate::server::Server;
use tapeline_runtime::sink::SinkError;

/// A connection to the view's database. Making one reads the machine's root certificates, which takes 60 ms: keep it.
pub struct Session(Server);

impl Session {
    /// Prepares a connection; the first question opens it.
    ///
    /// # Errors
    /// If the address is none.
    pub fn open(url: &str) -> Result<Self, SinkError> {
        Server::new(url).map(Self)
    }

    /// Runs `sql` in the view's database and gives its rows, each value as ClickHouse prints it in TabSeparated.
    ///
    /// # Errors
    /// If the database is away or refuses the query.
    pub fn query(&self, sql: &str) -> Result<Vec<Vec<String>>, SinkError> {
        let text = self.0.wait(|client| async move { crate::server::fetch_text(&client, sql).await })?;
        Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// Runs a statement that gives no rows in the view's database.
    ///
    /// # Errors
    /// If the database is away or refuses the statement.
    pub fn execute(&self, sql: &str) -> Result<(), SinkError> {
        self.0.wait(|client| async move { crate::server::execute(&client, sql, "statement").await })
    }
}
