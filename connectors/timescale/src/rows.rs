//! From what a batch changes to columns of each table.

use crate::candle::Candle;
use crate::columns::{Amount, Time, columns, symbol, text};
use crate::fold::{Book, Fold, OrderRow, OrderSource, QuoteRow, TradeRow};
use std::borrow::Cow;
use tapeline_domain::money;
use tapeline_schemas::wire;

/// Texts of refused commands are cut here: nobody has checked their length, and an index can't hold any.
const MAX_UNCHECKED_BYTES: usize = 256;

columns! {
    /// Columns of `trades`.
    Trades<'a> {
        trade_id: i64,
        traded_at: Time,
        instrument: Cow<'a, str>,
        price: Amount,
        quantity: Amount,
        notional: Amount,
        taker_side: String,
        taker_order_id: i64,
        taker_account: Cow<'a, str>,
        taker_fee: Amount,
        maker_order_id: i64,
        maker_account: Cow<'a, str>,
        maker_fee: Amount,
        position_partition: i32,
        position_offset: i64,
    }
}

columns! {
    /// Columns of `candles`.
    Candles<'a> {
        venue: Cow<'a, str>,
        instrument: Cow<'a, str>,
        interval: &'static str,
        bucket: Time,
        open: Amount,
        high: Amount,
        low: Amount,
        close: Amount,
        volume: Amount,
        trades: i64,
        first_at: Time,
        first_seq: i64,
        last_at: Time,
        last_seq: i64,
    }
}

columns! {
    /// Columns of `best_quotes`.
    BestQuotes<'a> {
        venue: Cow<'a, str>,
        instrument: Cow<'a, str>,
        bid_price: Option<Amount>,
        bid_quantity: Option<Amount>,
        ask_price: Option<Amount>,
        ask_quantity: Option<Amount>,
        quoted_at: Time,
        position_partition: i32,
        position_offset: i64,
    }
}

columns! {
    /// Columns of `orders`.
    Orders<'a> {
        order_id: i64,
        account: Cow<'a, str>,
        client_order_id: Cow<'a, str>,
        instrument: Option<Cow<'a, str>>,
        side: Option<String>,
        order_type: Option<String>,
        time_in_force: Option<String>,
        price: Option<Amount>,
        stop_price: Option<Amount>,
        quantity: Option<Amount>,
        filled: Amount,
        leaves: Amount,
        status: String,
        reason: Option<String>,
        updated_at: Time,
        position_partition: i32,
        position_offset: i64,
    }
}

columns! {
    /// Columns of `balances`: changes, not sums.
    Balances<'a> {
        account: Cow<'a, str>,
        asset: Cow<'a, str>,
        available: Amount,
        reserved: Amount,
    }
}

/// Rows of all tables.
#[derive(Debug, Default)]
pub(crate) struct Rows<'a> {
    pub(crate) trades: Trades<'a>,
    pub(crate) candles: Candles<'a>,
    pub(crate) best_quotes: BestQuotes<'a>,
    pub(crate) orders: Orders<'a>,
    pub(crate) balances: Balances<'a>,
}

impl<'a> Rows<'a> {
    pub(crate) fn of(mut fold: Fold<'a>) -> Self {
        let mut rows = Self::default();
        for (interval, candles) in fold.candles() {
            for ((book, begin_us), candle) in candles {
                rows.candles.push(book, interval, begin_us, &candle);
            }
        }
        fold.trades.iter().for_each(|trade| rows.trades.push(trade));
        fold.quotes.iter().for_each(|(book, quote)| rows.best_quotes.push(*book, quote));
        fold.orders.iter().for_each(|(order_id, order)| rows.orders.push(*order_id, order));
        for ((account, asset), change) in fold.balances {
            rows.balances.account.push(text(account));
            rows.balances.asset.push(text(asset));
            rows.balances.available.push(Amount(change.available));
            rows.balances.reserved.push(Amount(change.reserved));
        }
        rows
    }
}

/// The fee as the settler books it. One that can't be booked is none: its record is a dead letter there.
fn fee(notional: i64, rate_ppm: i64) -> Amount {
    Amount::of(money::fee(notional, rate_ppm).unwrap_or(0))
}

impl<'a> Trades<'a> {
    fn push(&mut self, trade: &TradeRow<'a>) {
        self.trade_id.push(trade.trade_id);
        self.traded_at.push(Time(trade.at_us));
        self.instrument.push(text(&trade.taker.instrument));
        self.price.push(Amount::of(trade.price));
        self.quantity.push(Amount::of(trade.quantity));
        self.notional.push(Amount::of(trade.notional));
        self.taker_side.push(symbol(trade.taker.side.symbol()));
        self.taker_order_id.push(trade.taker.order_id);
        self.taker_account.push(text(&trade.taker.account));
        self.taker_fee.push(fee(trade.notional, trade.taker.taker_fee_ppm));
        self.maker_order_id.push(trade.maker.order_id);
        self.maker_account.push(text(&trade.maker.account));
        self.maker_fee.push(fee(trade.notional, trade.maker.maker_fee_ppm));
        self.position_partition.push(trade.position.partition);
        self.position_offset.push(trade.position.offset);
    }
}

impl<'a> Candles<'a> {
    fn push(&mut self, (venue, instrument): Book<'a>, interval: &'static str, begin_us: i64, candle: &Candle) {
        self.venue.push(text(venue));
        self.instrument.push(text(instrument));
        self.interval.push(interval);
        self.bucket.push(Time(begin_us));
        self.open.push(Amount::of(candle.open));
        self.high.push(Amount::of(candle.high));
        self.low.push(Amount::of(candle.low));
        self.close.push(Amount::of(candle.close));
        self.volume.push(Amount(candle.volume));
        self.trades.push(candle.trades);
        self.first_at.push(Time(candle.first.0));
        self.first_seq.push(candle.first.1);
        self.last_at.push(Time(candle.last.0));
        self.last_seq.push(candle.last.1);
    }
}

impl<'a> BestQuotes<'a> {
    fn push(&mut self, (venue, instrument): Book<'a>, quote: &QuoteRow) {
        self.venue.push(text(venue));
        self.instrument.push(text(instrument));
        self.bid_price.push(quote.bid.map(|bid| Amount::of(bid.0)));
        self.bid_quantity.push(quote.bid.map(|bid| Amount::of(bid.1)));
        self.ask_price.push(quote.ask.map(|ask| Amount::of(ask.0)));
        self.ask_quantity.push(quote.ask.map(|ask| Amount::of(ask.1)));
        self.quoted_at.push(Time(quote.at_us));
        self.position_partition.push(quote.position.partition);
        self.position_offset.push(quote.position.offset);
    }
}

impl<'a> Orders<'a> {
    fn push(&mut self, order_id: i64, row: &OrderRow<'a>) {
        self.order_id.push(order_id);
        match row.source {
            OrderSource::Rejected(rejection) => self.push_rejected(rejection),
            OrderSource::Executed { order, reason } => self.push_state(order, reason),
        }
        self.updated_at.push(Time(row.at_us));
        self.position_partition.push(row.position.partition);
        self.position_offset.push(row.position.offset);
    }

    fn push_state(&mut self, order: &'a wire::OrderState, reason: Option<&str>) {
        self.account.push(text(&order.account));
        self.client_order_id.push(text(&order.client_order_id));
        self.instrument.push(Some(text(&order.instrument)));
        self.side.push(Some(symbol(order.side.symbol())));
        self.order_type.push(Some(symbol(order.order_type.symbol())));
        self.time_in_force.push(Some(symbol(order.time_in_force.symbol())));
        self.price.push(Some(Amount::of(order.price)));
        self.stop_price.push(order.stop_price.map(Amount::of));
        self.quantity.push(Some(Amount::of(order.quantity)));
        self.filled.push(Amount::of(order.filled));
        self.leaves.push(Amount::of(order.leaves));
        self.status.push(symbol(order.status.symbol()));
        self.reason.push(reason.map(symbol));
    }

    /// Price, quantity and the other terms of a refused order are not in its record.
    fn push_rejected(&mut self, rejection: &'a wire::Rejection) {
        self.account.push(text(cut(&rejection.account)));
        self.client_order_id.push(text(cut(&rejection.client_order_id)));
        self.instrument.push(rejection.instrument.as_deref().map(|instrument| text(cut(instrument))));
        self.side.push(None);
        self.order_type.push(None);
        self.time_in_force.push(None);
        self.price.push(None);
        self.stop_price.push(None);
        self.quantity.push(None);
        self.filled.push(Amount(0));
        self.leaves.push(Amount(0));
        self.status.push("rejected".into());
        self.reason.push(Some(symbol(rejection.reason.symbol())));
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_UNCHECKED_BYTES)]
}
