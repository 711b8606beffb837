//! What is done to whom and when, drawn from a seed alone. Moments are counted in acknowledged commands, so that a plan
//! does not depend on how fast a machine is.
//!
//! What is absent: doing it (see [`super::fleet`]).

use crate::rig::servers;
use crate::run::{DRAINING, PROCESSORS};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use std::fmt;
use std::time::Duration;

/// Most instances of a processor.
const MOST_INSTANCES: u32 = 3;
/// No deed in the first and the last tenth of the commands: at both ends the load must be at work.
const QUIET_TENTH: u64 = 10;
/// One change of a processor's instances comes with so many strikes, and one restart of everything with so many.
const STRIKES_PER_SCALING: u32 = 6;
const STRIKES_PER_RESTART: u32 = 50;

/// Pauses of components, milliseconds: below and above the groups' session time-out of 10 s.
const SHORT_PAUSE_MS: (u32, u32) = (500, 4_500);
const LONG_PAUSE_MS: (u32, u32) = (11_500, 15_000);

/// Who is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Victim {
    /// One of the running instances of a component.
    Component(&'static str),
    /// A server.
    Part(&'static str),
    /// The broker that leads the most partitions.
    Leader,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// SIGKILL, and a start at once.
    Kill,
    /// SIGTERM, and a start as soon as it has ended.
    Terminate,
    /// SIGSTOP, and SIGCONT after this time.
    Pause(Duration),
}

/// One deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Strikes one.
    Strike {
        /// Whom.
        victim: Victim,
        /// Chooses among the instances of a component.
        pick: u32,
        /// How.
        way: Way,
    },
    /// Sets the number of a processor's instances.
    Scale {
        /// Processor.
        processor: &'static str,
        /// Instances, 1 to 3.
        instances: u32,
    },
    /// SIGTERM to all components, and a start of each as soon as it has ended.
    RestartAll,
}

/// A deed and its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    /// It happens when so many commands have been acknowledged.
    pub(super) at_command: u64,
    /// What happens.
    pub(super) deed: Deed,
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => f.write_str(name),
            Self::Part(name) => write!(f, "server {name}"),
            Self::Leader => f.write_str("the leading broker"),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("SIGKILL"),
            Self::Terminate => f.write_str("SIGTERM"),
            Self::Pause(time) => write!(f, "SIGSTOP for {} ms", time.as_millis()),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strike { victim, way, .. } => write!(f, "{victim}: {way}"),
            Self::Scale { processor, instances } => write!(f, "{processor}: {instances} instances"),
            Self::RestartAll => f.write_str("all components: SIGTERM"),
        }
    }
}

struct Dice(Pcg64Mcg);

impl Dice {
    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    fn pause(&mut self, (least, most): (u32, u32)) -> Way {
        Way::Pause(Duration::from_millis(u64::from(least) + self.below(u64::from(most - least))))
    }

    fn way(&mut self) -> Way {
        match self.below(20) {
            0..10 => Way::Kill,
            10..14 => Way::Terminate,
            14..17 => self.pause(SHORT_PAUSE_MS),
            _ => self.pause(LONG_PAUSE_MS),
        }
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// All victims of a stack with so many brokers.
pub(super) fn victims(brokers: u16) -> Vec<Victim> {
    let components = DRAINING.map(Victim::Component).into_iter();
    components.chain(servers(brokers).map(Victim::Part)).chain((brokers > 1).then_some(Victim::Leader)).collect()
}

/// The plan of `strikes` strikes over `commands` commands. Victims take turns in rounds of random order, so that each of
/// them is struck; scaling and restarts come on top.
pub(super) fn plan(seed: u64, strikes: u32, commands: u64, brokers: u16) -> Vec<Event> {
    let mut dice = Dice(Pcg64Mcg::seed_from_u64(seed));
    let mut deeds = Vec::new();
    let mut round = Vec::new();
    for _ in 0..strikes {
        if round.is_empty() {
            round = victims(brokers);
            dice.shuffle(&mut round);
        }
        if let Some(victim) = round.pop() {
            deeds.push(Deed::Strike { victim, pick: dice.below(1 << 20) as u32, way: dice.way() });
        }
    }
    for _ in 0..strikes.div_ceil(STRIKES_PER_SCALING) {
        let processor = PROCESSORS[dice.below(PROCESSORS.len() as u64) as usize];
        let instances = 1 + dice.below(MOST_INSTANCES.into()) as u32;
        let place = dice.below(deeds.len() as u64 + 1) as usize;
        deeds.insert(place, Deed::Scale { processor, instances });
    }
    for _ in 0..strikes.div_ceil(STRIKES_PER_RESTART) {
        let place = dice.below(deeds.len() as u64 + 1) as usize;
        deeds.insert(place, Deed::RestartAll);
    }
    let first = commands / QUIET_TENTH;
    let span = commands - 2 * first;
    let mut moments: Vec<u64> = deeds.iter().map(|_| first + dice.below(span.max(1))).collect();
    moments.sort_unstable();
    moments.into_iter().zip(deeds).map(|(at_command, deed)| Event { at_command, deed }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn struck(events: &[Event]) -> Vec<Victim> {
        let victim = |event: &Event| match event.deed {
            Deed::Strike { victim, .. } => Some(victim),
            _ => None,
        };
        events.iter().filter_map(victim).collect()
    }

    #[test]
    fn a_seed_gives_the_same_plan_and_another_seed_another() {
        assert_eq!(plan(7, 200, 1_000_000, 1), plan(7, 200, 1_000_000, 1));
        assert_ne!(plan(7, 200, 1_000_000, 1), plan(8, 200, 1_000_000, 1));
    }

    #[test]
    fn each_victim_is_struck_before_one_is_struck_three_times() {
        for seed in 0..50 {
            for brokers in [1, 3] {
                let all: BTreeSet<Victim> = victims(brokers).into_iter().collect();
                let strikes = plan(seed, 12, 60_000, brokers);
                assert_eq!(struck(&strikes).len(), 12);
                let seen: BTreeSet<Victim> = struck(&strikes).into_iter().collect();
                assert_eq!(seen, all, "seed {seed}, {brokers} brokers");
            }
        }
    }

    #[test]
    fn deeds_keep_to_the_middle_of_the_load_and_in_order() {
        let events = plan(3, 200, 1_000_000, 1);
        assert!(events.is_sorted_by_key(|event| event.at_command));
        assert!(events.iter().all(|event| (100_000..900_000).contains(&event.at_command)));
        assert!(events.iter().any(|event| event.deed == Deed::RestartAll));
        let pauses = events.iter().filter_map(|event| match event.deed {
            Deed::Strike { way: Way::Pause(time), .. } => Some(time),
            _ => None,
        });
        let session = Duration::from_secs(10);
        let (short, long): (Vec<_>, Vec<_>) = pauses.partition(|time| *time < session);
        assert!(!short.is_empty() && !long.is_empty());
    }

    #[test]
    fn no_strikes_no_deeds() {
        assert!(plan(1, 0, 1_000, 3).is_empty());
    }
}
