//! `tapeline bench` in short: it runs, all results are right, and each figure stands beside its goal. How large figures are
//! decides no test.

use anyhow::{Result, ensure};
use tapeline_cli::bench::{BenchOptions, run};
use tapeline_tests::parts::{beside_stack, executables};

#[test]
fn a_short_bench_gives_figures_of_checked_results() -> Result<()> {
    beside_stack("bench", |home| {
        let home = home.join("bench");
        for (only, rows) in [("core", 3), ("open loop, separate binaries with both views, 4 partitions", 2)] {
            let options = BenchOptions { only: only.to_owned(), repetitions: 1, short: true, yes: true };
            run(&options, &home, &executables()?)?;
            let report = std::fs::read_to_string(home.join("report.md"))?;
            let judged = report.lines().filter(|line| line.ends_with("| met |") || line.ends_with("× |")).count();
            ensure!(judged >= rows, "{judged} figures beside their goals, not {rows}:\n{report}");
        }
        Ok(())
    })
}
