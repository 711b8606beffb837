//! How quickly Kafka acknowledges commands at a steady rate. A measurement, not run by default: bring the parts up, run
//! `tapeline apply`, and start it by its name with `--ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a measurement that fails says where by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};
use tapeline_gateway::metrics::GatewayMetrics;
use tapeline_gateway::orders::kafka::KafkaCommands;
use tapeline_gateway::orders::log::CommandLog;
use tapeline_kafka::app::App;
use tapeline_runtime::metrics::Metrics;
use tapeline_schemas::wire::{Command, CommandKind};

const LASTS: Duration = Duration::from_secs(5);
const ACCOUNTS: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement on real parts"]
async fn commands_are_acknowledged_at_a_steady_rate() {
    let app = App::from_env().unwrap();
    let commands = Arc::new(KafkaCommands::new(GatewayMetrics::new(Metrics::new().unwrap()).unwrap()));
    let connecting = Arc::clone(&commands);
    tokio::task::spawn_blocking(move || connecting.connect(&app).unwrap()).await.unwrap();
    // The first round warms the broker up.
    for rate in [2_000, 2_000, 5_000, 10_000] {
        measure(&commands, rate).await;
    }
}

async fn measure(commands: &Arc<KafkaCommands>, rate: u64) {
    let (began_at, count) = (Instant::now(), rate * LASTS.as_secs());
    let mut sent = Vec::new();
    for number in 0..count {
        let due = began_at + Duration::from_nanos(number * 1_000_000_000 / rate);
        tokio::time::sleep_until(due.into()).await;
        let commands = Arc::clone(commands);
        sent.push(tokio::spawn(async move {
            let account = format!("speed-{}", number % ACCOUNTS).into();
            let mut command = Command::blank(account, format!("{rate}-{number}").into(), CommandKind::Cancel);
            command.target_client_order_id = Some("none".into());
            // From when it was due: waiting for its turn counts.
            commands.append(command).await.map(|_| due.elapsed())
        }));
    }
    let mut took = Vec::new();
    for one in sent {
        took.push(one.await.unwrap().unwrap());
    }
    let lasted = began_at.elapsed();
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{rate}/s: {count} acknowledged in {:.2} s; p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
        lasted.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
