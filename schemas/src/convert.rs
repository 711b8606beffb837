//! Conversions between wire and domain types. What the wire can say and the domain can't is [`Unfit`].
//!
//! Holds no trading rule: a command whose fields make no sense together converts, and the validator refuses it.

mod depth;
mod reference;

use crate::wire;
use smol_str::SmolStr;
use tapeline_domain::accepted::{Accepted, Action, Amendment, OrderTerms};
use tapeline_domain::command::{Command, CommandKind, FirstVerdict, RejectReason, Rejection};
use tapeline_domain::execution::{
    CancelReason, Execution, ExecutionBody, Level, OrderState, OrderStatus, RefuseReason, Trade,
};
use tapeline_domain::settlement::{Bucket, Fill, Liquidity, OrderRest, Posting, Settlement, SettlementKind};
use tapeline_domain::types;

/// A record that decodes but can't be what its kind says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// The value of a field that this kind of record must have.
fn need<T>(field: &str, kind: &str, value: Option<T>) -> Result<T, Unfit> {
    value.ok_or_else(|| Unfit(format!("a {kind} record needs the field `{field}`")))
}

/// A conversion both ways between a wire enum and a domain enum with the same variants.
macro_rules! same_variants {
    ($($wire:ident <=> $domain:ty { $($variant:ident),* $(,)? })*) => {$(
        impl From<$domain> for wire::$wire {
            fn from(value: $domain) -> Self {
                match value { $(<$domain>::$variant => Self::$variant,)* }
            }
        }

        impl TryFrom<wire::$wire> for $domain {
            type Error = Unfit;

            fn try_from(value: wire::$wire) -> Result<Self, Unfit> {
                match value {
                    $(wire::$wire::$variant => Ok(Self::$variant),)*
                    wire::$wire::Unknown => Err(Unfit(concat!(
                        stringify!($wire), " has a symbol that this version does not know"
                    ).into())),
                }
            }
        }
    )*};
}

same_variants! {
    Side <=> types::Side { Buy, Sell }
    OrderType <=> types::OrderType { Limit, Market, Stop, StopLimit }
    TimeInForce <=> types::TimeInForce { Gtc, Day, Gtd, Ioc, Fok }
    SelfTradePrevention <=> types::SelfTradePrevention { CancelNewest, CancelOldest, CancelBoth, DecrementAndCancel }
    CommandKind <=> CommandKind { Place, Amend, Cancel, CancelAll, Deposit, Withdraw }
    InstrumentStatus <=> types::InstrumentStatus { Open, Halted, Closed }
    AccountStatus <=> types::AccountStatus { Active, Suspended, Closed }
    OrderStatus <=> OrderStatus { Open, Waiting, PartlyFilled, Filled, Cancelled, Expired }
    CancelReason <=> CancelReason {
        Requested, CancelAll, ImmediateOrCancel, FillOrKill, NoLiquidity, PostOnly, SelfTrade, AmendedToFilled,
    }
    RefuseReason <=> RefuseReason { NotOpen, ReservationTooSmall, NotAmendable, NothingToCancel }
    RejectReason <=> RejectReason {
        WrongPartition, Malformed, DuplicateClientOrderId, UnknownInstrument, InstrumentNotOpen, UnknownAccount,
        AccountNotActive, UnknownOrder, InvalidSide, InvalidOrderType, InvalidTimeInForce, InvalidTerms, InvalidPrice,
        InvalidTick, InvalidQuantity, InvalidLot, QuantityTooSmall, QuantityTooLarge, NotionalTooSmall,
        NotionalTooLarge, OutsideCollar, TooManyOpenOrders, InsufficientFunds, InvalidAmount,
    }
    SettlementKind <=> SettlementKind { Trade, Amended, Cancelled, Expired, Refused, Deposit, Withdrawal }
    Liquidity <=> Liquidity { Maker, Taker }
    Bucket <=> Bucket { Available, Reserved }
}

fn try_opt<W, D: TryFrom<W, Error = Unfit>>(value: Option<W>) -> Result<Option<D>, Unfit> {
    value.map(D::try_from).transpose()
}

impl TryFrom<wire::Command> for Command {
    type Error = Unfit;

    fn try_from(wire: wire::Command) -> Result<Self, Unfit> {
        Ok(Self {
            kind: wire.kind.try_into()?,
            account: wire.account,
            client_order_id: wire.client_order_id,
            instrument: wire.instrument,
            side: try_opt(wire.side)?,
            order_type: try_opt(wire.order_type)?,
            time_in_force: try_opt(wire.time_in_force)?,
            quantity: wire.quantity,
            price: wire.price,
            stop_price: wire.stop_price,
            display_quantity: wire.display_quantity,
            post_only: wire.post_only,
            expires_at_ms: wire.expires_at_ms,
            self_trade_prevention: try_opt(wire.self_trade_prevention)?,
            target_client_order_id: wire.target_client_order_id,
            asset: wire.asset,
            amount: wire.amount,
        })
    }
}

impl wire::Command {
    /// Whether the domain can take it; if not, it belongs to the dead letters.
    ///
    /// # Errors
    /// [`Unfit`], if a symbol is newer than this version.
    pub fn check_fit(&self) -> Result<(), Unfit> {
        Command::try_from(self.clone()).map(|_| ())
    }
}

/// A validated command with nothing in it but what all kinds have.
fn bare(accepted: &Accepted, kind: wire::CommandKind) -> wire::ValidatedCommand {
    wire::ValidatedCommand {
        command_id: accepted.command_id,
        account: accepted.account.clone(),
        client_order_id: accepted.client_order_id.clone(),
        kind,
        commanded_at_ms: accepted.commanded_at_ms,
        instrument: None,
        target_order_id: None,
        base_asset: None,
        quote_asset: None,
        side: None,
        order_type: None,
        time_in_force: None,
        quantity: None,
        price: None,
        stop_price: None,
        display_quantity: None,
        post_only: false,
        expires_at_ms: None,
        self_trade_prevention: None,
        maker_fee_ppm: 0,
        taker_fee_ppm: 0,
        reserved_asset: None,
        reserved_amount: 0,
        amount: None,
        asset: None,
    }
}

impl From<&Accepted> for wire::ValidatedCommand {
    fn from(accepted: &Accepted) -> Self {
        match &accepted.action {
            Action::Place(terms) => Self {
                instrument: Some(terms.instrument.clone()),
                base_asset: Some(terms.base_asset.clone()),
                quote_asset: Some(terms.quote_asset.clone()),
                side: Some(terms.side.into()),
                order_type: Some(terms.order_type.into()),
                time_in_force: Some(terms.time_in_force.into()),
                quantity: Some(terms.quantity),
                price: Some(terms.price),
                stop_price: terms.stop_price,
                display_quantity: terms.display_quantity,
                post_only: terms.post_only,
                expires_at_ms: terms.expires_at_ms,
                self_trade_prevention: Some(terms.self_trade_prevention.into()),
                maker_fee_ppm: terms.maker_fee_ppm,
                taker_fee_ppm: terms.taker_fee_ppm,
                reserved_asset: Some(match terms.side {
                    types::Side::Buy => terms.quote_asset.clone(),
                    types::Side::Sell => terms.base_asset.clone(),
                }),
                reserved_amount: terms.reserved,
                ..bare(accepted, wire::CommandKind::Place)
            },
            Action::Amend(amendment) => Self {
                instrument: Some(amendment.instrument.clone()),
                target_order_id: Some(amendment.target_order_id),
                quantity: amendment.quantity,
                price: amendment.price,
                reserved_asset: Some(amendment.reserve_asset.clone()),
                reserved_amount: amendment.extra_reserved,
                ..bare(accepted, wire::CommandKind::Amend)
            },
            Action::Cancel { instrument, target_order_id } => Self {
                instrument: Some(instrument.clone()),
                target_order_id: Some(*target_order_id),
                ..bare(accepted, wire::CommandKind::Cancel)
            },
            Action::CancelAll { instrument } => {
                Self { instrument: Some(instrument.clone()), ..bare(accepted, wire::CommandKind::CancelAll) }
            }
            Action::Transfer { asset, amount } if *amount > 0 => {
                Self { asset: Some(asset.clone()), amount: Some(*amount), ..bare(accepted, wire::CommandKind::Deposit) }
            }
            Action::Transfer { asset, amount } => Self {
                asset: Some(asset.clone()),
                amount: Some(-*amount),
                reserved_asset: Some(asset.clone()),
                reserved_amount: -*amount,
                ..bare(accepted, wire::CommandKind::Withdraw)
            },
        }
    }
}

impl TryFrom<wire::ValidatedCommand> for Accepted {
    type Error = Unfit;

    fn try_from(wire: wire::ValidatedCommand) -> Result<Self, Unfit> {
        let (command_id, commanded_at_ms) = (wire.command_id, wire.commanded_at_ms);
        let (account, client_order_id) = (wire.account.clone(), wire.client_order_id.clone());
        Ok(Self { command_id, account, client_order_id, commanded_at_ms, action: action(wire)? })
    }
}

fn action(wire: wire::ValidatedCommand) -> Result<Action, Unfit> {
    let kind = wire.kind.symbol();
    Ok(match wire.kind {
        wire::CommandKind::Place => Action::Place(order_terms(wire)?),
        wire::CommandKind::Amend => Action::Amend(Amendment {
            instrument: need("instrument", kind, wire.instrument)?,
            target_order_id: need("target_order_id", kind, wire.target_order_id)?,
            quantity: wire.quantity,
            price: wire.price,
            extra_reserved: wire.reserved_amount,
            reserve_asset: need("reserved_asset", kind, wire.reserved_asset)?,
        }),
        wire::CommandKind::Cancel => Action::Cancel {
            instrument: need("instrument", kind, wire.instrument)?,
            target_order_id: need("target_order_id", kind, wire.target_order_id)?,
        },
        wire::CommandKind::CancelAll => Action::CancelAll { instrument: need("instrument", kind, wire.instrument)? },
        wire::CommandKind::Deposit | wire::CommandKind::Withdraw => {
            let amount = need("amount", kind, wire.amount)?;
            if amount <= 0 {
                return Err(Unfit(format!("a {kind} record needs an amount above zero, not {amount}")));
            }
            let signed = if wire.kind == wire::CommandKind::Deposit { amount } else { -amount };
            Action::Transfer { asset: need("asset", kind, wire.asset)?, amount: signed }
        }
        wire::CommandKind::Unknown => return Err(Unfit("kind has a symbol that this version does not know".into())),
    })
}

fn order_terms(wire: wire::ValidatedCommand) -> Result<OrderTerms, Unfit> {
    let kind = "PLACE";
    Ok(OrderTerms {
        instrument: need("instrument", kind, wire.instrument)?,
        base_asset: need("base_asset", kind, wire.base_asset)?,
        quote_asset: need("quote_asset", kind, wire.quote_asset)?,
        side: need("side", kind, wire.side)?.try_into()?,
        order_type: need("order_type", kind, wire.order_type)?.try_into()?,
        time_in_force: need("time_in_force", kind, wire.time_in_force)?.try_into()?,
        quantity: need("quantity", kind, wire.quantity)?,
        price: need("price", kind, wire.price)?,
        stop_price: wire.stop_price,
        display_quantity: wire.display_quantity,
        post_only: wire.post_only,
        expires_at_ms: wire.expires_at_ms,
        self_trade_prevention: need("self_trade_prevention", kind, wire.self_trade_prevention)?.try_into()?,
        maker_fee_ppm: wire.maker_fee_ppm,
        taker_fee_ppm: wire.taker_fee_ppm,
        reserved: wire.reserved_amount,
    })
}

impl From<&Rejection> for wire::Rejection {
    fn from(rejection: &Rejection) -> Self {
        let original: Option<FirstVerdict> = rejection.original;
        Self {
            command_id: rejection.command_id,
            account: rejection.account.clone(),
            client_order_id: rejection.client_order_id.clone(),
            kind: rejection.kind.into(),
            commanded_at_ms: rejection.commanded_at_ms,
            instrument: rejection.instrument.clone(),
            reason: rejection.reason.into(),
            text: SmolStr::from(rejection.text.as_str()),
            original_command_id: original.map(|first| first.command_id),
            original_accepted: original.map(|first| first.rejected.is_none()),
            original_reason: original.and_then(|first| first.rejected).map(Into::into),
        }
    }
}

impl From<&OrderState> for wire::OrderState {
    fn from(order: &OrderState) -> Self {
        Self {
            order_id: order.order_id,
            account: order.account.clone(),
            client_order_id: order.client_order_id.clone(),
            instrument: order.instrument.clone(),
            base_asset: order.base_asset.clone(),
            quote_asset: order.quote_asset.clone(),
            side: order.side.into(),
            order_type: order.order_type.into(),
            time_in_force: order.time_in_force.into(),
            price: order.price,
            stop_price: order.stop_price,
            quantity: order.quantity,
            filled: order.filled,
            leaves: order.leaves,
            status: order.status.into(),
            maker_fee_ppm: order.maker_fee_ppm,
            taker_fee_ppm: order.taker_fee_ppm,
            reserved_before: order.reserved_before,
            reserved_after: order.reserved_after,
        }
    }
}

impl TryFrom<wire::OrderState> for OrderState {
    type Error = Unfit;

    fn try_from(wire: wire::OrderState) -> Result<Self, Unfit> {
        Ok(Self {
            order_id: wire.order_id,
            account: wire.account,
            client_order_id: wire.client_order_id,
            instrument: wire.instrument,
            base_asset: wire.base_asset,
            quote_asset: wire.quote_asset,
            side: wire.side.try_into()?,
            order_type: wire.order_type.try_into()?,
            time_in_force: wire.time_in_force.try_into()?,
            price: wire.price,
            stop_price: wire.stop_price,
            quantity: wire.quantity,
            filled: wire.filled,
            leaves: wire.leaves,
            status: wire.status.try_into()?,
            maker_fee_ppm: wire.maker_fee_ppm,
            taker_fee_ppm: wire.taker_fee_ppm,
            reserved_before: wire.reserved_before,
            reserved_after: wire.reserved_after,
        })
    }
}

fn bare_execution(execution: &Execution, kind: wire::ExecutionKind) -> wire::Execution {
    wire::Execution {
        kind,
        command_id: execution.command_id,
        commanded_at_ms: execution.commanded_at_ms,
        validated_at_ms: execution.validated_at_ms,
        instrument: None,
        order: None,
        maker: None,
        trade_id: None,
        price: None,
        quantity: None,
        kept_place: None,
        cancel_reason: None,
        refuse_reason: None,
        account: None,
        client_order_id: None,
        target_order_id: None,
        asset: None,
        amount: None,
        bid_price: None,
        bid_quantity: None,
        ask_price: None,
        ask_quantity: None,
    }
}

impl From<&Execution> for wire::Execution {
    fn from(execution: &Execution) -> Self {
        use wire::ExecutionKind as Kind;
        let with_order = |kind, order: &OrderState| Self {
            instrument: Some(order.instrument.clone()),
            order: Some(order.into()),
            ..bare_execution(execution, kind)
        };
        match &execution.body {
            ExecutionBody::Accepted { order } => with_order(Kind::Accepted, order),
            ExecutionBody::Triggered { order } => with_order(Kind::Triggered, order),
            ExecutionBody::Expired { order } => with_order(Kind::Expired, order),
            ExecutionBody::Traded(trade) => Self {
                maker: Some((&trade.maker).into()),
                trade_id: Some(trade.trade_id),
                price: Some(trade.price),
                quantity: Some(trade.quantity),
                ..with_order(Kind::Traded, &trade.taker)
            },
            ExecutionBody::Amended { order, kept_place } => {
                Self { kept_place: Some(*kept_place), ..with_order(Kind::Amended, order) }
            }
            ExecutionBody::Cancelled { order, reason } => {
                Self { cancel_reason: Some((*reason).into()), ..with_order(Kind::Cancelled, order) }
            }
            ExecutionBody::Refused {
                account,
                client_order_id,
                instrument,
                target_order_id,
                reason,
                reserve_asset,
                released,
            } => Self {
                instrument: Some(instrument.clone()),
                refuse_reason: Some((*reason).into()),
                account: Some(account.clone()),
                client_order_id: Some(client_order_id.clone()),
                target_order_id: *target_order_id,
                asset: reserve_asset.clone(),
                amount: Some(*released),
                ..bare_execution(execution, Kind::Refused)
            },
            ExecutionBody::Quoted { instrument, bid, ask } => Self {
                instrument: Some(instrument.clone()),
                bid_price: bid.map(|level| level.price),
                bid_quantity: bid.map(|level| level.quantity),
                ask_price: ask.map(|level| level.price),
                ask_quantity: ask.map(|level| level.quantity),
                ..bare_execution(execution, Kind::Quoted)
            },
            ExecutionBody::Transferred { account, client_order_id, asset, amount } => Self {
                account: Some(account.clone()),
                client_order_id: Some(client_order_id.clone()),
                asset: Some(asset.clone()),
                amount: Some(*amount),
                ..bare_execution(execution, Kind::Transferred)
            },
        }
    }
}

impl TryFrom<wire::Execution> for Execution {
    type Error = Unfit;

    fn try_from(wire: wire::Execution) -> Result<Self, Unfit> {
        let (command_id, commanded_at_ms, validated_at_ms) =
            (wire.command_id, wire.commanded_at_ms, wire.validated_at_ms);
        Ok(Self { command_id, commanded_at_ms, validated_at_ms, body: execution_body(wire)? })
    }
}

fn execution_body(wire: wire::Execution) -> Result<ExecutionBody, Unfit> {
    use wire::ExecutionKind as Kind;
    let kind = wire.kind.symbol();
    let order =
        |order: Option<wire::OrderState>| -> Result<OrderState, Unfit> { need("order", kind, order)?.try_into() };
    let level = |price: Option<i64>, quantity: Option<i64>| {
        price.zip(quantity).map(|(price, quantity)| Level { price, quantity })
    };
    Ok(match wire.kind {
        Kind::Accepted => ExecutionBody::Accepted { order: order(wire.order)? },
        Kind::Triggered => ExecutionBody::Triggered { order: order(wire.order)? },
        Kind::Expired => ExecutionBody::Expired { order: order(wire.order)? },
        Kind::Traded => ExecutionBody::Traded(Box::new(Trade {
            trade_id: need("trade_id", kind, wire.trade_id)?,
            price: need("price", kind, wire.price)?,
            quantity: need("quantity", kind, wire.quantity)?,
            taker: order(wire.order)?,
            maker: need("maker", kind, wire.maker)?.try_into()?,
        })),
        Kind::Amended => {
            ExecutionBody::Amended { order: order(wire.order)?, kept_place: need("kept_place", kind, wire.kept_place)? }
        }
        Kind::Cancelled => ExecutionBody::Cancelled {
            order: order(wire.order)?,
            reason: need("cancel_reason", kind, wire.cancel_reason)?.try_into()?,
        },
        Kind::Refused => ExecutionBody::Refused {
            account: need("account", kind, wire.account)?,
            client_order_id: need("client_order_id", kind, wire.client_order_id)?,
            instrument: need("instrument", kind, wire.instrument)?,
            target_order_id: wire.target_order_id,
            reason: need("refuse_reason", kind, wire.refuse_reason)?.try_into()?,
            reserve_asset: wire.asset,
            released: wire.amount.unwrap_or(0),
        },
        Kind::Quoted => ExecutionBody::Quoted {
            instrument: need("instrument", kind, wire.instrument)?,
            bid: level(wire.bid_price, wire.bid_quantity),
            ask: level(wire.ask_price, wire.ask_quantity),
        },
        Kind::Transferred => ExecutionBody::Transferred {
            account: need("account", kind, wire.account)?,
            client_order_id: need("client_order_id", kind, wire.client_order_id)?,
            asset: need("asset", kind, wire.asset)?,
            amount: need("amount", kind, wire.amount)?,
        },
        Kind::Unknown => return Err(Unfit("kind has a symbol that this version does not know".into())),
    })
}

impl From<&Settlement> for wire::Settlement {
    fn from(settlement: &Settlement) -> Self {
        let fill = settlement.fill.as_ref();
        Self {
            kind: settlement.kind.into(),
            execution_id: settlement.execution_id,
            command_id: settlement.command_id,
            account: settlement.account.clone(),
            instrument: settlement.instrument.clone(),
            order_id: settlement.order_id,
            trade_id: fill.map(|fill| fill.trade_id),
            side: fill.map(|fill| fill.side.into()),
            liquidity: fill.map(|fill| fill.liquidity.into()),
            price: fill.map(|fill| fill.price),
            quantity: fill.map(|fill| fill.quantity),
            notional: fill.map(|fill| fill.notional),
            fee: fill.map(|fill| fill.fee),
            order: settlement.order.map(|rest| wire::OrderRest {
                price: rest.price,
                quantity: rest.quantity,
                leaves: rest.leaves,
                reserved: rest.reserved,
                done: rest.done,
            }),
            postings: settlement
                .postings
                .iter()
                .map(|line| wire::Posting {
                    account: line.account.clone(),
                    asset: line.asset.clone(),
                    bucket: line.bucket.into(),
                    amount: line.amount,
                })
                .collect(),
            commanded_at_ms: settlement.commanded_at_ms,
            validated_at_ms: settlement.validated_at_ms,
            executed_at_ms: settlement.executed_at_ms,
        }
    }
}

impl TryFrom<wire::Settlement> for Settlement {
    type Error = Unfit;

    fn try_from(wire: wire::Settlement) -> Result<Self, Unfit> {
        let fill = match wire.kind {
            wire::SettlementKind::Trade => Some(Fill {
                trade_id: need("trade_id", "TRADE", wire.trade_id)?,
                side: need("side", "TRADE", wire.side)?.try_into()?,
                liquidity: need("liquidity", "TRADE", wire.liquidity)?.try_into()?,
                price: need("price", "TRADE", wire.price)?,
                quantity: need("quantity", "TRADE", wire.quantity)?,
                notional: need("notional", "TRADE", wire.notional)?,
                fee: need("fee", "TRADE", wire.fee)?,
            }),
            _ => None,
        };
        let posting = |line: wire::Posting| {
            Ok(Posting {
                account: line.account,
                asset: line.asset,
                bucket: line.bucket.try_into()?,
                amount: line.amount,
            })
        };
        Ok(Self {
            kind: wire.kind.try_into()?,
            execution_id: wire.execution_id,
            command_id: wire.command_id,
            account: wire.account,
            instrument: wire.instrument,
            order_id: wire.order_id,
            fill,
            order: wire.order.map(|rest| OrderRest {
                price: rest.price,
                quantity: rest.quantity,
                leaves: rest.leaves,
                reserved: rest.reserved,
                done: rest.done,
            }),
            postings: wire.postings.into_iter().map(posting).collect::<Result<_, Unfit>>()?,
            commanded_at_ms: wire.commanded_at_ms,
            validated_at_ms: wire.validated_at_ms,
            executed_at_ms: wire.executed_at_ms,
        })
    }
}
