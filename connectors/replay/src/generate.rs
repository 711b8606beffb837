//! Synthetic flow for any number of instruments and accounts, heavy-tailed, bursty and rich in cancels, like the
//! AAPL hour. Integers only: the same [`Config`] gives the same bytes on every machine.
//!
//! What was measured in the AAPL hour (89,387 rows), and in a generated million over 50 instruments and 5,000
//! accounts (seed 1, at 25 a second, none faulty):
//!
//! | figure | AAPL hour | generated |
//! |---|---|---|
//! | new resting orders, % of commands | 49.6 | 49.2 |
//! | cancels, % | 46.2 | 46.2 |
//! | amends (in the hour: reductions), % | 0.5 | 0.9 |
//! | immediate orders, % | 3.7 | 3.8 |
//! | size of resting orders, lots: p10, median, p90, p99 | 17, 100, 200, 1,000 | the same |
//! | of these whole hundreds, % | 64 | 65 |
//! | life of cancelled orders, instrument's commands: p10, median, p90, p99 | 2, 18, 259, 4,329 | 2, 18, 245, 2,876 |
//! | distance of resting orders from mid, ticks: p10, median, p90, p99 | 7, 18, 85, 185 | drawn from these |
//! | commands a second, variance over mean | 44 | 36 |
//! | the most active instrument, account, % of commands | | 22, 7 |
//!
//! In one instrument over 90,000 commands with plain price-time matching (a test) 12 % of the cancels come too late,
//! and no more than 265 orders are open at once; the hour had up to 260.
//!
//! The tables behind these figures are in `shape`. Beside what the hour has, a small share is market, fill-or-kill,
//! stop, stop-limit, iceberg, post-only, DAY and GTD orders, amends of price or quantity, and cancel-alls; and a
//! configurable share is faulty: a price off the tick, a quantity above the largest, an unknown instrument, a
//! client order id used before (the same command once more), an order of an account without funds.
//!
//! What is absent: matching. The generator does not know which of its orders are filled, so some cancels come too
//! late and are refused. It remembers a bounded number of live orders for each instrument, and nothing else grows.

mod book;
mod shape;
mod world;

#[cfg(test)]
mod tests;

use crate::{FundedAccount, Timed};
use book::{Book, Live};
use shape::{Arrivals, Dice, Style};
use smol_str::{SmolStr, format_smolstr};
use std::collections::VecDeque;
use tapeline_schemas::wire;
use world::{Market, World};

/// A million, for shares in parts per million.
const MILLION: u32 = 1_000_000;
/// How many commands back a repeated one may lie.
const RECENT: usize = 64;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Another seed, another flow.
    pub seed: u64,
    /// How many instruments, 1 to 100,000.
    pub instruments: u32,
    /// How many accounts, 2 to 1,000,000; one more, without funds, serves for faulty orders.
    pub accounts: u32,
    /// How many commands, deposits not counted; endless if none.
    pub commands: Option<u64>,
    /// Mean rate that the times are scaled to, commands a second, 1 to 10,000,000.
    pub rate_per_second: u64,
    /// Whether all instruments and accounts are equally active; else by Zipf's law, the n-th with a share of 1/n.
    pub is_uniform: bool,
    /// Share of faulty commands, parts per million, up to 1,000,000.
    pub faulty_ppm: u32,
    /// Time of the first command, milliseconds since the Unix epoch: GTD orders count from it, and client order ids
    /// differ between runs that begin at different times.
    pub base_time_ms: i64,
}

impl Config {
    /// A thousand commands a second over 50 instruments and 5,000 accounts, 1 % faulty, endless.
    pub const fn new(seed: u64, base_time_ms: i64) -> Self {
        Self {
            seed,
            instruments: 50,
            accounts: 5_000,
            commands: None,
            rate_per_second: 1_000,
            is_uniform: false,
            faulty_ppm: 10_000,
            base_time_ms,
        }
    }

    fn check(&self) -> Result<(), BadConfig> {
        let wrong = |field, value: u64, least, most| {
            let inside = (least..=most).contains(&value);
            if inside { Ok(()) } else { Err(BadConfig { field, value, least, most }) }
        };
        wrong("instruments", self.instruments.into(), 1, 100_000)?;
        wrong("accounts", self.accounts.into(), 2, 1_000_000)?;
        wrong("rate_per_second", self.rate_per_second, 1, 10_000_000)?;
        wrong("faulty_ppm", self.faulty_ppm.into(), 0, MILLION.into())
    }
}

/// A field of [`Config`] out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: set it to a whole number from {least} to {most}")]
pub struct BadConfig {
    field: &'static str,
    value: u64,
    least: u64,
    most: u64,
}

/// An iterator of generated commands.
#[derive(Debug, Clone)]
pub struct Generator {
    config: Config,
    world: World,
    books: Vec<Book>,
    dice: Dice,
    arrivals: Arrivals,
    at_ns: u64,
    /// Commands given out so far.
    count: u64,
    /// Copies of the last commands that were not faulty, to repeat one now and then.
    recent: VecDeque<wire::Command>,
}

impl Generator {
    /// A generator at its first command.
    ///
    /// # Errors
    /// If a field of `config` is out of its range.
    pub fn new(config: Config) -> Result<Self, BadConfig> {
        config.check()?;
        let world = World::new(&config);
        let books = world.markets().iter().map(|market| Book::new(market.reference_ticks)).collect();
        Ok(Self {
            dice: Dice::new(config.seed),
            arrivals: Arrivals::new(config.rate_per_second),
            world,
            books,
            at_ns: 0,
            count: 0,
            recent: VecDeque::with_capacity(RECENT),
            config,
        })
    }

    /// The instruments' reference data.
    pub fn instruments(&self) -> Vec<wire::Instrument> {
        self.world.markets().iter().map(Market::instrument).collect()
    }

    /// The accounts, with the funds that their orders need ([`FundedAccount::deposits`] brings them in); the last
    /// one has none, on purpose.
    pub fn accounts(&self) -> impl Iterator<Item = FundedAccount> + '_ {
        self.world.accounts()
    }

    /// Bids far below the market, to fill the books with: over all accounts and instruments, each as small as the instrument
    /// allows.
    pub fn resting_orders(&self, count: u64) -> impl Iterator<Item = wire::Command> + use<> {
        let instruments = self.instruments();
        let accounts: Vec<_> = self.accounts().map(|funded| funded.account.account).collect();
        (0..count).map(move |number| {
            let instrument = &instruments[number as usize % instruments.len()];
            let account = &accounts[(number as usize / 7) % accounts.len()];
            let levels = 1 + (number % 500) as i64;
            let floor = instrument.reference_price / 1_000_000 * (1_000_000 - instrument.collar_ppm);
            let price = (floor / instrument.tick_size + levels) * instrument.tick_size;
            let lots = instrument.min_notional / (price / 1_000 * (instrument.lot_size / 100_000).max(1)).max(1) + 1;
            wire::Command {
                instrument: Some(instrument.symbol.clone()),
                side: Some(wire::Side::Buy),
                order_type: Some(wire::OrderType::Limit),
                time_in_force: Some(wire::TimeInForce::Gtc),
                price: Some(price),
                quantity: Some(lots * instrument.lot_size),
                ..wire::Command::blank(account.clone(), format_smolstr!("rest{number}"), wire::CommandKind::Place)
            }
        })
    }

    fn next_command(&mut self) -> wire::Command {
        if self.dice.chance(self.config.faulty_ppm) {
            return self.faulty();
        }
        let index = self.world.popular_market(&mut self.dice);
        let command = self.sound(index);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(command.clone());
        command
    }

    /// A command that has no fault by itself.
    fn sound(&mut self, index: usize) -> wire::Command {
        self.books[index].advance(&mut self.dice);
        if let Some(live) = self.books[index].take_due() {
            return self.cancel(&live);
        }
        let roll = self.dice.below(MILLION);
        let changes = [shape::REDUCE_PPM, shape::AMEND_PPM, shape::CANCEL_ALL_PPM];
        if roll < changes.iter().sum()
            && let Some(live) = self.books[index].any(&mut self.dice)
        {
            return match roll {
                roll if roll < changes[0] && live.lots > 1 => self.reduce(&live),
                roll if roll < changes[0] + changes[1] => self.amend(index, &live),
                _ => self.cancel_all(index, &live),
            };
        }
        let account = self.world.active_account(index, &mut self.dice);
        self.place(index, account)
    }

    fn begin(&self, account: u32, kind: wire::CommandKind) -> wire::Command {
        wire::Command::blank(self.world.account_name(account), self.world.client_order_id(self.count), kind)
    }

    fn cancel(&self, live: &Live) -> wire::Command {
        let mut command = self.begin(live.account, wire::CommandKind::Cancel);
        command.target_client_order_id = Some(self.world.client_order_id(live.number));
        command
    }

    fn reduce(&mut self, live: &Live) -> wire::Command {
        let lots = 1 + i64::from(self.dice.below(live.lots - 1));
        let mut command = self.begin(live.account, wire::CommandKind::Amend);
        command.target_client_order_id = Some(self.world.client_order_id(live.number));
        command.quantity = Some(lots * self.world.markets()[live.market].lot);
        command
    }

    /// Changes the price, and every other time the quantity too; a stop keeps its price.
    fn amend(&mut self, index: usize, live: &Live) -> wire::Command {
        let market = &self.world.markets()[index];
        let (price, lots) = (self.books[index].resting_price(live.side, &mut self.dice), self.dice.resting_lots());
        let mut command = wire::Command::blank(
            self.world.account_name(live.account),
            self.world.client_order_id(self.count),
            wire::CommandKind::Amend,
        );
        command.target_client_order_id = Some(self.world.client_order_id(live.number));
        command.price = live.has_limit.then_some(price * market.tick);
        command.quantity = (!live.has_limit || self.dice.chance(MILLION / 2)).then_some(i64::from(lots) * market.lot);
        command
    }

    fn cancel_all(&mut self, index: usize, live: &Live) -> wire::Command {
        self.books[index].forget_account(live.account);
        let mut command = self.begin(live.account, wire::CommandKind::CancelAll);
        command.instrument = Some(self.world.markets()[index].symbol.clone());
        command
    }

    fn place(&mut self, index: usize, account: u32) -> wire::Command {
        let mut command = self.begin(account, wire::CommandKind::Place);
        let (market, book, dice) = (&self.world.markets()[index], &mut self.books[index], &mut self.dice);
        let style = dice.style();
        let side = if dice.chance(MILLION / 2) { wire::Side::Buy } else { wire::Side::Sell };
        let immediate = matches!(style, Style::Immediate | Style::FillOrKill | Style::Market);
        let lots = if immediate { dice.immediate_lots() } else { dice.resting_lots() };
        let limit = if immediate { book.taking_price(side, dice) } else { book.resting_price(side, dice) };
        command.instrument = Some(market.symbol.clone());
        command.side = Some(side);
        command.order_type = Some(wire::OrderType::Limit);
        command.quantity = Some(i64::from(lots) * market.lot);
        command.price = Some(limit * market.tick);
        command.self_trade_prevention = dice.self_trade_prevention();
        match style {
            Style::Plain => {}
            Style::Immediate => command.time_in_force = Some(wire::TimeInForce::Ioc),
            Style::FillOrKill => command.time_in_force = Some(wire::TimeInForce::Fok),
            Style::Market => {
                command.order_type = Some(wire::OrderType::Market);
                command.price = None;
            }
            Style::Stop | Style::StopLimit => {
                let stop = book.stop_price(side, dice);
                command.stop_price = Some(stop * market.tick);
                let limited = style == Style::StopLimit;
                command.order_type = Some(if limited { wire::OrderType::StopLimit } else { wire::OrderType::Stop });
                command.price = limited.then(|| book.beyond(side, stop, dice) * market.tick);
            }
            Style::Iceberg => {
                let shown = i64::from(1 + dice.below(lots.div_ceil(4)));
                command.display_quantity = Some(shown * market.lot);
            }
            Style::PostOnly => command.post_only = true,
            Style::Day => command.time_in_force = Some(wire::TimeInForce::Day),
            Style::GoodTillDate => {
                command.time_in_force = Some(wire::TimeInForce::Gtd);
                let now_ms = self.config.base_time_ms.saturating_add_unsigned(self.at_ns / 1_000_000);
                command.expires_at_ms = Some(now_ms.saturating_add(dice.good_for_ms()));
            }
        }
        let left_to_expire = style == Style::GoodTillDate && dice.chance(MILLION / 2);
        if !immediate && !left_to_expire {
            let has_limit = style != Style::Stop;
            let live = Live { due: 0, number: self.count, market: index, account, side, lots, has_limit };
            book.remember(live, limit, dice);
        }
        command
    }

    /// A command that the validator must reject; the faults are equally likely.
    fn faulty(&mut self) -> wire::Command {
        let fault = self.dice.below(5);
        if fault == 0 && !self.recent.is_empty() {
            let back = self.dice.below(self.recent.len() as u32) as usize;
            return self.recent[back].clone();
        }
        let index = self.world.popular_market(&mut self.dice);
        let account = self.world.active_account(index, &mut self.dice);
        let market = &self.world.markets()[index];
        let side = wire::Side::Buy;
        let price = self.books[index].resting_price(side, &mut self.dice) * market.tick;
        let lots = i64::from(self.dice.resting_lots());
        let mut command = self.begin(account, wire::CommandKind::Place);
        command.instrument = Some(market.symbol.clone());
        command.side = Some(side);
        command.order_type = Some(wire::OrderType::Limit);
        command.price = Some(price);
        command.quantity = Some(lots * market.lot);
        match fault {
            1 => command.price = Some(price + 1),
            2 => command.quantity = Some((world::MAX_LOTS + lots) * market.lot),
            3 => command.instrument = Some(format_smolstr!("NONE{:04}-USD", self.dice.below(10_000))),
            _ => command.account = SmolStr::new_static(world::UNFUNDED_ACCOUNT),
        }
        command
    }
}

impl Iterator for Generator {
    type Item = Timed;

    fn next(&mut self) -> Option<Timed> {
        if self.config.commands.is_some_and(|commands| self.count >= commands) {
            return None;
        }
        if self.count > 0 {
            self.at_ns = self.at_ns.saturating_add(self.arrivals.gap_ns(&mut self.dice));
        }
        let command = self.next_command();
        self.count += 1;
        Some(Timed { at_ns: self.at_ns, command })
    }
}
