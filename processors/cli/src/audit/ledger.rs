//! Folds the ledger: conservation at every settled offset, and no overdraft in the validator's own order, which its
//! journal tells.

use super::Finding;
use super::log::Log;
use anyhow::Result;
use smol_str::SmolStr;
use std::collections::{BTreeMap, HashMap};
use tapeline_domain::types::{SYSTEM_ACCOUNT_PREFIX, position_id};
use tapeline_schemas::{topic, wire};

const VALIDATOR_JOURNAL: &str = "validator.journal";

/// Available and reserved amounts, units of 10^-8.
type Balance = [i128; 2];

/// Balances by account and asset at the end of the log.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Available and reserved, units of 10^-8; accounts of the system included.
    pub balances: BTreeMap<(SmolStr, SmolStr), Balance>,
    /// Postings read.
    pub postings: u64,
}

struct Reservation {
    account: SmolStr,
    asset: SmolStr,
    amount: i64,
}

impl Ledger {
    fn post(&mut self, account: &SmolStr, asset: &SmolStr, bucket: usize, amount: i64) -> Balance {
        let balance = self.balances.entry((account.clone(), asset.clone())).or_default();
        balance[bucket] += i128::from(amount);
        *balance
    }
}

/// Reads reservations, settlements and the validator's journal.
pub(super) fn read(log: &Log<'_>) -> Result<(Ledger, Finding, Finding)> {
    let mut ledger = Ledger::default();
    let mut conservation = Finding::new("Conservation");
    let mut no_overdraft = Finding::new("No overdraft");
    let mut reservations: HashMap<i64, Reservation> = HashMap::new();
    log.each::<wire::ValidatedCommand>(topic::VALIDATED, |_, command| {
        if let (Some(asset), amount @ 1..) = (command.reserved_asset, command.reserved_amount) {
            reservations.insert(command.command_id, Reservation { account: command.account, asset, amount });
        }
        Ok(())
    })?;
    let mut steps = 0;
    for partition in 0..log.partitions(topic::ORDERS)? {
        let mut settled = log.open::<wire::Settlement>(topic::SETTLED, partition)?;
        let mut journal = log.open::<wire::JournalEntry>(VALIDATOR_JOURNAL, partition)?;
        let mut next_order = 0;
        while let Some((_, entry)) = journal.next()? {
            for run in entry.runs {
                if run.topic == topic::ORDERS {
                    for offset in next_order..run.next_offset {
                        let Some(held) = reservations.remove(&position_id(partition, offset)) else { continue };
                        steps += 1;
                        ledger.post(&held.account, &held.asset, 1, held.amount);
                        let balance = ledger.post(&held.account, &held.asset, 0, -held.amount);
                        check_balance(&mut no_overdraft, &held.account, &held.asset, balance);
                    }
                    next_order = run.next_offset;
                } else if run.topic == topic::SETTLED {
                    while let Some((record, settlement)) = settled.next_below(run.next_offset)? {
                        steps += 1;
                        fold(&mut ledger, &mut conservation, &mut no_overdraft, record.offset, &settlement);
                    }
                }
            }
        }
        // What the validator has not taken in yet counts for the balances all the same.
        while let Some((record, settlement)) = settled.next()? {
            fold(&mut ledger, &mut conservation, &mut no_overdraft, record.offset, &settlement);
        }
    }
    for id in reservations.keys() {
        no_overdraft.violation(|| format!("command {id} reserved funds and is not in the validator's journal"));
    }
    check_totals(&ledger, &mut conservation);
    conservation.checked = format!("{} postings", ledger.postings);
    no_overdraft.checked = format!("{steps} steps in the validator's order");
    Ok((ledger, conservation, no_overdraft))
}

fn fold(
    ledger: &mut Ledger,
    conservation: &mut Finding,
    no_overdraft: &mut Finding,
    offset: i64,
    settlement: &wire::Settlement,
) {
    let mut sums: Vec<(&SmolStr, i128)> = Vec::with_capacity(2);
    let mut touched: Vec<(&SmolStr, &SmolStr, Balance)> = Vec::with_capacity(4);
    for line in &settlement.postings {
        ledger.postings += 1;
        match sums.iter_mut().find(|(asset, _)| **asset == line.asset) {
            Some((_, sum)) => *sum += i128::from(line.amount),
            None => sums.push((&line.asset, i128::from(line.amount))),
        }
        let bucket = usize::from(line.bucket == wire::Bucket::Reserved);
        let balance = ledger.post(&line.account, &line.asset, bucket, line.amount);
        touched.retain(|(account, asset, _)| (*account, *asset) != (&line.account, &line.asset));
        touched.push((&line.account, &line.asset, balance));
    }
    for (asset, sum) in sums.iter().filter(|(_, sum)| *sum != 0) {
        conservation.violation(|| format!("settled offset {offset}: the postings in {asset} sum to {sum}"));
    }
    for (account, asset, balance) in touched {
        check_balance(no_overdraft, account, asset, balance);
    }
}

/// Clearing and outside may be negative, a client's account may not.
fn check_balance(finding: &mut Finding, account: &str, asset: &str, balance: Balance) {
    if !account.starts_with(SYSTEM_ACCOUNT_PREFIX) && balance.iter().any(|amount| *amount < 0) {
        finding.violation(|| format!("{account} {asset}: {} available, {} reserved", balance[0], balance[1]));
    }
}

fn check_totals(ledger: &Ledger, finding: &mut Finding) {
    let mut totals: BTreeMap<&SmolStr, i128> = BTreeMap::new();
    for ((_, asset), balance) in &ledger.balances {
        *totals.entry(asset).or_default() += balance[0] + balance[1];
    }
    for (asset, total) in totals.iter().filter(|(_, total)| **total != 0) {
        finding.violation(|| format!("all accounts together hold {total} of {asset}, not 0"));
    }
}
