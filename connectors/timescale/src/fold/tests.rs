use super::*;
use tapeline_runtime::sink::SinkRecord;
use tapeline_schemas::wire::{Bucket, CommandKind, ExecutionKind, OrderStatus, RejectReason, TickKind};

fn order(order_id: i64, account: &str, status: OrderStatus) -> wire::OrderState {
    wire::OrderState {
        order_id,
        account: account.into(),
        client_order_id: format!("c-{order_id}").into(),
        instrument: "A-USD".into(),
        base_asset: "A".into(),
        quote_asset: "USD".into(),
        side: wire::Side::Buy,
        order_type: wire::OrderType::Limit,
        time_in_force: wire::TimeInForce::Gtc,
        price: 100_000_000,
        stop_price: None,
        quantity: 5,
        filled: 0,
        leaves: 5,
        status,
        maker_fee_ppm: 0,
        taker_fee_ppm: 0,
        reserved_before: 0,
        reserved_after: 0,
    }
}

fn execution(kind: ExecutionKind, order: Option<wire::OrderState>) -> wire::Execution {
    wire::Execution {
        kind,
        command_id: 1,
        commanded_at_ms: 5,
        validated_at_ms: 1_500,
        instrument: Some("A-USD".into()),
        order,
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

fn trade(trade_id: i64) -> wire::Execution {
    wire::Execution {
        maker: Some(order(8, "m", OrderStatus::PartlyFilled)),
        trade_id: Some(trade_id),
        price: Some(150_000_000),
        quantity: Some(3),
        ..execution(ExecutionKind::Traded, Some(order(9, "t", OrderStatus::Filled)))
    }
}

fn rejection(kind: CommandKind) -> wire::Rejection {
    wire::Rejection {
        command_id: 9,
        account: "t".into(),
        client_order_id: "c".into(),
        kind,
        commanded_at_ms: 1_000,
        instrument: None,
        reason: RejectReason::DuplicateClientOrderId,
        text: "".into(),
        original_command_id: Some(3),
        original_accepted: Some(true),
        original_reason: None,
    }
}

fn tick(venue: &str, at_us: i64) -> wire::MarketTick {
    wire::MarketTick {
        venue: venue.into(),
        instrument: "A-USD".into(),
        kind: TickKind::Trade,
        at_us,
        trade_id: Some(1),
        price: Some(7),
        quantity: Some(2),
        taker_side: None,
        bid_price: None,
        bid_quantity: None,
        ask_price: None,
        ask_quantity: None,
    }
}

fn batch(events: Vec<Event>) -> SinkBatch {
    let records = events.into_iter().zip(10..);
    let record = |(event, offset)| SinkRecord { partition: 1, offset, timestamp_ms: 0, event };
    SinkBatch { records: records.map(record).collect(), spans: Vec::new() }
}

#[test]
fn a_trade_gives_a_row_a_candle_and_both_orders() {
    let batch = batch(vec![Event::Executed(trade(4))]);
    let mut fold = fold(&batch);
    let row = fold.trades[0];
    assert_eq!((row.trade_id, row.at_us, row.price, row.quantity, row.notional), (4, 1_500_000, 150_000_000, 3, 4));
    assert_eq!((row.taker.order_id, row.maker.order_id, row.position.offset), (9, 8, 10));
    assert_eq!(fold.orders.len(), 2);
    let candles = fold.candles();
    assert_eq!(candles.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["1s", "1m", "5m", "1h", "1d"]);
    let begins: Vec<i64> = candles.iter().flat_map(|(_, candles)| candles.keys().map(|key| key.1)).collect();
    assert_eq!(begins, [1_000_000, 0, 0, 0, 0]);
    assert_eq!(fold.skipped, None);
}

#[test]
fn the_newest_state_of_an_order_stays_and_what_the_book_did_beats_a_rejection() {
    let cancelled = wire::Execution {
        cancel_reason: Some(wire::CancelReason::SelfTrade),
        ..execution(ExecutionKind::Cancelled, Some(order(9, "t", OrderStatus::Cancelled)))
    };
    let accepted = execution(ExecutionKind::Accepted, Some(order(9, "t", OrderStatus::Open)));
    let batch = batch(vec![
        Event::Executed(accepted),
        Event::Executed(cancelled),
        Event::Rejected(rejection(CommandKind::Place)),
    ]);
    let fold = fold(&batch);
    let row = fold.orders[&9];
    assert!(matches!(row.source, OrderSource::Executed { reason: Some("SELF_TRADE"), .. }), "{row:?}");
    assert_eq!(row.position.offset, 11);
}

#[test]
fn only_a_refused_place_is_an_order() {
    let kinds = [CommandKind::Amend, CommandKind::Cancel, CommandKind::CancelAll, CommandKind::Withdraw];
    let events = kinds.iter().map(|kind| Event::Rejected(rejection(*kind))).collect();
    assert!(fold(&batch(events)).orders.is_empty());
    let placed = batch(vec![Event::Rejected(rejection(CommandKind::Place))]);
    assert!(matches!(fold(&placed).orders[&9].source, OrderSource::Rejected(_)));
}

#[test]
fn quotes_may_be_one_sided_and_the_newest_stays() {
    let quoted = |bid: Option<i64>| {
        let quantity = bid.map(|_| 1);
        Event::Executed(wire::Execution {
            bid_price: bid,
            bid_quantity: quantity,
            ..execution(ExecutionKind::Quoted, None)
        })
    };
    let batch = batch(vec![quoted(Some(3)), quoted(Some(4)), quoted(None)]);
    let fold = fold(&batch);
    let quote = fold.quotes[&(OWN_VENUE, "A-USD")];
    assert_eq!((quote.bid, quote.ask, quote.position.offset), (None, None, 12));
}

#[test]
fn reservations_and_postings_add_up_by_account_and_asset() {
    let posting =
        |account: &str, bucket, amount| wire::Posting { account: account.into(), asset: "USD".into(), bucket, amount };
    let settlement = wire::Settlement {
        kind: wire::SettlementKind::Deposit,
        execution_id: 1,
        command_id: 1,
        account: "t".into(),
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
        postings: vec![
            posting("t", Bucket::Available, i64::MAX),
            posting("t", Bucket::Available, 10),
            posting("t", Bucket::Reserved, -4),
            posting("@outside", Bucket::Available, -6),
        ],
        commanded_at_ms: 0,
        validated_at_ms: 0,
        executed_at_ms: 0,
    };
    let mut unknown = settlement.clone();
    unknown.postings[3].bucket = Bucket::Unknown;
    let batch = batch(vec![Event::Settled(settlement), Event::Settled(unknown)]);
    let fold = fold(&batch);
    let change = fold.balances[&("t", "USD")];
    assert_eq!((change.available, change.reserved), (i128::from(i64::MAX) + 10, -4));
    assert_eq!(fold.balances[&("@outside", "USD")].available, -6);
    let (count, first) = fold.skipped.unwrap();
    assert_eq!((count, first.split(':').next()), (1, Some("trades.settled, partition 1, offset 11")));
}

#[test]
fn what_makes_no_sense_is_counted_and_changes_nothing() {
    let long = "x".repeat(65);
    let no_price = wire::MarketTick { price: None, ..tick("binance", 1) };
    let events = vec![
        Event::Market(tick("tapeline", 1)),
        Event::Market(tick("", 1)),
        Event::Market(tick("a\0", 1)),
        Event::Market(tick(&long, 1)),
        Event::Market(tick("binance", -1)),
        Event::Market(tick("binance", i64::MAX)),
        Event::Market(no_price),
        Event::Executed(execution(ExecutionKind::Unknown, None)),
        Event::Executed(execution(ExecutionKind::Accepted, None)),
        Event::Executed(wire::Execution { quantity: Some(i64::MAX), price: Some(i64::MAX), ..trade(1) }),
        Event::Executed(wire::Execution { validated_at_ms: i64::MAX, ..trade(1) }),
    ];
    let batch = batch(events);
    let mut fold = fold(&batch);
    assert_eq!(fold.skipped.as_ref().map(|skipped| skipped.0), Some(11));
    assert!(fold.trades.is_empty() && fold.orders.is_empty() && fold.quotes.is_empty());
    assert!(fold.candles().iter().all(|(_, candles)| candles.is_empty()));
}
