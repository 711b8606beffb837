//! Which parts of the database there must be, which of them are missing, and their creation.
//!
//! What is absent: dropping or altering anything. A table of another version is refused, and the view rebuilt by hand
//! (see `docs/timescale.md`), since all of it can be folded from the topics again.

use crate::errors::{is_missing_database, sink_error};
use crate::link;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use tapeline_runtime::sink::SinkError;

/// Databases are created from a connection to this one, which every server has.
const MAINTENANCE_DATABASE: &str = "postgres";

/// Held while missing parts are created, so that two who apply at once don't meet. Any constant number.
const LOCK: &str = "SELECT pg_advisory_lock(5071231984370021)";

/// A part that the database must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// What it is, for example `table public.trades`.
    pub name: String,
    /// What creates it.
    pub sql: String,
    /// Whether it is there (from [`apply`]: whether it was there before).
    pub exists: bool,
}

/// A table or view of the schema `public`.
struct Relation {
    kind: &'static str,
    name: &'static str,
    sql: &'static str,
}

macro_rules! relation {
    ($kind:literal, $name:literal) => {
        Relation { kind: $kind, name: $name, sql: include_str!(concat!("../sql/", $name, ".sql")) }
    };
}

/// In an order in which they can be created.
const RELATIONS: [Relation; 9] = [
    relation!("table", "view_offsets"),
    relation!("table", "trades"),
    relation!("table", "candles"),
    relation!("table", "best_quotes"),
    relation!("table", "orders"),
    relation!("table", "balances"),
    relation!("view", "balance_totals"),
    relation!("view", "asset_totals"),
    relation!("view", "open_orders"),
];

/// What the database of `url` must have, in the order of creation, and whether it has it. Changes nothing.
///
/// # Errors
/// [`SinkError::Away`] if the server can't be reached now; [`SinkError::Fatal`] if the URL is wrong, the server has no
/// timescaledb extension to offer, or a table has other columns than this version needs.
pub fn plan(url: &str) -> Result<Vec<Migration>, SinkError> {
    let options = link::options(url)?;
    link::runtime()?.block_on(plan_at(&options))
}

/// Creates what is missing, the database included, and returns what [`plan`] said before. Never drops or alters anything;
/// each part is created in a transaction of its own.
///
/// # Errors
/// As [`plan`], and if the user may not create something.
pub fn apply(url: &str) -> Result<Vec<Migration>, SinkError> {
    let options = link::options(url)?;
    link::runtime()?.block_on(async {
        let planned = plan_at(&options).await?;
        if planned.iter().any(|part| !part.exists) {
            create_database(&options, &planned).await?;
            create_parts(&options).await?;
        }
        Ok(planned)
    })
}

async fn plan_at(options: &PgConnectOptions) -> Result<Vec<Migration>, SinkError> {
    let what = link::place(options);
    let database = Migration { name: database_name(options), sql: create_database_sql(options), exists: true };
    match link::open(options).await? {
        Ok(mut connection) => {
            let mut parts = vec![database];
            parts.extend(missing_parts(&mut connection).await?);
            let _ = connection.close().await;
            Ok(parts)
        }
        Err(error) if is_missing_database(&error) => {
            let mut connection = maintenance(options).await?;
            check_extension_is_offered(&mut connection).await?;
            let _ = connection.close().await;
            let mut parts = vec![Migration { exists: false, ..database }, extension(false)];
            parts.extend(RELATIONS.iter().map(|relation| relation.migration(false)));
            Ok(parts)
        }
        Err(error) => Err(sink_error(&what, &error)),
    }
}

impl Relation {
    fn migration(&self, exists: bool) -> Migration {
        Migration { name: format!("{} public.{}", self.kind, self.name), sql: self.sql.into(), exists }
    }

    /// Whether it is there.
    async fn exists(&self, connection: &mut PgConnection) -> Result<bool, SinkError> {
        let what = format!("{} {}", self.kind, self.name);
        let failed = |error| sink_error(&what, &error);
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT attname::text FROM pg_attribute
             WHERE attrelid = to_regclass('public.' || quote_ident($1)) AND attnum > 0 AND NOT attisdropped
             ORDER BY attnum",
        )
        .bind(self.name)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
        let wanted = self.columns();
        if !found.is_empty() && found != wanted {
            return Err(SinkError::Fatal(format!(
                "{} public.{} has the columns ({}), this version needs ({}): if it is an older version's, drop the \
                 view's tables as docs/timescale.md says and run `tapeline apply`; they are filled from the topics again",
                self.kind,
                self.name,
                found.join(", "),
                wanted.join(", ")
            )));
        }
        Ok(!found.is_empty())
    }

    /// Its columns: each has a comment in its file, in their order (a test holds it).
    fn columns(&self) -> Vec<&'static str> {
        let prefix = "COMMENT ON COLUMN public.";
        let names = self.sql.lines().filter_map(|line| line.strip_prefix(prefix)?.split_once(" IS "));
        names.filter_map(|(name, _)| Some(name.split_once('.')?.1.trim_matches('"'))).collect()
    }
}

async fn missing_parts(connection: &mut PgConnection) -> Result<Vec<Migration>, SinkError> {
    let failed = |error| sink_error("extension timescaledb", &error);
    let installed = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')";
    let installed: bool = sqlx::query_scalar(installed).fetch_one(&mut *connection).await.map_err(failed)?;
    if !installed {
        check_extension_is_offered(connection).await?;
    }
    let mut parts = vec![extension(installed)];
    for relation in &RELATIONS {
        parts.push(relation.migration(relation.exists(connection).await?));
    }
    Ok(parts)
}

fn extension(exists: bool) -> Migration {
    Migration { name: "extension timescaledb".into(), sql: "CREATE EXTENSION IF NOT EXISTS timescaledb".into(), exists }
}

async fn check_extension_is_offered(connection: &mut PgConnection) -> Result<(), SinkError> {
    let offered = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')";
    let offered: bool = sqlx::query_scalar(offered)
        .fetch_one(connection)
        .await
        .map_err(|error| sink_error("extension timescaledb", &error))?;
    if offered {
        return Ok(());
    }
    Err(SinkError::Fatal(
        "the PostgreSQL server of TAPELINE_TIMESCALE_URL has no timescaledb extension: install it there (2.13 or newer) \
         and add it to shared_preload_libraries, or point the variable to a server that has it"
            .into(),
    ))
}

fn database_name(options: &PgConnectOptions) -> String {
    format!("database {}", options.get_database().unwrap_or_default())
}

/// From `template0`, which nobody can be connected to: anyone connected to the template would make it fail.
fn create_database_sql(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or_default().replace('"', "\"\"");
    format!("CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'")
}

async fn maintenance(options: &PgConnectOptions) -> Result<PgConnection, SinkError> {
    let options = options.clone().database(MAINTENANCE_DATABASE);
    link::open(&options).await?.map_err(|error| sink_error(&link::place(&options), &error))
}

async fn create_database(options: &PgConnectOptions, planned: &[Migration]) -> Result<(), SinkError> {
    if planned.first().is_none_or(|database| database.exists) {
        return Ok(());
    }
    let mut connection = maintenance(options).await?;
    // A database's name can't be a parameter; it is quoted, and comes from the operator's own URL.
    let created = sqlx::raw_sql(AssertSqlSafe(create_database_sql(options))).execute(&mut connection).await;
    let _ = connection.close().await;
    match created {
        Err(error) if !is_duplicate_database(&error) => Err(sink_error(&database_name(options), &error)),
        _ => Ok(()),
    }
}

/// Somebody else created it at the same time.
fn is_duplicate_database(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "42P04" || code == "23505")
}

async fn create_parts(options: &PgConnectOptions) -> Result<(), SinkError> {
    let what = link::place(options);
    let mut connection = link::open(options).await?.map_err(|error| sink_error(&what, &error))?;
    let locked = sqlx::raw_sql(LOCK).execute(&mut connection).await;
    locked.map_err(|error| sink_error(&what, &error))?;
    // Under the lock: somebody else may have created some of it in between.
    for part in missing_parts(&mut connection).await?.into_iter().filter(|part| !part.exists) {
        tracing::info!(part = part.name, "creating");
        // All statements of one simple query are one transaction: a part is there in full or not at all.
        let created = sqlx::raw_sql(AssertSqlSafe(part.sql)).execute(&mut connection).await;
        created.map_err(|error| sink_error(&format!("creating {}", part.name), &error))?;
    }
    let _ = connection.close().await;
    Ok(())
}
