//! The lanes' transactional producer against a real broker: a transaction is read whole, in order and once, or not at all,
//! whatever its size, whoever else claims its id, and while the broker is killed.

use super::dead_letters::noise;
use anyhow::{Context, Result, ensure};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tapeline_cli::component::{Signal, signal};
use tapeline_kafka::admin::Admin;
use tapeline_kafka::reader::PartitionReader;
use tapeline_kafka::transaction::TransactionalPublisher;
use tapeline_runtime::port::{OutRecord, PortError, Reader};
use tapeline_tests::parts::{Stack, wait_until, with_stack};

const PARTITIONS: i32 = 3;
/// More than one batch holds, so that one partition needs several requests.
const MANY: usize = 25_000;
/// One behind the other without a pause: each finds the markers of the one before still being written, now and then.
const IN_QUICK_SUCCESSION: usize = 300;
const KILLS: usize = 3;
/// So many transactions, a second or so, lie between two kills.
const BETWEEN_KILLS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_transaction_is_read_whole_in_order_and_once_or_not_at_all() -> Result<()> {
    with_stack("producer", |stack| {
        of_many_requests(stack)?;
        after_another_claim(stack)?;
        with_a_record_that_is_refused(stack)?;
        while_the_broker_is_killed(stack)
    })
}

/// The broker's address, and an empty topic.
fn topic<'a>(stack: &'a Stack, name: &str) -> Result<&'a str> {
    let bootstrap = &*stack.app.addresses.kafka;
    Admin::connect(bootstrap)?.create_topic(name, PARTITIONS, 1, &[])?;
    Ok(bootstrap)
}

fn record(topic: &str, partition: i32, payload: impl Into<Vec<u8>>) -> OutRecord {
    OutRecord { topic: topic.into(), partition: Some(partition), payload: Some(payload.into()), ..OutRecord::default() }
}

fn read(bootstrap: &str, topic: &str, partition: i32) -> Result<Vec<Vec<u8>>> {
    let mut reader = PartitionReader::open(bootstrap, topic, partition, 0)?;
    let mut payloads = Vec::new();
    while let Some(record) = reader.next()? {
        payloads.push(record.payload.context("a payload")?);
    }
    Ok(payloads)
}

fn of_many_requests(stack: &Stack) -> Result<()> {
    let (one, other) = ("producer.many", "producer.few");
    topic(stack, other)?;
    let bootstrap = topic(stack, one)?;
    let mut publisher = TransactionalPublisher::open(bootstrap, "producer-many")?;
    // No compression makes it shorter.
    let noise = noise(7, 900_000);
    for round in 0..2 {
        let mut records: Vec<_> = (0..MANY).map(|place| record(one, 0, format!("{round} {place}"))).collect();
        records.push(record(one, 2, noise.clone()));
        records.push(record(other, 1, format!("{round}")));
        publisher.commit(&records)?;
    }
    for number in 0..IN_QUICK_SUCCESSION {
        publisher.commit(&[record(one, 1, number.to_string()), record(other, 2, number.to_string())])?;
    }
    let expected = (0..2).flat_map(|round| (0..MANY).map(move |place| format!("{round} {place}").into_bytes()));
    ensure!(read(bootstrap, one, 0)?.into_iter().eq(expected), "the records of many requests");
    ensure!(read(bootstrap, one, 2)? == [noise.clone(), noise], "the large records");
    ensure!(read(bootstrap, other, 1)? == [b"0", b"1"], "the records of another topic");
    let expected: Vec<_> = (0..IN_QUICK_SUCCESSION).map(|number| number.to_string().into_bytes()).collect();
    for (topic, partition) in [(one, 1), (other, 2)] {
        ensure!(read(bootstrap, topic, partition)? == expected, "{topic}, partition {partition}");
    }
    Ok(())
}

fn after_another_claim(stack: &Stack) -> Result<()> {
    let name = "producer.claimed";
    let bootstrap = topic(stack, name)?;
    let mut first = TransactionalPublisher::open(bootstrap, "producer-claimed")?;
    first.commit(&[record(name, 0, "of the first")])?;
    let mut second = TransactionalPublisher::open(bootstrap, "producer-claimed")?;
    for _ in 0..2 {
        let refused = first.commit(&[record(name, 0, "too late"), record(name, 1, "too late")]);
        ensure!(matches!(refused, Err(PortError::Fenced(_))), "the first one was told {refused:?}");
    }
    second.commit(&[record(name, 0, "of the second")])?;
    ensure!(read(bootstrap, name, 0)? == [&b"of the first"[..], b"of the second"], "what the two have written");
    ensure!(read(bootstrap, name, 1)?.is_empty(), "a fenced producer has written");
    Ok(())
}

fn with_a_record_that_is_refused(stack: &Stack) -> Result<()> {
    let name = "producer.refused";
    let bootstrap = topic(stack, name)?;
    let mut publisher = TransactionalPublisher::open(bootstrap, "producer-refused")?;
    let refused = publisher.commit(&[record(name, 0, "beside it"), record(name, 1, noise(7, 1_200_000))]);
    let Err(PortError::Away(why)) = refused else { anyhow::bail!("a record beyond the limit: {refused:?}") };
    ensure!(why.contains("producer.refused, partition 1") && why.contains("MessageTooLarge"), "it was told {why}");
    publisher.commit(&[record(name, 0, "after it")])?;
    ensure!(read(bootstrap, name, 0)? == [b"after it"], "what was written beside a refused record");
    Ok(())
}

/// Numbers, each one to all partitions in a transaction; one that fails is looked for, and written again if it is not there.
fn while_the_broker_is_killed(stack: &Stack) -> Result<()> {
    let name = "producer.killed";
    let bootstrap = topic(stack, name)?;
    let progress = AtomicUsize::new(0);
    let outcome = thread::scope(|scope| {
        let killing = scope.spawn(|| kill_and_start(stack, &progress));
        let written = write_until(bootstrap, name, &progress, || killing.is_finished());
        let killed = killing.join().map_err(|_| anyhow::anyhow!("the killing thread panicked"))?;
        killed.and(written)
    });
    let (count, failures) = outcome?;
    println!("{count} transactions under {KILLS} kills of the broker, {failures} failed and were looked for");
    let expected: Vec<_> = (0..count).map(|number| number.to_string().into_bytes()).collect();
    for partition in 0..PARTITIONS {
        ensure!(read(bootstrap, name, partition)? == expected, "partition {partition}: each number once and in order");
    }
    Ok(())
}

fn kill_and_start(stack: &Stack, progress: &AtomicUsize) -> Result<()> {
    for _ in 0..KILLS {
        let goal = progress.load(Ordering::Relaxed) + BETWEEN_KILLS;
        wait_until("the producer goes on", PATIENCE, || Ok(progress.load(Ordering::Relaxed) >= goal))?;
        let pid = std::fs::read_to_string(stack.home().join("kafka/pid")).context("the broker's process id")?;
        signal(pid.trim().parse()?, Signal::KILL)?;
        stack.parts(&["up", "kafka"])?;
    }
    Ok(())
}

/// Gives how many numbers were written, and how many transactions failed.
fn write_until(
    bootstrap: &str,
    name: &str,
    progress: &AtomicUsize,
    is_over: impl Fn() -> bool,
) -> Result<(usize, usize)> {
    let mut publisher = TransactionalPublisher::open(bootstrap, "producer-killed")?;
    let (mut count, mut failures) = (0_usize, 0);
    while !is_over() {
        let records: Vec<_> = (0..PARTITIONS).map(|partition| record(name, partition, count.to_string())).collect();
        if publisher.commit(&records).is_err() {
            failures += 1;
            let (anew, there) = look(bootstrap, name)?;
            publisher = anew;
            ensure!(there == count || there == count + 1, "{there} numbers are there, {count} were written");
            count = there;
            continue;
        }
        count += 1;
        progress.store(count, Ordering::Relaxed);
    }
    Ok((count, failures))
}

/// The next owner of the transactional id, and how many numbers are there by then.
fn look(bootstrap: &str, name: &str) -> Result<(TransactionalPublisher, usize)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let anew = TransactionalPublisher::open(bootstrap, "producer-killed").map_err(anyhow::Error::from);
        match anew.and_then(|anew| Ok((anew, read(bootstrap, name, 0)?.len()))) {
            Err(error) if Instant::now() < deadline => println!("looking again: {error:#}"),
            done => return done,
        }
    }
}
