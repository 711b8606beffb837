//! Folds one partition of `market.ticks`: candles and quotes of outside venues, which TimescaleDB alone shows.

use super::Part;
use super::candles::{Market, MarketRows};
use super::executed::OWN_VENUE;
use super::shared::Shared;
use crate::verify::log::LogReader;
use crate::verify::records::MarketTick;
use crate::verify::rows_timescale::{Moment, checked_us};
use anyhow::Result;
use smol_str::SmolStr;
use std::collections::HashMap;
use tapeline_schemas::topic;
use tapeline_schemas::wire::{self, TickKind};

/// Names of venues and instruments that are longer have no row.
const MAX_NAME_BYTES: usize = 64;

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}

pub(super) fn market(shared: &Shared, log: &LogReader, partition: i32) -> Result<Part> {
    let name = topic::MARKET_TICKS;
    let shown = shared.timescale.at(name, partition).min(shared.cut.ends.at(name, partition));
    let mut markets: HashMap<(SmolStr, SmolStr), Market> = HashMap::new();
    log.each::<wire::MarketTick>(name, partition, shown, |at, body| {
        let Some(tick) = body.read::<MarketTick<'_>>()? else { return Ok(()) };
        let is_shown = at.key == Some(tick.instrument.as_bytes())
            && is_name(tick.venue)
            && is_name(tick.instrument)
            && tick.venue != OWN_VENUE;
        let Some(at_us) = checked_us(Some(tick.at_us)).filter(|_| is_shown) else { return Ok(()) };
        let market = markets.entry((SmolStr::new(tick.venue), SmolStr::new(tick.instrument))).or_default();
        match (tick.kind, tick.trade_id, tick.price, tick.quantity) {
            (TickKind::Quote, ..) => {
                let moment = Moment { partition, offset: at.offset, at_us };
                let (bid, ask) = (tick.bid_price.zip(tick.bid_quantity), tick.ask_price.zip(tick.ask_quantity));
                market.quote(moment, bid, ask);
            }
            (TickKind::Trade, Some(trade_id), Some(price), Some(quantity)) if quantity > 0 => {
                market.trade(at_us, trade_id, price, quantity);
            }
            _ => {}
        }
        Ok(())
    })?;
    let mut rows = MarketRows::new(shared.wanted.clone());
    for ((venue, instrument), market) in markets {
        rows.add(&venue, &instrument, market);
    }
    let mut part = Part::default();
    part.tables.extend(rows.into_tables());
    Ok(part)
}
