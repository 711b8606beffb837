//! Follows commands, orders and trades through the topics: one verdict each, one end each, settled once.

use super::Finding;
use super::log::Log;
use anyhow::Result;
use std::collections::{BTreeMap, HashMap, HashSet};
use tapeline_domain::types::position_id;
use tapeline_schemas::{topic, wire};

/// What went through the pipeline.
#[derive(Debug, Default)]
pub struct Flow {
    /// Commands in `orders` that decode and have the right key.
    pub commands: u64,
    /// Accepted ones.
    pub accepted: u64,
    /// Refused ones, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Events of `trades.executed`, by kind.
    pub executions: BTreeMap<&'static str, u64>,
    /// Trades.
    pub trades: u64,
    /// Traded quantity by base asset and notional by quote asset, units of 10^-8.
    pub traded: BTreeMap<String, (i128, i128)>,
    /// Records of `trades.settled`.
    pub settlements: u64,
    /// Orders by last state, waiting and open ones included.
    pub orders: BTreeMap<&'static str, u64>,
    /// Latencies of settled trades' takers by stage, milliseconds.
    pub latencies: Vec<(&'static str, Vec<i64>)>,
    /// Trades of each instrument: time in ms, price, quantity, in the order of the log.
    pub prints: HashMap<String, Vec<(i64, i64, i64)>>,
}

struct TradeSeen {
    price: i64,
    quantity: i64,
    sides: [u32; 2],
}

/// Reads orders, verdicts, executions and settlements.
pub(super) fn read(log: &Log<'_>) -> Result<(Flow, Finding, Finding)> {
    let mut flow = Flow::default();
    let mut one_verdict = Finding::new("One verdict, one end");
    let mut settled_once = Finding::new("Settled once");
    let placed = read_verdicts(log, &mut flow, &mut one_verdict)?;
    let mut trades = read_executions(log, &mut flow, &mut one_verdict, &placed)?;
    read_settlements(log, &mut flow, &mut settled_once, &mut trades)?;
    for (trade_id, seen) in &trades {
        if seen.sides != [1, 1] {
            let [buyers, sellers] = seen.sides;
            settled_once
                .violation(|| format!("trade {trade_id} has {buyers} buyers' and {sellers} sellers' settlements"));
        }
    }
    settled_once.checked = format!("{} trades, both sides", trades.len());
    Ok((flow, one_verdict, settled_once))
}

/// Returns the accepted PLACE commands.
fn read_verdicts(log: &Log<'_>, flow: &mut Flow, finding: &mut Finding) -> Result<HashSet<i64>> {
    let mut open: HashMap<i64, u32> = HashMap::new();
    log.each::<wire::Command>(topic::ORDERS, |record, command| {
        if record.key.as_deref() == Some(command.account.as_bytes()) && command.kind != wire::CommandKind::Unknown {
            flow.commands += 1;
            open.insert(position_id(record.partition, record.offset), 0);
        }
        Ok(())
    })?;
    let mut placed = HashSet::new();
    let mut verdict = |id: i64, what: &str, finding: &mut Finding| match open.get_mut(&id) {
        Some(count) => *count += 1,
        None => finding.violation(|| format!("command {id} was {what} and does not exist")),
    };
    log.each::<wire::ValidatedCommand>(topic::VALIDATED, |_, command| {
        flow.accepted += 1;
        verdict(command.command_id, "accepted", finding);
        if command.kind == wire::CommandKind::Place {
            placed.insert(command.command_id);
        }
        Ok(())
    })?;
    log.each::<wire::Rejection>(topic::REJECTED, |_, rejection| {
        *flow.rejected.entry(rejection.reason.symbol()).or_default() += 1;
        verdict(rejection.command_id, "rejected", finding);
        Ok(())
    })?;
    for (id, count) in open.iter().filter(|(_, count)| **count != 1) {
        finding.violation(|| format!("command {id} has {count} verdicts"));
    }
    finding.checked = format!("{} commands, {} orders", flow.commands, placed.len());
    Ok(placed)
}

fn read_executions(
    log: &Log<'_>,
    flow: &mut Flow,
    finding: &mut Finding,
    placed: &HashSet<i64>,
) -> Result<HashMap<i64, TradeSeen>> {
    let mut trades = HashMap::new();
    let mut states: HashMap<i64, wire::OrderStatus> = HashMap::new();
    log.each::<wire::Execution>(topic::EXECUTED, |record, execution| {
        *flow.executions.entry(execution.kind.symbol()).or_default() += 1;
        for order in [&execution.order, &execution.maker].into_iter().flatten() {
            if !placed.contains(&order.order_id) {
                finding.violation(|| format!("order {} was executed and never accepted", order.order_id));
            }
            if let Some(before) = states.insert(order.order_id, order.status)
                && is_end(before)
            {
                finding.violation(|| format!("order {} goes on after its end ({})", order.order_id, before.symbol()));
            }
        }
        if let (Some(id), Some(price), Some(quantity)) = (execution.trade_id, execution.price, execution.quantity) {
            flow.trades += 1;
            let again = trades.insert(id, TradeSeen { price, quantity, sides: [0, 0] });
            if again.is_some() {
                finding.violation(|| format!("trade {id} was executed twice (offset {})", record.offset));
            }
            let instrument = execution.instrument.as_deref().unwrap_or_default().to_owned();
            flow.prints.entry(instrument).or_default().push((execution.validated_at_ms, price, quantity));
        }
        Ok(())
    })?;
    for id in placed.iter().filter(|id| !states.contains_key(*id)) {
        finding.violation(|| format!("order {id} was accepted and never executed"));
    }
    for status in states.values() {
        *flow.orders.entry(status.symbol()).or_default() += 1;
    }
    Ok(trades)
}

fn is_end(status: wire::OrderStatus) -> bool {
    matches!(status, wire::OrderStatus::Filled | wire::OrderStatus::Cancelled | wire::OrderStatus::Expired)
}

fn read_settlements(
    log: &Log<'_>,
    flow: &mut Flow,
    finding: &mut Finding,
    trades: &mut HashMap<i64, TradeSeen>,
) -> Result<()> {
    let stages = ["order to executor", "executor to settler", "settler to settled", "order to settled"];
    flow.latencies = stages.iter().map(|stage| (*stage, Vec::new())).collect();
    log.each::<wire::Settlement>(topic::SETTLED, |record, settlement| {
        flow.settlements += 1;
        if settlement.kind != wire::SettlementKind::Trade {
            return Ok(());
        }
        let id = settlement.trade_id.unwrap_or(-1);
        let Some(seen) = trades.get_mut(&id) else {
            finding.violation(|| format!("trade {id} was settled and never executed"));
            return Ok(());
        };
        seen.sides[usize::from(settlement.side == Some(wire::Side::Sell))] += 1;
        if (settlement.price, settlement.quantity) != (Some(seen.price), Some(seen.quantity)) {
            finding.violation(|| format!("trade {id} was settled at another price or quantity"));
        }
        if settlement.side == Some(wire::Side::Buy) {
            let instrument = settlement.instrument.as_deref().unwrap_or_default().to_owned();
            let sums = flow.traded.entry(instrument).or_default();
            sums.0 += i128::from(settlement.quantity.unwrap_or(0));
            sums.1 += i128::from(settlement.notional.unwrap_or(0));
        }
        if settlement.liquidity == Some(wire::Liquidity::Taker) {
            let at = [
                settlement.commanded_at_ms,
                settlement.validated_at_ms,
                settlement.executed_at_ms,
                record.timestamp_ms,
            ];
            let steps = [at[1] - at[0], at[2] - at[1], at[3] - at[2], at[3] - at[0]];
            flow.latencies.iter_mut().zip(steps).for_each(|((_, all), step)| all.push(step));
        }
        Ok(())
    })
}
