//! The validation ladder: flat, one rung after the other, the first that fails decides. `tests/ladder.txt` is its
//! table in order of precedence.

use super::account::AccountState;
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
    /// All rungs but the duplicate's, for the command's account if there is one.
    pub(super) fn climb(&self, at: CommandAt, command: &Command, account: Option<&AccountState>) -> Checked {
        well_formed(command)?;
        if !at.in_own_partition {
            return refuse(
                Why::WrongPartition,
                "The record is not in its account's partition: publish with the account as key and the murmur2 partitioner.",
            );
        }
        match command.kind {
            CommandKind::Place => self.place(at, command, account),
            CommandKind::Amend => self.amend(command, account),
            CommandKind::Cancel => {
                let account = account_may(command, account)?;
                let (target_order_id, order) = target(command, account)?;
                Ok((Action::Cancel { instrument: order.instrument.clone(), target_order_id }, None))
            }
            CommandKind::CancelAll => {
                let instrument = self.instrument(command)?;
                account_may(command, account)?;
                Ok((Action::CancelAll { instrument: instrument.symbol.clone() }, None))
            }
            CommandKind::Deposit | CommandKind::Withdraw => transfer(command, account),
        }
    }

    fn place(&self, at: CommandAt, command: &Command, account: Option<&AccountState>) -> Checked {
        let instrument = self.instrument(command)?;
        let account = account_may(command, account)?;
        let mut order = terms::order_terms(at.time_ms, command, instrument)?;
        let open = account.open_orders() as i64;
        let limit = account.reference.as_ref().map_or(0, |reference| reference.max_open_orders);
        if open >= limit {
            return refuse(Why::TooManyOpenOrders, format!("The account has {open} open orders; {limit} are allowed."));
        }
        let asset = match order.side {
            crate::types::Side::Buy => order.quote_asset.clone(),
            crate::types::Side::Sell => order.base_asset.clone(),
        };
        order.reserved = money::reservation(order.side, order.price, order.quantity, order.taker_fee_ppm)
            .or_else(|_| refuse(Why::NotionalTooLarge, "Price times quantity is out of range."))?;
        let hold = funds(account, asset, order.reserved)?;
        Ok((Action::Place(order), Some(hold)))
    }

    fn amend(&self, command: &Command, account: Option<&AccountState>) -> Checked {
        let account = account_may(command, account)?;
        let (target_order_id, order) = target(command, account)?;
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
        let hold = funds(account, order.reserve_asset.clone(), extra)?;
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

    fn instrument(&self, command: &Command) -> Result<&Instrument, Refusal> {
        let Some(symbol) = &command.instrument else {
            return refuse(Why::UnknownInstrument, "The command names no instrument.");
        };
        let Some(instrument) = self.instruments.get(symbol) else {
            return refuse(Why::UnknownInstrument, format!("There is no instrument {symbol}."));
        };
        if only_cancels(command.kind) { Ok(instrument) } else { open(instrument) }
    }

    fn open_instrument(&self, symbol: &SmolStr) -> Result<&Instrument, Refusal> {
        match self.instruments.get(symbol) {
            None => refuse(Why::UnknownInstrument, format!("There is no instrument {symbol} any more.")),
            Some(instrument) => open(instrument),
        }
    }
}

/// The instrument, if it takes orders.
fn open(instrument: &Instrument) -> Result<&Instrument, Refusal> {
    if instrument.status == InstrumentStatus::Open {
        return Ok(instrument);
    }
    let symbol = &instrument.symbol;
    refuse(Why::InstrumentNotOpen, format!("The instrument {symbol} takes no orders now, only cancels."))
}

fn transfer(command: &Command, account: Option<&AccountState>) -> Checked {
    let account = account_may(command, account)?;
    let Some(asset) = command.asset.clone().filter(|asset| is_name(asset)) else {
        return refuse(Why::InvalidTerms, "A deposit or withdrawal needs an asset (1 to 64 bytes).");
    };
    let amount = command.amount.unwrap_or(0);
    if amount <= 0 || amount > MAX_UNITS {
        return refuse(Why::InvalidAmount, "The amount must be above zero and below 10,000,000,000.");
    }
    if command.kind == CommandKind::Withdraw {
        let hold = funds(account, asset.clone(), amount)?;
        return Ok((Action::Transfer { asset, amount: -amount }, Some(hold)));
    }
    let balance = account.balance(&asset);
    if balance.available.saturating_add(balance.reserved).saturating_add(amount) > MAX_UNITS {
        return refuse(Why::InvalidAmount, "The balance would reach 10,000,000,000, more than an account can hold.");
    }
    Ok((Action::Transfer { asset, amount }, None))
}

/// The account, if it may do what the command asks.
fn account_may<'a>(command: &Command, account: Option<&'a AccountState>) -> Result<&'a AccountState, Refusal> {
    let known = account.and_then(|account| Some((account, account.reference.as_ref()?)));
    match known {
        None => refuse(Why::UnknownAccount, format!("There is no account {}.", command.account)),
        Some((_, reference)) if reference.status != AccountStatus::Active && !only_cancels(command.kind) => {
            refuse(Why::AccountNotActive, format!("The account {} is not active; it may only cancel.", command.account))
        }
        Some((account, _)) => Ok(account),
    }
}

fn target<'a>(command: &Command, account: &'a AccountState) -> Result<(OrderId, &'a OpenOrder), Refusal> {
    let Some(target) = &command.target_client_order_id else {
        return refuse(Why::UnknownOrder, "The command names no order: set target_client_order_id.");
    };
    account
        .order_of(target)
        .map_or_else(|| refuse(Why::UnknownOrder, format!("The account has no open order {target}.")), Ok)
}

/// The last rung: whether `amount` is available.
fn funds(account: &AccountState, asset: SmolStr, amount: Units) -> Result<Hold, Refusal> {
    let available = account.balance(&asset).available;
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
