//! Asks the two databases: what they state, what each range of a table holds, and the rows of a range. Nothing here
//! changes anything; see [`super::repair`].
//!
//! TimescaleDB answers within one transaction of one snapshot, in which rows and stated offsets belong together.
//! ClickHouse's rows below a stated offset do not change any more, so its questions are limited to these.

use super::log::Positions;
use super::tables::{Column, Database, Kind, Range, RangeKey, Table};
use super::text;
use super::writer::{Cell, Digest};
use anyhow::{Context, Result, anyhow, bail, ensure};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use tapeline_schemas::topic;
use tapeline_timescale::Session;

/// The snapshot that all questions to TimescaleDB see, and how it prints.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL timezone = 'UTC'; \
                     SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL jit = off";

/// How far the view in TimescaleDB says that it is.
pub(super) const STATED_BY_TIMESCALE: &str =
    "SELECT topic, \"partition\"::text, next_offset::text FROM public.view_offsets ORDER BY 1, 2";
const STATED_BY_CLICKHOUSE: &str = "SELECT topic, kafka_partition, next_offset FROM view_offsets ORDER BY 1, 2";

/// A quoted name for TimescaleDB.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// Offsets from rows of topic, partition, next offset.
pub(super) fn positions(rows: &[Vec<Cell>]) -> Result<Positions> {
    let mut positions = Positions::default();
    for row in rows {
        let [Some(topic), Some(partition), Some(offset)] = row.as_slice() else { bail!("view_offsets: {row:?}") };
        positions.set(topic, partition.parse()?, offset.parse()?);
    }
    Ok(positions)
}

/// The view in TimescaleDB, in one snapshot.
pub(super) struct Timescale {
    session: Session,
    pub(super) stated: Positions,
}

impl Timescale {
    pub(super) fn open(url: &str) -> Result<Self> {
        let mut session = Session::open(url)?;
        session.query(BEGIN)?;
        let stated = positions(&session.query(STATED_BY_TIMESCALE)?)?;
        Ok(Self { session, stated })
    }

    pub(super) fn digests(&mut self, table: &Table) -> Result<BTreeMap<RangeKey, Digest>> {
        let columns = format!(
            "SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'public' \
             AND table_name = '{}' ORDER BY ordinal_position",
            table.name
        );
        check_columns(table, &self.session.query(&columns)?)?;
        let hashed: Vec<String> = table.columns.iter().map(|column| timescale_text(table, column)).collect();
        let hash = format!("sum(hashtextextended(concat({}, E'\\x1f'), 0))", hashed.join(", E'\\x1f', "));
        let sums: Vec<String> = amounts(table).map(|column| format!("sum({})", quoted(column.name))).collect();
        let (groups, count) = match table.range {
            Range::Offsets { partition, offset, .. } => (format!("{partition}, {offset} >> 17"), 2),
            Range::Named(name) => (name.to_owned(), 1),
        };
        let inner: Vec<String> = [groups, "count(*)".into(), hash].into_iter().chain(sums).collect();
        let width = count + 2 + amounts(table).count();
        let names: Vec<String> = (0..width).map(|index| format!("c{index}")).collect();
        let outer: Vec<String> = names.iter().map(|name| format!("{name}::text")).collect();
        let by = if count == 2 { "1, 2" } else { "1" };
        let sql = format!(
            "SELECT {} FROM (SELECT {} FROM public.{} GROUP BY {by}) AS ranges ({})",
            outer.join(", "),
            inner.join(", "),
            table.name,
            names.join(", ")
        );
        let rows = self.session.query(&sql)?;
        rows.into_iter().map(|row| digest(table, row)).collect()
    }

    pub(super) fn rows(&mut self, table: &Table, range: &RangeKey) -> Result<Vec<Vec<Cell>>> {
        let columns: Vec<String> = table.columns.iter().map(|column| timescale_cell(table, column)).collect();
        let condition = match (&table.range, range) {
            (Range::Offsets { partition, offset, .. }, RangeKey::Offsets { partition: at, index, .. }) => {
                format!("{partition} = {at} AND {offset} >> 17 = {index}")
            }
            (Range::Named(expression), RangeKey::Named(name)) => format!("{expression} = {}", literal(name)),
            _ => bail!("{} has no range {range}", table.id),
        };
        Ok(self.session.query(&format!(
            "SELECT {} FROM public.{} WHERE {condition}",
            columns.join(", "),
            table.name
        ))?)
    }
}

/// The view in ClickHouse below what it stated.
pub(super) struct Clickhouse {
    pub(super) session: tapeline_clickhouse::Session,
    pub(super) stated: Positions,
}

impl Clickhouse {
    pub(super) fn open(url: &str) -> Result<Self> {
        let session = tapeline_clickhouse::Session::open(url)?;
        let mut clickhouse = Self { session, stated: Positions::default() };
        clickhouse.stated = positions(&clickhouse.query(STATED_BY_CLICKHOUSE)?)?;
        Ok(clickhouse)
    }

    fn query(&self, sql: &str) -> Result<Vec<Vec<Cell>>> {
        let rows = self.session.query(sql)?;
        Ok(rows.into_iter().map(|row| row.iter().map(|cell| unescaped(cell)).collect()).collect())
    }

    /// Rows of one partition that the view states. `verdicts` shows two topics.
    fn below(&self, table: &Table, partition: usize) -> String {
        let below = |topic: &str| format!("kafka_offset < {}", self.stated.at(topic, partition as i32));
        let of = |topic: &str| format!("kafka_partition = {partition} AND {}", below(topic));
        match table.range {
            Range::Offsets { topic: "topic", .. } => {
                let one = |topic: &str| format!("(topic = '{topic}' AND {})", below(topic));
                let (accepted, refused) = (one(topic::VALIDATED), one(topic::REJECTED));
                format!("kafka_partition = {partition} AND ({accepted} OR {refused})")
            }
            Range::Offsets { topic, .. } => of(topic.trim_matches('\'')),
            Range::Named(_) => of(""),
        }
    }

    pub(super) fn digests(&self, table: &Table) -> Result<BTreeMap<RangeKey, Digest>> {
        let columns = format!(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{}' ORDER BY position",
            table.name
        );
        check_columns(table, &self.query(&columns)?)?;
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        let sums: String = amounts(table).map(|column| format!(", sum({})", column.name)).collect();
        let Range::Offsets { topic, partition, offset } = table.range else { bail!("{} has no offsets", table.id) };
        let partitions = self.stated.0.values().map(Vec::len).max().unwrap_or(0);
        let mut digests = BTreeMap::new();
        for number in 0..partitions {
            let sql = format!(
                "SELECT {topic} AS t, {partition} AS p, bitShiftRight({offset}, 17) AS i, count(), \
                 sum(xxh3(formatRow('RowBinary', {}))){sums} FROM {} WHERE {} GROUP BY t, p, i",
                names.join(", "),
                table.name,
                self.below(table, number)
            );
            for mut row in self.query(&sql)? {
                let topic = row.remove(0).context("a range without a topic")?;
                let (range, digest) = digest(table, row)?;
                digests.insert(named(range, &topic), digest);
            }
        }
        Ok(digests)
    }

    pub(super) fn rows(&self, table: &Table, range: &RangeKey) -> Result<Vec<Vec<Cell>>> {
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        let (Range::Offsets { topic, offset, .. }, RangeKey::Offsets { topic: name, partition, index }) =
            (&table.range, range)
        else {
            bail!("{} has no range {range}", table.id)
        };
        let below = self.below(table, usize::try_from(*partition)?);
        self.query(&format!(
            "SELECT {} FROM {} WHERE {topic} = '{name}' AND bitShiftRight({offset}, 17) = {index} AND {below}",
            names.join(", "),
            table.name
        ))
    }
}

/// The same range of another topic.
fn named(range: RangeKey, topic: &str) -> RangeKey {
    match range {
        RangeKey::Offsets { partition, index, .. } => {
            RangeKey::Offsets { topic: SmolStr::new(topic), partition, index }
        }
        named @ RangeKey::Named(_) => named,
    }
}

fn amounts(table: &Table) -> impl Iterator<Item = &'static Column> + use<> {
    table.columns.iter().filter(|column| column.kind == Kind::Amount)
}

/// A column as text. In a view an amount may have lost its decimal places.
fn timescale_cell(table: &Table, column: &Column) -> String {
    match (column.kind, table.stored_in) {
        (Kind::Amount, None) => format!("{}::numeric(28, 8)::text", quoted(column.name)),
        _ => format!("{}::text", quoted(column.name)),
    }
}

/// A column as it is hashed.
fn timescale_text(table: &Table, column: &Column) -> String {
    let text = timescale_cell(table, column);
    if column.nullable { format!("coalesce({text}, E'\\x1e')") } else { text }
}

/// A literal of TimescaleDB.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn check_columns(table: &Table, found: &[Vec<Cell>]) -> Result<()> {
    let found: Vec<&str> = found.iter().flatten().flatten().map(String::as_str).collect();
    let expected: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    ensure!(
        found == expected,
        "{} has other columns than this version knows, so its rows can't be checked: expected {}, found {}; run \
         `tapeline apply`, or rebuild the view",
        table.id,
        expected.join(", "),
        if found.is_empty() { "none".to_owned() } else { found.join(", ") }
    );
    Ok(())
}

/// A digest from range, count, hash and sums.
fn digest(table: &Table, row: Vec<Cell>) -> Result<(RangeKey, Digest)> {
    let mut cells = row.into_iter();
    let mut next = || cells.next().with_context(|| format!("{}: a digest lacks a column", table.id));
    let number =
        |cell: Cell| cell.context("NULL").and_then(|text| text.parse::<i128>().map_err(|error| anyhow!("{error}")));
    let range = match table.range {
        Range::Offsets { topic, .. } => RangeKey::Offsets {
            topic: SmolStr::new(topic.trim_matches('\'')),
            partition: number(next()?)? as i64,
            index: number(next()?)? as i64,
        },
        Range::Named(_) => RangeKey::Named(next()?.unwrap_or_default()),
    };
    let rows = number(next()?)? as u64;
    // Modulo 2^64: TimescaleDB's sum does not wrap, ClickHouse's does.
    let hash = number(next()?)? as u64;
    let mut sums = Vec::new();
    for column in amounts(table) {
        let text = next()?.unwrap_or_else(|| "0".into());
        let sum = text::units(&text).with_context(|| format!("{}: the sum of {} is {text}", table.id, column.name))?;
        sums.push(sum);
    }
    Ok((range, Digest { rows, hash, sums }))
}

/// A cell of TabSeparated.
fn unescaped(cell: &str) -> Cell {
    if cell == "\\N" {
        return None;
    }
    let mut text = String::with_capacity(cell.len());
    let mut characters = cell.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            },
            plain => plain,
        });
    }
    Some(text)
}

/// Both views.
pub(super) struct Views {
    pub(super) timescale: Timescale,
    pub(super) clickhouse: Clickhouse,
}

impl Views {
    pub(super) fn rows(&mut self, table: &Table, range: &RangeKey) -> Result<Vec<Vec<Cell>>> {
        match table.database {
            Database::Timescale => self.timescale.rows(table, range),
            Database::Clickhouse => self.clickhouse.rows(table, range),
        }
        .with_context(|| table.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_from_tab_separated() {
        for (cell, expected) in [("\\N", None), ("\\\\N", Some("\\N")), ("a\\tb\\'", Some("a\tb'")), ("", Some(""))] {
            assert_eq!(unescaped(cell).as_deref(), expected, "{cell}");
        }
    }
}
