//! What the validator knows and decides: accounts with balances and open orders, reference data, and one verdict for
//! each command.
//!
//! Funds are reserved here, at acceptance; they move back or away only by settlements. What is absent: matching, and
//! any knowledge of the book (an order may have been filled by the time its cancel is accepted; the executor tells).

mod account;
mod image;
mod ladder;
mod remembered;
mod terms;

pub use account::{Balance, OpenOrder};

use crate::accepted::{Accepted, Action};
use crate::command::{Command, CommandKind, FirstVerdict, RejectReason, Rejection};
use crate::image::{Blocks, Walk};
use crate::settlement::{Bucket, Settlement};
use crate::types::{Account, CommandId, Instrument, Side, TimeMs, Units};
use account::AccountState;
use remembered::Remembered;
use smol_str::SmolStr;
use std::collections::HashMap;

/// How long a client order id is remembered, by the commands' own times.
pub const DUPLICATE_WINDOW_MS: TimeMs = 24 * 60 * 60 * 1_000;

/// A command's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes on, with its funds reserved.
    Accepted(Accepted),
    /// It ends here.
    Rejected(Rejection),
}

/// A settlement that does not fit the balances: it would overdraw one. Never the case for Tapeline's own settler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdraft(pub String);

/// A refusal in the making: reason and sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: RejectReason,
    pub(crate) text: String,
}

/// Shorthand for the ladder's rungs.
pub(crate) fn refuse<T>(reason: RejectReason, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { reason, text: text.into() })
}

/// What an accepted command holds back until it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) asset: SmolStr,
    pub(crate) amount: Units,
}

/// Identity and time of the command at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandAt {
    /// Its identity.
    pub command_id: CommandId,
    /// Broker's append time.
    pub time_ms: TimeMs,
    /// Whether it stands in the partition that its account belongs to.
    pub in_own_partition: bool,
}

/// A map for look-ups alone: in no order, and another one in each process. Seeded, for strangers choose the names in it.
type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The validator's state for one partition of accounts.
#[derive(Debug, Default)]
pub struct Risk {
    instruments: FastMap<SmolStr, Instrument>,
    /// Each keeps its place for good, over restarts too.
    accounts: Vec<AccountState>,
    account_by_name: FastMap<SmolStr, u32>,
    /// Commands of the last [`DUPLICATE_WINDOW_MS`].
    remembered: Remembered,
    walk: Walk,
    blocks: Blocks,
}

impl Risk {
    /// Takes over a new version of an instrument.
    pub fn set_instrument(&mut self, instrument: Instrument) {
        self.instruments.insert(instrument.symbol.clone(), instrument);
    }

    /// Forgets an instrument (a tombstone); commands for it are refused as unknown.
    pub fn remove_instrument(&mut self, symbol: &str) {
        self.instruments.remove(symbol);
    }

    /// Takes over a new version of an account; balances and orders stay.
    pub fn set_account(&mut self, account: Account) {
        let name = account.id.clone();
        self.account_entry(&name).reference = Some(account);
    }

    /// Forgets an account's reference data (a tombstone); balances and orders stay.
    pub fn remove_account(&mut self, id: &str) {
        if let Some(index) = self.account_by_name.get(id).copied() {
            self.account_mut(index).reference = None;
        }
    }

    /// Balance of an account, for tests and audits.
    pub fn balance(&self, account: &str, asset: &str) -> Balance {
        self.account(account).map(|state| state.balance(asset)).unwrap_or_default()
    }

    /// Number of open orders of an account, for tests and audits.
    pub fn open_orders(&self, account: &str) -> usize {
        self.account(account).map_or(0, AccountState::open_orders)
    }

    fn account(&self, name: &str) -> Option<&AccountState> {
        self.account_by_name.get(name).map(|index| &self.accounts[*index as usize])
    }

    /// Each change of an account goes through here: an image at work gets it as it was.
    fn account_mut(&mut self, index: u32) -> &mut AccountState {
        if self.walk.is_ahead(index) {
            self.save_account(index);
        }
        &mut self.accounts[index as usize]
    }

    /// The account, made if there is none yet.
    fn account_entry(&mut self, name: &SmolStr) -> &mut AccountState {
        let index = match self.account_by_name.get(name) {
            Some(index) => *index,
            None => {
                let index = self.accounts.len() as u32;
                self.accounts.push(AccountState::new(name.clone()));
                self.account_by_name.insert(name.clone(), index);
                index
            }
        };
        self.account_mut(index)
    }

    /// Decides on a command; an accepted one has its funds reserved when this returns.
    pub fn decide(&mut self, at: CommandAt, command: &Command) -> Decision {
        self.forget_old(at.time_ms);
        let index = self.account_by_name.get(&command.account).copied();
        let remembered = index.and_then(|index| self.remembered.find(index, &command.client_order_id));
        let account = index.map(|index| &self.accounts[index as usize]);
        let open = || account?.order_of(&command.client_order_id);
        let first = remembered.or_else(|| open().map(|(command_id, _)| FirstVerdict { command_id, rejected: None }));
        let checked = match (at.in_own_partition, first) {
            (true, Some(first)) => {
                return Decision::Rejected(Self::rejection(at, command, duplicate(command, first), Some(first)));
            }
            _ => self.climb(at, command, account),
        };
        let decision = match checked {
            Ok((action, hold)) => {
                // Only an account that there is gets so far.
                if let Some(index) = index {
                    self.take_effect(at, command, index, &action, hold);
                }
                Decision::Accepted(Accepted {
                    command_id: at.command_id,
                    account: command.account.clone(),
                    client_order_id: command.client_order_id.clone(),
                    commanded_at_ms: at.time_ms,
                    action,
                })
            }
            Err(refusal) => Decision::Rejected(Self::rejection(at, command, refusal, None)),
        };
        if let (true, Some(index)) = (at.in_own_partition, index) {
            self.remember(at, command, index, &decision);
        }
        decision
    }

    /// Applies a settlement: moves balances and follows the order.
    ///
    /// # Errors
    /// [`Overdraft`] if a balance would fall below zero; nothing is changed then.
    pub fn settle(&mut self, settlement: &Settlement) -> Result<(), Overdraft> {
        let state = self.account_entry(&settlement.account);
        let own = settlement.postings.iter().filter(|line| line.account == settlement.account);
        let mut changes: Vec<(&SmolStr, Balance)> = Vec::with_capacity(2);
        for line in own {
            let index = changes.iter().position(|(asset, _)| **asset == line.asset).unwrap_or_else(|| {
                changes.push((&line.asset, state.balance(&line.asset)));
                changes.len() - 1
            });
            let balance = &mut changes[index].1;
            let bucket = match line.bucket {
                Bucket::Available => &mut balance.available,
                Bucket::Reserved => &mut balance.reserved,
            };
            *bucket = bucket
                .checked_add(line.amount)
                .ok_or_else(|| Overdraft(format!("{} {}: the balance is out of range", line.account, line.asset)))?;
        }
        if let Some((asset, balance)) = changes.iter().find(|(_, after)| after.available < 0 || after.reserved < 0) {
            return Err(Overdraft(format!(
                "{} {asset}: {} available and {} reserved after execution {}",
                settlement.account, balance.available, balance.reserved, settlement.execution_id
            )));
        }
        for (asset, balance) in changes {
            state.set_balance(asset, balance);
        }
        if let (Some(order_id), Some(rest)) = (settlement.order_id, settlement.order) {
            state.follow_order(order_id, rest);
        }
        Ok(())
    }

    fn rejection(at: CommandAt, command: &Command, refusal: Refusal, original: Option<FirstVerdict>) -> Rejection {
        Rejection {
            command_id: at.command_id,
            account: command.account.clone(),
            client_order_id: command.client_order_id.clone(),
            kind: command.kind,
            commanded_at_ms: at.time_ms,
            instrument: command.instrument.clone(),
            reason: refusal.reason,
            text: refusal.text,
            original,
        }
    }

    /// Reserves funds and opens the order.
    fn take_effect(&mut self, at: CommandAt, command: &Command, account: u32, action: &Action, hold: Option<Hold>) {
        let state = self.account_mut(account);
        if let Some(hold) = hold {
            state.reserve(&hold);
        }
        if let Action::Place(terms) = action {
            let order = OpenOrder {
                client_order_id: command.client_order_id.clone(),
                instrument: terms.instrument.clone(),
                side: terms.side,
                order_type: terms.order_type,
                price: terms.price,
                quantity: terms.quantity,
                leaves: terms.quantity,
                reserved: terms.reserved,
                reserve_asset: match terms.side {
                    Side::Buy => terms.quote_asset.clone(),
                    Side::Sell => terms.base_asset.clone(),
                },
                taker_fee_ppm: terms.taker_fee_ppm,
            };
            state.open_order(at.command_id, order);
        }
    }

    /// Remembers the verdict of known accounts only, so that made-up account names can't fill the memory.
    fn remember(&mut self, at: CommandAt, command: &Command, account: u32, decision: &Decision) {
        if self.accounts[account as usize].reference.is_none() {
            return;
        }
        let rejected = match decision {
            Decision::Accepted(_) => None,
            Decision::Rejected(rejection) if rejection.reason == RejectReason::Malformed => return,
            Decision::Rejected(rejection) => Some(rejection.reason),
        };
        let verdict = FirstVerdict { command_id: at.command_id, rejected };
        self.remembered.push(at.time_ms, account, &command.client_order_id, verdict);
    }

    fn forget_old(&mut self, now_ms: TimeMs) {
        let is_old = |at_ms| now_ms - at_ms > DUPLICATE_WINDOW_MS;
        while self.remembered.forget_oldest_if(is_old, &mut self.blocks) {}
    }
}

fn duplicate(command: &Command, first: FirstVerdict) -> Refusal {
    let outcome = if first.rejected.is_some() { "rejected" } else { "accepted" };
    Refusal {
        reason: RejectReason::DuplicateClientOrderId,
        text: format!(
            "The client order id {} was used before by command {}, which was {outcome}; this one has no effect.",
            command.client_order_id, first.command_id
        ),
    }
}

/// What kinds of command only take risk away: they pass where an account or instrument is closed.
const fn only_cancels(kind: CommandKind) -> bool {
    matches!(kind, CommandKind::Cancel | CommandKind::CancelAll)
}
