//! Balances of all partitions together: conservation at the end, and the rows that TimescaleDB must show.

use super::Balances;
use super::settled::Amounts;
use crate::verify::finding::Finding;
use crate::verify::rows_timescale::clean;
use crate::verify::tables::{RangeKey, TS_ASSET_TOTALS, TS_BALANCE_TOTALS, TS_BALANCES};
use crate::verify::writer::{TableFold, Wanted};
use std::collections::BTreeMap;
use std::sync::Arc;
use tapeline_domain::types::SYSTEM_ACCOUNT_PREFIX;

/// All accounts together hold nothing of any asset: what traders have is what the outside account lacks.
pub(super) fn check(balances: &Balances, finding: &mut Finding) {
    let mut totals: BTreeMap<&str, i128> = BTreeMap::new();
    for ((_, asset), balance) in balances {
        *totals.entry(asset).or_default() += balance.at_end[0] + balance.at_end[1];
    }
    for (asset, total) in totals.into_iter().filter(|(_, total)| *total != 0) {
        finding.violation(|| format!("all accounts together: expected 0 of {asset}, found {total}"));
    }
}

/// Rows of `balances` and of the views over it.
pub(super) fn rows(balances: &Balances, wanted: Option<Arc<Wanted>>) -> [TableFold; 3] {
    let mut rows = TableFold::new(&TS_BALANCES, wanted.clone());
    let mut traders = TableFold::new(&TS_BALANCE_TOTALS, wanted.clone());
    let mut assets = TableFold::new(&TS_ASSET_TOTALS, wanted);
    let mut shown: Vec<_> = balances.iter().filter_map(|(key, balance)| Some((key, balance.shown?))).collect();
    // By asset, so that ranges come one after the other.
    shown.sort_unstable_by_key(|((account, asset), _)| (asset, account));
    // Held by traders, fees, clearing, outside, all of them.
    let mut totals: BTreeMap<&str, [i128; 5]> = BTreeMap::new();
    for ((account, asset), amounts) in &shown {
        let [available, reserved]: Amounts = *amounts;
        let (account, asset_text) = (clean(account), clean(asset));
        let range = RangeKey::Named(asset_text.to_string());
        let total = totals.entry(asset).or_default();
        total[4] += available + reserved;
        if !account.starts_with(SYSTEM_ACCOUNT_PREFIX) {
            total[0] += available + reserved;
            traders.row(&range, |row| {
                row.text(&account);
                row.text(&asset_text);
                [available, reserved, available + reserved].into_iter().for_each(|amount| row.amount(amount));
            });
        }
        let system = ["@fees", "@clearing", "@outside"].into_iter().position(|name| name == account);
        if let Some(place) = system {
            total[place + 1] += available + reserved;
        }
        rows.row(&range, |row| {
            row.text(&account);
            row.text(&asset_text);
            [available, reserved].into_iter().for_each(|amount| row.amount(amount));
        });
    }
    for (asset, parts) in totals {
        let asset = clean(asset);
        assets.row(&RangeKey::Named(asset.to_string()), |row| {
            row.text(&asset);
            parts.into_iter().for_each(|amount| row.amount(amount));
        });
    }
    [rows, traders, assets]
}

#[cfg(test)]
mod tests {
    use super::super::settled::Balance;
    use super::*;
    use proptest::prelude::*;

    fn balance(at_end: Amounts, is_shown: bool) -> Balance {
        Balance { at_end, shown: is_shown.then_some(at_end) }
    }

    proptest! {
        #[test]
        fn conservation(amounts in proptest::collection::vec((-9..9_i128, -9..9_i128), 1..9)) {
            let balances: Balances = (0..)
                .zip(&amounts)
                .map(|(index, (available, reserved))| {
                    ((format!("a{index}").into(), "USD".into()), balance([*available, *reserved], true))
                })
                .collect();
            let total: i128 = amounts.iter().map(|(available, reserved)| available + reserved).sum();
            let mut finding = Finding::new("Conservation");
            check(&balances, &mut finding);
            prop_assert_eq!(finding.holds(), total == 0);
        }
    }

    #[test]
    fn a_balance_that_the_view_has_not_reached_has_no_row() {
        let balances = Balances::from([
            (("a".into(), "USD".into()), balance([5, 2], true)),
            (("@outside".into(), "USD".into()), balance([-7, 0], true)),
            (("b".into(), "EUR".into()), balance([1, 0], false)),
        ]);
        let [mut rows, mut traders, mut assets] = rows(&balances, None);
        let of = |fold: &mut TableFold| {
            let digests = fold.finish().iter();
            digests.map(|(range, digest)| (range.to_string(), digest.rows, digest.sums.clone())).collect::<Vec<_>>()
        };
        assert_eq!(of(&mut rows), [("USD".to_owned(), 2, vec![-2, 2])]);
        assert_eq!(of(&mut traders), [("USD".to_owned(), 1, vec![5, 2, 7])]);
        // Held, fees, clearing, outside, all.
        assert_eq!(of(&mut assets), [("USD".to_owned(), 1, vec![7, 0, 0, -7, 0])]);
    }
}
