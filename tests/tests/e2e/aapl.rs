//! An hour of AAPL through the five binaries gives the venue's own fills, row by row, in ClickHouse.

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tapeline_domain::types::ONE;
use tapeline_replay::aapl::{Fill, file_ids, fills};
use tapeline_schemas::wire::Side;
use tapeline_tests::parts::{market_data, with_stack};
use tapeline_tests::pipeline::Pipeline;
use tapeline_tests::views::clickhouse;

const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn the_aapl_hour_gives_the_venues_fills_row_by_row_in_clickhouse() -> Result<()> {
    let test = "aapl_hour";
    let Some(folder) = market_data(test, "aapl-2012-06-21") else { return Ok(()) };
    with_stack(test, |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        let orders = folder.join("AAPL_0930_1030_orders.csv");
        let started_at = Instant::now();
        let orders = orders.to_str().context("the path of the data is not of UTF-8")?;
        stack.tapeline(&["replay", "--orders", orders, "--pace", "max"])?;
        println!("published after {:.1} s", started_at.elapsed().as_secs_f64());
        pipeline.rest(PATIENCE)?;

        let expected = fills(&folder.join("AAPL_0930_1030_fills.csv"))?;
        let sql = "SELECT taker_client_order_id, maker_client_order_id, taker_side, toString(price), \
                   toString(quantity) FROM trades ORDER BY kafka_partition, kafka_offset";
        let traded = clickhouse(&stack.app.addresses, sql)?;
        for (expected, row) in expected.iter().zip(&traded) {
            let found = fill(row, expected.fill_seq)?;
            ensure!(found == *expected, "fill {}: expected {expected:?}, found {found:?}", expected.fill_seq);
        }
        ensure!(traded.len() == expected.len(), "{} trades, the venue had {}", traded.len(), expected.len());
        ensure!(expected.len() == 4_067, "the file has {} fills", expected.len());

        let audit = stack.audit()?;
        ensure!(audit.flow.rejected.is_empty(), "rejected: {:?}", audit.flow.rejected);
        ensure!(!audit.flow.executions.contains_key("REFUSED"), "refused: {:?}", audit.flow.executions);
        pipeline.stop()
    })
}

/// A trade as the file of fills has it: its orders by the file's own ids.
fn fill(row: &[String], fill_seq: i64) -> Result<Fill> {
    let [taker, maker, side, price, quantity] = row else { anyhow::bail!("five columns expected, not {row:?}") };
    let ids = |id: &str| file_ids(id).with_context(|| format!("`{id}` is no id of the file's"));
    Ok(Fill {
        fill_seq,
        aggressor_seq: ids(taker)?.1,
        maker_order_id: ids(maker)?.0,
        aggressor_side: if side == Side::Buy.symbol() { Side::Buy } else { Side::Sell },
        price: units(price)?,
        quantity: units(quantity)?,
    })
}

/// A decimal in units of 10^-8.
fn units(decimal: &str) -> Result<i64> {
    let (whole, rest) = decimal.split_once('.').unwrap_or((decimal, ""));
    ensure!(rest.len() <= 8, "`{decimal}` has more than eight decimals");
    Ok(whole.parse::<i64>()? * ONE + format!("{rest:0<8}").parse::<i64>()?)
}
