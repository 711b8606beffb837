//! Files that people write or bring: the topology, orders, fills, trades and candles.

use super::{Start, Target, kind_of};
use anyhow::Result;
use std::path::Path;
use tapeline_replay::aapl::{Options, OrderFile, fills_from_reader};
use tapeline_replay::market::{Trades, candles_from_reader};
use tapeline_replay::{Format, ReadError};
use tapeline_runtime::topology::Topology;

const TOPOLOGY: &str = include_str!("../../../../topology.toml");
/// One in so many topologies that parse is drawn too, by its length: drawing takes a hundred times as long.
const DRAW_EVERY: usize = 8;

const ORDERS: &str = "1,34200004241176000,NEW,16113575,B,5853300,18,seed\n2,34200004260640000,NEW,16113584,S,5859500,18,\n\
                      3,34200025552608000,IOC,16120456,B,5859500,18,exec\n4,34200201743336000,REDUCE,16113575,B,5853300,8,\n\
                      5,34200201781128000,CANCEL,16113575,B,5853300,10,\n6,34200205573336000,NEW,16167159,S,5853100,40,exec+rest\n";
const FILLS: &str = "1,34200025552608000,3,16113584,B,5859500,18\n2,34200205573336000,6,16113575,S,5853300,10\n";
const TRADES: &str =
    "13519807,1570752011620,0.00141342,23.00000000,sell\n13519808,1570752023311,0.00141351,1482.5,buy\n";
const CANDLES: &str = "1570752000000,0.00141342,0.00141400,0.00141300,0.00141351,1505.50000000\n";

pub(super) fn targets() -> Vec<Target> {
    let target = |name, weight, seeds, start| Target { name, is_text: true, weight, seeds, start };
    vec![
        target("topology", 1, || Ok(vec![TOPOLOGY.into()]), || Ok(Box::new(topology) as Start)),
        target("replay.orders", 6, || Ok(vec![with_header(Format::Orders, ORDERS)]), || Ok(Box::new(orders) as Start)),
        target("replay.fills", 3, || Ok(vec![with_header(Format::Fills, FILLS)]), || Ok(Box::new(fills) as Start)),
        target(
            "replay.trades",
            3,
            || Ok(vec![with_header(Format::MarketTrades, TRADES)]),
            || Ok(Box::new(trades) as Start),
        ),
        target(
            "replay.candles",
            3,
            || Ok(vec![with_header(Format::Candles, CANDLES)]),
            || Ok(Box::new(candles) as Start),
        ),
    ]
}

fn with_header(format: Format, rows: &str) -> Vec<u8> {
    format!("{}\n{rows}", format.header()).into_bytes()
}

fn topology(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not UTF-8".into() };
    let topology = match Topology::parse(text, "topology.toml") {
        Ok(topology) => topology,
        Err(problems) => return problems.first().map_or_else(String::new, |problem| kind_of(&problem.what)),
    };
    let problems = topology.check();
    topology.topics_with_dlq();
    topology.mermaid();
    if input.len().is_multiple_of(DRAW_EVERY) {
        topology.svg();
    }
    problems.first().map_or_else(|| "fits together".into(), |problem| format!("check: {}", kind_of(&problem.what)))
}

fn outcome<T>(read: Result<T, ReadError>, what: &str) -> String {
    match read {
        Ok(_) => what.to_owned(),
        Err(error) => kind_of(&error.to_string()),
    }
}

/// What a file of orders gives is worked out too: sums over prices and quantities that a file may make as large as it likes.
fn orders(input: &[u8]) -> String {
    let options = Options { partitions: 4, ..Options::default() };
    let read = OrderFile::from_reader(Path::new("o.csv"), input, &options);
    if let Ok(file) = &read {
        file.instrument();
        let commands = file.commands().count();
        let deposits = file.accounts().iter().map(|account| account.deposits().count()).sum::<usize>();
        return if commands == 0 { "empty".into() } else { format!("read, {} deposits", deposits.min(3)) };
    }
    outcome(read, "read")
}

fn fills(input: &[u8]) -> String {
    outcome(fills_from_reader(Path::new("f.csv"), input), "read")
}

fn trades(input: &[u8]) -> String {
    let read = Trades::from_reader(Path::new("t.csv"), input, "binance", "XRP-ETH");
    outcome(read.and_then(|trades| trades.collect::<Result<Vec<_>, _>>()), "read")
}

fn candles(input: &[u8]) -> String {
    outcome(candles_from_reader(Path::new("c.csv"), input), "read")
}
