//! Overload: five times more commands than the pipeline can take. Kafka takes them all; memory must not follow the lag,
//! nothing may be lost, and the lag must go back to zero by itself when the load is over.

use super::comparison::Comparison;
use super::fleet::Fleet;
use super::load::{LoadSpec, Manner};
use super::{Load, Outcome, Run};
use crate::plot::{Across, Chart, Line};
use crate::publish;
use crate::rig::{Curve, MemoryWatch, peak};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Times what the pipeline can take.
const FACTOR: u64 = 5;
/// Commands by which is measured what it can take, after as many to warm up; a quarter of the overload if that is less.
const MEASURED_COMMANDS: u64 = 100_000;
/// Rate of these: more than any pipeline on this machine takes.
const UNPACED: u64 = 1_000_000;
/// How long the overload lasts, if `--orders` does not say how many commands.
const OVERLOAD: Duration = Duration::from_secs(120);
/// Bounds of a component's memory: what it has anyway, and for the state that it must keep for each command (the
/// validator remembers client order ids for 24 hours, open orders rest). The lag itself takes several times as much.
const BASE_MIB: f64 = 448.0;
const BYTES_PER_COMMAND: f64 = 200.0;

/// Measures what the pipeline takes, gives it five times as much, and waits until it has caught up.
///
/// # Errors
/// If a component ends in a way that nobody ordered, or if a server is away.
pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    run.site.fresh()?;
    let flow = run.flow()?;
    let mut fleet = Fleet::start_all(run.site)?;
    run.introduce(&flow)?;
    let began_at = Instant::now();
    let some = run.options.orders.map_or(MEASURED_COMMANDS, |most| MEASURED_COMMANDS.min(most / 4));
    let warm = run.flood(&mut fleet, flow.clone(), some, UNPACED)?;
    let measured = run.flood(&mut fleet, warm.flow, some, UNPACED)?;
    let capacity = (some as f64 / measured.until_rest.as_secs_f64()) as u64;
    ensure!(capacity > 0, "the pipeline took {some} commands in {:?}", measured.until_rest);

    let rate = capacity * FACTOR;
    let most = run.options.orders.unwrap_or(rate * OVERLOAD.as_secs());
    run.events.note(&format!(
        "the pipeline with both views takes {capacity} commands/s; {most} commands at {rate}/s from now on"
    ));
    let memory = [MemoryWatch::start(fleet.components()), MemoryWatch::start(run.site.servers()?)];
    let flooded = run.flood(&mut fleet, measured.flow, most, rate)?;
    let [components, servers] = memory.map(MemoryWatch::end);
    let (components, servers) = (components?, servers?);
    let commands = 2 * some + flooded.commands;
    run.events.note(&format!(
        "{} commands published in {:.0} s, {:.0}/s; lag zero in all topics and views {:.0} s after the last",
        flooded.commands,
        flooded.publishing.as_secs_f64(),
        flooded.commands as f64 / flooded.publishing.as_secs_f64(),
        (flooded.until_rest - flooded.publishing).as_secs_f64()
    ));
    let patience = run.patience(commands);
    run.rest(&mut fleet, patience)?;
    let (fenced, crashes) = (fleet.fenced, std::mem::take(&mut fleet.crashes));
    run.events.note(&format!("at rest; {fenced} times a component ended as fenced and was started again"));
    fleet.stop(run.events)?;

    for (name, curve) in components.iter().chain(&servers) {
        let first = curve.first().map_or(0.0, |point| point.1);
        run.events.note(&format!("memory of {name}: {first:.0} MiB before, {:.0} MiB at most", peak(curve)));
    }
    let mut comparisons = vec![bounded(run, &components, commands)];
    plot(run, &components)?;
    comparisons.extend(run.check_log(&flow, commands)?);
    let outcome = Outcome { comparisons, timings: Vec::new(), struck: BTreeMap::new(), crashes, standstill: None };
    run.summary(&outcome, commands, began_at);
    Ok(outcome)
}

/// What a flood has led to.
struct Flooded {
    flow: super::Flow,
    commands: u64,
    publishing: Duration,
    until_rest: Duration,
}

impl Run<'_> {
    /// Publishes and waits until all of it is in all topics and views.
    fn flood(&mut self, fleet: &mut Fleet<'_>, flow: super::Flow, most: u64, rate: u64) -> Result<Flooded> {
        let began_at = Instant::now();
        let spec = LoadSpec { flow, most_commands: most, rate_per_second: rate, manner: Manner::Pressing, due: None };
        let load = Load::start(publish::commands(&self.site.app.addresses)?, spec);
        let published = self.outlast(fleet, load)?;
        let patience = self.patience(published.commands);
        self.settle_down(fleet, patience)?;
        Ok(Flooded {
            flow: published.flow,
            commands: published.commands,
            publishing: published.time,
            until_rest: began_at.elapsed(),
        })
    }
}

/// Servers have limits of their own.
fn bounded(run: &mut Run<'_>, components: &BTreeMap<String, Curve>, commands: u64) -> Comparison {
    let bound = BASE_MIB + commands as f64 * BYTES_PER_COMMAND / f64::from(1 << 20);
    let mut comparison = Comparison::new(format!("peak memory of each component at most {bound:.0} MiB"));
    for (name, curve) in components {
        comparison.compared += 1;
        if peak(curve) > bound {
            comparison.difference(|| format!("{name}: {:.0} MiB", peak(curve)));
        }
    }
    run.events.note(&comparison.to_string());
    comparison
}

fn plot(run: &mut Run<'_>, components: &BTreeMap<String, Curve>) -> Result<()> {
    let lines = components.iter().map(|(name, curve)| Line { name: name.clone(), points: curve.clone() }).collect();
    let path = run.events.path().with_file_name("overload.svg");
    let title = "Resident memory under five times more orders than the pipeline takes";
    Chart { title, across: Across::Seconds, values: "MiB", lines, marks: Vec::new() }.write(&path)?;
    run.events.note(&format!("plot: {}", path.display()));
    Ok(())
}
