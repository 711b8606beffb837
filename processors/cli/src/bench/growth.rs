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

/// Measures both.
pub(super) fn run(app: &App, repetitions: u32, share: u32, events: &mut Events, report: &mut Report) -> Result<()> {
    for instruments in INSTRUMENTS {
        let mut seen = Vec::new();
        for _ in 0..repetitions {
            let (mut chain, mut flow) = begin(app, instruments)?;
            seen.push(micros(&mut chain, &mut flow, share)?);
        }
        events.note(&format!("{instruments} instruments: {seen:.2?} µs for a command through all stages"));
        report.figure(&format!("growth, {instruments} instruments: µs for a command through all stages"), seen);
    }
    for resting in RESTING.map(|resting| resting / u64::from(share)) {
        let (mut seen, mut bytes) = (Vec::new(), Vec::new());
        for _ in 0..repetitions {
            let (mut chain, mut flow) = begin(app, USUAL_INSTRUMENTS)?;
            bytes.push(rest(&mut chain, &flow, resting)?);
            seen.push(micros(&mut chain, &mut flow, share)?);
        }
        events.note(&format!("{resting} orders rest: {seen:.2?} µs for a command, {bytes:.0?} bytes for an order"));
        report.figure(&format!("growth, {resting} resting orders: µs for a command through all stages"), seen);
        // Of few orders nothing can be told: a program's memory grows in steps.
        if resting == RESTING[RESTING.len() - 1] {
            report.row("memory for a resting order in validator and executor, bytes", MOST_BYTES, Better::Less, bytes);
        }
    }
    Ok(())
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

/// Lets so many orders rest and gives the bytes that one takes.
fn rest(chain: &mut Chain, flow: &Generator, count: u64) -> Result<f64> {
    let process_id = std::process::id();
    let memory = || resident_mib(process_id).context("the memory of this process");
    let before_mib = memory()?;
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
    Ok((memory()? - before_mib) * 1_048_576.0 / rested as f64)
}
