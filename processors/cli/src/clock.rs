//! The clock: one tick a second to each partition of `clock`, so that orders expire where no command comes.
//!
//! Ticks carry no time of their own, the broker's append time counts; a second clock does no harm but more ticks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tapeline_kafka::app::{App, Running};
use tapeline_kafka::publisher::Publisher;
use tapeline_runtime::lane::LaneError;
use tapeline_runtime::port::OutRecord;
use tapeline_runtime::supervisor::supervise;
use tapeline_schemas::codec::{Encoder, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};

/// The component's name.
pub const NAME: &str = "clock";

const PERIOD: Duration = Duration::from_secs(1);

/// Starts the clock.
///
/// # Errors
/// If no thread can be started.
pub fn spawn(app: &Arc<App>, running: &mut Running) -> anyhow::Result<()> {
    let (app, metrics) = (Arc::clone(app), app.metrics.lane(NAME, 0));
    running.spawn(NAME, 0, move || {
        supervise(NAME, &metrics, &app.stop, || {
            metrics.set_ready(true);
            tick(&app)
        })
    })
}

fn tick(app: &App) -> Result<(), LaneError> {
    let id = app.registry.registered_id(topic::CLOCK, wire::Tick::SCHEMA_JSON).map_err(LaneError::Away)?;
    let encoder = Encoder::<wire::Tick>::new(id);
    let publisher = Publisher::open(&app.addresses.kafka, NAME)?;
    let partitions = app.topology.topic(topic::CLOCK).map_or(0, |topic| topic.partitions);
    let mut next = Instant::now();
    for sequence in 0.. {
        while Instant::now() < next {
            if app.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        next += PERIOD;
        for partition in 0..partitions {
            let mut payload = Vec::new();
            encoder.encode(&wire::Tick { sequence }, &mut payload);
            publisher.send(&OutRecord {
                topic: topic::CLOCK.to_owned(),
                partition: Some(partition),
                key: Some(partition.to_string().into_bytes()),
                payload: Some(payload),
                headers: Vec::new(),
            })?;
        }
        publisher.flush()?;
    }
    Ok(())
}
