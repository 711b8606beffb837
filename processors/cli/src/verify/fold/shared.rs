//! What all workers of a fold share: where the log is cut, and two tables that are indexed by position, because a
//! command's verdict and a trade's settlements lie in other partitions than the command and the trade.
//!
//! Each entry is an atomic that is only ever added to, so the order in which partitions are read does not matter.

use super::super::log::{Cut, Positions};
use super::super::writer::Wanted;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use tapeline_domain::types::{id_partition, id_sequence};
use xxhash_rust::xxh3::xxh3_64;

/// What is known about a command.
pub(in super::super) mod mark {
    /// It is in `orders`, decodes and has the right key.
    pub(in super::super::super) const EXISTS: u16 = 1;
    /// The validator had taken it: it must have a verdict.
    pub(in super::super::super) const JUDGED: u16 = 1 << 1;
    pub(in super::super::super) const ACCEPTED: u16 = 1 << 2;
    pub(in super::super::super) const REJECTED: u16 = 1 << 3;
    /// It is an accepted PLACE: an order.
    pub(in super::super::super) const PLACED: u16 = 1 << 4;
    /// The executor had taken it: it must be in `trades.executed`.
    pub(in super::super::super) const DUE: u16 = 1 << 5;
    pub(in super::super::super) const EXECUTED: u16 = 1 << 6;
    pub(in super::super::super) const ENDED: u16 = 1 << 7;
    pub(in super::super::super) const ICEBERG: u16 = 1 << 8;
}

/// Marks of all commands.
pub(in super::super) struct CommandTable(Vec<Vec<AtomicU16>>);

impl CommandTable {
    pub(super) fn new(ends: &[i64]) -> Self {
        Self(ends.iter().map(|end| (0..*end).map(|_| AtomicU16::new(0)).collect()).collect())
    }

    fn entry(&self, command_id: i64) -> Option<&AtomicU16> {
        let partition = usize::try_from(id_partition(command_id)).ok()?;
        self.0.get(partition)?.get(usize::try_from(id_sequence(command_id)).ok()?)
    }

    /// Adds marks and gives those that were there before; `None` if there can be no such command.
    pub(super) fn mark(&self, command_id: i64, marks: u16) -> Option<u16> {
        Some(self.entry(command_id)?.fetch_or(marks, Ordering::Relaxed))
    }

    pub(super) fn has(&self, command_id: i64, marks: u16) -> bool {
        self.entry(command_id).is_some_and(|entry| entry.load(Ordering::Relaxed) & marks == marks)
    }

    /// All positions of `orders` with their marks.
    pub(super) fn each(&self, mut visit: impl FnMut(i32, i64, u16)) {
        for (partition, entries) in (0..).zip(&self.0) {
            for (offset, entry) in (0..).zip(entries) {
                visit(partition, offset, entry.load(Ordering::Relaxed));
            }
        }
    }
}

/// A trade as its execution and its two settlements tell it: price and quantity as a hash, 0 where it was not told.
#[derive(Default)]
pub(in super::super) struct TradeEntry {
    executed: AtomicU64,
    settled: [AtomicU64; 2],
}

/// In an executed trade's entry: the settler had taken it.
const SETTLER_PASSED: u64 = 1;

/// Trades by the executor's partition and sequence.
pub(in super::super) struct TradeTable(Vec<Vec<TradeEntry>>);

/// Price and quantity in one number that is not 0 and leaves the lowest bit free.
fn terms(price: i64, quantity: i64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&price.to_le_bytes());
    bytes[8..].copy_from_slice(&quantity.to_le_bytes());
    (xxh3_64(&bytes) | 2) & !SETTLER_PASSED
}

impl TradeTable {
    /// A sequence can't be above the number of records.
    pub(super) fn new(ends: &[i64]) -> Self {
        Self(ends.iter().map(|end| (0..=*end).map(|_| TradeEntry::default()).collect()).collect())
    }

    fn entry(&self, trade_id: i64) -> Option<&TradeEntry> {
        let partition = usize::try_from(id_partition(trade_id)).ok()?;
        self.0.get(partition)?.get(usize::try_from(id_sequence(trade_id)).ok()?)
    }

    /// Notes a trade of `trades.executed`; false if its identity can't be, or was used before.
    pub(super) fn executed(&self, trade_id: i64, price: i64, quantity: i64, settler_passed: bool) -> bool {
        let terms = terms(price, quantity) | if settler_passed { SETTLER_PASSED } else { 0 };
        self.entry(trade_id).is_some_and(|entry| entry.executed.swap(terms, Ordering::Relaxed) == 0)
    }

    /// Notes a side of a settled trade; false if its identity can't be, or that side was settled before.
    pub(super) fn settled(&self, trade_id: i64, side: usize, price: i64, quantity: i64) -> bool {
        let terms = terms(price, quantity);
        self.entry(trade_id).is_some_and(|entry| entry.settled[side].swap(terms, Ordering::Relaxed) == 0)
    }

    /// Tells what is wrong with each trade that is not settled exactly once on both sides at its terms.
    pub(super) fn check(&self, mut violation: impl FnMut(i32, i64, String)) -> u64 {
        let mut trades = 0;
        for (partition, entries) in (0..).zip(&self.0) {
            for (sequence, entry) in (0..).zip(entries) {
                let executed = entry.executed.load(Ordering::Relaxed);
                trades += u64::from(executed != 0);
                for (side, name) in ["buyer", "seller"].into_iter().enumerate() {
                    let settled = entry.settled[side].load(Ordering::Relaxed);
                    let why = match (executed, settled) {
                        (0, 0) => continue,
                        (0, _) => "was settled and never executed".to_owned(),
                        (executed, 0) if executed & SETTLER_PASSED == 0 => continue,
                        (_, 0) => format!("was executed and not settled for the {name}"),
                        (executed, settled) if executed & !SETTLER_PASSED == settled => continue,
                        _ => format!("was settled for the {name} at another price or quantity"),
                    };
                    violation(partition, sequence, why);
                }
            }
        }
        trades
    }
}

/// What all workers share.
pub(in super::super) struct Shared {
    pub(in super::super) cut: Cut,
    /// What each view states, and so how far the topics are folded into it.
    pub(in super::super) timescale: Positions,
    pub(in super::super) clickhouse: Positions,
    /// Keep the rows of these ranges, and make no digests.
    pub(in super::super) wanted: Option<Arc<Wanted>>,
    pub(super) commands: CommandTable,
    pub(super) trades: TradeTable,
}

impl Shared {
    pub(in super::super) fn new(
        cut: Cut,
        timescale: Positions,
        clickhouse: Positions,
        wanted: Option<Arc<Wanted>>,
    ) -> Self {
        let ends = |topic: &str| cut.ends.0.get(topic).cloned().unwrap_or_default();
        let commands = CommandTable::new(&ends(tapeline_schemas::topic::ORDERS));
        let trades = TradeTable::new(&ends(tapeline_schemas::topic::EXECUTED));
        Self { cut, timescale, clickhouse, wanted, commands, trades }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tapeline_domain::types::position_id;

    fn violations(trades: &TradeTable) -> Vec<(i64, String)> {
        let mut all = Vec::new();
        trades.check(|_, sequence, why| all.push((sequence, why)));
        all
    }

    #[test]
    fn a_trade_is_settled_once_on_both_sides_at_its_terms() {
        // Executed (and whether the settler had passed it), settled for buyer and seller, at which price.
        type Case = (Option<bool>, Option<i64>, Option<i64>, &'static [&'static str]);
        let cases: [Case; 7] = [
            (Some(true), Some(5), Some(5), &[]),
            (Some(true), Some(5), None, &["was executed and not settled for the seller"]),
            (Some(false), Some(5), None, &[]),
            (Some(false), None, None, &[]),
            (Some(true), Some(5), Some(6), &["was settled for the seller at another price or quantity"]),
            (None, Some(5), None, &["was settled and never executed"]),
            (None, None, None, &[]),
        ];
        for (executed, buyer, seller, expected) in cases {
            let trades = TradeTable::new(&[3]);
            if let Some(settler_passed) = executed {
                assert!(trades.executed(1, 5, 7, settler_passed));
            }
            for (side, price) in [buyer, seller].into_iter().enumerate() {
                assert!(price.is_none_or(|price| trades.settled(1, side, price, 7)));
            }
            let told: Vec<String> = violations(&trades).into_iter().map(|(_, why)| why).collect();
            assert_eq!(told, expected, "{executed:?} {buyer:?} {seller:?}");
        }
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let (trades, commands) = (TradeTable::new(&[3]), CommandTable::new(&[3]));
        assert!(!trades.executed(position_id(1, 0), 5, 7, true), "no such partition");
        assert!(!trades.settled(-1, 0, 5, 7), "no identity");
        assert_eq!(commands.mark(position_id(0, 3), mark::ACCEPTED), None, "beyond the end");
        assert_eq!(commands.mark(position_id(0, 2), mark::ACCEPTED), Some(0));
        assert_eq!(commands.mark(position_id(0, 2), mark::REJECTED), Some(mark::ACCEPTED), "a second verdict");
    }

    proptest! {
        /// In whatever order partitions are read, the same is found.
        #[test]
        fn settled_once(order in Just(vec![0, 1, 2]).prop_shuffle(), price in 1..9_i64, other in 1..9_i64) {
            let trades = TradeTable::new(&[3]);
            for step in order {
                match step {
                    0 => prop_assert!(trades.executed(2, price, 7, true)),
                    1 => prop_assert!(trades.settled(2, 0, price, 7)),
                    _ => prop_assert!(trades.settled(2, 1, other, 7)),
                }
            }
            prop_assert_eq!(violations(&trades).is_empty(), price == other);
            prop_assert!(!trades.settled(2, 0, price, 7), "a second time");
        }
    }
}
