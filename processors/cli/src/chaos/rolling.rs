//! A rolling restart: three instances of each processor, ended by SIGTERM and started again one by one under load, as an
//! upgrade does it. Clients must not notice: each order ends, and no second shows a p99 from order to settled above
//! [`LIMIT`].

use super::comparison::Comparison;
use super::fleet::Fleet;
use super::load::{LoadSpec, Manner};
use super::plan::Deed;
use super::{LOOK_EVERY, Load, Outcome, Run};
use crate::latency::{DueTimes, Latencies, Stage, StageWatch};
use crate::plot::{Across, Chart, Line};
use crate::publish;
use crate::run::PROCESSORS;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Instances of each processor.
const INSTANCES: u32 = 3;
/// A load before the first restart if its orders are not given, and after the last. A broker whose JVM is cold takes several
/// times as long.
const WARM_UP: Duration = Duration::from_secs(90);
const TAIL: Duration = Duration::from_secs(10);
/// Pause between an instance that is ready again and the end of the next.
const BETWEEN: Duration = Duration::from_secs(2);
/// How long an instance may take to be ready again.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// How often all processes are asked whether they are ready.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Goal: p99 from order to settled in every second.
const LIMIT: Duration = Duration::from_secs(2);

/// Restarts everything once, one after the other, and says how long orders took.
///
/// # Errors
/// If a component ends in a way that nobody ordered, or if a server is away.
pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let rate = run.options.rate;
    run.site.fresh()?;
    let flow = run.flow()?;
    let mut fleet = Fleet::start_all(run.site)?;
    for processor in PROCESSORS {
        fleet.perform(&Deed::Scale { processor, instances: INSTANCES })?;
    }
    run.introduce(&flow)?;
    wait_ready(run, &mut fleet)?;
    run.events.note(&format!("{INSTANCES} instances of each processor; {rate} commands/s from now on"));

    let due = DueTimes::begin(&run.site.app)?;
    let watch = StageWatch::start(&run.site.app, Stage::Settled, Arc::clone(&due), Vec::new())?;
    let began_at = Instant::now();
    let publisher = publish::commands(&run.site.app.addresses)?;
    let spec = LoadSpec {
        flow: flow.clone(),
        most_commands: u64::MAX,
        rate_per_second: rate,
        manner: Manner::Yielding,
        due: Some(Arc::clone(&due)),
    };
    let load = Load::start(publisher, spec);
    let warm_up = run.options.orders.map_or(WARM_UP, |orders| Duration::from_secs(orders / rate));
    let restarts = restart_each(run, &mut fleet, began_at, warm_up);
    load.enough();
    let published = load.join()?;
    let restarts = restarts?;
    let patience = run.patience(published.commands);
    run.rest(&mut fleet, patience)?;
    due.check_alone(&run.site.app)?;
    let latencies = watch.end()?;
    let (fenced, crashes) = (fleet.fenced, std::mem::take(&mut fleet.crashes));
    run.events.note(&format!("at rest; {fenced} times a component ended as fenced and was started again"));
    fleet.stop(run.events)?;

    let comparisons = run.check_log(&flow, published.commands)?;
    let timings = vec![judge(run, &latencies, &restarts, warm_up)?];
    plot(run, &latencies, &restarts)?;
    let outcome = Outcome { comparisons, timings, struck: BTreeMap::new(), crashes, standstill: None };
    run.summary(&outcome, published.commands, began_at);
    Ok(outcome)
}

/// When each restart began, since the load did.
type Restarts = Vec<Duration>;

fn restart_each(run: &mut Run<'_>, fleet: &mut Fleet<'_>, began_at: Instant, warm_up: Duration) -> Result<Restarts> {
    tend_for(run, fleet, warm_up)?;
    let mut restarts = Vec::new();
    for instance in fleet.instances_of(&PROCESSORS) {
        let at = Instant::now();
        restarts.push(at.duration_since(began_at));
        fleet.terminate(&instance, true)?;
        wait_ready(run, fleet)?;
        run.events.note(&format!("{instance} ended and ready again after {:.2} s", at.elapsed().as_secs_f64()));
        tend_for(run, fleet, BETWEEN)?;
    }
    tend_for(run, fleet, TAIL)?;
    Ok(restarts)
}

fn tend_for(run: &mut Run<'_>, fleet: &mut Fleet<'_>, time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        fleet.tick(run.events)?;
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn wait_ready(run: &mut Run<'_>, fleet: &mut Fleet<'_>) -> Result<()> {
    let deadline = Instant::now() + READY_PATIENCE;
    while !(fleet.is_whole() && fleet.are_ready()?) {
        ensure!(Instant::now() < deadline, "not all processes are ready after {READY_PATIENCE:?}");
        tend_for(run, fleet, ASK_EVERY)?;
    }
    Ok(())
}

/// Says the figures, and in which seconds after the warm-up the limit was passed.
fn judge(run: &mut Run<'_>, latencies: &Latencies, restarts: &Restarts, warm_up: Duration) -> Result<Comparison> {
    let millis = |micros: u64| micros as f64 / 1_000.0;
    let warm = warm_up.as_secs();
    let last = latencies.by_second(1.0).last().map_or(warm, |(second, _)| second + 1);
    let restarting =
        restarts.first().map_or(warm, Duration::as_secs)..restarts.last().map_or(last, |at| at.as_secs() + 5);
    for (what, range) in [("before the restarts", warm / 2..warm), ("during the restarts", restarting)] {
        let all = latencies.within(range)?;
        run.events.note(&format!(
            "order to settled {what}: p50 {:.0} ms, p99 {:.0} ms, p99.9 {:.0} ms, longest {:.0} ms of {} settlements",
            millis(all.value_at_quantile(0.5)),
            millis(all.value_at_quantile(0.99)),
            millis(all.value_at_quantile(0.999)),
            millis(all.max()),
            all.len()
        ));
    }
    let mut timing = Comparison::new(format!("p99 from order to settled in each second below {LIMIT:?}"));
    for (second, p99) in latencies.by_second(0.99).into_iter().filter(|(second, _)| *second >= warm / 2) {
        timing.compared += 1;
        if p99 >= LIMIT {
            timing.difference(|| format!("second {second}: {p99:?}"));
        }
    }
    run.events.note(&timing.to_string());
    Ok(timing)
}

fn plot(run: &mut Run<'_>, latencies: &Latencies, restarts: &Restarts) -> Result<()> {
    let title = format!("Order to settled in a rolling restart, {} orders/s", run.options.rate);
    let path = run.events.path().with_file_name("rolling.svg");
    let marks = restarts.iter().map(Duration::as_secs_f64).collect();
    let lines = Line::by_second(latencies);
    Chart { title: &title, across: Across::Seconds, values: "milliseconds", lines, marks }.write(&path)?;
    run.events.note(&format!("plot: {}", path.display()));
    Ok(())
}
