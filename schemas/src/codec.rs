//! The Confluent wire format: a zero byte, the schema id (4 bytes, big endian), the Avro body.
//!
//! Records written with the schema that this build knows are read and written straight ([`crate::body`]). Records of
//! another version are resolved by the writer's schema, which a [`SchemaSource`] looks up once per id.

use crate::body::Body;
use crate::wire;
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::io::Read;
use std::marker::PhantomData;
use std::sync::{Arc, Once, OnceLock};

/// Bytes before the Avro body.
pub const HEADER_BYTES: usize = 5;

/// No field of a record may claim more memory than this: brokers refuse records of over 1 MiB, so a larger claim is garbage.
const MAX_FIELD_BYTES: usize = 4 << 20;

/// A type that is the value of a topic.
pub trait Wire: Body + Serialize + DeserializeOwned {
    /// The Avro schema as it stands in `schemas/`.
    const SCHEMA_JSON: &'static str;

    /// The parsed schema.
    fn schema() -> &'static Schema;
}

macro_rules! wire_schema {
    ($($type:ty => $stem:literal),* $(,)?) => {
        $(impl Wire for $type {
            const SCHEMA_JSON: &'static str = include_str!(concat!("../", $stem, ".avsc"));

            #[allow(clippy::expect_used, reason = "start-up invariant: a committed schema parses; a test reads them all")]
            fn schema() -> &'static Schema {
                static SCHEMA: OnceLock<Schema> = OnceLock::new();
                SCHEMA.get_or_init(|| {
                    limit_memory();
                    Schema::parse_str(Self::SCHEMA_JSON).expect(concat!($stem, ".avsc is a valid Avro schema"))
                })
            }
        })*

        /// The committed schema `schemas/<stem>.avsc`.
        pub fn schema_of_stem(stem: &str) -> Option<&'static str> {
            match stem {
                $($stem => Some(<$type>::SCHEMA_JSON),)*
                _ => None,
            }
        }
    };
}

wire_schema! {
    wire::Command => "orders",
    wire::ValidatedCommand => "orders.validated",
    wire::Rejection => "orders.rejected",
    wire::Execution => "trades.executed",
    wire::Settlement => "trades.settled",
    wire::BookDepth => "book.depth",
    wire::Instrument => "reference.instruments",
    wire::Account => "reference.accounts",
    wire::MarketTick => "market.ticks",
    wire::Tick => "clock",
    wire::JournalEntry => "journal",
    wire::SnapshotPart => "snapshot",
    wire::IdentityUser => "identity.users",
    wire::IdentitySession => "identity.sessions",
    wire::IdentityKey => "identity.keys",
    wire::IdentitySigner => "identity.signers",
    wire::GatewayAudit => "gateway.audit",
}

fn limit_memory() {
    static LIMIT: Once = Once::new();
    LIMIT.call_once(|| {
        apache_avro::util::max_allocation_bytes(MAX_FIELD_BYTES);
    });
}

/// Where the writer's schema of an id comes from: the schema registry, or a table in tests.
pub trait SchemaSource: Send + Sync {
    /// The schema's JSON; `None` if there is no such id.
    ///
    /// # Errors
    /// A sentence, if the source can't be asked now.
    fn schema_json(&self, id: u32) -> Result<Option<String>, String>;
}

/// Why a record could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record has no value.
    #[error("the record has no value")]
    Empty,
    /// The first bytes are not those of the Confluent wire format.
    #[error("not in Confluent wire format: it must begin with byte 0 and a schema id of 4 bytes")]
    NotFramed,
    /// The registry does not know the schema id.
    #[error("schema id {0} is not in the registry")]
    UnknownSchema(u32),
    /// The body does not fit the schema.
    #[error("the body does not fit schema id {id}: {why}")]
    Malformed {
        /// Schema id of the record.
        id: u32,
        /// The decoder's own words.
        why: String,
    },
    /// The registry can't be asked now: not the record's fault, try again.
    #[error("the schema registry can't be asked: {0}")]
    SourceAway(String),
}

impl DecodeError {
    /// Whether the record itself is at fault, so that it belongs to the dead letters.
    pub const fn is_poison(&self) -> bool {
        !matches!(self, Self::SourceAway(_))
    }
}

/// Writes values of one topic.
pub struct Encoder<T: Wire> {
    header: [u8; HEADER_BYTES],
    of: PhantomData<fn(T)>,
}

impl<T: Wire> Encoder<T> {
    /// An encoder whose records carry `schema_id`, the registry's id of [`Wire::SCHEMA_JSON`].
    pub const fn new(schema_id: u32) -> Self {
        let id = schema_id.to_be_bytes();
        Self { header: [0, id[0], id[1], id[2], id[3]], of: PhantomData }
    }

    /// Appends header and body of `value` to `buffer`.
    pub fn encode(&self, value: &T, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.header);
        value.write(buffer);
    }
}

/// Schema id and Avro body of a record in the Confluent wire format; none if its first bytes are not those.
pub const fn split_frame(payload: &[u8]) -> Option<(u32, &[u8])> {
    match payload {
        [0, a, b, c, d, body @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), body)),
        _ => None,
    }
}

/// Reads values of one topic.
pub struct Decoder<T: Wire> {
    own_id: u32,
    others: HashMap<u32, Schema>,
    source: Arc<dyn SchemaSource>,
    of: PhantomData<fn() -> T>,
}

impl<T: Wire> Decoder<T> {
    /// A decoder that knows `own_id` as the id of its own schema and asks `source` for others.
    pub fn new(own_id: u32, source: Arc<dyn SchemaSource>) -> Self {
        Self { own_id, others: HashMap::new(), source, of: PhantomData }
    }

    /// The value in `payload`.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(&mut self, payload: Option<&[u8]>) -> Result<T, DecodeError> {
        let payload = payload.ok_or(DecodeError::Empty)?;
        let (id, mut body) = split_frame(payload).ok_or(DecodeError::NotFramed)?;
        let malformed = |why: String| DecodeError::Malformed { id, why };
        let value = if id == self.own_id {
            T::read(&mut body).map_err(|misfit| malformed(misfit.to_string()))?
        } else {
            self.decode_resolved(id, &mut body)?
        };
        if body.is_empty() { Ok(value) } else { Err(malformed(format!("{} bytes are left over", body.len()))) }
    }

    fn decode_resolved(&mut self, id: u32, body: &mut &[u8]) -> Result<T, DecodeError> {
        let malformed = |error: apache_avro::Error| DecodeError::Malformed { id, why: error.to_string() };
        if !self.others.contains_key(&id) {
            let json = self.source.schema_json(id).map_err(DecodeError::SourceAway)?;
            let json = json.ok_or(DecodeError::UnknownSchema(id))?;
            let schema = Schema::parse_str(&json).map_err(malformed)?;
            check_name(&schema, T::schema()).map_err(|why| DecodeError::Malformed { id, why })?;
            self.others.insert(id, schema);
        }
        let writer = self.others.get(&id).ok_or(DecodeError::UnknownSchema(id))?;
        let reader = GenericDatumReader::builder(writer)
            .reader_schema(T::schema())
            .human_readable(false)
            .build()
            .map_err(malformed)?;
        let mut body = EndAware { body, ran_out: false };
        let value = reader.read_value(&mut body).map_err(malformed)?;
        if body.ran_out {
            return Err(DecodeError::Malformed { id, why: "the body ends too early".into() });
        }
        apache_avro::from_value(&value).map_err(malformed)
    }
}

/// A record can be read as another only if both have the same name (Avro specification, schema resolution). apache-avro 0.22
/// does not check it: a record of another topic would pass for one of this one, the fields that it lacks at their defaults.
fn check_name(writer: &Schema, reader: &Schema) -> Result<(), String> {
    let name = |schema: &Schema| schema.name().map_or_else(|| "no record".to_owned(), |name| name.name().to_owned());
    let (found, wanted) = (name(writer), name(reader));
    if found == wanted { Ok(()) } else { Err(format!("it is a schema of `{found}`, not of `{wanted}`")) }
}

/// Notes a read beyond the end. apache-avro's generic reader (0.22) takes the end of input within a union, boolean or
/// string for a null, so that a cut record would pass for one whose last fields are absent.
struct EndAware<'a, 'b> {
    body: &'a mut &'b [u8],
    ran_out: bool,
}

impl Read for EndAware<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.ran_out |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// A [`SchemaSource`] that also knows under which id a topic's schema is registered.
pub trait SchemaIds: SchemaSource {
    /// The id of `schema_json` among the versions of the topic's subject.
    ///
    /// # Errors
    /// A sentence, if it is not registered or the registry can't be asked.
    fn registered_id(&self, topic: &str, schema_json: &str) -> Result<u32, String>;
}
