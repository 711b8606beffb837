//! The simulated broker: topics with partitions, transactions with markers that occupy offsets, the last stable offset,
//! producer epochs, groups. Time is virtual. What is absent: anything random; who asks decides what goes wrong.

use crate::group::Group;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tapeline_runtime::port::{InputPartition, OutRecord, PortError, Record};
use tapeline_schemas::codec::{SchemaIds, SchemaSource};
use tapeline_schemas::topic::partition_of;
use xxhash_rust::xxh3::Xxh3;

/// `transaction.timeout.ms` of the lanes.
const TRANSACTION_TIMEOUT_MS: i64 = 60_000;

/// A registry that gives each schema the next id.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Vec<String>>);

impl SchemaSource for Registry {
    fn schema_json(&self, id: u32) -> Result<Option<String>, String> {
        let known = self.0.lock().map_err(|error| error.to_string())?;
        Ok(known.get((id as usize).wrapping_sub(1)).cloned())
    }
}

impl SchemaIds for Registry {
    fn registered_id(&self, _topic: &str, schema_json: &str) -> Result<u32, String> {
        let mut known = self.0.lock().map_err(|error| error.to_string())?;
        let index = known.iter().position(|known| known == schema_json).unwrap_or_else(|| {
            known.push(schema_json.to_owned());
            known.len() - 1
        });
        Ok(index as u32 + 1)
    }
}

/// A place in the log: a record, or a transaction's marker.
struct Entry {
    /// `None`: a marker, or a record that is gone.
    record: Option<Record>,
    transaction: u64,
    aborted: bool,
}

#[derive(Default)]
struct Partition {
    entries: Vec<Entry>,
    /// First offset of each transaction that has no marker here yet.
    open: BTreeMap<u64, usize>,
    away_until_ms: i64,
    /// How far this leader's clock is ahead.
    skew_ms: i64,
}

impl Partition {
    fn stable_end(&self) -> usize {
        self.open.values().copied().min().unwrap_or(self.entries.len())
    }
}

/// Where a decided transaction still lacks its marker.
#[derive(Clone, PartialEq, Eq)]
enum Target {
    Log(String, i32),
    Offsets(String),
}

struct Transaction {
    id: u64,
    began_ms: i64,
    targets: Vec<Target>,
    /// Set when the outcome is decided: whether it commits.
    decided: Option<bool>,
}

#[derive(Default)]
struct Producer {
    epoch: u32,
    transaction: Option<Transaction>,
}

/// The broker.
#[derive(Default)]
pub(crate) struct Broker {
    /// What brokers stamp on records, milliseconds.
    pub(crate) append_ms: i64,
    /// What time-outs go by, milliseconds.
    pub(crate) clock_ms: i64,
    pub(crate) commits: u64,
    pub(crate) aborts: u64,
    /// Changes whenever a reader may see more than before.
    pub(crate) version: u64,
    pub(crate) groups: BTreeMap<String, Group>,
    topics: BTreeMap<String, Vec<Partition>>,
    producers: BTreeMap<String, Producer>,
    transactions: u64,
}

fn unknown(topic: &str, partition: i32) -> PortError {
    PortError::Fatal(format!("the simulated broker has no {topic}, partition {partition}"))
}

fn fenced(id: &str) -> PortError {
    PortError::Fenced(format!("producer {id}: its epoch is over"))
}

impl Broker {
    pub(crate) fn create(&mut self, topic: &str, partitions: i32) {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        self.topics.insert(topic.to_owned(), partitions);
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = (&str, i32)> {
        self.topics.iter().map(|(name, partitions)| (name.as_str(), partitions.len() as i32))
    }

    pub(crate) fn partitions(&self, topic: &str) -> i32 {
        self.topics.get(topic).map_or(0, |partitions| partitions.len() as i32)
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<&Partition, PortError> {
        let found = self.topics.get(topic).and_then(|partitions| partitions.get(partition as usize));
        found.ok_or_else(|| unknown(topic, partition))
    }

    fn partition_mut(&mut self, topic: &str, partition: i32) -> Result<&mut Partition, PortError> {
        let found = self.topics.get_mut(topic).and_then(|partitions| partitions.get_mut(partition as usize));
        found.ok_or_else(|| unknown(topic, partition))
    }

    /// Whether the leader of a partition answers.
    fn up(&self, topic: &str, partition: i32) -> Result<(), PortError> {
        if self.partition(topic, partition)?.away_until_ms > self.clock_ms {
            return Err(PortError::Away(format!("{topic}, partition {partition}: the leader is away")));
        }
        Ok(())
    }

    pub(crate) fn leader_goes(&mut self, topic: &str, partition: i32, for_ms: i64, skew_ms: i64) {
        let until_ms = self.clock_ms + for_ms;
        if let Ok(partition) = self.partition_mut(topic, partition) {
            partition.away_until_ms = until_ms;
            partition.skew_ms = skew_ms;
        }
    }

    pub(crate) fn all_leaders_return(&mut self) {
        for partition in self.topics.values_mut().flatten() {
            partition.away_until_ms = 0;
        }
    }

    fn put(&mut self, out: &OutRecord, transaction: u64) -> Result<(String, i32, i64), PortError> {
        let count = self.partitions(&out.topic);
        let number = out.partition.unwrap_or_else(|| partition_of(out.key.as_deref().unwrap_or_default(), count));
        self.up(&out.topic, number)?;
        let append_ms = self.append_ms;
        let log = self.partition_mut(&out.topic, number)?;
        let offset = log.entries.len();
        let record = Record {
            input: usize::MAX,
            partition: number,
            offset: offset as i64,
            timestamp_ms: append_ms + log.skew_ms,
            key: out.key.clone(),
            payload: out.payload.clone(),
            headers: out.headers.clone(),
        };
        log.entries.push(Entry { record: Some(record), transaction, aborted: false });
        if transaction != 0 {
            log.open.entry(transaction).or_insert(offset);
        }
        self.version += 1;
        Ok((out.topic.clone(), number, offset as i64))
    }

    /// Appends outside transactions; gives the partition.
    pub(crate) fn append(&mut self, out: &OutRecord) -> Result<i32, PortError> {
        self.put(out, 0).map(|(_, partition, _)| partition)
    }

    /// Offset after the last committed record that a reader may see.
    pub(crate) fn stable_end(&self, topic: &str, partition: i32) -> i64 {
        self.partition(topic, partition).map_or(0, |log| log.stable_end() as i64)
    }

    /// Whether no transaction is open on a partition or lacks its marker there.
    pub(crate) fn is_stable(&self, topic: &str, partition: i32) -> bool {
        self.partition(topic, partition).is_ok_and(|log| log.open.is_empty())
    }

    /// Whether nothing is open and a reader at `from` has nothing left to see.
    pub(crate) fn is_drained(&self, topic: &str, partition: i32, from: i64) -> bool {
        self.partition(topic, partition).is_ok_and(|log| {
            log.open.is_empty()
                && !log.entries.iter().skip(from.max(0) as usize).any(|entry| entry.record.is_some() && !entry.aborted)
        })
    }

    /// The first committed record at `from` or later and below `end`.
    pub(crate) fn read(&self, topic: &str, partition: i32, from: i64, end: i64) -> Option<&Record> {
        let log = self.partition(topic, partition).ok()?;
        let end = log.stable_end().min(end.max(0) as usize);
        let from = from.max(0) as usize;
        log.entries.get(from..end)?.iter().filter(|entry| !entry.aborted).find_map(|entry| entry.record.as_ref())
    }

    /// As [`Broker::read`], for clients: fails while the leader is away.
    pub(crate) fn fetch(&self, topic: &str, partition: i32, from: i64, end: i64) -> Result<Option<&Record>, PortError> {
        self.up(topic, partition)?;
        Ok(self.read(topic, partition, from, end))
    }

    /// A producer takes over a transactional id: what its former life left open ends.
    pub(crate) fn init_producer(&mut self, id: &str) -> u32 {
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        if let Some(open) = producer.transaction.as_mut().filter(|transaction| transaction.decided.is_none()) {
            open.decided = Some(false);
            self.aborts += 1;
        }
        self.finish(id);
        self.producers.get(id).map_or(0, |producer| producer.epoch)
    }

    /// Takes over every transactional id of `component` that belongs to no member.
    pub(crate) fn fence_absent(&mut self, component: &str, is_member: impl Fn(&str) -> bool) {
        let prefix = format!("{component}-");
        let absent = |id: &&String| id.starts_with(&prefix) && !is_member(id);
        let absent: Vec<String> = self.producers.keys().filter(absent).cloned().collect();
        for id in absent {
            self.init_producer(&id);
        }
    }

    /// Transactions that have not ended, or lack markers.
    pub(crate) fn open_transactions(&self) -> Vec<&str> {
        self.producers
            .iter()
            .filter(|(_, producer)| producer.transaction.is_some())
            .map(|(id, _)| id.as_str())
            .collect()
    }

    /// The transaction that a producer of this epoch may write to; begun if there is none.
    fn transaction(&mut self, id: &str, epoch: u32) -> Result<&mut Transaction, PortError> {
        let decided = |producer: &Producer| producer.transaction.as_ref().is_some_and(|one| one.decided.is_some());
        if self.producers.get(id).is_some_and(decided) {
            // The client waits until the last transaction has all its markers.
            self.finish(id);
        }
        let (clock_ms, next) = (self.clock_ms, self.transactions + 1);
        let producer = self.producers.get_mut(id).filter(|producer| producer.epoch == epoch);
        let producer = producer.ok_or_else(|| fenced(id))?;
        if producer.transaction.is_none() {
            self.transactions = next;
        }
        Ok(producer.transaction.get_or_insert_with(|| Transaction {
            id: next,
            began_ms: clock_ms,
            targets: Vec::new(),
            decided: None,
        }))
    }

    /// Writes a record within the producer's transaction.
    pub(crate) fn produce(&mut self, id: &str, epoch: u32, out: &OutRecord) -> Result<(i32, i64), PortError> {
        let transaction = self.transaction(id, epoch)?.id;
        let (topic, partition, offset) = self.put(out, transaction)?;
        let target = Target::Log(topic, partition);
        let transaction = self.transaction(id, epoch)?;
        if !transaction.targets.contains(&target) {
            transaction.targets.push(target);
        }
        Ok((partition, offset))
    }

    /// Adds a group's offsets to the producer's transaction. `member` is the fence: the group must know it. A client
    /// that names none is not checked, as Kafka does for clients of before KIP-447.
    pub(crate) fn add_offsets(
        &mut self,
        (id, epoch): (&str, u32),
        group: &str,
        member: Option<u64>,
        offsets: &[(InputPartition, i64)],
    ) -> Result<(), PortError> {
        let transaction = self.transaction(id, epoch)?;
        let number = transaction.id;
        let target = Target::Offsets(group.to_owned());
        if !transaction.targets.contains(&target) {
            transaction.targets.push(target);
        }
        let known = self.groups.get_mut(group).filter(|group| member.is_none_or(|member| group.knows(member)));
        let known = known.ok_or_else(|| PortError::Fenced(format!("group {group}: the member is unknown")))?;
        known.hold(number, offsets);
        Ok(())
    }

    /// Decides the producer's transaction. `order` shuffles the order of its markers.
    pub(crate) fn end(
        &mut self,
        id: &str,
        epoch: u32,
        commit: bool,
        order: impl FnOnce(&mut Vec<usize>),
    ) -> Result<(), PortError> {
        let producer = self.producers.get_mut(id).filter(|producer| producer.epoch == epoch);
        let producer = producer.ok_or_else(|| fenced(id))?;
        let Some(transaction) = producer.transaction.as_mut() else { return Ok(()) };
        if transaction.decided.is_none() {
            transaction.decided = Some(commit);
            let mut places: Vec<usize> = (0..transaction.targets.len()).collect();
            order(&mut places);
            transaction.targets = places.iter().map(|place| transaction.targets[*place].clone()).collect();
            *(if commit { &mut self.commits } else { &mut self.aborts }) += 1;
        }
        Ok(())
    }

    /// Writes one marker of a decided transaction; false if there is none to write.
    pub(crate) fn write_marker(&mut self, id: &str) -> bool {
        let Some(producer) = self.producers.get_mut(id) else { return false };
        let Some(transaction) = producer.transaction.as_mut() else { return false };
        let Some(commit) = transaction.decided else { return false };
        let (number, target) = (transaction.id, transaction.targets.pop());
        match target {
            None => producer.transaction = None,
            Some(Target::Offsets(group)) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.complete(number, commit);
                }
            }
            Some(Target::Log(topic, partition)) => {
                if let Ok(log) = self.partition_mut(&topic, partition) {
                    let first = log.open.remove(&number).unwrap_or(log.entries.len());
                    if !commit {
                        let of_it = log.entries.iter_mut().skip(first).filter(|entry| entry.transaction == number);
                        of_it.for_each(|entry| entry.aborted = true);
                    }
                    log.entries.push(Entry { record: None, transaction: number, aborted: !commit });
                }
            }
        }
        self.version += 1;
        true
    }

    fn finish(&mut self, id: &str) {
        while self.write_marker(id) {}
    }

    /// Producers with a decided transaction that lacks markers.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let decided = |producer: &Producer| producer.transaction.as_ref().is_some_and(|one| one.decided.is_some());
        self.producers.iter().filter(|(_, producer)| decided(producer)).map(|(id, _)| id.clone()).collect()
    }

    /// Ends transactions that have been open for too long, and fences their producers.
    pub(crate) fn time_out(&mut self) {
        let now_ms = self.clock_ms;
        for producer in self.producers.values_mut() {
            if let Some(transaction) = producer.transaction.as_mut()
                && transaction.decided.is_none()
                && now_ms - transaction.began_ms > TRANSACTION_TIMEOUT_MS
            {
                transaction.decided = Some(false);
                producer.epoch += 1;
                self.aborts += 1;
            }
        }
    }

    /// Changes the record at `offset`; `None` removes it.
    pub(crate) fn damage(
        &mut self,
        topic: &str,
        partition: i32,
        offset: usize,
        change: impl FnOnce(&mut Vec<u8>) -> bool,
    ) {
        let Ok(log) = self.partition_mut(topic, partition) else { return };
        let Some(entry) = log.entries.get_mut(offset) else { return };
        let keep = entry.record.as_mut().and_then(|record| record.payload.as_mut()).is_some_and(change);
        if !keep {
            entry.record = None;
        }
    }

    /// Number of records and a hash over all logs: topic, partition, offset, time, key and value of each, and what is
    /// aborted. Left out are headers: dead letters carry the wall clock's time there.
    pub(crate) fn fingerprint(&self) -> (u64, u64) {
        let (mut hash, mut count) = (Xxh3::new(), 0);
        for (topic, partitions) in &self.topics {
            hash.update(topic.as_bytes());
            for (number, log) in partitions.iter().enumerate() {
                for (offset, entry) in log.entries.iter().enumerate() {
                    hash.update(&(number as u64).to_le_bytes());
                    hash.update(&(offset as u64).to_le_bytes());
                    hash.update(&[u8::from(entry.aborted), u8::from(entry.record.is_some())]);
                    let Some(record) = &entry.record else { continue };
                    count += 1;
                    hash.update(&record.timestamp_ms.to_le_bytes());
                    hash.update(record.key.as_deref().unwrap_or(b"\0none"));
                    hash.update(record.payload.as_deref().unwrap_or(b"\0none"));
                }
            }
        }
        (count, hash.digest())
    }
}

/// A registry behind the handle that codings want.
pub(crate) fn registry() -> Arc<dyn SchemaIds> {
    Arc::new(Registry::default())
}
