//! TimescaleDB: the pool of connections, and what its errors mean.

use crate::problem::Problem;
use anyhow::{Context, Result};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// Longest time that the server works on a statement, milliseconds.
const STATEMENT_TIMEOUT_MS: &str = "2000";
/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_CONNECTIONS: u32 = 16;
/// Topic, partition and next offset.
pub(super) const OFFSETS: &str = "SELECT topic, \"partition\", next_offset FROM view_offsets";
/// PostgreSQL's code of a statement that was ended for its time.
const QUERY_CANCELED: &str = "57014";

/// Beginnings of PostgreSQL's codes of what passes: connections, resources, operators, the system; and of a table or database
/// that is not there yet.
const PASSING_CODES: [&str; 7] = ["08", "53", "57", "58", "28", "42P01", "3D000"];

/// A struct as a row: its fields are the columns of their names.
macro_rules! from_row {
    ($name:ident { $($field:ident),* $(,)? } $($absent:ident: $default:expr)?) => {
        impl<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> for $name {
            fn from_row(row: &'r sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
                use sqlx::Row as _;
                Ok(Self { $($field: row.try_get(stringify!($field))?,)* $($absent: $default)? })
            }
        }
    };
}
pub(super) use from_row;

/// The views in TimescaleDB.
#[derive(Clone)]
pub struct Views {
    pool: PgPool,
}

impl Views {
    /// Of the database at `url`; connects when it is needed.
    ///
    /// # Errors
    /// If it is no URL; the URL is not repeated, it may hold a password.
    pub fn open(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .context("TAPELINE_TIMESCALE_URL is no database's URL: set it to postgres://user@host:port/database")?
            .application_name("tapeline-gateway")
            .options([("statement_timeout", STATEMENT_TIMEOUT_MS), ("default_transaction_read_only", "on")])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Where statements run.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The offsets that the view states, by topic and partition.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn offsets(&self) -> Result<BTreeMap<(String, i32), i64>> {
        let rows: Vec<(String, i32, i64)> = sqlx::query_as(OFFSETS).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(topic, partition, next_offset)| ((topic, partition), next_offset)).collect())
    }

    /// Reads several things of one moment.
    ///
    /// # Errors
    /// 503 if the database is away or too slow.
    pub async fn at_once<T>(
        &self,
        read: impl AsyncFnOnce(&mut sqlx::PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Problem> {
        let all = async {
            let mut transaction = self.pool.begin().await?;
            sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *transaction).await?;
            read(&mut transaction).await
        };
        all.await.map_err(|error| problem(&error))
    }

    /// Reads rows; parameters are bound, never part of the text.
    ///
    /// # Errors
    /// 503 if the database is away or too slow.
    pub async fn rows<T>(
        &self,
        query: sqlx::query::QueryAs<'_, sqlx::Postgres, T, sqlx::postgres::PgArguments>,
    ) -> Result<Vec<T>, Problem>
    where
        T: Send + Unpin + for<'r> sqlx::FromRow<'r, PgRow>,
    {
        query.fetch_all(&self.pool).await.map_err(|error| problem(&error))
    }
}

/// What an error of the database means for whoever asked.
fn problem(error: &sqlx::Error) -> Problem {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() == Some(QUERY_CANCELED) {
        let detail = "the database took too long: ask for less, or again later";
        return Problem::new(503, "view_slow", "The view is slow", detail).retry_after(2);
    }
    // What exactly it said is for operations.
    if code.as_deref().is_some_and(|code| !PASSING_CODES.iter().any(|passing| code.starts_with(passing))) {
        tracing::error!(%error, "a statement of the gateway's is wrong");
        return Problem::new(500, "internal", "A bug", "the gateway failed at this request; its log says why");
    }
    tracing::warn!(%error, "the view can't be read");
    Problem::new(503, "view_away", "The view is away", "the database is away: try again").retry_after(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_that_is_away_is_a_503_that_tells_nothing_of_it() {
        let views = Views::open("postgres://user:secret@127.0.0.1:9/none").unwrap();
        let problem = views.rows(sqlx::query_as::<_, (i64,)>("SELECT 1::bigint")).await.expect_err("nobody listens");
        assert_eq!((problem.status, problem.code, problem.retry_after_s), (503, "view_away", Some(2)));
        assert!(!problem.detail.contains("secret"));
    }

    #[test]
    fn a_bad_address_is_refused_without_its_password() {
        let error = Views::open("postgres://ann:secret@host:port/db")
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        assert!(error.contains("TAPELINE_TIMESCALE_URL") && !error.contains("secret"), "{error}");
    }
}
