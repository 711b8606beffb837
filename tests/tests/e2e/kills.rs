//! Killing each component once while orders pour in changes no result, and wiped databases fill up to the same views.
//!
//! `TAPELINE_E2E_ORDERS` sets how many orders, `TAPELINE_E2E_RATE` how many a second; a million is the full run.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::process::Child;
use std::time::Duration;
use tapeline_kafka::admin::Admin;
use tapeline_replay::generate::{Config, Generator};
use tapeline_schemas::topic;
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::{DRAINING, Pipeline, SINKS};
use tapeline_tests::views::{Fingerprint, fingerprints, wipe};

const SEED: u64 = 7;
const INSTRUMENTS: u32 = 50;
const ACCOUNTS: u32 = 5_000;
/// How long the pipeline may take for a thousand orders, restarts and a busy machine included.
const PATIENCE_PER_THOUSAND: Duration = Duration::from_secs(2);

#[test]
fn kills_change_no_result_and_wiped_views_come_back_identical() -> Result<()> {
    with_stack("kills", |stack| {
        let orders = number("TAPELINE_E2E_ORDERS", 30_000)?;
        let patience = Duration::from_secs(180) + PATIENCE_PER_THOUSAND * (orders / 1_000) as u32;
        let mut pipeline = Pipeline::start_all(stack)?;
        let mut publisher = publish(stack, orders)?;
        kill_each_once(stack, &mut pipeline, &mut publisher, orders, patience)?;
        pipeline.wait_ready()?;
        pipeline.rest(patience)?;

        let audit = stack.audit()?;
        let placed: u64 = audit.flow.orders.values().sum();
        ensure!(audit.flow.trades > 0 && placed > orders / 4, "too little went through: {:?}", audit.flow.orders);
        pipeline.stop()?;

        let before = fingerprints(&stack.app.addresses)?;
        rebuild_views(stack, &before, patience)
    })
}

fn publish(stack: &Stack, orders: u64) -> Result<Child> {
    let rate = number("TAPELINE_E2E_RATE", 3_000)?;
    println!("{orders} orders, {rate} a second, {INSTRUMENTS} instruments, {ACCOUNTS} accounts, seed {SEED}");
    let mut command = stack.tapeline_command(&["generate"])?;
    let options = [
        ("--orders", orders),
        ("--rate", rate),
        ("--instruments", INSTRUMENTS.into()),
        ("--accounts", ACCOUNTS.into()),
        ("--seed", SEED),
    ];
    for (option, value) in options {
        command.arg(option).arg(value.to_string());
    }
    let log = File::create(stack.scratch("generate.log"))?;
    Ok(command.stdout(log.try_clone()?).stderr(log).spawn()?)
}

/// Kills the components one after the other, evenly spread over the time of publishing.
fn kill_each_once(
    stack: &Stack,
    pipeline: &mut Pipeline<'_>,
    publisher: &mut Child,
    orders: u64,
    patience: Duration,
) -> Result<()> {
    let config = Config { instruments: INSTRUMENTS, accounts: ACCOUNTS, ..Config::new(SEED, 0) };
    let deposits = Generator::new(config)?.accounts().map(|account| account.deposits().count() as u64).sum::<u64>();
    let admin = Admin::connect(&stack.app.addresses.kafka)?;
    let published =
        || -> Result<u64> { Ok(admin.watermarks(topic::ORDERS)?.iter().map(|marks| marks.end.unsigned_abs()).sum()) };
    for (index, name) in DRAINING.into_iter().enumerate() {
        let threshold = deposits + orders * (index as u64 + 1) / (DRAINING.len() as u64 + 1);
        wait_until(&format!("{threshold} commands published"), patience, || {
            let ended = publisher.try_wait()?;
            ensure!(ended.is_none_or(|status| status.success()), "tapeline generate ended with {ended:?}");
            Ok(published()? >= threshold)
        })?;
        pipeline.kill9_and_restart(name)?;
        println!("killed {name} at {} of {} commands", published()?, deposits + orders);
    }
    let status = publisher.wait().context("tapeline generate")?;
    ensure!(status.success(), "tapeline generate ended with {status}");
    let total = published()?;
    ensure!(total == deposits + orders, "{total} commands are in the log, {deposits} + {orders} were published");
    Ok(())
}

/// The parts go down and up, the databases are wiped, the sinks alone are started: the same rows again.
fn rebuild_views(
    stack: &Stack,
    before: &std::collections::BTreeMap<String, Fingerprint>,
    patience: Duration,
) -> Result<()> {
    for (table, (rows, _)) in before {
        println!("{table}: {rows} rows");
    }
    ensure!(before.len() == 13, "six tables and seven views, not {}", before.len());
    stack.tapeline(&["down"])?;
    stack.tapeline(&["up"])?;
    wipe(stack)?;
    let wiped = fingerprints(&stack.app.addresses)?;
    ensure!(wiped.values().all(|(rows, _)| *rows == 0), "the databases were not wiped: {wiped:?}");
    let mut sinks = Pipeline::start(stack, &SINKS)?;
    sinks.rest(patience)?;
    sinks.stop()?;
    let after = fingerprints(&stack.app.addresses)?;
    for (table, expected) in before {
        ensure!(after.get(table) == Some(expected), "{table}: {expected:?} before, {:?} after", after.get(table));
    }
    ensure!(after.len() == before.len(), "other tables than before: {after:?}");
    Ok(())
}

fn number(variable: &str, default: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is `{text}`: set it to a whole number")),
        Err(_) => Ok(default),
    }
}
