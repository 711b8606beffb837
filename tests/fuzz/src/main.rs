//! `fuzz`: damaged inputs by the million. `tests/README.md` says how to use it.

use anyhow::{Result, bail};
use clap::Parser;
use std::process::ExitCode;
use tapeline_fuzz::run::{Cases, exit_code, prepare, run};
use tapeline_fuzz::targets;

/// Gives damaged inputs to everything that reads bytes from outside, and stops at the first panic.
#[derive(Parser)]
struct Options {
    /// A target by name, all targets whose names begin with it, or all.
    #[arg(long, default_value = "all")]
    target: String,
    /// How many inputs, all targets together; each gets its share.
    #[arg(long, default_value_t = 1_000_000)]
    inputs: u64,
    /// The same seed gives the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of the first case.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Put the first input of each new kind of outcome into the corpus.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    exit_code(fuzz(&Options::parse()))
}

fn fuzz(options: &Options) -> Result<()> {
    let all = targets::all();
    let chosen: Vec<_> =
        all.iter().filter(|target| options.target == "all" || target.name.starts_with(&options.target)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = all.iter().map(|target| target.name).collect();
        bail!("there is no target `{}`: choose from {}", options.target, names.join(", "));
    }
    prepare();
    let weights: u64 = chosen.iter().map(|target| target.weight).sum();
    let mut total = 0;
    for target in chosen {
        let count = (options.inputs * target.weight).div_ceil(weights);
        let report = run(target, &Cases { seed: options.seed, from: options.from, count, keep: options.keep })?;
        total += report.cases;
        let seconds = report.took.as_secs_f64();
        println!(
            "{}: {} inputs in {seconds:.1} s, {:.0}/s, the slowest {:?}",
            target.name,
            report.cases,
            report.cases as f64 / seconds.max(1e-9),
            report.slowest
        );
        let mut kinds: Vec<_> = report.kinds.iter().filter(|(_, count)| **count > 0).collect();
        kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(**count), (*kind).clone()));
        for (kind, count) in kinds {
            println!("  {:>6.2} %  {count:>9}  {kind}", *count as f64 * 100.0 / report.cases.max(1) as f64);
        }
    }
    println!("{total} inputs, seed {}, no panic.", options.seed);
    Ok(())
}
