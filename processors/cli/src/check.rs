//! `tapeline check`: whether `topology.toml` fits together, and on request whether the log still holds what restarts need.

use crate::table::Table;
use anyhow::{Result, bail};
use clap::Args;
use std::collections::BTreeMap;
use tapeline_kafka::app::{App, RestartNeed, load_topology};

/// What to check.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Ask Kafka too whether each input still begins before the older snapshot of each processor: what a restart needs.
    #[arg(long)]
    live: bool,
}

/// Checks and says what was found.
///
/// # Errors
/// If something does not fit together, or a restart would lack records; each with what to do.
pub fn check(options: Options) -> Result<()> {
    let topology = load_topology()?;
    println!(
        "{}: {} topics, {} processors, {} sinks, {} connectors fit together.",
        topology.file_name,
        topology.topics.len(),
        topology.processors.len(),
        topology.sinks.len(),
        topology.connectors.len()
    );
    if options.live { live() } else { Ok(()) }
}

fn live() -> Result<()> {
    let app = App::from_env()?;
    let mut table = Table::new(&["processor", "needs", "records kept before that, at least"]);
    let mut problems = Vec::new();
    for processor in app.topology.processors.iter().filter(|processor| processor.snapshots.is_some()) {
        let needs = app.restart_needs(&processor.name)?;
        for (topic, margin) in margins(&needs) {
            table.row([processor.name.clone(), topic.to_owned(), margin.to_string()]);
        }
        problems.extend(needs.iter().filter_map(|need| problem(&processor.name, need)));
    }
    print!("{table}");
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    println!("Each processor can restart from its newest snapshot and from the one before.");
    Ok(())
}

/// The least margin of each topic over all partitions.
fn margins(needs: &[RestartNeed]) -> BTreeMap<&str, i64> {
    let mut margins = BTreeMap::new();
    for need in needs {
        let margin = need.needed_offset - need.first_offset;
        margins.entry(need.topic.as_str()).and_modify(|least: &mut i64| *least = margin.min(*least)).or_insert(margin);
    }
    margins
}

fn problem(processor: &str, need: &RestartNeed) -> Option<String> {
    let RestartNeed { partition, snapshot, topic, of_input, needed_offset, first_offset } = need;
    let from = snapshot.map_or("the beginning".to_owned(), |number| format!("snapshot {number}"));
    (first_offset > needed_offset).then(|| {
        format!(
            "{processor}, partition {partition}: a restart from {from} needs {topic}-{of_input} from offset {needed_offset} on, \
             which begins at {first_offset}: keep it for longer (topology.toml), and end the processor by SIGTERM now, so that \
             it writes a snapshot at its last offset"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(topic: &str, of_input: i32, needed_offset: i64, first_offset: i64) -> RestartNeed {
        RestartNeed { partition: 1, snapshot: Some(7), topic: topic.into(), of_input, needed_offset, first_offset }
    }

    #[test]
    fn the_least_margin_of_each_topic_counts() {
        let needs = [need("orders", 0, 90, 10), need("orders", 1, 50, 20), need("clock", 0, 5, 8)];
        assert_eq!(margins(&needs), BTreeMap::from([("clock", -3), ("orders", 30)]));
    }

    #[test]
    fn only_records_that_are_gone_are_a_problem() {
        assert_eq!(problem("executor", &need("clock", 2, 8, 8)), None);
        let said = problem("executor", &need("clock", 2, 5, 8)).unwrap_or_default();
        assert!(
            said.starts_with("executor, partition 1: a restart from snapshot 7 needs clock-2 from offset 5 on"),
            "{said}"
        );
    }
}
