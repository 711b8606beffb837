//! The rules alone, on one thread and without Kafka: what an order costs in each stage, from record to records.
//!
//! Commands go one by one through validator, executor and settler with their codings, settlements back into the validator,
//! as in the pipeline. Two flows: the AAPL hour as it really was, where its file is at hand, and a generated one.

use super::flow::{Popularity, Prepared, generator};
use super::report::{Better, Report};
use crate::demo;
use crate::rig::Events;
use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapeline_domain::accepted::Accepted;
use tapeline_domain::matching::Matching;
use tapeline_kafka::app::{App, Make};
use tapeline_replay::{FundedAccount, Timed, aapl};
use tapeline_runtime::processor::{Coding, Draft, Position, Processor, Verdict};
use tapeline_schemas::codec::{Encoder, SchemaIds, SchemaSource};
use tapeline_schemas::{topic, wire};

const COMMANDS: usize = 200_000;
/// Every record of a stage comes this much later than the one before.
const STEP_MS: i64 = 1;
const AAPL: &str = "aapl-2012-06-21/AAPL_0930_1030_orders.csv";
/// Matching alone is over so soon that one pass says little.
const MATCHING_PASSES: usize = 20;

/// Ids without a registry: the topic's length will do, for each decoder reads one topic.
struct Ids;

impl SchemaSource for Ids {
    fn schema_json(&self, _id: u32) -> Result<Option<String>, String> {
        Ok(None)
    }
}

impl SchemaIds for Ids {
    fn registered_id(&self, topic: &str, _schema_json: &str) -> Result<u32, String> {
        Ok(topic.len() as u32)
    }
}

/// Records that a stage has written. Their memory is used again, as a lane's is.
#[derive(Default)]
struct Drafts {
    all: Vec<Draft>,
    used: usize,
}

impl Drafts {
    /// An empty one, behind the others.
    fn next(&mut self) -> &mut Draft {
        if self.used == self.all.len() {
            self.all.push(Draft::default());
        }
        self.used += 1;
        let draft = &mut self.all[self.used - 1];
        draft.clear();
        draft
    }

    fn written(&self) -> &[Draft] {
        &self.all[..self.used]
    }
}

/// A processor with its coding and its state.
pub(super) struct Stage<P: Processor, C: Coding<P>> {
    processor: P,
    coding: C,
    pub(super) state: P::State,
    inputs: Vec<String>,
    /// By input.
    next_offsets: Vec<i64>,
    now_ms: i64,
    effects: Vec<P::Out>,
    spent: Duration,
}

impl<P: Processor, C: Coding<P>> Stage<P, C> {
    fn new(app: &App, name: &str, make: Make<P, C>) -> Result<Self> {
        let (spec, ids): (_, Arc<dyn SchemaIds>) = (app.lane_spec(name)?, Arc::new(Ids));
        let inputs: Vec<String> = spec.inputs.iter().map(|input| input.topic.clone()).collect();
        let (processor, coding) = make(&spec, &ids).map_err(anyhow::Error::msg)?;
        let (state, next_offsets) = (processor.new_state(0), vec![0; inputs.len()]);
        let (effects, spent) = (Vec::new(), Duration::ZERO);
        Ok(Self { processor, coding, state, inputs, next_offsets, now_ms: demo::now_ms(), effects, spent })
    }

    /// Takes a record and gives what it leads to; `spent` grows by what that took.
    fn take(&mut self, topic: &str, key: &[u8], payload: &[u8], out: &mut Drafts) -> Result<Duration> {
        let input = self.inputs.iter().position(|input| input == topic).context("not an input")?;
        let offset = self.next_offsets[input];
        self.next_offsets[input] += 1;
        self.now_ms += STEP_MS;
        let at = Position { input, partition: 0, offset, timestamp_ms: self.now_ms, partitions: 1 };
        out.used = 0;
        let began_at = Instant::now();
        let event = self.coding.decode(input, Some(key), Some(payload));
        let event = event.map_err(|error| anyhow::anyhow!("{topic}: {error:?}"))?;
        self.effects.clear();
        let verdict = self.processor.apply(&mut self.state, &at, event, &mut self.effects);
        for effect in &self.effects {
            self.coding.encode(effect, out.next());
        }
        let took = began_at.elapsed();
        self.spent += took;
        if let Verdict::Poison(why) = verdict {
            bail!("{topic}: {why}");
        }
        Ok(took)
    }
}

/// All three stages.
pub(super) struct Chain {
    validator: Stage<tapeline_validator::Validator, tapeline_validator::ValidatorCoding>,
    pub(super) executor: Stage<tapeline_executor::Executor, tapeline_executor::ExecutorCoding>,
    settler: Stage<tapeline_settler::Settler, tapeline_settler::SettlerCoding>,
    /// Time that settlements took in the validator.
    fed_back: Duration,
    /// Of decode, verdict and encode of a command, nanoseconds.
    verdicts: Histogram<u64>,
    pub(super) accepted: Vec<(i64, Accepted)>,
    events: u64,
    /// What the stages have written for the command at hand; the validator writes nothing for a settlement.
    written: [Drafts; 4],
}

impl Chain {
    pub(super) fn new(app: &App) -> Result<Self> {
        Ok(Self {
            validator: Stage::new(app, tapeline_validator::NAME, tapeline_validator::make)?,
            executor: Stage::new(app, tapeline_executor::NAME, tapeline_executor::make)?,
            settler: Stage::new(app, tapeline_settler::NAME, tapeline_settler::make)?,
            fed_back: Duration::ZERO,
            verdicts: Histogram::new(3)?,
            accepted: Vec::new(),
            events: 0,
            written: Default::default(),
        })
    }

    /// One command through everything.
    fn run(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        let [verdicts, executions, settlements, none] = &mut self.written;
        let took = self.validator.take(topic::ORDERS, key, payload, verdicts)?;
        self.verdicts.record(took.as_nanos() as u64)?;
        for verdict in verdicts.written().iter().filter(|verdict| verdict.topic == topic::VALIDATED) {
            let event = self.executor.coding.decode(0, Some(&verdict.key), Some(&verdict.payload));
            if let Ok(tapeline_executor::In::Command(accepted)) = event {
                self.accepted.push((self.executor.now_ms + STEP_MS, *accepted));
            }
            self.executor.take(topic::VALIDATED, &verdict.key, &verdict.payload, executions)?;
            // The depth of the books goes to nobody here.
            for execution in executions.written().iter().filter(|told| told.topic == topic::EXECUTED) {
                self.settler.take(topic::EXECUTED, &execution.key, &execution.payload, settlements)?;
                for settlement in settlements.written() {
                    let (key, payload) = (&settlement.key, &settlement.payload);
                    self.fed_back += self.validator.take(topic::SETTLED, key, payload, none)?;
                }
                self.events += settlements.used as u64;
            }
            self.events += executions.used as u64;
        }
        self.events += verdicts.used as u64;
        Ok(())
    }

    /// Lists instruments and accounts, and brings the funds in.
    pub(super) fn introduce(&mut self, instruments: &[wire::Instrument], accounts: &[FundedAccount]) -> Result<()> {
        let mut none = Drafts::default();
        let instrument = Encoder::new(topic::INSTRUMENTS.len() as u32);
        let account = Encoder::new(topic::ACCOUNTS.len() as u32);
        let mut payload = Vec::new();
        for listed in instruments {
            payload.clear();
            instrument.encode(listed, &mut payload);
            self.validator.take(topic::INSTRUMENTS, listed.symbol.as_bytes(), &payload, &mut none)?;
        }
        for funded in accounts {
            payload.clear();
            account.encode(&funded.account, &mut payload);
            self.validator.take(topic::ACCOUNTS, funded.account.account.as_bytes(), &payload, &mut none)?;
        }
        let deposits = accounts.iter().flat_map(FundedAccount::deposits);
        let mut deposits = deposits.map(|command| Timed { at_ns: 0, command });
        self.run_all(&prepared(&mut deposits, usize::MAX)?)
    }

    /// All commands through everything, one after the other.
    pub(super) fn run_all(&mut self, commands: &Prepared) -> Result<()> {
        commands.iter().try_for_each(|out| self.run(out.key, out.payload))
    }

    /// Time that all stages took.
    pub(super) fn spent(&self) -> Duration {
        self.validator.spent + self.executor.spent + self.settler.spent
    }

    pub(super) fn forget_times(&mut self) {
        self.validator.spent = Duration::ZERO;
        self.executor.spent = Duration::ZERO;
        self.settler.spent = Duration::ZERO;
        self.fed_back = Duration::ZERO;
        self.verdicts.reset();
        self.events = 0;
    }
}

/// Commands as the chain takes them: of one partition, under the id that [`Ids`] gives.
pub(super) fn prepared(commands: &mut impl Iterator<Item = Timed>, count: usize) -> Result<Prepared> {
    Prepared::take(commands, count, &Encoder::new(topic::ORDERS.len() as u32), 1)
}

/// Measures both flows.
pub(super) fn run(app: &App, repetitions: u32, share: u32, events: &mut Events, report: &mut Report) -> Result<()> {
    let generator = generator(Popularity::Zipf)?;
    let flow = Flow {
        name: "generated flow",
        instruments: generator.instruments(),
        accounts: generator.accounts().collect(),
        commands: generator.take(COMMANDS / share as usize).collect(),
    };
    measure(app, &flow, repetitions, events, report)?;
    let Some(path) = aapl_file() else {
        events.note("the AAPL hour is not at hand (TAPELINE_DATA, ../shared/data): its rows are left out");
        return Ok(());
    };
    let options = aapl::Options { partitions: 1, ..aapl::Options::default() };
    let file = aapl::OrderFile::read(&path, &options)?;
    let flow = Flow {
        name: "AAPL hour",
        instruments: vec![file.instrument()],
        accounts: file.accounts(),
        commands: file.commands().collect(),
    };
    measure(app, &flow, repetitions, events, report)
}

fn aapl_file() -> Option<PathBuf> {
    let root = std::env::var_os("TAPELINE_DATA").map_or_else(|| Path::new("../shared/data").into(), PathBuf::from);
    Some(root.join(AAPL)).filter(|path| path.is_file())
}

/// What goes through the chain.
struct Flow {
    name: &'static str,
    instruments: Vec<wire::Instrument>,
    accounts: Vec<FundedAccount>,
    commands: Vec<Timed>,
}

fn measure(app: &App, flow: &Flow, repetitions: u32, events: &mut Events, report: &mut Report) -> Result<()> {
    let Flow { name: flow, instruments, accounts, commands } = flow;
    let count = commands.len();
    let prepared = prepared(&mut commands.iter().cloned(), count)?;
    let (mut order_micros, mut per_second, mut p99_micros) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repetitions {
        let mut chain = Chain::new(app)?;
        chain.introduce(instruments, accounts)?;
        let funding = std::mem::take(&mut chain.accepted);
        chain.forget_times();
        chain.run_all(&prepared)?;
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        let verdict = chain.validator.spent - chain.fed_back;
        events.note(&format!(
            "{flow}: {count} commands, {:.2} events each; µs for a command: verdict {:.2} (p99 {:.2}), execution {:.2}, \
             settlement {:.2}, feedback {:.2}",
            chain.events as f64 / count as f64,
            micros(verdict),
            chain.verdicts.value_at_quantile(0.99) as f64 / 1e3,
            micros(chain.executor.spent),
            micros(chain.settler.spent),
            micros(chain.fed_back)
        ));
        order_micros.push(micros(verdict));
        let matched = matching(&funding, &chain.accepted)?;
        per_second.push(matched.0);
        p99_micros.push(matched.1);
    }
    report.row(&format!("decode + validate + encode of one order, {flow}, µs"), 1.0, Better::Less, order_micros);
    report.row(&format!("matching alone, {flow}, commands per second"), 5e6, Better::More, per_second);
    report.row(&format!("matching alone, {flow}, p99, µs"), 1.0, Better::Less, p99_micros);
    Ok(())
}

/// Commands per second, and the 99th percentile of one, microseconds.
fn matching(funding: &[(i64, Accepted)], commands: &[(i64, Accepted)]) -> Result<(f64, f64)> {
    ensure!(!commands.is_empty(), "no command was accepted");
    let mut out = Vec::new();
    let fresh = || {
        let (mut matching, mut out) = (Matching::new(0), Vec::new());
        funding.iter().for_each(|(at_ms, command)| matching.apply(*at_ms, command, &mut out));
        matching
    };
    let mut spent = Duration::ZERO;
    for _ in 0..MATCHING_PASSES {
        let mut matching = fresh();
        let began_at = Instant::now();
        for (at_ms, command) in commands {
            out.clear();
            matching.apply(*at_ms, command, &mut out);
        }
        spent += began_at.elapsed();
    }
    // With a look at the clock for each command, which costs some 25 ns of what is seen.
    let (mut matching, mut nanos) = (fresh(), Histogram::<u64>::new(3)?);
    for (at_ms, command) in commands {
        out.clear();
        let began_at = Instant::now();
        matching.apply(*at_ms, command, &mut out);
        nanos.record(began_at.elapsed().as_nanos() as u64)?;
    }
    let per_second = (commands.len() * MATCHING_PASSES) as f64 / spent.as_secs_f64();
    Ok((per_second, nanos.value_at_quantile(0.99) as f64 / 1e3))
}
