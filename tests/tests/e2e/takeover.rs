//! A transaction whose end Kafka has left out is ended by whoever takes over: neither are its records committed with a
//! later transaction's, nor do they stop their readers.
//!
//! Kafka leaves it out when no broker leads a partition in the moment of the abort. Here the coordinator is made to
//! forget the transaction: its log is put back to where it was before.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tapeline_cli::component::Signal;
use tapeline_kafka::admin::Admin;
use tapeline_kafka::protocol::{Cluster, OpenProducer, Transaction};
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::{DRAINING, PROCESSORS, Pipeline};

const PATIENCE: Duration = Duration::from_secs(120);
const NAME: &str = "validator-e2e-validator-0";
const VALIDATED: &str = "orders.validated";
/// More than the deposits' commands, of which a load waits for the settlement before its first order.
const BEYOND_DEPOSITS: i64 = 1_500;
/// So many answers of the broker take longer than a request that is under way.
const LOOKS: u32 = 20;
const LEFT_OUT: &str = "Kafka had left out the end of a transaction";

#[test]
fn a_transaction_whose_end_kafka_left_out_is_ended_by_the_next_life() -> Result<()> {
    with_stack("takeover", |stack| {
        let topics = stack.app.topology.written_by("validator");
        let mut pipeline = Pipeline::start(stack, &PROCESSORS)?;
        let kept = keep_coordinators_log(stack)?;
        let mut load = stack.tapeline_command(&generate("200000", "1000"))?.spawn().context("tapeline generate")?;
        let admin = Admin::connect(&stack.app.addresses.kafka)?;
        let validated = || Ok::<i64, anyhow::Error>(admin.watermarks(VALIDATED)?.iter().map(|marks| marks.end).sum());
        wait_until("orders flow", PATIENCE, || Ok(validated()? > BEYOND_DEPOSITS))?;
        let producer_id = stop_within_transaction(stack, &pipeline, &topics)?;
        pipeline.kill9("validator")?;
        load.kill()?;
        load.wait()?;
        // None may have a transaction open when its coordinator forgets all that was since the copy.
        pipeline.terminate("executor")?;
        pipeline.terminate("settler")?;

        let before = Cluster::new(&stack.app.addresses.kafka).transactions()?;
        stack.parts(&["down", "kafka"])?;
        put_back(stack, &kept)?;
        stack.parts(&["up", "kafka"])?;
        let mut cluster = Cluster::new(&stack.app.addresses.kafka);
        let left = open(&mut cluster, &topics, producer_id)?;
        ensure!(!left.is_empty(), "the transaction was ended: nothing is tested");
        catch_up(&mut cluster, &before)?;

        for name in DRAINING {
            pipeline.start_again(name)?;
        }
        pipeline.wait_ready()?;
        stack.tapeline(&generate("2000", "0"))?;
        stack.drain(&DRAINING, PATIENCE)?;
        let said = pipeline.component("validator")?.logged()?.matches(LEFT_OUT).count();
        ensure!(said >= left.len(), "{said} ends were written, {left:?} were left out");
        stack.audit()?;
        pipeline.stop()
    })
}

fn generate<'a>(orders: &'a str, rate: &'a str) -> [&'a str; 9] {
    ["generate", "--orders", orders, "--rate", rate, "--accounts", "50", "--instruments", "5"]
}

/// Stops the validator in a moment when it has a transaction open, and gives its producer id.
fn stop_within_transaction(stack: &Stack, pipeline: &Pipeline<'_>, topics: &[String]) -> Result<i64> {
    let validator = pipeline.component("validator")?.id();
    let mut cluster = Cluster::new(&stack.app.addresses.kafka);
    let mut found = None;
    wait_until("the validator is stopped in a transaction", PATIENCE, || {
        tapeline_cli::component::signal(validator, Signal::STOP)?;
        let transactions = cluster.transactions()?;
        let own = transactions.iter().find(|seen| seen.id == NAME && seen.state == "Ongoing");
        if let Some(own) = own
            && stays_open(&mut cluster, topics, own.producer_id)?
        {
            found = Some(own.producer_id);
            return Ok(true);
        }
        tapeline_cli::component::signal(validator, Signal::CONT)?;
        Ok(false)
    })?;
    found.context("the producer id")
}

/// Whether the stopped producer's transaction is open, and not about to end by a request that it sent before.
fn stays_open(cluster: &mut Cluster, topics: &[String], producer_id: i64) -> Result<bool> {
    for _ in 0..LOOKS {
        if !open(cluster, topics, producer_id)?.iter().any(|open| open.topic == VALIDATED) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn open(cluster: &mut Cluster, topics: &[String], producer_id: i64) -> Result<Vec<OpenProducer>> {
    let open = cluster.all_open_producers(topics)?;
    Ok(open.into_iter().filter(|open| open.producer_id == producer_id).collect())
}

fn data(stack: &Stack) -> PathBuf {
    stack.home().join("kafka/data")
}

/// Gives each transactional id an epoch beyond that of `before`. Each transaction has one of its own, and with the coordinators'
/// log they are put back too; the partitions, which are not, would take the next life for a former one.
fn catch_up(cluster: &mut Cluster, before: &[Transaction]) -> Result<()> {
    let mut known = Vec::new();
    wait_until("the coordinators have read their log", PATIENCE, || {
        known = cluster.transactions()?;
        Ok(known.len() == before.len())
    })?;
    for mut now in known {
        let last = before.iter().find(|seen| seen.id == now.id).context("an id that was not there before")?;
        ensure!(now.producer_id == last.producer_id, "{} has another producer id: give it fewer orders", now.id);
        while now.producer_epoch <= last.producer_epoch {
            ensure!(cluster.fence(&now)?, "{} has gone on, from epoch {}", now.id, now.producer_epoch);
            now.producer_epoch += 1;
        }
    }
    Ok(())
}

/// Copies the log in which the coordinators keep what transactions there are; nobody has one open. Gives the copy's folder.
fn keep_coordinators_log(stack: &Stack) -> Result<PathBuf> {
    let kept = stack.scratch("transaction-state");
    fs::create_dir_all(&kept)?;
    let folders = coordinators_log(&data(stack))?;
    ensure!(!folders.is_empty(), "no producer has been there yet");
    copy(&folders, &kept)?;
    Ok(kept)
}

fn put_back(stack: &Stack, kept: &Path) -> Result<()> {
    for folder in coordinators_log(&data(stack))? {
        fs::remove_dir_all(folder)?;
    }
    copy(&coordinators_log(kept)?, &data(stack))
}

fn coordinators_log(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let is_one = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("__transaction_state-"))
    };
    Ok(entries.into_iter().filter(is_one).collect())
}

fn copy(folders: &[PathBuf], to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").args(folders).arg(to).status()?;
    ensure!(status.success(), "cp ended with {status}");
    Ok(())
}
