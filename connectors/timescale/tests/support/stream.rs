//! A stream of records over all topics, from a seed, and its cuts into batches.
//!
//! The records look like the real ones but follow no trading rule: a view folds what it is told.

use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeMap;
use tapeline_runtime::sink::{Event, SinkBatch, SinkRecord, Span};
use tapeline_schemas::{topic, wire};

const PARTITIONS: i64 = 2;
const INSTRUMENTS: i64 = 6;
/// Some day in 2024, so that the stream crosses hours.
const START_MS: i64 = 1_709_200_000_000;

/// Numbers that are always the same for a seed, and what the stream is about.
struct Numbers {
    state: u64,
    orders: i64,
    now_ms: i64,
    spread_ms: i64,
}

impl Numbers {
    /// A number from 0 to below `end`.
    fn below(&mut self, end: i64) -> i64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 33) % end.unsigned_abs()) as i64
    }
}

/// `count` records, offsets rising within each partition; few orders and any times, so that batches meet each other.
pub(crate) fn stream(seed: u64, count: usize) -> Vec<(SmolStr, SinkRecord)> {
    records(Numbers { state: seed, orders: 360, now_ms: START_MS, spread_ms: 7_200_000 }, count, 0)
}

/// `count` records as a busy exchange has them: 20 in a millisecond, over `orders` orders.
pub(crate) fn busy_stream(seed: u64, count: usize, orders: i64) -> Vec<(SmolStr, SinkRecord)> {
    records(Numbers { state: seed, orders, now_ms: START_MS, spread_ms: 100 }, count, 20)
}

fn records(mut numbers: Numbers, count: usize, per_ms: i64) -> Vec<(SmolStr, SinkRecord)> {
    let mut next: BTreeMap<(SmolStr, i32), i64> = BTreeMap::new();
    let mut records = Vec::new();
    for sequence in 0..count as i64 {
        if per_ms > 0 && sequence % per_ms == 0 {
            numbers.now_ms += 1;
        }
        let instrument = numbers.below(INSTRUMENTS);
        let partition = (instrument % PARTITIONS) as i32;
        let (topic, event) = event(&mut numbers, instrument, sequence);
        let offset = next.entry((topic.into(), partition)).or_insert(0);
        records.push((topic.into(), SinkRecord { partition, offset: *offset, timestamp_ms: START_MS, event }));
        // Gaps, as transaction markers leave them.
        *offset += 1 + numbers.below(2);
    }
    records
}

/// Cuts a stream into batches of `size` records.
pub(crate) fn batches(stream: &[(SmolStr, SinkRecord)], size: usize) -> Vec<SinkBatch> {
    let mut reached: BTreeMap<(SmolStr, i32), i64> = BTreeMap::new();
    let mut batches = Vec::new();
    for records in stream.chunks(size) {
        let before = reached.clone();
        let mut batch = SinkBatch::default();
        for (topic, record) in records {
            reached.insert((topic.clone(), record.partition), record.offset + 1);
            batch.records.push(record.clone());
        }
        for (at, next_offset) in &reached {
            let from_offset = before.get(at).copied().unwrap_or(0);
            if *next_offset != from_offset {
                let (topic, partition) = at.clone();
                batch.spans.push(Span { topic, partition, from_offset, next_offset: *next_offset });
            }
        }
        batches.push(batch);
    }
    batches
}

fn event(numbers: &mut Numbers, instrument: i64, sequence: i64) -> (&'static str, Event) {
    match numbers.below(10) {
        0 => (topic::VALIDATED, Event::Validated(validated(numbers, instrument, sequence))),
        1 => (topic::REJECTED, Event::Rejected(rejected(numbers, sequence))),
        2..5 => (topic::EXECUTED, Event::Executed(traded(numbers, instrument, sequence))),
        5 => (topic::EXECUTED, Event::Executed(quoted(numbers, instrument))),
        6 => (topic::EXECUTED, Event::Executed(accepted(numbers, instrument))),
        7 | 8 => (topic::SETTLED, Event::Settled(settled(numbers, sequence))),
        _ => (topic::MARKET_TICKS, Event::Market(tick(numbers, instrument, sequence))),
    }
}

fn account(numbers: &mut Numbers) -> SmolStr {
    format_smolstr!("acc-{}", numbers.below(9))
}

fn symbol(instrument: i64) -> SmolStr {
    format_smolstr!("I{instrument}-USD")
}

fn time_ms(numbers: &mut Numbers) -> i64 {
    numbers.now_ms + numbers.below(numbers.spread_ms)
}

fn order(numbers: &mut Numbers, instrument: i64, status: wire::OrderStatus) -> wire::OrderState {
    let id = numbers.below(numbers.orders / INSTRUMENTS) * INSTRUMENTS + instrument;
    wire::OrderState {
        order_id: id,
        account: format_smolstr!("acc-{}", id % 9),
        client_order_id: format_smolstr!("c\\{id}\t"),
        instrument: symbol(instrument),
        base_asset: format_smolstr!("I{instrument}"),
        quote_asset: "USD".into(),
        side: if id % 2 == 0 { wire::Side::Buy } else { wire::Side::Sell },
        order_type: wire::OrderType::Limit,
        time_in_force: wire::TimeInForce::Gtc,
        price: 1 + numbers.below(1_000_000_000_000),
        stop_price: (id % 5 == 0).then_some(5),
        quantity: 1_000_000_000,
        filled: numbers.below(1_000_000_000),
        leaves: numbers.below(1_000_000_000),
        status,
        maker_fee_ppm: 50,
        taker_fee_ppm: 150,
        reserved_before: 0,
        reserved_after: 0,
    }
}

fn bare(numbers: &mut Numbers, kind: wire::ExecutionKind, instrument: i64) -> wire::Execution {
    wire::Execution {
        kind,
        command_id: 1,
        commanded_at_ms: START_MS,
        validated_at_ms: time_ms(numbers),
        instrument: Some(symbol(instrument)),
        order: None,
        maker: None,
        trade_id: None,
        price: None,
        quantity: None,
        kept_place: None,
        cancel_reason: None,
        refuse_reason: None,
        account: None,
        client_order_id: None,
        target_order_id: None,
        asset: None,
        amount: None,
        bid_price: None,
        bid_quantity: None,
        ask_price: None,
        ask_quantity: None,
    }
}

fn accepted(numbers: &mut Numbers, instrument: i64) -> wire::Execution {
    let order = order(numbers, instrument, wire::OrderStatus::Open);
    wire::Execution { order: Some(order), ..bare(numbers, wire::ExecutionKind::Accepted, instrument) }
}

fn traded(numbers: &mut Numbers, instrument: i64, sequence: i64) -> wire::Execution {
    let taker = order(numbers, instrument, wire::OrderStatus::Filled);
    let mut maker = order(numbers, instrument, wire::OrderStatus::PartlyFilled);
    if maker.order_id == taker.order_id {
        maker.order_id += numbers.orders;
    }
    wire::Execution {
        order: Some(taker),
        maker: Some(maker),
        trade_id: Some(sequence),
        price: Some(1 + numbers.below(1_000_000_000_000)),
        quantity: Some(1 + numbers.below(1_000_000_000)),
        ..bare(numbers, wire::ExecutionKind::Traded, instrument)
    }
}

fn quoted(numbers: &mut Numbers, instrument: i64) -> wire::Execution {
    let bid = (numbers.below(3) > 0).then(|| 1 + numbers.below(1_000_000));
    wire::Execution {
        bid_price: bid,
        bid_quantity: bid.map(|_| 5),
        ask_price: Some(1_000_001),
        ask_quantity: Some(1 + numbers.below(9)),
        ..bare(numbers, wire::ExecutionKind::Quoted, instrument)
    }
}

fn validated(numbers: &mut Numbers, instrument: i64, command_id: i64) -> wire::ValidatedCommand {
    wire::ValidatedCommand {
        command_id,
        account: account(numbers),
        client_order_id: "c".into(),
        kind: wire::CommandKind::Place,
        commanded_at_ms: START_MS,
        instrument: Some(symbol(instrument)),
        target_order_id: None,
        base_asset: None,
        quote_asset: None,
        side: None,
        order_type: None,
        time_in_force: None,
        quantity: None,
        price: None,
        stop_price: None,
        display_quantity: None,
        post_only: false,
        expires_at_ms: None,
        self_trade_prevention: None,
        maker_fee_ppm: 0,
        taker_fee_ppm: 0,
        reserved_asset: Some("USD".into()),
        reserved_amount: numbers.below(1_000_000_000_000),
        amount: None,
        asset: None,
    }
}

fn rejected(numbers: &mut Numbers, sequence: i64) -> wire::Rejection {
    wire::Rejection {
        command_id: 1_000_000 + sequence,
        account: account(numbers),
        client_order_id: "again\0".into(),
        kind: if numbers.below(3) > 0 { wire::CommandKind::Place } else { wire::CommandKind::Cancel },
        commanded_at_ms: time_ms(numbers),
        instrument: None,
        reason: wire::RejectReason::DuplicateClientOrderId,
        text: "The client_order_id was used before.".into(),
        original_command_id: Some(numbers.below(60)),
        original_accepted: Some(true),
        original_reason: None,
    }
}

fn settled(numbers: &mut Numbers, sequence: i64) -> wire::Settlement {
    let (account, amount) = (account(numbers), 1 + numbers.below(1_000_000_000_000));
    let asset: SmolStr = if numbers.below(2) == 0 { "USD".into() } else { "I1".into() };
    let line =
        |account: &str, bucket, amount| wire::Posting { account: account.into(), asset: asset.clone(), bucket, amount };
    let postings = vec![
        line(&account, wire::Bucket::Available, amount),
        line(&account, wire::Bucket::Reserved, -amount / 2),
        line("@fees", wire::Bucket::Available, amount / 2),
        line("@outside", wire::Bucket::Available, -amount),
    ];
    wire::Settlement {
        kind: wire::SettlementKind::Deposit,
        execution_id: sequence,
        command_id: sequence,
        account,
        instrument: None,
        order_id: None,
        trade_id: None,
        side: None,
        liquidity: None,
        price: None,
        quantity: None,
        notional: None,
        fee: None,
        order: None,
        postings,
        commanded_at_ms: START_MS,
        validated_at_ms: START_MS,
        executed_at_ms: START_MS,
    }
}

fn tick(numbers: &mut Numbers, instrument: i64, sequence: i64) -> wire::MarketTick {
    let trade = numbers.below(4) > 0;
    wire::MarketTick {
        venue: if numbers.below(2) == 0 { "binance".into() } else { "kraken".into() },
        instrument: symbol(instrument),
        kind: if trade { wire::TickKind::Trade } else { wire::TickKind::Quote },
        // Coarse, so that many trades share their time and the trade id decides.
        at_us: time_ms(numbers) / 60_000 * 60_000_000,
        trade_id: Some(sequence),
        price: Some(1 + numbers.below(1_000)),
        quantity: Some(1 + numbers.below(1_000)),
        taker_side: None,
        bid_price: Some(1 + numbers.below(9)),
        bid_quantity: Some(1),
        ask_price: None,
        ask_quantity: None,
    }
}
