//! Compares what each range of a table holds with what it must hold, and names what differs.

use super::database::{Clickhouse, Timescale, Views};
use super::fold::{Fold, Shared, fold};
use super::log::{LogReader, Positions};
use super::tables::{Database, Range, RangeKey, TABLES, Table};
use super::writer::{Cell, Digest, Wanted};
use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Digests by table.
pub(super) type Digests = BTreeMap<&'static str, BTreeMap<RangeKey, Digest>>;

/// What both databases hold, each asked on a thread of its own.
pub(super) fn digests(views: &mut Views) -> Result<Digests> {
    let of = |database| TABLES.into_iter().filter(move |table| table.database == database);
    let timescale = |timescale: &mut Timescale| -> Result<Digests> {
        of(Database::Timescale).map(|table| Ok((table.id, timescale.digests(table).context(table.id)?))).collect()
    };
    let clickhouse = |clickhouse: &Clickhouse| -> Result<Digests> {
        of(Database::Clickhouse).map(|table| Ok((table.id, clickhouse.digests(table).context(table.id)?))).collect()
    };
    let (own, other) = (&mut views.timescale, &views.clickhouse);
    let (own, other) = std::thread::scope(|scope| {
        let first = scope.spawn(|| timescale(own));
        (first.join(), clickhouse(other))
    });
    let mut all = own.map_err(|_| anyhow!("asking TimescaleDB panicked"))??;
    all.extend(other?);
    Ok(all)
}

/// The first thing in a range of a table that is not as the log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// TimescaleDB or ClickHouse.
    pub database: String,
    /// Table or view.
    pub table: &'static str,
    /// The range that was compared.
    pub range: String,
    /// Topic of the record that the row goes back to, where it is one record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i64>,
    /// Its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Key columns of the row, with their values.
    pub key: String,
    /// The column that differs; `(row)` for one that is missing or that no record explains.
    pub column: String,
    /// What the log says.
    pub expected: String,
    /// What the view says.
    pub found: String,
    /// How many rows of the range differ.
    pub rows: u64,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} table {}", self.database, self.table)?;
        if let (Some(topic), Some(partition), Some(offset)) = (&self.topic, self.partition, self.offset) {
            write!(f, ", topic {topic}, partition {partition}, offset {offset}")?;
        }
        let Self { key, column, expected, found, rows, range, .. } = self;
        write!(f, ", key {key}, column {column}: expected {expected}, found {found}; {rows} rows differ in {range}")
    }
}

/// A row that has to be written, removed, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowChange {
    pub(super) key: Vec<Cell>,
    /// The row in the view, if there is one.
    pub(super) found: Option<Vec<Cell>>,
    /// The row that must be there, if one must.
    pub(super) expected: Option<Vec<Cell>>,
}

/// A range that differs, with all its rows that do.
pub(super) struct RangeDifference {
    pub(super) table: &'static Table,
    pub(super) first: Difference,
    pub(super) changes: Vec<RowChange>,
}

/// Ranges whose digests differ, and how many were compared.
pub(super) fn differing(fold: &mut Fold, found: &Digests) -> (Wanted, u64) {
    let (mut wanted, mut compared) = (Wanted::new(), 0);
    let none = BTreeMap::new();
    for (id, table) in &mut fold.tables {
        let name = table.table.id;
        let expected = table.finish();
        let found = found.get(id).unwrap_or(&none);
        let ranges: BTreeSet<&RangeKey> = expected.keys().chain(found.keys()).collect();
        compared += ranges.len() as u64;
        wanted.extend(
            ranges.into_iter().filter(|key| expected.get(*key) != found.get(*key)).map(|key| (name, key.clone())),
        );
    }
    (wanted, compared)
}

/// Folds the log once more, keeping the rows of the wanted ranges, and compares them with those of the views.
pub(super) fn locate(
    views: &mut Views,
    shared: Shared,
    log: &LogReader,
    wanted: Wanted,
) -> Result<Vec<RangeDifference>> {
    let wanted = Arc::new(wanted);
    let Shared { cut, timescale, clickhouse, .. } = shared;
    let again = fold(&Shared::new(cut, timescale, clickhouse, Some(Arc::clone(&wanted))), log)?;
    let mut differences = Vec::new();
    for table in TABLES {
        let Some(kept) = again.tables.get(table.id) else { continue };
        let mut ranges: Vec<&RangeKey> = wanted.iter().filter(|(id, _)| *id == table.id).map(|(_, key)| key).collect();
        ranges.sort();
        for range in ranges {
            let expected = kept.rows.iter().filter(|(key, _)| key == range).map(|(_, row)| row.clone()).collect();
            let changes = changes(table, expected, views.rows(table, range)?);
            let first = match changes.first() {
                Some(first) => describe(table, range, first, changes.len() as u64),
                None => unexplained(table, range),
            };
            differences.push(RangeDifference { table, first, changes });
        }
    }
    Ok(differences)
}

/// What sorts keys: numbers by value.
fn order(key: &[Cell]) -> Vec<(Option<i64>, &Cell)> {
    key.iter().map(|cell| (cell.as_ref().and_then(|text| text.parse().ok()), cell)).collect()
}

/// The rows that differ, by key.
fn changes(table: &Table, expected: Vec<Vec<Cell>>, found: Vec<Vec<Cell>>) -> Vec<RowChange> {
    let by_key = |rows: Vec<Vec<Cell>>| -> BTreeMap<Vec<Cell>, Vec<Cell>> {
        rows.into_iter().map(|row| (row[..table.key_columns].to_vec(), row)).collect()
    };
    let (expected, mut found) = (by_key(expected), by_key(found));
    let mut changes = Vec::new();
    for (key, row) in expected {
        let before = found.remove(&key);
        if before.as_ref() != Some(&row) {
            changes.push(RowChange { key, found: before, expected: Some(row) });
        }
    }
    changes.extend(found.into_iter().map(|(key, row)| RowChange { key, found: Some(row), expected: None }));
    changes.sort_by(|one, other| order(&one.key).cmp(&order(&other.key)));
    changes
}

fn shown(cell: &Cell) -> String {
    cell.clone().unwrap_or_else(|| "NULL".into())
}

fn describe(table: &Table, range: &RangeKey, change: &RowChange, rows: u64) -> Difference {
    let named = |row: &[Cell]| -> String {
        let cells = table.columns.iter().zip(row).map(|(column, cell)| format!("{}={}", column.name, shown(cell)));
        cells.collect::<Vec<_>>().join(" ")
    };
    let (column, expected, found) = match (&change.expected, &change.found) {
        (Some(expected), Some(found)) => {
            let cells = table.columns.iter().zip(expected.iter().zip(found));
            let differs = cells.into_iter().find(|(_, (expected, found))| expected != found);
            differs.map_or(("(row)".to_owned(), named(expected), named(found)), |(column, (expected, found))| {
                (column.name.to_owned(), shown(expected), shown(found))
            })
        }
        (expected, found) => {
            let row = |row: &Option<Vec<Cell>>| row.as_ref().map_or("no row".to_owned(), |row| named(row));
            ("(row)".to_owned(), row(expected), row(found))
        }
    };
    let position = position(table, range, change);
    Difference {
        database: table.database.to_string(),
        table: table.name,
        range: range.to_string(),
        topic: position.as_ref().map(|(topic, ..)| topic.clone()),
        partition: position.as_ref().map(|(_, partition, _)| *partition),
        offset: position.map(|(.., offset)| offset),
        key: named(&change.key),
        column,
        expected,
        found,
        rows,
    }
}

/// Digests that differ although each row by its key does not: rows that stand there twice.
fn unexplained(table: &Table, range: &RangeKey) -> Difference {
    let change = RowChange { key: Vec::new(), found: None, expected: None };
    Difference {
        column: "(digest)".into(),
        expected: "each row once".into(),
        found: "the rows of the log, some of them repeatedly".into(),
        ..describe(table, range, &change, 0)
    }
}

/// The record that a row goes back to. For an order it is its PLACE in `orders`.
fn position(table: &Table, range: &RangeKey, change: &RowChange) -> Option<(String, i64, i64)> {
    let RangeKey::Offsets { topic, partition, .. } = range else { return None };
    let Range::Offsets { offset, .. } = table.range else { return None };
    let row = change.expected.as_ref().or(change.found.as_ref())?;
    let number = |name: &str| {
        let column = table.columns.iter().position(|column| column.name == name)?;
        row.get(column)?.as_ref()?.parse::<i64>().ok()
    };
    let offset = number(offset).or_else(|| number("order_id").map(tapeline_domain::types::id_sequence))?;
    Some((topic.to_string(), *partition, offset))
}

/// Stated offsets that lie beyond the log.
pub(super) fn beyond(database: Database, stated: &Positions, ends: &Positions) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (topic, offsets) in &stated.0 {
        for (partition, offset) in (0..).zip(offsets) {
            let end = ends.at(topic, partition);
            if *offset > end {
                differences.push(Difference {
                    database: database.to_string(),
                    table: "view_offsets",
                    range: "all".into(),
                    topic: Some(topic.clone()),
                    partition: Some(partition.into()),
                    offset: Some(*offset),
                    key: format!("topic={topic} partition={partition}"),
                    column: "next_offset".into(),
                    expected: format!("at most {end}, the end of the log"),
                    found: offset.to_string(),
                    rows: 1,
                });
            }
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::super::tables::TS_BALANCES;
    use super::*;

    fn row(account: &str, available: &str) -> Vec<Cell> {
        [account, "USD", available, "0.00000000"].into_iter().map(|text| Some(text.to_owned())).collect()
    }

    #[test]
    fn a_changed_a_missing_and_an_invented_row_are_told_apart() {
        let expected = vec![row("a", "1.00000000"), row("b", "2.00000000"), row("c", "3.00000000")];
        let found = vec![row("a", "1.00000000"), row("c", "4.00000000"), row("d", "5.00000000")];
        let changes = changes(&TS_BALANCES, expected, found);
        let range = RangeKey::Named("USD".into());
        let told: Vec<_> = changes.iter().map(|change| describe(&TS_BALANCES, &range, change, 3)).collect();
        let told: Vec<_> = told.iter().map(|d| (d.key.as_str(), d.column.as_str(), d.found.as_str())).collect();
        let invented = "account=d asset=USD available=5.00000000 reserved=0.00000000";
        assert_eq!(
            told,
            [
                ("account=b asset=USD", "(row)", "no row"),
                ("account=c asset=USD", "available", "4.00000000"),
                ("account=d asset=USD", "(row)", invented),
            ]
        );
    }

    #[test]
    fn an_offset_beyond_the_log_is_a_difference() {
        let (mut stated, mut ends) = (Positions::default(), Positions::default());
        stated.set("orders", 1, 11);
        ends.set("orders", 1, 10);
        let told = beyond(Database::Timescale, &stated, &ends);
        assert_eq!((told.len(), told[0].found.as_str()), (1, "11"));
        assert_eq!(beyond(Database::Timescale, &ends, &stated), []);
    }
}
