//! Compares both databases with the fold of the log: counts, sums and every balance.

use super::{Finding, Flow, Ledger};
use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use tapeline_domain::types::ONE;
use tapeline_kafka::app::App;

/// Invariant 6, for views that have caught up.
pub(super) fn compare(app: &App, flow: &Flow, ledger: &Ledger) -> Result<Finding> {
    let mut finding = Finding::new("View = fold(log)");
    let mut compared = 0_u64;
    let mut same = |what: &str, view: &str, log: &str, finding: &mut Finding| {
        compared += 1;
        if view != log {
            finding.violation(|| format!("{what}: the view says {view}, the log {log}"));
        }
    };
    let url = &app.addresses.timescale_url;
    let timescale = |sql: &str| tapeline_timescale::query(url, sql).map_err(|error| anyhow!("TimescaleDB: {error}"));
    let url = &app.addresses.clickhouse_url;
    let clickhouse = |sql: &str| tapeline_clickhouse::query(url, sql).map_err(|error| anyhow!("ClickHouse: {error}"));

    let mut balances: BTreeMap<(String, String), [String; 2]> = BTreeMap::new();
    for row in timescale("SELECT account, asset, available::text, reserved::text FROM balances")? {
        let [account, asset, available, reserved] =
            <[String; 4]>::try_from(row).map_err(|_| anyhow!("balances: four columns expected"))?;
        balances.insert((account, asset), [available, reserved]);
    }
    let zero = || ["0.00000000".to_owned(), "0.00000000".to_owned()];
    for ((account, asset), amounts) in &ledger.balances {
        let view = balances.remove(&(account.to_string(), asset.to_string())).unwrap_or_else(zero);
        let log = amounts.map(decimal);
        same(&format!("TimescaleDB balance {account} {asset}"), &view.join(" "), &log.join(" "), &mut finding);
    }
    for ((account, asset), view) in balances {
        same(&format!("TimescaleDB balance {account} {asset}"), &view.join(" "), &zero().join(" "), &mut finding);
    }

    let trades = flow.trades.to_string();
    same("TimescaleDB trades", &one(timescale("SELECT count(*)::text FROM trades")?)?, &trades, &mut finding);
    for (status, count) in &flow.orders {
        let sql = format!("SELECT count(*)::text FROM orders WHERE status = '{}'", status.to_lowercase());
        same(&format!("TimescaleDB orders {status}"), &one(timescale(&sql)?)?, &count.to_string(), &mut finding);
    }

    let rejected: u64 = flow.rejected.values().sum();
    let executions: u64 = flow.executions.values().sum();
    for (table, expected) in [
        ("commands", flow.commands),
        ("verdicts", flow.accepted + rejected),
        ("executions", executions),
        ("trades", flow.trades),
        ("postings", ledger.postings),
    ] {
        let found = one(clickhouse(&format!("SELECT count() FROM {table}"))?)?;
        same(&format!("ClickHouse {table}"), &found, &expected.to_string(), &mut finding);
    }
    for (instrument, (quantity, _)) in &flow.traded {
        let sql =
            format!("SELECT toString(sum(toDecimal128(quantity, 8))) FROM trades WHERE instrument = '{instrument}'");
        let found = one(clickhouse(&sql)?)?;
        let (found, expected) = (trim(&found), trim(&decimal(*quantity)));
        same(&format!("ClickHouse quantity of {instrument}"), &found, &expected, &mut finding);
    }
    finding.checked = format!("{compared} counts, sums and balances in both databases");
    Ok(finding)
}

fn one(rows: Vec<Vec<String>>) -> Result<String> {
    rows.into_iter().next().and_then(|row| row.into_iter().next()).context("a query gave no row")
}

/// Units of 10^-8 as a decimal with all eight places, as NUMERIC(28,8) prints them.
fn decimal(units: i128) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let (whole, rest) = (units.unsigned_abs() / ONE as u128, units.unsigned_abs() % ONE as u128);
    format!("{sign}{whole}.{rest:08}")
}

/// Without needless zeros: ClickHouse prints none.
fn trim(decimal: &str) -> String {
    match decimal.contains('.') {
        true => decimal.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => decimal.to_owned(),
    }
}
