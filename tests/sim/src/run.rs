//! One run: work under faults, then all faults heal and everything must finish.

use crate::audit::{Invariant, Violation, check_replay};
use crate::fault::Stats;
use crate::member::Component;
use crate::world::World;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Turns of a run under faults, at most; calls that are overtaken take turns too.
const MOST_TURNS: u64 = 60_000;
/// Rounds in which everything must come to rest when all faults have healed, on top of those for what is left to do.
const ROUNDS_TO_REST: u64 = 1_000;
/// Rounds for each change of the log so far: a component takes at least one record in its round, a sink has five
/// topics, and what is left in one topic gives more in the next.
const ROUNDS_FOR_A_CHANGE: u64 = 10;
/// Rounds without a change before everything counts as at rest.
const QUIET_ROUNDS: u64 = 4;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The first violation, if there was one.
    pub violation: Option<Violation>,
    /// What happened.
    pub stats: Stats,
    /// Hash over all logs.
    pub log_hash: u64,
    /// Hash over the trace.
    pub trace_hash: u64,
}

/// Runs one seed; `tracing` prints each event.
///
/// # Errors
/// If the world can't be built: a defect of the simulation itself.
pub fn run(seed: u64, tracing: bool) -> anyhow::Result<Outcome> {
    let world = World::new(seed, tracing)?;
    live(&world);
    let mut stats = world.stats.borrow().clone();
    let broker = world.broker.borrow();
    let (records, log_hash) = broker.fingerprint();
    (stats.commits, stats.aborts, stats.records) = (broker.commits, broker.aborts, records);
    stats.rebalances = broker.groups.values().map(|group| group.assignments).sum();
    stats.trades = world.auditor.borrow().trades();
    drop(broker);
    let outcome = Outcome { seed, violation: world.violation(), stats, log_hash, trace_hash: world.trace_hash() };
    world.end_processes();
    Ok(outcome)
}

/// As [`run`]; a panic of the code under test is a violation too.
///
/// # Errors
/// As [`run`].
pub fn run_guarded(seed: u64) -> anyhow::Result<Outcome> {
    catch_unwind(AssertUnwindSafe(|| run(seed, false))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let what = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        let violation = Violation { invariant: Invariant::Determinism, what: format!("panic: {what}"), step: 0 };
        let stats = Stats::default();
        Ok(Outcome { seed, violation: Some(violation), stats, log_hash: 0, trace_hash: 0 })
    })
}

fn live(world: &Rc<World>) {
    while !world.workload.borrow().is_done() && !world.is_over() && world.stats.borrow().steps < MOST_TURNS {
        world.turn();
    }
    for _ in 0..world.draw(|dice| dice.below(300)) {
        world.turn();
    }
    world.heal();
    come_to_rest(world);
    check(world, |world| world.auditor.borrow().at_rest(&world.broker.borrow(), &world.timescale, &world.clickhouse));
    world.workload.borrow_mut().reopen();
    come_to_rest(world);
    world.workload.borrow_mut().close();
    come_to_rest(world);
    check(world, |world| {
        let auditor = world.auditor.borrow();
        auditor.at_rest(&world.broker.borrow(), &world.timescale, &world.clickhouse)?;
        auditor.closed()
    });
    check(world, check_replay);
}

fn check(world: &Rc<World>, check: impl FnOnce(&Rc<World>) -> Result<(), (Invariant, String)>) {
    if !world.is_over()
        && let Err((invariant, what)) = check(world)
    {
        world.violate(invariant, what);
    }
}

/// Everybody takes turns until nothing changes any more; too many of them are a violation.
fn come_to_rest(world: &Rc<World>) {
    let mut quiet = 0;
    let rounds = ROUNDS_TO_REST + ROUNDS_FOR_A_CHANGE * world.broker.borrow().version;
    for _ in 0..rounds {
        if world.is_over() {
            return;
        }
        let before = (world.broker.borrow().version, world.writes());
        for _ in 0..8 {
            world.turn();
        }
        world.time_passes(1, 500);
        for index in 0..world.processes() {
            world.step_process(index);
            world.audit();
        }
        let changed = before != (world.broker.borrow().version, world.writes());
        // All quiet rounds count from when nothing lags: whoever was given a partition in the last one has yet to read what
        // shows in no group's offsets.
        let is_quiet = !changed && world.workload.borrow().is_done() && lagging(world).is_empty();
        quiet = if is_quiet { quiet + 1 } else { 0 };
        if quiet >= QUIET_ROUNDS {
            return;
        }
    }
    let (lagging, state) = (lagging(world), world.describe());
    let what = format!("after {rounds} rounds without faults these are not at their end: {lagging:?}\n{state}");
    world.violate(Invariant::Liveness, what);
}

/// Inputs of which a group has not committed the end, transactions that have not ended, and groups that wait for a dead
/// member: what its partitions have not taken of a broadcast input shows in no group's offsets.
fn lagging(world: &World) -> Vec<String> {
    let broker = world.broker.borrow();
    let alive = world.members_alive();
    let open = broker.open_transactions().into_iter();
    let mut lagging: Vec<String> = open.map(|id| format!("a transaction of {id}")).collect();
    for component in Component::ALL {
        let Some(group) = broker.groups.get(component.name()) else { continue };
        if !group.is_settled(&alive) {
            lagging.push(format!("the group {}", component.name()));
        }
        for (input, topic) in world.specs.inputs(component).iter().enumerate() {
            for partition in 0..broker.partitions(topic) {
                // A sink's database says where it stands; its group's offsets are for the tools' sake.
                let of_view = world.view(component).map(|store| store.stated(topic, partition));
                let group_at = group.committed((input, partition)).map(Option::unwrap_or_default).ok();
                let at_end = of_view.or(group_at).is_some_and(|at| broker.is_drained(topic, partition, at));
                if !at_end {
                    let (name, end) = (component.name(), broker.stable_end(topic, partition));
                    lagging.push(format!("{name} {topic}/{partition} at {:?} of {end}", of_view.or(group_at)));
                }
            }
        }
    }
    lagging
}
