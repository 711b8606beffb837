//! All instruments and accounts: what records go into, and what sessions read from.

use super::account::Accounts;
use super::book::Applied;
use super::candle::Trade;
use super::channel::Latest;
use super::frame::Frame;
use super::market::{Common, Market, Past};
use super::metrics::FeedMetrics;
use super::wake::Rounds;
use smol_str::SmolStr;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tapeline_schemas::wire::{BookDepth, Execution, ExecutionKind, Instrument, Side};

/// How much memory the ring of all accounts' events takes, if nothing else is said.
pub const EVENT_RING_BYTES: usize = 64 << 20;

/// Everything that clients can see.
#[derive(Debug)]
pub struct Hub {
    common: Arc<Common>,
    markets: RwLock<HashMap<SmolStr, Arc<Market>>>,
    /// Markets that changed in this batch.
    due: Mutex<Vec<Arc<Market>>>,
    /// From which offsets on trades have been read, by partition.
    trades_from: RwLock<Vec<i64>>,
    /// All accounts.
    pub accounts: Accounts,
    /// State of the pipeline, for operators.
    pub pipeline: Latest,
    /// What Prometheus sees.
    pub metrics: FeedMetrics,
}

impl Hub {
    /// An empty hub; the ring of accounts' events holds `event_ring_bytes`.
    pub fn new(metrics: FeedMetrics, event_ring_bytes: usize) -> Self {
        let common = Arc::<Common>::default();
        Self {
            accounts: Accounts::new(Arc::clone(&common.rounds), event_ring_bytes),
            common,
            markets: RwLock::default(),
            due: Mutex::default(),
            trades_from: RwLock::default(),
            pipeline: Latest::default(),
            metrics,
        }
    }

    /// The rounds in which clients are woken; [`Rounds::run`] has to be awaited by somebody.
    pub fn rounds(&self) -> &Arc<Rounds> {
        &self.common.rounds
    }

    /// What is shared by all markets.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// An instrument, if anything is known of it.
    pub fn market(&self, symbol: &str) -> Option<Arc<Market>> {
        self.markets.read().unwrap_or_else(PoisonError::into_inner).get(symbol).cloned()
    }

    /// Shows all instruments to `visit`.
    pub fn each_market(&self, visit: impl FnMut(&Arc<Market>)) {
        self.markets.read().unwrap_or_else(PoisonError::into_inner).values().for_each(visit);
    }

    /// An instrument, if it is listed.
    pub fn instrument(&self, symbol: &str) -> Option<Instrument> {
        self.market(symbol)?.instrument()
    }

    /// All listed instruments, by symbol.
    pub fn instruments(&self) -> Vec<Instrument> {
        let mut listed = Vec::new();
        self.each_market(|market| listed.extend(market.instrument()));
        listed.sort_unstable_by(|one, other| one.symbol.cmp(&other.symbol));
        listed
    }

    fn market_of(&self, symbol: &SmolStr) -> Arc<Market> {
        if let Some(market) = self.market(symbol) {
            return market;
        }
        let mut markets = self.markets.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Market::new(symbol.clone(), Arc::clone(&self.common)));
        Arc::clone(markets.entry(symbol.clone()).or_insert_with(new))
    }

    fn changed(&self, market: Arc<Market>) {
        if market.becomes_due() {
            self.due.lock().unwrap_or_else(PoisonError::into_inner).push(market);
        }
    }

    /// Takes a record of `book.depth`.
    pub fn take_depth(&self, record: &BookDepth) {
        let market = self.market_of(&record.instrument);
        match market.take_depth(record) {
            Applied::Gap => {
                self.metrics.books_lost.with_label_values(&["gap"]).inc();
                tracing::warn!(instrument = %record.instrument, sequence = record.sequence, "changes of a book are missing: waiting for its next snapshot");
            }
            Applied::Broken => {
                self.metrics.books_lost.with_label_values(&["checksum"]).inc();
                tracing::error!(instrument = %record.instrument, sequence = record.sequence, "a book does not have the checksum that its record says: waiting for its next snapshot");
            }
            Applied::Changed | Applied::Replaced | Applied::Same | Applied::Waiting => {}
        }
        self.changed(market);
    }

    /// Says from which offsets on `trades.executed` is read.
    pub fn begin_trades(&self, next_offsets: &[i64]) {
        *self.trades_from.write().unwrap_or_else(PoisonError::into_inner) = next_offsets.to_vec();
    }

    /// Takes the public side of a record of `trades.executed`: a trade.
    pub fn take_execution(&self, offset: i64, record: &Execution) {
        let Execution { kind: ExecutionKind::Traded, instrument: Some(symbol), .. } = record else { return };
        let (Some(trade_id), Some(price), Some(quantity)) = (record.trade_id, record.price, record.quantity) else {
            return;
        };
        let market = self.market_of(symbol);
        let trade = Trade { trade_id, price, quantity, time_ms: record.validated_at_ms };
        market.take_trade(offset, &trade, record.order.as_ref().map_or(Side::Unknown, |order| order.side));
        self.changed(market);
    }

    /// Takes a record of `reference.instruments`; one without a value takes the instrument back. What is listed while the feed
    /// is up to date has an empty book.
    pub fn take_instrument(&self, symbol: &SmolStr, instrument: Option<&Instrument>) {
        let market = self.market_of(symbol);
        let is_new = market.instrument().is_none() && instrument.is_some();
        market.take_instrument(instrument);
        if is_new && self.metrics.not_ready().is_empty() {
            self.begin_book(symbol);
        }
    }

    /// Shows the book of an instrument in which nobody has ever ordered: it is empty. Does nothing if anything has been read
    /// of it.
    pub fn begin_book(&self, symbol: &SmolStr) {
        let market = self.market_of(symbol);
        if market.begin_book() {
            self.changed(market);
        }
    }

    /// Begins an instrument with what the view knows of its past; `partition` is its partition of `trades.executed`. Says
    /// whether it could: the trades that the view lacks must have been read here, and only the first call counts.
    pub fn seed(&self, symbol: &SmolStr, partition: i32, past: Past) -> bool {
        let from = self.trades_from.read().unwrap_or_else(PoisonError::into_inner).get(partition as usize).copied();
        let complete = from.is_some_and(|from| past.next_offset >= from);
        let market = self.market_of(symbol);
        let seeded = complete && market.seed(past);
        self.changed(market);
        seeded
    }

    /// Says how the pipeline is, as a whole message, to operators who listen.
    pub fn show_pipeline(&self, message: Frame) {
        self.common.show(&self.pipeline, None, message);
        self.common.rounds.begin();
    }

    /// Says that it is `now_ms`, milliseconds since the Unix epoch: trades of a day ago leave the tickers.
    pub fn advance(&self, now_ms: i64) {
        let mut moved = Vec::new();
        self.each_market(|market| {
            if market.advance(now_ms) {
                moved.push(Arc::clone(market));
            }
        });
        moved.into_iter().for_each(|market| self.changed(market));
        self.end_batch();
    }

    /// Says that a batch of records is in: what changed is shown, and clients are woken.
    pub fn end_batch(&self) {
        let due = std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner));
        due.iter().for_each(|market| market.show());
        self.common.rounds.begin();
    }
}
