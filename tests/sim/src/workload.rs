//! What publishers outside write: reference data, commands of all kinds with few accounts and prices so that they
//! collide, repeated records, garbage, ticks of the clock and of outside venues.

use crate::broker::Broker;
use crate::dice::Dice;
use crate::fault::{Fault, Rates, Stats};
use smol_str::{SmolStr, format_smolstr};
use std::collections::VecDeque;
use std::sync::Arc;
use tapeline_runtime::port::OutRecord;
use tapeline_schemas::codec::{Encoder, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};

const ONE: i64 = 100_000_000;
const TICK: i64 = ONE / 100;
const LOT: i64 = ONE / 10;
const REFERENCE_PRICE: i64 = 10 * ONE;
const MOST_OPEN_ORDERS: i64 = 60;
/// How many of an account's newest client order ids amends and cancels choose from.
const REMEMBERED: usize = 12;
/// Milliseconds after midnight UTC of the first close: ten seconds after a run begins.
const SESSION_CLOSE_MS: i64 = 22 * 3_600_000 + 13 * 60_000 + 30_000;

struct Encoders {
    command: Encoder<wire::Command>,
    instrument: Encoder<wire::Instrument>,
    account: Encoder<wire::Account>,
    tick: Encoder<wire::Tick>,
    market: Encoder<wire::MarketTick>,
}

fn encoder<T: Wire>(topic: &str, ids: &Arc<dyn SchemaIds>) -> anyhow::Result<Encoder<T>> {
    let id = ids.registered_id(topic, T::SCHEMA_JSON).map_err(anyhow::Error::msg)?;
    Ok(Encoder::new(id))
}

/// The publishers of a run.
pub(crate) struct Workload {
    dice: Dice,
    encoders: Encoders,
    partitions: i32,
    instruments: Vec<wire::Instrument>,
    accounts: Vec<SmolStr>,
    /// Newest client order ids of each account.
    recent: Vec<VecDeque<SmolStr>>,
    /// Records that must go out before any other: reference data, deposits.
    first: VecDeque<OutRecord>,
    /// Commands left to publish.
    left: u32,
    next_name: u64,
    ticks: i64,
    /// Closed instruments and accounts open again after so many records.
    repairs: VecDeque<(u32, OutRecord)>,
    garbage_ppm: u32,
    duplicate_ppm: u32,
}

impl Workload {
    pub(crate) fn new(
        mut dice: Dice,
        ids: &Arc<dyn SchemaIds>,
        partitions: i32,
        rates: &Rates,
    ) -> anyhow::Result<Self> {
        let encoders = Encoders {
            command: encoder(topic::ORDERS, ids)?,
            instrument: encoder(topic::INSTRUMENTS, ids)?,
            account: encoder(topic::ACCOUNTS, ids)?,
            tick: encoder(topic::CLOCK, ids)?,
            market: encoder(topic::MARKET_TICKS, ids)?,
        };
        let instruments = (0..dice.range(1, 4)).map(|number| instrument(&mut dice, number)).collect();
        let accounts: Vec<SmolStr> = (0..dice.range(2, 8)).map(|number| format_smolstr!("acc-{number}")).collect();
        let left = dice.range(150, 900) as u32;
        let mut workload = Self {
            dice,
            encoders,
            partitions,
            instruments,
            recent: vec![VecDeque::new(); accounts.len()],
            accounts,
            first: VecDeque::new(),
            left,
            next_name: 0,
            ticks: 0,
            repairs: VecDeque::new(),
            garbage_ppm: rates.of(Fault::Garbage),
            duplicate_ppm: rates.of(Fault::DuplicatePublish),
        };
        workload.open();
        Ok(workload)
    }

    /// Reference data as it is at the beginning, and deposits.
    fn open(&mut self) {
        self.publish_reference();
        for account in 0..self.accounts.len() {
            for asset in ["USD", "BASE0", "BASE1", "BASE2", "BASE3"] {
                let amount = self.dice.range(1, 60) * if asset == "USD" { 100 * ONE } else { 10 * ONE };
                let mut command = self.command(account, wire::CommandKind::Deposit);
                command.asset = Some(asset.into());
                command.amount = Some(amount);
                let record = self.record(&command);
                self.first.push_back(record);
            }
        }
    }

    fn publish_reference(&mut self) {
        let instruments = self.instruments.clone();
        let mut records: Vec<OutRecord> =
            instruments.iter().map(|instrument| self.instrument_record(instrument)).collect();
        for account in self.accounts.clone() {
            records.push(self.account_record(&account, wire::AccountStatus::Active, MOST_OPEN_ORDERS));
        }
        self.dice.shuffle(&mut records);
        self.first.extend(records);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left == 0 && self.first.is_empty()
    }

    /// Before closing time everything opens again; nothing goes wrong at the publishers from now on.
    pub(crate) fn reopen(&mut self) {
        (self.garbage_ppm, self.duplicate_ppm) = (0, 0);
        self.publish_reference();
    }

    /// Closing time: every account cancels all it has.
    pub(crate) fn close(&mut self) {
        for account in 0..self.accounts.len() {
            for instrument in self.instruments.clone() {
                let mut command = self.command(account, wire::CommandKind::CancelAll);
                command.instrument = Some(instrument.symbol);
                let record = self.record(&command);
                self.first.push_back(record);
            }
        }
    }

    /// Publishes the next record, if there is one left.
    pub(crate) fn publish_next(&mut self, now_ms: i64, broker: &mut Broker, stats: &mut Stats) {
        let record = match self.first.front() {
            Some(record) => record.clone(),
            None if self.left == 0 => return,
            None => self.next_record(now_ms, broker, stats),
        };
        // A publisher keeps a record for which the leader did not answer, as clients do.
        if broker.append(&record).is_err() {
            if self.first.is_empty() {
                self.first.push_back(record);
            }
            return;
        }
        stats.commands += u64::from(record.topic == topic::ORDERS);
        self.first.pop_front();
        if self.dice.chance(self.duplicate_ppm) {
            stats.count(Fault::DuplicatePublish);
            self.first.push_back(record);
        }
    }

    fn next_record(&mut self, now_ms: i64, broker: &mut Broker, stats: &mut Stats) -> OutRecord {
        self.left -= 1;
        if let Some((wait, _)) = self.repairs.front_mut() {
            *wait = wait.saturating_sub(1);
        }
        if let Some((_, repair)) = self.repairs.pop_front_if(|(wait, _)| *wait == 0) {
            return repair;
        }
        if self.dice.chance(self.garbage_ppm) {
            stats.count(Fault::Garbage);
            return self.garbage();
        }
        match self.dice.weighted(&[900, 15, 15, 20, 20]) {
            0 => self.any_command(now_ms),
            1 => self.change_instrument(),
            2 => self.change_account(),
            3 => {
                self.tick(broker);
                self.any_command(now_ms)
            }
            _ => self.market_tick(now_ms),
        }
    }

    fn record(&self, command: &wire::Command) -> OutRecord {
        out(topic::ORDERS, Some(&command.account), Some(encoded(&self.encoders.command, command)))
    }

    fn command(&mut self, account: usize, kind: wire::CommandKind) -> wire::Command {
        self.next_name += 1;
        let client_order_id = format_smolstr!("c{}", self.next_name);
        wire::Command::blank(self.accounts[account].clone(), client_order_id, kind)
    }

    fn any_command(&mut self, now_ms: i64) -> OutRecord {
        use wire::CommandKind::{Amend, Cancel, CancelAll, Deposit, Place, Withdraw};
        let account = self.dice.index(self.accounts.len());
        let kind =
            [Place, Amend, Cancel, CancelAll, Deposit, Withdraw][self.dice.weighted(&[640, 130, 120, 20, 35, 55])];
        let mut command = self.command(account, kind);
        match kind {
            Place => self.place(&mut command, account, now_ms),
            Amend | Cancel => {
                command.target_client_order_id = self.recent_name(account);
                if kind == Amend {
                    command.quantity = self.dice.chance(700_000).then(|| self.quantity());
                    command.price = self.dice.chance(600_000).then(|| self.price());
                }
            }
            CancelAll => command.instrument = Some(self.symbol()),
            _ => {
                command.asset = Some(self.dice.pick(&["USD", "BASE0", "BASE1", "BASE2"]).into());
                command.amount = Some(self.dice.range(1, 60) * ONE);
            }
        }
        // An account that uses a name again, for the same or for something else.
        if self.dice.chance(15_000)
            && let Some(name) = self.recent_name(account)
        {
            command.client_order_id = name;
        }
        let mut record = self.record(&command);
        if self.dice.chance(4_000) {
            record.partition = Some(self.dice.index(self.partitions as usize) as i32);
        }
        record
    }

    fn place(&mut self, command: &mut wire::Command, account: usize, now_ms: i64) {
        use wire::{OrderType, SelfTradePrevention as Stp, Side, TimeInForce as Tif};
        let dice = &mut self.dice;
        let kind = [OrderType::Limit, OrderType::Market, OrderType::Stop, OrderType::StopLimit]
            [dice.weighted(&[780, 80, 60, 80])];
        command.side = Some(dice.pick(&[Side::Buy, Side::Sell]));
        command.order_type = Some(kind);
        let tif = match kind {
            OrderType::Market => [None, Some(Tif::Ioc), Some(Tif::Fok)][dice.weighted(&[2, 1, 1])],
            OrderType::Limit => [None, Some(Tif::Gtc), Some(Tif::Day), Some(Tif::Gtd), Some(Tif::Ioc), Some(Tif::Fok)]
                [dice.weighted(&[50, 15, 8, 10, 10, 7])],
            _ => [None, Some(Tif::Gtc), Some(Tif::Day), Some(Tif::Gtd)][dice.weighted(&[5, 2, 1, 2])],
        };
        command.time_in_force = tif;
        if tif == Some(Tif::Gtd) {
            command.expires_at_ms = Some(now_ms + dice.pick(&[-5, 1, 40, 400, 3_000, 200_000, 5_000_000]));
        }
        let rests = matches!(tif, None | Some(Tif::Gtc | Tif::Day | Tif::Gtd)) && kind == OrderType::Limit;
        command.post_only = rests && dice.chance(60_000);
        let modes = [Stp::CancelNewest, Stp::CancelOldest, Stp::CancelBoth, Stp::DecrementAndCancel];
        command.self_trade_prevention = dice.chance(800_000).then(|| dice.pick(&modes));
        let iceberg = rests && dice.chance(120_000);
        command.quantity = Some(self.quantity());
        if iceberg {
            command.display_quantity = Some(LOT * self.dice.range(1, 4));
        }
        if matches!(kind, OrderType::Limit | OrderType::StopLimit) {
            command.price = Some(self.price());
        }
        if matches!(kind, OrderType::Stop | OrderType::StopLimit) {
            command.stop_price = Some(self.price());
        }
        command.instrument = Some(self.symbol());
        if self.dice.chance(25_000) {
            self.spoil(command);
        }
        let recent = &mut self.recent[account];
        recent.push_back(command.client_order_id.clone());
        if recent.len() > REMEMBERED {
            recent.pop_front();
        }
    }

    /// Makes a command that the ladder must refuse, or a very odd one.
    fn spoil(&mut self, command: &mut wire::Command) {
        match self.dice.below(9) {
            0 => command.instrument = Some("NONE-USD".into()),
            1 => command.quantity = Some(0),
            2 => command.quantity = Some(i64::MAX),
            3 => command.price = Some(REFERENCE_PRICE + 1),
            4 => command.price = Some(i64::MIN),
            5 => command.side = None,
            6 => command.display_quantity = Some(-LOT),
            7 => command.client_order_id = SmolStr::default(),
            _ => command.expires_at_ms = Some(i64::MAX),
        }
    }

    fn recent_name(&mut self, account: usize) -> Option<SmolStr> {
        let recent = &self.recent[account];
        if recent.is_empty() { None } else { recent.get(self.dice.index(recent.len())).cloned() }
    }

    fn symbol(&mut self) -> SmolStr {
        self.instruments[self.dice.index(self.instruments.len())].symbol.clone()
    }

    fn price(&mut self) -> i64 {
        REFERENCE_PRICE + TICK * self.dice.range(-6, 6)
    }

    fn quantity(&mut self) -> i64 {
        LOT * self.dice.pick(&[1, 1, 2, 3, 5, 10, 25, 70])
    }

    fn change_instrument(&mut self) -> OutRecord {
        let number = self.dice.index(self.instruments.len());
        let mut changed = self.instruments[number].clone();
        self.repairs.push_back((self.dice.range(1, 25) as u32, self.instrument_record(&changed)));
        match self.dice.below(6) {
            0 => changed.status = wire::InstrumentStatus::Halted,
            1 => {
                changed.taker_fee_ppm = changed.maker_fee_ppm + self.dice.range(0, 4_000);
                self.instruments[number] = changed.clone();
            }
            2 => changed.collar_ppm = self.dice.range(2_000, 200_000),
            3 => return out(topic::INSTRUMENTS, Some(&changed.symbol), None),
            4 => changed.maker_fee_ppm = -1,
            _ => {}
        }
        self.instrument_record(&changed)
    }

    fn change_account(&mut self) -> OutRecord {
        let account = self.accounts[self.dice.index(self.accounts.len())].clone();
        let repaired = self.account_record(&account, wire::AccountStatus::Active, MOST_OPEN_ORDERS);
        self.repairs.push_back((self.dice.range(1, 25) as u32, repaired));
        match self.dice.below(3) {
            0 => self.account_record(&account, wire::AccountStatus::Suspended, MOST_OPEN_ORDERS),
            1 => self.account_record(&account, wire::AccountStatus::Active, 3),
            _ => out(topic::ACCOUNTS, Some(&account), None),
        }
    }

    fn instrument_record(&self, instrument: &wire::Instrument) -> OutRecord {
        out(topic::INSTRUMENTS, Some(&instrument.symbol), Some(encoded(&self.encoders.instrument, instrument)))
    }

    fn account_record(&self, account: &SmolStr, status: wire::AccountStatus, max_open_orders: i64) -> OutRecord {
        let value = wire::Account { account: account.clone(), status, max_open_orders };
        out(topic::ACCOUNTS, Some(account), Some(encoded(&self.encoders.account, &value)))
    }

    /// One tick to each partition; a leader that is away misses it, as it would the clock's.
    fn tick(&mut self, broker: &mut Broker) {
        self.ticks += 1;
        for partition in 0..self.partitions {
            let mut record =
                out(topic::CLOCK, None, Some(encoded(&self.encoders.tick, &wire::Tick { sequence: self.ticks })));
            record.partition = Some(partition);
            let _ = broker.append(&record);
        }
    }

    fn market_tick(&mut self, now_ms: i64) -> OutRecord {
        let instrument = self.symbol();
        let tick = wire::MarketTick {
            venue: "venue".into(),
            instrument: instrument.clone(),
            kind: wire::TickKind::Trade,
            at_us: now_ms * 1_000,
            trade_id: Some(self.next_name.cast_signed()),
            price: Some(self.price()),
            quantity: Some(self.quantity()),
            taker_side: None,
            bid_price: None,
            bid_quantity: None,
            ask_price: None,
            ask_quantity: None,
        };
        out(topic::MARKET_TICKS, Some(&instrument), Some(encoded(&self.encoders.market, &tick)))
    }

    fn garbage(&mut self) -> OutRecord {
        let names = [
            topic::ORDERS,
            topic::ORDERS,
            topic::ORDERS,
            topic::ACCOUNTS,
            topic::INSTRUMENTS,
            topic::CLOCK,
            topic::MARKET_TICKS,
        ];
        let name = self.dice.pick(&names);
        let account = self.dice.index(self.accounts.len());
        let good = self.command(account, wire::CommandKind::CancelAll);
        let mut payload = encoded(&self.encoders.command, &good);
        let key = self.accounts[account].clone();
        match self.dice.below(6) {
            0 => payload = (0..self.dice.range(1, 40)).map(|_| self.dice.below(256) as u8).collect(),
            1 => payload[1..5].copy_from_slice(&[0, 0, 0, 250]),
            2 => payload.truncate(self.dice.range(0, 9) as usize),
            3 => payload.push(7),
            4 if name == topic::ORDERS => return out(name, Some("somebody-else"), Some(payload)),
            _ if name == topic::ORDERS => return out(name, Some(&key), None),
            _ => payload.clear(),
        }
        out(name, Some(&key), Some(payload))
    }
}

fn instrument(dice: &mut Dice, number: i64) -> wire::Instrument {
    let maker_fee_ppm = dice.pick(&[0, 100, 1_000]);
    wire::Instrument {
        symbol: format_smolstr!("I{number}-USD"),
        base_asset: format_smolstr!("BASE{}", number % 3),
        quote_asset: "USD".into(),
        tick_size: TICK,
        lot_size: LOT,
        min_quantity: LOT,
        max_quantity: 1_000 * ONE,
        min_notional: 0,
        max_notional: 1_000_000 * ONE,
        reference_price: REFERENCE_PRICE,
        collar_ppm: 100_000,
        maker_fee_ppm,
        taker_fee_ppm: maker_fee_ppm + dice.pick(&[0, 777, 2_000]),
        status: wire::InstrumentStatus::Open,
        session_close_ms: SESSION_CLOSE_MS,
    }
}

fn encoded<T: Wire>(encoder: &Encoder<T>, value: &T) -> Vec<u8> {
    let mut payload = Vec::with_capacity(128);
    encoder.encode(value, &mut payload);
    payload
}

fn out(topic: &str, key: Option<&str>, payload: Option<Vec<u8>>) -> OutRecord {
    let key = key.map(|key| key.as_bytes().to_vec());
    OutRecord { topic: topic.to_owned(), partition: None, key, payload, headers: Vec::new() }
}
