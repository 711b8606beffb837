//! The world of one run: broker, processes, publishers, databases and virtual time, on one thread.
//!
//! A turn lets one of them do one thing. A process calls the broker in the middle of its turn; there it may be
//! overtaken: other turns run nested within the call, so that a process that stands still in the middle of a commit and
//! wakes up when its partitions have long moved is nothing but a deep call.

use crate::audit::{Auditor, Invariant, Violation};
use crate::broker::{Broker, registry};
use crate::dice::Dice;
use crate::fault::{Fault, Rates, Stats};
use crate::group::{Change, Group};
use crate::member::{Component, Specs};
use crate::sinks::{Kind, Store};
use crate::workload::Workload;
use processes::Slot;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::{Arguments, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use tapeline_runtime::metrics::Metrics;
use tapeline_runtime::port::PortError;
use tapeline_runtime::topology::Topology;
use tapeline_schemas::codec::SchemaIds;
use xxhash_rust::xxh3::xxh3_64_with_seed;

mod processes;

/// How deep calls may be overtaken.
const DEEPEST: u32 = 3;
/// Most processes of one component at once.
const MOST_MEMBERS: usize = 3;
/// Virtual time of a run's beginning: 2023-11-14, 22:13:20 UTC.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// A process's life as its port sees it.
pub(crate) struct Handle {
    pub(crate) component: Component,
    /// Instance and transactional id.
    pub(crate) name: String,
    pub(crate) paused: Cell<bool>,
    pub(crate) killed: Cell<bool>,
    member: Cell<u64>,
}

/// Where in its work a process is when something may happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Read,
    Poll,
    Begin,
    Offsets,
    Flush,
    End,
    Ended,
}

impl Step {
    /// The fault that a crash at this step is, and among how many steps of its kind faults are shared.
    const fn crash(self) -> (Fault, u32) {
        match self {
            Self::Read => (Fault::CrashIdle, 400),
            Self::Poll => (Fault::CrashIdle, 10),
            Self::Begin | Self::Offsets => (Fault::CrashBeforeCommit, 1),
            Self::Flush => (Fault::CrashDuringCommit, 8),
            Self::End => (Fault::CrashDuringCommit, 1),
            Self::Ended => (Fault::CrashAfterCommit, 1),
        }
    }
}

/// The world.
pub(crate) struct World {
    pub(crate) broker: RefCell<Broker>,
    pub(crate) specs: Specs,
    pub(crate) ids: Arc<dyn SchemaIds>,
    pub(crate) metrics: Metrics,
    pub(crate) timescale: Store,
    pub(crate) clickhouse: Store,
    pub(crate) stats: RefCell<Stats>,
    pub(crate) workload: RefCell<Workload>,
    pub(crate) auditor: RefCell<Auditor>,
    dice: RefCell<Dice>,
    rates: Rates,
    slots: RefCell<Vec<Slot>>,
    violation: RefCell<Option<Violation>>,
    healed: Cell<bool>,
    depth: Cell<u32>,
    /// Virtual time of a turn beyond the usual, while somebody stands still.
    stride_ms: Cell<i64>,
    /// Append time stands still until this time of the clock.
    still_until_ms: Cell<i64>,
    next_member: Cell<u64>,
    /// Process names of all members that there have been.
    member_names: RefCell<BTreeMap<u64, String>>,
    trace: RefCell<(bool, String, u64)>,
}

impl World {
    /// An empty world with topics and processes, drawn from `seed`.
    pub(crate) fn new(seed: u64, tracing: bool) -> anyhow::Result<Rc<Self>> {
        let mut dice = Dice::new(seed, 1);
        let topology = Topology::embedded().map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let most = dice.pick(&[1, 2, 5, 20, 50, 200]);
        let specs = Specs { topology, max_batch_records: most };
        let partitions = dice.range(1, 3) as i32;
        let mut broker = Broker::default();
        broker.append_ms = START_MS;
        for topic in specs.topology.topics_with_dlq() {
            broker.create(&topic.name, if topic.partitions == 1 { 1 } else { partitions });
        }
        for component in Component::ALL {
            let inputs = specs.inputs(component);
            let counts = inputs.iter().map(|topic| broker.partitions(topic)).collect();
            broker.groups.insert(component.name().to_owned(), Group::new(counts));
        }
        let ids = registry();
        let rates = Rates::draw(&mut dice);
        let workload = Workload::new(Dice::new(seed, 2), &ids, partitions, &rates)?;
        let auditor = Auditor::new(&ids, partitions)?;
        let world = Rc::new(Self {
            broker: RefCell::new(broker),
            specs,
            ids,
            metrics: Metrics::new()?,
            timescale: Store::new(Kind::Transactional),
            clickhouse: Store::new(Kind::Replacing),
            stats: RefCell::default(),
            workload: RefCell::new(workload),
            auditor: RefCell::new(auditor),
            dice: RefCell::new(dice),
            rates,
            slots: RefCell::default(),
            violation: RefCell::default(),
            healed: Cell::new(false),
            depth: Cell::new(0),
            stride_ms: Cell::new(0),
            still_until_ms: Cell::new(0),
            next_member: Cell::new(1),
            member_names: RefCell::default(),
            trace: RefCell::new((tracing, String::new(), 0)),
        });
        for component in Component::ALL {
            for _ in 0..world.draw(|dice| dice.range(1, MOST_MEMBERS as i64)) {
                world.add_process(component);
            }
        }
        Ok(world)
    }

    // ---- chance, time, trace -----------------------------------------------------------------------------------------

    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.dice.borrow_mut())
    }

    /// Whether a fault strikes now; does not count it. Its rate is shared among `among` occasions.
    pub(crate) fn would_strike(&self, fault: Fault, among: u32) -> bool {
        let ppm = self.rates.of(fault);
        !self.healed.get() && ppm > 0 && self.draw(|dice| dice.below(1_000_000 * u64::from(among)) < u64::from(ppm))
    }

    /// Whether a fault strikes now; counts it.
    pub(crate) fn strikes(&self, fault: Fault) -> bool {
        let struck = self.would_strike(fault, 1);
        if struck {
            self.stats.borrow_mut().count(fault);
        }
        struck
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&self, what: Arguments<'_>) {
        let (steps, depth) = (self.stats.borrow().steps, self.depth.get());
        let (print, line, hash) = &mut *self.trace.borrow_mut();
        line.clear();
        // Writing to a string can't fail.
        let _ = write!(line, "{steps:6} {:depth$}{what}", "", depth = 2 * depth as usize);
        *hash = xxh3_64_with_seed(line.as_bytes(), *hash);
        if *print {
            println!("{line}");
        }
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.trace.borrow().2
    }

    fn pass_time(&self) {
        let mut broker = self.broker.borrow_mut();
        let ms = self.draw(|dice| dice.range(0, 3)) + self.stride_ms.get();
        broker.clock_ms += ms;
        if broker.clock_ms >= self.still_until_ms.get() {
            broker.append_ms += ms;
        }
    }

    // ---- the end -----------------------------------------------------------------------------------------------------

    /// Notes the first violation; the run ends with it.
    pub(crate) fn violate(&self, invariant: Invariant, what: String) {
        self.note(format_args!("VIOLATION {}: {what}", invariant.name()));
        self.violation.borrow_mut().get_or_insert(Violation { invariant, what, step: self.stats.borrow().steps });
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        self.violation.borrow().clone()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.violation.borrow().is_some()
    }

    /// Ends all processes, so that nothing holds the world any more.
    pub(crate) fn end_processes(&self) {
        let slots = std::mem::take(&mut *self.slots.borrow_mut());
        drop(slots);
    }

    /// No fault from now on; what is down comes back.
    pub(crate) fn heal(&self) {
        self.note(format_args!("all faults heal"));
        self.healed.set(true);
        self.broker.borrow_mut().all_leaders_return();
        self.still_until_ms.set(0);
        for store in [&self.timescale, &self.clickhouse] {
            if let Ok(mut database) = store.lock() {
                database.plan = None;
            }
        }
        self.processes_come_back();
    }

    // ---- groups ------------------------------------------------------------------------------------------------------

    fn group<T>(&self, component: Component, act: impl FnOnce(&mut Group, i64) -> T) -> Option<T> {
        let mut broker = self.broker.borrow_mut();
        let now_ms = broker.clock_ms;
        broker.groups.get_mut(component.name()).map(|group| act(group, now_ms))
    }

    pub(crate) fn join(&self, me: &Handle) {
        me.member.set(self.next_member.get());
        self.next_member.set(me.member.get() + 1);
        self.member_names.borrow_mut().insert(me.member.get(), me.name.clone());
        self.group(me.component, |group, now_ms| group.join(me.member.get(), now_ms));
        self.note(format_args!("{} joins as member {}", me.name, me.member.get()));
    }

    /// Members of processes that run.
    pub(crate) fn members_alive(&self) -> Vec<u64> {
        let slots = self.slots.borrow();
        let running = slots.iter().filter_map(Slot::running);
        running.map(|me| me.member.get()).collect()
    }

    /// Whether its group still counts it.
    pub(crate) fn is_member(&self, me: &Handle) -> bool {
        let broker = self.broker.borrow();
        broker.groups.get(me.component.name()).is_some_and(|group| group.knows(me.member.get()))
    }

    pub(crate) fn leave(&self, me: &Handle) {
        self.group(me.component, |group, _| group.remove(me.member.get()));
    }

    /// What the lane names with its offsets, so that the broker can refuse a member that it has dropped.
    pub(crate) fn fence(&self, me: &Handle) -> Option<u64> {
        #[cfg(feature = "mutations")]
        if tapeline_domain::mutation::Mutation::NoFence.is_active() {
            return None;
        }
        Some(me.member.get())
    }

    /// What the real port does before it works on partitions that it was given: producers of its component whose member is
    /// not in the group can write nothing from now on, and what they left open is aborted.
    pub(crate) fn fence_the_absent(&self, me: &Handle) {
        #[cfg(feature = "mutations")]
        if tapeline_domain::mutation::Mutation::NoFence.is_active() {
            return;
        }
        let members = self.group(me.component, |group, _| group.members().to_vec()).unwrap_or_default();
        let names = self.member_names.borrow();
        let present: Vec<&String> = members.iter().filter_map(|member| names.get(member)).collect();
        let is_member = |id: &str| present.iter().any(|name| *name == id);
        self.broker.borrow_mut().fence_absent(me.component.name(), is_member);
    }

    pub(crate) fn poll_group(&self, me: &Handle) -> Change {
        let in_pieces = self.would_strike(Fault::PartialAssignment, 1);
        let change = self.group(me.component, |group, now_ms| {
            group.poll(me.member.get(), now_ms, |list| {
                if in_pieces && list.len() > 1 {
                    self.draw(|dice| dice.shuffle(list));
                    list.truncate(self.draw(|dice| dice.range(1, list.len() as i64 - 1)) as usize);
                    self.stats.borrow_mut().count(Fault::PartialAssignment);
                }
            })
        });
        let change = change.unwrap_or(Change::Nothing);
        if change != Change::Nothing {
            self.note(format_args!("{} {change:?}", me.name));
        }
        change
    }

    // ---- what happens to a process -----------------------------------------------------------------------------------

    /// Called by a port at each step: the process may die, stand still or be overtaken here.
    pub(crate) fn hazard(self: &Rc<Self>, me: &Rc<Handle>, at: Step) -> Result<(), PortError> {
        let (crash, among) = at.crash();
        if !self.healed.get() && !self.is_over() && !me.killed.get() {
            if self.would_strike(crash, among) {
                self.stats.borrow_mut().count(crash);
                self.note(format_args!("{} dies at {at:?}", me.name));
                me.killed.set(true);
            } else if self.depth.get() < DEEPEST {
                if self.would_strike(Fault::Pause, among) {
                    self.pause(me, at);
                } else if self.would_strike(Fault::Interleave, among) {
                    self.stats.borrow_mut().count(Fault::Interleave);
                    self.others_work(self.draw(|dice| dice.range(1, 4)));
                }
            }
        }
        if me.killed.get() || self.is_over() {
            return Err(PortError::Away("the process is gone".into()));
        }
        Ok(())
    }

    fn pause(self: &Rc<Self>, me: &Rc<Handle>, at: Step) {
        let turns = self.draw(|dice| dice.range(3, 40));
        let for_ms = self.draw(|dice| dice.pick(&[200, 5_000, 50_000, 70_000, 120_000]));
        self.stats.borrow_mut().count(Fault::Pause);
        self.note(format_args!("{} stands still at {at:?} for about {for_ms} ms", me.name));
        me.paused.set(true);
        self.time_passes(turns, for_ms / turns);
        me.paused.set(false);
        self.note(format_args!("{} wakes up", me.name));
    }

    /// Others take `turns` turns, each `stride_ms` longer than usual.
    pub(crate) fn time_passes(self: &Rc<Self>, turns: i64, stride_ms: i64) {
        let before = self.stride_ms.get();
        self.stride_ms.set(before + stride_ms);
        self.others_work(turns);
        self.stride_ms.set(before);
    }

    /// Others take turns within a call.
    pub(crate) fn others_work(self: &Rc<Self>, turns: i64) {
        if self.depth.get() > DEEPEST {
            return;
        }
        self.depth.set(self.depth.get() + 1);
        for _ in 0..turns {
            self.turn();
        }
        self.depth.set(self.depth.get() - 1);
    }

    // ---- turns -------------------------------------------------------------------------------------------------------

    /// One thing happens.
    pub(crate) fn turn(self: &Rc<Self>) {
        if self.is_over() {
            return;
        }
        self.stats.borrow_mut().steps += 1;
        self.pass_time();
        self.keep_house();
        if !self.healed.get() {
            self.strike_at_large();
        }
        let slots = self.slots.borrow().len();
        match self.draw(|dice| dice.weighted(&[60, 12, 8])) {
            0 => self.step_process(self.draw(|dice| dice.index(slots))),
            1 => self.publish(),
            _ => self.write_a_marker(),
        }
        self.audit();
    }

    /// Publishes a few commands.
    fn publish(&self) {
        let count = self.draw(|dice| dice.pick(&[1, 1, 2, 4, 8]));
        for _ in 0..count {
            let (mut workload, mut broker) = (self.workload.borrow_mut(), self.broker.borrow_mut());
            let now_ms = broker.append_ms;
            workload.publish_next(now_ms, &mut broker, &mut self.stats.borrow_mut());
        }
    }

    fn write_a_marker(&self) {
        let unfinished = self.broker.borrow().unfinished();
        if !unfinished.is_empty() {
            let id = &unfinished[self.draw(|dice| dice.index(unfinished.len()))];
            self.broker.borrow_mut().write_marker(id);
        }
    }

    pub(crate) fn audit(&self) {
        if self.is_over() {
            return;
        }
        let found = self.auditor.borrow_mut().follow(&self.broker.borrow(), &self.timescale, &self.clickhouse);
        if let Err((invariant, what)) = found {
            self.violate(invariant, what);
        }
    }

    /// Heartbeats and time-outs.
    fn keep_house(&self) {
        let mut broker = self.broker.borrow_mut();
        let now_ms = broker.clock_ms;
        for slot in self.slots.borrow().iter() {
            let Some(handle) = slot.running() else { continue };
            if !handle.paused.get()
                && !handle.killed.get()
                && let Some(group) = broker.groups.get_mut(handle.component.name())
            {
                group.heartbeat(handle.member.get(), now_ms);
            }
        }
        for component in Component::ALL {
            if let Some(group) = broker.groups.get_mut(component.name()) {
                while let Some(silent) = group.silent(now_ms) {
                    group.remove(silent);
                }
            }
        }
        broker.time_out();
        for store in [&self.timescale, &self.clickhouse] {
            if let Ok(mut database) = store.lock() {
                database.struck.drain(..).for_each(|fault| self.stats.borrow_mut().count(fault));
            }
        }
    }

    /// Faults that strike no process in particular.
    fn strike_at_large(&self) {
        let component = self.draw(|dice| dice.pick(&Component::ALL));
        if self.strikes(Fault::Rebalance) {
            self.note(format_args!("{} is assigned anew", component.name()));
            self.group(component, |group, _| self.draw(|dice| group.shuffle(dice)));
        }
        if self.would_strike(Fault::Expire, 1) {
            let members = self.group(component, |group, _| group.members().to_vec()).unwrap_or_default();
            if !members.is_empty() {
                let member = members[self.draw(|dice| dice.index(members.len()))];
                self.stats.borrow_mut().count(Fault::Expire);
                self.note(format_args!("{} drops member {member}", component.name()));
                self.group(component, |group, _| group.remove(member));
            }
        }
        if self.strikes(Fault::Scale) {
            self.scale(component);
        }
        if self.strikes(Fault::LeaderAway) {
            let mut broker = self.broker.borrow_mut();
            let topics: Vec<(String, i32)> = broker.topics().map(|(name, count)| (name.to_owned(), count)).collect();
            let (topic, count) = &topics[self.draw(|dice| dice.index(topics.len()))];
            let partition = self.draw(|dice| dice.below(count.unsigned_abs().into())) as i32;
            let (for_ms, skew_ms) = self.draw(|dice| (dice.range(1, 60), dice.range(-5, 5)));
            broker.leader_goes(topic, partition, for_ms, skew_ms);
        }
        if self.strikes(Fault::ClockJump) {
            let ms = self.draw(|dice| dice.pick(&[50, 3_000, 120_000, 4_000_000, 90_000_000]));
            self.broker.borrow_mut().append_ms += ms;
            self.note(format_args!("append time jumps by {ms} ms"));
        }
        if self.strikes(Fault::ClockStill) {
            self.still_until_ms.set(self.broker.borrow().clock_ms + self.draw(|dice| dice.range(5, 500)));
        }
        if self.would_strike(Fault::DamagedSnapshot, 1) {
            self.damage_snapshot();
        }
    }

    /// Flips a byte of, cuts or removes a record of a snapshot topic, if there are any.
    fn damage_snapshot(&self) {
        let mut broker = self.broker.borrow_mut();
        let mut places: Vec<(String, i32, i64)> = Vec::new();
        for (topic, count) in broker.topics().filter(|(topic, _)| topic.ends_with(".snapshots")) {
            places.extend((0..count).map(|at| (topic.to_owned(), at, broker.stable_end(topic, at))));
        }
        places.retain(|(.., end)| *end > 0);
        if places.is_empty() {
            return;
        }
        let (topic, partition, end) = &places[self.draw(|dice| dice.index(places.len()))];
        let offset = self.draw(|dice| dice.index(*end as usize));
        let (how, place) = self.draw(|dice| (dice.below(3), dice.below(1 << 20) as usize));
        broker.damage(topic, *partition, offset, |payload| {
            let len = payload.len().max(1);
            match how {
                0 => payload.iter_mut().skip(place % len).take(1).for_each(|byte| *byte ^= 0x55),
                1 => payload.truncate(place % len),
                _ => return false,
            }
            true
        });
        self.stats.borrow_mut().count(Fault::DamagedSnapshot);
    }
}
