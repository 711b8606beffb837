//! Runs cases of a target, counts what became of them, and stops at the first failure.

use crate::dice::Dice;
use crate::targets::{Start, Target};
use crate::{corpus, mutate};
use anyhow::{Context, Result, bail};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One input may take no longer: a thousand times what the slowest needs on a busy machine.
const MAX_CASE: Duration = Duration::from_secs(5);
/// An input that has not ended after this long never will: the process ends.
const HANG: Duration = Duration::from_secs(30);
/// The process may use no more memory at its peak.
const MAX_PEAK_KIB: u64 = 1 << 20;
/// The peak is looked at after so many cases.
const LOOK_EVERY: u64 = 4_096;
/// Most kinds of outcome that are told apart.
const MAX_KINDS: usize = 200;

/// Which cases to run.
#[derive(Debug, Clone, Copy)]
pub struct Cases {
    /// The seed.
    pub seed: u64,
    /// First case.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// Whether the first input of each new kind of outcome goes into the corpus.
    pub keep: bool,
}

/// What became of a target's cases.
#[derive(Debug, Default)]
pub struct Report {
    /// How many cases ran.
    pub cases: u64,
    /// How long they took together.
    pub took: Duration,
    /// The longest of them.
    pub slowest: Duration,
    /// How many ended in which way.
    pub kinds: BTreeMap<String, u64>,
}

/// The case at hand, for the watchdog.
static AT_WORK: Mutex<Option<(Instant, &'static str, u64, u64)>> = Mutex::new(None);

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes panics silent (their message is kept for the report) and watches for inputs that never end.
pub fn prepare() {
    std::panic::set_hook(Box::new(|info| {
        LAST_PANIC.with(|last| *last.borrow_mut() = info.to_string().replace('\n', " "));
    }));
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let at_work = AT_WORK.lock().ok().and_then(|at_work| *at_work);
            if let Some((since, target, seed, case)) = at_work.filter(|(since, ..)| since.elapsed() > HANG) {
                eprintln!("{target}: seed {seed}, case {case} has not ended after {:?}", since.elapsed());
                std::process::exit(2);
            }
        }
    });
}

/// Runs every file of the target's corpus as it is, then the cases.
///
/// # Errors
/// The first failure: what it was, how to run it again, and where its input was kept.
pub fn run(target: &Target, cases: &Cases) -> Result<Report> {
    let mut function = (target.start)().with_context(|| target.name)?;
    let mut report = Report::default();
    let mut seeds = (target.seeds)().with_context(|| target.name)?;
    for (name, input) in corpus::files(target.name)? {
        let kind = attempt(&mut function, &input).map_err(|why| anyhow::anyhow!("{}/{name}: {why}", target.name))?;
        report.count(kind, Duration::ZERO);
        seeds.push(input);
    }
    for input in &seeds {
        let kind = attempt(&mut function, input).map_err(|why| anyhow::anyhow!("a seed of {}: {why}", target.name))?;
        report.count(kind, Duration::ZERO);
    }
    report.kinds.values_mut().for_each(|count| *count = 0);
    let began_at = Instant::now();
    for case in cases.from..cases.from + cases.count {
        let input = mutate::case(&seeds, target.is_text, &mut Dice::of(cases.seed, target.name, case));
        let at_work = Instant::now();
        set_at_work(Some((at_work, target.name, cases.seed, case)));
        let done = attempt(&mut function, &input);
        set_at_work(None);
        let took = at_work.elapsed();
        let done = done.and_then(|kind| match took > MAX_CASE {
            true => Err(format!("it took {took:?}")),
            false => Ok(kind),
        });
        match done {
            Ok(kind) => {
                if report.count(kind.clone(), took) && cases.keep {
                    corpus::keep(target.name, &file_name(&kind), &input)?;
                }
            }
            Err(why) => {
                let path = corpus::keep(target.name, "crash", &input)?;
                let again = format!("--target {} --seed {} --from {case} --inputs 1", target.name, cases.seed);
                bail!("{}: {why}\n  again: fuzz {again}\n  input: {}", target.name, path.display());
            }
        }
        report.cases += 1;
        if case % LOOK_EVERY == 0 {
            check_memory(target.name, case)?;
        }
    }
    report.took = began_at.elapsed();
    Ok(report)
}

impl Report {
    /// Counts an outcome; says whether it is the first of its kind.
    fn count(&mut self, kind: String, took: Duration) -> bool {
        self.slowest = self.slowest.max(took);
        let kind = if self.kinds.len() < MAX_KINDS || self.kinds.contains_key(&kind) { kind } else { "other".into() };
        let count = self.kinds.entry(kind).or_default();
        *count += 1;
        *count == 1 && self.cases > 0
    }
}

fn set_at_work(case: Option<(Instant, &'static str, u64, u64)>) {
    if let Ok(mut at_work) = AT_WORK.lock() {
        *at_work = case;
    }
}

/// The kind of outcome, or the panic.
fn attempt(function: &mut Start, input: &[u8]) -> Result<String, String> {
    catch_unwind(AssertUnwindSafe(|| function(input)))
        .map_err(|_| LAST_PANIC.with(|last| format!("a panic: {}", last.borrow())))
}

fn file_name(kind: &str) -> String {
    let legal = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    kind.chars().map(legal).take(40).collect()
}

fn check_memory(target: &str, case: u64) -> Result<()> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak: Option<u64> =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    match peak {
        Some(peak) if peak > MAX_PEAK_KIB => {
            bail!(
                "{target}: memory has peaked at {peak} KiB by case {case}: look among the {LOOK_EVERY} cases before it"
            )
        }
        _ => Ok(()),
    }
}

/// The exit code of a process whose work ended so, with its error printed.
pub fn exit_code(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fuzz: {error:#}");
            ExitCode::FAILURE
        }
    }
}
