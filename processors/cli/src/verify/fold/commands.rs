//! Folds `orders`, `orders.validated` and `orders.rejected`: one verdict for each command, and what each reserves.

use super::Part;
use super::interner::Interner;
use super::shared::{Shared, mark};
use crate::verify::log::LogReader;
use crate::verify::records::{Command, Rejection, ValidatedCommand};
use crate::verify::rows_timescale::{Moment, checked_ms, rejected as timescale_row};
use crate::verify::tables::{CH_COMMANDS, CH_VERDICTS, RangeKey, TS_ORDERS};
use crate::verify::writer::TableFold;
use crate::verify::{finding::Finding, rows_clickhouse};
use anyhow::Result;
use tapeline_domain::types::{id_partition, id_sequence};
use tapeline_schemas::topic;
use tapeline_schemas::wire::{self, CommandKind};

/// Funds that a command reserved, with names of the reading worker's interner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reservation {
    /// Offset of the command in `orders`.
    pub(super) command_offset: i64,
    pub(super) account: u32,
    pub(super) asset: u32,
    pub(super) amount: i64,
    /// Whether TimescaleDB has it.
    pub(super) in_timescale: bool,
}

/// What one partition of `orders.validated` reserves.
#[derive(Default)]
pub(super) struct Reservations {
    pub(super) names: Interner,
    /// By partition of the command.
    pub(super) by_partition: Vec<Vec<Reservation>>,
}

pub(super) fn orders(shared: &Shared, log: &LogReader, partition: i32) -> Result<Part> {
    let mut part = Part::default();
    let mut rows = TableFold::new(&CH_COMMANDS, shared.wanted.clone());
    let taken = shared.cut.taken.at(topic::ORDERS, partition);
    let stated = shared.clickhouse.at(topic::ORDERS, partition);
    log.each::<wire::Command>(topic::ORDERS, partition, shared.cut.ends.at(topic::ORDERS, partition), |at, body| {
        let Some(command) = body.read::<Command<'_>>()? else { return Ok(()) };
        if at.key != Some(command.account.as_bytes()) {
            return Ok(());
        }
        if at.offset < stated {
            let range = RangeKey::of(topic::ORDERS, partition, at.offset);
            rows.row(&range, |row| rows_clickhouse::command(row, at, &command));
        }
        if command.kind != CommandKind::Unknown {
            part.flow.commands += 1;
            let judged = if at.offset < taken { mark::JUDGED } else { 0 };
            shared.commands.mark(tapeline_domain::types::position_id(partition, at.offset), mark::EXISTS | judged);
        }
        Ok(())
    })?;
    part.tables.push(rows);
    Ok(part)
}

/// Notes a verdict.
fn judge(shared: &Shared, finding: &mut Finding, command_id: i64, marks: u16, at: impl Fn() -> String) {
    match shared.commands.mark(command_id, marks) {
        None => finding.violation(|| format!("{}: command {command_id} got a verdict and does not exist", at())),
        Some(before) if before & (mark::ACCEPTED | mark::REJECTED) != 0 => {
            finding.violation(|| format!("{}: a second verdict on command {command_id}", at()));
        }
        Some(_) => {}
    }
}

pub(super) fn validated(shared: &Shared, log: &LogReader, partition: i32) -> Result<(Part, Reservations)> {
    let mut part = Part::default();
    let mut reserved = Reservations::default();
    let mut rows = TableFold::new(&CH_VERDICTS, shared.wanted.clone());
    let name = topic::VALIDATED;
    let taken = shared.cut.taken.at(name, partition);
    let (stated, in_timescale) = (shared.clickhouse.at(name, partition), shared.timescale.at(name, partition));
    log.each::<wire::ValidatedCommand>(name, partition, shared.cut.ends.at(name, partition), |at, body| {
        let Some(command) = body.read::<ValidatedCommand<'_>>()? else { return Ok(()) };
        if at.offset < stated {
            let range = RangeKey::of(name, partition, at.offset);
            rows.row(&range, |row| rows_clickhouse::accepted(row, at, &command));
        }
        part.flow.accepted += 1;
        let mut marks = mark::ACCEPTED;
        if command.kind == CommandKind::Place {
            marks |= mark::PLACED;
            marks |= if at.offset < taken { mark::DUE } else { 0 };
            marks |= if command.display_quantity.is_some() { mark::ICEBERG } else { 0 };
        }
        let place = || format!("{name}, partition {partition}, offset {}", at.offset);
        judge(shared, &mut part.findings.one_verdict, command.command_id, marks, place);
        if let (Some(asset), true) = (command.reserved_asset, command.reserved_amount != 0)
            && let Ok(of) = usize::try_from(id_partition(command.command_id))
            && of < shared.cut.ends.0.get(topic::ORDERS).map_or(0, Vec::len)
        {
            let lists = &mut reserved.by_partition;
            lists.resize_with(lists.len().max(of + 1), Vec::new);
            lists[of].push(Reservation {
                command_offset: id_sequence(command.command_id),
                account: reserved.names.id(command.account),
                asset: reserved.names.id(asset),
                amount: command.reserved_amount,
                in_timescale: at.offset < in_timescale,
            });
        }
        Ok(())
    })?;
    part.tables.push(rows);
    Ok((part, reserved))
}

pub(super) fn rejected(shared: &Shared, log: &LogReader, partition: i32) -> Result<Part> {
    let mut part = Part::default();
    let mut verdicts = TableFold::new(&CH_VERDICTS, shared.wanted.clone());
    let mut orders = TableFold::new(&TS_ORDERS, shared.wanted.clone());
    let name = topic::REJECTED;
    let (stated, in_timescale) = (shared.clickhouse.at(name, partition), shared.timescale.at(name, partition));
    log.each::<wire::Rejection>(name, partition, shared.cut.ends.at(name, partition), |at, body| {
        let Some(rejection) = body.read::<Rejection<'_>>()? else { return Ok(()) };
        if at.offset < stated {
            let range = RangeKey::of(name, partition, at.offset);
            verdicts.row(&range, |row| rows_clickhouse::rejected(row, at, &rejection));
        }
        if at.offset < in_timescale
            && rejection.kind == CommandKind::Place
            && let Some(at_us) = checked_ms(rejection.commanded_at_ms)
        {
            let moment = Moment { partition, offset: at.offset, at_us };
            let id = rejection.command_id;
            let range = RangeKey::of(topic::ORDERS, id_partition(id), id_sequence(id));
            orders.row(&range, |row| timescale_row(row, &moment, &rejection));
        }
        *part.flow.rejected.entry(rejection.reason.symbol()).or_default() += 1;
        let place = || format!("{name}, partition {partition}, offset {}", at.offset);
        judge(shared, &mut part.findings.one_verdict, rejection.command_id, mark::REJECTED, place);
        Ok(())
    })?;
    part.tables.extend([verdicts, orders]);
    Ok(part)
}

/// After all partitions are read: a verdict for each command that the validator had taken, an execution for each order
/// that the executor had.
pub(super) fn check(shared: &Shared, finding: &mut Finding) {
    let (mut commands, mut placed) = (0_u64, 0_u64);
    shared.commands.each(|partition, offset, marks| {
        let has = |mark: u16| marks & mark == mark;
        commands += u64::from(has(mark::EXISTS));
        placed += u64::from(has(mark::PLACED));
        let at = || format!("{}, partition {partition}, offset {offset}", topic::ORDERS);
        let judged = marks & (mark::ACCEPTED | mark::REJECTED) != 0;
        if has(mark::EXISTS | mark::JUDGED) && !judged {
            finding.violation(|| format!("{}: expected one verdict, found none", at()));
        }
        if judged && !has(mark::EXISTS) {
            finding.violation(|| format!("{}: expected no verdict, for there is no command, found one", at()));
        }
        if has(mark::DUE) && !has(mark::EXECUTED) {
            finding.violation(|| format!("{}: the order was accepted, expected an execution, found none", at()));
        }
        if has(mark::EXECUTED) && !has(mark::PLACED) {
            finding.violation(|| format!("{}: expected no execution, for no order was accepted, found one", at()));
        }
    });
    finding.checked = format!("{commands} commands, {placed} orders");
}
