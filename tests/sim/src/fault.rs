//! What goes wrong: the kinds of fault, how often each strikes in a run, and how often it has.

use crate::dice::Dice;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident = $ppm:literal,)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Its usual rate at each occasion, parts per million.
            const fn usual_ppm(self) -> u32 {
                match self { $(Self::$name => $ppm,)* }
            }
        }
    };
}

faults! {
    /// A process dies between two batches, or while it reads.
    CrashIdle = 900,
    /// A process dies with its transaction open and nothing of the commit asked for.
    CrashBeforeCommit = 9_000,
    /// A process dies with its offsets in the transaction and some of the records in the log.
    CrashDuringCommit = 12_000,
    /// A process dies when the commit is decided, before it hears of it; some of the markers may be written.
    CrashAfterCommit = 12_000,
    /// A process stands still at any step while the others go on, and wakes up later.
    Pause = 1_500,
    /// A step of one process is interrupted by a few steps of others.
    Interleave = 30_000,
    /// The broker refuses a commit; the transaction is aborted.
    RefusedCommit = 8_000,
    /// Markers of a decided transaction are written late, one by one.
    LateMarkers = 150_000,
    /// The group gives its partitions to other members.
    Rebalance = 12_000,
    /// The group drops a member that is alive.
    Expire = 2_500,
    /// A member joins or leaves.
    Scale = 5_000,
    /// An assignment or revocation comes in pieces.
    PartialAssignment = 150_000,
    /// The leader of a partition goes away for a while; the next one's clock differs by a few milliseconds.
    LeaderAway = 3_000,
    /// The append time jumps forward.
    ClockJump = 3_000,
    /// The append time stands still for a while.
    ClockStill = 3_000,
    /// A poll brings nothing although there is something.
    ShortPoll = 40_000,
    /// An upstream publisher repeats a record.
    DuplicatePublish = 25_000,
    /// A record that nobody can read.
    Garbage = 20_000,
    /// A database refuses a batch.
    SinkAway = 30_000,
    /// A database applies a batch, and its answer is lost.
    SinkAnswerLost = 30_000,
    /// A database has the rows of a batch and not its offsets.
    SinkRowsOnly = 30_000,
    /// A database takes its time.
    SinkSlow = 20_000,
    /// A record of a snapshot topic is changed, cut or lost.
    DamagedSnapshot = 6_000,
}

const KINDS: usize = Fault::ALL.len();

/// How often each kind strikes in one run: none, seldom, usual or often, drawn for each kind by itself, so that runs
/// differ in character.
#[derive(Debug, Clone)]
pub(crate) struct Rates([u32; KINDS]);

impl Rates {
    /// Draws the rates of a run.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut rates = [0; KINDS];
        for fault in Fault::ALL {
            let usual = fault.usual_ppm();
            rates[*fault as usize] = match dice.below(8) {
                0 | 1 => 0,
                2 | 3 => usual / 4,
                4..=6 => usual,
                _ => usual.saturating_mul(4).min(400_000),
            };
        }
        Self(rates)
    }

    /// Parts per million.
    pub(crate) const fn of(&self, fault: Fault) -> u32 {
        self.0[fault as usize]
    }
}

/// What happened in a run, or in many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Faults by kind, in the order of [`Fault::ALL`].
    pub faults: [u64; KINDS],
    /// Steps of the scheduler.
    pub steps: u64,
    /// Commands published, repeated ones and garbage included.
    pub commands: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Transactions aborted.
    pub aborts: u64,
    /// New assignments of a group.
    pub rebalances: u64,
    /// Members fenced by the broker.
    pub fenced: u64,
    /// Lanes and sinks built anew.
    pub restarts: u64,
    /// Records in all logs.
    pub records: u64,
    /// Trades.
    pub trades: u64,
}

impl Stats {
    /// Counts a fault.
    pub const fn count(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (sum, one) in self.faults.iter_mut().zip(other.faults) {
            *sum += one;
        }
        self.steps += other.steps;
        self.commands += other.commands;
        self.commits += other.commits;
        self.aborts += other.aborts;
        self.rebalances += other.rebalances;
        self.fenced += other.fenced;
        self.restarts += other.restarts;
        self.records += other.records;
        self.trades += other.trades;
    }

    /// A table of means over `runs` runs.
    pub fn table(&self, runs: u64) -> String {
        let mean = |sum: u64| format!("{:10.2}", sum as f64 / runs.max(1) as f64);
        let mut lines = vec!["mean for each seed:".to_owned()];
        let sums = [
            ("commands", self.commands),
            ("records", self.records),
            ("trades", self.trades),
            ("steps", self.steps),
            ("commits", self.commits),
            ("aborts", self.aborts),
            ("rebalances", self.rebalances),
            ("fenced", self.fenced),
            ("restarts", self.restarts),
        ];
        lines.extend(sums.iter().map(|(name, sum)| format!("  {name:20} {}", mean(*sum))));
        lines.push("faults, mean for each seed:".to_owned());
        lines.extend(
            Fault::ALL.iter().map(|fault| format!("  {:20} {}", fault.name(), mean(self.faults[*fault as usize]))),
        );
        lines.join("\n")
    }
}
