//! The load: seeded flow of two kinds, published at a steady rate, with a count of what the broker has acknowledged.
//!
//! - *Ordered* worlds, one for each partition of `orders`: their accounts all belong to that partition, and their
//!   instruments and assets are traded by nobody else. A book of theirs is fed by one partition, so the order of its
//!   commands does not depend on timing, and a run that nothing disturbs must give the same trades, orders and balances.
//!   What would depend on time or on how far the validator has read is left out: amends (the executor may refuse one,
//!   depending on the fills that the validator knew of), and expiries (GTD times lie far ahead, sessions close half a day
//!   after the start).
//! - One *free* world with everything: its accounts are spread over all partitions and meet in the same books, it
//!   amends, and its orders expire. Its results depend on timing; they are checked against the log, not against a twin.

use crate::latency::DueTimes;
use crate::publish::TopicPublisher;
use anyhow::{Context, Result};
use smol_str::{SmolStr, format_smolstr};
use std::iter::once;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tapeline_replay::FundedAccount;
use tapeline_replay::generate::{Config, Generator};
use tapeline_schemas::topic::partition_of;
use tapeline_schemas::wire::{Account, Command, CommandKind, Instrument};

/// Begins the names of accounts of ordered worlds; those of the free world begin otherwise.
pub(super) const ORDERED_ACCOUNT: &str = "ordered";
/// Begins the symbols and assets of ordered worlds.
pub(super) const ORDERED_SYMBOL: &str = "ORD";

const INSTRUMENTS_PER_WORLD: u32 = 8;
const ACCOUNTS_PER_WORLD: u32 = 100;
/// GTD times of ordered worlds count from here: the year 2100, milliseconds since the Unix epoch.
const FAR_AHEAD_MS: i64 = 4_102_444_800_000;
const HALF_A_DAY_MS: i64 = 43_200_000;
const DAY_MS: i64 = 86_400_000;
/// A load that was held up sends the commands of this time at once after a look, twice over at most.
const BURST: Duration = Duration::from_millis(100);
/// Pause between two looks at the acknowledgements while nothing is due.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Everything that is published in a run; the same parameters give the same commands.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    worlds: Vec<World>,
    next: usize,
}

#[derive(Debug, Clone)]
struct World {
    generator: Generator,
    /// The partition of an ordered world; none of the free one.
    partition: Option<i32>,
    partitions: i32,
    session_close_ms: i64,
}

impl Flow {
    /// The flow of `seed` over `partitions` partitions of `orders`, begun at `now_ms`.
    pub(super) fn new(seed: u64, partitions: i32, now_ms: i64) -> Result<Self> {
        let session_close_ms = (now_ms + HALF_A_DAY_MS) % DAY_MS;
        let world = |partition: Option<i32>| {
            let base_time_ms = if partition.is_some() { FAR_AHEAD_MS } else { now_ms };
            let number = partition.map_or(0, |partition| partition.unsigned_abs().into());
            let config = Config {
                instruments: INSTRUMENTS_PER_WORLD,
                accounts: ACCOUNTS_PER_WORLD,
                ..Config::new(seed.wrapping_mul(1_000).wrapping_add(number), base_time_ms)
            };
            let generator = Generator::new(config).context("the load")?;
            Ok(World { generator, partition, partitions, session_close_ms })
        };
        let worlds = (0..partitions).map(Some).chain(once(None)).map(world).collect::<Result<_>>()?;
        Ok(Self { worlds, next: 0 })
    }

    pub(super) fn instruments(&self) -> Vec<Instrument> {
        self.worlds.iter().flat_map(World::instruments).collect()
    }

    pub(super) fn accounts(&self) -> Vec<FundedAccount> {
        self.worlds.iter().flat_map(World::accounts).collect()
    }
}

impl Iterator for Flow {
    type Item = Command;

    /// The worlds take turns.
    fn next(&mut self) -> Option<Command> {
        let command = self.worlds.get_mut(self.next)?.next();
        self.next = (self.next + 1) % self.worlds.len();
        Some(command)
    }
}

impl World {
    fn next(&mut self) -> Command {
        loop {
            // The generator is endless.
            let Some(timed) = self.generator.next() else { continue };
            let Some(partition) = self.partition else { return timed.command };
            if timed.command.kind != CommandKind::Amend {
                return self.renamed(partition, timed.command);
            }
        }
    }

    fn renamed(&self, partition: i32, mut command: Command) -> Command {
        command.account = self.account_name(partition, &command.account);
        command.instrument = command.instrument.map(|symbol| symbol_name(partition, &symbol));
        command
    }

    /// A name that belongs to the partition: the original one with the first number that makes it so.
    fn account_name(&self, partition: i32, name: &str) -> SmolStr {
        let numbered = |number: u32| format_smolstr!("{ORDERED_ACCOUNT}{partition}-{name}.{number}");
        let belongs = |name: &SmolStr| partition_of(name.as_bytes(), self.partitions) == partition;
        (0..).map(numbered).find(belongs).unwrap_or_default()
    }

    fn instruments(&self) -> Vec<Instrument> {
        let mut instruments = self.generator.instruments();
        if let Some(partition) = self.partition {
            for instrument in &mut instruments {
                instrument.symbol = symbol_name(partition, &instrument.symbol);
                instrument.base_asset = asset_name(partition, &instrument.base_asset);
                instrument.quote_asset = asset_name(partition, &instrument.quote_asset);
                instrument.session_close_ms = self.session_close_ms;
            }
        }
        instruments
    }

    fn accounts(&self) -> Vec<FundedAccount> {
        let mut accounts: Vec<FundedAccount> = self.generator.accounts().collect();
        if let Some(partition) = self.partition {
            for funded in &mut accounts {
                let account = self.account_name(partition, &funded.account.account);
                funded.account = Account { account, ..funded.account.clone() };
                for (asset, _) in &mut funded.funds {
                    *asset = asset_name(partition, asset);
                }
            }
        }
        accounts
    }
}

fn asset_name(partition: i32, asset: &str) -> SmolStr {
    format_smolstr!("{ORDERED_SYMBOL}{partition}{asset}")
}

/// Of both assets.
fn symbol_name(partition: i32, symbol: &str) -> SmolStr {
    let (base, quote) = symbol.split_once('-').unwrap_or((symbol, ""));
    format_smolstr!("{}-{}", asset_name(partition, base), asset_name(partition, quote))
}

/// What the load does with commands that are due while others wait for their acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Hands them to the client.
    Pressing,
    /// Keeps them back. librdkafka 2.12 has one request of a partition on its way, and while the next is overdue its threads
    /// ask without a pause whether it may go: while brokers fail over, that took 1.5 of two cores from them.
    Yielding,
}

/// What a load publishes, and how.
pub(super) struct LoadSpec {
    pub(super) flow: Flow,
    /// It ends when it has published so many.
    pub(super) most_commands: u64,
    pub(super) rate_per_second: u64,
    pub(super) manner: Manner,
    /// Hears when each command was due.
    pub(super) due: Option<Arc<DueTimes>>,
}

/// A load at work on a thread of its own.
pub(super) struct Load {
    counts: Arc<Counts>,
    thread: JoinHandle<Result<Published>>,
}

/// What the load and its owner tell each other.
struct Counts {
    acknowledged: AtomicU64,
    /// It waits when it has published so many.
    limit: AtomicU64,
    enough: AtomicBool,
}

/// What a load has published.
pub(super) struct Published {
    /// The rest of the flow.
    pub(super) flow: Flow,
    /// Commands, all of them acknowledged.
    pub(super) commands: u64,
    /// From the first to the last acknowledgement.
    pub(super) time: Duration,
}

impl Load {
    /// Begins to publish.
    pub(super) fn start(publisher: TopicPublisher<Command>, spec: LoadSpec) -> Self {
        let (acknowledged, limit) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let counts = Arc::new(Counts { acknowledged, limit, enough: AtomicBool::new(false) });
        let shared = Arc::clone(&counts);
        let thread = std::thread::spawn(move || publish(&publisher, spec, &shared));
        Self { counts, thread }
    }

    /// How many commands the broker has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.counts.acknowledged.load(Ordering::Relaxed)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets it end before it has published all.
    pub(super) fn enough(&self) {
        self.counts.enough.store(true, Ordering::Relaxed);
    }

    /// Lets it publish so many commands and wait then.
    pub(super) fn limit(&self, commands: u64) {
        self.counts.limit.store(commands, Ordering::Relaxed);
    }

    /// Waits for its end.
    pub(super) fn join(self) -> Result<Published> {
        self.thread.join().map_err(|_| anyhow::anyhow!("the load panicked"))?
    }
}

/// Open loop within bounds: what an outage holds up is published afterwards, at up to twice the rate, and never more than a
/// second's commands wait for their acknowledgement (of a yielding load, one burst). So strikes, which are counted in
/// acknowledged commands, stay spread.
fn publish(publisher: &TopicPublisher<Command>, spec: LoadSpec, counts: &Counts) -> Result<Published> {
    let LoadSpec { mut flow, most_commands, rate_per_second: rate, manner, due } = spec;
    let started_at = Instant::now();
    let mut catching_up = Duration::ZERO;
    let (mut commands, mut may_go) = (0, true);
    while commands < most_commands && !counts.enough.load(Ordering::Relaxed) {
        let scheduled = Duration::from_secs_f64(commands as f64 / rate as f64);
        loop {
            let in_flight = publisher.in_flight();
            counts.acknowledged.store(commands - in_flight.min(commands), Ordering::Relaxed);
            may_go |= in_flight == 0 || manner == Manner::Pressing;
            let now = started_at.elapsed();
            catching_up = catching_up.max(now.saturating_sub(BURST));
            let allowed = may_go && commands < counts.limit.load(Ordering::Relaxed) && in_flight < rate;
            if now >= scheduled && now >= catching_up && allowed || counts.enough.load(Ordering::Relaxed) {
                break;
            }
            may_go = false;
            publisher.poll();
            std::thread::sleep(LOOK_EVERY);
        }
        let Some(command) = flow.next() else { break };
        due.as_ref().map_or(Ok(()), |due| due.note(due.partition_of(&command.account), started_at + scheduled))?;
        publisher.send(&command.account, &command)?;
        catching_up += Duration::from_secs_f64(0.5 / rate as f64);
        commands += 1;
    }
    publisher.flush()?;
    counts.acknowledged.store(commands, Ordering::Relaxed);
    Ok(Published { flow, commands, time: started_at.elapsed() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where by panicking")]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    const PARTITIONS: i32 = 4;

    #[test]
    fn the_same_seed_gives_the_same_flow() {
        let flow = |seed| Flow::new(seed, PARTITIONS, 1_800_000_000_000).unwrap().take(5_000).collect::<Vec<_>>();
        assert_eq!(flow(1), flow(1));
        assert_ne!(flow(1), flow(2));
    }

    #[test]
    fn a_book_of_an_ordered_world_is_fed_by_one_partition_and_without_amends() {
        let mut fed_by: BTreeMap<SmolStr, BTreeSet<i32>> = BTreeMap::new();
        for command in Flow::new(1, PARTITIONS, 1_800_000_000_000).unwrap().take(20_000) {
            if !command.account.starts_with(ORDERED_ACCOUNT) {
                continue;
            }
            assert_ne!(command.kind, CommandKind::Amend);
            let partition = partition_of(command.account.as_bytes(), PARTITIONS);
            fed_by.entry(command.instrument.unwrap_or_default()).or_default().insert(partition);
        }
        // Cancels name no instrument.
        fed_by.remove("");
        assert!(fed_by.len() >= 32, "{fed_by:?}");
        assert!(fed_by.values().all(|partitions| partitions.len() == 1), "{fed_by:?}");
        let partitions: BTreeSet<i32> = fed_by.into_values().flatten().collect();
        assert_eq!(partitions.len(), PARTITIONS as usize);
    }

    #[test]
    fn accounts_are_funded_in_the_assets_of_their_instruments() {
        let flow = Flow::new(1, PARTITIONS, 1_800_000_000_000).unwrap();
        let listed: BTreeSet<SmolStr> =
            flow.instruments().into_iter().flat_map(|at| [at.base_asset, at.quote_asset]).collect();
        let funded: BTreeSet<SmolStr> =
            flow.accounts().into_iter().flat_map(|account| account.funds).map(|(asset, _)| asset).collect();
        assert_eq!(listed, funded);
    }
}
