//! The gateway as a process of its own, as operations run it, and an instrument to trade on it.

use crate::parts::Stack;
use anyhow::{Context, Result};
use std::net::TcpListener;
use std::time::Duration;
use tapeline_cli::component::Component;
use tapeline_domain::types::ONE;
use tapeline_schemas::wire::{Instrument, InstrumentStatus};

/// How long a gateway may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// Starts the binary, open for deposits, with more of its environment, and waits until it is ready.
///
/// # Errors
/// If it does not start.
pub fn start(stack: &Stack, instance: &str, environment: &[(&str, &str)]) -> Result<Component> {
    // Passkeys count for the origin that it is told, so the port must be known before. Nobody else takes it meanwhile:
    // the system gives free ports in turn.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = stack.binary("gateway")?;
    command.env("TAPELINE_GATEWAY", address.to_string()).env("TAPELINE_GATEWAY_DEMO", "1");
    command.envs(environment.iter().copied());
    let mut gateway = Component::spawn(command, "gateway", instance, stack.log(instance))?;
    gateway.wait_http()?;
    gateway.wait_ready(READY_PATIENCE)?;
    Ok(gateway)
}

/// Where a page of it begins, as browsers know it.
///
/// # Errors
/// If it was not started by [`start`].
pub fn origin(gateway: &Component) -> Result<String> {
    let address = gateway.http().context("the gateway's address")?;
    Ok(format!("http://localhost:{}", address.port()))
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
