//! Writes the rows that a table must have, in the form that its database hashes, and digests them by range.
//!
//! - ClickHouse: a row's hash is XXH3 (64 bits) over the row in RowBinary, in SQL `xxh3(formatRow('RowBinary', ...))`.
//! - TimescaleDB: `hashtextextended` over the columns' texts with a separator, see [`super::hash`].
//!
//! A digest is the number of rows, the sum of their hashes modulo 2^64 and the sum of each amount: equal for equal rows
//! in whatever order. To name a difference the same code keeps the rows themselves, of the wanted ranges only.

use super::tables::{Database, RangeKey, Table};
use super::{hash, text};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Between two columns of a TimescaleDB row.
pub(super) const SEPARATOR: u8 = 0x1f;
/// Stands for NULL in a row's text.
pub(super) const NULL: u8 = 0x1e;

/// A value as its database prints it; `None` is NULL.
pub(super) type Cell = Option<String>;

/// What a range of a table holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    /// Sum of the rows' hashes, modulo 2^64.
    pub(super) hash: u64,
    /// Sums of the amounts in units of 10^-8, in the order of the columns.
    pub(super) sums: Vec<i128>,
}

impl Digest {
    fn add(&mut self, rows: u64, hash: u64, sums: &[i128]) {
        self.rows += rows;
        self.hash = self.hash.wrapping_add(hash);
        self.sums.resize(self.sums.len().max(sums.len()), 0);
        self.sums.iter_mut().zip(sums).for_each(|(sum, amount)| *sum += amount);
    }
}

/// Collects the values of one row, in the order of the table's columns.
pub(super) struct RowWriter {
    database: Database,
    keeps_cells: bool,
    bytes: Vec<u8>,
    amounts: Vec<i128>,
    cells: Vec<Cell>,
}

impl RowWriter {
    pub(super) fn new(database: Database, keeps_cells: bool) -> Self {
        Self { database, keeps_cells, bytes: Vec::with_capacity(512), amounts: Vec::new(), cells: Vec::new() }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.amounts.clear();
        self.cells.clear();
    }

    fn hash(&self) -> u64 {
        match self.database {
            Database::Clickhouse => xxh3_64(&self.bytes),
            Database::Timescale => hash::text_hash(&self.bytes),
        }
    }

    /// One value: as RowBinary for ClickHouse, as `text` prints it for TimescaleDB.
    fn put(&mut self, binary: impl FnOnce(&mut Vec<u8>), text: impl Fn(&mut Vec<u8>)) {
        match self.database {
            Database::Clickhouse => binary(&mut self.bytes),
            Database::Timescale => {
                text(&mut self.bytes);
                self.bytes.push(SEPARATOR);
            }
        }
        if self.keeps_cells {
            let mut cell = Vec::new();
            text(&mut cell);
            self.cells.push(Some(String::from_utf8_lossy(&cell).into_owned()));
        }
    }

    fn null(&mut self) {
        match self.database {
            Database::Clickhouse => self.bytes.push(1),
            Database::Timescale => self.bytes.extend([NULL, SEPARATOR]),
        }
        if self.keeps_cells {
            self.cells.push(None);
        }
    }

    /// What stands before a value that could be NULL.
    fn not_null(&mut self) {
        if self.database == Database::Clickhouse {
            self.bytes.push(0);
        }
    }

    fn nullable<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => {
                self.not_null();
                put(self, value);
            }
            None => self.null(),
        }
    }

    pub(super) fn int16(&mut self, value: u16) {
        self.put(|b| b.extend(value.to_le_bytes()), |b| text::integer(value.into(), b));
    }

    pub(super) fn int32(&mut self, value: i32) {
        self.put(|b| b.extend(value.to_le_bytes()), |b| text::integer(value.into(), b));
    }

    pub(super) fn int(&mut self, value: i64) {
        self.put(|b| b.extend(value.to_le_bytes()), |b| text::integer(value, b));
    }

    pub(super) fn opt_int(&mut self, value: Option<i64>) {
        self.nullable(value, Self::int);
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.put(|b| b.push(value.into()), |b| b.extend_from_slice(if value { b"true" } else { b"false" }));
    }

    pub(super) fn opt_flag(&mut self, value: Option<bool>) {
        self.nullable(value, Self::flag);
    }

    pub(super) fn text(&mut self, value: &str) {
        let binary = |bytes: &mut Vec<u8>| {
            let mut length = value.len();
            while length > 0x7f {
                bytes.push(length as u8 | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            bytes.extend_from_slice(value.as_bytes());
        };
        self.put(binary, |b| b.extend_from_slice(value.as_bytes()));
    }

    pub(super) fn opt_text(&mut self, value: Option<&str>) {
        self.nullable(value, Self::text);
    }

    /// A symbol in lower case, as TimescaleDB shows it.
    pub(super) fn symbol(&mut self, symbol: &'static str) {
        self.put(|_| {}, |b| b.extend(symbol.bytes().map(|byte| byte.to_ascii_lowercase())));
    }

    pub(super) fn opt_symbol(&mut self, symbol: Option<&'static str>) {
        self.nullable(symbol, Self::symbol);
    }

    /// Units of 10^-8. ClickHouse's `Decimal(18, 8)` holds no more than 64 bits.
    pub(super) fn amount(&mut self, units: i128) {
        self.amounts.push(units);
        let database = self.database;
        let print = |b: &mut Vec<u8>| match database {
            Database::Clickhouse => text::short_decimal(units, b),
            Database::Timescale => text::decimal(units, b),
        };
        self.put(|b| b.extend((units as i64).to_le_bytes()), print);
    }

    pub(super) fn opt_amount(&mut self, units: Option<i64>) {
        if units.is_none() {
            self.amounts.push(0);
        }
        self.nullable(units, |row, units| row.amount(units.into()));
    }

    /// Milliseconds since the Unix epoch, for ClickHouse.
    pub(super) fn time_ms(&mut self, at_ms: i64) {
        self.put(|b| b.extend(at_ms.to_le_bytes()), |b| text::date_time(at_ms, b));
    }

    pub(super) fn opt_time_ms(&mut self, at_ms: Option<i64>) {
        self.nullable(at_ms, Self::time_ms);
    }

    /// Microseconds since the Unix epoch, for TimescaleDB.
    pub(super) fn time_us(&mut self, at_us: i64) {
        self.put(|_| {}, |b| text::timestamp(at_us, b));
    }
}

/// Ranges whose rows are wanted.
pub(super) type Wanted = HashSet<(&'static str, RangeKey)>;

/// What a table must hold: digests of all ranges, or the rows of the wanted ones.
pub(super) struct TableFold {
    pub(super) table: &'static Table,
    writer: RowWriter,
    wanted: Option<Arc<Wanted>>,
    pub(super) digests: BTreeMap<RangeKey, Digest>,
    pub(super) rows: Vec<(RangeKey, Vec<Cell>)>,
    /// The range of the last row: most rows lie in the same one as the row before.
    open: Option<(RangeKey, Digest)>,
}

impl TableFold {
    pub(super) fn new(table: &'static Table, wanted: Option<Arc<Wanted>>) -> Self {
        let writer = RowWriter::new(table.database, wanted.is_some());
        Self { table, writer, wanted, digests: BTreeMap::new(), rows: Vec::new(), open: None }
    }

    /// Adds a row, whose values `write` gives.
    pub(super) fn row(&mut self, range: &RangeKey, write: impl FnOnce(&mut RowWriter)) {
        if let Some(wanted) = &self.wanted {
            if wanted.contains(&(self.table.id, range.clone())) {
                self.writer.clear();
                write(&mut self.writer);
                self.rows.push((range.clone(), std::mem::take(&mut self.writer.cells)));
            }
            return;
        }
        self.writer.clear();
        write(&mut self.writer);
        let hash = self.writer.hash();
        if self.open.as_ref().is_none_or(|(open, _)| open != range) {
            self.close();
            let digest = self.digests.remove(range).unwrap_or_default();
            self.open = Some((range.clone(), digest));
        }
        if let Some((_, digest)) = &mut self.open {
            digest.add(1, hash, &self.writer.amounts);
        }
    }

    fn close(&mut self) {
        if let Some((range, digest)) = self.open.take() {
            self.digests.insert(range, digest);
        }
    }

    /// Takes over what another worker found of the same table.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.close();
        other.close();
        for (range, digest) in other.digests {
            self.digests.entry(range).or_default().add(digest.rows, digest.hash, &digest.sums);
        }
        self.rows.append(&mut other.rows);
    }

    /// All digests.
    pub(super) fn finish(&mut self) -> &BTreeMap<RangeKey, Digest> {
        self.close();
        &self.digests
    }
}
