//! The connection: a synchronous face over the asynchronous client, timeouts, and what each error means for the sink.
//! Knows no table.

use crate::address::Address;
use clickhouse::error::Error;
use clickhouse::{Client, Compression, Row, RowOwned, RowRead, RowWrite};
use std::future::Future;
use std::time::Duration;
use tapeline_runtime::sink::SinkError;
use tokio::runtime::Runtime;

/// How long the server may take for a query, or for one step of an insert.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server and one database in it.
pub(crate) struct Server {
    pub(crate) address: Address,
    client: Client,
    runtime: Runtime,
}

impl Server {
    /// Prepares a connection; opens none yet.
    pub(crate) fn new(url: &str) -> Result<Self, SinkError> {
        let address = Address::parse(url)?;
        let mut client = Client::default()
            .with_url(&address.url)
            // On this side of the wire compression costs more than it saves; see docs/clickhouse.md.
            .with_compression(Compression::None)
            // Acknowledged means stored: some servers buffer inserts unless told not to.
            .with_setting("async_insert", "0")
            // A part without repeated keys lets FINAL read it without merging.
            .with_setting("optimize_on_insert", "1")
            // One batch may touch any number of Kafka partitions.
            .with_setting("max_partitions_per_insert_block", "0");
        if let Some(user) = &address.user {
            client = client.with_user(user);
        }
        if let Some(password) = &address.password {
            client = client.with_password(password);
        }
        // One worker drives the sockets while the caller's thread encodes rows.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| SinkError::Fatal(format!("no thread for ClickHouse: {error}")))?;
        Ok(Self { address, client, runtime })
    }

    /// Waits for `work`, which gets a client of the database.
    pub(crate) fn wait<T, F: Future<Output = Result<T, SinkError>>>(
        &self,
        work: impl FnOnce(Client) -> F,
    ) -> Result<T, SinkError> {
        self.runtime.block_on(work(self.client.clone().with_database(&self.address.database)))
    }

    /// Runs a statement outside of the database, which may not exist yet.
    pub(crate) fn execute_outside(&self, sql: &str) -> Result<(), SinkError> {
        self.runtime.block_on(execute(&self.client, sql, &self.address.database))
    }

    /// Reads rows outside of the database, which may not exist yet.
    pub(crate) fn fetch_outside<T: RowOwned + RowRead>(&self, sql: &str) -> Result<Vec<T>, SinkError> {
        self.runtime.block_on(fetch(&self.client, sql, &self.address.database))
    }
}

/// Runs a statement; `what` is what an error names.
pub(crate) async fn execute(client: &Client, sql: &str, what: &str) -> Result<(), SinkError> {
    in_time(client.query_raw(sql).execute(), what).await
}

/// Reads rows; `what` is what an error names.
pub(crate) async fn fetch<T: RowOwned + RowRead>(client: &Client, sql: &str, what: &str) -> Result<Vec<T>, SinkError> {
    in_time(client.query_raw(sql).fetch_all::<T>(), what).await
}

/// Reads an answer as text in the format TabSeparated.
pub(crate) async fn fetch_text(client: &Client, sql: &str) -> Result<String, SinkError> {
    let answer = async {
        let mut cursor = client.query_raw(sql).fetch_bytes("TabSeparated")?;
        let mut bytes = Vec::new();
        while let Some(chunk) = cursor.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    Ok(String::from_utf8_lossy(&in_time(answer, "query").await?).into_owned())
}

/// Inserts `rows` into `table` in one insert; nothing if there are none.
pub(crate) async fn insert<'a, T: Row + RowWrite>(
    client: &Client,
    table: &str,
    token: &str,
    rows: &[T::Value<'a>],
) -> Result<(), SinkError> {
    if rows.is_empty() {
        return Ok(());
    }
    let result = async {
        let insert = client.insert::<T>(table).await?.with_timeouts(Some(TIMEOUT), Some(TIMEOUT));
        let mut insert = insert.with_setting("insert_deduplication_token", token);
        for row in rows {
            insert.write(row).await?;
        }
        insert.end().await
    };
    let result = result.await;
    if result.is_err() {
        // The table may have been made anew with other columns.
        client.clear_cached_metadata().await;
    }
    result.map_err(|error| sink_error(&error, table))
}

async fn in_time<T>(work: impl Future<Output = clickhouse::error::Result<T>>, what: &str) -> Result<T, SinkError> {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(result) => result.map_err(|error| sink_error(&error, what)),
        Err(_) => Err(SinkError::Away(format!("{what}: ClickHouse did not answer within {} s", TIMEOUT.as_secs()))),
    }
}

/// Codes of the server that pass by themselves: overload, a full or read-only disk, a server that stops or starts.
const PASSING_CODES: [u32; 17] = [
    3,   // UNEXPECTED_END_OF_FILE: the request was cut off
    159, // TIMEOUT_EXCEEDED
    160, // TOO_SLOW
    202, // TOO_MANY_SIMULTANEOUS_QUERIES
    203, // NO_FREE_CONNECTION
    209, // SOCKET_TIMEOUT
    210, // NETWORK_ERROR
    236, // ABORTED
    241, // MEMORY_LIMIT_EXCEEDED
    242, // TABLE_IS_READ_ONLY
    243, // NOT_ENOUGH_SPACE
    252, // TOO_MANY_PARTS
    319, // UNKNOWN_STATUS_OF_INSERT
    394, // QUERY_WAS_CANCELLED
    473, // DEADLOCK_AVOIDED
    745, // SERVER_OVERLOADED
    999, // KEEPER_EXCEPTION
];

/// Codes of a database or table that is not there.
const MISSING_CODES: [u32; 2] = [60, 81];

/// Codes of a table whose columns are another version's.
const COLUMN_CODES: [u32; 4] = [10, 16, 47, 53];

/// What an error of the client means.
fn sink_error(error: &Error, what: &str) -> SinkError {
    let text = chain(error);
    let foreign =
        "the table is another version's: drop the database, run `tapeline apply`, and the sink fills it again";
    match error {
        Error::Network(_) | Error::TimedOut => SinkError::Away(format!("{what}: {text}")),
        Error::BadResponse(answer) => match code(answer) {
            Some(code) if PASSING_CODES.contains(&code) => SinkError::Away(format!("{what}: {text}")),
            Some(code) if MISSING_CODES.contains(&code) => {
                SinkError::Fatal(format!("{what}: {text}; run `tapeline apply`, which makes what is missing"))
            }
            Some(code) if COLUMN_CODES.contains(&code) => SinkError::Fatal(format!("{what}: {text}; {foreign}")),
            Some(_) => SinkError::Fatal(format!("{what}: {text}")),
            // Not ClickHouse's own words: a proxy before it, or a connection that broke off within the answer.
            None => SinkError::Away(format!("{what}: {text}")),
        },
        Error::SchemaMismatch(_) => SinkError::Fatal(format!("{what}: {text}; {foreign}")),
        _ => SinkError::Fatal(format!("{what}: {text}")),
    }
}

/// The number in `Code: 241. DB::Exception: ...`.
fn code(answer: &str) -> Option<u32> {
    let (_, rest) = answer.split_once("Code: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// An error and what caused it; `connection refused` stands at the end of the chain.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> SinkError {
        sink_error(&Error::BadResponse(text.into()), "trades_raw")
    }

    #[test]
    fn overload_is_away_and_a_wrong_statement_is_fatal() {
        let away =
            ["Code: 241. DB::Exception: Memory limit", "Code: 252. DB::Exception: Too many parts", "502 Bad Gateway"];
        for text in away {
            assert!(matches!(answer(text), SinkError::Away(why) if why.contains("trades_raw")), "{text}");
        }
        for text in ["Code: 62. DB::Exception: Syntax error", "Code: 516. DB::Exception: Authentication failed"] {
            assert!(matches!(answer(text), SinkError::Fatal(why) if why.contains("trades_raw")), "{text}");
        }
        assert!(matches!(answer("Code: 60. DB::Exception"), SinkError::Fatal(why) if why.contains("tapeline apply")));
        assert!(matches!(sink_error(&Error::TimedOut, "trades_raw"), SinkError::Away(_)));
    }
}
