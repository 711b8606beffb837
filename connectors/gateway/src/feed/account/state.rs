//! The ring of all accounts' events, and the channels of accounts that somebody listens to.

use super::event::{Event, Message, Record, concerned};
use super::position::{Position, Source};
use super::{AccountSnapshot, Balance, Joined, NotYet};
use crate::feed::channel::Reading;
use crate::feed::frame::Object;
use crate::feed::ring::Ring;
use crate::feed::wake::{Rounds, Subscribers, Wake};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tapeline_schemas::wire::{Execution, ExecutionKind, Settlement};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What waits for a slow client of an account; who falls further behind is cut.
const CHANNEL_BYTES: usize = 1 << 20;
/// Identities are partition times this plus offset.
const PARTITION_SHIFT: u32 = 44;

/// Messages of one account for those who listen.
#[derive(Debug)]
pub struct AccountChannel {
    next: AtomicU64,
    ring: Mutex<Ring<Message>>,
    subscribers: Arc<Subscribers>,
}

impl AccountChannel {
    /// Appends to `messages` what came since `cursor`, and moves it.
    pub fn read(&self, cursor: &mut u64, messages: &mut Vec<Message>) -> Reading {
        if self.next.load(Ordering::Acquire) == *cursor {
            return Reading::UpToDate;
        }
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(fresh) = ring.since(*cursor) else { return Reading::FellOut };
        messages.extend(fresh.cloned());
        *cursor = ring.next();
        Reading::UpToDate
    }

    fn push(&self, message: Message) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = message.bytes();
        ring.push(message, bytes, drop);
        self.next.store(ring.next(), Ordering::Release);
    }
}

/// Balances of an account, by asset: available and reserved.
type Balances = BTreeMap<SmolStr, (i128, i128)>;

/// An account that somebody listens to.
#[derive(Debug)]
struct Listened {
    channel: Arc<AccountChannel>,
    /// None until the view was asked.
    balances: Option<Balances>,
    /// Assets whose balance changed in this batch.
    changed: BTreeSet<SmolStr>,
    time_ms: i64,
}

/// All accounts.
#[derive(Debug)]
pub struct Accounts {
    state: Mutex<State>,
    rounds: Arc<Rounds>,
    /// Told after each batch of records.
    progress: Notify,
}

#[derive(Debug)]
struct State {
    /// What has been seen.
    position: Position,
    /// What the ring has: everything at or after it.
    kept_from: Position,
    ring: Ring<Event>,
    listened: HashMap<SmolStr, Listened>,
    /// Accounts that have something new in this batch.
    changed: BTreeSet<SmolStr>,
    /// Trades whose settlements are still to come, by trade id.
    trades: HashMap<i64, Arc<Execution>>,
    /// By partition of `trades.settled`: settlements whose executions have not come yet, and those behind them.
    held: BTreeMap<i32, VecDeque<(i64, Arc<Settlement>)>>,
}

impl Accounts {
    /// No account yet; the ring of events holds `ring_bytes`.
    pub fn new(rounds: Arc<Rounds>, ring_bytes: usize) -> Self {
        let state = State {
            position: Position::default(),
            kept_from: Position::default(),
            ring: Ring::new(ring_bytes),
            listened: HashMap::new(),
            changed: BTreeSet::new(),
            trades: HashMap::new(),
            held: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), rounds, progress: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a topic is read from these offsets on.
    pub fn begin(&self, source: Source, next_offsets: &[i64]) {
        let state = &mut *self.state();
        for (partition, next) in next_offsets.iter().enumerate() {
            state.position.set(source, partition as i32, *next);
            state.kept_from.set(source, partition as i32, *next);
        }
    }

    /// Takes records of a topic as partition, offset and record, none if it can't be read; those of a partition in the order of
    /// their offsets.
    pub fn take(&self, source: Source, records: impl IntoIterator<Item = (i32, i64, Option<Record>)>) {
        let state = &mut *self.state();
        for (partition, offset, record) in records {
            match record {
                Some(Record::Settled(settlement, _)) => {
                    state.held.entry(partition).or_default().push_back((offset, settlement));
                }
                Some(record) => state.happen(partition, offset, &record),
                // Behind settlements that are held it waits for the next record to move the position.
                None if source == Source::Settled && state.held.contains_key(&partition) => {}
                None => state.position.set(source, partition, offset + 1),
            }
        }
        state.release();
        for account in std::mem::take(&mut state.changed) {
            state.tell_balances(&account);
            if let Some(listened) = state.listened.get(&account) {
                self.rounds.mark(&listened.channel.subscribers);
            }
        }
        self.progress.notify_waiters();
    }

    /// What has been seen.
    pub fn position(&self) -> Position {
        self.state().position.clone()
    }

    /// Waits until more records have come than when it was called.
    pub fn progress(&self) -> Notified<'_> {
        self.progress.notified()
    }

    /// Adds a client of an account. It gets nothing before it has joined.
    pub fn listen(&self, account: &SmolStr, wake: &Arc<Wake>) -> Arc<AccountChannel> {
        let state = &mut *self.state();
        let listened = state.listened.entry(account.clone()).or_insert_with(|| Listened {
            channel: Arc::new(AccountChannel {
                next: AtomicU64::new(0),
                ring: Mutex::new(Ring::new(CHANNEL_BYTES)),
                subscribers: Arc::default(),
            }),
            balances: None,
            changed: BTreeSet::new(),
            time_ms: 0,
        });
        listened.channel.subscribers.add(wake);
        Arc::clone(&listened.channel)
    }

    /// Takes a client of an account away; the last one takes the channel with it.
    pub fn leave(&self, account: &SmolStr, wake: &Wake) {
        let state = &mut *self.state();
        if let Some(listened) = state.listened.get(account) {
            listened.channel.subscribers.remove(wake);
            if listened.channel.subscribers.is_empty() {
                state.listened.remove(account);
            }
        }
    }

    /// Begins a client that listens already: from `after` if that can be, else with what the view says, which is in
    /// `snapshot` if it was asked.
    ///
    /// # Errors
    /// [`NotYet`], if something has to happen first.
    pub fn join(
        &self,
        account: &SmolStr,
        after: Option<&Position>,
        snapshot: Option<&AccountSnapshot>,
    ) -> Result<Joined, NotYet> {
        self.state().join(account, after, snapshot)
    }
}

impl State {
    /// Settlements whose executions are here happen, each partition's in order.
    fn release(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        for (partition, waiting) in &mut held {
            while let Some((offset, settlement)) = waiting.front() {
                let executed = settlement.execution_id >> PARTITION_SHIFT;
                let at = settlement.execution_id & ((1 << PARTITION_SHIFT) - 1);
                if self.position.next(Source::Executed, executed as i32) <= at {
                    break;
                }
                let trade = settlement.trade_id.and_then(|id| self.trades.get(&id).cloned());
                let record = Record::Settled(Arc::clone(settlement), trade);
                self.happen(*partition, *offset, &record);
                waiting.pop_front();
            }
        }
        held.retain(|_, waiting| !waiting.is_empty());
        self.held = held;
    }

    fn happen(&mut self, partition: i32, offset: i64, record: &Record) {
        self.position.set(record.source(), partition, offset + 1);
        if let Record::Executed(execution) = record
            && execution.kind == ExecutionKind::Traded
            && let Some(id) = execution.trade_id
        {
            self.trades.insert(id, Arc::clone(execution));
        }
        for (account, as_maker) in concerned(record) {
            let event = Event { account, partition, offset, record: record.clone(), as_maker };
            self.tell(&event);
            let Self { ring, kept_from, trades, .. } = self;
            let bytes = event.record.bytes() + size_of::<Event>();
            ring.push(event, bytes, |gone| {
                kept_from.set(gone.record.source(), gone.partition, gone.offset + 1);
                if let Record::Executed(execution) = gone.record
                    && let Some(id) = execution.trade_id
                {
                    trades.remove(&id);
                }
            });
        }
    }

    fn tell(&mut self, event: &Event) {
        let Some(listened) = self.listened.get_mut(&event.account) else { return };
        if let Some(balances) = &mut listened.balances {
            for (asset, available, reserved) in event.changes() {
                add(balances, asset, available, reserved);
                listened.changed.insert(asset.clone());
                listened.time_ms = event.time_ms();
            }
        }
        if let Some(message) = event.message(&self.position) {
            listened.channel.push(message);
        }
        self.changed.insert(event.account.clone());
    }

    fn tell_balances(&mut self, account: &SmolStr) {
        let Some(listened) = self.listened.get_mut(account) else { return };
        let assets = std::mem::take(&mut listened.changed);
        for asset in assets {
            if let Some(message) = listened.balance(&asset, &self.position) {
                listened.channel.push(message);
            }
        }
    }

    fn join(
        &mut self,
        account: &SmolStr,
        after: Option<&Position>,
        snapshot: Option<&AccountSnapshot>,
    ) -> Result<Joined, NotYet> {
        let listened = self.listened.get(account).ok_or(NotYet::NeedsView)?;
        let after_kept = after.filter(|after| after.reaches(&self.kept_from));
        if let Some(view) = snapshot {
            self.can_join_at(&view.offsets)?;
        }
        if let Some(after) = after_kept
            && !self.position.reaches(after)
        {
            return Err(NotYet::GatewayBehind);
        }
        if snapshot.is_none() && (after_kept.is_none() || listened.balances.is_none()) {
            return Err(NotYet::NeedsView);
        }
        if listened.balances.is_none()
            && let Some(view) = snapshot
        {
            let balances = self.balances_since(account, view);
            if let Some(listened) = self.listened.get_mut(account) {
                listened.balances = Some(balances);
            }
        }
        let (from, message) = match (after_kept, snapshot) {
            (Some(after), _) => (after, None),
            (None, Some(view)) => (&view.offsets, Some(account_message(view, after.is_some()))),
            (None, None) => return Err(NotYet::NeedsView),
        };
        let since = self.since(account, from, message.is_none());
        let cursor = self.listened.get(account).map_or(0, |at| at.channel.next.load(Ordering::Acquire));
        Ok(Joined { account: message, since, cursor })
    }

    fn can_join_at(&self, view: &Position) -> Result<(), NotYet> {
        if !view.reaches(&self.kept_from) {
            return Err(NotYet::ViewBehind);
        }
        if !self.position.reaches(view) {
            return Err(NotYet::GatewayBehind);
        }
        Ok(())
    }

    fn balances_since(&self, account: &SmolStr, view: &AccountSnapshot) -> Balances {
        let of = |balance: &Balance| (balance.asset.clone(), (balance.available, balance.reserved));
        let mut balances: Balances = view.balances.iter().map(of).collect();
        for event in self.ring.iter().filter(|event| event.account == *account && is_at_or_after(event, &view.offsets))
        {
            for (asset, available, reserved) in event.changes() {
                add(&mut balances, asset, available, reserved);
            }
        }
        balances
    }

    /// Messages of what is at or after `from`, then the balances that it changed as they stand now; or `all_balances`, for who
    /// goes on from the middle of a batch has not been told yet what the records before it changed.
    fn since(&self, account: &SmolStr, from: &Position, all_balances: bool) -> Vec<Message> {
        let (mut messages, mut assets) = (Vec::new(), BTreeSet::new());
        // What a client has with each message: all that this gateway had seen then, and all that the client had before.
        let mut position = self.kept_from.clone().later(from);
        for event in self.ring.iter() {
            if !is_at_or_after(event, from) {
                continue;
            }
            position.set(event.record.source(), event.partition, event.offset + 1);
            if event.account == *account {
                messages.extend(event.message(&position));
                assets.extend(event.changes().into_iter().map(|(asset, ..)| asset.clone()));
            }
        }
        let Some(listened) = self.listened.get(account) else { return messages };
        if all_balances {
            assets.extend(listened.balances.iter().flat_map(|balances| balances.keys().cloned()));
        }
        messages.extend(assets.iter().filter_map(|asset| listened.balance(asset, &self.position)));
        messages
    }
}

impl Listened {
    fn balance(&self, asset: &SmolStr, position: &Position) -> Option<Message> {
        let (available, reserved) = self.balances.as_ref()?.get(asset).copied().unwrap_or((0, 0));
        let fields = Object::empty()
            .text("position", &position.text())
            .text("asset", asset)
            .sum("available", available)
            .sum("reserved", reserved)
            .number("time_ms", self.time_ms)
            .fields();
        Some(Message { kind: "balance", fields: fields.into() })
    }
}

fn add(balances: &mut Balances, asset: &SmolStr, available: i128, reserved: i128) {
    let balance = balances.entry(asset.clone()).or_default();
    balance.0 += available;
    balance.1 += reserved;
}

fn is_at_or_after(event: &Event, position: &Position) -> bool {
    event.offset >= position.next(event.record.source(), event.partition)
}

fn account_message(view: &AccountSnapshot, resync: bool) -> String {
    let balances: Vec<String> = view.balances.iter().map(balance_json).collect();
    let object = Object::message("account").number("sequence", 0).text("position", &view.offsets.text());
    let object = if resync { object.raw("resync", "true") } else { object };
    object.value("orders", &view.orders).raw("balances", &format!("[{}]", balances.join(","))).json()
}

fn balance_json(balance: &Balance) -> String {
    Object::empty()
        .text("asset", &balance.asset)
        .sum("available", balance.available)
        .sum("reserved", balance.reserved)
        .sum("total", balance.available + balance.reserved)
        .json()
}
