//! One connection that is opened again after it was lost, behind a synchronous face.
//!
//! What is absent: a pool (a sink is one thread) and retries (the sink's loop decides when to try again).

use crate::errors::sink_error;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::str::FromStr;
use std::time::Duration;
use tapeline_runtime::sink::SinkError;
use tokio::runtime::{Builder, Runtime};

/// A server that does not answer by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Far longer than the largest batch takes: a server that has not answered by then is away.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Reads the URL of a database.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, SinkError> {
    let wrong = |why: String| {
        // Not the URL itself: it may hold a password.
        SinkError::Fatal(format!(
            "TAPELINE_TIMESCALE_URL is not a database's URL ({why}): set it to postgres://user@host:port/database"
        ))
    };
    let options = PgConnectOptions::from_str(url).map_err(|error| wrong(error.to_string()))?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err(wrong("it names no database".into()));
    }
    Ok(options.application_name("tapeline-timescale"))
}

/// A runtime for one thread.
pub(crate) fn runtime() -> Result<Runtime, SinkError> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| SinkError::Fatal(format!("can't start the database client's runtime: {error}")))
}

/// The server, for messages.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or("");
    format!("database {database} at {}:{}", options.get_host(), options.get_port())
}

/// Opens a connection; the outer error is a server that does not answer.
pub(crate) async fn open(options: &PgConnectOptions) -> Result<Result<PgConnection, sqlx::Error>, SinkError> {
    tokio::time::timeout(CONNECT_TIMEOUT, options.connect())
        .await
        .map_err(|_| SinkError::Away(format!("{} did not answer in {CONNECT_TIMEOUT:?}", place(options))))
}

/// A connection, or the promise of one.
pub(crate) struct Link {
    runtime: Runtime,
    options: PgConnectOptions,
    prepare: &'static str,
    connection: Option<PgConnection>,
}

impl Link {
    /// Connects; each new connection runs the SQL of `prepare` first.
    pub(crate) fn connect(url: &str, prepare: &'static str) -> Result<Self, SinkError> {
        Self::opened(options(url)?, prepare)
    }

    /// Connects for an audit, whose statements may take long: that is worth no line in the log.
    pub(crate) fn connect_quietly(url: &str) -> Result<Self, SinkError> {
        Self::opened(options(url)?.disable_statement_logging(), "")
    }

    fn opened(options: PgConnectOptions, prepare: &'static str) -> Result<Self, SinkError> {
        let mut link = Self { runtime: runtime()?, options, prepare, connection: None };
        link.call(async |_| Ok(()))?;
        Ok(link)
    }

    /// Does `work` on the connection. One that met an error is closed, which rolls back what it had begun;
    /// the next call opens another.
    pub(crate) fn call<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let Self { runtime, options, prepare, connection } = self;
        runtime.block_on(async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => prepared(options, prepare).await?,
            };
            let done = tokio::time::timeout(CALL_TIMEOUT, work(&mut open)).await;
            let result = done.unwrap_or_else(|_| {
                Err(SinkError::Away(format!("{} did not finish in {CALL_TIMEOUT:?}", place(options))))
            });
            if result.is_ok() {
                *connection = Some(open);
            }
            result
        })
    }
}

async fn prepared(options: &PgConnectOptions, prepare: &'static str) -> Result<PgConnection, SinkError> {
    let what = place(options);
    let mut connection = open(options).await?.map_err(|error| sink_error(&what, &error))?;
    let result = sqlx::raw_sql(prepare).execute(&mut connection).await;
    result.map_err(|error| sink_error(&format!("{what}, sql/session.sql"), &error))?;
    Ok(connection)
}
