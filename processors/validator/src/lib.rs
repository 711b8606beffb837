//! The validator: `orders` in, `orders.validated` or `orders.rejected` out. Settlements come back as feedback and keep
//! its balances true; reference data tells it what exists.
//!
//! The rules are in `tapeline_domain::risk`; this crate reads and writes records.

use smol_str::SmolStr;
use std::sync::Arc;
use tapeline_domain::command::Command;
use tapeline_domain::risk::{CommandAt, Decision, Risk};
use tapeline_domain::settlement::Settlement;
use tapeline_domain::types::{Account, Instrument, position_id};
use tapeline_kafka::app::{App, Running};
use tapeline_runtime::dead_letter::BAD_KEY;
use tapeline_runtime::event_decoder::{check_key, decoder, undecodable};
use tapeline_runtime::lane::LaneSpec;
use tapeline_runtime::processor::{Coding, Draft, Label, Position, Processor, Undecodable, Verdict};
use tapeline_schemas::codec::{Decoder, Encoder, SchemaIds, Wire};
use tapeline_schemas::{Unfit, topic, wire};

/// The component's name, in the topology, as consumer group and in metrics.
pub const NAME: &str = "validator";

/// Starts `lanes` lanes.
///
/// # Errors
/// If the topology does not list the validator.
pub fn spawn(app: &Arc<App>, running: &mut Running, lanes: usize) -> anyhow::Result<()> {
    app.spawn_processor(running, NAME, lanes, make)
}

/// Rules and coding of one lane.
///
/// # Errors
/// A sentence, if a schema is not registered or the registry is away.
pub fn make(spec: &LaneSpec, ids: &Arc<dyn SchemaIds>) -> Result<(Validator, ValidatorCoding), String> {
    let topics = spec.inputs.iter().map(|input| input.topic.clone()).collect();
    let id = |topic, schema| ids.registered_id(topic, schema);
    let coding = ValidatorCoding {
        topics,
        commands: decoder(topic::ORDERS, ids)?,
        settlements: decoder(topic::SETTLED, ids)?,
        accounts: decoder(topic::ACCOUNTS, ids)?,
        instruments: decoder(topic::INSTRUMENTS, ids)?,
        validated: Encoder::new(id(topic::VALIDATED, wire::ValidatedCommand::SCHEMA_JSON)?),
        rejected: Encoder::new(id(topic::REJECTED, wire::Rejection::SCHEMA_JSON)?),
    };
    Ok((Validator, coding))
}

/// The rules.
pub struct Validator;

/// What the validator takes in.
#[derive(Debug, Clone)]
pub enum In {
    /// A command.
    Command(Command),
    /// Feedback from the settler.
    Settlement(Settlement),
    /// A version of an account's reference data.
    Account(Account),
    /// An account's reference data is taken back.
    NoAccount(SmolStr),
    /// A version of an instrument.
    Instrument(Instrument),
    /// An instrument is taken back.
    NoInstrument(SmolStr),
}

impl Processor for Validator {
    type In = In;
    type Out = Decision;
    type State = Risk;

    fn new_state(&self, _partition: i32) -> Risk {
        Risk::default()
    }

    fn apply(&self, state: &mut Risk, at: &Position, event: In, out: &mut Vec<Decision>) -> Verdict {
        match event {
            In::Command(command) => {
                let home = topic::partition_of(command.account.as_bytes(), at.partitions);
                let at = CommandAt {
                    command_id: position_id(at.partition, at.offset),
                    time_ms: at.timestamp_ms,
                    in_own_partition: home == at.partition,
                };
                out.push(state.decide(at, &command));
            }
            In::Settlement(settlement) => {
                if let Err(overdraft) = state.settle(&settlement) {
                    return Verdict::Poison(overdraft.0);
                }
            }
            In::Account(account) => state.set_account(account),
            In::NoAccount(id) => state.remove_account(&id),
            In::Instrument(instrument) => state.set_instrument(instrument),
            In::NoInstrument(symbol) => state.remove_instrument(&symbol),
        }
        Verdict::Done
    }
}

/// Reads and writes the validator's records.
pub struct ValidatorCoding {
    topics: Vec<String>,
    commands: Decoder<wire::Command>,
    settlements: Decoder<wire::Settlement>,
    accounts: Decoder<wire::Account>,
    instruments: Decoder<wire::Instrument>,
    validated: Encoder<wire::ValidatedCommand>,
    rejected: Encoder<wire::Rejection>,
}

fn unfit(error: Unfit) -> Undecodable {
    Undecodable::Poison { code: tapeline_runtime::dead_letter::UNDECODABLE, text: error.0 }
}

/// The key as text.
fn name(key: Option<&[u8]>) -> Result<SmolStr, Undecodable> {
    let text = key.and_then(|key| std::str::from_utf8(key).ok());
    text.map(SmolStr::new)
        .ok_or_else(|| Undecodable::Poison { code: BAD_KEY, text: "the record has no key, or not one of UTF-8".into() })
}

impl Coding<Validator> for ValidatorCoding {
    fn decode(&mut self, input: usize, key: Option<&[u8]>, payload: Option<&[u8]>) -> Result<In, Undecodable> {
        match (self.topics[input].as_str(), payload) {
            (topic::ORDERS, _) => {
                let command = self.commands.decode(payload).map_err(undecodable)?;
                check_key(key, &command.account)?;
                Ok(In::Command(command.try_into().map_err(unfit)?))
            }
            (topic::SETTLED, _) => {
                let settlement = self.settlements.decode(payload).map_err(undecodable)?;
                Ok(In::Settlement(settlement.try_into().map_err(unfit)?))
            }
            (topic::ACCOUNTS, None) => Ok(In::NoAccount(name(key)?)),
            (topic::ACCOUNTS, _) => {
                let account = self.accounts.decode(payload).map_err(undecodable)?;
                check_key(key, &account.account)?;
                Ok(In::Account(account.try_into().map_err(unfit)?))
            }
            (_, None) => Ok(In::NoInstrument(name(key)?)),
            _ => {
                let instrument = self.instruments.decode(payload).map_err(undecodable)?;
                check_key(key, &instrument.symbol)?;
                Ok(In::Instrument(instrument.try_into().map_err(unfit)?))
            }
        }
    }

    fn encode(&mut self, out: &Decision, draft: &mut Draft) {
        match out {
            Decision::Accepted(accepted) => {
                let record = wire::ValidatedCommand::from(accepted);
                draft.topic = topic::VALIDATED;
                self.validated.encode(&record, &mut draft.payload);
                let key = record.instrument.as_ref().unwrap_or(&record.account);
                draft.key.extend_from_slice(key.as_bytes());
            }
            Decision::Rejected(rejection) => {
                draft.topic = topic::REJECTED;
                self.rejected.encode(&rejection.into(), &mut draft.payload);
                draft.key.extend_from_slice(rejection.account.as_bytes());
            }
        }
    }

    fn label(out: &Decision) -> Label {
        match out {
            Decision::Accepted(accepted) => {
                Label { kind: "accepted", reason: "", commanded_at_ms: accepted.commanded_at_ms }
            }
            Decision::Rejected(rejection) => Label {
                kind: "rejected",
                reason: wire::RejectReason::from(rejection.reason).symbol(),
                commanded_at_ms: rejection.commanded_at_ms,
            },
        }
    }
}
