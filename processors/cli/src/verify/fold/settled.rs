//! Folds one partition of `trades.settled` with what the validator reserved: conservation at every settled offset, and no
//! overdraft in the validator's own order, which its journal tells.

use super::commands::{Reservation, Reservations};
use super::interner::Interner;
use super::shared::Shared;
use super::{FastMap, Part};
use crate::verify::log::{LogReader, VALIDATOR_JOURNAL};
use crate::verify::records::{JournalEntry, Settlement};
use crate::verify::rows_clickhouse;
use crate::verify::tables::{CH_POSTINGS, CH_SETTLEMENTS, RangeKey};
use crate::verify::writer::TableFold;
use anyhow::Result;
use smol_str::SmolStr;
use std::collections::HashMap;
use tapeline_domain::types::SYSTEM_ACCOUNT_PREFIX;
use tapeline_kafka::scan::RecordView;
use tapeline_schemas::topic;
use tapeline_schemas::wire::{self, Bucket, Liquidity, SettlementKind, Side};

/// Available and reserved amounts, units of 10^-8.
pub(in super::super) type Amounts = [i128; 2];

/// A balance at the end of the log, and as TimescaleDB must show it.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Balance {
    pub(in super::super) at_end: Amounts,
    pub(in super::super) shown: Option<Amounts>,
}

impl Balance {
    pub(super) fn add(&mut self, other: &Self) {
        for bucket in 0..2 {
            self.at_end[bucket] += other.at_end[bucket];
        }
        if let Some(other) = other.shown {
            let shown = self.shown.get_or_insert_default();
            shown.iter_mut().zip(other).for_each(|(sum, amount)| *sum += amount);
        }
    }
}

/// The validator's inputs in the order in which it took them: up to which offset of which topic.
enum Step {
    Orders(i64),
    Settled(i64),
}

struct Settled<'s> {
    shared: &'s Shared,
    /// How far each view has folded the partition.
    in_timescale: i64,
    in_clickhouse: i64,
    part: Part,
    settlements: TableFold,
    postings: TableFold,
    names: Interner,
    balances: FastMap<(u32, u32), Balance>,
    /// In the order of the commands, with the interner of whoever read them.
    reservations: std::iter::Peekable<std::vec::IntoIter<(Reservation, usize)>>,
    read_by: &'s [Reservations],
    /// Whether the order is still known: not beyond what is read of the settlements.
    in_order: bool,
    /// Of the record at hand: the sum of each asset, and what its lines touched. Kept for their memory.
    sums: Vec<(u32, i128)>,
    touched: Vec<((u32, u32), Amounts)>,
    steps: u64,
    posted: u64,
}

pub(super) fn settled(shared: &Shared, log: &LogReader, read_by: &[Reservations], partition: i32) -> Result<Part> {
    let mut fold = Settled {
        shared,
        in_timescale: shared.timescale.at(topic::SETTLED, partition),
        in_clickhouse: shared.clickhouse.at(topic::SETTLED, partition),
        part: Part::default(),
        settlements: TableFold::new(&CH_SETTLEMENTS, shared.wanted.clone()),
        postings: TableFold::new(&CH_POSTINGS, shared.wanted.clone()),
        names: Interner::default(),
        balances: FastMap::default(),
        reservations: in_order_of_commands(read_by, partition).into_iter().peekable(),
        read_by,
        in_order: true,
        sums: Vec::new(),
        touched: Vec::new(),
        steps: 0,
        posted: 0,
    };
    let mut journal = steps(shared, log, partition)?.into_iter().peekable();
    let until = shared.cut.ends.at(topic::SETTLED, partition);
    log.each::<wire::Settlement>(topic::SETTLED, partition, until, |at, body| {
        // What the validator took before this settlement.
        while let Some(step) = journal.next_if(|step| !matches!(step, Step::Settled(next) if *next > at.offset)) {
            if let Step::Orders(next) = step {
                fold.reserve_below(next);
            }
        }
        match body.read::<Settlement<'_>>()? {
            Some(settlement) => fold.settle(at, &settlement),
            None => Ok(()),
        }
    })?;
    for step in journal {
        match step {
            Step::Orders(next) => fold.reserve_below(next),
            Step::Settled(next) => fold.in_order &= next <= until,
        }
    }
    Ok(fold.finish())
}

fn in_order_of_commands(read_by: &[Reservations], partition: i32) -> Vec<(Reservation, usize)> {
    let mut all = Vec::new();
    for (reader, reservations) in read_by.iter().enumerate() {
        let of = usize::try_from(partition).ok().and_then(|partition| reservations.by_partition.get(partition));
        all.extend(of.into_iter().flatten().map(|reservation| (*reservation, reader)));
    }
    all.sort_unstable_by_key(|(reservation, _)| reservation.command_offset);
    all
}

fn steps(shared: &Shared, log: &LogReader, partition: i32) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let until = shared.cut.ends.at(VALIDATOR_JOURNAL, partition);
    log.each::<wire::JournalEntry>(VALIDATOR_JOURNAL, partition, until, |_, body| {
        let Some(entry) = body.read::<JournalEntry<'_>>()? else { return Ok(()) };
        for run in &entry.runs {
            match run.topic {
                topic::ORDERS => steps.push(Step::Orders(run.next_offset)),
                topic::SETTLED => steps.push(Step::Settled(run.next_offset)),
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(steps)
}

impl Settled<'_> {
    fn post(&mut self, key: (u32, u32), changes: Amounts, is_shown: bool) -> Amounts {
        let change = Balance { at_end: changes, shown: is_shown.then_some(changes) };
        let balance = self.balances.entry(key).or_default();
        balance.add(&change);
        balance.at_end
    }

    /// Reserves for the commands below `next`.
    fn reserve_below(&mut self, next: i64) {
        while let Some((held, reader)) = self.reservations.next_if(|(held, _)| held.command_offset < next) {
            self.reserve(&held, reader);
        }
    }

    fn reserve(&mut self, held: &Reservation, reader: usize) {
        let names = &self.read_by[reader].names;
        let key = (self.names.id(names.name(held.account)), self.names.id(names.name(held.asset)));
        let amount = i128::from(held.amount);
        let balance = self.post(key, [-amount, amount], held.in_timescale);
        self.steps += 1;
        self.check_balance(
            key,
            balance,
            || format!("the reservation of {} at offset", topic::ORDERS),
            held.command_offset,
        );
    }

    /// Clearing and outside may be negative, a client's account may not.
    fn check_balance(&mut self, key: (u32, u32), balance: Amounts, what: impl Fn() -> String, offset: i64) {
        if !self.in_order || balance.iter().all(|amount| *amount >= 0) {
            return;
        }
        let (account, asset) = (self.names.name(key.0), self.names.name(key.1));
        if !account.starts_with(SYSTEM_ACCOUNT_PREFIX) {
            let [available, reserved] = balance;
            let text =
                || format!("after {} {offset}: {account} {asset}: {available} available, {reserved} reserved", what());
            self.part.findings.no_overdraft.violation(text);
        }
    }

    fn settle(&mut self, at: &RecordView<'_>, settlement: &Settlement<'_>) -> Result<()> {
        let name = topic::SETTLED;
        if at.offset < self.in_clickhouse {
            let range = RangeKey::of(name, at.partition, at.offset);
            self.settlements.row(&range, |row| rows_clickhouse::settlement(row, at, settlement));
            for (line, posting) in (0_u16..).zip(&settlement.postings) {
                let write = |row: &mut _| rows_clickhouse::posting(row, at, settlement, line, posting);
                self.postings.row(&range, write);
            }
        }
        self.post_lines(at, settlement);
        self.trade(at, settlement);
        self.part.flow.settlements += 1;
        Ok(())
    }

    fn post_lines(&mut self, at: &RecordView<'_>, settlement: &Settlement<'_>) {
        // All lines or none: a record's postings balance only together.
        let is_known = settlement.postings.iter().all(|line| line.bucket != Bucket::Unknown);
        let is_shown = is_known && at.offset < self.in_timescale;
        let (mut sums, mut touched) = (std::mem::take(&mut self.sums), std::mem::take(&mut self.touched));
        for line in &settlement.postings {
            let key = (self.names.id(line.account), self.names.id(line.asset));
            let amount = i128::from(line.amount);
            let changes = if line.bucket == Bucket::Reserved { [0, amount] } else { [amount, 0] };
            let balance = self.post(key, changes, is_shown);
            match sums.iter_mut().find(|(asset, _)| *asset == key.1) {
                Some((_, sum)) => *sum += amount,
                None => sums.push((key.1, amount)),
            }
            touched.retain(|(before, _)| *before != key);
            touched.push((key, balance));
        }
        self.posted += settlement.postings.len() as u64;
        self.steps += 1;
        for (asset, sum) in sums.drain(..).filter(|(_, sum)| *sum != 0) {
            let asset = self.names.name(asset);
            let (topic, partition, offset) = (topic::SETTLED, at.partition, at.offset);
            let text = || {
                format!("{topic}, partition {partition}, offset {offset}: expected a sum of 0 in {asset}, found {sum}")
            };
            self.part.findings.conservation.violation(text);
        }
        for (key, balance) in touched.drain(..) {
            let what = || format!("{}, partition {}, offset", topic::SETTLED, at.partition);
            self.check_balance(key, balance, what, at.offset);
        }
        (self.sums, self.touched) = (sums, touched);
    }

    fn trade(&mut self, at: &RecordView<'_>, settlement: &Settlement<'_>) {
        if settlement.kind != SettlementKind::Trade {
            return;
        }
        let terms = settlement.trade_id.zip(settlement.price.zip(settlement.quantity));
        let side = usize::from(settlement.side == Some(Side::Sell));
        let is_new = terms.is_some_and(|(id, (price, quantity))| self.shared.trades.settled(id, side, price, quantity));
        if !is_new {
            let trade_id = settlement.trade_id;
            let (topic, partition, offset) = (topic::SETTLED, at.partition, at.offset);
            let text = || {
                format!(
                    "{topic}, partition {partition}, offset {offset}: trade {trade_id:?} was settled before, or can't be"
                )
            };
            self.part.findings.settled_once.violation(text);
        }
        if settlement.liquidity == Some(Liquidity::Taker) {
            let stages =
                [settlement.commanded_at_ms, settlement.validated_at_ms, settlement.executed_at_ms, at.timestamp_ms];
            self.part.flow.taker_times_ms.push(stages);
        }
    }

    fn finish(mut self) -> Part {
        // The journal is read beyond all verdicts: what it does not tell of was never taken.
        let rest: Vec<_> = self.reservations.by_ref().collect();
        self.in_order = false;
        for (held, reader) in rest {
            let offset = held.command_offset;
            let text =
                || format!("{}, offset {offset}: reserved funds and is not in the validator's journal", topic::ORDERS);
            self.part.findings.no_overdraft.violation(text);
            self.reserve(&held, reader);
        }
        self.part.flow.postings = self.posted;
        self.part.flow.steps = self.steps;
        let name = |id| self.names.name(id).clone();
        let named = self.balances.iter().map(|((account, asset), balance)| ((name(*account), name(*asset)), *balance));
        let named: HashMap<(SmolStr, SmolStr), Balance> = named.collect();
        self.part.balances = named;
        self.part.tables.extend([self.settlements, self.postings]);
        self.part
    }
}
