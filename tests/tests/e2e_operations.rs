//! What operations rely on: health, readiness and metrics, a clean end on SIGTERM, and a broker that goes away and
//! comes back under load.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::time::{Duration, Instant};
use tapeline_tests::parts::{wait_until, with_stack};
use tapeline_tests::pipeline::{DRAINING, PROCESSORS, Pipeline};

const PATIENCE: Duration = Duration::from_secs(300);
/// How long the broker is away.
const OUTAGE: Duration = Duration::from_secs(10);
const SEED: &str = "11";

#[test]
fn a_broker_that_goes_away_for_ten_seconds_costs_nothing_and_metrics_tell_of_it() -> Result<()> {
    with_stack("operations", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        for name in DRAINING {
            let (status, _) = pipeline.component(name)?.get("/healthz")?;
            ensure!(status == 200, "{name}: /healthz says {status}");
        }
        let log = File::create(stack.scratch("generate.log"))?;
        let load = ["--orders", "20000", "--rate", "1000", "--accounts", "500", "--instruments", "20", "--seed", SEED];
        println!("tapeline generate {}", load.join(" "));
        let mut command = stack.tapeline_command(&["generate"])?;
        let mut publisher = command.args(load).stdout(log.try_clone()?).stderr(log).spawn()?;
        wait_until("trades are settled", PATIENCE, || {
            let metrics = pipeline.component("settler")?.get("/metrics")?.1;
            Ok(metrics.contains("tapeline_outputs_total{component=\"settler\",kind=\"TRADE\""))
        })?;

        stack.parts(&["down", "kafka"])?;
        let down_at = Instant::now();
        while down_at.elapsed() < OUTAGE {
            pipeline.revive_fenced()?;
            std::thread::sleep(Duration::from_millis(200));
        }
        let (status, _) = pipeline.component("validator")?.get("/healthz")?;
        ensure!(status == 200, "the validator's /healthz says {status} while the broker is away");
        stack.parts(&["up", "kafka"])?;

        wait_until("all is published", PATIENCE, || {
            pipeline.revive_fenced()?;
            Ok(publisher.try_wait()?.is_some())
        })?;
        let status = publisher.wait().context("tapeline generate")?;
        ensure!(status.success(), "tapeline generate ended with {status}");
        pipeline.wait_ready()?;
        pipeline.rest(PATIENCE)?;
        check_metrics(&pipeline)?;
        stack.audit()?;
        // Each ends with code 0 within ten seconds.
        pipeline.stop()
    })
}

fn check_metrics(pipeline: &Pipeline<'_>) -> Result<()> {
    for name in DRAINING {
        let component = pipeline.component(name)?;
        let (status, body) = component.get("/readyz")?;
        ensure!(status == 200, "{name}: /readyz says {status}: {body}");
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
