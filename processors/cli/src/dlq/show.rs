//! `tapeline dlq show`.

use super::log::DeadLetters;
use super::{Show, utc};
use anyhow::{Result, bail};
use serde_json::{Value as Json, json};
use std::ops::ControlFlow;
use tapeline_kafka::app::App;
use tapeline_runtime::dead_letter::{Letter, Place, REDRIVE_OF};
use tapeline_runtime::port::Record;
use tapeline_schemas::codec::{HEADER_BYTES, SchemaSource, split_frame};
use tapeline_schemas::inspect::{Inspection, inspect};

/// Most bytes of a value that the hex dump shows.
const MAX_DUMP_BYTES: usize = 4_096;
const DUMP_COLUMNS: usize = 16;

/// As much of a value as can be read.
enum Decoded {
    /// The record has no value.
    NoValue,
    /// Not in the Confluent wire format.
    NotFramed,
    /// The registry does not know the schema, or can't be asked.
    NoSchema { id: u32, why: String },
    /// Read by its writer's schema.
    Read { id: u32, inspection: Inspection },
}

pub(super) fn show(app: &App, options: &Show) -> Result<()> {
    let letters = DeadLetters::of(app, &options.topic)?;
    let mut shown = 0;
    letters.each_letter(|record, letter, redriven| {
        if !options.which.takes(&record, &letter) {
            return Ok(ControlFlow::Continue(()));
        }
        if shown == options.limit {
            if !options.json {
                println!("There are more: raise --limit, or choose by --partition, --offset or --reason.");
            }
            return Ok(ControlFlow::Break(()));
        }
        shown += 1;
        let decoded = decode(app.registry.as_ref(), record.payload.as_deref());
        let place = letters.place(&record);
        if options.json {
            println!("{}", as_json(&place, &record, &letter, redriven, &decoded));
        } else {
            print!("{}", as_text(&place, &record, &letter, redriven, &decoded));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if shown == 0 {
        bail!("no such dead letter in {}: `tapeline dlq list {}` counts them", letters.name, letters.source.name);
    }
    Ok(())
}

fn decode(schemas: &dyn SchemaSource, value: Option<&[u8]>) -> Decoded {
    let Some(value) = value else { return Decoded::NoValue };
    let Some((id, body)) = split_frame(value) else { return Decoded::NotFramed };
    let why = match schemas.schema_json(id) {
        Ok(Some(schema)) => match inspect(&schema, body) {
            Ok(inspection) => return Decoded::Read { id, inspection },
            Err(why) => why,
        },
        Ok(None) => "is not in the registry".into(),
        Err(why) => format!("can't be looked up: {why}"),
    };
    Decoded::NoSchema { id, why }
}

fn as_text(place: &Place, record: &Record, letter: &Letter, redriven: bool, decoded: &Decoded) -> String {
    let mut lines = vec![
        format!("{place}{}", if redriven { " (redriven)" } else { "" }),
        format!("  reason   {}: {}", letter.reason.escape_debug(), letter.text.escape_debug()),
        format!("  source   {}", letter.source),
        format!("  refused  by {} at {}", letter.component.escape_debug(), utc(letter.time_ms)),
        format!("  key      {}", record.key.as_deref().map_or_else(|| "none".into(), bytes_as_text)),
    ];
    for (name, value) in &record.headers[..letter.own_headers] {
        lines.push(format!("  header   {}: {}", name.escape_debug(), bytes_as_text(value)));
    }
    let value = record.payload.as_deref().unwrap_or_default();
    lines.push(match record.payload {
        Some(_) => format!("  value    {} bytes", value.len()),
        None => "  value    none".into(),
    });
    let dumped = &value[..value.len().min(MAX_DUMP_BYTES)];
    for (row, bytes) in dumped.chunks(DUMP_COLUMNS).enumerate() {
        lines.push(format!("    {:04x}  {:<47}  {}", row * DUMP_COLUMNS, spaced_hex(bytes), printable(bytes)));
    }
    if dumped.len() < value.len() {
        lines.push(format!("    ... {} bytes more: --json has all of them", value.len() - dumped.len()));
    }
    lines.extend(decoded_lines(decoded));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn decoded_lines(decoded: &Decoded) -> Vec<String> {
    let Decoded::Read { id, inspection } = decoded else {
        let what = match decoded {
            Decoded::NoSchema { id, why } => format!("schema id {id}, which {why}"),
            Decoded::NotFramed => "not in Confluent wire format: no byte 0 and schema id at the beginning".into(),
            _ => "nothing to decode".into(),
        };
        return vec![format!("  decoded  {what}")];
    };
    let mut lines = vec![format!("  decoded  by schema id {id}")];
    lines.extend(inspection.values.iter().map(|(path, value)| format!("    {path} = {value}")));
    match &inspection.failure {
        Some(failure) => lines.push(format!("    fails at {failure}, byte {} of the value", failure.at + HEADER_BYTES)),
        None if inspection.left_over > 0 => lines.push(format!("    {} bytes are left over", inspection.left_over)),
        None => lines.push("    the whole value fits the schema".into()),
    }
    lines
}

fn as_json(place: &Place, record: &Record, letter: &Letter, redriven: bool, decoded: &Decoded) -> Json {
    let position =
        |place: &Place| json!({ "topic": place.topic, "partition": place.partition, "offset": place.offset });
    let own = &record.headers[..letter.own_headers];
    let redrive_of = own.iter().rev().find(|(name, _)| name == REDRIVE_OF);
    let decoded = match decoded {
        Decoded::Read { id, inspection } => json!({
            "schema_id": id,
            "values": inspection.values,
            "failure": inspection.failure.as_ref().map(ToString::to_string),
            "left_over_bytes": inspection.left_over,
        }),
        Decoded::NoSchema { id, why } => json!({ "schema_id": id, "failure": format!("the schema {why}") }),
        Decoded::NotFramed => json!({ "failure": "not in Confluent wire format" }),
        Decoded::NoValue => Json::Null,
    };
    json!({
        "dead_letter": position(place),
        "redriven": redriven,
        "redrive_of": redrive_of.map(|(_, value)| String::from_utf8_lossy(value)),
        "source": position(&letter.source),
        "reason": letter.reason,
        "text": letter.text,
        "component": letter.component,
        "time_ms": letter.time_ms,
        "key_hex": record.key.as_deref().map(hex),
        "headers": own.iter().map(|(name, value)| json!({ "name": name, "value_hex": hex(value) })).collect::<Vec<_>>(),
        "value_hex": record.payload.as_deref().map(hex),
        "decoded": decoded,
    })
}

/// Text in quotes, or hexadecimal digits where it is none.
fn bytes_as_text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| hex(bytes), |text| format!("{text:?}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn spaced_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneSchema;

    impl SchemaSource for OneSchema {
        fn schema_json(&self, id: u32) -> Result<Option<String>, String> {
            let schema = r#"{"type": "record", "name": "T", "fields": [
                {"name": "account", "type": "string"}, {"name": "amount", "type": "long"}]}"#;
            Ok((id == 7).then(|| schema.to_owned()))
        }
    }

    #[test]
    fn the_text_names_reason_source_bytes_and_the_first_field_that_fails() {
        let letter = Letter {
            source: Place { topic: "orders".into(), partition: 1, offset: 9 },
            reason: "undecodable".into(),
            text: "the body does not fit".into(),
            component: "validator".into(),
            time_ms: 0,
            own_headers: 1,
        };
        let record = Record {
            key: Some(b"acc\n".to_vec()),
            payload: Some(vec![0, 0, 0, 0, 7, 4, b'a', b'b', 0x80]),
            headers: vec![("trace".into(), vec![0xff])],
            ..Record::default()
        };
        let place = Place { topic: "orders.dlq".into(), partition: 1, offset: 3 };
        let decoded = decode(&OneSchema, record.payload.as_deref());
        let expected = "\
orders.dlq/1/3 (redriven)
  reason   undecodable: the body does not fit
  source   orders/1/9
  refused  by validator at 1970-01-01T00:00:00.000Z
  key      \"acc\\n\"
  header   trace: ff
  value    9 bytes
    0000  00 00 00 00 07 04 61 62 80                       ......ab.
  decoded  by schema id 7
    account = \"ab\"
    fails at amount: the body ends within a number (byte 3 of the body), byte 8 of the value
";
        assert_eq!(as_text(&place, &record, &letter, true, &decoded), expected);
    }

    #[test]
    fn what_cannot_be_decoded_says_why() {
        let cases: [(Option<&[u8]>, &str); 4] = [
            (None, "  decoded  nothing to decode"),
            (Some(b"{}"), "  decoded  not in Confluent wire format: no byte 0 and schema id at the beginning"),
            (Some(&[0, 0, 0, 0, 8, 1]), "  decoded  schema id 8, which is not in the registry"),
            (Some(&[0, 0, 0, 0, 7, 0, 2, 5]), "  decoded  by schema id 7"),
        ];
        for (value, expected) in cases {
            assert_eq!(decoded_lines(&decode(&OneSchema, value))[0], expected);
        }
    }
}
