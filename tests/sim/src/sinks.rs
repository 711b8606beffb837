//! Two simulated databases and their sinks: one that writes rows and offsets in one transaction (as TimescaleDB), one
//! that writes rows with a deduplication token first and offsets later (as ClickHouse). A database outlives its clients.

use crate::fault::Fault;
use crate::port::{Positions, group_event, reader};
use crate::world::{Handle, Step, World};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tapeline_runtime::port::{InputPartition, OutRecord, Polled, PortError, Reader};
use tapeline_runtime::sink::{Event, Sink, SinkBatch, SinkError, SinkRecord, Span};
use tapeline_runtime::sink_lane::{SinkPort, SinkSpec};

/// How a database keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sums, moved in one transaction with the offsets.
    Transactional,
    /// Rows by position, offsets afterwards; only rows below the offsets show.
    Replacing,
}

/// Topic, partition and offset of a row.
pub(crate) type Place = (SmolStr, i32, i64);

/// What a database holds.
pub(crate) struct Database {
    pub(crate) kind: Kind,
    pub(crate) stated: BTreeMap<(SmolStr, i32), i64>,
    /// Transactional: sums of postings by account, asset and bucket.
    pub(crate) balances: BTreeMap<(SmolStr, SmolStr, bool), i128>,
    /// Transactional: rows added by topic.
    pub(crate) counts: BTreeMap<SmolStr, u64>,
    /// Replacing: rows by position.
    pub(crate) rows: BTreeMap<Place, Event>,
    tokens: BTreeSet<String>,
    /// Batches that changed anything.
    pub(crate) writes: u64,
    /// What goes wrong with the next batch.
    pub(crate) plan: Option<Fault>,
    /// What has gone wrong and is not counted yet.
    pub(crate) struck: Vec<Fault>,
}

/// A client of a database.
#[derive(Clone)]
pub(crate) struct Store(Arc<Mutex<Database>>);

impl Store {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Arc::new(Mutex::new(Database {
            kind,
            stated: BTreeMap::new(),
            balances: BTreeMap::new(),
            counts: BTreeMap::new(),
            rows: BTreeMap::new(),
            tokens: BTreeSet::new(),
            writes: 0,
            plan: None,
            struck: Vec::new(),
        })))
    }

    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, Database>, SinkError> {
        self.0.lock().map_err(|_| SinkError::Fatal("the database panicked earlier".into()))
    }
}

impl Store {
    /// Where the view stands in a partition.
    pub(crate) fn stated(&self, topic: &str, partition: i32) -> i64 {
        self.lock().ok().and_then(|it| it.stated.get(&(topic.into(), partition)).copied()).unwrap_or(0)
    }
}

impl Database {
    fn strike(&mut self, fault: Fault) -> bool {
        let planned = self.plan == Some(fault);
        if planned {
            self.plan = None;
            self.struck.push(fault);
        }
        planned
    }

    fn check(&self, spans: &[Span]) -> Result<(), SinkError> {
        for span in spans {
            let stated = self.stated.get(&(span.topic.clone(), span.partition)).copied().unwrap_or(0);
            if stated != span.from_offset {
                let from = span.from_offset;
                return Err(SinkError::Moved(format!("{} stands at {stated}, the batch begins at {from}", span.topic)));
            }
        }
        Ok(())
    }

    fn move_offsets(&mut self, spans: &[Span]) {
        for span in spans {
            let stated = self.stated.entry((span.topic.clone(), span.partition)).or_default();
            *stated = span.next_offset.max(*stated);
        }
    }

    fn add_sums(&mut self, records: &[SinkRecord]) {
        for record in records {
            *self.counts.entry(SmolStr::new_static(topic_of(&record.event))).or_default() += 1;
            let Event::Settled(settlement) = &record.event else { continue };
            for line in &settlement.postings {
                let reserved = line.bucket == tapeline_schemas::wire::Bucket::Reserved;
                let sum = self.balances.entry((line.account.clone(), line.asset.clone(), reserved)).or_default();
                *sum += i128::from(line.amount);
            }
        }
    }

    fn add_rows(&mut self, batch: &SinkBatch) {
        if !self.tokens.insert(format!("{:?}", batch.spans)) {
            return;
        }
        for record in &batch.records {
            let place = (SmolStr::new_static(topic_of(&record.event)), record.partition, record.offset);
            self.rows.insert(place, record.event.clone());
        }
    }

    fn write(&mut self, batch: &SinkBatch) -> Result<(), SinkError> {
        let away = |why: &str| Err(SinkError::Away(why.into()));
        if self.strike(Fault::SinkAway) {
            return away("it takes no connections");
        }
        self.check(&batch.spans)?;
        self.writes += 1;
        match self.kind {
            Kind::Transactional if offsets_apart() => {
                self.add_sums(&batch.records);
                if self.strike(Fault::SinkRowsOnly) {
                    return away("it went away between rows and offsets");
                }
                self.move_offsets(&batch.spans);
            }
            Kind::Transactional => {
                if self.strike(Fault::SinkRowsOnly) {
                    return away("it went away before the transaction's commit");
                }
                self.add_sums(&batch.records);
                self.move_offsets(&batch.spans);
            }
            Kind::Replacing => {
                self.add_rows(batch);
                if self.strike(Fault::SinkRowsOnly) {
                    return away("it went away between rows and offsets");
                }
                self.move_offsets(&batch.spans);
            }
        }
        if self.strike(Fault::SinkAnswerLost) { away("its answer was lost") } else { Ok(()) }
    }
}

/// The mutation that writes rows and offsets in two transactions.
fn offsets_apart() -> bool {
    #[cfg(feature = "mutations")]
    return tapeline_domain::mutation::Mutation::SinkOffsetsApart.is_active();
    #[cfg(not(feature = "mutations"))]
    false
}

pub(crate) const fn topic_of(event: &Event) -> &'static str {
    use tapeline_schemas::topic;
    match event {
        Event::Command(_) => topic::ORDERS,
        Event::Validated(_) => topic::VALIDATED,
        Event::Rejected(_) => topic::REJECTED,
        Event::Executed(_) => topic::EXECUTED,
        Event::Settled(_) => topic::SETTLED,
        Event::Market(_) => topic::MARKET_TICKS,
    }
}

impl Sink for Store {
    fn positions(&self, partitions: &[(SmolStr, i32)]) -> Result<Vec<i64>, SinkError> {
        let database = self.lock()?;
        Ok(partitions.iter().map(|at| database.stated.get(at).copied().unwrap_or(0)).collect())
    }

    fn write(&mut self, batch: &SinkBatch) -> Result<(), SinkError> {
        self.lock()?.write(batch)
    }
}

/// A sink's port on the simulated broker.
pub(crate) struct SimSinkPort {
    world: Rc<World>,
    me: Rc<Handle>,
    store: Store,
    topics: Vec<String>,
    positions: Positions,
}

impl SimSinkPort {
    pub(crate) fn open(world: &Rc<World>, me: &Rc<Handle>, spec: &SinkSpec, store: &Store) -> Result<Self, PortError> {
        world.hazard(me, Step::Begin)?;
        world.join(me);
        Ok(Self {
            world: Rc::clone(world),
            me: Rc::clone(me),
            store: store.clone(),
            topics: spec.inputs.iter().map(|input| input.topic.clone()).collect(),
            positions: Positions::default(),
        })
    }

    /// Assigned partitions begin where the database says.
    fn place(&mut self, partitions: &[InputPartition]) -> Result<(), PortError> {
        let names: Vec<_> = partitions.iter().map(|at| (SmolStr::new(&self.topics[at.0]), at.1)).collect();
        let stated = self.store.positions(&names).map_err(|error| PortError::Away(error.to_string()))?;
        partitions.iter().zip(stated).for_each(|(at, from)| self.positions.start(*at, Some(from)));
        Ok(())
    }

    fn plan_fault(&self) -> Result<(), PortError> {
        for fault in [Fault::SinkAway, Fault::SinkAnswerLost, Fault::SinkRowsOnly, Fault::SinkSlow] {
            if self.world.would_strike(fault, 10) {
                let mut database = self.store.lock().map_err(|error| PortError::Fatal(error.to_string()))?;
                database.plan = Some(fault);
            }
        }
        Ok(())
    }
}

impl SinkPort for SimSinkPort {
    fn poll(&mut self, _wait: Duration) -> Result<Polled, PortError> {
        self.world.hazard(&self.me, Step::Poll)?;
        self.plan_fault()?;
        if let Some(event) = group_event(&self.world, &self.me, &mut self.positions) {
            if let Polled::Assigned(partitions) = &event {
                self.place(partitions)?;
            }
            return Ok(event);
        }
        if self.world.strikes(Fault::ShortPoll) {
            return Ok(Polled::Nothing);
        }
        let next = self.positions.next(&self.world, &self.topics, self.me.component.name());
        Ok(next.map_or(Polled::Nothing, Polled::Record))
    }

    fn confirm_membership(&mut self) -> Result<(), PortError> {
        self.world.hazard(&self.me, Step::Poll)?;
        let known = self.world.is_member(&self.me);
        known.then_some(()).ok_or_else(|| PortError::Fenced(format!("{}: the member is unknown", self.me.name)))
    }

    fn commit_for_tools(&mut self, offsets: &[(InputPartition, i64)]) -> Result<(), PortError> {
        self.world.hazard(&self.me, Step::Ended)?;
        let slow = self.store.lock().map_err(|error| PortError::Fatal(error.to_string()))?.strike(Fault::SinkSlow);
        if slow {
            self.world.time_passes(8, 1_000);
        }
        if let Some(group) = self.world.broker.borrow_mut().groups.get_mut(self.me.component.name()) {
            group.set(offsets);
        }
        self.world.note(format_args!("{} has written up to {offsets:?}", self.me.name));
        Ok(())
    }

    fn send_dead_letter(&mut self, record: OutRecord) -> Result<(), PortError> {
        self.world.broker.borrow_mut().append(&record)?;
        self.world.hazard(&self.me, Step::Ended)
    }

    fn reader(&self, topic: &str, partition: i32, from: i64) -> Result<Box<dyn Reader>, PortError> {
        reader(&self.world, &self.me, topic, partition, from)
    }

    fn partitions(&self, topic: &str) -> Result<i32, PortError> {
        Ok(self.world.broker.borrow().partitions(topic))
    }

    fn lag(&self) -> Vec<(InputPartition, i64)> {
        Vec::new()
    }
}

impl Drop for SimSinkPort {
    fn drop(&mut self) {
        if !self.me.killed.get() {
            self.world.leave(&self.me);
        }
    }
}
