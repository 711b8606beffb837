//! Growth: whether an order costs the same however many instruments there are and however many orders rest, and how much
//! memory a resting order takes. The rules alone, on one thread, as in [`super::core`].

use super::core::{Chain, prepared};
use super::flow::{Popularity, Prepared, generator_over};
use super::report::{Better, Report};
use crate::rig::{Events, resident_mib};
use anyhow::{Context, Result, ensure};
use tapeline_domain::image::Image;
use tapeline_kafka::app::App;
use tapeline_replay::Timed;
use tapeline_replay::generate::Generator;

/// Commands that are measured at each size.
const COMMANDS: usize = 200_000;
const INSTRUMENTS: [u32; 4] = [10, 100, 1_000, 10_000];
const RESTING: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// With more or less resting orders.
const USUAL_INSTRUMENTS: u32 = 100;
/// With more or fewer instruments, and enough for all resting orders.
const ACCOUNTS: u32 = 50_000;
/// Resting orders go in by so many, so that what they leave behind in this program takes no memory that counts.
const CHUNK: usize = 10_000;
/// Most memory for a resting order, bytes.
const MOST_BYTES: f64 = 1_024.0;
/// A command's time is flat if the most cost it so many times what the fewest do. Repetitions differ by about as much.
const FLAT: f64 = 1.1;

/// Measures all of it.
pub(super) fn run(app: &App, repetitions: u32, share: u32, events: &mut Events, report: &mut Report) -> Result<()> {
    let most_resting = RESTING[RESTING.len() - 1] / u64::from(share);
    let bytes = bytes_of_a_resting_order(app, most_resting)?;
    events.note(&format!("{most_resting} orders rest: {bytes:.0} bytes for one, with its share of accounts"));
    report.row("memory for a resting order in validator and executor, bytes", MOST_BYTES, Better::Less, vec![bytes]);
    let mut times = Vec::new();
    for instruments in INSTRUMENTS {
        let mut seen = Vec::new();
        for _ in 0..repetitions {
            let (mut chain, mut flow) = begin(app, instruments)?;
            seen.push(micros(&mut chain, &mut flow, share)?);
        }
        events.note(&format!("{instruments} instruments: {seen:.2?} µs for a command through all stages"));
        report.figure(&format!("growth, {instruments} instruments: µs for a command through all stages"), seen.clone());
        times.push(seen);
    }
    report.row("µs for a command, 10,000 instruments by 10", FLAT, Better::Less, last_by_first(&times));
    times.clear();
    for resting in RESTING.map(|resting| resting / u64::from(share)) {
        let mut seen = Vec::new();
        for _ in 0..repetitions {
            let (mut chain, mut flow) = begin(app, USUAL_INSTRUMENTS)?;
            rest(&mut chain, &flow, resting)?;
            seen.push(micros(&mut chain, &mut flow, share)?);
        }
        events.note(&format!("{resting} orders rest: {seen:.2?} µs for a command through all stages"));
        report.figure(&format!("growth, {resting} resting orders: µs for a command through all stages"), seen.clone());
        times.push(seen);
    }
    report.row("µs for a command, 1,000,000 resting orders by 1,000", FLAT, Better::Less, last_by_first(&times));
    Ok(())
}

/// How many times as much the last size took as the first, in each repetition.
fn last_by_first(times: &[Vec<f64>]) -> Vec<f64> {
    let (first, last) = (times.first().into_iter().flatten(), times.last().into_iter().flatten());
    last.zip(first).map(|(last, first)| last / first).collect()
}

fn begin(app: &App, instruments: u32) -> Result<(Chain, Generator)> {
    let flow = generator_over(instruments, ACCOUNTS, Popularity::Zipf)?;
    let mut chain = Chain::new(app)?;
    chain.introduce(&flow.instruments(), &flow.accounts().collect::<Vec<_>>())?;
    Ok((chain, flow))
}

fn run_all(chain: &mut Chain, commands: &Prepared) -> Result<()> {
    chain.run_all(commands)?;
    chain.accepted = Vec::new();
    Ok(())
}

/// Microseconds for a command of the flow.
fn micros(chain: &mut Chain, flow: &mut Generator, share: u32) -> Result<f64> {
    let commands = prepared(flow, COMMANDS / share as usize)?;
    chain.forget_times();
    run_all(chain, &commands)?;
    Ok(chain.spent().as_secs_f64() * 1e6 / commands.len() as f64)
}

/// Bytes for a resting order, with its share of accounts and instruments. Two sets of stages get the same: what making the
/// first one has given back serves the second, so that all by which this program grows then is held by it.
fn bytes_of_a_resting_order(app: &App, count: u64) -> Result<f64> {
    let filled = || -> Result<(Chain, usize)> {
        let (mut chain, flow) = begin(app, USUAL_INSTRUMENTS)?;
        let rested = rest(&mut chain, &flow, count)?;
        Ok((chain, rested))
    };
    let memory_mib = || resident_mib(std::process::id()).context("the memory of this process");
    let _first = filled()?;
    let before_mib = memory_mib()?;
    let (_second, rested) = filled()?;
    Ok((memory_mib()? - before_mib) * 1_048_576.0 / rested as f64)
}

/// Lets so many orders rest and gives how many do.
fn rest(chain: &mut Chain, flow: &Generator, count: u64) -> Result<usize> {
    let before = chain.executor.state.entities();
    let mut orders = flow.resting_orders(count).map(|command| Timed { at_ns: 0, command });
    loop {
        let chunk = prepared(&mut orders, CHUNK)?;
        if chunk.len() == 0 {
            break;
        }
        run_all(chain, &chunk)?;
    }
    let rested = chain.executor.state.entities() - before;
    ensure!(rested as u64 > count * 9 / 10, "{rested} of {count} orders rest");
    Ok(rested)
}
