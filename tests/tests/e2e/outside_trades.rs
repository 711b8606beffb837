//! An outside venue's trades, published to `market.ticks`, give the venue's own candles in TimescaleDB.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::time::Duration;
use tapeline_replay::market::{Candle, candles};
use tapeline_tests::parts::{Stack, market_data, with_stack};
use tapeline_tests::pipeline::Pipeline;
use tapeline_tests::views::timescale;

const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn outside_trades_give_the_venues_candles_on_every_row() -> Result<()> {
    let test = "outside_trades";
    let Some(folder) = market_data(test, "xrpeth-2019-10") else { return Ok(()) };
    with_stack(test, |stack| {
        let mut pipeline = Pipeline::start(stack, &["timescale"])?;
        let trades = folder.join("binance_XRPETH_aggtrades.csv");
        let trades = trades.to_str().context("the path of the data is not of UTF-8")?;
        stack.tapeline(&["replay", "--orders", trades, "--pace", "max"])?;
        pipeline.rest(PATIENCE)?;
        compare(stack, "1m", &folder.join("binance_XRPETH_ohlcv_1m.csv"), 2_469)?;
        compare(stack, "5m", &folder.join("binance_XRPETH_ohlcv_5m.csv"), 706)?;
        pipeline.stop()
    })
}

fn compare(stack: &Stack, interval: &str, file: &Path, rows: usize) -> Result<()> {
    let expected = candles(file)?;
    let units = |column: &str| format!("({column} * 100000000)::bigint::text");
    let columns = ["open", "high", "low", "close", "volume"].map(units).join(", ");
    let sql = format!(
        "SELECT (extract(epoch FROM bucket) * 1000)::bigint::text, {columns} FROM candles \
         WHERE venue = 'binance' AND instrument = 'XRP-ETH' AND interval = '{interval}' ORDER BY bucket"
    );
    let found = timescale(&stack.app.addresses, &sql)?;
    ensure!(found.len() == expected.len(), "{interval}: {} candles, the venue has {}", found.len(), expected.len());
    for (expected, row) in expected.iter().zip(&found) {
        let cells: Vec<i64> = row.iter().map(|cell| cell.parse()).collect::<Result<_, _>>()?;
        let [at_ms, open, high, low, close, volume] = cells[..] else { anyhow::bail!("six columns, not {row:?}") };
        let found = Candle { at_ms, open, high, low, close, volume };
        ensure!(found == *expected, "{interval}: expected {expected:?}, found {found:?}");
    }
    ensure!(expected.len() == rows, "{interval}: the venue's file has {} candles", expected.len());
    println!("{interval}: {rows} of {rows} candles are equal");
    Ok(())
}
