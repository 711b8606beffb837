//! Properties of the real files, where they are present: `../shared/data` beside the checkout, or `TAPELINE_DATA`.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use tapeline_replay::{Format, aapl, detect, market};
use tapeline_schemas::wire::{self, CommandKind, TimeInForce};

/// The path of a data file, or none (with a line that says so) if the data is not there.
fn data(file: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let root = std::env::var_os("TAPELINE_DATA").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let path = root.join(file);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there; set TAPELINE_DATA to the folder of the data", path.display());
    None
}

#[allow(clippy::unwrap_used, reason = "only tests call it")]
fn orders() -> Option<aapl::OrderFile> {
    let path = data("aapl-2012-06-21/AAPL_0930_1030_orders.csv")?;
    assert_eq!(detect(&path).unwrap(), Format::Orders);
    Some(aapl::OrderFile::read(&path, &aapl::Options::default()).unwrap())
}

#[test]
fn the_aapl_hour_has_its_commands() {
    let Some(file) = orders() else { return };
    assert_eq!(file.commands().len(), 89_387);
    let mut counts: HashMap<_, u32> = HashMap::new();
    let mut ids = HashSet::new();
    let mut last_ns = 0;
    for timed in file.commands() {
        *counts.entry((timed.command.kind, timed.command.time_in_force)).or_default() += 1;
        assert!(timed.command.client_order_id.len() <= 64);
        assert!(ids.insert((timed.command.account.clone(), timed.command.client_order_id.clone())));
        assert!(timed.at_ns >= last_ns);
        last_ns = timed.at_ns;
    }
    assert_eq!(counts[&(CommandKind::Place, Some(TimeInForce::Gtc))], 44_345);
    assert_eq!(counts[&(CommandKind::Place, Some(TimeInForce::Ioc))], 3_275);
    assert_eq!(counts[&(CommandKind::Amend, None)], 469);
    assert_eq!(counts[&(CommandKind::Cancel, None)], 41_298);
    assert_eq!(last_ns, 37_799_837_447_053 - 34_200_004_241_176);
}

#[test]
fn the_aapl_instrument_fits_every_order_and_the_funds_suffice() {
    let Some(file) = orders() else { return };
    let instrument = file.instrument();
    assert_eq!(instrument.reference_price, 58_533_000_000);
    assert_eq!((instrument.tick_size, instrument.lot_size), (1_000_000, 100_000_000));
    let reach = instrument.reference_price / 1_000_000 * instrument.collar_ppm;
    let mut needs: HashMap<_, i128> = HashMap::new();
    for command in file.commands().map(|timed| timed.command).filter(|c| c.kind == CommandKind::Place) {
        let (price, quantity) = (command.price.unwrap(), command.quantity.unwrap());
        assert_eq!((price % instrument.tick_size, quantity % instrument.lot_size), (0, 0));
        assert!((price - instrument.reference_price).abs() < reach && quantity <= instrument.max_quantity);
        let cost = i128::from(price) * i128::from(quantity) / 100_000_000;
        assert!((i128::from(instrument.min_notional)..=i128::from(instrument.max_notional)).contains(&cost));
        let (asset, need) = match command.side.unwrap() {
            wire::Side::Sell => ("AAPL", i128::from(quantity)),
            _ => ("USD", cost + cost * i128::from(instrument.taker_fee_ppm) / 1_000_000 + 1),
        };
        *needs.entry((command.account, asset)).or_default() += need;
    }
    let accounts = file.accounts();
    assert_eq!(accounts.len(), 100 + 10 + 18);
    let funds: HashMap<_, _> = accounts
        .iter()
        .flat_map(|funded| funded.funds.iter().map(|(asset, amount)| ((&*funded.account.account, &**asset), *amount)))
        .collect();
    for ((account, asset), need) in needs {
        assert!(i128::from(funds[&(&*account, asset)]) >= need, "{account} {asset}");
    }
}

#[test]
fn no_fill_of_the_aapl_hour_has_the_same_account_on_both_sides() {
    let Some(file) = orders() else { return };
    let Some(path) = data("aapl-2012-06-21/AAPL_0930_1030_fills.csv") else { return };
    let fills = aapl::fills(&path).unwrap();
    assert_eq!(fills.len(), 4_067);
    let (mut by_seq, mut by_order) = (HashMap::new(), HashMap::new());
    for command in file.commands().map(|timed| timed.command).filter(|c| c.kind == CommandKind::Place) {
        let (order_id, seq) = aapl::file_ids(&command.client_order_id).unwrap();
        by_seq.insert(seq, (command.account.clone(), command.side));
        by_order.insert(order_id, command);
    }
    for fill in fills {
        let maker = &by_order[&fill.maker_order_id];
        let (taker, side) = &by_seq[&fill.aggressor_seq];
        assert_ne!(&maker.account, taker, "{fill:?}");
        assert_eq!((maker.price, *side), (Some(fill.price), Some(fill.aggressor_side)), "{fill:?}");
    }
}

#[test]
fn the_xrp_trades_make_the_venues_one_minute_candles() {
    let Some(path) = data("xrpeth-2019-10/binance_XRPETH_aggtrades.csv") else { return };
    let Some(candles_path) = data("xrpeth-2019-10/binance_XRPETH_ohlcv_1m.csv") else { return };
    let trades: Vec<wire::MarketTick> =
        market::Trades::open(&path, "binance", "XRP-ETH").unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(trades.len(), 12_477);
    let expected = market::candles(&candles_path).unwrap();
    assert_eq!(expected.len(), 2_469);
    let mut candles: Vec<market::Candle> = Vec::new();
    for trade in trades {
        let (at_ms, price) = (trade.at_us / 60_000_000 * 60_000, trade.price.unwrap());
        if candles.last().is_none_or(|candle| candle.at_ms != at_ms) {
            candles.push(market::Candle { at_ms, open: price, high: price, low: price, close: price, volume: 0 });
        }
        let candle = candles.last_mut().unwrap();
        (candle.high, candle.low, candle.close) = (candle.high.max(price), candle.low.min(price), price);
        candle.volume += trade.quantity.unwrap();
    }
    assert_eq!(candles, expected);
}
