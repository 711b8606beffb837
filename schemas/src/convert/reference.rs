//! Reference data: what an instrument must satisfy before any rule relies on it.

use super::Unfit;
use crate::wire;
use tapeline_domain::types;

impl TryFrom<wire::Instrument> for types::Instrument {
    type Error = Unfit;

    fn try_from(wire: wire::Instrument) -> Result<Self, Unfit> {
        let wrong = |field: &str, mend: &str| {
            Err(Unfit(format!("instrument {}: the field `{field}` must be {mend}", wire.symbol)))
        };
        if wire.tick_size <= 0 || wire.lot_size <= 0 || wire.reference_price <= 0 {
            return wrong("tick_size, lot_size or reference_price", "above zero");
        }
        if wire.maker_fee_ppm < 0 || !(wire.maker_fee_ppm..=1_000_000).contains(&wire.taker_fee_ppm) {
            return wrong("taker_fee_ppm", "between the maker fee (0 or more) and 1,000,000");
        }
        if !(0..=1_000_000).contains(&wire.collar_ppm) || !(0..86_400_000).contains(&wire.session_close_ms) {
            return wrong("collar_ppm or session_close_ms", "at most 1,000,000, and below 86,400,000");
        }
        if wire.base_asset == wire.quote_asset {
            return wrong("quote_asset", "another asset than the base asset");
        }
        Ok(Self {
            status: wire.status.try_into()?,
            symbol: wire.symbol,
            base_asset: wire.base_asset,
            quote_asset: wire.quote_asset,
            tick_size: wire.tick_size,
            lot_size: wire.lot_size,
            min_quantity: wire.min_quantity,
            max_quantity: wire.max_quantity,
            min_notional: wire.min_notional,
            max_notional: wire.max_notional,
            reference_price: wire.reference_price,
            collar_ppm: wire.collar_ppm,
            maker_fee_ppm: wire.maker_fee_ppm,
            taker_fee_ppm: wire.taker_fee_ppm,
            session_close_ms: wire.session_close_ms,
        })
    }
}

impl TryFrom<wire::Account> for types::Account {
    type Error = Unfit;

    fn try_from(wire: wire::Account) -> Result<Self, Unfit> {
        Ok(Self { status: wire.status.try_into()?, id: wire.account, max_open_orders: wire.max_open_orders })
    }
}
