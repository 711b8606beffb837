//! The settler: `trades.executed` in, `trades.settled` out. It has no state: each execution says all it needs.
//!
//! The rules are in `tapeline_domain::settlement`; this crate reads and writes records.

use std::sync::Arc;
use tapeline_domain::execution::Execution;
use tapeline_domain::settlement::{Settlement, settle};
use tapeline_domain::types::position_id;
use tapeline_kafka::app::{App, Running};
use tapeline_runtime::dead_letter::UNDECODABLE;
use tapeline_runtime::event_decoder::{decoder, undecodable};
use tapeline_runtime::lane::LaneSpec;
use tapeline_runtime::processor::{Coding, Draft, Label, Position, Processor, Undecodable, Verdict};
use tapeline_schemas::codec::{Decoder, Encoder, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};

/// The component's name, in the topology, as consumer group and in metrics.
pub const NAME: &str = "settler";

/// Starts `lanes` lanes.
///
/// # Errors
/// If the topology does not list the settler.
pub fn spawn(app: &Arc<App>, running: &mut Running, lanes: usize) -> anyhow::Result<()> {
    app.spawn_processor(running, NAME, lanes, make)
}

/// Rules and coding of one lane.
///
/// # Errors
/// A sentence, if a schema is not registered or the registry is away.
pub fn make(_spec: &LaneSpec, ids: &Arc<dyn SchemaIds>) -> Result<(Settler, SettlerCoding), String> {
    let coding = SettlerCoding {
        executions: decoder(topic::EXECUTED, ids)?,
        settlements: Encoder::new(ids.registered_id(topic::SETTLED, wire::Settlement::SCHEMA_JSON)?),
    };
    Ok((Settler, coding))
}

/// The rules.
pub struct Settler;

impl Processor for Settler {
    type In = Execution;
    type Out = Settlement;
    type State = ();

    fn new_state(&self, _partition: i32) {}

    fn apply(&self, _state: &mut (), at: &Position, event: Execution, out: &mut Vec<Settlement>) -> Verdict {
        match settle(position_id(at.partition, at.offset), at.timestamp_ms, &event, out) {
            Ok(()) if out.is_empty() => Verdict::Ignored("nothing to settle"),
            Ok(()) => Verdict::Done,
            Err(unbalanced) => Verdict::Poison(unbalanced.0),
        }
    }
}

/// Reads and writes the settler's records.
pub struct SettlerCoding {
    executions: Decoder<wire::Execution>,
    settlements: Encoder<wire::Settlement>,
}

impl Coding<Settler> for SettlerCoding {
    fn decode(&mut self, _input: usize, _key: Option<&[u8]>, payload: Option<&[u8]>) -> Result<Execution, Undecodable> {
        let execution = self.executions.decode(payload).map_err(undecodable)?;
        execution
            .try_into()
            .map_err(|error: tapeline_schemas::Unfit| Undecodable::Poison { code: UNDECODABLE, text: error.0 })
    }

    fn encode(&mut self, out: &Settlement, draft: &mut Draft) {
        draft.topic = topic::SETTLED;
        self.settlements.encode(&out.into(), &mut draft.payload);
        draft.key.extend_from_slice(out.account.as_bytes());
    }

    fn label(out: &Settlement) -> Label {
        let kind = wire::SettlementKind::from(out.kind).symbol();
        Label { kind, reason: "", commanded_at_ms: out.commanded_at_ms }
    }
}
