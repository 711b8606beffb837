//! Reference data of the tests: an instrument, and its listing as operations do it.

use crate::parts::Stack;
use anyhow::Result;
use std::time::Duration;
use tapeline_cli::{drain, publish};
use tapeline_domain::types::ONE;
use tapeline_schemas::topic;
use tapeline_schemas::wire::{Account, Instrument, InstrumentStatus};

/// How long the validator may take to know what was listed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Publishes instruments and accounts, and waits until the validator knows them.
///
/// # Errors
/// If it does not come to know them.
pub fn list(stack: &Stack, instruments: &[Instrument], accounts: &[Account]) -> Result<()> {
    let (topology, addresses) = (&stack.app.topology, &stack.app.addresses);
    let watch = drain::BroadcastWatch::begin(topology, addresses, "validator")?;
    publish::reference(addresses, instruments, accounts)?;
    watch.wait(topic::INSTRUMENTS, PATIENCE)?;
    stack.drain(&["validator"], PATIENCE)
}

/// An open instrument, one unit a lot, around a price of 20.
pub fn instrument(symbol: &str, base_asset: &str) -> Instrument {
    Instrument {
        symbol: symbol.into(),
        base_asset: base_asset.into(),
        quote_asset: "USD".into(),
        tick_size: ONE / 100,
        lot_size: ONE,
        min_quantity: ONE,
        max_quantity: 1_000 * ONE,
        min_notional: ONE,
        max_notional: 1_000_000 * ONE,
        reference_price: 20 * ONE,
        collar_ppm: 500_000,
        maker_fee_ppm: 100,
        taker_fee_ppm: 250,
        status: InstrumentStatus::Open,
        session_close_ms: 0,
    }
}
