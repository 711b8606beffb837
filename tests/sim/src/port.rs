//! The lane's port on the simulated broker, with the same steps in the same order as the real one in `processors/kafka`:
//! offsets into the transaction (the fence), then the records that are still in the client's queue, then the end of the
//! transaction. At each step the process may die, stand still, or be overtaken by others.

use crate::fault::Fault;
use crate::group::Change;
use crate::world::{Handle, Step, World};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tapeline_runtime::lane::LaneSpec;
use tapeline_runtime::port::{Bounds, InputPartition, OutRecord, OutView, Polled, Port, PortError, Reader, Record};

/// Looks for stable offsets before a request gives up.
const PATIENCE_ROUNDS: u32 = 4;

/// What a member reads: partitions with positions, in an order that changes.
#[derive(Default)]
pub(crate) struct Positions {
    at: BTreeMap<InputPartition, Option<i64>>,
    last: Option<InputPartition>,
}

impl Positions {
    pub(crate) fn forget(&mut self, partitions: &[InputPartition]) {
        self.at.retain(|at, _| !partitions.contains(at));
        self.last = None;
    }

    pub(crate) fn take_all(&mut self) -> Vec<InputPartition> {
        self.last = None;
        std::mem::take(&mut self.at).into_keys().collect()
    }

    pub(crate) fn start(&mut self, at: InputPartition, from: Option<i64>) {
        self.at.insert(at, from);
    }

    /// The next record of any partition: mostly goes on with the last one, as a fetched batch does.
    pub(crate) fn next(&mut self, world: &World, topics: &[String], group: &str) -> Option<Record> {
        let mut order: Vec<InputPartition> = self.at.keys().copied().collect();
        let first = match self.last.filter(|_| world.draw(|dice| dice.chance(700_000))) {
            Some(last) => order.iter().position(|at| *at == last),
            None => None,
        };
        let first = first.unwrap_or_else(|| world.draw(|dice| dice.index(order.len())));
        let first = first.min(order.len().saturating_sub(1));
        order.rotate_left(first);
        let broker = world.broker.borrow();
        for at in order {
            let known = self.at.get(&at).copied().flatten();
            let position = match known {
                Some(position) => position,
                // The client can't begin before the group's offset is stable.
                None => match broker.groups.get(group).map(|group| group.committed(at)) {
                    Some(Ok(committed)) => committed.unwrap_or(0),
                    _ => continue,
                },
            };
            let found = broker.fetch(&topics[at.0], at.1, position, i64::MAX).ok().flatten();
            let next = found.map_or(position, |record| record.offset + 1);
            self.at.insert(at, Some(next));
            if let Some(record) = found {
                self.last = Some(at);
                return Some(Record { input: at.0, ..record.clone() });
            }
        }
        None
    }
}

/// A group member with a transactional producer.
pub(crate) struct SimPort {
    world: Rc<World>,
    me: Rc<Handle>,
    topics: Vec<String>,
    positions: Positions,
    producer_id: String,
    epoch: u32,
    /// Records that the client has not sent yet.
    queue: VecDeque<OutRecord>,
    /// Offsets after the newest delivered records.
    written: BTreeMap<(String, i32), i64>,
    in_transaction: bool,
}

impl SimPort {
    /// Takes over the producer's id and joins the group.
    pub(crate) fn open(world: &Rc<World>, me: &Rc<Handle>, spec: &LaneSpec) -> Result<Self, PortError> {
        world.hazard(me, Step::Begin)?;
        let producer_id = me.name.clone();
        let epoch = world.broker.borrow_mut().init_producer(&producer_id);
        world.join(me);
        let topics = spec.inputs.iter().map(|input| input.topic.clone()).collect();
        Ok(Self {
            world: Rc::clone(world),
            me: Rc::clone(me),
            topics,
            positions: Positions::default(),
            producer_id,
            epoch,
            queue: VecDeque::new(),
            written: BTreeMap::new(),
            in_transaction: false,
        })
    }

    fn send_queued(&mut self) -> Result<(), PortError> {
        if let Some(record) = self.queue.pop_front() {
            let (partition, offset) = self.world.broker.borrow_mut().produce(&self.producer_id, self.epoch, &record)?;
            self.written.insert((record.topic, partition), offset + 1);
        }
        Ok(())
    }

    fn write_markers(&self) {
        let late = self.world.strikes(Fault::LateMarkers);
        let markers = if late { self.world.draw(|dice| dice.below(3)) } else { u64::MAX };
        for _ in 0..markers {
            if !self.world.broker.borrow_mut().write_marker(&self.producer_id) {
                break;
            }
        }
    }

    fn end(&self, commit: bool) -> Result<(), PortError> {
        let mut broker = self.world.broker.borrow_mut();
        broker.end(&self.producer_id, self.epoch, commit, |places| self.world.draw(|dice| dice.shuffle(places)))
    }
}

/// What the group says to a member, as events of a poll.
pub(crate) fn group_event(world: &World, me: &Handle, positions: &mut Positions) -> Option<Polled> {
    match world.poll_group(me) {
        Change::Nothing => None,
        Change::Lost => {
            let lost = positions.take_all();
            world.join(me);
            (!lost.is_empty()).then_some(Polled::Revoked(lost))
        }
        Change::Revoked(partitions) => {
            positions.forget(&partitions);
            Some(Polled::Revoked(partitions))
        }
        Change::Assigned(partitions) => Some(Polled::Assigned(partitions)),
    }
}

/// A reader of one partition up to the end that it had on opening.
pub(crate) fn reader(
    world: &Rc<World>,
    me: &Rc<Handle>,
    topic: &str,
    partition: i32,
    from: i64,
) -> Result<Box<dyn Reader>, PortError> {
    world.hazard(me, Step::Poll)?;
    let end = world.broker.borrow().stable_end(topic, partition);
    let (world, me, topic) = (Rc::clone(world), Rc::clone(me), topic.to_owned());
    Ok(Box::new(SimReader { world, me, topic, partition, at: from, end }))
}

struct SimReader {
    world: Rc<World>,
    me: Rc<Handle>,
    topic: String,
    partition: i32,
    at: i64,
    end: i64,
}

impl Reader for SimReader {
    fn next(&mut self) -> Result<Option<Record>, PortError> {
        self.world.hazard(&self.me, Step::Read)?;
        let broker = self.world.broker.borrow();
        let record = broker.fetch(&self.topic, self.partition, self.at, self.end)?.cloned();
        if let Some(record) = &record {
            self.at = record.offset + 1;
        }
        Ok(record)
    }
}

impl Port for SimPort {
    fn poll(&mut self, _wait: Duration) -> Result<Polled, PortError> {
        self.world.hazard(&self.me, Step::Poll)?;
        if let Some(event) = group_event(&self.world, &self.me, &mut self.positions) {
            if let Polled::Assigned(partitions) = &event {
                self.world.fence_the_absent(&self.me);
                partitions.iter().for_each(|at| self.positions.start(*at, None));
            }
            return Ok(event);
        }
        if self.world.strikes(Fault::ShortPoll) {
            return Ok(Polled::Nothing);
        }
        let next = self.positions.next(&self.world, &self.topics, self.me.component.name());
        Ok(next.map_or(Polled::Nothing, Polled::Record))
    }

    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError> {
        reader(&self.world, &self.me, topic, partition, from)
    }

    fn committed(&self, topic: &str, partition: i32) -> Result<Option<i64>, PortError> {
        self.world.hazard(&self.me, Step::Poll)?;
        let input = self.topics.iter().position(|name| name == topic).unwrap_or(usize::MAX);
        for _ in 0..PATIENCE_ROUNDS {
            let broker = self.world.broker.borrow();
            let group = broker.groups.get(self.me.component.name());
            if let Some(Ok(committed)) = group.map(|group| group.committed((input, partition))) {
                return Ok(committed);
            }
            drop(broker);
            self.world.others_work(3);
        }
        Err(PortError::Away(format!("offsets of {topic}, partition {partition}: a transaction is open on them")))
    }

    fn bounds(&self, topic: &str, partition: i32) -> Result<Bounds, PortError> {
        self.world.hazard(&self.me, Step::Read)?;
        Ok(Bounds { start: 0, end: self.world.broker.borrow().stable_end(topic, partition) })
    }

    fn wait_stable(&mut self, topic: &str, partition: i32) -> Result<(), PortError> {
        self.world.hazard(&self.me, Step::Poll)?;
        for _ in 0..PATIENCE_ROUNDS {
            if self.world.broker.borrow().is_stable(topic, partition) {
                return Ok(());
            }
            self.world.others_work(3);
        }
        Err(PortError::Away(format!("{topic}, partition {partition}: a transaction is open on it")))
    }

    fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        Ok(self.world.broker.borrow().partitions(topic))
    }

    fn follow_broadcast(&mut self, positions: &[(InputPartition, i64)]) -> Result<(), PortError> {
        positions.iter().for_each(|(at, from)| self.positions.start(*at, Some(*from)));
        Ok(())
    }

    fn begin(&mut self) -> Result<(), PortError> {
        self.world.hazard(&self.me, Step::Begin)?;
        self.in_transaction = true;
        Ok(())
    }

    fn send(&mut self, record: OutView<'_>) -> Result<(), PortError> {
        self.queue.push_back(record.into());
        // The client sends in the background: some records are in the log before the commit is asked for.
        if self.world.draw(|dice| dice.chance(300_000)) {
            self.send_queued()?;
        }
        Ok(())
    }

    fn commit(&mut self, offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
        self.world.hazard(&self.me, Step::Offsets)?;
        if self.world.strikes(Fault::RefusedCommit) {
            return Err(PortError::Away("the broker refused the commit".into()));
        }
        if !offsets.is_empty() {
            let member = self.world.fence(&self.me);
            let producer = (self.producer_id.as_str(), self.epoch);
            let group = self.me.component.name();
            self.world.broker.borrow_mut().add_offsets(producer, group, member, offsets)?;
        }
        while !self.queue.is_empty() {
            self.world.hazard(&self.me, Step::Flush)?;
            self.send_queued()?;
        }
        self.world.hazard(&self.me, Step::End)?;
        self.end(true)?;
        self.write_markers();
        self.world.hazard(&self.me, Step::Ended)?;
        self.in_transaction = false;
        self.world.note(format_args!("{} commits {offsets:?}", self.me.name));
        Ok(())
    }

    fn written(&self, topic: &str, partition: i32) -> Option<i64> {
        self.written.get(&(topic.to_owned(), partition)).copied()
    }

    fn starts(&self) -> Vec<(InputPartition, i64)> {
        Vec::new()
    }

    fn lag(&self) -> Vec<(InputPartition, i64)> {
        Vec::new()
    }
}

impl Drop for SimPort {
    /// As the real port: aborts what is half done and leaves the group. A process that died does neither.
    fn drop(&mut self) {
        if self.me.killed.get() {
            return;
        }
        if self.in_transaction && self.end(false).is_ok() {
            self.write_markers();
        }
        self.world.leave(&self.me);
    }
}
