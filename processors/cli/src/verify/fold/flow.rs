//! What went through the pipeline, for reports.

use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap};

/// What went through the pipeline.
#[derive(Debug, Default)]
pub struct Flow {
    /// Commands in `orders` that decode and have the right key.
    pub commands: u64,
    /// Accepted ones.
    pub accepted: u64,
    /// Refused ones, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Events of `trades.executed`, by kind.
    pub executions: BTreeMap<&'static str, u64>,
    /// Trades.
    pub trades: u64,
    /// Traded quantity in the base asset and notional in the quote asset by instrument, units of 10^-8.
    pub traded: BTreeMap<SmolStr, (i128, i128)>,
    /// Records of `trades.settled`.
    pub settlements: u64,
    /// Lines of the ledger.
    pub postings: u64,
    /// Reservations and settlements in the validator's order.
    pub steps: u64,
    /// Orders by last state, waiting and open ones included.
    pub orders: BTreeMap<&'static str, u64>,
    /// Of each settled taker: when its order was commanded, validated, executed and settled, milliseconds.
    pub taker_times_ms: Vec<[i64; 4]>,
    /// Trades of each instrument: time in ms, price, quantity, in the order of the log.
    pub prints: HashMap<SmolStr, Vec<(i64, i64, i64)>>,
}

fn add_counts(sums: &mut BTreeMap<&'static str, u64>, counts: BTreeMap<&'static str, u64>) {
    counts.into_iter().for_each(|(name, count)| *sums.entry(name).or_default() += count);
}

impl Flow {
    /// Latencies of settled trades' takers by stage, milliseconds.
    pub fn latencies(&self) -> Vec<(&'static str, Vec<i64>)> {
        let stages = [
            ("order to executor", 0, 1),
            ("executor to settler", 1, 2),
            ("settler to settled", 2, 3),
            ("order to settled", 0, 3),
        ];
        let of = |from: usize, to: usize| self.taker_times_ms.iter().map(|at| at[to] - at[from]).collect();
        stages.into_iter().map(|(name, from, to)| (name, of(from, to))).collect()
    }

    /// Takes over what another worker saw, of other partitions.
    pub(super) fn merge(&mut self, other: Self) {
        self.commands += other.commands;
        self.accepted += other.accepted;
        add_counts(&mut self.rejected, other.rejected);
        add_counts(&mut self.executions, other.executions);
        self.trades += other.trades;
        for (instrument, (quantity, notional)) in other.traded {
            let sums = self.traded.entry(instrument).or_default();
            *sums = (sums.0 + quantity, sums.1 + notional);
        }
        self.settlements += other.settlements;
        self.postings += other.postings;
        self.steps += other.steps;
        add_counts(&mut self.orders, other.orders);
        self.taker_times_ms.extend(other.taker_times_ms);
        self.prints.extend(other.prints);
    }
}
