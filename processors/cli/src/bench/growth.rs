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
/// A command's time is flat if it takes at most so many times as long with the most as with the fewest.
const FLAT: f64 = 1.1;

/// Measures all of it.
pub(super) fn run(app: &App, repetitions: u32, share: u32, events: &mut Events, report: &mut Report) -> Result<()> {
    let most_resting = RESTING[RESTING.len() - 1] / u64::from(share);
    let bytes = bytes_of_a_resting_order(app, most_resting)?;
    events.note(&format!("{most_resting} orders rest: {bytes:.0} bytes for one, with its share of accounts"));
    report.row("memory for a resting order in validator and executor, bytes", MOST_BYTES, Better::Less, vec![bytes]);
    let mut growth = Growth { repetitions, events, report };
    growth.measure(INSTRUMENTS.map(u64::from), "instruments", |instruments| {
        let (mut chain, mut flow) = begin(app, u32::try_from(instruments)?)?;
        micros(&mut chain, &mut flow, share)
    })?;
    growth.measure(RESTING.map(|resting| resting / u64::from(share)), "resting orders", |resting| {
        let (mut chain, mut flow) = begin(app, USUAL_INSTRUMENTS)?;
        rest(&mut chain, &flow, resting)?;
        micros(&mut chain, &mut flow, share)
    })
}

/// How a command's time grows with the number of something.
struct Growth<'a> {
    repetitions: u32,
    events: &'a mut Events,
    report: &'a mut Report,
}

impl Growth<'_> {
    /// Asks at each of `sizes` how many microseconds a command takes; what is judged is by how many times as many the last
    /// takes as the first, repetition by repetition.
    fn measure<const N: usize>(
        &mut self,
        sizes: [u64; N],
        what: &str,
        micros: impl Fn(u64) -> Result<f64>,
    ) -> Result<()> {
        let mut times: Vec<Vec<f64>> = Vec::with_capacity(N);
        for size in sizes {
            let seen = (0..self.repetitions).map(|_| micros(size)).collect::<Result<Vec<f64>>>()?;
            self.events.note(&format!("{size} {what}: {seen:.2?} µs for a command through all stages"));
            self.report.figure(&format!("growth, {size} {what}: µs for a command through all stages"), seen.clone());
            times.push(seen);
        }
        let [first, .., last] = times.as_slice() else { return Ok(()) };
        let ratios = last.iter().zip(first).map(|(last, first)| last / first).collect();
        let figure = format!("µs for a command, {} {what} by {}", sizes[N - 1], sizes[0]);
        self.report.row(&figure, FLAT, Better::Less, ratios);
        Ok(())
    }
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
