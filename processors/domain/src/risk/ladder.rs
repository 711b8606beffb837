//! The validation ladder: flat, one rung after the other, the first that fails decides. `tests/ladder.txt` is its
//! table in order of precedence.

use super::{CommandAt, Hold, OpenOrder, Refusal, Risk, only_cancels, refuse, terms};
use crate::accepted::{Action, Amendment};
use crate::command::{Command, CommandKind, RejectReason as Why};
use crate::money;
use crate::types::{
    AccountStatus, Instrument, InstrumentStatus, MAX_UNITS, OrderId, OrderType, SYSTEM_ACCOUNT_PREFIX, Units,
};
use smol_str::SmolStr;

/// Longest account or client order id, in bytes.
const MAX_NAME_BYTES: usize = 64;

type Checked = Result<(Action, Option<Hold>), Refusal>;

impl Risk {
    /// All rungs but the duplicate's.
    pub(super) fn climb(&self, at: CommandAt, command: &Command) -> Checked {
        well_formed(command)?;
        if !at.in_own_partition {
            return refuse(
                Why::WrongPartition,
                "The record is not in its account's partition: publish with the account as key and the murmur2 partitioner.",
            );
        }
        match command.kind {
            CommandKind::Place => self.place(at, command),
            CommandKind::Amend => self.amend(command),
            CommandKind::Cancel => self.cancel(command),
            CommandKind::CancelAll => self.cancel_all(command),
            CommandKind::Deposit | CommandKind::Withdraw => self.transfer(command),
        }
    }

    fn place(&self, at: CommandAt, command: &Command) -> Checked {
        let instrument = self.instrument(command)?;
        self.account_may(command)?;
        let mut order = terms::order_terms(at.time_ms, command, instrument)?;
        let state = self.account(&command.account);
        let open = state.map_or(0, |state| state.open_orders()) as i64;
        let limit = state.and_then(|state| state.reference.as_ref()).map_or(0, |account| account.max_open_orders);
        if open >= limit {
            return refuse(Why::TooManyOpenOrders, format!("The account has {open} open orders; {limit} are allowed."));
        }
        let asset = match order.side {
            crate::types::Side::Buy => order.quote_asset.clone(),
            crate::types::Side::Sell => order.base_asset.clone(),
        };
        order.reserved = money::reservation(order.side, order.price, order.quantity, order.taker_fee_ppm)
            .or_else(|_| refuse(Why::NotionalTooLarge, "Price times quantity is out of range."))?;
        let hold = self.funds(command, asset, order.reserved)?;
        Ok((Action::Place(order), Some(hold)))
    }

    fn amend(&self, command: &Command) -> Checked {
        self.account_may(command)?;
        let (target_order_id, order) = self.target(command)?;
        let instrument = self.open_instrument(&order.instrument)?;
        if command.quantity.is_none() && command.price.is_none() {
            return refuse(Why::InvalidTerms, "An amend needs a new quantity, a new price or both.");
        }
        if command.price.is_some() && !matches!(order.order_type, OrderType::Limit | OrderType::StopLimit) {
            return refuse(Why::InvalidTerms, "Only an order with a limit price can be given another one.");
        }
        let price = command.price.unwrap_or(order.price);
        let quantity = command.quantity.unwrap_or(order.quantity);
        if command.price.is_some() {
            terms::price_on_tick(price, instrument)?;
        }
        terms::quantity_in_lots(quantity, instrument)?;
        if command.price.is_some() {
            terms::inside_collar(price, instrument)?;
        }
        // What is filled is known as far as settlements have come; the executor refuses what the rest can't cover.
        let leaves = (quantity - (order.quantity - order.leaves)).max(0);
        let needed = money::reservation(order.side, price, leaves, order.taker_fee_ppm)
            .or_else(|_| refuse(Why::NotionalTooLarge, "Price times quantity is out of range."))?;
        let extra = (needed - order.reserved).max(0);
        let hold = self.funds(command, order.reserve_asset.clone(), extra)?;
        let amendment = Amendment {
            instrument: order.instrument.clone(),
            target_order_id,
            quantity: command.quantity,
            price: command.price,
            extra_reserved: extra,
            reserve_asset: order.reserve_asset.clone(),
        };
        Ok((Action::Amend(amendment), Some(hold)))
    }

    fn cancel(&self, command: &Command) -> Checked {
        self.account_may(command)?;
        let (target_order_id, order) = self.target(command)?;
        Ok((Action::Cancel { instrument: order.instrument.clone(), target_order_id }, None))
    }

    fn cancel_all(&self, command: &Command) -> Checked {
        let instrument = self.instrument(command)?;
        self.account_may(command)?;
        Ok((Action::CancelAll { instrument: instrument.symbol.clone() }, None))
    }

    fn transfer(&self, command: &Command) -> Checked {
        self.account_may(command)?;
        let Some(asset) = command.asset.clone().filter(|asset| is_name(asset)) else {
            return refuse(Why::InvalidTerms, "A deposit or withdrawal needs an asset (1 to 64 bytes).");
        };
        let amount = command.amount.unwrap_or(0);
        if amount <= 0 || amount > MAX_UNITS {
            return refuse(Why::InvalidAmount, "The amount must be above zero and below 10,000,000,000.");
        }
        if command.kind == CommandKind::Withdraw {
            let hold = self.funds(command, asset.clone(), amount)?;
            return Ok((Action::Transfer { asset, amount: -amount }, Some(hold)));
        }
        let balance = self.balance(&command.account, &asset);
        if balance.available.saturating_add(balance.reserved).saturating_add(amount) > MAX_UNITS {
            return refuse(
                Why::InvalidAmount,
                "The balance would reach 10,000,000,000, more than an account can hold.",
            );
        }
        Ok((Action::Transfer { asset, amount }, None))
    }

    fn instrument(&self, command: &Command) -> Result<&Instrument, Refusal> {
        let Some(symbol) = &command.instrument else {
            return refuse(Why::UnknownInstrument, "The command names no instrument.");
        };
        let Some(instrument) = self.instruments.get(symbol) else {
            return refuse(Why::UnknownInstrument, format!("There is no instrument {symbol}."));
        };
        if only_cancels(command.kind) { Ok(instrument) } else { self.open_instrument(symbol) }
    }

    fn open_instrument(&self, symbol: &SmolStr) -> Result<&Instrument, Refusal> {
        match self.instruments.get(symbol) {
            None => refuse(Why::UnknownInstrument, format!("There is no instrument {symbol} any more.")),
            Some(instrument) if instrument.status != InstrumentStatus::Open => {
                refuse(Why::InstrumentNotOpen, format!("The instrument {symbol} takes no orders now, only cancels."))
            }
            Some(instrument) => Ok(instrument),
        }
    }

    fn account_may(&self, command: &Command) -> Result<(), Refusal> {
        let account = self.account(&command.account).and_then(|state| state.reference.as_ref());
        match account {
            None => refuse(Why::UnknownAccount, format!("There is no account {}.", command.account)),
            Some(account) if account.status != AccountStatus::Active && !only_cancels(command.kind) => refuse(
                Why::AccountNotActive,
                format!("The account {} is not active; it may only cancel.", command.account),
            ),
            Some(_) => Ok(()),
        }
    }

    fn target(&self, command: &Command) -> Result<(OrderId, &OpenOrder), Refusal> {
        let Some(target) = &command.target_client_order_id else {
            return refuse(Why::UnknownOrder, "The command names no order: set target_client_order_id.");
        };
        let found = self.account(&command.account).and_then(|state| state.order_of(target));
        found.map_or_else(|| refuse(Why::UnknownOrder, format!("The account has no open order {target}.")), Ok)
    }

    /// The last rung: whether `amount` is available.
    fn funds(&self, command: &Command, asset: SmolStr, amount: Units) -> Result<Hold, Refusal> {
        let available = self.balance(&command.account, &asset).available;
        if available < amount {
            return refuse(
                Why::InsufficientFunds,
                format!(
                    "This needs {} {asset}, and {} {asset} are available.",
                    money::decimal(amount),
                    money::decimal(available)
                ),
            );
        }
        Ok(Hold { asset, amount })
    }
}

/// The first rung: the names by which all others go.
fn well_formed(command: &Command) -> Result<(), Refusal> {
    if !is_name(&command.account) || command.account.starts_with(SYSTEM_ACCOUNT_PREFIX) {
        return refuse(Why::Malformed, "The account must have 1 to 64 bytes and not begin with @.");
    }
    if !is_name(&command.client_order_id) {
        return refuse(
            Why::Malformed,
            "The client_order_id must have 1 to 64 bytes, none of them a control character.",
        );
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}
