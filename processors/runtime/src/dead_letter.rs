//! Dead letters: a record that could not be read, untouched, with headers that say why.

use crate::port::{OutRecord, Record};
use std::time::{SystemTime, UNIX_EPOCH};

/// Header: topic that the record came from.
pub const SOURCE_TOPIC: &str = "tapeline.source.topic";
/// Header: its partition.
pub const SOURCE_PARTITION: &str = "tapeline.source.partition";
/// Header: its offset.
pub const SOURCE_OFFSET: &str = "tapeline.source.offset";
/// Header: short reason code.
pub const REASON: &str = "tapeline.reason";
/// Header: the reason as a sentence.
pub const REASON_TEXT: &str = "tapeline.reason.text";
/// Header: component that refused it.
pub const COMPONENT: &str = "tapeline.component";
/// Header: when, milliseconds since the Unix epoch, by that component's wall clock.
pub const TIME_MS: &str = "tapeline.time.ms";

/// Reason code: the value can't be decoded.
pub const UNDECODABLE: &str = "undecodable";
/// Reason code: the schema id is not in the registry.
pub const UNKNOWN_SCHEMA: &str = "unknown_schema";
/// Reason code: the record has no key, or another one than its value says.
pub const BAD_KEY: &str = "bad_key";
/// Reason code: it decodes but can't be true.
pub const IMPOSSIBLE: &str = "impossible";

/// The dead letter for `record`: same key, value, headers and partition.
pub fn dead_letter(record: &Record, source: &str, target: &str, component: &str, code: &str, text: &str) -> OutRecord {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let mut headers = record.headers.clone();
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value.into_bytes()));
    add(SOURCE_TOPIC, source.to_owned());
    add(SOURCE_PARTITION, record.partition.to_string());
    add(SOURCE_OFFSET, record.offset.to_string());
    add(REASON, code.to_owned());
    add(REASON_TEXT, text.to_owned());
    add(COMPONENT, component.to_owned());
    add(TIME_MS, now_ms.to_string());
    OutRecord {
        topic: target.to_owned(),
        partition: Some(record.partition),
        key: record.key.clone(),
        payload: record.payload.clone(),
        headers,
    }
}
