//! A best-effort reading of an Avro body for people: value by value, up to the first that does not fit.
//!
//! It works on the schema's JSON as the registry gives it. What is absent: resolution against another schema, logical
//! types (their plain numbers are shown), and any use in the flow itself, which decodes by [`crate::codec`].

use serde_json::Value as Json;
use std::collections::HashMap;

/// Most values that are read: a damaged count must not fill the screen.
const MAX_VALUES: usize = 1_000;
/// Deepest nesting that is followed, schemas that contain themselves included.
const MAX_DEPTH: usize = 32;
/// Most bytes of one text or byte string that are shown.
const MAX_SHOWN_BYTES: usize = 200;

/// What a body says, as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Path and value of each field in the order of the bytes, such as `order.price` and `12500000000`.
    pub values: Vec<(String, String)>,
    /// Where reading stopped and why; none if the whole schema was read.
    pub failure: Option<Failure>,
    /// Bytes after the last value that was read.
    pub left_over: usize,
}

/// The first value that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why} (byte {at} of the body)")]
pub struct Failure {
    /// Path of the field.
    pub path: String,
    /// What is wrong with it.
    pub why: String,
    /// Where its bytes begin, counted from the beginning of the body.
    pub at: usize,
}

/// Reads `body` by the schema `schema_json` that wrote it.
///
/// # Errors
/// A sentence, if the schema is no JSON.
pub fn inspect(schema_json: &str, body: &[u8]) -> Result<Inspection, String> {
    let schema: Json = serde_json::from_str(schema_json).map_err(|error| format!("the schema is no JSON: {error}"))?;
    let mut named = HashMap::new();
    collect_named(&schema, &mut named, 0);
    let mut walk = Walk { named, body, at: 0, values: Vec::new() };
    let failure = walk.value(&schema, "", 0).err();
    let left_over = body.len() - walk.at;
    Ok(Inspection { values: walk.values, failure, left_over })
}

/// Records, enums and fixed types by name: later uses of them are by name alone.
fn collect_named<'a>(schema: &'a Json, named: &mut HashMap<&'a str, &'a Json>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match schema {
        Json::Array(branches) => branches.iter().for_each(|branch| collect_named(branch, named, depth + 1)),
        Json::Object(keys) => {
            if let Some(name) = schema["name"].as_str().filter(|_| keys.contains_key("type")) {
                named.entry(name).or_insert(schema);
            }
            for key in ["type", "items", "values", "fields"] {
                if let Some(inner) = keys.get(key) {
                    collect_named(inner, named, depth + 1);
                }
            }
        }
        _ => {}
    }
}

struct Walk<'a> {
    named: HashMap<&'a str, &'a Json>,
    body: &'a [u8],
    at: usize,
    values: Vec<(String, String)>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, schema: &'a Json, path: &str, depth: usize) -> Result<(), Failure> {
        let at = self.at;
        let fail =
            |why: String| Failure { path: if path.is_empty() { "the record" } else { path }.to_owned(), why, at };
        if depth > MAX_DEPTH {
            return Err(fail(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        if self.values.len() >= MAX_VALUES {
            return Err(fail(format!("more than {MAX_VALUES} values: not read on")));
        }
        let kind = match schema {
            Json::Array(branches) => return self.union(branches, path, depth),
            Json::String(kind) => kind.as_str(),
            Json::Object(_) => match &schema["type"] {
                Json::String(kind) => kind.as_str(),
                inner => return self.value(inner, path, depth + 1),
            },
            other => return Err(fail(format!("the schema has `{other}` where a type belongs"))),
        };
        let shown = match kind {
            "record" => return self.record(schema, path, depth),
            "array" | "map" => return self.blocks(schema, kind, path, depth),
            "null" => "null".to_owned(),
            "boolean" => self.boolean().map_err(fail)?.to_string(),
            "int" => self.int().map_err(fail)?.to_string(),
            "long" => self.long().map_err(fail)?.to_string(),
            "float" => f32::from_le_bytes(self.array().map_err(fail)?).to_string(),
            "double" => f64::from_le_bytes(self.array().map_err(fail)?).to_string(),
            "string" => self.text().map_err(fail)?,
            "bytes" => hex(self.length_and_bytes().map_err(fail)?),
            "fixed" => {
                let size = schema["size"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
                hex(self.bytes(size).map_err(fail)?)
            }
            "enum" => self.symbol(schema).map_err(fail)?,
            name => match self.named.get(name) {
                Some(named) => return self.value(named, path, depth + 1),
                None => return Err(fail(format!("the schema names the type `{name}`, which it does not declare"))),
            },
        };
        self.values.push((path.to_owned(), shown));
        Ok(())
    }

    fn record(&mut self, schema: &'a Json, path: &str, depth: usize) -> Result<(), Failure> {
        for field in schema["fields"].as_array().into_iter().flatten() {
            let name = field["name"].as_str().unwrap_or("?");
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.value(&field["type"], &path, depth + 1)?;
        }
        Ok(())
    }

    fn union(&mut self, branches: &'a [Json], path: &str, depth: usize) -> Result<(), Failure> {
        let at = self.at;
        let fail = |why: String| Failure { path: path.to_owned(), why, at };
        let index = self.long().map_err(fail)?;
        let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
        match branch {
            Some(branch) => self.value(branch, path, depth + 1),
            None => Err(fail(format!("branch {index} of a union of {}", branches.len()))),
        }
    }

    /// Arrays and maps: blocks with a count before them, a negative one with the block's size in bytes after it.
    fn blocks(&mut self, schema: &'a Json, kind: &str, path: &str, depth: usize) -> Result<(), Failure> {
        let mut index = 0;
        loop {
            let at = self.at;
            let fail = |why: String| Failure { path: path.to_owned(), why, at };
            let count = self.long().map_err(fail)?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.long().map_err(fail)?;
            }
            for _ in 0..count.unsigned_abs() {
                let inner = if kind == "map" { self.text().map_err(fail)? } else { index.to_string() };
                let before = self.values.len();
                self.value(
                    &schema[if kind == "map" { "values" } else { "items" }],
                    &format!("{path}[{inner}]"),
                    depth + 1,
                )?;
                if self.values.len() == before {
                    // Items without a value of their own (empty records) could be claimed without end.
                    return Err(fail(format!("{count} items without content: not read on")));
                }
                index += 1;
            }
        }
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let rest = &self.body[self.at..];
        let bytes = rest.get(..count).ok_or_else(|| format!("claims {count} bytes, {} are left", rest.len()))?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.bytes(N)?.try_into().map_err(|_| "cut off".to_owned())
    }

    fn boolean(&mut self) -> Result<bool, String> {
        match self.bytes(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            other => Err(format!("byte {other:02x?} where a boolean has 0 or 1")),
        }
    }

    /// A zigzag varint, as the Avro specification has it. As in the flow's decoder, bits beyond the 64th are dropped.
    fn long(&mut self) -> Result<i64, String> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array().map_err(|_| {
                self.at = start;
                "the body ends within a number".to_owned()
            })?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        self.at = start;
        Err("a number of more than 64 bits".into())
    }

    fn int(&mut self) -> Result<i32, String> {
        let value = self.long()?;
        i32::try_from(value).map_err(|_| format!("{value} where a number of 32 bits belongs"))
    }

    fn length_and_bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| format!("claims {length} bytes"))?;
        self.bytes(length)
    }

    fn text(&mut self) -> Result<String, String> {
        let bytes = self.length_and_bytes()?;
        let text = std::str::from_utf8(bytes).map_err(|_| format!("not UTF-8: {}", hex(bytes)))?;
        let shown: String = text.chars().take(MAX_SHOWN_BYTES).collect();
        let more = if shown.len() < text.len() { format!("... ({} bytes)", text.len()) } else { String::new() };
        Ok(format!("{shown:?}{more}"))
    }

    fn symbol(&mut self, schema: &Json) -> Result<String, String> {
        let index = self.long()?;
        let symbol = usize::try_from(index).ok().and_then(|index| schema["symbols"].get(index)?.as_str());
        let count = schema["symbols"].as_array().map_or(0, Vec::len);
        symbol.map(str::to_owned).ok_or_else(|| format!("symbol {index} of an enum of {count}"))
    }
}

/// Bytes as lower-case hexadecimal digits, long ones cut.
fn hex(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(MAX_SHOWN_BYTES)];
    let digits: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    if shown.len() < bytes.len() { format!("{digits}... ({} bytes)", bytes.len()) } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "A", "fields": [
        {"name": "name", "type": "string"},
        {"name": "side", "type": ["null", {"type": "enum", "name": "Side", "symbols": ["BUY", "SELL"]}]},
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
            {"name": "amount", "type": "long"}, {"name": "side", "type": ["null", "Side"]}]}}},
        {"name": "last", "type": "boolean"}]}"#;

    /// name "ab", side SELL, two lines (7, null) and (-1, BUY), last true.
    const BODY: [u8; 15] = [4, b'a', b'b', 2, 2, 4, 14, 0, 1, 2, 0, 0, 1, 0xee, 0xff];

    #[test]
    fn each_value_has_its_path_and_what_is_left_over_is_counted() {
        let found = inspect(SCHEMA, &BODY).unwrap();
        let values: Vec<_> = found.values.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect();
        let expected = [
            ("name", "\"ab\""),
            ("side", "SELL"),
            ("lines[0].amount", "7"),
            ("lines[0].side", "null"),
            ("lines[1].amount", "-1"),
            ("lines[1].side", "BUY"),
            ("last", "true"),
        ];
        assert_eq!(values, expected);
        assert_eq!((found.failure, found.left_over), (None, 2));
    }

    #[test]
    fn the_first_field_that_fails_is_named() {
        let far = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let cases: [(&[u8], &str); 8] = [
            (&[], "name: the body ends within a number (byte 0 of the body)"),
            (&[6, b'a'], "name: claims 3 bytes, 1 are left (byte 0 of the body)"),
            (&far, "name: claims 9223372036854775807 bytes, 0 are left (byte 0 of the body)"),
            (&[0xff; 11], "name: a number of more than 64 bits (byte 0 of the body)"),
            (&[2, 0xff], "name: not UTF-8: ff (byte 0 of the body)"),
            (&[0, 6], "side: branch 3 of a union of 2 (byte 1 of the body)"),
            (&[0, 2, 4], "side: symbol 2 of an enum of 2 (byte 2 of the body)"),
            (&[0, 0, 2, 14, 2, 10, 0], "lines[0].side: symbol 5 of an enum of 2 (byte 5 of the body)"),
        ];
        for (body, expected) in cases {
            let failure = inspect(SCHEMA, body).unwrap().failure.map(|failure| failure.to_string());
            assert_eq!(failure.as_deref(), Some(expected), "{body:02x?}");
        }
    }

    #[test]
    fn claims_without_end_are_cut_off() {
        let nothing = r#"{"type": "array", "items": {"type": "record", "name": "E", "fields": []}}"#;
        let endless = r#"{"type": "record", "name": "R", "fields": [{"name": "r", "type": "R"}]}"#;
        let many = r#"{"type": "array", "items": "null"}"#;
        for schema in [nothing, endless, many] {
            let found = inspect(schema, &[0xfe, 0xff, 0xff, 0xff, 0x0f]).unwrap();
            assert!(found.failure.is_some() && found.values.len() <= MAX_VALUES, "{schema}: {found:?}");
        }
    }
}
