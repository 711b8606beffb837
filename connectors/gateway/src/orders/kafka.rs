//! The topic `orders` as the log of commands.

use super::log::{Appending, CommandLog};
use crate::metrics::GatewayMetrics;
use crate::position::CommandPosition;
use crate::problem::Problem;
use anyhow::{Context, Result, ensure};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tapeline_kafka::acknowledged::{AcknowledgedPublisher, Sending, Undelivered};
use tapeline_kafka::app::App;
use tapeline_kafka::protocol::Cluster;
use tapeline_schemas::codec::{Encoder, SchemaIds, Wire};
use tapeline_schemas::topic;
use tapeline_schemas::wire::Command;

/// How commands are sent: what Kafka has not acknowledged by then, its sender is told not to count on.
const SENDING: Sending =
    Sending { patience: Duration::from_secs(5), linger: Duration::from_millis(1), max_in_flight: 20_000 };

/// The topic; not connected until [`Self::connect`] has succeeded.
pub struct KafkaCommands {
    metrics: GatewayMetrics,
    connected: OnceLock<Connected>,
}

struct Connected {
    publisher: AcknowledgedPublisher,
    encoder: Encoder<Command>,
    partitions: i32,
}

impl KafkaCommands {
    /// Not yet connected.
    pub fn new(metrics: GatewayMetrics) -> Self {
        Self { metrics, connected: OnceLock::new() }
    }

    /// Connects; blocks. Call it again after an error.
    ///
    /// # Errors
    /// If Kafka or the registry is away, the topic's schema is not registered, or the topic has another number of
    /// partitions than the topology says.
    pub fn connect(&self, app: &App) -> Result<()> {
        if self.connected.get().is_some() {
            return Ok(());
        }
        let declared = app.topology.topic(topic::ORDERS).context("the topology has no topic `orders`: add it")?;
        let id = app.registry.registered_id(topic::ORDERS, Command::SCHEMA_JSON).map_err(anyhow::Error::msg)?;
        let on_broker = Cluster::new(&app.addresses.kafka).topics()?.get(topic::ORDERS).copied();
        let on_broker = on_broker.context("the topic orders does not exist: run `tapeline apply`")?;
        ensure!(
            on_broker == declared.partitions,
            "{}: topics.orders.partitions is {}, the broker has {on_broker}: set it to {on_broker}",
            app.topology.file_name,
            declared.partitions
        );
        let publisher = AcknowledgedPublisher::open(&app.addresses.kafka, "gateway", SENDING)?;
        let connected = Connected { publisher, encoder: Encoder::new(id), partitions: declared.partitions };
        // Another thread may have been quicker; its connection is as good.
        let _ = self.connected.set(connected);
        Ok(())
    }

    async fn publish(&self, command: &Command) -> Result<CommandPosition, Problem> {
        let connected = self.connected.get().ok_or_else(|| {
            let detail = "the gateway has not reached Kafka yet: send the command again; it was not taken";
            Problem::new(503, "starting", "Not ready", detail).retry_after(1)
        })?;
        let mut payload = Vec::with_capacity(160);
        connected.encoder.encode(command, &mut payload);
        let key = command.account.as_bytes();
        let partition = topic::partition_of(key, connected.partitions);
        let began_at = Instant::now();
        let sent = connected.publisher.send(topic::ORDERS, partition, key, payload).await;
        let outcome = match &sent {
            Ok(_) => "acknowledged",
            Err(Undelivered::Full(_)) => "full",
            Err(Undelivered::NotSent(_)) => "not_sent",
            Err(Undelivered::Unknown(_)) => "unknown",
        };
        self.metrics.command(command.kind.symbol(), outcome);
        let delivered = sent.map_err(|error| problem(&error, &command.client_order_id))?;
        self.metrics.acknowledged(topic::ORDERS, began_at.elapsed());
        Ok(CommandPosition { partition: delivered.partition, offset: delivered.offset })
    }
}

impl CommandLog for KafkaCommands {
    fn append(&self, command: Command) -> Appending<'_> {
        Box::pin(async move { self.publish(&command).await })
    }
}

/// What it means for whoever sent the command.
fn problem(error: &Undelivered, client_order_id: &str) -> Problem {
    match error {
        Undelivered::Full(_) => {
            let detail = format!("{error}: the command was not taken; send it again");
            Problem::new(503, "too_busy", "Too busy", detail)
        }
        Undelivered::NotSent(_) => {
            let detail = format!("Kafka is away ({error}): the command was not taken; send it again");
            Problem::new(503, "kafka_away", "Kafka is away", detail)
        }
        Undelivered::Unknown(_) => {
            let detail = format!(
                "it is not known whether the command was taken ({error}): send it again with the same id \
                 `{client_order_id}`; it takes effect once"
            );
            Problem::new(503, "outcome_unknown", "Not known whether taken", detail)
        }
    }
    .retry_after(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_record_that_may_have_left_is_said_to_be_of_unknown_outcome() {
        for (error, code, says) in [
            (Undelivered::Full(7), "too_busy", "was not taken"),
            (Undelivered::NotSent("x".into()), "kafka_away", "was not taken"),
            (Undelivered::Unknown("x".into()), "outcome_unknown", "the same id `my-1`"),
        ] {
            let problem = problem(&error, "my-1");
            assert_eq!((problem.status, problem.code, problem.retry_after_s), (503, code, Some(1)));
            assert!(problem.detail.contains(says), "{}", problem.detail);
        }
    }
}
