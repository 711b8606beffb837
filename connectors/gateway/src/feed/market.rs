//! All of an instrument: its book, windows, trades, candles, ticker and status, and the channels in which clients see them.
//!
//! Records go in under one lock, and what they change is published under it, so that a snapshot and a place in a stream
//! always fit together. What nobody listens to is not written. A window that nobody listens to is not followed either: the
//! first client has it made anew from the book.

use super::book::{Applied, Book, Level};
use super::candle::{Candle, INTERVALS, Running, Trade};
use super::channel::{Latest, Stream};
use super::frame::{Frame, Object, symbol};
use super::ticker::Day;
use super::wake::{Rounds, Wake};
use super::window::{Change, Window};
use smol_str::SmolStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tapeline_schemas::wire::{BookDepth, DepthLevel, Instrument, Side};

/// How many changes of a book wait for slow clients, by their bytes: who falls further behind gets all of the book anew.
const DEPTH_RING_BYTES: usize = 256 << 10;
/// How many trades wait for slow clients, by their bytes: who falls further behind is cut.
const TRADES_RING_BYTES: usize = 1 << 20;
/// How many trades since the start are kept until the past is known.
const TRADES_BEFORE_PAST: usize = 20_000;

/// How many levels of each side a depth channel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Levels {
    /// The best 10.
    Ten,
    /// The best 50.
    Fifty,
    /// All.
    Full,
}

impl Levels {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Ten, Self::Fifty, Self::Full];

    /// As it stands in messages.
    pub const fn json(self) -> &'static str {
        match self {
            Self::Ten => "10",
            Self::Fifty => "50",
            Self::Full => "\"full\"",
        }
    }
}

/// What the view knows of an instrument's past.
#[derive(Debug, Clone)]
pub struct Past {
    /// The candle of the newest interval, by interval.
    pub candles: [Option<Candle>; INTERVALS.len()],
    /// Minutes of the last day.
    pub minutes: Vec<Candle>,
    /// The offset in the instrument's partition of `trades.executed` from which on trades are not in it.
    pub next_offset: i64,
}

/// What is shared by all markets.
#[derive(Debug, Default)]
pub struct Common {
    /// Who is woken.
    pub rounds: Arc<Rounds>,
    /// The last version of a latest value; one count for all, so that a client of all tickers has one place.
    version: Mutex<u64>,
    /// Clients of all tickers.
    pub all_tickers: Arc<super::wake::Subscribers>,
}

impl Common {
    /// Shows a latest value under the next version, and has its clients woken.
    pub fn show(&self, latest: &Latest, closed: Option<Frame>, current: Frame) {
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        *version += 1;
        latest.show(*version, closed, current);
        drop(version);
        self.rounds.mark(latest.subscribers());
    }

    /// The last version; everything up to it is shown.
    pub fn version(&self) -> u64 {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An instrument.
#[derive(Debug)]
pub struct Market {
    /// Its symbol.
    pub symbol: SmolStr,
    /// Depth, by [`Levels`].
    depth: [Stream; 3],
    /// Trades.
    pub trades: Stream,
    /// Running candles, by [`INTERVALS`].
    pub candles: [Latest; INTERVALS.len()],
    /// Ticker.
    pub ticker: Latest,
    /// Status.
    pub status: Latest,
    /// Whether it is among those that changed in this batch.
    due: AtomicBool,
    common: Arc<Common>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    book: Book,
    /// By the first two of [`Levels`]; none while nobody listens.
    windows: [Option<Window>; 2],
    /// The last snapshot that was written of each stream.
    snapshots: [Option<Written>; 3],
    change: Change,
    running: [Running; INTERVALS.len()],
    /// The interval that was shown as closed last.
    closed_shown: [Option<i64>; INTERVALS.len()],
    candles_due: [bool; INTERVALS.len()],
    day: Day,
    ticker_due: bool,
    trade_count: i64,
    /// Trades since the start with their offsets, until the past is known.
    before_past: Option<Vec<(i64, Trade)>>,
    instrument: Option<Instrument>,
}

/// A snapshot of a depth stream.
#[derive(Debug)]
struct Written {
    /// The number of the frame after it.
    next: u64,
    /// Sequence of the book, which goes on without frames while nobody listens.
    sequence: i64,
    frame: Frame,
}

impl Market {
    /// An instrument of which nothing is known.
    pub fn new(symbol: SmolStr, common: Arc<Common>) -> Self {
        let state = State {
            book: Book::default(),
            windows: [None, None],
            snapshots: [None, None, None],
            change: Change::default(),
            running: Default::default(),
            closed_shown: Default::default(),
            candles_due: Default::default(),
            day: Day::default(),
            ticker_due: false,
            trade_count: 0,
            before_past: Some(Vec::new()),
            instrument: None,
        };
        Self {
            symbol,
            depth: std::array::from_fn(|_| Stream::new(DEPTH_RING_BYTES)),
            trades: Stream::new(TRADES_RING_BYTES),
            candles: Default::default(),
            ticker: Latest::default(),
            status: Latest::default(),
            due: AtomicBool::new(false),
            common,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has just become due to be shown.
    pub(crate) fn becomes_due(&self) -> bool {
        !self.due.swap(true, Ordering::AcqRel)
    }

    /// The depth stream of `levels`.
    pub const fn depth(&self, levels: Levels) -> &Stream {
        &self.depth[levels as usize]
    }

    /// Takes a record of the book.
    pub fn take_depth(&self, record: &BookDepth) -> Applied {
        let state = &mut *self.state();
        let best = (state.book.bids().best(), state.book.asks().best());
        let applied = state.book.apply(record);
        match applied {
            Applied::Changed => self.publish_change(state, record),
            Applied::Replaced => self.publish_replaced(state),
            Applied::Same | Applied::Gap | Applied::Broken | Applied::Waiting => {}
        }
        let quotes_moved = best != (state.book.bids().best(), state.book.asks().best());
        state.ticker_due |= quotes_moved || matches!(applied, Applied::Replaced | Applied::Gap | Applied::Broken);
        applied
    }

    /// Begins the book as one in which nobody has ever ordered; see [`Book::begin`].
    pub fn begin_book(&self) -> bool {
        let state = &mut *self.state();
        let begun = state.book.begin();
        if begun {
            self.publish_replaced(state);
        }
        begun
    }

    fn publish(&self, levels: Levels, frame: Frame) {
        let stream = self.depth(levels);
        stream.push(frame);
        self.common.rounds.mark(stream.subscribers());
    }

    fn publish_change(&self, state: &mut State, record: &BookDepth) {
        let State { book, windows, change, .. } = state;
        let of = |levels: &[DepthLevel]| levels.iter().map(Level::from).collect::<Vec<_>>();
        if !self.depth(Levels::Full).subscribers().is_empty() {
            let shown = Shown { sequence: book.sequence(), checksum: book.checksum(), time_ms: book.time_ms() };
            let (bids, asks) = (of(&record.bids), of(&record.asks));
            let frame = self.delta(Levels::Full, shown, book.sequence() - 1, &bids, &asks);
            self.publish(Levels::Full, frame);
        }
        for (levels, place) in Levels::ALL.into_iter().zip(windows) {
            if self.depth(levels).subscribers().is_empty() {
                *place = None;
            }
            let Some(window) = place else { continue };
            let (bids, asks) = (record.bids.iter().map(Level::from), record.asks.iter().map(Level::from));
            if window.follow(book, bids, asks, change) {
                let shown = Shown { sequence: window.sequence(), checksum: window.checksum(), time_ms: book.time_ms() };
                let frame = self.delta(levels, shown, change.previous, &change.bids, &change.asks);
                self.publish(levels, frame);
            }
        }
    }

    fn publish_replaced(&self, state: &mut State) {
        state.windows = [None, None];
        for levels in Levels::ALL {
            if !self.depth(levels).subscribers().is_empty() {
                let frame = self.snapshot(state, levels);
                self.publish(levels, frame);
            }
        }
    }

    fn head(&self, kind: &str, levels: &str, shown: Shown) -> Object {
        Object::message("depth")
            .text("instrument", &self.symbol)
            .text("kind", kind)
            .raw("levels", levels)
            .number("sequence", shown.sequence)
    }

    fn delta(&self, levels: Levels, shown: Shown, previous: i64, bids: &[Level], asks: &[Level]) -> Frame {
        let (bids, asks) = (bids.iter().copied(), asks.iter().copied());
        self.head("delta", levels.json(), shown)
            .number("previous", previous)
            .levels("bids", bids)
            .levels("asks", asks)
            .number("checksum", i64::from(shown.checksum))
            .number("time_ms", shown.time_ms)
            .frame()
    }

    fn whole(
        &self,
        levels: &str,
        shown: Shown,
        bids: impl Iterator<Item = Level>,
        asks: impl Iterator<Item = Level>,
    ) -> Frame {
        self.head("snapshot", levels, shown)
            .levels("bids", bids)
            .levels("asks", asks)
            .number("checksum", i64::from(shown.checksum))
            .number("time_ms", shown.time_ms)
            .frame()
    }

    /// The snapshot that the stream's next frames follow; a window begins with it if there is none.
    fn snapshot(&self, state: &mut State, levels: Levels) -> Frame {
        let State { book, windows, .. } = state;
        let time_ms = book.time_ms();
        match (levels, windows) {
            (Levels::Full, _) => {
                let shown = Shown { sequence: book.sequence(), checksum: book.checksum(), time_ms };
                self.whole(levels.json(), shown, book.bids().best_first(), book.asks().best_first())
            }
            (Levels::Ten, [window, _]) | (Levels::Fifty, [_, window]) => {
                let size = if levels == Levels::Ten { 10 } else { 50 };
                let window = window.get_or_insert_with(|| Window::of(book, size));
                let shown = Shown { sequence: window.sequence(), checksum: window.checksum(), time_ms };
                self.whole(levels.json(), shown, window.bids().iter().copied(), window.asks().iter().copied())
            }
        }
    }

    /// What a client of a depth stream begins with: the book, if it is known, and the client's place in the stream. Without
    /// a book the client hears of it when it is known.
    pub fn depth_start(&self, levels: Levels) -> (Option<Frame>, u64) {
        let state = &mut *self.state();
        let next = self.depth(levels).next();
        if !state.book.is_known() {
            return (None, next);
        }
        // All clients that begin or fall out between two changes share it.
        let sequence = state.book.sequence();
        if let Some(written) = &state.snapshots[levels as usize]
            && (written.next, written.sequence) == (next, sequence)
        {
            return (Some(written.frame.clone()), next);
        }
        let frame = self.snapshot(state, levels);
        state.snapshots[levels as usize] = Some(Written { next, sequence, frame: frame.clone() });
        (Some(frame), next)
    }

    /// The best `levels` of each side as a snapshot message; none while the book is unknown.
    pub fn depth_now(&self, levels: usize) -> Option<Frame> {
        let state = self.state();
        let book = Some(&state.book).filter(|book| book.is_known())?;
        let window = Window::of(book, levels);
        let shown = Shown { sequence: book.sequence(), checksum: window.checksum(), time_ms: book.time_ms() };
        let (bids, asks) = (window.bids().iter().copied(), window.asks().iter().copied());
        Some(self.whole(&levels.to_string(), shown, bids, asks))
    }

    /// Takes a trade whose record lies at `offset`.
    pub fn take_trade(&self, offset: i64, trade: &Trade, taker_side: Side) {
        let state = &mut *self.state();
        state.trade_count += 1;
        if !self.trades.subscribers().is_empty() {
            let frame = Object::message("trade")
                .text("instrument", &self.symbol)
                .id("trade_id", trade.trade_id)
                .amount("price", trade.price)
                .amount("quantity", trade.quantity)
                .text("taker_side", &symbol(taker_side.symbol()))
                .number("sequence", state.trade_count)
                .number("time_ms", trade.time_ms)
                .frame();
            self.trades.push(frame);
            self.common.rounds.mark(self.trades.subscribers());
        }
        state.fold(trade);
        state.before_past = state.before_past.take().filter(|kept| kept.len() < TRADES_BEFORE_PAST).map(|mut kept| {
            kept.push((offset, *trade));
            kept
        });
    }

    /// Begins candles and the last day with what the view knows of the time before, and adds what it does not know yet. Says
    /// whether it could: not a second time, and not after too many trades.
    pub fn seed(&self, past: Past) -> bool {
        let state = &mut *self.state();
        let Some(kept) = state.before_past.take() else { return false };
        state.running = past.candles.map(|current| Running { current, closed: None });
        state.day = Day::default();
        past.minutes.into_iter().for_each(|minute| state.day.add(minute));
        kept.iter().filter(|(offset, _)| *offset >= past.next_offset).for_each(|(_, trade)| state.fold(trade));
        (state.candles_due, state.ticker_due) = ([true; INTERVALS.len()], true);
        true
    }

    /// Takes the instrument's reference data; none if it was taken back.
    pub fn take_instrument(&self, instrument: Option<&Instrument>) {
        let state = &mut *self.state();
        let frame = match (instrument, &state.instrument) {
            (Some(now), _) => status(now, now.status.symbol()),
            (None, Some(before)) => status(before, "CLOSED"),
            (None, None) => return,
        };
        state.instrument = instrument.cloned();
        self.common.show(&self.status, None, frame);
    }

    /// The instrument's reference data, if it is listed.
    pub fn instrument(&self) -> Option<Instrument> {
        self.state().instrument.clone()
    }

    /// Lets what is older than a day go.
    pub fn advance(&self, now_ms: i64) -> bool {
        let state = &mut *self.state();
        let moved = state.day.advance(now_ms);
        state.ticker_due |= moved;
        moved
    }

    /// Shows what has changed since the last time, as far as anybody listens.
    pub fn show(&self) {
        self.due.store(false, Ordering::Release);
        let state = &mut *self.state();
        if state.ticker_due && !(self.ticker.subscribers().is_empty() && self.common.all_tickers.is_empty()) {
            self.show_ticker(state);
        }
        for interval in 0..INTERVALS.len() {
            if state.candles_due[interval] && !self.candles[interval].subscribers().is_empty() {
                self.show_candle(state, interval);
            }
        }
    }

    fn show_ticker(&self, state: &mut State) {
        state.ticker_due = false;
        self.common.show(&self.ticker, None, self.ticker_object(state, Object::message("ticker")).frame());
        self.common.rounds.mark(&self.common.all_tickers);
    }

    fn ticker_object(&self, state: &State, object: Object) -> Object {
        let quotes = Some(&state.book).filter(|book| book.is_known());
        let (bid, ask) = (quotes.and_then(|book| book.bids().best()), quotes.and_then(|book| book.asks().best()));
        let prices = state.day.prices();
        let (volume, trades) = state.day.volume();
        object
            .text("instrument", &self.symbol)
            .maybe_amount("last", state.day.last())
            .maybe_amount("bid", bid.map(|level| level.price))
            .maybe_amount("bid_quantity", bid.map(|level| level.quantity))
            .maybe_amount("ask", ask.map(|level| level.price))
            .maybe_amount("ask_quantity", ask.map(|level| level.quantity))
            .maybe_amount("open_24h", prices.map(|[open, _, _]| open))
            .maybe_amount("high_24h", prices.map(|[_, high, _]| high))
            .maybe_amount("low_24h", prices.map(|[_, _, low]| low))
            .sum("volume_24h", volume)
            .number("trades_24h", trades)
    }

    /// The ticker as a JSON object.
    pub fn ticker_now(&self) -> String {
        self.ticker_object(&self.state(), Object::empty()).json()
    }

    fn show_candle(&self, state: &mut State, interval: usize) {
        state.candles_due[interval] = false;
        let Running { current: Some(current), closed } = &state.running[interval] else { return };
        let closed = closed.as_ref().filter(|closed| state.closed_shown[interval] != Some(closed.bucket_ms));
        let closed_frame = closed.map(|closed| self.candle_frame(closed, interval));
        self.common.show(&self.candles[interval], closed_frame, self.candle_frame(current, interval));
        if let Some(closed) = closed {
            state.closed_shown[interval] = Some(closed.bucket_ms);
        }
    }

    fn candle_frame(&self, candle: &Candle, interval: usize) -> Frame {
        Object::message("candle")
            .text("instrument", &self.symbol)
            .text("interval", INTERVALS[interval].0)
            .number("bucket_ms", candle.bucket_ms)
            .amount("open", candle.open)
            .amount("high", candle.high)
            .amount("low", candle.low)
            .amount("close", candle.close)
            .sum("volume", candle.volume)
            .number("trades", candle.trades)
            .frame()
    }

    /// Adds a client of a candle, and sees to it that its last state is shown.
    pub fn join_candles(&self, interval: usize, wake: &Arc<Wake>) {
        self.candles[interval].subscribers().add(wake);
        let state = &mut *self.state();
        if state.candles_due[interval] {
            self.show_candle(state, interval);
        }
    }

    /// Sees to it that the last state of the ticker is shown to a client that has just been added.
    pub fn join_ticker(&self) {
        let state = &mut *self.state();
        if state.ticker_due || self.ticker.version() == 0 {
            self.show_ticker(state);
        }
    }
}

impl State {
    fn fold(&mut self, trade: &Trade) {
        for (running, (_, length_ms)) in self.running.iter_mut().zip(INTERVALS) {
            running.add(Candle::of(trade, length_ms));
        }
        self.day.trade(trade);
        (self.candles_due, self.ticker_due) = ([true; INTERVALS.len()], true);
    }
}

/// What a depth message says beside its levels.
#[derive(Debug, Clone, Copy)]
struct Shown {
    sequence: i64,
    checksum: u32,
    time_ms: i64,
}

fn status(of: &Instrument, status: &str) -> Frame {
    Object::message("status")
        .text("instrument", &of.symbol)
        .text("status", &symbol(status))
        .text("base_asset", &of.base_asset)
        .text("quote_asset", &of.quote_asset)
        .amount("tick_size", of.tick_size)
        .amount("lot_size", of.lot_size)
        .amount("min_quantity", of.min_quantity)
        .amount("max_quantity", of.max_quantity)
        .amount("min_notional", of.min_notional)
        .amount("max_notional", of.max_notional)
        .amount("reference_price", of.reference_price)
        .number("collar_ppm", of.collar_ppm)
        .number("maker_fee_ppm", of.maker_fee_ppm)
        .number("taker_fee_ppm", of.taker_fee_ppm)
        .frame()
}
