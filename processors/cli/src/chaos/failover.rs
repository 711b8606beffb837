//! Failover of three brokers: kills the leader of every topic under load and measures how long processors stand still.
//!
//! Standing still is the longest time in which a processor committed nothing, as its own metrics tell (a look each 50 ms,
//! without Kafka in between). The load comes at a steady rate, so that without a failover every processor commits many
//! times a second; a kill begins when all copies are in sync and that is so again.

use super::fleet::Fleet;
use crate::rig::{BROKERS, Events, Site, broker_index};
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tapeline_kafka::admin::Admin;
use tapeline_runtime::metrics::samples;

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the killed broker stays away: longer than a failover may take.
const AWAY: Duration = Duration::from_secs(12);
/// How long all copies may take to be in sync again.
const SYNC_PATIENCE: Duration = Duration::from_secs(180);
/// A kill begins when no processor has stood still for longer than [`STEADY`] in so much time. A broker that has just
/// started takes several times as long as one whose JVM is warm, and here all brokers share the cores.
const CALM: Duration = Duration::from_secs(10);
const STEADY: Duration = Duration::from_secs(2);
/// How long that may take.
const CALM_PATIENCE: Duration = Duration::from_secs(180);

/// Longest time without a commit by processor.
pub(super) type Standstill = BTreeMap<&'static str, Duration>;

/// Kills leaders until each topic has lost one and each broker was killed; gives the longest standstills.
///
/// # Errors
/// If a component ends, or copies do not come in sync again.
pub(super) fn run(site: &Site, fleet: &mut Fleet<'_>, events: &mut Events) -> Result<Standstill> {
    let watch = Watch::start(fleet.processors_http()?)?;
    let calm = wait_calm(fleet, events, &watch)?;
    events.note(&format!("failover: without a kill, longest time without a commit: {}", shown(&calm)));
    let mut spared: BTreeSet<usize> = (0..BROKERS.len()).collect();
    let mut topics: BTreeSet<String> = leaders(site)?.into_keys().collect();
    let all_topics = topics.len();
    let mut longest = Standstill::new();
    while !topics.is_empty() || !spared.is_empty() {
        wait_in_sync(site, fleet, events, &watch)?;
        wait_calm(fleet, events, &watch)?;
        let led = led_topics(&leaders(site)?);
        let lost = |index: usize| led[index].intersection(&topics).count();
        let Some(index) = (0..BROKERS.len()).max_by_key(|index| (lost(*index), spared.contains(index))) else { break };
        let (broker, lost) = (BROKERS[index], lost(index));
        ensure!(lost > 0 || spared.contains(&index), "no broker leads any of {topics:?}");
        fleet.kill_and_keep_down(broker)?;
        topics.retain(|topic| !led[index].contains(topic));
        spared.remove(&index);
        tend_until(fleet, events, &watch, Instant::now() + AWAY)?;
        let standstill = watch.take()?;
        events.note(&format!(
            "failover: {broker} killed, which led {} topics ({lost} that had not lost a leader before); longest time \
             without a commit: {}",
            led[index].len(),
            shown(&standstill)
        ));
        for (name, time) in standstill {
            let kept: &mut Duration = longest.entry(name).or_default();
            *kept = time.max(*kept);
        }
        fleet.bring_up(broker)?;
    }
    wait_in_sync(site, fleet, events, &watch)?;
    events.note(&format!("failover: each of {all_topics} topics has lost a leader, each broker was killed"));
    watch.stop();
    Ok(longest)
}

fn leaders(site: &Site) -> Result<BTreeMap<String, Vec<i32>>> {
    Admin::connect(&site.app.addresses.kafka)?.leaders()
}

/// The topics of which each broker leads a partition.
fn led_topics(leaders: &BTreeMap<String, Vec<i32>>) -> [BTreeSet<String>; BROKERS.len()] {
    let mut led: [BTreeSet<String>; BROKERS.len()] = Default::default();
    for (topic, of_partitions) in leaders {
        for index in of_partitions.iter().filter_map(|leader| broker_index(*leader)) {
            led[index].insert(topic.clone());
        }
    }
    led
}

fn tend_until(fleet: &mut Fleet<'_>, events: &mut Events, watch: &Watch, until: Instant) -> Result<()> {
    while Instant::now() < until {
        let fenced = fleet.fenced;
        fleet.tick(events)?;
        if fleet.fenced != fenced {
            watch.follow(fleet.processors_http()?);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Gives the standstills of the calm time.
fn wait_calm(fleet: &mut Fleet<'_>, events: &mut Events, watch: &Watch) -> Result<Standstill> {
    let deadline = Instant::now() + CALM_PATIENCE;
    loop {
        watch.take()?;
        tend_until(fleet, events, watch, Instant::now() + CALM)?;
        let standstill = watch.take()?;
        if standstill.values().all(|time| *time < STEADY) {
            return Ok(standstill);
        }
        let shown = shown(&standstill);
        ensure!(Instant::now() < deadline, "no {CALM:?} without a pause of {STEADY:?} in {CALM_PATIENCE:?}: {shown}");
    }
}

fn wait_in_sync(site: &Site, fleet: &mut Fleet<'_>, events: &mut Events, watch: &Watch) -> Result<()> {
    let deadline = Instant::now() + SYNC_PATIENCE;
    while !fleet.is_whole() || !Admin::connect(&site.app.addresses.kafka)?.all_in_sync()? {
        tend_until(fleet, events, watch, Instant::now() + LOOK_EVERY)?;
        if Instant::now() > deadline {
            bail!("not all copies are in sync {SYNC_PATIENCE:?} after a broker's restart");
        }
    }
    Ok(())
}

/// `validator 1.2 s, ...`.
pub(super) fn shown(standstill: &Standstill) -> String {
    let one = |(name, time): (&&str, &Duration)| format!("{name} {:.1} s", time.as_secs_f64());
    standstill.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What is known of one processor's commits.
struct Commits {
    http: SocketAddr,
    count: u64,
    last_at: Instant,
    longest: Duration,
}

type Shared = Arc<Mutex<BTreeMap<&'static str, Commits>>>;

/// Looks at the processors' commit counters on a thread of its own.
struct Watch {
    commits: Shared,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn start(processors: Vec<(&'static str, SocketAddr)>) -> Result<Self> {
        let fresh = |http| Commits { http, count: 0, last_at: Instant::now(), longest: Duration::ZERO };
        let commits: Shared =
            Arc::new(Mutex::new(processors.into_iter().map(|(name, http)| (name, fresh(http))).collect()));
        let stop = Arc::new(AtomicBool::new(false));
        let client = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(1)).build()?;
        let (shared, ended) = (Arc::clone(&commits), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                look(&client, &shared);
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Ok(Self { commits, stop, thread })
    }

    /// The processors serve HTTP elsewhere now; the time without a commit goes on.
    fn follow(&self, processors: Vec<(&'static str, SocketAddr)>) {
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, http) in processors {
            if let Some(of) = commits.get_mut(name).filter(|of| of.http != http) {
                (of.http, of.count) = (http, 0);
            }
        }
    }

    /// The longest times without a commit since the last call, the present one included.
    fn take(&self) -> Result<Standstill> {
        let mut commits = self.commits.lock().map_err(|_| anyhow::anyhow!("the watch panicked"))?;
        let taken = |(name, of): (&&'static str, &mut Commits)| {
            let longest = of.longest.max(of.last_at.elapsed());
            of.longest = Duration::ZERO;
            (*name, longest)
        };
        Ok(commits.iter_mut().map(taken).collect())
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // It only looks: a panic there has been seen by `take`.
        let _ = self.thread.join();
    }
}

fn look(client: &reqwest::blocking::Client, shared: &Shared) {
    let addresses: Vec<(&'static str, SocketAddr)> = {
        let commits = shared.lock().unwrap_or_else(PoisonError::into_inner);
        commits.iter().map(|(name, of)| (*name, of.http)).collect()
    };
    for (name, http) in addresses {
        let answer = client.get(format!("http://{http}/metrics")).send().and_then(reqwest::blocking::Response::text);
        let Some(count) = answer.ok().and_then(|metrics| commit_count(&metrics)) else { continue };
        let mut commits = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = commits.get_mut(name).filter(|of| of.http == http && of.count != count) {
            of.longest = of.longest.max(of.last_at.elapsed());
            (of.count, of.last_at) = (count, Instant::now());
        }
    }
}

/// Number of commits in a processor's metrics: each observes its batch once.
fn commit_count(metrics: &str) -> Option<u64> {
    samples(metrics, "tapeline_batch_records_count").next().map(|sample| sample.value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_from_the_batch_histogram() {
        let metrics = "tapeline_batch_records_sum{component=\"settler\"} 12\n\
                       tapeline_batch_records_count{component=\"settler\"} 7\n";
        assert_eq!(commit_count(metrics), Some(7));
        assert_eq!(commit_count("other 1\n"), None);
    }
}
