//! Rewrites the rows that differ, and no others.
//!
//! TimescaleDB: in one transaction that first locks `view_offsets` against the sink and checks that it states what it
//! stated when the rows were compared. So it is safe beside a running sink: a batch waits until the repair is committed;
//! and if the view has moved on, nothing is changed.
//!
//! ClickHouse: rows below the stated offsets only, which no sink writes any more. A row that no record explains is
//! deleted; one that is changed or missing is inserted, and the newest row of a key is the one that views show.

use super::compare::{RangeDifference, RowChange};
use super::database::{STATED_BY_TIMESCALE, Views, literal, positions, quoted};
use super::tables::{Column, Database, Kind, Table};
use super::writer::Cell;
use anyhow::{Context, Result, bail, ensure};
use std::time::{SystemTime, UNIX_EPOCH};
use tapeline_timescale::Session;

/// Rows in one statement.
const CHUNK: usize = 500;

/// What a repair begins with: nobody moves the offsets until it ends.
const LOCK: &str = "BEGIN; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; \
                    LOCK TABLE public.view_offsets IN SHARE ROW EXCLUSIVE MODE";

/// Mends all differences and gives the number of rows. A view over tables mends itself with them.
pub(super) fn repair(timescale_url: &str, views: &Views, all: &[RangeDifference]) -> Result<u64> {
    let of = |database| all.iter().filter(move |at| at.table.database == database && at.table.stored_in.is_some());
    let timescale: Vec<_> = of(Database::Timescale).collect();
    if !timescale.is_empty() {
        repair_timescale(timescale_url, views, &timescale)?;
    }
    for difference in of(Database::Clickhouse) {
        for statement in clickhouse_statements(difference)? {
            views.clickhouse.session.execute(&statement).context(difference.table.id)?;
        }
    }
    let stored = all.iter().filter(|difference| difference.table.stored_in.is_some());
    Ok(stored.map(|difference| difference.changes.len() as u64).sum())
}

fn repair_timescale(url: &str, views: &Views, differences: &[&RangeDifference]) -> Result<()> {
    let mut session = Session::open(url)?;
    session.query(LOCK)?;
    let stated = positions(&session.query(STATED_BY_TIMESCALE)?)?;
    if stated.0 != views.timescale.stated.0 {
        session.query("ROLLBACK")?;
        bail!(
            "TimescaleDB was not repaired, nothing in it was changed: the sink has moved the view on since it was compared. \
             Stop the sink, or let the pipeline come to rest, and run `tapeline verify --repair` again"
        );
    }
    // A row may be wanted in one range and stand in another: first all go that are wrong.
    for difference in differences {
        for statement in timescale_deletes(difference) {
            session.query(&statement).context(difference.table.id)?;
        }
    }
    for difference in differences {
        for statement in timescale_inserts(difference) {
            session.query(&statement).context(difference.table.id)?;
        }
    }
    session.query("COMMIT")?;
    Ok(())
}

fn tuple(cells: impl Iterator<Item = String>) -> String {
    format!("({})", cells.collect::<Vec<_>>().join(", "))
}

fn timescale_deletes(difference: &RangeDifference) -> Vec<String> {
    let table = difference.table;
    let wrong: Vec<&RowChange> = difference.changes.iter().filter(|change| change.found.is_some()).collect();
    let names = tuple(key_columns(table).map(|column| quoted(column.name)));
    let cell = |cell: &Cell| cell.as_ref().map_or("NULL".into(), |text| literal(text));
    let statement = |changes: &[&RowChange]| {
        let keys: Vec<String> = changes.iter().map(|change| tuple(change.key.iter().map(cell))).collect();
        format!("DELETE FROM public.{} WHERE {names} IN ({})", table.name, keys.join(", "))
    };
    wrong.chunks(CHUNK).map(statement).collect()
}

fn timescale_inserts(difference: &RangeDifference) -> Vec<String> {
    let table = difference.table;
    let right: Vec<&Vec<Cell>> = difference.changes.iter().filter_map(|change| change.expected.as_ref()).collect();
    let names = tuple(table.columns.iter().map(|column| quoted(column.name)));
    let cell = |cell: &Cell| cell.as_ref().map_or("NULL".into(), |text| literal(text));
    let statement = |rows: &[&Vec<Cell>]| {
        let rows: Vec<String> = rows.iter().map(|row| tuple(row.iter().map(cell))).collect();
        format!("INSERT INTO public.{} {names} VALUES {}", table.name, rows.join(", "))
    };
    right.chunks(CHUNK).map(statement).collect()
}

fn key_columns(table: &Table) -> impl Iterator<Item = &'static Column> + use<> {
    table.columns[..table.key_columns].iter()
}

/// A literal of ClickHouse.
fn clickhouse_literal(column: &Column, cell: &Cell) -> Result<String> {
    let Some(text) = cell else { return Ok("NULL".into()) };
    Ok(match column.kind {
        Kind::Text | Kind::Time => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        _ => {
            let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
            ensure!(is_plain, "{} is no value of {}", text, column.name);
            text.clone()
        }
    })
}

fn clickhouse_statements(difference: &RangeDifference) -> Result<Vec<String>> {
    let table = difference.table;
    let stored = table.stored_in.context("a view is not written to")?;
    let row = |cells: &[Cell]| -> Result<String> {
        let cells: Result<Vec<String>> =
            table.columns.iter().zip(cells).map(|(column, cell)| clickhouse_literal(column, cell)).collect();
        Ok(tuple(cells?.into_iter()))
    };
    // The same row may have been inserted before and deleted since: it must not pass for a repeated batch.
    let started_at = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut statements = Vec::new();
    let foreign: Vec<&RowChange> = difference.changes.iter().filter(|change| change.expected.is_none()).collect();
    for changes in foreign.chunks(CHUNK) {
        let names = tuple(key_columns(table).map(|column| column.name.to_owned()));
        let keys: Result<Vec<String>> = changes.iter().map(|change| row(&change.key)).collect();
        let keys = keys?.join(", ");
        statements
            .push(format!("DELETE FROM {stored} WHERE {names} IN ({keys}) SETTINGS lightweight_deletes_sync = 2"));
    }
    let right: Vec<&Vec<Cell>> = difference.changes.iter().filter_map(|change| change.expected.as_ref()).collect();
    for rows in right.chunks(CHUNK) {
        let names = tuple(table.columns.iter().map(|column| column.name.to_owned()));
        let rows: Result<Vec<String>> = rows.iter().map(|cells| row(cells)).collect();
        let token = format!("repair {} {}", started_at.as_nanos(), statements.len());
        let rows = rows?.join(", ");
        statements.push(format!(
            "INSERT INTO {stored} {names} SETTINGS insert_deduplication_token = '{token}' VALUES {rows}"
        ));
    }
    Ok(statements)
}

#[cfg(test)]
mod tests {
    use super::super::tables::TS_BALANCES;
    use super::super::tables::TS_ORDERS;
    use super::*;

    #[test]
    fn values_stay_values() {
        assert_eq!(literal("o'x\\"), "'o''x\\'");
        let text = Column { name: "account", kind: Kind::Text, nullable: false };
        assert_eq!(clickhouse_literal(&text, &Some("o'x\\".into())).ok().as_deref(), Some("'o\\'x\\\\'"));
        let number = Column { name: "price", kind: Kind::Amount, nullable: true };
        assert!(clickhouse_literal(&number, &Some("1) OR (1".into())).is_err());
        assert_eq!(clickhouse_literal(&number, &None).ok().as_deref(), Some("NULL"));
    }

    #[test]
    fn a_key_is_as_long_as_the_table_says() {
        assert_eq!(key_columns(&TS_BALANCES).map(|column| column.name).collect::<Vec<_>>(), ["account", "asset"]);
        assert_eq!(key_columns(&TS_ORDERS).count(), 1);
    }
}
