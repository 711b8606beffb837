//! A log in memory with what a lane needs of Kafka: partitions, groups' offsets and transactions that are all or
//! nothing. Time is virtual: each appended record is one millisecond later.
//!
//! What is absent: threads, rebalances between members (a test assigns by building ports) and markers of transactions.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tapeline_runtime::lane::LaneSpec;
use tapeline_runtime::port::{Bounds, InputPartition, OutRecord, OutView, Polled, Port, PortError, Reader, Record};
use tapeline_schemas::codec::{SchemaIds, SchemaSource};
use tapeline_schemas::topic::partition_of;

/// A registry that gives each schema the next id.
#[derive(Default)]
pub struct MemoryRegistry(Mutex<Vec<String>>);

impl SchemaSource for MemoryRegistry {
    fn schema_json(&self, id: u32) -> Result<Option<String>, String> {
        let known = self.0.lock().map_err(|error| error.to_string())?;
        Ok(known.get((id as usize).wrapping_sub(1)).cloned())
    }
}

impl SchemaIds for MemoryRegistry {
    fn registered_id(&self, _topic: &str, schema_json: &str) -> Result<u32, String> {
        let mut known = self.0.lock().map_err(|error| error.to_string())?;
        let index = known.iter().position(|known| known == schema_json).unwrap_or_else(|| {
            known.push(schema_json.to_owned());
            known.len() - 1
        });
        Ok(index as u32 + 1)
    }
}

#[derive(Default)]
struct Inner {
    now_ms: i64,
    topics: BTreeMap<String, Vec<Vec<Record>>>,
    offsets: HashMap<(String, String, i32), i64>,
    /// Where partitions begin whose first records are gone.
    starts: HashMap<(String, i32), i64>,
}

/// The log; clones share it.
#[derive(Clone, Default)]
pub struct MemoryLog(Rc<RefCell<Inner>>);

impl MemoryLog {
    /// A log with these topics and numbers of partitions; time begins at `now_ms`.
    pub fn new(now_ms: i64, topics: &[(&str, i32)]) -> Self {
        let log = Self::default();
        log.0.borrow_mut().now_ms = now_ms;
        for (name, partitions) in topics {
            log.0.borrow_mut().topics.insert((*name).to_owned(), vec![Vec::new(); *partitions as usize]);
        }
        log
    }

    /// Appends a record as an outside publisher would.
    pub fn append(&self, out: OutRecord) {
        let mut inner = self.0.borrow_mut();
        inner.now_ms += 1;
        let timestamp_ms = inner.now_ms;
        let partitions = inner.topics.entry(out.topic).or_insert_with(|| vec![Vec::new()]);
        let by_key = || partition_of(out.key.as_deref().unwrap_or_default(), partitions.len() as i32);
        let partition = out.partition.unwrap_or_else(by_key);
        let records = &mut partitions[partition as usize];
        let offset = records.len() as i64;
        let (key, payload, headers) = (out.key, out.payload, out.headers);
        records.push(Record { input: usize::MAX, partition, offset, timestamp_ms, key, payload, headers });
    }

    /// All records of a topic, partition by partition.
    pub fn records(&self, topic: &str) -> Vec<Record> {
        self.0.borrow().topics.get(topic).map(|partitions| partitions.concat()).unwrap_or_default()
    }

    /// Deletes the records of a partition below `offset`, as retention does.
    pub fn forget(&self, topic: &str, partition: i32, offset: i64) {
        self.0.borrow_mut().starts.insert((topic.to_owned(), partition), offset);
    }

    /// Changes records that are in the log already.
    pub fn damage(&self, topic: &str, partition: i32, damage: impl FnMut(&mut Record)) {
        if let Some(partitions) = self.0.borrow_mut().topics.get_mut(topic) {
            partitions[partition as usize].iter_mut().for_each(damage);
        }
    }

    fn bounds(&self, topic: &str, partition: i32) -> Bounds {
        let inner = self.0.borrow();
        let start = inner.starts.get(&(topic.to_owned(), partition)).copied().unwrap_or(0);
        Bounds { start, end: inner.topics.get(topic).map_or(0, |all| all[partition as usize].len() as i64) }
    }

    fn record(&self, topic: &str, partition: i32, offset: i64) -> Option<Record> {
        self.0.borrow().topics.get(topic)?.get(partition as usize)?.get(offset as usize).cloned()
    }
}

/// What a port does to its lane on purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The process dies before the next commit reaches the log.
    CrashBeforeCommit,
    /// The process dies after the next commit has reached the log, before it hears of it.
    CrashAfterCommit,
}

/// A member of a group that holds all partitions.
pub struct MemoryPort {
    log: MemoryLog,
    group: String,
    inputs: Vec<(String, bool)>,
    positions: BTreeMap<InputPartition, i64>,
    next: VecDeque<InputPartition>,
    events: VecDeque<Polled>,
    transaction: Option<Vec<OutRecord>>,
    /// The next fault.
    pub fault: Rc<RefCell<Fault>>,
}

impl MemoryPort {
    /// Joins the group of `spec.component`.
    pub fn open(log: &MemoryLog, spec: &LaneSpec, fault: &Rc<RefCell<Fault>>) -> Self {
        let inputs: Vec<_> = spec.inputs.iter().map(|input| (input.topic.clone(), input.broadcast)).collect();
        let mut port = Self {
            log: log.clone(),
            group: spec.component.clone(),
            inputs,
            positions: BTreeMap::new(),
            next: VecDeque::new(),
            events: VecDeque::new(),
            transaction: None,
            fault: Rc::clone(fault),
        };
        let mut assigned = Vec::new();
        for (input, (topic, _)) in port.inputs.iter().enumerate().filter(|(_, (_, broadcast))| !broadcast) {
            for partition in 0..port.partitions(topic).unwrap_or(0) {
                let committed = port.committed(topic, partition).unwrap_or(None).unwrap_or(0);
                port.positions.insert((input, partition), committed);
                assigned.push((input, partition));
            }
        }
        port.next.extend(assigned.iter().copied());
        port.events.push_back(Polled::Assigned(assigned));
        port
    }
}

impl Port for MemoryPort {
    fn poll(&mut self, _wait: Duration) -> Result<Polled, PortError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        // Takes turns between the partitions, so that inputs interleave.
        for _ in 0..self.next.len() {
            let Some(at) = self.next.pop_front() else { break };
            self.next.push_back(at);
            let offset = self.positions.get(&at).copied().unwrap_or(0);
            if let Some(mut record) = self.log.record(&self.inputs[at.0].0, at.1, offset) {
                self.positions.insert(at, offset + 1);
                record.input = at.0;
                return Ok(Polled::Record(record));
            }
        }
        Ok(Polled::Nothing)
    }

    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError> {
        let Bounds { start, end } = self.log.bounds(topic, partition);
        let at = from.max(start);
        Ok(Box::new(MemoryReader { log: self.log.clone(), topic: topic.to_owned(), partition, at, end }))
    }

    fn committed(&self, topic: &str, partition: i32) -> Result<Option<i64>, PortError> {
        let key = (self.group.clone(), topic.to_owned(), partition);
        Ok(self.log.0.borrow().offsets.get(&key).copied())
    }

    fn bounds(&self, topic: &str, partition: i32) -> Result<Bounds, PortError> {
        Ok(self.log.bounds(topic, partition))
    }

    fn wait_stable(&mut self, _topic: &str, _partition: i32) -> Result<(), PortError> {
        Ok(())
    }

    fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        Ok(self.log.0.borrow().topics.get(topic).map_or(1, Vec::len) as i32)
    }

    fn follow_broadcast(&mut self, positions: &[(InputPartition, i64)]) -> Result<(), PortError> {
        for (at, offset) in positions {
            if self.positions.insert(*at, *offset).is_none() {
                self.next.push_back(*at);
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), PortError> {
        self.transaction = Some(Vec::new());
        Ok(())
    }

    fn send(&mut self, record: OutView<'_>) -> Result<(), PortError> {
        let open = self.transaction.as_mut().ok_or_else(|| PortError::Fatal("no transaction is open".into()))?;
        open.push(record.into());
        Ok(())
    }

    fn commit(&mut self, offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
        let fault = self.fault.replace(Fault::None);
        if fault == Fault::CrashBeforeCommit {
            return Err(PortError::Away("crash before the commit".into()));
        }
        self.transaction.take().into_iter().flatten().for_each(|record| self.log.append(record));
        for ((input, partition), offset) in offsets {
            let key = (self.group.clone(), self.inputs[*input].0.clone(), *partition);
            self.log.0.borrow_mut().offsets.insert(key, *offset);
        }
        match fault {
            Fault::CrashAfterCommit => Err(PortError::Away("crash after the commit".into())),
            _ => Ok(()),
        }
    }

    fn written(&self, topic: &str, partition: i32) -> Option<i64> {
        Some(self.log.bounds(topic, partition).end)
    }

    fn starts(&self) -> Vec<(InputPartition, i64)> {
        let at = |(input, partition): &InputPartition| self.log.bounds(&self.inputs[*input].0, *partition).start;
        self.positions.keys().map(|partition| (*partition, at(partition))).collect()
    }

    fn lag(&self) -> Vec<(InputPartition, i64)> {
        Vec::new()
    }
}

struct MemoryReader {
    log: MemoryLog,
    topic: String,
    partition: i32,
    at: i64,
    end: i64,
}

impl Reader for MemoryReader {
    fn next(&mut self) -> Result<Option<Record>, PortError> {
        if self.at >= self.end {
            return Ok(None);
        }
        self.at += 1;
        Ok(self.log.record(&self.topic, self.partition, self.at - 1))
    }
}

/// A registry behind the handle that codings want.
pub fn registry() -> Arc<dyn SchemaIds> {
    Arc::new(MemoryRegistry::default())
}
