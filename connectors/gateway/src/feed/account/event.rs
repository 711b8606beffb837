//! What happened to an account, and what a client is told of it.

use super::position::{Position, Source};
use crate::feed::frame::{Object, symbol};
use smol_str::SmolStr;
use std::sync::Arc;
use tapeline_schemas::wire::{
    Bucket, CommandKind, Execution, ExecutionKind, OrderState, OrderType, Rejection, Settlement, SettlementKind,
    ValidatedCommand,
};

/// A record of a private topic.
#[derive(Debug, Clone)]
pub enum Record {
    /// Of `orders.validated`.
    Validated(Arc<ValidatedCommand>),
    /// Of `orders.rejected`.
    Rejected(Arc<Rejection>),
    /// Of `trades.executed`.
    Executed(Arc<Execution>),
    /// Of `trades.settled`, with the trade that it settles if that is known here.
    Settled(Arc<Settlement>, Option<Arc<Execution>>),
}

impl Record {
    /// Its topic.
    pub const fn source(&self) -> Source {
        match self {
            Self::Validated(_) => Source::Validated,
            Self::Rejected(_) => Source::Rejected,
            Self::Executed(_) => Source::Executed,
            Self::Settled(..) => Source::Settled,
        }
    }

    /// About how much memory it takes.
    pub const fn bytes(&self) -> usize {
        // Counters of the shared pointer, and texts longer than what fits into their place.
        const MORE: usize = 48;
        MORE + match self {
            Self::Validated(_) => size_of::<ValidatedCommand>(),
            Self::Rejected(_) => size_of::<Rejection>(),
            Self::Executed(_) => size_of::<Execution>(),
            // Five postings of a trade.
            Self::Settled(..) => size_of::<Settlement>() + 5 * size_of::<tapeline_schemas::wire::Posting>(),
        }
    }
}

/// A record as it concerns one account.
#[derive(Debug, Clone)]
pub struct Event {
    /// The account.
    pub account: SmolStr,
    /// Partition of the record.
    pub partition: i32,
    /// Offset of the record.
    pub offset: i64,
    /// What is in it.
    pub record: Record,
    /// Of a trade: whether the account is the maker.
    pub as_maker: bool,
}

/// The accounts that a record concerns, and whether as maker. A record that changes nothing for its account (an accepted
/// cancel, whose outcome is still to come) concerns none.
pub fn concerned(record: &Record) -> impl Iterator<Item = (SmolStr, bool)> {
    let (first, second) = match record {
        Record::Validated(command) => {
            let tells = command.kind == CommandKind::Place || command.reserved_amount != 0;
            (tells.then(|| command.account.clone()), None)
        }
        Record::Rejected(rejection) => (Some(rejection.account.clone()), None),
        Record::Executed(execution) => {
            let of = |order: &Option<OrderState>| order.as_ref().map(|order| order.account.clone());
            match execution.kind {
                ExecutionKind::Quoted | ExecutionKind::Unknown => (None, None),
                ExecutionKind::Traded => (of(&execution.order), of(&execution.maker)),
                ExecutionKind::Refused | ExecutionKind::Transferred => (execution.account.clone(), None),
                _ => (of(&execution.order), None),
            }
        }
        Record::Settled(settlement, _) => (Some(settlement.account.clone()), None),
    };
    first.map(|account| (account, false)).into_iter().chain(second.map(|account| (account, true)))
}

/// A message of the private stream, but for the connection's own number.
#[derive(Debug, Clone)]
pub struct Message {
    /// `order`, `fill` or `balance`.
    pub kind: &'static str,
    /// All fields behind `sequence`.
    pub fields: Arc<str>,
}

impl Message {
    /// With the number that a connection gives it.
    pub fn numbered(&self, sequence: u64) -> String {
        let Self { kind, fields } = self;
        format!("{{\"type\":\"{kind}\",\"sequence\":{sequence},{fields}}}")
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.fields.len() + size_of::<Self>()
    }
}

impl Event {
    /// The message that tells it; none for what shows in balances only. `position` is what a client has with it.
    pub fn message(&self, position: &Position) -> Option<Message> {
        let object = Object::empty().text("position", &position.text());
        let (kind, object) = match &self.record {
            Record::Validated(command) if command.kind == CommandKind::Place => ("order", pending(object, command)),
            Record::Validated(_) => return None,
            Record::Rejected(rejection) => ("order", rejected(object, rejection)),
            Record::Executed(execution) => ("order", self.executed(object, execution)?),
            Record::Settled(settlement, trade) if settlement.kind == SettlementKind::Trade => {
                ("fill", fill(object, settlement, trade.as_deref()))
            }
            Record::Settled(..) => return None,
        };
        Some(Message { kind, fields: object.fields().into() })
    }

    fn executed(&self, object: Object, execution: &Execution) -> Option<Object> {
        let event = match execution.kind {
            ExecutionKind::Accepted => "accepted",
            ExecutionKind::Traded => "traded",
            ExecutionKind::Amended => "amended",
            ExecutionKind::Triggered => "triggered",
            ExecutionKind::Cancelled => "cancelled",
            ExecutionKind::Expired => "expired",
            ExecutionKind::Refused => "refused",
            ExecutionKind::Transferred => "transferred",
            ExecutionKind::Quoted | ExecutionKind::Unknown => return None,
        };
        let order = if self.as_maker { execution.maker.as_ref() } else { execution.order.as_ref() };
        let own_id = order.map(|order| &order.client_order_id).or(execution.client_order_id.as_ref());
        let reason = execution.cancel_reason.map(|reason| reason.symbol());
        let reason = reason.or(execution.refuse_reason.map(|reason| reason.symbol())).map(symbol);
        let mut object = object
            .text("event", event)
            .maybe_text("client_order_id", own_id.map(SmolStr::as_str))
            .maybe_text("reason", reason.as_deref());
        if let Some(order) = order {
            let json = order_json(order, reason.as_deref(), execution.validated_at_ms);
            object = object.raw("order", &json);
        }
        Some(
            match execution.kind {
                ExecutionKind::Refused => object.maybe_id("target_order_id", execution.target_order_id),
                ExecutionKind::Transferred => {
                    object.maybe_text("asset", execution.asset.as_deref()).maybe_amount("amount", execution.amount)
                }
                _ => object,
            }
            .number("time_ms", execution.validated_at_ms),
        )
    }

    /// How it changes the account's balances: asset, available, reserved.
    pub fn changes(&self) -> Vec<(&SmolStr, i128, i128)> {
        match &self.record {
            Record::Validated(command) if command.reserved_amount != 0 => {
                let amount = i128::from(command.reserved_amount);
                command.reserved_asset.iter().map(|asset| (asset, -amount, amount)).collect()
            }
            Record::Settled(settlement, _) => {
                let own = settlement.postings.iter().filter(|line| line.account == self.account);
                own.map(|line| match line.bucket {
                    Bucket::Reserved => (&line.asset, 0, i128::from(line.amount)),
                    _ => (&line.asset, i128::from(line.amount), 0),
                })
                .collect()
            }
            _ => Vec::new(),
        }
    }

    /// The record's own time, milliseconds since the Unix epoch.
    pub fn time_ms(&self) -> i64 {
        match &self.record {
            Record::Validated(command) => command.commanded_at_ms,
            Record::Rejected(rejection) => rejection.commanded_at_ms,
            Record::Executed(execution) => execution.validated_at_ms,
            Record::Settled(settlement, _) => settlement.executed_at_ms,
        }
    }
}

fn pending(object: Object, command: &ValidatedCommand) -> Object {
    let text = |of: Option<&'static str>| of.map(symbol);
    let kind = text(command.order_type.map(OrderType::symbol));
    let order = Object::empty()
        .id("order_id", command.command_id)
        .text("client_order_id", &command.client_order_id)
        .maybe_text("instrument", command.instrument.as_deref())
        .maybe_text("side", text(command.side.map(|side| side.symbol())).as_deref())
        .maybe_text("type", kind.as_deref())
        .maybe_text("time_in_force", text(command.time_in_force.map(|time| time.symbol())).as_deref())
        .maybe_amount("price", command.price.filter(|_| command.order_type.is_some_and(has_limit)))
        .maybe_amount("stop_price", command.stop_price)
        .maybe_amount("quantity", command.quantity)
        .amount("filled", 0)
        .maybe_amount("leaves", command.quantity)
        .text("status", "pending")
        .number("updated_ms", command.commanded_at_ms)
        .json();
    object
        .text("event", "pending")
        .text("client_order_id", &command.client_order_id)
        .raw("order", &order)
        .number("time_ms", command.commanded_at_ms)
}

fn rejected(object: Object, rejection: &Rejection) -> Object {
    object
        .text("event", "rejected")
        .text("client_order_id", &rejection.client_order_id)
        .id("command_id", rejection.command_id)
        .maybe_text("instrument", rejection.instrument.as_deref())
        .text("reason", &symbol(rejection.reason.symbol()))
        .text("text", &rejection.text)
        .number("time_ms", rejection.commanded_at_ms)
}

/// Whether an order has a price of its own; in the others `price` is only how far they may go.
fn has_limit(order_type: OrderType) -> bool {
    matches!(order_type, OrderType::Limit | OrderType::StopLimit)
}

fn order_json(order: &OrderState, reason: Option<&str>, updated_ms: i64) -> String {
    Object::empty()
        .id("order_id", order.order_id)
        .text("client_order_id", &order.client_order_id)
        .text("instrument", &order.instrument)
        .text("side", &symbol(order.side.symbol()))
        .text("type", &symbol(order.order_type.symbol()))
        .text("time_in_force", &symbol(order.time_in_force.symbol()))
        .maybe_amount("price", Some(order.price).filter(|_| has_limit(order.order_type)))
        .maybe_amount("stop_price", order.stop_price)
        .amount("quantity", order.quantity)
        .amount("filled", order.filled)
        .amount("leaves", order.leaves)
        .text("status", &symbol(order.status.symbol()))
        .maybe_text("reason", reason)
        .number("updated_ms", updated_ms)
        .json()
}

/// A fill. The client's own id stands in the trade, which is known unless it lies before this gateway's time.
fn fill(object: Object, settlement: &Settlement, trade: Option<&Execution>) -> Object {
    let orders = trade.map(|trade| [&trade.order, &trade.maker]);
    let own = orders.into_iter().flatten().flatten().find(|order| Some(order.order_id) == settlement.order_id);
    let fee_posting = settlement.postings.iter().find(|line| line.account == "@fees").map(|line| &line.asset);
    let fee_asset = own.map(|order| &order.quote_asset).or(fee_posting);
    object
        .maybe_id("trade_id", settlement.trade_id)
        .maybe_id("order_id", settlement.order_id)
        .maybe_text("client_order_id", own.map(|order| order.client_order_id.as_str()))
        .maybe_text("instrument", settlement.instrument.as_deref())
        .maybe_text("side", settlement.side.map(|side| symbol(side.symbol())).as_deref())
        .maybe_text("liquidity", settlement.liquidity.map(|role| symbol(role.symbol())).as_deref())
        .maybe_amount("price", settlement.price)
        .maybe_amount("quantity", settlement.quantity)
        .maybe_amount("notional", settlement.notional)
        .maybe_amount("fee", settlement.fee)
        .maybe_text("fee_asset", fee_asset.map(SmolStr::as_str))
        .number("traded_ms", settlement.validated_at_ms)
        .number("time_ms", settlement.executed_at_ms)
}
