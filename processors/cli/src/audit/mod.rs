//! Checks the invariants of DESIGN section 2 over the whole log, by code of its own: it shares the wire types with the
//! processors and sinks, and nothing else.
//!
//! It reads the topics to their present end, so it wants a pipeline that stands still (see [`crate::drain`]).

mod book;
mod flow;
mod ledger;
mod log;
mod views;

pub use book::RestingBook;
pub use flow::Flow;
pub use ledger::Ledger;

use crate::run::replay_all;
use anyhow::Result;
use std::sync::Arc;
use tapeline_kafka::app::App;

/// Most violations that are kept of one invariant: the first ones tell.
const KEPT_VIOLATIONS: usize = 5;

/// What was found about one invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, by its name.
    pub invariant: &'static str,
    /// How many things were checked, and what they are.
    pub checked: String,
    /// What violates it, the first few.
    pub violations: Vec<String>,
    /// How many violations there are.
    pub count: u64,
}

impl Finding {
    pub(crate) fn new(invariant: &'static str) -> Self {
        Self { invariant, checked: String::new(), violations: Vec::new(), count: 0 }
    }

    pub(crate) fn violation(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.violations.len() < KEPT_VIOLATIONS {
            self.violations.push(text());
        }
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.count == 0
    }
}

/// All that an audit found.
pub struct Audit {
    /// The seven invariants in their order.
    pub findings: Vec<Finding>,
    /// Commands, verdicts, trades, latencies.
    pub flow: Flow,
    /// Balances.
    pub ledger: Ledger,
    /// What rests in the books.
    pub books: Vec<RestingBook>,
}

impl Audit {
    /// Whether all invariants hold.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(Finding::holds)
    }
}

/// Reads all topics and checks all invariants; the views only if `views` says so.
///
/// # Errors
/// If a server does not answer.
pub fn audit(app: &Arc<App>, with_views: bool) -> Result<Audit> {
    let log = log::Log::new(app)?;
    let (flow, one_verdict, settled_once) = flow::read(&log)?;
    let (ledger, conservation, no_overdraft) = ledger::read(&log)?;
    let (books, priority) = book::read(&log)?;
    let mut findings = vec![conservation, no_overdraft, one_verdict, settled_once, priority];
    if with_views {
        findings.push(views::compare(app, &flow, &ledger)?);
    }
    findings.push(determinism(app)?);
    Ok(Audit { findings, flow, ledger, books })
}

/// Invariant 7: the processors, run again over the log in the journal's order, write the same bytes.
fn determinism(app: &Arc<App>) -> Result<Finding> {
    let mut finding = Finding::new("Determinism");
    let mut outputs = 0;
    for (component, partition, replayed) in replay_all(app)? {
        match replayed {
            Ok(count) => outputs += count,
            Err(error) => finding.violation(|| format!("{component}, partition {partition}: {error}")),
        }
    }
    finding.checked = format!("{outputs} outputs of validator and executor replayed, hashes equal");
    Ok(finding)
}
