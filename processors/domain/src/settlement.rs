//! From what the book did to balanced ledger postings. A pure function of one execution: the settler has no state.
//!
//! Each record balances by itself: the postings sum to zero for each asset. The two sides of a trade meet in the
//! clearing account, which is zero again when both are applied.

use crate::execution::{Execution, ExecutionBody, OrderState, OrderStatus, Trade};
use crate::money;
use crate::types::{CLEARING_ACCOUNT, CommandId, FEES_ACCOUNT, OUTSIDE_ACCOUNT, OrderId, Side, TimeMs, TradeId, Units};
use smol_str::SmolStr;

/// Which part of a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bucket {
    /// Free to use.
    Available,
    /// Held for open orders and withdrawals.
    Reserved,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Whose balance.
    pub account: SmolStr,
    /// Of which asset.
    pub asset: SmolStr,
    /// Which part of it.
    pub bucket: Bucket,
    /// Signed change.
    pub amount: Units,
}

/// What was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it; see schemas/trades.settled.avsc")]
pub enum SettlementKind {
    Trade,
    Amended,
    Cancelled,
    Expired,
    Refused,
    Deposit,
    Withdrawal,
}

/// Whether an order rested or came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Liquidity {
    /// It rested.
    Maker,
    /// It came in.
    Taker,
}

/// One side of a trade.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "see schemas/trades.settled.avsc")]
pub struct Fill {
    pub trade_id: TradeId,
    pub side: Side,
    pub liquidity: Liquidity,
    pub price: Units,
    pub quantity: Units,
    pub notional: Units,
    pub fee: Units,
}

/// What is left of an order after the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "see schemas/trades.settled.avsc")]
pub struct OrderRest {
    pub price: Units,
    pub quantity: Units,
    pub leaves: Units,
    pub reserved: Units,
    pub done: bool,
}

/// Balanced postings of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "see schemas/trades.settled.avsc")]
pub struct Settlement {
    pub kind: SettlementKind,
    /// Position of the execution in `trades.executed`.
    pub execution_id: i64,
    pub command_id: CommandId,
    pub account: SmolStr,
    pub instrument: Option<SmolStr>,
    pub order_id: Option<OrderId>,
    pub fill: Option<Fill>,
    pub order: Option<OrderRest>,
    pub postings: Vec<Posting>,
    pub commanded_at_ms: TimeMs,
    pub validated_at_ms: TimeMs,
    pub executed_at_ms: TimeMs,
}

/// An execution that can't be settled: it would spend more than was reserved, or its amounts are out of range.
/// Never the case for what Tapeline's own executor writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unbalanced(pub String);

/// Settles one execution, appending one record for each account that it touches.
///
/// # Errors
/// [`Unbalanced`]; nothing is appended then.
pub fn settle(
    execution_id: i64,
    executed_at_ms: TimeMs,
    execution: &Execution,
    out: &mut Vec<Settlement>,
) -> Result<(), Unbalanced> {
    let settler = Settler { execution_id, executed_at_ms, execution };
    match &execution.body {
        ExecutionBody::Accepted { .. } | ExecutionBody::Triggered { .. } | ExecutionBody::Quoted { .. } => {}
        ExecutionBody::Traded(trade) => {
            let taker = settler.trade_side(trade, &trade.taker, Liquidity::Taker)?;
            let maker = settler.trade_side(trade, &trade.maker, Liquidity::Maker)?;
            out.push(taker);
            out.push(maker);
        }
        ExecutionBody::Amended { order, .. } => out.push(settler.release(SettlementKind::Amended, order)?),
        ExecutionBody::Cancelled { order, .. } => out.push(settler.release(SettlementKind::Cancelled, order)?),
        ExecutionBody::Expired { order } => out.push(settler.release(SettlementKind::Expired, order)?),
        ExecutionBody::Refused { account, instrument, target_order_id, reserve_asset, released, .. } => {
            if let (Some(asset), true) = (reserve_asset, *released > 0) {
                let postings = release_postings(account, asset, *released);
                let mut settlement = settler.record(SettlementKind::Refused, account, postings);
                settlement.instrument = Some(instrument.clone());
                settlement.order_id = *target_order_id;
                out.push(settlement);
            }
        }
        ExecutionBody::Transferred { account, asset, amount, .. } => {
            let (kind, bucket) = if *amount > 0 {
                (SettlementKind::Deposit, Bucket::Available)
            } else {
                (SettlementKind::Withdrawal, Bucket::Reserved)
            };
            let outside = amount.checked_neg().ok_or_else(|| Unbalanced("the amount is out of range".into()))?;
            let postings = vec![
                posting(account, asset, bucket, *amount),
                posting(OUTSIDE_ACCOUNT, asset, Bucket::Available, outside),
            ];
            out.push(settler.record(kind, account, postings));
        }
    }
    Ok(())
}

struct Settler<'a> {
    execution_id: i64,
    executed_at_ms: TimeMs,
    execution: &'a Execution,
}

impl Settler<'_> {
    fn record(&self, kind: SettlementKind, account: &SmolStr, postings: Vec<Posting>) -> Settlement {
        Settlement {
            kind,
            execution_id: self.execution_id,
            command_id: self.execution.command_id,
            account: account.clone(),
            instrument: None,
            order_id: None,
            fill: None,
            order: None,
            postings,
            commanded_at_ms: self.execution.commanded_at_ms,
            validated_at_ms: self.execution.validated_at_ms,
            executed_at_ms: self.executed_at_ms,
        }
    }

    fn order_record(&self, kind: SettlementKind, order: &OrderState, postings: Vec<Posting>) -> Settlement {
        let mut settlement = self.record(kind, &order.account, postings);
        settlement.instrument = Some(order.instrument.clone());
        settlement.order_id = Some(order.order_id);
        settlement.order = Some(OrderRest {
            price: order.price,
            quantity: order.quantity,
            leaves: order.leaves,
            reserved: order.reserved_after,
            done: matches!(order.status, OrderStatus::Filled | OrderStatus::Cancelled | OrderStatus::Expired),
        });
        settlement
    }

    fn release(&self, kind: SettlementKind, order: &OrderState) -> Result<Settlement, Unbalanced> {
        let released = freed(order, 0)?;
        #[cfg(feature = "mutations")]
        let released = released * if crate::mutation::Mutation::ReleaseTwice.is_active() { 2 } else { 1 };
        let postings = release_postings(&order.account, reserve_asset(order), released);
        Ok(self.order_record(kind, order, postings))
    }

    fn trade_side(&self, trade: &Trade, order: &OrderState, liquidity: Liquidity) -> Result<Settlement, Unbalanced> {
        let out_of_range = |_| Unbalanced(format!("trade {}: notional or fee is out of range", trade.trade_id));
        let notional = money::notional(trade.price, trade.quantity).map_err(out_of_range)?;
        let rate_ppm = match liquidity {
            Liquidity::Maker => order.maker_fee_ppm,
            Liquidity::Taker => order.taker_fee_ppm,
        };
        let fee = money::fee(notional, rate_ppm).map_err(out_of_range)?;
        let account = order.account.as_str();
        let (base, quote) = (&order.base_asset, &order.quote_asset);
        let (spent, received, received_asset) = match order.side {
            Side::Buy => (notional + fee, trade.quantity, base),
            Side::Sell => (trade.quantity, notional - fee, quote),
        };
        let returned = freed(order, spent)?;
        let clearing_base = if order.side == Side::Buy { -trade.quantity } else { trade.quantity };
        let clearing_quote = if order.side == Side::Buy { notional } else { -notional };
        let postings = [
            posting(account, reserve_asset(order), Bucket::Reserved, -(spent + returned)),
            posting(account, reserve_asset(order), Bucket::Available, returned),
            posting(account, received_asset, Bucket::Available, received),
            posting(CLEARING_ACCOUNT, base, Bucket::Available, clearing_base),
            posting(CLEARING_ACCOUNT, quote, Bucket::Available, clearing_quote),
            posting(FEES_ACCOUNT, quote, Bucket::Available, fee),
        ];
        let postings = postings.into_iter().filter(|line| line.amount != 0).collect();
        let mut settlement = self.order_record(SettlementKind::Trade, order, postings);
        settlement.fill = Some(Fill {
            trade_id: trade.trade_id,
            side: order.side,
            liquidity,
            price: trade.price,
            quantity: trade.quantity,
            notional,
            fee,
        });
        Ok(settlement)
    }
}

/// What goes back to available: reserved before, less what stays reserved, less what was spent.
fn freed(order: &OrderState, spent: Units) -> Result<Units, Unbalanced> {
    let freed = order.reserved_before as i128 - order.reserved_after as i128 - spent as i128;
    Units::try_from(freed).ok().filter(|freed| *freed >= 0).ok_or_else(|| {
        Unbalanced(format!(
            "order {}: {spent} spent of {} reserved, of which {} stay reserved",
            order.order_id, order.reserved_before, order.reserved_after
        ))
    })
}

fn reserve_asset(order: &OrderState) -> &SmolStr {
    match order.side {
        Side::Buy => &order.quote_asset,
        Side::Sell => &order.base_asset,
    }
}

fn release_postings(account: &str, asset: &SmolStr, released: Units) -> Vec<Posting> {
    if released == 0 {
        return Vec::new();
    }
    vec![posting(account, asset, Bucket::Reserved, -released), posting(account, asset, Bucket::Available, released)]
}

fn posting(account: &str, asset: &SmolStr, bucket: Bucket, amount: Units) -> Posting {
    Posting { account: account.into(), asset: asset.clone(), bucket, amount }
}

#[cfg(test)]
mod tests;
