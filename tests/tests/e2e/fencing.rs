//! Consumer groups as operations use them: a restart keeps its partitions, a new process takes only what must move, and a
//! process that wakes up after its partitions moved writes not one record and ends with code 3.

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapeline_cli::component::{Component, Signal};
use tapeline_kafka::admin::Admin;
use tapeline_kafka::app::EXIT_FENCED;
use tapeline_kafka::protocol::Cluster;
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::event_decoder::decoder;
use tapeline_runtime::port::Reader;
use tapeline_schemas::codec::SchemaIds;
use tapeline_schemas::wire::JournalEntry;
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::{DRAINING, END_PATIENCE, Pipeline, start_as};

const PATIENCE: Duration = Duration::from_secs(120);
/// How often the executor is paused: in the middle of a transaction at least once, as a rule.
const ROUNDS: usize = 3;
const EXECUTOR: &str = "executor";
const JOURNAL: &str = "executor.journal";
const SEED: &str = "23";

#[test]
fn a_paused_process_that_wakes_up_writes_not_one_record_and_ends_as_fenced() -> Result<()> {
    with_stack("fencing", |stack| {
        let mut pipeline = Pipeline::start(stack, &["validator", "settler", "timescale", "clickhouse", "clock"])?;
        let mut first = start_as(stack, EXECUTOR, "first")?;
        let second = start_as(stack, EXECUTOR, "second")?;
        wait_shared(stack, EXECUTOR, &["first", "second"])?;
        let mut load = publish(stack)?;
        for round in 0..ROUNDS {
            wait_progress(stack, 1)?;
            ensure!(load.try_wait()?.is_none(), "the load ended in round {round}: give it more orders");
            first = pause_and_wake(stack, first)?;
        }
        pause_and_wake(stack, start_as(stack, "timescale", "spare")?)?.terminate(END_PATIENCE)?;
        let status = load.wait().context("tapeline generate")?;
        ensure!(status.success(), "tapeline generate ended with {status}");
        pipeline.terminate("clock")?;
        stack.drain(&DRAINING, PATIENCE)?;
        check_journal(stack)?;
        stack.audit()?;
        first.terminate(END_PATIENCE)?;
        second.terminate(END_PATIENCE)?;
        pipeline.stop()
    })
}

#[test]
fn a_restart_moves_no_partition_and_a_new_process_only_what_must_move() -> Result<()> {
    with_stack("membership", |stack| {
        let first = start_as(stack, EXECUTOR, "first")?;
        let second = start_as(stack, EXECUTOR, "second")?;
        let shared = wait_shared(stack, EXECUTOR, &["first", "second"])?;
        let revocations = || Ok::<_, anyhow::Error>(second.logged()?.matches("partition revoked").count());
        let before = revocations()?;

        first.kill9()?;
        let first = restart(stack, "first", &shared)?;
        first.terminate(END_PATIENCE)?;
        let first = restart(stack, "first", &shared)?;
        let after = revocations()?;
        ensure!(after == before, "{} partitions of the second were revoked by restarts of the first", after - before);

        let third = start_as(stack, EXECUTOR, "third")?;
        let grown = wait_shared(stack, EXECUTOR, &["first", "second", "third"])?;
        let sizes: BTreeSet<usize> = grown.values().map(BTreeSet::len).collect();
        ensure!(sizes == BTreeSet::from([1, 2]), "four partitions over three processes: {grown:?}");
        for (instance, before) in &shared {
            ensure!(grown[instance].is_subset(before), "{instance} was given others: {before:?}, then {grown:?}");
        }
        [first, second, third].into_iter().try_for_each(|component| component.terminate(END_PATIENCE))
    })
}

/// Starts it again and waits until the assignment is that of before.
fn restart(stack: &Stack, instance: &str, before: &BTreeMap<String, BTreeSet<i32>>) -> Result<Component> {
    let started_at = Instant::now();
    let mut component = start_as(stack, EXECUTOR, instance)?;
    component.wait_ready(PATIENCE)?;
    println!("{instance} is ready {} ms after its start", started_at.elapsed().as_millis());
    let now = assignment(stack, EXECUTOR)?;
    ensure!(now == *before, "a restart of {instance} moved partitions: {before:?}, then {now:?}");
    Ok(component)
}

/// Pauses a process until its partitions have gone to others who work on them, wakes it up, and checks what it does.
/// Gives its next life.
fn pause_and_wake(stack: &Stack, mut paused: Component) -> Result<Component> {
    let (component, instance) = (paused.name.clone(), paused.instance.clone());
    let held = wait_for(stack, &component, |members| members.get(&instance).cloned().filter(|held| !held.is_empty()))?;
    paused.signal(Signal::STOP)?;
    wait_for(stack, &component, |members| {
        let others: BTreeSet<i32> = members.values().flatten().copied().collect();
        (!members.contains_key(&instance) && held.is_subset(&others)).then_some(())
    })?;
    if component == EXECUTOR {
        wait_progress(stack, 1)?;
    }
    let mut cluster = Cluster::new(&stack.app.addresses.kafka);
    let transactions = cluster.transactions()?;
    let own = transactions.iter().find(|seen| seen.id == format!("{component}-{instance}-0"));
    let before = ends(stack, &component)?;

    paused.signal(Signal::CONT)?;
    let status = paused.wait_end(PATIENCE)?;
    ensure!(status.code() == Some(EXIT_FENCED.into()), "{instance} woke up and ended with {status}");
    if let Some(own) = own {
        check_silence(stack, own.producer_id, &before)?;
    }
    let mut next = start_as(stack, &component, &instance)?;
    next.wait_ready(PATIENCE)?;
    Ok(next)
}

/// Ends of all partitions that a component can write to.
fn ends(stack: &Stack, component: &str) -> Result<BTreeMap<(String, i32), i64>> {
    let admin = Admin::connect(&stack.app.addresses.kafka)?;
    let mut ends = BTreeMap::new();
    for topic in stack.app.topology.written_by(component) {
        for (partition, marks) in admin.watermarks(&topic)?.iter().enumerate() {
            ends.insert((topic.clone(), partition as i32), marks.end);
        }
    }
    Ok(ends)
}

/// No batch of `producer_id` at or after `from`, neither committed nor aborted. Markers are the broker's.
fn check_silence(stack: &Stack, producer_id: i64, from: &BTreeMap<(String, i32), i64>) -> Result<()> {
    let (mut before, mut checked) = (0, 0);
    for (topic, partition, batch) in stack.batches(from.keys())? {
        let field = |name: &str| {
            let value = batch.split_once(&format!("{name}: ")).and_then(|(_, rest)| rest.split(' ').next());
            value.with_context(|| format!("no {name} in {batch}"))
        };
        let own = field("producerId")?.parse::<i64>()? == producer_id && field("isControl")? == "false";
        let is_new = field("baseOffset")?.parse::<i64>()? >= from[&(topic.clone(), partition)];
        ensure!(!(own && is_new), "{topic}-{partition}: a fenced process wrote {batch}");
        before += usize::from(own);
        checked += 1;
    }
    println!("{checked} batches: {before} of producer {producer_id}, none of them after it woke up");
    ensure!(before > 0, "the producer {producer_id} never wrote: nothing was checked");
    Ok(())
}

/// Each partition's journal counts every committed record of its inputs exactly once, in order.
fn check_journal(stack: &Stack) -> Result<()> {
    let kafka = &stack.app.addresses.kafka;
    let registry: Arc<dyn SchemaIds> = Arc::clone(&stack.app.registry) as _;
    let mut decoder = decoder::<JournalEntry>(JOURNAL, &registry).map_err(anyhow::Error::msg)?;
    let partitions = stack.app.topology.topic(JOURNAL).context("the journal")?.partitions;
    for partition in 0..partitions {
        let mut taken: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        let mut entries = PartitionReader::open(kafka, JOURNAL, partition, 0)?;
        while let Some(record) = entries.next()? {
            for run in decoder.decode(record.payload.as_deref())?.runs {
                let (count, next) = taken.entry(run.topic.to_string()).or_default();
                let from = run.next_offset - run.count;
                ensure!(from >= *next, "{} {partition}: taken to {next}, then again from {from}", run.topic);
                (*count, *next) = (*count + run.count, run.next_offset);
            }
        }
        for (topic, (count, _)) in &taken {
            let mut records = PartitionReader::open(kafka, topic, partition, 0)?;
            let mut held = 0;
            while records.next()?.is_some() {
                held += 1;
            }
            ensure!(held == *count, "{topic}-{partition} holds {held} records, the journal took {count}");
        }
        ensure!(taken.contains_key("orders.validated"), "nothing went through partition {partition}");
    }
    Ok(())
}

/// Partitions of each member of a group, by its instance name.
fn assignment(stack: &Stack, component: &str) -> Result<BTreeMap<String, BTreeSet<i32>>> {
    let group = Cluster::new(&stack.app.addresses.kafka).group(component)?;
    let members = group.into_iter().flat_map(|group| group.members);
    let mut held = BTreeMap::new();
    for member in members {
        let id = member.instance_id.context("a member that is not static")?;
        let name = id.strip_prefix(&format!("{component}-")).and_then(|rest| rest.strip_suffix("-0"));
        let name = name.with_context(|| format!("{id} is no name of a lane"))?.to_owned();
        held.insert(name, member.partitions.into_values().flatten().collect());
    }
    Ok(held)
}

fn wait_for<T>(
    stack: &Stack,
    component: &str,
    mut found: impl FnMut(&BTreeMap<String, BTreeSet<i32>>) -> Option<T>,
) -> Result<T> {
    let mut result = None;
    let mut last = BTreeMap::new();
    let waited = wait_until("the group's assignment is as expected", PATIENCE, || {
        last = assignment(stack, component)?;
        result = found(&last);
        Ok(result.is_some())
    });
    waited.with_context(|| format!("{component}: {last:?}"))?;
    result.context("found")
}

/// Waits until these instances, and no others, hold all partitions of the group, each at least one.
fn wait_shared(stack: &Stack, component: &str, instances: &[&str]) -> Result<BTreeMap<String, BTreeSet<i32>>> {
    wait_for(stack, component, |members| {
        let names: BTreeSet<&str> = members.keys().map(String::as_str).collect();
        let all: usize = members.values().map(BTreeSet::len).sum();
        let complete = all == 4 && members.values().all(|held| !held.is_empty());
        (names == instances.iter().copied().collect() && complete).then(|| members.clone())
    })
}

/// Waits until each partition's journal has grown by `entries`.
fn wait_progress(stack: &Stack, entries: i64) -> Result<()> {
    let admin = Admin::connect(&stack.app.addresses.kafka)?;
    let before = admin.watermarks(JOURNAL)?;
    wait_until("every partition goes on", PATIENCE, || {
        let now = admin.watermarks(JOURNAL)?;
        Ok(now.iter().zip(&before).all(|(now, before)| now.end > before.end + entries))
    })
}

fn publish(stack: &Stack) -> Result<Child> {
    let log = File::create(stack.scratch("generate.log"))?;
    let load = ["--orders", "120000", "--rate", "1500", "--accounts", "500", "--instruments", "40", "--seed", SEED];
    println!("tapeline generate {}", load.join(" "));
    let mut command = stack.tapeline_command(&["generate"])?;
    Ok(command.args(load).stdout(log.try_clone()?).stderr(log).spawn()?)
}
