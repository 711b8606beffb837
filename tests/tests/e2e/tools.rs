//! The tools of operations agree with Kafka's own: `tapeline status` with its consumer groups' command, `tapeline tx` with
//! what a reader of committed records gets.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tapeline_kafka::publisher::Publisher;
use tapeline_kafka::reader::PartitionReader;
use tapeline_runtime::port::{OutRecord, Reader};
use tapeline_tests::parts::{Stack, repository, wait_until, with_stack};
use tapeline_tests::pipeline::{PROCESSORS, Pipeline};

/// Where the client's Python is; `tests/run` makes it.
const PYTHON_VARIABLE: &str = "TAPELINE_TEST_PYTHON";
const PATIENCE: Duration = Duration::from_secs(120);
const FOREIGN_ID: &str = "foreign-1";
const TOPIC: &str = "market.ticks";
const PARTITION: i32 = 2;

#[test]
fn status_shows_the_groups_as_kafkas_own_tool_does() -> Result<()> {
    with_stack("status", |stack| {
        let mut pipeline = Pipeline::start(stack, &[&PROCESSORS[..], &["clock"]].concat())?;
        stack.tapeline(&["generate", "--orders", "2000", "--rate", "0", "--accounts", "50", "--instruments", "5"])?;
        pipeline.rest(PATIENCE)?;
        let status: Value = serde_json::from_str(&stack.tapeline(&["status", "--json"])?)?;
        for name in PROCESSORS {
            let groups = status["groups"].as_array().context("groups")?;
            let group = groups.iter().find(|group| group["group"] == name).context("the group")?;
            ensure!(group["state"] == "Stable", "{name} is {}", group["state"]);
            ensure!(
                group["members"][0]["restoring_percent"] == serde_json::json!({}),
                "{name} does not answer: {}",
                group["members"]
            );
            ensure!(group["members"][0]["instance_id"] == format!("{name}-e2e-{name}-0"), "{}", group["members"]);
            let (ours, theirs) = (partitions(group)?, kafkas_own(stack, name)?);
            ensure!(ours == theirs, "{name}: `tapeline status` has {ours:#?}, Kafka's tool {theirs:#?}");
            ensure!(ours.values().any(|row| row.1 > 0), "{name}: nothing was compared: {ours:?}");
        }
        let checked = stack.tapeline(&["check", "--live"])?;
        ensure!(checked.contains("executor   clock ") && checked.contains("can restart"), "{checked}");
        let parts = status["parts"].as_array().context("parts")?;
        ensure!(parts.len() == 4 && parts.iter().all(|part| part["state"] == "up"), "{parts:?}");
        pipeline.stop()
    })
}

/// Committed offset, end, lag and member id by topic and partition, where the group has committed.
type Rows = BTreeMap<(String, i64), (i64, i64, i64, String)>;

fn partitions(group: &Value) -> Result<Rows> {
    let member_id = group["members"][0]["member_id"].as_str().context("member_id")?;
    let mut rows = Rows::new();
    for row in group["partitions"].as_array().context("partitions")? {
        let Some(committed) = row["committed_offset"].as_i64() else { continue };
        let number = |key: &str| row[key].as_i64().with_context(|| format!("{key} in {row}"));
        let at = (row["topic"].as_str().context("topic")?.to_owned(), number("partition")?);
        rows.insert(at, (committed, number("end_offset")?, number("lag_records")?, member_id.to_owned()));
    }
    Ok(rows)
}

fn kafkas_own(stack: &Stack, group: &str) -> Result<Rows> {
    let class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let address = stack.app.addresses.kafka.as_str();
    let printed = stack.parts(&["kafka-tool", class, "--bootstrap-server", address, "--describe", "--group", group])?;
    let mut rows = Rows::new();
    for line in printed.lines() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [name, topic, partition, committed, end, lag, member_id, ..] = cells.as_slice() else { continue };
        if *name != group || *committed == "-" {
            continue;
        }
        let row = (committed.parse()?, end.parse()?, lag.parse()?, (*member_id).to_owned());
        rows.insert(((*topic).to_owned(), partition.parse()?), row);
    }
    Ok(rows)
}

#[test]
fn an_abandoned_transaction_is_listed_and_ended_only_with_yes() -> Result<()> {
    with_stack("transactions", |stack| {
        let mut foreign = Foreign::open(stack)?;
        let start_offset = foreign.start_offset()?;
        let listed = listed(stack)?;
        ensure!(listed.len() == 1 && listed[0]["transactional_id"] == FOREIGN_ID, "{listed:?}");
        ensure!(listed[0]["state"] == "Ongoing" && listed[0]["hanging"].is_null(), "{listed:?}");
        let at = &listed[0]["partitions"][0];
        ensure!(at["topic"] == TOPIC && at["partition"] == PARTITION && at["start_offset"] == start_offset, "{at}");

        // A record behind it is there, and no reader of committed records gets it.
        let publisher = Publisher::open(&stack.app.addresses.kafka, "behind")?;
        let (topic, payload) = (TOPIC.to_owned(), Some(b"behind it".to_vec()));
        publisher.send(&OutRecord { topic, partition: Some(PARTITION), payload, ..OutRecord::default() })?;
        publisher.flush()?;
        ensure!(read_committed(stack)? == 0, "the open transaction blocks nothing");

        let (partition, offset) = (PARTITION.to_string(), start_offset.to_string());
        let abort = ["tx", "abort", "--topic", TOPIC, "--partition", &partition, "--start-offset", &offset];
        let said = stack.tapeline(&abort)?;
        ensure!(said.contains("Nothing was changed") && said.contains("Read by timescale"), "{said}");
        ensure!(self::listed(stack)?.len() == 1 && read_committed(stack)? == 0, "a dry run changed something");

        stack.tapeline(&[&abort[..], &["--yes"]].concat())?;
        ensure!(self::listed(stack)?.is_empty(), "it is still open");
        wait_until("the reader gets on", PATIENCE, || Ok(read_committed(stack)? == 1))?;
        let end = foreign.try_to_commit()?;
        ensure!(end.contains("refused"), "the fenced producer: {end}");
        let again = stack.tapeline_command(&abort)?.output()?;
        ensure!(!again.status.success(), "it was aborted twice");
        Ok(())
    })
}

fn listed(stack: &Stack) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&stack.tapeline(&["tx", "list", "--json"])?)?)
}

/// Committed records of the partition.
fn read_committed(stack: &Stack) -> Result<usize> {
    let mut reader = PartitionReader::open(&stack.app.addresses.kafka, TOPIC, PARTITION, 0)?;
    let mut records = 0;
    while reader.next()?.is_some() {
        records += 1;
    }
    Ok(records)
}

/// Python's confluent-kafka with an open transaction.
struct Foreign {
    child: Child,
    said: PathBuf,
}

impl Foreign {
    fn open(stack: &Stack) -> Result<Self> {
        let python = std::env::var_os(PYTHON_VARIABLE).map(PathBuf::from);
        let python = python.with_context(|| format!("{PYTHON_VARIABLE} is not set: run tests by `tests/run`"))?;
        let said = stack.scratch("open_transaction.out");
        let mut command = Command::new(python);
        command.arg(repository().join("tests/clients/open_transaction.py"));
        command.args([&stack.app.addresses.kafka, FOREIGN_ID, TOPIC, &PARTITION.to_string()]);
        let log = File::create(stack.scratch("open_transaction.log"))?;
        let child = command.stdin(Stdio::piped()).stdout(File::create(&said)?).stderr(log).spawn()?;
        Ok(Self { child, said })
    }

    /// Waits until it is open.
    fn start_offset(&mut self) -> Result<i64> {
        let mut offset = None;
        wait_until("the foreign producer's transaction is open", PATIENCE, || {
            ensure!(self.child.try_wait()?.is_none(), "the foreign producer ended");
            offset = fs::read_to_string(&self.said)?.strip_prefix("open ").and_then(|rest| rest.trim().parse().ok());
            Ok(offset.is_some())
        })?;
        offset.context("the offset")
    }

    /// What becomes of its commit.
    fn try_to_commit(&mut self) -> Result<String> {
        drop(self.child.stdin.take());
        self.child.wait()?;
        Ok(fs::read_to_string(&self.said)?)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // Harmless if it has ended; else it must not outlive its test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
