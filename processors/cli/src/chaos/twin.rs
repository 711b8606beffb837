//! The outcome of a run for the ordered worlds (see [`super::load`]), in a form that an undisturbed run of the same
//! commands must give again, exactly: every trade with its place in its book's sequence, the last state of every order,
//! every balance, and the best quotes, from the TimescaleDB view (which is shown to equal the log by then).
//!
//! What is not compared, as it depends on time or on the interleaving of partitions: append times and what derives from
//! them (candles too), offsets, trade ids, the free world, and whether a cancel that comes too late is refused by
//! the validator or by the executor. The latter two are covered by [`super::replay`].

use super::comparison::Comparison;
use super::load::{ORDERED_ACCOUNT, ORDERED_SYMBOL};
use crate::fingerprint::{Fingerprint, timescale};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use tapeline_runtime::addresses::Addresses;

/// Fingerprints by table and group (a book or an account): a difference is named by its group.
pub(super) struct Outcome(BTreeMap<(&'static str, String), Fingerprint>);

/// What is told of a table: the group, and the row as it must come again.
const TABLES: [(&str, &str, &str, &str); 4] = [
    (
        "trades",
        "instrument",
        "row(row_number() OVER (PARTITION BY instrument ORDER BY position_offset), price, quantity, notional, \
         taker_side, taker_order_id, taker_account, maker_order_id, maker_account)",
        "instrument LIKE 'SYMBOL%'",
    ),
    (
        "orders",
        "account",
        "row(order_id, client_order_id, instrument, side, order_type, time_in_force, price, stop_price, quantity, \
         filled, leaves, status, reason)",
        "account LIKE 'ACCOUNT%'",
    ),
    ("balances", "account", "row(asset, available, reserved)", "asset LIKE 'SYMBOL%'"),
    ("best_quotes", "instrument", "row(bid_price, bid_quantity, ask_price, ask_quantity)", "instrument LIKE 'SYMBOL%'"),
];

impl Outcome {
    /// Reads it from a view that has caught up.
    ///
    /// # Errors
    /// If the database does not answer.
    pub(super) fn read(addresses: &Addresses) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (table, group, row, filter) in TABLES {
            let filter = filter.replace("SYMBOL", ORDERED_SYMBOL).replace("ACCOUNT", ORDERED_ACCOUNT);
            let sql = format!(
                "SELECT grouped, count(*)::text, sum(hashtextextended(told, 0)::numeric)::text FROM \
                 (SELECT {group} AS grouped, {row}::text AS told FROM public.{table} WHERE {filter}) AS rows GROUP BY grouped"
            );
            for cells in timescale(addresses, &sql)? {
                let [name, count, hash] = <[String; 3]>::try_from(cells)
                    .map_err(|cells| anyhow::anyhow!("{table}: three columns expected, not {cells:?}"))?;
                all.insert((table, name), (count.parse().context("a count of rows")?, hash));
            }
        }
        for (table, ..) in TABLES {
            ensure!(
                all.keys().any(|(found, _)| *found == table),
                "{table} has no rows of ordered worlds: too few orders"
            );
        }
        Ok(Self(all))
    }

    /// Compares this run with its undisturbed twin.
    pub(super) fn compare(&self, twin: &Self) -> Comparison {
        let mut comparison = Comparison::new(
            "trades, orders, balances, quotes of ordered books = an undisturbed run of the same commands",
        );
        for (at, (rows, hash)) in &self.0 {
            comparison.compared += rows;
            let ((table, group), undisturbed) = (at, twin.0.get(at));
            if undisturbed != Some(&(*rows, hash.clone())) {
                comparison.difference(|| format!("{table} of {group}: {rows} rows, undisturbed {undisturbed:?}"));
            }
        }
        for (table, group) in twin.0.keys().filter(|at| !self.0.contains_key(*at)) {
            comparison.difference(|| format!("{table} of {group}: no rows, undisturbed some"));
        }
        comparison
    }
}
