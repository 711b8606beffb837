//! What the loop has to do about an error of the database: wait, or stop.

use sqlx::postgres::PgDatabaseError;
use tapeline_runtime::sink::SinkError;

/// Classes (two characters) and codes (five) of SQLSTATE that a later try may not meet again.
const PASSING: &[&str] = &[
    "08",    // connection exception
    "53",    // out of connections, memory or disk
    "57P01", // shut down by its operator
    "57P02", // crashed
    "57P03", // starting up
    "57P05", // idle for too long
    "57014", // cancelled: statement_timeout, or an operator
    "40001", // serialization failure
    "40P01", // deadlock
    "55P03", // lock_timeout
    "25006", // read only: a failover is on the way
];

/// Maps an error; `what` says what was being done to which table.
pub(crate) fn sink_error(what: &str, error: &sqlx::Error) -> SinkError {
    match error {
        sqlx::Error::Io(_) => SinkError::Away(format!("{what}: {error}")),
        sqlx::Error::Database(inner) => match inner.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => database_error(what, error),
            None => SinkError::Fatal(format!("{what}: {error}")),
        },
        _ => SinkError::Fatal(format!("{what}: {error}")),
    }
}

/// Whether the database of the URL does not exist.
pub(crate) fn is_missing_database(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "3D000")
}

fn database_error(what: &str, error: &PgDatabaseError) -> SinkError {
    let code = error.code();
    let mut text = format!("{what}: {} (SQLSTATE {code})", error.message());
    if let Some(detail) = error.detail() {
        text.push_str("; ");
        text.push_str(detail);
    }
    if PASSING.iter().any(|passing| code.starts_with(passing)) {
        return SinkError::Away(text);
    }
    match code {
        "3D000" | "42P01" | "42703" => text.push_str(": run `tapeline apply`, which creates what is missing"),
        "28000" | "28P01" => text.push_str(": check user and password in TAPELINE_TIMESCALE_URL"),
        _ => {}
    }
    SinkError::Fatal(text)
}
