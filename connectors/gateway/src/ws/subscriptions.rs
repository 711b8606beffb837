//! A client's places in the channels.

use super::message::Channel;
use crate::feed::account::{AccountChannel, Joined, Message};
use crate::feed::channel::{Latest, Reading};
use crate::feed::frame::Frame;
use crate::feed::hub::Hub;
use crate::feed::market::{Levels, Market};
use crate::feed::wake::{Subscribers, Wake};
use crate::problem::Problem;
use smol_str::SmolStr;
use std::sync::Arc;

/// How many channels a connection may see.
const MAX_CHANNELS: usize = 1_000;

/// What a connection sees.
pub struct Subscriptions {
    hub: Arc<Hub>,
    wake: Arc<Wake>,
    seen: Vec<Seen>,
    account: Option<Box<OwnAccount>>,
}

struct Seen {
    of: Of,
    /// Next frame of a stream, or version of a latest value.
    place: u64,
}

enum Of {
    Depth(Arc<Market>, Levels),
    Trades(Arc<Market>),
    Candles(Arc<Market>, u8),
    Ticker(Arc<Market>),
    Status(Arc<Market>),
    AllTickers,
    Pipeline,
}

struct OwnAccount {
    name: SmolStr,
    /// None until the client has joined.
    channel: Option<(Arc<AccountChannel>, u64)>,
    /// Of the last message.
    sequence: u64,
}

/// The client can't be told all that it wants, for it reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow;

impl Subscriptions {
    /// None yet.
    pub fn new(hub: Arc<Hub>, wake: Arc<Wake>) -> Self {
        Self { hub, wake, seen: Vec::new(), account: None }
    }

    /// Whether the client sees nothing.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.account.is_none()
    }

    fn market(&self, symbol: &SmolStr) -> Result<Arc<Market>, Problem> {
        self.hub.market(symbol).ok_or_else(|| {
            let detail = format!("there is no instrument {symbol}; GET /v1/instruments lists them");
            Problem::new(404, "unknown_instrument", "There is no such instrument", detail).of_field("instrument")
        })
    }

    fn of(&self, channel: &Channel) -> Result<Of, Problem> {
        Ok(match channel {
            Channel::Depth(symbol, levels) => Of::Depth(self.market(symbol)?, *levels),
            Channel::Trades(symbol) => Of::Trades(self.market(symbol)?),
            Channel::Candles(symbol, interval) => Of::Candles(self.market(symbol)?, *interval as u8),
            Channel::Ticker(symbol) => Of::Ticker(self.market(symbol)?),
            Channel::Status(symbol) => Of::Status(self.market(symbol)?),
            Channel::AllTickers => Of::AllTickers,
            Channel::Pipeline | Channel::Account => Of::Pipeline,
        })
    }

    /// Begins a channel other than the account, and appends what it begins with. One that is seen already begins anew: so a client
    /// gets a whole book again.
    ///
    /// # Errors
    /// If there is no such instrument, or if there are too many channels.
    pub fn add(&mut self, channel: &Channel, frames: &mut Vec<Frame>) -> Result<(), Problem> {
        let of = self.of(channel)?;
        self.seen.retain(|at| !at.of.is_same(&of));
        if self.seen.len() >= MAX_CHANNELS {
            let detail = format!("a connection sees at most {MAX_CHANNELS} channels; open another one");
            return Err(Problem::new(429, "too_many_subscriptions", "Too many subscriptions", detail));
        }
        // First the bell, then the place: what comes between the two rings.
        of.subscribers(&self.hub).add(&self.wake);
        let mut place = 0;
        match &of {
            Of::Depth(market, levels) => {
                let (snapshot, next) = market.depth_start(*levels);
                frames.extend(snapshot);
                place = next;
            }
            Of::Trades(market) => place = market.trades.next(),
            Of::Candles(market, interval) => market.join_candles(usize::from(*interval), &self.wake),
            Of::Ticker(market) => market.join_ticker(),
            Of::AllTickers => self.hub.each_market(|market| market.join_ticker()),
            Of::Status(_) | Of::Pipeline => {}
        }
        self.seen.push(Seen { of, place });
        Ok(())
    }

    /// Ends a channel; whether the client saw it.
    ///
    /// # Errors
    /// If there is no such instrument.
    pub fn remove(&mut self, channel: &Channel) -> Result<bool, Problem> {
        if *channel == Channel::Account {
            return Ok(self.leave_account());
        }
        let of = self.of(channel)?;
        let before = self.seen.len();
        self.seen.retain(|at| !at.of.is_same(&of));
        of.subscribers(&self.hub).remove(&self.wake);
        Ok(self.seen.len() != before)
    }

    /// Listens to an account; nothing comes before [`Self::join_account`].
    pub fn listen_account(&mut self, name: &SmolStr) -> Arc<AccountChannel> {
        self.leave_account();
        self.account = Some(Box::new(OwnAccount { name: name.clone(), channel: None, sequence: 0 }));
        self.hub.accounts.listen(name, &self.wake)
    }

    /// Begins the account, and appends what it begins with.
    pub fn join_account(&mut self, channel: Arc<AccountChannel>, joined: Joined, frames: &mut Vec<Frame>) {
        // It may have been ended while the view was asked.
        let Some(account) = &mut self.account else { return };
        frames.extend(joined.account.map(Frame::from));
        account.push(joined.since, frames);
        account.channel = Some((channel, joined.cursor));
    }

    fn leave_account(&mut self) -> bool {
        let account = self.account.take();
        if let Some(account) = &account {
            self.hub.accounts.leave(&account.name, &self.wake);
        }
        account.is_some()
    }

    /// Appends all that the client has not had yet.
    ///
    /// # Errors
    /// [`TooSlow`] if something that it may not miss has given way to newer.
    pub fn gather(&mut self, frames: &mut Vec<Frame>) -> Result<(), TooSlow> {
        for Seen { of, place } in &mut self.seen {
            match of {
                Of::Depth(market, levels) => {
                    if market.depth(*levels).read(place, frames) == Reading::FellOut {
                        let (snapshot, next) = market.depth_start(*levels);
                        frames.extend(snapshot);
                        *place = next;
                        self.hub.metrics.conflations.inc();
                    }
                }
                Of::Trades(market) => {
                    if market.trades.read(place, frames) == Reading::FellOut {
                        return Err(TooSlow);
                    }
                }
                Of::AllTickers => {
                    // What is shown while they are read is read again next time, rather than missed.
                    let newest = self.hub.common().version();
                    self.hub.each_market(|market| {
                        market.ticker.read(*place, frames);
                    });
                    *place = newest;
                }
                Of::Candles(market, interval) => {
                    *place = market.candles[usize::from(*interval)].read(*place, frames);
                }
                Of::Ticker(market) => *place = market.ticker.read(*place, frames),
                Of::Status(market) => *place = market.status.read(*place, frames),
                Of::Pipeline => *place = self.hub.pipeline.read(*place, frames),
            }
        }
        match &mut self.account {
            Some(account) => account.gather(frames),
            None => Ok(()),
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        for Seen { of, .. } in std::mem::take(&mut self.seen) {
            of.subscribers(&self.hub).remove(&self.wake);
        }
        self.leave_account();
    }
}

impl Of {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Depth(own, levels), Self::Depth(other, other_levels)) => {
                Arc::ptr_eq(own, other) && levels == other_levels
            }
            (Self::Candles(own, interval), Self::Candles(other, other_interval)) => {
                Arc::ptr_eq(own, other) && interval == other_interval
            }
            (Self::Trades(own), Self::Trades(other))
            | (Self::Ticker(own), Self::Ticker(other))
            | (Self::Status(own), Self::Status(other)) => Arc::ptr_eq(own, other),
            (Self::AllTickers, Self::AllTickers) | (Self::Pipeline, Self::Pipeline) => true,
            _ => false,
        }
    }

    fn subscribers<'a>(&'a self, hub: &'a Hub) -> &'a Arc<Subscribers> {
        match self {
            Self::Depth(market, levels) => market.depth(*levels).subscribers(),
            Self::Trades(market) => market.trades.subscribers(),
            Self::Candles(market, interval) => market.candles[usize::from(*interval)].subscribers(),
            Self::Ticker(market) => market.ticker.subscribers(),
            Self::Status(market) => market.status.subscribers(),
            Self::AllTickers => &hub.common().all_tickers,
            Self::Pipeline => Latest::subscribers(&hub.pipeline),
        }
    }
}

impl OwnAccount {
    fn push(&mut self, messages: Vec<Message>, frames: &mut Vec<Frame>) {
        for message in messages {
            self.sequence += 1;
            frames.push(message.numbered(self.sequence).into());
        }
    }

    fn gather(&mut self, frames: &mut Vec<Frame>) -> Result<(), TooSlow> {
        let Some((channel, cursor)) = &mut self.channel else { return Ok(()) };
        let mut messages = Vec::new();
        if channel.read(cursor, &mut messages) == Reading::FellOut {
            return Err(TooSlow);
        }
        self.push(messages, frames);
        Ok(())
    }
}
