//! What the demo shows at its end.

use super::{Sent, chart};
use crate::verify::Audit;
use anyhow::Result;
use tapeline_domain::types::ONE;
use tapeline_kafka::app::App;

const TOP: usize = 5;

pub(super) fn print(app: &App, audit: &Audit, sent: &Sent) -> Result<()> {
    let flow = &audit.flow;
    let rejected: u64 = flow.rejected.values().sum();
    println!("\n── What went through ─────────────────────────────────────────────");
    println!("{}: {} commands", sent.what, sent.commands);
    println!(
        "published in {:.1} s, at rest in all topics and views after {:.1} s",
        sent.publishing.as_secs_f64(),
        sent.until_rest.as_secs_f64()
    );
    println!("commands in the log   {:>12}  (deposits and earlier runs included)", flow.commands);
    println!("accepted / rejected   {:>12}  / {rejected}", flow.accepted);
    let mut reasons: Vec<_> = flow.rejected.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    reasons.iter().take(TOP).for_each(|(reason, count)| println!("    {reason:<28} {count:>8}"));
    println!("trades                {:>12}", flow.trades);
    let orders: Vec<String> = flow.orders.iter().map(|(status, count)| format!("{status} {count}")).collect();
    println!("orders                {}", orders.join(", "));
    let value: i128 = flow.traded.values().map(|(_, notional)| notional).sum();
    println!("settled value         {:>12} in quote assets", value / i128::from(ONE));
    let mut traded: Vec<_> = flow.traded.iter().collect();
    traded.sort_by_key(|(_, (_, notional))| std::cmp::Reverse(*notional));
    for (instrument, (quantity, notional)) in traded.iter().take(TOP) {
        let (quantity, notional) = (quantity / i128::from(ONE), notional / i128::from(ONE));
        println!("    {instrument:<14} quantity {quantity:>12}, value {notional:>14}");
    }
    print_latencies(audit);
    print_market(audit);
    print_invariants(audit);
    print_queries(app);
    Ok(())
}

fn print_latencies(audit: &Audit) {
    println!("\n── Latency of trades, by the broker's own append times, ms ───────");
    println!("{:<22} {:>8} {:>8} {:>8} {:>8}", "stage", "p50", "p95", "p99", "max");
    for (stage, mut sorted) in audit.flow.latencies() {
        sorted.sort_unstable();
        let at = |share: f64| sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().max(1) - 1));
        let show = |value: Option<&i64>| value.map_or("-".into(), i64::to_string);
        println!(
            "{stage:<22} {:>8} {:>8} {:>8} {:>8}",
            show(at(0.50)),
            show(at(0.95)),
            show(at(0.99)),
            show(sorted.last())
        );
    }
}

fn print_market(audit: &Audit) {
    let Some(busiest) = audit.books.iter().max_by_key(|book| book.trades) else { return };
    println!("\n── The busiest instrument ────────────────────────────────────────");
    print!("{}", chart::book(busiest));
    if let Some(prints) = audit.flow.prints.get(busiest.instrument.as_str()) {
        print!("{}", chart::candles(prints));
    }
}

fn print_invariants(audit: &Audit) {
    println!("\n── Invariants ────────────────────────────────────────────────────");
    for (index, finding) in audit.findings.iter().enumerate() {
        let mark = if finding.holds() { "holds" } else { "BROKEN" };
        println!("{}. {:<22} {mark:<7} {}", index + 1, finding.invariant, finding.checked);
        if !finding.holds() {
            println!("     {} violations, the first:", finding.count);
            finding.violations.iter().for_each(|violation| println!("     - {violation}"));
        }
    }
}

fn print_queries(app: &App) {
    let addresses = &app.addresses;
    println!("\n── Three queries to try next (parts running: `tapeline up`) ──────");
    println!("curl '{}/?database=tapeline' --data-binary \\", addresses.clickhouse_url);
    println!("  'SELECT * FROM volume_by_minute ORDER BY notional DESC LIMIT 5 FORMAT PrettyCompact'");
    println!("curl '{}/?database=tapeline' --data-binary \\", addresses.clickhouse_url);
    println!("  'SELECT * FROM rejects_by_reason FORMAT PrettyCompact'");
    println!("psql {} -c \\", addresses.timescale_url);
    println!("  \"SELECT * FROM candles WHERE interval = '1s' ORDER BY bucket DESC LIMIT 5\"");
}
