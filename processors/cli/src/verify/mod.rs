//! `tapeline verify`: proves that both views equal the log, and that the log keeps the invariants of DESIGN section 2.
//!
//! It shares nothing with the processors and sinks but the wire types' names, the codec as the last word on odd records,
//! and a connection to each database: it reads Avro by itself ([`avro`]), folds by itself ([`fold`]) and knows each
//! table's columns by itself ([`tables`]).
//!
//! **While the pipeline runs.** Each view states how far it has folded each partition, and is compared at exactly these
//! offsets. Invariants are checked up to the ends that the topics had at the start. A stage that lags is no violation: how
//! far each had come is taken from the journals (validator, executor) and the group's offsets (settler) before the ends
//! are, so a command below the validator's position must have its verdict, an order below the executor's its execution,
//! a trade below the settler's both its settlements; those above may have them. See [`log`].
//!
//! **How views are compared.** For each range of a table (131,072 offsets of a partition, an asset, one interval of one
//! book) the database computes the number of rows, the sum of each amount and the sum of the rows' 64-bit hashes; the same
//! is computed from the log ([`writer`]). Where they differ the log is read once more for the rows of those ranges
//! alone, and compared with the view's rows one by one ([`compare`]). [`repair`] rewrites just those that differ.
//!
//! What is absent: invariant 7 is a replay of the processors themselves and much slower: only on demand. ClickHouse's
//! analysts' views (`volume_by_minute` and others) are SQL over the compared ones and are not computed a second time.

mod avro;
mod compare;
mod database;
mod finding;
mod fold;
mod hash;
mod log;
mod parallel;
mod records;
mod repair;
mod report;
mod rows_clickhouse;
mod rows_timescale;
mod tables;
mod text;
mod writer;

pub use compare::Difference;
pub use finding::{Finding, NO_OVERDRAFT};
pub use fold::{Flow, RestingBook};

use crate::run::replay_all;
use anyhow::{Context, Result, anyhow};
use clap::Args;
use compare::RangeDifference;
use database::{Clickhouse, Timescale, Views};
use fold::{Fold, Shared};
use log::{Cut, LogReader, Positions};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tables::Database;
use tapeline_kafka::app::App;

/// Name of invariant 6.
const VIEWS: &str = "View = fold(log)";

/// Exit code if it could not be checked: a server is away, or a table is another version's.
const COULD_NOT_CHECK: u8 = 2;

/// Options of `tapeline verify`.
#[derive(Args, Debug, Clone)]
pub struct VerifyOptions {
    /// Rewrite the rows that differ from the log, then verify again. Safe while the sinks run: where a view moves on
    /// meanwhile, it says so and changes nothing in it.
    #[arg(long)]
    pub repair: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// Replay the processors by their journals too and compare the hashes of their outputs (invariant 7). Much slower
    /// than the rest: it runs the processors themselves over the whole log.
    #[arg(long)]
    pub replay: bool,
}

/// All that an audit found.
pub struct Audit {
    /// The invariants in their order; the seventh only if it was asked for.
    pub findings: Vec<Finding>,
    /// Commands, verdicts, trades, latencies.
    pub flow: Flow,
    /// What rests in the books.
    pub books: Vec<RestingBook>,
    /// The first difference in each range of a view that is not as the log has it.
    pub differences: Vec<Difference>,
    /// Records read.
    pub events: u64,
    /// How long it took, seconds.
    pub seconds: f64,
}

impl Audit {
    /// Whether all invariants hold.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(Finding::holds)
    }
}

/// Runs `tapeline verify`: exit code 0 if all holds, 1 if something differs, 2 if it could not check.
pub fn verify(options: &VerifyOptions) -> ExitCode {
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tapeline verify: could not check: {error:#}");
            ExitCode::from(COULD_NOT_CHECK)
        }
    }
}

fn run(options: &VerifyOptions) -> Result<bool> {
    let app = App::from_env()?;
    let (mut audit, differences, views) = checked(&app)?;
    let mut repaired = None;
    if options.repair && !differences.is_empty() {
        report::print(&audit, options.json)?;
        // The snapshot would keep the repair waiting for itself.
        let rows = repair::repair(&app.addresses.timescale_url, &views, &differences)?;
        drop(views);
        (audit, _, _) = checked(&app)?;
        repaired = Some(rows);
    }
    if options.replay {
        audit.findings.push(determinism(&app)?);
    }
    if let (Some(rows), false) = (repaired, options.json) {
        println!("\n{rows} rows were rewritten from the log. Verified again:");
    }
    report::print(&audit, options.json)?;
    Ok(audit.holds())
}

/// Checks all seven invariants, the replay included.
///
/// # Errors
/// If a server does not answer.
pub fn audit(app: &Arc<App>) -> Result<Audit> {
    let (mut audit, ..) = checked(app)?;
    audit.findings.push(determinism(app)?);
    Ok(audit)
}

/// Checks invariants 1 to 5 over the log alone, where there are no views.
///
/// # Errors
/// If broker or registry do not answer.
pub fn audit_log(app: &Arc<App>) -> Result<Audit> {
    let started_at = Instant::now();
    let Folded { log, fold, .. } = folded(app, Positions::default(), Positions::default())?;
    let (events, seconds) = (log.events(), started_at.elapsed().as_secs_f64());
    Ok(Audit { findings: fold.findings, flow: fold.flow, books: fold.books, differences: Vec::new(), events, seconds })
}

/// Checks invariants 1 to 6.
fn checked(app: &Arc<App>) -> Result<(Audit, Vec<RangeDifference>, Views)> {
    let started_at = Instant::now();
    let timescale = Timescale::open(&app.addresses.timescale_url).context("TimescaleDB")?;
    let clickhouse = Clickhouse::open(&app.addresses.clickhouse_url).context("ClickHouse")?;
    let mut views = Views { timescale, clickhouse };
    let by_timescale = views.timescale.stated.clone();
    let by_clickhouse = views.clickhouse.stated.clone();
    // The databases compute while the log is read.
    let (folded, digests) = std::thread::scope(|scope| {
        let digests = scope.spawn(|| compare::digests(&mut views));
        (folded(app, by_timescale, by_clickhouse), digests.join())
    });
    let Folded { log, shared, mut fold } = folded?;
    let digests = digests.map_err(|_| anyhow!("asking the databases panicked"))??;
    let mut stated = compare::beyond(Database::Timescale, &views.timescale.stated, &shared.cut.ends);
    stated.extend(compare::beyond(Database::Clickhouse, &views.clickhouse.stated, &shared.cut.ends));
    let (wanted, compared) = compare::differing(&mut fold, &digests);
    let events = log.events();
    let seconds = started_at.elapsed().as_secs_f64();
    let differences = if wanted.is_empty() { Vec::new() } else { compare::locate(&mut views, shared, &log, wanted)? };

    let mut finding = fold.depth;
    let (tables, books) = (fold.tables.len(), finding.checked);
    finding.checked = format!("{compared} ranges of {tables} tables and views in both databases, {books}");
    let told: Vec<Difference> =
        stated.into_iter().chain(differences.iter().map(|difference| difference.first.clone())).collect();
    told.iter().for_each(|difference| finding.violation(|| difference.to_string()));
    let mut findings = fold.findings;
    findings.push(finding);
    let audit = Audit { findings, flow: fold.flow, books: fold.books, differences: told, events, seconds };
    Ok((audit, differences, views))
}

/// The log below the cut and what it says.
struct Folded {
    log: LogReader,
    shared: Shared,
    fold: Fold,
}

fn folded(app: &Arc<App>, by_timescale: Positions, by_clickhouse: Positions) -> Result<Folded> {
    let log = LogReader::new(app)?;
    let cut = Cut::take(app, &log)?;
    let shared = Shared::new(cut, by_timescale, by_clickhouse, None);
    let fold = fold::fold(&shared, &log)?;
    Ok(Folded { log, shared, fold })
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
