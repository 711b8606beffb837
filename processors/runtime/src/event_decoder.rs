//! Decodes any topic that sinks read into an [`Event`].

use crate::dead_letter::{BAD_KEY, UNDECODABLE, UNKNOWN_SCHEMA};
use crate::processor::Undecodable;
use crate::sink::Event;
use std::sync::Arc;
use tapeline_schemas::codec::{DecodeError, Decoder, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};

/// What a decoding error means for the record.
pub fn undecodable(error: DecodeError) -> Undecodable {
    let code = match error {
        DecodeError::SourceAway(why) => return Undecodable::Away(why),
        DecodeError::UnknownSchema(_) => UNKNOWN_SCHEMA,
        _ => UNDECODABLE,
    };
    Undecodable::Poison { code, text: error.to_string() }
}

/// Checks that a record has a key and that it says the same as its value.
///
/// # Errors
/// [`Undecodable::Poison`] if not.
pub fn check_key(key: Option<&[u8]>, expected: &str) -> Result<(), Undecodable> {
    match key {
        Some(key) if key == expected.as_bytes() => Ok(()),
        Some(key) => Err(Undecodable::Poison {
            code: BAD_KEY,
            text: format!("the key is `{}`, the value says `{expected}`", String::from_utf8_lossy(key).escape_debug()),
        }),
        None => {
            Err(Undecodable::Poison { code: BAD_KEY, text: format!("the record has no key; it must be `{expected}`") })
        }
    }
}

/// A decoder of one topic's values.
///
/// # Errors
/// A sentence, if the topic's schema is not registered or the registry is away.
pub fn decoder<T: Wire>(topic: &str, ids: &Arc<dyn SchemaIds>) -> Result<Decoder<T>, String> {
    Ok(Decoder::new(ids.registered_id(topic, T::SCHEMA_JSON)?, ids.clone()))
}

/// Decoders of all topics that sinks read.
pub struct EventDecoder {
    commands: Decoder<wire::Command>,
    validated: Decoder<wire::ValidatedCommand>,
    rejected: Decoder<wire::Rejection>,
    executed: Decoder<wire::Execution>,
    settled: Decoder<wire::Settlement>,
    market: Decoder<wire::MarketTick>,
}

impl EventDecoder {
    /// Asks the registry for the schemas' ids.
    ///
    /// # Errors
    /// A sentence, if a schema is not registered or the registry is away.
    pub fn new(ids: &Arc<dyn SchemaIds>) -> Result<Self, String> {
        Ok(Self {
            commands: decoder(topic::ORDERS, ids)?,
            validated: decoder(topic::VALIDATED, ids)?,
            rejected: decoder(topic::REJECTED, ids)?,
            executed: decoder(topic::EXECUTED, ids)?,
            settled: decoder(topic::SETTLED, ids)?,
            market: decoder(topic::MARKET_TICKS, ids)?,
        })
    }

    /// Decodes a record of `topic`.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode(&mut self, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Event, Undecodable> {
        let event = match topic {
            topic::ORDERS => {
                let command = self.commands.decode(value).map_err(undecodable)?;
                check_key(key, &command.account)?;
                // As the validator sees it: what it can't take is no command, in no view.
                command.check_fit().map_err(|unfit| Undecodable::Poison { code: UNDECODABLE, text: unfit.0 })?;
                Event::Command(command)
            }
            topic::VALIDATED => Event::Validated(self.validated.decode(value).map_err(undecodable)?),
            topic::REJECTED => Event::Rejected(self.rejected.decode(value).map_err(undecodable)?),
            topic::EXECUTED => Event::Executed(self.executed.decode(value).map_err(undecodable)?),
            topic::SETTLED => Event::Settled(self.settled.decode(value).map_err(undecodable)?),
            topic::MARKET_TICKS => {
                let tick = self.market.decode(value).map_err(undecodable)?;
                check_key(key, &tick.instrument)?;
                Event::Market(tick)
            }
            other => {
                let text = format!("no sink knows the topic {other}");
                return Err(Undecodable::Poison { code: UNDECODABLE, text });
            }
        };
        Ok(event)
    }
}
