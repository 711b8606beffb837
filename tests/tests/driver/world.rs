//! The three processors' lanes over a log in memory, each built anew whenever it fails.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tapeline_kafka::app::Make;
use tapeline_replay::generate::{Config, Generator};
use tapeline_runtime::lane::{InputSpec, Lane, LaneError, LaneSpec, OwnRecords};
use tapeline_runtime::metrics::Metrics;
use tapeline_runtime::port::OutRecord;
use tapeline_runtime::processor::{Coding, Processor};
use tapeline_runtime::snapshot::SnapshotSpec;
use tapeline_schemas::codec::{Decoder, Encoder, SchemaIds, Wire};
use tapeline_schemas::topic;
use tapeline_tests::memory_log::{Fault, MemoryLog, MemoryPort, registry};

pub(crate) const START_MS: i64 = 1_700_000_000_000;
pub(crate) const TOPICS: [(&str, i32); 16] = [
    (topic::ORDERS, 2),
    (topic::VALIDATED, 2),
    (topic::REJECTED, 2),
    (topic::EXECUTED, 2),
    (topic::DEPTH, 2),
    (topic::SETTLED, 2),
    (topic::ACCOUNTS, 2),
    (topic::INSTRUMENTS, 1),
    (topic::CLOCK, 2),
    ("validator.journal", 2),
    ("executor.journal", 2),
    ("validator.snapshots", 2),
    ("executor.snapshots", 2),
    ("orders.dlq", 2),
    ("orders.validated.dlq", 2),
    ("trades.executed.dlq", 2),
];

fn spec(component: &str, inputs: &[(&str, bool, bool)], keeps_state: bool) -> LaneSpec {
    let input = |(topic, broadcast, reference): &(&str, bool, bool)| InputSpec {
        topic: (*topic).to_owned(),
        broadcast: *broadcast,
        reference: *reference,
        dead_letters: (!reference && *topic != topic::SETTLED).then(|| format!("{topic}.dlq")),
    };
    LaneSpec {
        component: component.to_owned(),
        inputs: inputs.iter().map(input).collect(),
        journal: keeps_state.then(|| format!("{component}.journal")),
        // So small and so often that each test meets many.
        snapshots: keeps_state.then(|| SnapshotSpec {
            topic: format!("{component}.snapshots"),
            block_bytes: 300,
            min_records: 40,
            max_records: 90,
            max_age_ms: 1_000,
        }),
        max_batch_records: 50,
    }
}

/// A lane that is built anew whenever it fails.
pub(crate) struct Member<P: Processor, C: Coding<P>> {
    pub(crate) spec: LaneSpec,
    pub(crate) make: Make<P, C>,
    pub(crate) fault: Rc<RefCell<Fault>>,
    pub(crate) lane: Option<Lane<P, C, MemoryPort>>,
    pub(crate) restarts: u32,
}

impl<P: Processor, C: Coding<P>> Member<P, C> {
    pub(crate) fn new(spec: LaneSpec, make: Make<P, C>) -> Self {
        Self { spec, make, fault: Rc::default(), lane: None, restarts: 0 }
    }

    pub(crate) fn step(&mut self, log: &MemoryLog, ids: &Arc<dyn SchemaIds>) {
        let lane = self.lane.get_or_insert_with(|| {
            let (processor, coding) = (self.make)(&self.spec, ids).unwrap();
            let records = OwnRecords::new(&self.spec, ids).unwrap();
            let port = MemoryPort::open(log, &self.spec, &self.fault);
            let metrics = Metrics::new().unwrap().lane(&self.spec.component, 0);
            Lane::new(self.spec.clone(), processor, coding, records, port, metrics)
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

pub(crate) fn decoder<T: Wire>(ids: &Arc<dyn SchemaIds>) -> Decoder<T> {
    let id = ids.registered_id("", T::SCHEMA_JSON).unwrap();
    Decoder::new(id, Arc::clone(ids) as _)
}

pub(crate) struct World {
    pub(crate) log: MemoryLog,
    pub(crate) ids: Arc<dyn SchemaIds>,
    pub(crate) validator: Member<tapeline_validator::Validator, tapeline_validator::ValidatorCoding>,
    pub(crate) executor: Member<tapeline_executor::Executor, tapeline_executor::ExecutorCoding>,
    pub(crate) settler: Member<tapeline_settler::Settler, tapeline_settler::SettlerCoding>,
}

impl World {
    pub(crate) fn new() -> Self {
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
            validator: Member::new(spec("validator", &validator, true), tapeline_validator::make),
            executor: Member::new(spec("executor", &executor, true), tapeline_executor::make),
            settler: Member::new(spec("settler", &[(topic::EXECUTED, false, false)], false), tapeline_settler::make),
        }
    }

    pub(crate) fn publish<T: Wire>(&self, topic: &str, key: &str, value: &T) {
        let mut payload = Vec::new();
        let id = self.ids.registered_id(topic, T::SCHEMA_JSON).unwrap();
        Encoder::new(id).encode(value, &mut payload);
        self.publish_bytes(topic, Some(key), Some(payload));
    }

    pub(crate) fn publish_bytes(&self, topic: &str, key: Option<&str>, payload: Option<Vec<u8>>) {
        let key = key.map(|key| key.as_bytes().to_vec());
        self.log.append(OutRecord { topic: topic.into(), partition: None, key, payload, headers: Vec::new() });
    }

    pub(crate) fn step(&mut self) {
        self.validator.step(&self.log, &self.ids);
        self.executor.step(&self.log, &self.ids);
        self.settler.step(&self.log, &self.ids);
    }

    /// Steps until a round writes nothing more and no lane is down.
    pub(crate) fn run_to_rest(&mut self) {
        let total = |log: &MemoryLog| TOPICS.iter().map(|(topic, _)| log.records(topic).len()).sum::<usize>();
        let (mut before, mut quiet) = (total(&self.log), 0);
        while quiet < 3 {
            self.step();
            let after = total(&self.log);
            quiet = if after == before { quiet + 1 } else { 0 };
            before = after;
        }
    }

    pub(crate) fn read<T: Wire>(&self, topic: &str) -> Vec<T> {
        let mut decoder = decoder::<T>(&self.ids);
        self.log.records(topic).iter().map(|record| decoder.decode(record.payload.as_deref()).unwrap()).collect()
    }
}

/// A world with a generated flow, funded and published.
pub(crate) fn generated(seed: u64, commands: u64) -> World {
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
