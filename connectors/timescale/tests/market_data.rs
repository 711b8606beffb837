//! Real trades of a venue through the sink: the candles equal the venue's own, on every row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]

mod support;

use std::path::PathBuf;
use support::TestDatabase;
use support::stream::batches;
use tapeline_runtime::sink::{Event, Sink, SinkRecord};
use tapeline_schemas::{topic, wire};
use tapeline_timescale::TimescaleSink;

/// The folder of `TAPELINE_DATA`, or the one beside the workspace; `None` (and a printed line) if it is not there.
fn data() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("TAPELINE_DATA").map_or_else(beside, PathBuf::from).join("xrpeth-2019-10");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there is no {}; set TAPELINE_DATA to the folder that holds it", folder.display());
    None
}

fn lines(folder: &std::path::Path, file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// All decimals in these files have eight places.
fn units(decimal: &str) -> i64 {
    assert_eq!(decimal.split_once('.').unwrap().1.len(), 8, "{decimal}");
    decimal.replace('.', "").parse().unwrap()
}

fn record(offset: i64, row: &[String]) -> (smol_str::SmolStr, SinkRecord) {
    let tick = wire::MarketTick {
        venue: "binance".into(),
        instrument: "XRP-ETH".into(),
        kind: wire::TickKind::Trade,
        at_us: row[1].parse::<i64>().unwrap() * 1_000,
        trade_id: Some(row[0].parse().unwrap()),
        price: Some(units(&row[2])),
        quantity: Some(units(&row[3])),
        taker_side: None,
        bid_price: None,
        bid_quantity: None,
        ask_price: None,
        ask_quantity: None,
    };
    (topic::MARKET_TICKS.into(), SinkRecord { partition: 2, offset, timestamp_ms: 0, event: Event::Market(tick) })
}

#[test]
fn xrp_eth_candles_equal_the_venues() {
    let Some(folder) = data() else { return };
    let Some(database) = TestDatabase::create("xrp_eth_candles_equal_the_venues") else { return };
    let trades = lines(&folder, "binance_XRPETH_aggtrades.csv");
    let records: Vec<_> = (0..).zip(&trades).map(|(offset, row)| record(offset, row)).collect();
    assert_eq!(records.len(), 12_477);
    let mut sink = TimescaleSink::connect(&database.url).unwrap();
    batches(&records, 1_000).iter().for_each(|batch| sink.write(batch).unwrap());

    for (interval, count) in [("1m", 2_469), ("5m", 706)] {
        let venues: Vec<String> =
            lines(&folder, &format!("binance_XRPETH_ohlcv_{interval}.csv")).iter().map(|row| row.join("|")).collect();
        let ours = database.query(&format!(
            "SELECT (extract(epoch FROM bucket) * 1000)::bigint, open, high, low, close, volume
             FROM candles WHERE venue = 'binance' AND instrument = 'XRP-ETH' AND interval = '{interval}'
             ORDER BY bucket"
        ));
        assert_eq!(ours.len(), count);
        assert_eq!(ours, venues, "{interval}");
    }
}
