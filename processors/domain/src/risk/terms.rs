//! The rungs about an order's own terms: side, type and time in force make sense together, tick, lot, bounds, collar.

use super::{Refusal, refuse};
use crate::accepted::OrderTerms;
use crate::command::{Command, RejectReason as Why};
use crate::money::{self, decimal};
use crate::types::{Instrument, MAX_UNITS, OrderType, SelfTradePrevention, Side, TimeInForce, TimeMs, Units};

const DAY_MS: TimeMs = 86_400_000;

/// The order that `command` places, complete but for its reservation.
pub(super) fn order_terms(now_ms: TimeMs, command: &Command, instrument: &Instrument) -> Result<OrderTerms, Refusal> {
    let Some(side) = command.side else {
        return refuse(Why::InvalidSide, "An order needs a side, BUY or SELL.");
    };
    let Some(order_type) = command.order_type else {
        return refuse(Why::InvalidOrderType, "An order needs a type: LIMIT, MARKET, STOP or STOP_LIMIT.");
    };
    type_fits_prices(order_type, command)?;
    let time_in_force = time_in_force(order_type, command)?;
    let expires_at_ms = expiry(now_ms, time_in_force, command, instrument)?;
    extras_fit(order_type, time_in_force, command)?;
    let price = worst_price(side, order_type, command, instrument)?;
    if let Some(stop_price) = command.stop_price {
        price_on_tick(stop_price, instrument)?;
    }
    let quantity = command.quantity.unwrap_or(0);
    quantity_in_lots(quantity, instrument)?;
    display_fits(quantity, command, instrument)?;
    notional_in_bounds(price, quantity, instrument)?;
    inside_collar(price, instrument)?;
    if let Some(stop_price) = command.stop_price {
        inside_collar(stop_price, instrument)?;
    }
    Ok(OrderTerms {
        instrument: instrument.symbol.clone(),
        base_asset: instrument.base_asset.clone(),
        quote_asset: instrument.quote_asset.clone(),
        side,
        order_type,
        time_in_force,
        quantity,
        price,
        stop_price: command.stop_price,
        display_quantity: command.display_quantity,
        post_only: command.post_only,
        expires_at_ms,
        self_trade_prevention: command.self_trade_prevention.unwrap_or(SelfTradePrevention::CancelNewest),
        maker_fee_ppm: instrument.maker_fee_ppm,
        taker_fee_ppm: instrument.taker_fee_ppm,
        reserved: 0,
    })
}

fn type_fits_prices(order_type: OrderType, command: &Command) -> Result<(), Refusal> {
    let wants_limit = matches!(order_type, OrderType::Limit | OrderType::StopLimit);
    let text = match (order_type, command.price.is_some(), command.stop_price.is_some()) {
        (_, false, _) if wants_limit => "LIMIT and STOP_LIMIT orders need a price.",
        (_, true, _) if !wants_limit => "MARKET and STOP orders have no price: the collar bounds them.",
        (kind, _, false) if kind.is_stop() => "STOP and STOP_LIMIT orders need a stop_price.",
        (kind, _, true) if !kind.is_stop() => "Only STOP and STOP_LIMIT orders have a stop_price.",
        _ => return Ok(()),
    };
    refuse(Why::InvalidOrderType, text)
}

fn time_in_force(order_type: OrderType, command: &Command) -> Result<TimeInForce, Refusal> {
    let default = if order_type == OrderType::Market { TimeInForce::Ioc } else { TimeInForce::Gtc };
    let time_in_force = command.time_in_force.unwrap_or(default);
    if order_type == OrderType::Market && time_in_force.may_rest() {
        return refuse(Why::InvalidTimeInForce, "A MARKET order is IOC or FOK: it never rests.");
    }
    if order_type.is_stop() && !time_in_force.may_rest() {
        return refuse(Why::InvalidTimeInForce, "A stop order waits for its price: it is GTC, DAY or GTD.");
    }
    Ok(time_in_force)
}

fn expiry(
    now_ms: TimeMs,
    time_in_force: TimeInForce,
    command: &Command,
    instrument: &Instrument,
) -> Result<Option<TimeMs>, Refusal> {
    match (time_in_force, command.expires_at_ms) {
        (TimeInForce::Gtd, Some(at_ms)) if at_ms > now_ms => Ok(Some(at_ms)),
        (TimeInForce::Gtd, Some(_)) => refuse(Why::InvalidTimeInForce, "The order's expires_at_ms has passed."),
        (TimeInForce::Gtd, None) => refuse(Why::InvalidTimeInForce, "A GTD order needs expires_at_ms."),
        (_, Some(_)) => refuse(Why::InvalidTimeInForce, "Only a GTD order has expires_at_ms."),
        (TimeInForce::Day, None) => Ok(Some(next_session_close(now_ms, instrument.session_close_ms))),
        (_, None) => Ok(None),
    }
}

/// The first session close after `now_ms`.
fn next_session_close(now_ms: TimeMs, session_close_ms: TimeMs) -> TimeMs {
    let today = now_ms - now_ms.rem_euclid(DAY_MS) + session_close_ms;
    if today > now_ms { today } else { today + DAY_MS }
}

fn extras_fit(order_type: OrderType, time_in_force: TimeInForce, command: &Command) -> Result<(), Refusal> {
    let rests_as_limit = order_type == OrderType::Limit && time_in_force.may_rest();
    if command.post_only && !rests_as_limit {
        return refuse(Why::InvalidTerms, "Only a LIMIT order that may rest can be post-only.");
    }
    if command.display_quantity.is_some() && !rests_as_limit {
        return refuse(Why::InvalidTerms, "Only a LIMIT order that may rest can have a display_quantity.");
    }
    Ok(())
}

/// The limit, or for market and stop orders the last tick inside the collar.
fn worst_price(
    side: Side,
    order_type: OrderType,
    command: &Command,
    instrument: &Instrument,
) -> Result<Units, Refusal> {
    if let (OrderType::Limit | OrderType::StopLimit, Some(price)) = (order_type, command.price) {
        price_on_tick(price, instrument)?;
        return Ok(price);
    }
    let (low, high) = collar(instrument);
    let tick = instrument.tick_size.max(1);
    let price = match side {
        Side::Buy => high - high % tick,
        Side::Sell => (low + tick - 1) / tick * tick,
    };
    Ok(price.max(tick))
}

pub(super) fn price_on_tick(price: Units, instrument: &Instrument) -> Result<(), Refusal> {
    if price <= 0 || price > MAX_UNITS {
        return refuse(Why::InvalidPrice, "A price must be above zero and below 10,000,000,000.");
    }
    if instrument.tick_size > 0 && price % instrument.tick_size != 0 {
        let (price, tick) = (decimal(price), decimal(instrument.tick_size));
        return refuse(Why::InvalidTick, format!("The price {price} is not a multiple of the tick size {tick}."));
    }
    Ok(())
}

pub(super) fn quantity_in_lots(quantity: Units, instrument: &Instrument) -> Result<(), Refusal> {
    if quantity <= 0 || quantity > MAX_UNITS {
        return refuse(Why::InvalidQuantity, "A quantity must be above zero and below 10,000,000,000.");
    }
    if instrument.lot_size > 0 && quantity % instrument.lot_size != 0 {
        let (quantity, lot) = (decimal(quantity), decimal(instrument.lot_size));
        return refuse(Why::InvalidLot, format!("The quantity {quantity} is not a multiple of the lot size {lot}."));
    }
    if quantity < instrument.min_quantity {
        let (quantity, min) = (decimal(quantity), decimal(instrument.min_quantity));
        return refuse(Why::QuantityTooSmall, format!("The quantity {quantity} is below the smallest, {min}."));
    }
    if quantity > instrument.max_quantity {
        let (quantity, max) = (decimal(quantity), decimal(instrument.max_quantity));
        return refuse(Why::QuantityTooLarge, format!("The quantity {quantity} is above the largest, {max}."));
    }
    Ok(())
}

fn display_fits(quantity: Units, command: &Command, instrument: &Instrument) -> Result<(), Refusal> {
    let Some(display) = command.display_quantity else {
        return Ok(());
    };
    if display <= 0 || display > quantity {
        return refuse(Why::InvalidTerms, "A display_quantity must be above zero and at most the quantity.");
    }
    if instrument.lot_size > 0 && display % instrument.lot_size != 0 {
        return refuse(Why::InvalidLot, "The display_quantity is not a multiple of the lot size.");
    }
    Ok(())
}

fn notional_in_bounds(price: Units, quantity: Units, instrument: &Instrument) -> Result<(), Refusal> {
    let Ok(notional) = money::notional(price, quantity) else {
        return refuse(Why::NotionalTooLarge, "Price times quantity is out of range.");
    };
    let asset = &instrument.quote_asset;
    if notional < instrument.min_notional {
        let (notional, min) = (decimal(notional), decimal(instrument.min_notional));
        return refuse(
            Why::NotionalTooSmall,
            format!("The order is worth {notional} {asset}, below the smallest, {min}."),
        );
    }
    if notional > instrument.max_notional {
        let (notional, max) = (decimal(notional), decimal(instrument.max_notional));
        return refuse(
            Why::NotionalTooLarge,
            format!("The order is worth {notional} {asset}, above the largest, {max}."),
        );
    }
    Ok(())
}

/// Lowest and highest price that the collar allows.
fn collar(instrument: &Instrument) -> (Units, Units) {
    let reference = i128::from(instrument.reference_price);
    let width = reference * i128::from(instrument.collar_ppm) / 1_000_000;
    let clamp = |price: i128| price.clamp(0, i128::from(MAX_UNITS)) as Units;
    (clamp(reference - width), clamp(reference + width))
}

pub(super) fn inside_collar(price: Units, instrument: &Instrument) -> Result<(), Refusal> {
    let (low, high) = collar(instrument);
    if (low..=high).contains(&price) {
        return Ok(());
    }
    let (price, low, high) = (decimal(price), decimal(low), decimal(high));
    refuse(Why::OutsideCollar, format!("The price {price} is outside the collar from {low} to {high}."))
}
