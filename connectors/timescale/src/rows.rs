//! From what a batch changes to rows of each table, in COPY text. Columns stand in the order of `sql/<table>.sql`.

use crate::candle::Candle;
use crate::copy_text::CopyText;
use crate::fold::{Fold, OrderRow, OrderSource, TradeRow};
use tapeline_schemas::wire;

/// Texts of refused commands are cut here: nobody has checked their length, and an index can't hold any.
const MAX_UNCHECKED_BYTES: usize = 256;

/// Rows of all tables.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) trades: CopyText,
    pub(crate) candles: CopyText,
    pub(crate) best_quotes: CopyText,
    pub(crate) orders: CopyText,
    pub(crate) balances: CopyText,
}

impl Rows {
    pub(crate) fn of(mut fold: Fold<'_>) -> Self {
        let mut rows = Self::default();
        fold.trades.iter().for_each(|trade| push_trade(&mut rows.trades, trade));
        for (interval, candles) in fold.candles() {
            for (((venue, instrument), begin_us), candle) in &candles {
                rows.candles.text(venue).text(instrument).text(interval).time_us(*begin_us);
                push_candle(&mut rows.candles, candle);
            }
        }
        for ((venue, instrument), quote) in &fold.quotes {
            let text = rows.best_quotes.text(venue).text(instrument);
            text.units_or_null(quote.bid.map(|bid| bid.0)).units_or_null(quote.bid.map(|bid| bid.1));
            text.units_or_null(quote.ask.map(|ask| ask.0)).units_or_null(quote.ask.map(|ask| ask.1));
            text.time_us(quote.at_us).int(quote.position.partition.into()).int(quote.position.offset).end_row();
        }
        for (order_id, order) in &fold.orders {
            rows.orders.int(*order_id);
            push_order(&mut rows.orders, order);
        }
        for ((account, asset), change) in &fold.balances {
            rows.balances.text(account).text(asset).units(change.available).units(change.reserved).end_row();
        }
        rows
    }
}

fn push_trade(text: &mut CopyText, trade: &TradeRow<'_>) {
    text.int(trade.trade_id).time_us(trade.at_us).text(&trade.taker.instrument);
    text.units(trade.price).units(trade.quantity).units(trade.notional).symbol(trade.taker.side.symbol());
    text.int(trade.taker.order_id).text(&trade.taker.account).int(trade.maker.order_id).text(&trade.maker.account);
    text.int(trade.position.partition.into()).int(trade.position.offset).end_row();
}

fn push_candle(text: &mut CopyText, candle: &Candle) {
    text.units(candle.open).units(candle.high).units(candle.low).units(candle.close);
    text.units(candle.volume).int(candle.trades);
    text.time_us(candle.first.0).int(candle.first.1).time_us(candle.last.0).int(candle.last.1).end_row();
}

fn push_order(text: &mut CopyText, row: &OrderRow<'_>) {
    match row.source {
        OrderSource::Rejected(rejection) => push_rejected(text, rejection),
        OrderSource::Executed { order, reason } => push_state(text, order, reason),
    }
    text.time_us(row.at_us).int(row.position.partition.into()).int(row.position.offset).end_row();
}

fn push_state(text: &mut CopyText, order: &wire::OrderState, reason: Option<&str>) {
    text.text(&order.account).text(&order.client_order_id).text(&order.instrument);
    text.symbol(order.side.symbol()).symbol(order.order_type.symbol()).symbol(order.time_in_force.symbol());
    text.units(order.price).units_or_null(order.stop_price);
    text.units(order.quantity).units(order.filled).units(order.leaves).symbol(order.status.symbol());
    match reason {
        Some(reason) => text.symbol(reason),
        None => text.null(),
    };
}

/// Price, quantity and the other terms of a refused order are not in its record.
fn push_rejected(text: &mut CopyText, rejection: &wire::Rejection) {
    text.text(cut(&rejection.account)).text(cut(&rejection.client_order_id));
    match &rejection.instrument {
        Some(instrument) => text.text(cut(instrument)),
        None => text.null(),
    };
    text.null().null().null().null().null().null();
    text.units(0).units(0).symbol("REJECTED").symbol(rejection.reason.symbol());
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_UNCHECKED_BYTES)]
}
