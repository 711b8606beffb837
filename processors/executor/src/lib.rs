//! The executor: `orders.validated` and `clock` in, `trades.executed` and `book.depth` out. One book per instrument.
//!
//! The rules are in `tapeline_domain::matching`; this crate reads and writes records.

use std::cell::RefCell;
use std::sync::Arc;
use tapeline_domain::accepted::Accepted;
use tapeline_domain::depth::{DepthKind, DepthUpdate};
use tapeline_domain::execution::{Execution, ExecutionBody};
use tapeline_domain::matching::Matching;
use tapeline_kafka::app::{App, Running};
use tapeline_runtime::dead_letter::UNDECODABLE;
use tapeline_runtime::event_decoder::{decoder, undecodable};
use tapeline_runtime::lane::LaneSpec;
use tapeline_runtime::processor::{Coding, Draft, Label, Position, Processor, Undecodable, Verdict};
use tapeline_schemas::codec::{Decoder, Encoder, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};

/// The component's name, in the topology, as consumer group and in metrics.
pub const NAME: &str = "executor";

/// Starts `lanes` lanes.
///
/// # Errors
/// If the topology does not list the executor.
pub fn spawn(app: &Arc<App>, running: &mut Running, lanes: usize) -> anyhow::Result<()> {
    app.spawn_processor(running, NAME, lanes, make)
}

/// Rules and coding of one lane.
///
/// # Errors
/// A sentence, if a schema is not registered or the registry is away.
pub fn make(spec: &LaneSpec, ids: &Arc<dyn SchemaIds>) -> Result<(Executor, ExecutorCoding), String> {
    let coding = ExecutorCoding {
        topics: spec.inputs.iter().map(|input| input.topic.clone()).collect(),
        commands: decoder(topic::VALIDATED, ids)?,
        ticks: decoder(topic::CLOCK, ids)?,
        executions: Encoder::new(ids.registered_id(topic::EXECUTED, wire::Execution::SCHEMA_JSON)?),
        depth: Encoder::new(ids.registered_id(topic::DEPTH, wire::BookDepth::SCHEMA_JSON)?),
    };
    Ok((Executor::default(), coding))
}

/// The rules.
#[derive(Default)]
pub struct Executor {
    /// Used again for each event.
    executions: RefCell<Vec<Execution>>,
}

/// What the executor takes in.
#[derive(Debug, Clone)]
pub enum In {
    /// An accepted command.
    Command(Box<Accepted>),
    /// Time has passed, up to the record's own time.
    Tick,
}

/// What the executor tells.
#[derive(Debug, Clone)]
pub enum Out {
    /// What a book did.
    Execution(Execution),
    /// What shows of a book.
    Depth(DepthUpdate),
}

impl Processor for Executor {
    type In = In;
    type Out = Out;
    type State = Matching;

    fn new_state(&self, partition: i32) -> Matching {
        Matching::new(partition)
    }

    fn apply(&self, state: &mut Matching, at: &Position, event: In, out: &mut Vec<Out>) -> Verdict {
        let mut executions = self.executions.borrow_mut();
        match event {
            In::Command(command) => state.apply(at.timestamp_ms, &command, &mut executions),
            In::Tick => state.tick(at.timestamp_ms, &mut executions),
        }
        out.extend(executions.drain(..).map(Out::Execution));
        out.extend(state.take_depth().map(Out::Depth));
        Verdict::Done
    }
}

/// Reads and writes the executor's records.
pub struct ExecutorCoding {
    topics: Vec<String>,
    commands: Decoder<wire::ValidatedCommand>,
    ticks: Decoder<wire::Tick>,
    executions: Encoder<wire::Execution>,
    depth: Encoder<wire::BookDepth>,
}

impl Coding<Executor> for ExecutorCoding {
    fn decode(&mut self, input: usize, _key: Option<&[u8]>, payload: Option<&[u8]>) -> Result<In, Undecodable> {
        if self.topics[input] == topic::CLOCK {
            self.ticks.decode(payload).map_err(undecodable)?;
            return Ok(In::Tick);
        }
        let command = self.commands.decode(payload).map_err(undecodable)?;
        let accepted = command.try_into();
        let accepted: Accepted = accepted
            .map_err(|error: tapeline_schemas::Unfit| Undecodable::Poison { code: UNDECODABLE, text: error.0 })?;
        Ok(In::Command(Box::new(accepted)))
    }

    fn encode(&mut self, out: &Out, draft: &mut Draft) {
        match out {
            Out::Execution(execution) => {
                let record = wire::Execution::from(execution);
                draft.topic = topic::EXECUTED;
                self.executions.encode(&record, &mut draft.payload);
                let key = record.instrument.or(record.account).unwrap_or_default();
                draft.key.extend_from_slice(key.as_bytes());
            }
            Out::Depth(update) => {
                draft.topic = topic::DEPTH;
                self.depth.encode(&wire::BookDepth::from(update), &mut draft.payload);
                draft.key.extend_from_slice(update.instrument.as_bytes());
            }
        }
    }

    fn label(out: &Out) -> Label {
        let out = match out {
            Out::Execution(execution) => execution,
            Out::Depth(update) => {
                let (kind, commanded_at_ms) = match update.kind {
                    DepthKind::Delta { commanded_at_ms, .. } => ("depth_delta", commanded_at_ms),
                    DepthKind::Snapshot { .. } => ("depth_snapshot", update.validated_at_ms),
                };
                return Label { kind, reason: "", commanded_at_ms };
            }
        };
        let (kind, reason) = match &out.body {
            ExecutionBody::Accepted { .. } => ("accepted", ""),
            ExecutionBody::Traded(_) => ("traded", ""),
            ExecutionBody::Amended { .. } => ("amended", ""),
            ExecutionBody::Triggered { .. } => ("triggered", ""),
            ExecutionBody::Cancelled { reason, .. } => ("cancelled", wire::CancelReason::from(*reason).symbol()),
            ExecutionBody::Expired { .. } => ("expired", ""),
            ExecutionBody::Refused { reason, .. } => ("refused", wire::RefuseReason::from(*reason).symbol()),
            ExecutionBody::Quoted { .. } => ("quoted", ""),
            ExecutionBody::Transferred { .. } => ("transferred", ""),
        };
        Label { kind, reason, commanded_at_ms: out.commanded_at_ms }
    }
}
