//! What the databases hold, as a fingerprint of each table.
//!
//! A fingerprint is the number of rows and the sum of the rows' hashes: equal for equal rows in whatever order.

use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use tapeline_clickhouse::Session;
use tapeline_runtime::addresses::Addresses;

/// Number of rows and sum of their hashes.
pub type Fingerprint = (u64, String);

/// Rows of a query in TimescaleDB; all columns must be of type text.
///
/// # Errors
/// If the database refuses it.
pub fn timescale(addresses: &Addresses, sql: &str) -> Result<Vec<Vec<String>>> {
    tapeline_timescale::query(&addresses.timescale_url, sql).map_err(|error| anyhow!("TimescaleDB, {sql}: {error}"))
}

/// Rows of a query in ClickHouse.
///
/// # Errors
/// If the database refuses it.
pub fn clickhouse(addresses: &Addresses, sql: &str) -> Result<Vec<Vec<String>>> {
    ask(&session(addresses)?, sql)
}

fn session(addresses: &Addresses) -> Result<Session> {
    Session::open(&addresses.clickhouse_url).map_err(|error| anyhow!("ClickHouse: {error}"))
}

fn ask(session: &Session, sql: &str) -> Result<Vec<Vec<String>>> {
    session.query(sql).map_err(|error| anyhow!("ClickHouse, {sql}: {error}"))
}

/// The only cell of the only row.
///
/// # Errors
/// If there is none.
pub fn one(rows: Vec<Vec<String>>) -> Result<String> {
    rows.into_iter().flatten().next().context("a query gave no row")
}

/// Fingerprints of all tables of TimescaleDB and of all views of ClickHouse that show a table, offsets included.
///
/// # Errors
/// If a database does not answer.
pub fn fingerprints(addresses: &Addresses) -> Result<BTreeMap<String, Fingerprint>> {
    let mut all = BTreeMap::new();
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    for table in timescale(addresses, tables)?.into_iter().flatten() {
        let sql = format!(
            "SELECT count(*)::text, coalesce(sum(hashtextextended(row::text, 0)::numeric), 0)::text FROM public.{table} row"
        );
        all.insert(format!("timescale {table}"), fingerprint(timescale(addresses, &sql)?)?);
    }
    let views = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND \
                 concat(name, '_raw') IN (SELECT name FROM system.tables WHERE database = currentDatabase()) ORDER BY name";
    let session = session(addresses)?;
    for view in ask(&session, views)?.into_iter().flatten() {
        let sql = format!("SELECT count(), sum(cityHash64(toString(tuple(*)))) FROM {view}");
        all.insert(format!("clickhouse {view}"), fingerprint(ask(&session, &sql)?)?);
    }
    Ok(all)
}

fn fingerprint(rows: Vec<Vec<String>>) -> Result<Fingerprint> {
    let [count, hash] = <[String; 2]>::try_from(rows.into_iter().next().unwrap_or_default())
        .map_err(|row| anyhow!("a fingerprint has two cells, not {row:?}"))?;
    Ok((count.parse()?, hash))
}
