//! The ledger in the validator's own order, which its journal tells: what is reserved with each accepted command, what
//! each settlement moves, and that no account ever spends what it does not have. Checks both journals' own order too.

use super::flow::{Flow, Place, Verdict, has_ended};
use super::{Checked, Invariant, VALIDATOR_JOURNAL, ensure};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tapeline_schemas::topic;
use tapeline_schemas::wire::{Bucket, JournalEntry, Run, Settlement, Side};

/// Available and reserved.
type Balance = [i128; 2];

/// Where a journal stands in an input: journal, its partition, topic, partition.
type Reached = (&'static str, i32, SmolStr, i32);

#[derive(Default)]
pub(super) struct Ledger {
    balances: BTreeMap<(SmolStr, SmolStr), Balance>,
    settlements: BTreeMap<(i32, i64), Settlement>,
    /// Journal entries of the validator that could not be followed yet.
    entries: BTreeMap<i32, VecDeque<JournalEntry>>,
    reached: BTreeMap<Reached, i64>,
    followed: BTreeMap<(SmolStr, i32), i64>,
    seen: BTreeSet<Place>,
}

impl Ledger {
    pub(super) fn saw(&mut self, place: Place) {
        self.seen.insert(place);
    }

    pub(super) fn settled(&mut self, partition: i32, offset: i64, settlement: Settlement) -> Checked {
        self.settlements.insert((partition, offset), settlement);
        Ok(())
    }

    fn offsets(&self, topic: &str, partition: i32, from: i64, to: i64) -> Vec<i64> {
        let Some(name) = super::TOPICS.iter().find(|name| **name == topic) else { return Vec::new() };
        self.seen.range((*name, partition, from)..(*name, partition, to)).map(|(.., offset)| *offset).collect()
    }

    /// A journal takes each record once, in order, and leaves none out.
    pub(super) fn journal(&mut self, name: &'static str, partition: i32, entry: JournalEntry) -> Checked {
        for run in &entry.runs {
            let place: Reached = (name, partition, run.topic.clone(), run.partition);
            let from = self.reached.insert(place, run.next_offset).unwrap_or(0);
            ensure(run.next_offset > from, Invariant::Determinism, || {
                format!("{name}, partition {partition}: {run:?} was taken before, the journal stood at {from}")
            })?;
            let between = self.offsets(&run.topic, run.partition, from, run.next_offset).len() as i64;
            ensure(between == run.count, Invariant::Determinism, || {
                format!("{name}, partition {partition}: {run:?} follows offset {from}; {between} records lie between")
            })?;
        }
        if name == VALIDATOR_JOURNAL {
            self.entries.entry(partition).or_default().push_back(entry);
        }
        Ok(())
    }

    /// Follows the validator as far as its verdicts are visible: a transaction's markers come one by one.
    pub(super) fn follow(&mut self, flow: &Flow) -> Checked {
        let partitions: Vec<i32> = self.entries.keys().copied().collect();
        for partition in partitions {
            while let Some(entry) = self.entries.get(&partition).and_then(VecDeque::front).cloned() {
                if !self.is_visible(&entry, flow) {
                    break;
                }
                let own = |run: &&Run| run.topic == topic::ORDERS || run.topic == topic::SETTLED;
                for run in entry.runs.iter().filter(own) {
                    let place = (run.topic.clone(), run.partition);
                    let from = self.followed.insert(place, run.next_offset).unwrap_or(0);
                    let offsets = self.offsets(&run.topic, run.partition, from, run.next_offset);
                    for offset in offsets {
                        self.take(&run.topic, run.partition, offset, flow)?;
                    }
                }
                if let Some(entries) = self.entries.get_mut(&partition) {
                    entries.pop_front();
                }
            }
        }
        Ok(())
    }

    fn is_visible(&self, entry: &JournalEntry, flow: &Flow) -> bool {
        entry.runs.iter().filter(|run| run.topic == topic::ORDERS).all(|run| {
            let from = self.followed.get(&(run.topic.clone(), run.partition)).copied().unwrap_or(0);
            let offsets = self.offsets(&run.topic, run.partition, from, run.next_offset);
            offsets.into_iter().all(|offset| flow.outcome(topic::ORDERS, run.partition, offset).is_some())
        })
    }

    fn take(&mut self, name: &str, partition: i32, offset: i64, flow: &Flow) -> Checked {
        if name == topic::SETTLED {
            let Some(settlement) = self.settlements.remove(&(partition, offset)) else {
                return Err((Invariant::Determinism, format!("{name}, offset {offset} was taken and is not there")));
            };
            for line in &settlement.postings {
                let bucket = usize::from(line.bucket == Bucket::Reserved);
                self.post(&line.account, &line.asset, bucket, line.amount.into());
            }
            let touched = settlement.postings.iter().map(|line| (&line.account, &line.asset));
            return touched.into_iter().try_for_each(|(account, asset)| self.check(account, asset, offset));
        }
        let Some(Some(Verdict::Accepted(accepted))) = flow.outcome(topic::ORDERS, partition, offset) else {
            return Ok(());
        };
        let Some(asset) = &accepted.reserved_asset else { return Ok(()) };
        self.post(&accepted.account, asset, 0, -i128::from(accepted.reserved_amount));
        self.post(&accepted.account, asset, 1, accepted.reserved_amount.into());
        self.check(&accepted.account, asset, offset)
    }

    fn post(&mut self, account: &SmolStr, asset: &SmolStr, bucket: usize, amount: i128) {
        self.balances.entry((account.clone(), asset.clone())).or_default()[bucket] += amount;
    }

    /// The system's own accounts may be below zero.
    fn check(&self, account: &SmolStr, asset: &SmolStr, offset: i64) -> Checked {
        let [available, reserved] = self.balances.get(&(account.clone(), asset.clone())).copied().unwrap_or_default();
        let fine = account.starts_with('@') || (available >= 0 && reserved >= 0);
        ensure(fine, Invariant::NoOverdraft, || {
            format!("{account} {asset} at offset {offset}: {available} available, {reserved} reserved")
        })
    }

    pub(super) fn at_rest(&self, flow: &Flow) -> Checked {
        let waiting: usize = self.entries.values().map(VecDeque::len).sum();
        ensure(waiting == 0, Invariant::OneVerdict, || format!("{waiting} journal entries have no verdicts"))?;
        let untaken = self.settlements.len();
        ensure(untaken == 0, Invariant::Determinism, || format!("{untaken} settlements are in no journal"))?;
        self.all_taken()?;
        let mut totals: BTreeMap<&SmolStr, i128> = BTreeMap::new();
        for ((account, asset), balance) in &self.balances {
            *totals.entry(asset).or_default() += balance[0] + balance[1];
            ensure(account != "@clearing" || balance[0] == 0, Invariant::Conservation, || {
                format!("{} {asset} stay in clearing", balance[0])
            })?;
        }
        for (asset, total) in totals {
            ensure(total == 0, Invariant::Conservation, || format!("all accounts together hold {total} {asset}"))?;
        }
        self.reserved_is_explained(flow)
    }

    /// Each input of each journal stands at the end.
    fn all_taken(&self) -> Checked {
        for (journal, topics) in [
            (VALIDATOR_JOURNAL, &[topic::ORDERS, topic::SETTLED, topic::ACCOUNTS][..]),
            (super::EXECUTOR_JOURNAL, &[topic::VALIDATED, topic::CLOCK]),
        ] {
            for (name, partition, offset) in self.seen.iter().filter(|(name, ..)| topics.contains(name)) {
                let place: Reached = (journal, *partition, SmolStr::new_static(name), *partition);
                let reached = self.reached.get(&place).copied().unwrap_or(0);
                ensure(reached > *offset, Invariant::Determinism, || {
                    format!("{name}, partition {partition}, offset {offset} is not in {journal}")
                })?;
            }
        }
        Ok(())
    }

    /// What is reserved is what open orders hold.
    fn reserved_is_explained(&self, flow: &Flow) -> Checked {
        let mut held: BTreeMap<(SmolStr, SmolStr), i128> = BTreeMap::new();
        for order in flow.orders.values().filter(|order| !has_ended(order.status)) {
            let asset = if order.side == Side::Buy { &order.quote_asset } else { &order.base_asset };
            *held.entry((order.account.clone(), asset.clone())).or_default() += i128::from(order.reserved_after);
        }
        for (place, balance) in &self.balances {
            let due = held.get(place).copied().unwrap_or(0);
            ensure(balance[1] == due, Invariant::NoOverdraft, || {
                format!("{place:?}: {} reserved, open orders hold {due}", balance[1])
            })?;
        }
        Ok(())
    }

    pub(super) fn closed(&self) -> Checked {
        let left: Vec<_> = self.balances.iter().filter(|(_, balance)| balance[1] != 0).collect();
        ensure(left.is_empty(), Invariant::NoOverdraft, || format!("reserved for no order: {left:?}"))
    }
}
