//! What `tapeline verify` prints.

use super::{Audit, Difference, Finding};
use anyhow::Result;
use serde::Serialize;

/// Most differences that are printed; all are in the JSON.
const SHOWN: usize = 20;

#[derive(Serialize)]
struct Json<'a> {
    holds: bool,
    findings: &'a [Finding],
    differences: &'a [Difference],
    events: u64,
    seconds: f64,
    events_per_second: f64,
}

fn per_second(audit: &Audit) -> f64 {
    audit.events as f64 / audit.seconds
}

pub(super) fn print(audit: &Audit, json: bool) -> Result<()> {
    if json {
        let Audit { findings, differences, events, seconds, .. } = audit;
        let (events, seconds, events_per_second) = (*events, *seconds, per_second(audit));
        let report = Json { holds: audit.holds(), findings, differences, events, seconds, events_per_second };
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    for (index, finding) in audit.findings.iter().enumerate() {
        let mark = if finding.holds() { "holds" } else { "BROKEN" };
        println!("{}. {:<22} {mark:<7} {}", index + 1, finding.invariant, finding.checked);
        if !finding.holds() && (audit.differences.is_empty() || finding.invariant != super::VIEWS) {
            println!("     {} violations, the first:", finding.count);
            finding.violations.iter().for_each(|violation| println!("     - {violation}"));
        }
    }
    if !audit.differences.is_empty() {
        println!("{} ranges differ from the log. The first difference in each:", audit.differences.len());
        audit.differences.iter().take(SHOWN).for_each(|difference| println!("  {difference}"));
        if audit.differences.len() > SHOWN {
            println!("  and {} more (--json shows all)", audit.differences.len() - SHOWN);
        }
    }
    println!("{} events in {:.1} s: {:.0} events/s", audit.events, audit.seconds, per_second(audit));
    Ok(())
}
