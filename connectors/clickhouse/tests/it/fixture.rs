//! A small flow that is known by heart: what three accounts do in two books within two minutes.
//!
//! Deposits: ann 10,000 USD, bob 100 AAPL and 1,000 USD, cat 1,000 XRP. Fees: maker 100 ppm, taker 200 ppm.
//! 09:30: bob sells 6 AAPL at 200 and 4 at 201. ann buys 6 (trade 0), then 8 at 201 (trade 1: 4 at 201), and amends
//! these 8 to 6. 09:31: cat sells 500 XRP at 0.5, bob buys 100 (trade of partition 1), cat cancels the rest. Three are refused.
//! Stages take 5, 7 and 20 ms; for the second trade 10 times as long.

use tapeline_domain::execution::Execution as DomainExecution;
use tapeline_domain::settlement::settle;
use tapeline_domain::types::position_id;
use tapeline_runtime::sink::{Event, SinkBatch, SinkRecord, Span};
use tapeline_schemas::topic;
use tapeline_schemas::wire::*;

/// 1, in units of 10^-8.
pub(crate) const ONE: i64 = 100_000_000;
/// 2026-01-02 09:30:00 UTC.
pub(crate) const OPEN_MS: i64 = 1_767_346_200_000;

/// Records of all topics, and where each partition ends.
#[derive(Default)]
pub(crate) struct Flow {
    pub(crate) records: Vec<SinkRecord>,
}

/// How long the stages take.
#[derive(Clone, Copy)]
pub(crate) struct Stages {
    pub(crate) validated_ms: i64,
    pub(crate) executed_ms: i64,
    pub(crate) settled_ms: i64,
}

pub(crate) const QUICK: Stages = Stages { validated_ms: 5, executed_ms: 7, settled_ms: 20 };
pub(crate) const SLOW: Stages = Stages { validated_ms: 50, executed_ms: 70, settled_ms: 200 };

impl Flow {
    pub(crate) fn add(&mut self, topic: &str, partition: i32, timestamp_ms: i64, event: Event) -> i64 {
        let here = |record: &&SinkRecord| record.partition == partition && topic_of(&record.event) == topic;
        let offset = self.records.iter().rev().find(here).map_or(0, |last| last.offset + 1);
        self.records.push(SinkRecord { partition, offset, timestamp_ms, event });
        offset
    }

    /// A command at `at_ms`; gives its identity.
    pub(crate) fn command(&mut self, partition: i32, at_ms: i64, command: Command) -> i64 {
        let offset = self.add(topic::ORDERS, partition, at_ms, Event::Command(command));
        position_id(partition, offset)
    }

    /// What the executor did, and what the settler makes of it.
    pub(crate) fn execution(&mut self, partition: i32, stages: Stages, mut execution: Execution) {
        execution.validated_at_ms = execution.commanded_at_ms + stages.validated_ms;
        let executed_at_ms = execution.validated_at_ms + stages.executed_ms;
        let offset = self.add(topic::EXECUTED, partition, executed_at_ms, Event::Executed(execution.clone()));
        let (id, domain) = (position_id(partition, offset), DomainExecution::try_from(execution).unwrap());
        let mut settlements = Vec::new();
        settle(id, executed_at_ms, &domain, &mut settlements).unwrap();
        for settlement in &settlements {
            let to = partition_of(&settlement.account);
            self.add(topic::SETTLED, to, executed_at_ms + stages.settled_ms, Event::Settled(settlement.into()));
        }
    }

    /// The records as batches of `size`, in an order in which each partition's records follow each other.
    pub(crate) fn batches(&self, size: usize) -> Vec<SinkBatch> {
        self.records.chunks(size).map(batch).collect()
    }
}

fn partition_of(account: &str) -> i32 {
    i32::from(account == "bob")
}

pub(crate) fn topic_of(event: &Event) -> &'static str {
    match event {
        Event::Command(_) => topic::ORDERS,
        Event::Validated(_) => topic::VALIDATED,
        Event::Rejected(_) => topic::REJECTED,
        Event::Executed(_) => topic::EXECUTED,
        Event::Settled(_) => topic::SETTLED,
        Event::Market(_) => topic::MARKET_TICKS,
    }
}

/// A batch of `records`, with the spans that they cover.
pub(crate) fn batch(records: &[SinkRecord]) -> SinkBatch {
    let mut spans: Vec<Span> = Vec::new();
    for record in records {
        let (topic, next_offset) = (topic_of(&record.event), record.offset + 1);
        match spans.iter_mut().find(|span| span.topic == topic && span.partition == record.partition) {
            Some(span) => span.next_offset = next_offset,
            None => spans.push(Span {
                topic: topic.into(),
                partition: record.partition,
                from_offset: record.offset,
                next_offset,
            }),
        }
    }
    SinkBatch { records: records.to_vec(), spans }
}

pub(crate) fn command(account: &str, client_order_id: &str, kind: CommandKind) -> Command {
    Command::blank(account.into(), client_order_id.into(), kind)
}

pub(crate) fn validated(id: i64, at_ms: i64, command: &Command) -> Event {
    Event::Validated(ValidatedCommand {
        command_id: id,
        account: command.account.clone(),
        client_order_id: command.client_order_id.clone(),
        kind: command.kind,
        commanded_at_ms: at_ms,
        instrument: command.instrument.clone(),
        target_order_id: None,
        base_asset: None,
        quote_asset: None,
        side: command.side,
        order_type: command.order_type,
        time_in_force: command.time_in_force,
        quantity: command.quantity,
        price: command.price,
        stop_price: None,
        display_quantity: None,
        post_only: false,
        expires_at_ms: None,
        self_trade_prevention: None,
        maker_fee_ppm: 100,
        taker_fee_ppm: 200,
        reserved_asset: None,
        reserved_amount: 0,
        amount: command.amount,
        asset: command.asset.clone(),
    })
}

pub(crate) fn rejected(id: i64, at_ms: i64, command: &Command, reason: RejectReason) -> Event {
    Event::Rejected(Rejection {
        command_id: id,
        account: command.account.clone(),
        client_order_id: command.client_order_id.clone(),
        kind: command.kind,
        commanded_at_ms: at_ms,
        instrument: command.instrument.clone(),
        reason,
        text: "It won't do.".into(),
        original_command_id: None,
        original_accepted: None,
        original_reason: None,
    })
}

/// An order in whole units of quantity; its price in units of 10^-8.
pub(crate) fn order(
    id: i64,
    account: &str,
    client_order_id: &str,
    instrument: &str,
    side: Side,
    terms: (i64, i64),
) -> OrderState {
    let quantity = terms.0 * ONE;
    OrderState {
        order_id: id,
        account: account.into(),
        client_order_id: client_order_id.into(),
        instrument: instrument.into(),
        base_asset: instrument.trim_end_matches("-USD").into(),
        quote_asset: "USD".into(),
        side,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::Gtc,
        price: terms.1,
        stop_price: None,
        quantity,
        filled: 0,
        leaves: quantity,
        status: OrderStatus::Open,
        maker_fee_ppm: 100,
        taker_fee_ppm: 200,
        reserved_before: 0,
        reserved_after: reserved(side, terms.1, quantity),
    }
}

fn reserved(side: Side, price: i64, quantity: i64) -> i64 {
    match side {
        Side::Buy => (price as i128 * quantity as i128 / ONE as i128 * 1_000_200 / 1_000_000) as i64,
        _ => quantity,
    }
}

pub(crate) fn execution(kind: ExecutionKind, command_id: i64, at_ms: i64, order: Option<&OrderState>) -> Execution {
    Execution {
        kind,
        command_id,
        commanded_at_ms: at_ms,
        validated_at_ms: 0,
        instrument: order.map(|order| order.instrument.clone()),
        order: order.cloned(),
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

/// Fills `quantity` whole units of both orders at the maker's price.
pub(crate) fn trade(id: i64, at_ms: i64, quantity: i64, taker: &mut OrderState, maker: &mut OrderState) -> Execution {
    for order in [&mut *taker, &mut *maker] {
        order.filled += quantity * ONE;
        order.leaves -= quantity * ONE;
        order.status = if order.leaves == 0 { OrderStatus::Filled } else { OrderStatus::PartlyFilled };
        order.reserved_before = order.reserved_after;
        order.reserved_after = reserved(order.side, order.price, order.leaves);
    }
    let mut traded = execution(ExecutionKind::Traded, taker.order_id, at_ms, Some(taker));
    traded.maker = Some(maker.clone());
    (traded.trade_id, traded.price, traded.quantity) = (Some(id), Some(maker.price), Some(quantity * ONE));
    traded
}

fn deposit(flow: &mut Flow, at_ms: i64, account: &str, asset: &str, amount: i64) {
    let partition = partition_of(account);
    let name = format!("deposit-{asset}");
    let mut wanted = command(account, &name, CommandKind::Deposit);
    (wanted.asset, wanted.amount) = (Some(asset.into()), Some(amount * ONE));
    let id = flow.command(partition, at_ms, wanted.clone());
    flow.add(topic::VALIDATED, partition, at_ms + 5, validated(id, at_ms, &wanted));
    let mut moved = execution(ExecutionKind::Transferred, id, at_ms, None);
    (moved.account, moved.client_order_id) = (Some(account.into()), Some(name.into()));
    (moved.asset, moved.amount) = (wanted.asset, wanted.amount);
    flow.execution(partition, QUICK, moved);
}

/// Places an order that the validator accepts, and gives it as the executor has it.
pub(crate) fn place(
    flow: &mut Flow,
    at_ms: i64,
    who: (&str, &str),
    book: (&str, i32),
    side: Side,
    terms: (i64, i64),
) -> OrderState {
    let mut wanted = command(who.0, who.1, CommandKind::Place);
    (wanted.instrument, wanted.side, wanted.order_type) = (Some(book.0.into()), Some(side), Some(OrderType::Limit));
    (wanted.quantity, wanted.price) = (Some(terms.0 * ONE), Some(terms.1));
    let id = flow.command(partition_of(who.0), at_ms, wanted.clone());
    let order = order(id, who.0, who.1, book.0, side, terms);
    let mut verdict = validated(id, at_ms, &wanted);
    if let Event::Validated(accepted) = &mut verdict {
        let asset = if side == Side::Buy { &order.quote_asset } else { &order.base_asset };
        (accepted.reserved_asset, accepted.reserved_amount) = (Some(asset.clone()), order.reserved_after);
    }
    flow.add(topic::VALIDATED, book.1, at_ms + 5, verdict);
    flow.execution(book.1, QUICK, execution(ExecutionKind::Accepted, id, at_ms, Some(&order)));
    order
}

fn refuse(flow: &mut Flow, at_ms: i64, who: (&str, &str), instrument: &str, reason: RejectReason) {
    let mut wanted = command(who.0, who.1, CommandKind::Place);
    wanted.instrument = Some(instrument.into());
    let partition = partition_of(who.0);
    let id = flow.command(partition, at_ms, wanted.clone());
    flow.add(topic::REJECTED, partition, at_ms + 5, rejected(id, at_ms, &wanted, reason));
}

/// The flow of this file's head.
pub(crate) fn small() -> Flow {
    let (aapl, xrp) = (("AAPL-USD", 0), ("XRP-USD", 1));
    let mut flow = Flow::default();
    deposit(&mut flow, OPEN_MS - 60_000, "ann", "USD", 10_000);
    deposit(&mut flow, OPEN_MS - 60_000, "bob", "AAPL", 100);
    deposit(&mut flow, OPEN_MS - 60_000, "bob", "USD", 1_000);
    deposit(&mut flow, OPEN_MS - 60_000, "cat", "XRP", 1_000);

    let mut b1 = place(&mut flow, OPEN_MS, ("bob", "b1"), aapl, Side::Sell, (6, 200 * ONE));
    let mut b2 = place(&mut flow, OPEN_MS + 500, ("bob", "b2"), aapl, Side::Sell, (4, 201 * ONE));
    let mut a1 = place(&mut flow, OPEN_MS + 1_000, ("ann", "a1"), aapl, Side::Buy, (6, 200 * ONE));
    flow.execution(0, QUICK, trade(position_id(0, 0), OPEN_MS + 1_000, 6, &mut a1, &mut b1));
    let mut a2 = place(&mut flow, OPEN_MS + 2_000, ("ann", "a2"), aapl, Side::Buy, (8, 201 * ONE));
    flow.execution(0, SLOW, trade(position_id(0, 1), OPEN_MS + 2_000, 4, &mut a2, &mut b2));

    let mut smaller = command("ann", "a3", CommandKind::Amend);
    (smaller.target_client_order_id, smaller.quantity) = (Some("a2".into()), Some(6 * ONE));
    let id = flow.command(0, OPEN_MS + 3_000, smaller.clone());
    flow.add(topic::VALIDATED, 0, OPEN_MS + 3_005, validated(id, OPEN_MS + 3_000, &smaller));
    (a2.quantity, a2.leaves) = (6 * ONE, 2 * ONE);
    (a2.reserved_before, a2.reserved_after) = (a2.reserved_after, reserved(Side::Buy, a2.price, a2.leaves));
    let mut amended = execution(ExecutionKind::Amended, id, OPEN_MS + 3_000, Some(&a2));
    amended.kept_place = Some(true);
    flow.execution(0, QUICK, amended);

    let minute = OPEN_MS + 60_000;
    let mut c1 = place(&mut flow, minute, ("cat", "c1"), xrp, Side::Sell, (500, ONE / 2));
    let mut b3 = place(&mut flow, minute + 500, ("bob", "b3"), xrp, Side::Buy, (100, ONE / 2));
    flow.execution(1, QUICK, trade(position_id(1, 0), minute + 500, 100, &mut b3, &mut c1));
    let mut wanted = command("cat", "c2", CommandKind::Cancel);
    wanted.target_client_order_id = Some("c1".into());
    let id = flow.command(0, minute + 900, wanted.clone());
    flow.add(topic::VALIDATED, 1, minute + 905, validated(id, minute + 900, &wanted));
    c1.status = OrderStatus::Cancelled;
    (c1.reserved_before, c1.reserved_after) = (c1.reserved_after, 0);
    let mut cancelled = execution(ExecutionKind::Cancelled, id, minute + 900, Some(&c1));
    cancelled.cancel_reason = Some(CancelReason::Requested);
    flow.execution(1, QUICK, cancelled);

    refuse(&mut flow, minute + 1_000, ("bob", "b4"), "AAPL-USD", RejectReason::InsufficientFunds);
    refuse(&mut flow, minute + 2_000, ("cat", "c3"), "XRP-USD", RejectReason::InvalidTick);
    refuse(&mut flow, minute + 3_000, ("bob", "b5"), "AAPL-USD", RejectReason::InsufficientFunds);
    flow
}
