//! The tables and views: what is missing, and making it. Drops nothing; a view whose text changed is replaced, which
//! touches no data.

use crate::server::{Server, execute};
use clickhouse::Row;
use serde::Deserialize;
use std::collections::BTreeMap;
use tapeline_runtime::sink::SinkError;
use xxhash_rust::xxh3::xxh3_64;

/// Where a view's text has its fingerprint: in its comment, so that the server remembers it.
const DEFINITION: &str = "{definition}";

macro_rules! sql {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../sql/", $name, ".sql")))),*]
    };
}

/// Tables, by name.
const TABLES: [(&str, &str); 7] = sql![
    "view_offsets_raw",
    "commands_raw",
    "verdicts_raw",
    "executions_raw",
    "trades_raw",
    "settlements_raw",
    "postings_raw",
];

/// Views, by name, each after those that it reads.
const VIEWS: [(&str, &str); 13] = sql![
    "view_offsets",
    "commands",
    "verdicts",
    "executions",
    "trades",
    "settlements",
    "postings",
    "volume_by_minute",
    "fill_ratio",
    "turnover_by_account",
    "rejects_by_reason",
    "latency_by_stage",
    "latency_by_minute",
];

/// A database, table or view that there must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its name, with what it is: `table trades_raw`.
    pub name: String,
    /// The statement that makes it.
    pub sql: String,
    /// Whether it is there, for a view: with this text.
    pub exists: bool,
}

/// What there must be, in the order in which it is made, and whether it is there. Changes nothing.
///
/// # Errors
/// [`SinkError::Away`] if the server is; [`SinkError::Fatal`] for a wrong address or password, or if a table is missing
/// whose rows the database says it has.
pub fn plan(url: &str) -> Result<Vec<Migration>, SinkError> {
    planned(&Server::new(url)?)
}

/// Makes what is missing and replaces views whose text changed; gives what there was before. Running it again does nothing.
///
/// # Errors
/// As [`plan`]; what was made before the error stays.
pub fn apply(url: &str) -> Result<Vec<Migration>, SinkError> {
    let server = Server::new(url)?;
    let plan = planned(&server)?;
    for (at, migration) in plan.iter().enumerate().filter(|(_, migration)| !migration.exists) {
        if at == 0 {
            server.execute_outside(&migration.sql)?;
        } else {
            server.wait(|client| async move { execute(&client, &migration.sql, &migration.name).await })?;
        }
    }
    Ok(plan)
}

#[derive(Row, Deserialize)]
struct Existing {
    name: String,
    comment: String,
}

#[derive(Row, Deserialize)]
struct Count {
    count: u64,
}

fn planned(server: &Server) -> Result<Vec<Migration>, SinkError> {
    let database = &server.address.database;
    let databases: Vec<Count> =
        server.fetch_outside(&format!("SELECT count() AS count FROM system.databases WHERE name = '{database}'"))?;
    let existing: Vec<Existing> =
        server.fetch_outside(&format!("SELECT name, comment FROM system.tables WHERE database = '{database}'"))?;
    let existing: BTreeMap<String, String> = existing.into_iter().map(|row| (row.name, row.comment)).collect();
    refuse_holes(server, &existing)?;
    let mut plan = vec![Migration {
        name: format!("database {database}"),
        sql: format!("CREATE DATABASE IF NOT EXISTS {database}"),
        exists: databases.iter().any(|row| row.count > 0),
    }];
    plan.extend(TABLES.iter().map(|(name, sql)| Migration {
        name: format!("table {name}"),
        sql: (*sql).to_owned(),
        exists: existing.contains_key(*name),
    }));
    plan.extend(VIEWS.iter().map(|(name, sql)| {
        let fingerprint = format!("[definition {:016x}]", xxh3_64(sql.as_bytes()));
        Migration {
            name: format!("view {name}"),
            sql: sql.replace(DEFINITION, &fingerprint),
            exists: existing.get(*name).is_some_and(|comment| comment.ends_with(&fingerprint)),
        }
    }));
    Ok(plan)
}

/// A table made anew beside stated offsets would lack rows that the view claims to have.
fn refuse_holes(server: &Server, existing: &BTreeMap<String, String>) -> Result<(), SinkError> {
    let missing = TABLES.iter().map(|(name, _)| *name).find(|name| !existing.contains_key(*name));
    let (Some(missing), true) = (missing, existing.contains_key("view_offsets_raw")) else {
        return Ok(());
    };
    let database = &server.address.database;
    let stated: Vec<Count> =
        server.fetch_outside(&format!("SELECT count() AS count FROM {database}.view_offsets_raw"))?;
    if stated.iter().all(|row| row.count == 0) {
        return Ok(());
    }
    Err(SinkError::Fatal(format!(
        "the database {database} states offsets but lacks the table {missing}, whose rows they count: \
         stop the sink, run `DROP DATABASE {database}` in ClickHouse, then `tapeline apply`; the sink fills it again from Kafka"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_makes_what_its_name_says() {
        for (name, sql) in TABLES {
            assert!(sql.starts_with(&format!("CREATE TABLE IF NOT EXISTS {name}\n")), "{name}");
            assert!(sql.contains("\nCOMMENT '"), "{name}");
        }
        for (name, sql) in VIEWS {
            assert!(sql.starts_with(&format!("CREATE OR REPLACE VIEW {name}")), "{name}");
            assert!(sql.trim_end().ends_with("{definition}'"), "{name}");
        }
    }
}
