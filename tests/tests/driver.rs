//! The production lanes over bytes in a log in memory: the whole flow with feedback, restarts at each commit, and what
//! garbage gets. No broker, no threads, no wall clock.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where by panicking")]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tapeline_domain::types::{FEES_ACCOUNT, ONE};
use tapeline_kafka::app::Make;
use tapeline_replay::generate::{Config, Generator};
use tapeline_runtime::dead_letter;
use tapeline_runtime::lane::{InputSpec, JournalCoding, Lane, LaneError, LaneSpec};
use tapeline_runtime::metrics::Metrics;
use tapeline_runtime::port::{OutRecord, Record};
use tapeline_runtime::processor::{Coding, Processor};
use tapeline_schemas::codec::{Decoder, Encoder, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};
use tapeline_tests::memory_log::{Fault, MemoryLog, MemoryPort, registry};

const START_MS: i64 = 1_700_000_000_000;
const TOPICS: [(&str, i32); 13] = [
    (topic::ORDERS, 2),
    (topic::VALIDATED, 2),
    (topic::REJECTED, 2),
    (topic::EXECUTED, 2),
    (topic::SETTLED, 2),
    (topic::ACCOUNTS, 2),
    (topic::INSTRUMENTS, 1),
    (topic::CLOCK, 2),
    ("validator.journal", 2),
    ("executor.journal", 2),
    ("orders.dlq", 2),
    ("orders.validated.dlq", 2),
    ("trades.executed.dlq", 2),
];

fn spec(component: &str, inputs: &[(&str, bool, bool)], journal: Option<&str>) -> LaneSpec {
    let input = |(topic, broadcast, reference): &(&str, bool, bool)| InputSpec {
        topic: (*topic).to_owned(),
        broadcast: *broadcast,
        reference: *reference,
        dead_letters: (!reference && *topic != topic::SETTLED).then(|| format!("{topic}.dlq")),
    };
    LaneSpec {
        component: component.to_owned(),
        inputs: inputs.iter().map(input).collect(),
        journal: journal.map(str::to_owned),
        max_batch_records: 50,
    }
}

/// A lane that is built anew whenever it fails.
struct Member<P: Processor, C: Coding<P>> {
    spec: LaneSpec,
    make: Make<P, C>,
    fault: Rc<RefCell<Fault>>,
    lane: Option<Lane<P, C, MemoryPort>>,
    restarts: u32,
}

impl<P: Processor, C: Coding<P>> Member<P, C> {
    fn new(spec: LaneSpec, make: Make<P, C>) -> Self {
        Self { spec, make, fault: Rc::default(), lane: None, restarts: 0 }
    }

    fn step(&mut self, log: &MemoryLog, ids: &Arc<dyn SchemaIds>) {
        let lane = self.lane.get_or_insert_with(|| {
            let (processor, coding) = (self.make)(&self.spec, ids).unwrap();
            let journal = JournalCoding {
                encoder: Encoder::new(ids.registered_id("", wire::JournalEntry::SCHEMA_JSON).unwrap()).unwrap(),
                decoder: decoder(ids),
            };
            let port = MemoryPort::open(log, &self.spec, &self.fault);
            let metrics = Metrics::new().unwrap().lane(&self.spec.component, 0);
            Lane::new(self.spec.clone(), processor, coding, journal, port, metrics)
        });
        match lane.step(Duration::ZERO) {
            Ok(()) => {}
            Err(LaneError::Away(_)) => {
                self.lane = None;
                self.restarts += 1;
            }
            Err(error) => panic!("{}: {error}", self.spec.component),
        }
    }
}

fn decoder<T: Wire>(ids: &Arc<dyn SchemaIds>) -> Decoder<T> {
    let id = ids.registered_id("", T::SCHEMA_JSON).unwrap();
    Decoder::new(id, Arc::clone(ids) as _).unwrap()
}

struct World {
    log: MemoryLog,
    ids: Arc<dyn SchemaIds>,
    validator: Member<tapeline_validator::Validator, tapeline_validator::ValidatorCoding>,
    executor: Member<tapeline_executor::Executor, tapeline_executor::ExecutorCoding>,
    settler: Member<tapeline_settler::Settler, tapeline_settler::SettlerCoding>,
}

impl World {
    fn new() -> Self {
        let validator = [
            (topic::ORDERS, false, false),
            (topic::SETTLED, false, false),
            (topic::ACCOUNTS, false, true),
            (topic::INSTRUMENTS, true, true),
        ];
        let executor = [(topic::VALIDATED, false, false), (topic::CLOCK, false, false)];
        Self {
            log: MemoryLog::new(START_MS, &TOPICS),
            ids: registry(),
            validator: Member::new(spec("validator", &validator, Some("validator.journal")), tapeline_validator::make),
            executor: Member::new(spec("executor", &executor, Some("executor.journal")), tapeline_executor::make),
            settler: Member::new(spec("settler", &[(topic::EXECUTED, false, false)], None), tapeline_settler::make),
        }
    }

    fn publish<T: Wire>(&self, topic: &str, key: &str, value: &T) {
        let mut payload = Vec::new();
        let id = self.ids.registered_id(topic, T::SCHEMA_JSON).unwrap();
        Encoder::new(id).unwrap().encode(value, &mut payload).unwrap();
        self.publish_bytes(topic, Some(key), Some(payload));
    }

    fn publish_bytes(&self, topic: &str, key: Option<&str>, payload: Option<Vec<u8>>) {
        let key = key.map(|key| key.as_bytes().to_vec());
        self.log.append(OutRecord { topic: topic.into(), partition: None, key, payload, headers: Vec::new() });
    }

    fn step(&mut self) {
        self.validator.step(&self.log, &self.ids);
        self.executor.step(&self.log, &self.ids);
        self.settler.step(&self.log, &self.ids);
    }

    /// Steps until a round writes nothing more and no lane is down.
    fn run_to_rest(&mut self) {
        let total = |log: &MemoryLog| TOPICS.iter().map(|(topic, _)| log.records(topic).len()).sum::<usize>();
        let (mut before, mut quiet) = (total(&self.log), 0);
        while quiet < 3 {
            self.step();
            let after = total(&self.log);
            quiet = if after == before { quiet + 1 } else { 0 };
            before = after;
        }
    }

    fn read<T: Wire>(&self, topic: &str) -> Vec<T> {
        let mut decoder = decoder::<T>(&self.ids);
        self.log.records(topic).iter().map(|record| decoder.decode(record.payload.as_deref()).unwrap()).collect()
    }
}

/// A world with a generated flow, funded and published.
fn generated(seed: u64, commands: u64) -> World {
    let config = Config { instruments: 4, accounts: 20, commands: Some(commands), ..Config::new(seed, START_MS) };
    let generator = Generator::new(config).unwrap();
    let mut world = World::new();
    for instrument in generator.instruments() {
        world.publish(topic::INSTRUMENTS, &instrument.symbol, &instrument);
    }
    let funded: Vec<_> = generator.accounts().collect();
    for account in &funded {
        world.publish(topic::ACCOUNTS, &account.account.account, &account.account);
    }
    for deposit in funded.iter().flat_map(|account| account.deposits()) {
        world.publish(topic::ORDERS, &deposit.account, &deposit);
    }
    world.run_to_rest();
    for timed in generator {
        world.publish(topic::ORDERS, &timed.command.account, &timed.command);
    }
    world
}

/// Keys and bodies of all that was written, in order.
fn outputs(world: &World) -> Vec<Vec<Record>> {
    [topic::VALIDATED, topic::REJECTED, topic::EXECUTED, topic::SETTLED, "validator.journal", "executor.journal"]
        .map(|topic| world.log.records(topic))
        .to_vec()
}

#[test]
fn a_generated_flow_trades_settles_and_conserves() {
    let mut world = generated(7, 3_000);
    world.run_to_rest();
    let verdicts = world.log.records(topic::VALIDATED).len() + world.log.records(topic::REJECTED).len();
    assert_eq!(verdicts, world.log.records(topic::ORDERS).len(), "each command has one verdict");
    let settlements: Vec<wire::Settlement> = world.read(topic::SETTLED);
    let fees: i64 = settlements
        .iter()
        .flat_map(|settlement| &settlement.postings)
        .filter(|line| line.account == FEES_ACCOUNT)
        .map(|line| line.amount)
        .sum();
    assert!(fees > ONE, "trades pay fees: {fees}");
    for settlement in &settlements {
        for line in &settlement.postings {
            let same_asset = settlement.postings.iter().filter(|other| other.asset == line.asset);
            assert_eq!(same_asset.map(|other| i128::from(other.amount)).sum::<i128>(), 0, "{settlement:?}");
        }
    }
    for topic in ["orders.dlq", "orders.validated.dlq", "trades.executed.dlq"] {
        assert!(world.log.records(topic).is_empty(), "{topic}");
    }
}

#[test]
fn the_same_input_in_the_same_order_gives_the_same_bytes() {
    let run = || {
        let mut world = generated(11, 1_000);
        world.run_to_rest();
        outputs(&world)
    };
    assert!(run() == run());
}

#[test]
fn crashes_before_and_after_commits_lose_and_double_nothing() {
    let mut world = generated(13, 1_500);
    let mut round = 0;
    while round < 60 {
        let fault = if round % 2 == 0 { Fault::CrashBeforeCommit } else { Fault::CrashAfterCommit };
        match round % 3 {
            0 => world.validator.fault.replace(fault),
            1 => world.executor.fault.replace(fault),
            _ => world.settler.fault.replace(fault),
        };
        world.step();
        round += 1;
    }
    world.run_to_rest();
    let restarts = world.validator.restarts + world.executor.restarts + world.settler.restarts;
    assert!(restarts > 20, "only {restarts} restarts");

    let mut verdicts = std::collections::HashMap::new();
    for accepted in world.read::<wire::ValidatedCommand>(topic::VALIDATED) {
        *verdicts.entry(accepted.command_id).or_insert(0) += 1;
    }
    for rejected in world.read::<wire::Rejection>(topic::REJECTED) {
        *verdicts.entry(rejected.command_id).or_insert(0) += 1;
    }
    assert_eq!(verdicts.len(), world.log.records(topic::ORDERS).len());
    assert!(verdicts.values().all(|count| *count == 1));

    let mut sides = std::collections::HashMap::new();
    for settled in world.read::<wire::Settlement>(topic::SETTLED) {
        if let (Some(trade), Some(side)) = (settled.trade_id, settled.side) {
            *sides.entry((trade, side)).or_insert(0) += 1;
        }
    }
    let trades: Vec<i64> =
        world.read::<wire::Execution>(topic::EXECUTED).iter().filter_map(|execution| execution.trade_id).collect();
    assert!(!trades.is_empty());
    for trade in &trades {
        for side in [wire::Side::Buy, wire::Side::Sell] {
            assert_eq!(sides.get(&(*trade, side)), Some(&1), "trade {trade}, {side:?}");
        }
    }
    assert_eq!(sides.len(), 2 * trades.len());
}

#[test]
fn a_state_that_replays_differently_stops_the_lane() {
    let mut world = generated(17, 200);
    world.run_to_rest();
    // Somebody rewrote history: a journal entry claims another hash.
    let forged = world.log.records("executor.journal").pop().unwrap();
    let mut entry = decoder::<wire::JournalEntry>(&world.ids).decode(forged.payload.as_deref()).unwrap();
    entry.runs.clear();
    entry.output_hash ^= 1;
    world.executor.lane = None;
    let mut payload = Vec::new();
    let id = world.ids.registered_id("", wire::JournalEntry::SCHEMA_JSON).unwrap();
    Encoder::new(id).unwrap().encode(&entry, &mut payload).unwrap();
    world.log.append(OutRecord {
        topic: "executor.journal".into(),
        partition: Some(forged.partition),
        key: forged.key,
        payload: Some(payload),
        headers: Vec::new(),
    });
    let stopped =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.executor.step(&world.log, &world.ids)));
    let message = *stopped.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("run the version that wrote it"), "{message}");
}

#[test]
fn what_cannot_be_read_goes_to_the_dead_letters_untouched_and_the_lane_goes_on() {
    let mut world = generated(19, 0);
    // A deposit of an account that exists.
    let deposit = world.read::<wire::Command>(topic::ORDERS).remove(0);
    let good = |id: &str| wire::Command { client_order_id: id.into(), amount: Some(ONE), ..deposit.clone() };
    let account = good("").account;
    let mut unknown_schema = vec![0, 0, 0, 99, 99];
    unknown_schema.extend(b"rest");
    world.publish(topic::ORDERS, &account, &good("first"));
    world.publish_bytes(topic::ORDERS, Some(&account), Some(b"garbage".to_vec()));
    world.publish_bytes(topic::ORDERS, Some(&account), Some(unknown_schema.clone()));
    world.publish_bytes(topic::ORDERS, Some(&account), None);
    let mut keyless = Vec::new();
    let id = world.ids.registered_id("", wire::Command::SCHEMA_JSON).unwrap();
    Encoder::new(id).unwrap().encode(&good("keyless"), &mut keyless).unwrap();
    world.publish_bytes(topic::ORDERS, None, Some(keyless.clone()));
    world.publish(topic::ORDERS, "somebody-else", &good("foreign"));
    world.publish(topic::ORDERS, &account, &good("last"));
    world.run_to_rest();

    let letters = world.log.records("orders.dlq");
    let header = |record: &Record, name: &str| {
        let found = record.headers.iter().find(|(header, _)| header == name);
        String::from_utf8(found.unwrap().1.clone()).unwrap()
    };
    let mut seen: Vec<_> =
        letters.iter().map(|letter| (header(letter, dead_letter::REASON), letter.payload.clone())).collect();
    seen.sort();
    let foreign = seen.iter().filter(|(reason, _)| reason == dead_letter::BAD_KEY).count();
    assert_eq!(foreign, 2, "{seen:?}");
    assert!(seen.contains(&(dead_letter::BAD_KEY.into(), Some(keyless))));
    assert!(seen.contains(&(dead_letter::UNDECODABLE.into(), Some(b"garbage".to_vec()))));
    assert!(seen.contains(&(dead_letter::UNDECODABLE.into(), None)));
    assert!(seen.contains(&(dead_letter::UNKNOWN_SCHEMA.into(), Some(unknown_schema))));
    assert_eq!(seen.len(), 5);
    assert_eq!(header(&letters[0], dead_letter::SOURCE_TOPIC), topic::ORDERS);
    let settled: Vec<wire::Settlement> = world.read(topic::SETTLED);
    let deposits = settled.iter().filter(|settled| settled.postings.iter().any(|line| line.amount == ONE));
    assert_eq!(deposits.count(), 2, "both good ones are settled");
}
