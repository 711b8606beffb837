//! What operations rely on: health, readiness and metrics, a clean end on SIGTERM, and parts that go away under load and
//! come back.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::process::Child;
use std::time::{Duration, Instant};
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::{DRAINING, PROCESSORS, Pipeline};

const PATIENCE: Duration = Duration::from_secs(300);
/// How long the broker is away.
const BROKER_AWAY: Duration = Duration::from_secs(10);
/// How long both databases are away.
const DATABASES_AWAY: Duration = Duration::from_secs(3);
const SEED: &str = "11";

#[test]
fn parts_that_go_away_under_load_cost_nothing() -> Result<()> {
    with_stack("operations", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        expect(&pipeline, "/healthz", 200)?;
        let mut publisher = publish(stack)?;
        wait_until("trades are settled", PATIENCE, || {
            let metrics = pipeline.component("settler")?.get("/metrics")?.1;
            Ok(metrics.contains("tapeline_outputs_total{component=\"settler\",kind=\"TRADE\""))
        })?;

        stack.parts(&["down", "timescale", "clickhouse"])?;
        outlive(&mut pipeline, DATABASES_AWAY)?;
        stack.parts(&["up", "timescale", "clickhouse"])?;

        stack.parts(&["down", "kafka"])?;
        ensure!(publisher.try_wait()?.is_none(), "the load ended before the broker went away: give it more orders");
        // One that starts while the broker is away waits for it.
        pipeline.kill9_and_restart("settler")?;
        outlive(&mut pipeline, BROKER_AWAY)?;
        expect(&pipeline, "/healthz", 200)?;
        let (status, body) = pipeline.component("settler")?.get("/readyz")?;
        ensure!(status == 503, "the settler's /readyz says {status} without a broker: {body}");
        stack.parts(&["up", "kafka"])?;

        wait_until("all is published", PATIENCE, || {
            pipeline.revive_fenced()?;
            Ok(publisher.try_wait()?.is_some())
        })?;
        let status = publisher.wait().context("tapeline generate")?;
        ensure!(status.success(), "tapeline generate ended with {status}");
        pipeline.wait_ready()?;
        pipeline.rest(PATIENCE)?;
        expect(&pipeline, "/readyz", 200)?;
        check_metrics(&pipeline)?;
        stack.audit()?;
        // Each ends with code 0 within ten seconds.
        pipeline.stop()
    })
}

fn publish(stack: &Stack) -> Result<Child> {
    let log = File::create(stack.scratch("generate.log"))?;
    let load = ["--orders", "30000", "--rate", "1000", "--accounts", "500", "--instruments", "20", "--seed", SEED];
    println!("tapeline generate {}", load.join(" "));
    let mut command = stack.tapeline_command(&["generate"])?;
    Ok(command.args(load).stdout(log.try_clone()?).stderr(log).spawn()?)
}

/// Lets time pass; whoever ends as fenced is started again, any other end fails.
fn outlive(pipeline: &mut Pipeline<'_>, time: Duration) -> Result<()> {
    let began_at = Instant::now();
    while began_at.elapsed() < time {
        pipeline.revive_fenced()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    pipeline.check_alive()
}

/// All processors and sinks answer `path` with `status`.
fn expect(pipeline: &Pipeline<'_>, path: &str, status: u16) -> Result<()> {
    for name in DRAINING {
        let (found, body) = pipeline.component(name)?.get(path)?;
        ensure!(found == status, "{name}: {path} says {found}, not {status}: {body}");
    }
    Ok(())
}

fn check_metrics(pipeline: &Pipeline<'_>) -> Result<()> {
    for name in DRAINING {
        let component = pipeline.component(name)?;
        let (status, metrics) = component.get("/metrics")?;
        ensure!(status == 200, "{name}: /metrics says {status}");
        let has = |start: &str| metrics.lines().any(|line| line.starts_with(start));
        for metric in [
            "tapeline_records_total{component=",
            "tapeline_batch_records_count{component=",
            "tapeline_commit_seconds_count{component=",
            "tapeline_latency_seconds_bucket{component=",
            "tapeline_lag_records{component=",
        ] {
            ensure!(has(metric), "{name}: no {metric} in\n{metrics}");
        }
    }
    for name in PROCESSORS {
        let (_, metrics) = pipeline.component(name)?.get("/metrics")?;
        let outputs = format!("tapeline_outputs_total{{component=\"{name}\",kind=");
        ensure!(metrics.contains(&outputs), "{name}: no {outputs} in\n{metrics}");
    }
    let (_, metrics) = pipeline.component("validator")?.get("/metrics")?;
    let by_reason = "tapeline_outputs_total{component=\"validator\",kind=\"rejected\",reason=\"INVALID_TICK\"}";
    ensure!(metrics.contains(by_reason), "no {by_reason} in\n{metrics}");
    Ok(())
}
