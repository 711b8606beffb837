//! A mixed stream: each garbage record is in the dead letters once, untouched and with its reason, all good ones are
//! settled; and after a fix `tapeline dlq redrive` puts back what it mends, once.

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tapeline_cli::{demo, publish};
use tapeline_kafka::publisher::Publisher;
use tapeline_kafka::reader::PartitionReader;
use tapeline_kafka::registry::Registry;
use tapeline_replay::generate::{Config, Generator};
use tapeline_runtime::dead_letter::{BAD_KEY, Entry, Letter, REDRIVE_OF, UNDECODABLE, UNKNOWN_SCHEMA};
use tapeline_runtime::port::{OutRecord, Reader, Record};
use tapeline_schemas::codec::{Encoder, HEADER_BYTES, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};
use tapeline_tests::parts::{Stack, with_stack};
use tapeline_tests::pipeline::{DRAINING, Pipeline};

const SEED: u64 = 23;
const RECORDS: u64 = 10_000;
/// One record in so many is garbage.
const GARBAGE_EVERY: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(240);
/// Larger than what librdkafka lets a producer send by default, smaller than what the topic takes.
const LARGE_BYTES: usize = 1_040_000;
const DLQ: &str = "orders.dlq";

#[test]
fn garbage_is_dead_once_and_untouched_good_ones_settle_and_a_redrive_moves_each_once() -> Result<()> {
    with_stack("dead_letters", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        let mixed = Mixed::publish(stack)?;
        // Twice the same judgement: the second life replays the first one's.
        pipeline.kill9_and_restart("validator")?;
        pipeline.wait_ready()?;
        stack.drain(&DRAINING, PATIENCE)?;

        let letters = read_letters(stack)?;
        mixed.check(&letters)?;
        check_list(stack, mixed.garbage.len(), 0)?;
        check_show(stack, &letters)?;
        let refused = stack.tapeline(&["dlq", "redrive", "trades.executed", "--yes"]);
        let refused = format!("{:?}", refused.err());
        ensure!(refused.contains("executor alone writes it"), "a processor's topic was redriven: {refused}");

        // The fix: the publisher registers the schema that its records named. Nobody is started anew.
        mixed.register_later_schema(stack)?;
        check_redrive(stack, &mixed, &letters)?;
        stack.drain(&DRAINING, PATIENCE)?;
        let mended = ["clickhouse", "SELECT count() FROM verdicts WHERE startsWith(client_order_id, 'later-')"];
        let mended: u64 = stack.parts(&mended)?.trim().parse()?;
        ensure!(mended == mixed.unregistered(), "{mended} verdicts on {} redriven commands", mixed.unregistered());
        check_bad_again(stack, &letters, mended)?;
        mixed.check(&read_letters(stack)?).context("after the redrives")?;

        // What is dead stays dead: a life that begins after the fix replays the same history, and so does the audit.
        pipeline.kill9_and_restart("validator")?;
        pipeline.kill9_and_restart("clickhouse")?;
        pipeline.wait_ready()?;
        pipeline.rest(PATIENCE)?;
        let audit = stack.audit()?;
        let expected = mixed.good + mixed.unregistered();
        ensure!(audit.flow.commands == expected, "{} commands, {expected} are good", audit.flow.commands);
        ensure!(audit.flow.trades > 100, "too little went through: {:?}", audit.flow.orders);
        pipeline.stop()
    })
}

/// Key, value and reason of a garbage record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Garbage {
    kind: &'static str,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    reason: &'static str,
}

/// What was published.
struct Mixed {
    /// Commands that are none of the garbage, deposits included.
    good: u64,
    /// By the header `test.id` that each carries.
    garbage: HashMap<Vec<u8>, Garbage>,
    /// The schema id that some of it names, and nobody has registered yet.
    later_id: u32,
}

/// The id that the next schema to be registered will have: registries count upwards, so one that serves for nothing else is
/// registered now.
fn next_schema_id(stack: &Stack) -> Result<u32> {
    let filler = r#"{"type": "record", "name": "Filler", "fields": [{"name": "at", "type": "long"}]}"#;
    Ok(Registry::new(&stack.app.addresses.registry_url)?.register("filler", filler)? + 1)
}

/// The schema of `orders` as a later version of a publisher might have it: a field more, with a default.
fn later_schema() -> Result<String> {
    let mut schema: Json = serde_json::from_str(wire::Command::SCHEMA_JSON)?;
    let desk = serde_json::json!({ "name": "desk", "type": ["null", "string"], "default": null, "doc": "Who traded." });
    schema["fields"].as_array_mut().context("fields")?.push(desk);
    Ok(schema.to_string())
}

impl Mixed {
    fn publish(stack: &Stack) -> Result<Self> {
        let addresses = &stack.app.addresses;
        let commands = RECORDS - RECORDS / GARBAGE_EVERY;
        let config =
            Config { instruments: 10, accounts: 200, commands: Some(commands), ..Config::new(SEED, demo::now_ms()) };
        let generator = Generator::new(config)?;
        let funded: Vec<_> = generator.accounts().collect();
        let deposits: usize = funded.iter().map(|account| account.deposits().count()).sum();
        let typed = publish::commands(addresses)?;
        demo::introduce(&stack.app.topology, addresses, &typed, &generator.instruments(), funded.iter().cloned())?;

        let maker = GarbageMaker::new(stack, funded[0].account.account.to_string())?;
        let own_id = stack.app.registry.registered_id(topic::ORDERS, wire::Command::SCHEMA_JSON);
        let encoder = Encoder::new(own_id.map_err(anyhow::Error::msg)?);
        let publisher = Publisher::open(&addresses.kafka, "upstream")?;
        let mut garbage = HashMap::new();
        for (number, timed) in (1_u64..).zip(generator) {
            let mut payload = Vec::new();
            encoder.encode(&timed.command, &mut payload);
            if number % (GARBAGE_EVERY - 1) == 0 {
                let bad = maker.make(garbage.len(), &timed.command, &payload)?;
                let id = garbage.len().to_string().into_bytes();
                let headers = vec![("test.id".to_owned(), id.clone()), ("empty".to_owned(), Vec::new())];
                publisher.send(&record(bad.key.clone(), bad.payload.clone(), headers))?;
                garbage.insert(id, bad);
            }
            publisher.send(&record(Some(timed.command.account.as_bytes().to_vec()), Some(payload), Vec::new()))?;
        }
        publisher.flush()?;
        ensure!(garbage.len() as u64 == RECORDS / GARBAGE_EVERY, "{} garbage records", garbage.len());
        Ok(Self { good: commands + deposits as u64, garbage, later_id: maker.later_id })
    }

    /// How many records named the schema that is registered later.
    fn unregistered(&self) -> u64 {
        self.garbage.values().filter(|garbage| garbage.kind == "unknown schema id").count() as u64
    }

    /// Each garbage record lies there exactly once as a first letter, with its reason and its bytes; and nothing else.
    fn check(&self, letters: &[(Record, Letter)]) -> Result<()> {
        let mut missing: HashMap<&Vec<u8>, &Garbage> = self.garbage.iter().collect();
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for (record, letter) in letters {
            let own = &record.headers[..letter.own_headers];
            if own.iter().any(|(name, _)| name == REDRIVE_OF) {
                continue;
            }
            let (_, id) = own.iter().find(|(name, _)| name == "test.id").context("a letter that nobody published")?;
            let garbage = missing.remove(id).with_context(|| format!("{} is there twice", letter.source))?;
            *kinds.entry(garbage.kind).or_default() += 1;
            ensure!(letter.reason == garbage.reason, "{}: {} ({})", garbage.kind, letter.reason, letter.text);
            ensure!(record.key == garbage.key && record.payload == garbage.payload, "{} was changed", garbage.kind);
            ensure!(own.len() == 2 && own[1] == ("empty".to_owned(), Vec::new()), "headers became {own:?}");
            ensure!(letter.source.topic == topic::ORDERS && letter.component == "validator", "{letter:?}");
        }
        ensure!(missing.is_empty(), "{} are not in {DLQ}, such as {:?}", missing.len(), missing.values().next());
        println!("dead letters by kind: {kinds:?}");
        ensure!(kinds.len() == GarbageMaker::KINDS, "{} kinds", kinds.len());
        Ok(())
    }

    fn register_later_schema(&self, stack: &Stack) -> Result<()> {
        let id = Registry::new(&stack.app.addresses.registry_url)?.register(topic::ORDERS, &later_schema()?)?;
        ensure!(id == self.later_id, "the registry gave id {id}, the records say {}", self.later_id);
        Ok(())
    }
}

fn record(key: Option<Vec<u8>>, payload: Option<Vec<u8>>, headers: Vec<(String, Vec<u8>)>) -> OutRecord {
    OutRecord { topic: topic::ORDERS.to_owned(), partition: None, key, payload, headers }
}

/// Makes each kind of garbage in turn, out of a good record.
struct GarbageMaker {
    later_id: u32,
    rejected_id: u32,
    own_id: u32,
    account: String,
}

impl GarbageMaker {
    const KINDS: usize = 14;

    fn new(stack: &Stack, account: String) -> Result<Self> {
        let registry = &stack.app.registry;
        let id = |topic, schema| registry.registered_id(topic, schema).map_err(anyhow::Error::msg);
        Ok(Self {
            later_id: next_schema_id(stack)?,
            rejected_id: id(topic::REJECTED, wire::Rejection::SCHEMA_JSON)?,
            own_id: id(topic::ORDERS, wire::Command::SCHEMA_JSON)?,
            account,
        })
    }

    fn make(&self, number: usize, good: &wire::Command, bytes: &[u8]) -> Result<Garbage> {
        let key = Some(good.account.as_bytes().to_vec());
        let framed = |id: u32, body: &[u8]| [&[0], &id.to_be_bytes()[..], body].concat();
        let body = &bytes[HEADER_BYTES..];
        let own = |body: &[u8]| framed(self.own_id, body);
        let (kind, key, payload, reason) = match number % Self::KINDS {
            0 => ("random bytes", key, Some(noise(number, 40)), UNDECODABLE),
            1 => ("cut", key, Some(bytes[..bytes.len() - 1 - number % 20].to_vec()), UNDECODABLE),
            2 => ("wrong magic byte", key, Some([&[1], &bytes[1..]].concat()), UNDECODABLE),
            3 => {
                let nameless = wire::Command { kind: wire::CommandKind::Unknown, ..good.clone() };
                ("a kind that nobody writes", key, Some(encoded(self.own_id, &nameless)?), UNDECODABLE)
            }
            4 => ("another account's key", Some(b"somebody-else".to_vec()), Some(bytes.to_vec()), BAD_KEY),
            5 => ("no key", None, Some(bytes.to_vec()), BAD_KEY),
            6 => ("tombstone", key, None, UNDECODABLE),
            7 => ("empty value", key, Some(Vec::new()), UNDECODABLE),
            // The third field is the kind: a symbol far beyond the last.
            8 => ("enum out of range", key, Some(own(&[&short("a"), &short("b"), &[0x7e][..]].concat())), UNDECODABLE),
            // Length 2^62 of the first field, the account.
            9 => {
                let endless = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
                ("absurd length", key, Some(own(&[&endless, body].concat())), UNDECODABLE)
            }
            10 => ("another topic's schema", key, Some(self.rejection(good)?), UNDECODABLE),
            11 => ("left-over bytes", key, Some([bytes, &[0]].concat()), UNDECODABLE),
            12 => {
                // One of them is as large as the topic takes: more than a producer sends by default.
                let length = if number == 12 { LARGE_BYTES } else { 300 };
                ("large noise", key, Some(noise(number, length)), UNDECODABLE)
            }
            _ => {
                let id = format!("later-{number}").into();
                let deposit = wire::Command {
                    asset: Some("USD".into()),
                    amount: Some(100_000_000),
                    ..wire::Command::blank(self.account.as_str().into(), id, wire::CommandKind::Deposit)
                };
                let payload = self.written_by_later_schema(&deposit)?;
                ("unknown schema id", Some(self.account.as_bytes().to_vec()), Some(payload), UNKNOWN_SCHEMA)
            }
        };
        Ok(Garbage { kind, key, payload, reason })
    }

    /// The later schema's last field is absent: one more null.
    fn written_by_later_schema(&self, command: &wire::Command) -> Result<Vec<u8>> {
        let mut bytes = encoded(self.later_id, command)?;
        bytes.push(0);
        Ok(bytes)
    }

    fn rejection(&self, good: &wire::Command) -> Result<Vec<u8>> {
        let rejection = wire::Rejection {
            command_id: 1,
            account: good.account.clone(),
            client_order_id: good.client_order_id.clone(),
            kind: good.kind,
            commanded_at_ms: 1,
            instrument: None,
            reason: wire::RejectReason::Malformed,
            text: "not an order".into(),
            original_command_id: None,
            original_accepted: None,
            original_reason: None,
        };
        encoded(self.rejected_id, &rejection)
    }
}

fn encoded<T: Wire>(id: u32, value: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = Encoder::<T>::new(id);
    encoder.encode(value, &mut bytes);
    Ok(bytes)
}

/// An Avro string of one byte.
fn short(text: &str) -> Vec<u8> {
    [&[2], text.as_bytes()].concat()
}

/// Bytes without order, the first not 0, so that they are never taken for a frame.
pub(super) fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut bytes: Vec<u8> = (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    bytes[0] |= 1;
    bytes
}

fn read_all(stack: &Stack, topic: &str) -> Result<Vec<Record>> {
    let partitions = stack.app.topology.topic(topic::ORDERS).context("orders")?.partitions;
    let mut records = Vec::new();
    for partition in 0..partitions {
        let mut reader = PartitionReader::open(&stack.app.addresses.kafka, topic, partition, 0)?;
        while let Some(record) = reader.next()? {
            records.push(record);
        }
    }
    Ok(records)
}

fn read_letters(stack: &Stack) -> Result<Vec<(Record, Letter)>> {
    let mut letters = Vec::new();
    for record in read_all(stack, DLQ)? {
        if let Entry::Letter(letter) = Entry::read(&record.headers)? {
            letters.push((record, letter));
        }
    }
    Ok(letters)
}

/// The line of `tapeline dlq list` says how many there are and how many were redriven.
fn check_list(stack: &Stack, letters: usize, redriven: u64) -> Result<()> {
    let printed = stack.tapeline(&["dlq", "list"])?;
    let line = printed.lines().find(|line| line.starts_with("orders.dlq ")).context("no line for orders.dlq")?;
    let cells: Vec<&str> = line.split_whitespace().collect();
    ensure!(cells[1..3] == [letters.to_string(), redriven.to_string()], "{line}");
    ensure!(line.contains("bad_key") && line.contains("undecodable") && line.contains("unknown_schema"), "{line}");
    ensure!(printed.lines().count() == 10, "a head and nine dead-letter topics:\n{printed}");
    Ok(())
}

/// One letter in JSON, byte for byte; one in text, with the field that fails.
fn check_show(stack: &Stack, letters: &[(Record, Letter)]) -> Result<()> {
    let cut = letters.iter().find(|(record, letter)| {
        letter.text.contains("does not fit") && record.payload.as_ref().is_some_and(|bytes| bytes.first() == Some(&0))
    });
    let (record, letter) = cut.context("no cut record among the letters")?;
    let (partition, offset) = (record.partition.to_string(), record.offset.to_string());
    let place = ["dlq", "show", "orders", "--partition", &partition, "--offset", &offset];
    let json: Json = serde_json::from_str(&stack.tapeline(&[&place[..], &["--json"]].concat())?)?;
    let hex: String = record.payload.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    ensure!(json["value_hex"] == hex && json["reason"] == letter.reason, "{json}");
    ensure!(json["source"]["offset"] == letter.source.offset && json["redriven"] == false, "{json}");
    ensure!(json["decoded"]["failure"].is_string(), "{json}");
    let text = stack.tapeline(&place)?;
    ensure!(text.contains("fails at") && text.contains("header   test.id") && text.contains("    0000  00 "), "{text}");
    Ok(())
}

fn check_redrive(stack: &Stack, mixed: &Mixed, letters: &[(Record, Letter)]) -> Result<()> {
    let of_reason = letters.iter().filter(|(_, letter)| letter.reason == UNKNOWN_SCHEMA).count();
    let before = read_all(stack, topic::ORDERS)?.len();
    let some = ["dlq", "redrive", "orders", "--reason", UNKNOWN_SCHEMA];
    let dry = stack.tapeline(&some)?;
    ensure!(dry.contains(&format!("{of_reason} dead letters would be put back into orders")), "{dry}");
    ensure!(read_all(stack, topic::ORDERS)?.len() == before, "a dry run wrote something");

    let all = [&some[..], &["--yes"]].concat();
    redrive_twice_at_once(stack, &all)?;
    let again = stack.tapeline(&all)?;
    let untouched = format!("{of_reason} were redriven before and are left alone");
    ensure!(again.contains("0 dead letters put back") && again.contains(&untouched), "{again}");

    let orders = read_all(stack, topic::ORDERS)?;
    ensure!(orders.len() == before + of_reason, "{} records of {before} + {of_reason}", orders.len());
    let mut back = HashMap::new();
    for record in &orders {
        if let Some((_, of)) = record.headers.iter().find(|(name, _)| name == REDRIVE_OF) {
            ensure!(back.insert(of.clone(), record).is_none(), "{of:?} was redriven twice");
        }
    }
    for (letter, read) in letters.iter().filter(|(_, read)| read.reason == UNKNOWN_SCHEMA) {
        let place = format!("{DLQ}/{}/{}", letter.partition, letter.offset);
        let record = back.remove(place.as_bytes()).with_context(|| format!("{place} was not redriven"))?;
        ensure!((&record.key, &record.payload) == (&letter.key, &letter.payload), "{place} was changed");
        ensure!(record.partition == read.source.partition, "{place} went to another partition");
        ensure!(record.headers[..read.own_headers] == letter.headers[..read.own_headers], "{place}: other headers");
    }
    ensure!(back.is_empty(), "{} records were redriven unasked", back.len());
    ensure!(mixed.unregistered() == of_reason as u64, "{of_reason} letters of an unknown schema");
    Ok(())
}

/// Two at the same time: the one fences the other, or comes after it. A fenced one says so; the one that is left does all.
fn redrive_twice_at_once(stack: &Stack, arguments: &[&str]) -> Result<()> {
    let start = |name: &str| -> Result<std::process::Child> {
        let log = std::fs::File::create(stack.scratch(name))?;
        Ok(stack.tapeline_command(arguments)?.stdout(log.try_clone()?).stderr(log).spawn()?)
    };
    let mut both = [start("redrive-1.out")?, start("redrive-2.out")?];
    let ended = [both[0].wait()?, both[1].wait()?];
    for (status, name) in ended.iter().zip(["redrive-1.out", "redrive-2.out"]) {
        let printed = std::fs::read_to_string(stack.scratch(name))?;
        ensure!(status.success() || printed.contains("fenced"), "a redrive ended with {status}: {printed}");
    }
    ensure!(ended.iter().any(std::process::ExitStatus::success), "both redrives ended as fenced");
    Ok(())
}

/// What the fix did not mend is dead once more, and refers to the first letter; and the one redrive is all there is.
fn check_bad_again(stack: &Stack, letters: &[(Record, Letter)], redriven: u64) -> Result<()> {
    let bad = letters.iter().find(|(_, letter)| letter.reason == UNDECODABLE);
    let (bad, _) = bad.context("no undecodable letter")?;
    let place = format!("{DLQ}/{}/{}", bad.partition, bad.offset);
    let (partition, offset) = (bad.partition.to_string(), bad.offset.to_string());
    let one = ["dlq", "redrive", DLQ, "--partition", &partition, "--offset", &offset, "--yes"];
    let printed = stack.tapeline(&one)?;
    ensure!(printed.starts_with("1 dead letter put back into orders (1 undecodable)"), "{printed}");
    stack.drain(&DRAINING, PATIENCE)?;
    let printed = stack.tapeline(&one)?;
    ensure!(printed.starts_with("0 dead letters put back"), "{printed}");

    let now = read_letters(stack)?;
    let refers = |letter: &Letter, record: &Record| {
        let own = &record.headers[..letter.own_headers];
        own.iter().any(|(name, of)| name == REDRIVE_OF && *of == place.as_bytes())
    };
    let again: Vec<_> = now.iter().filter(|(record, letter)| refers(letter, record)).collect();
    ensure!(again.len() == 1 && now.len() == letters.len() + 1, "{} letters refer to {place}", again.len());
    let (record, letter) = again[0];
    ensure!(record.payload == bad.payload && letter.reason == UNDECODABLE, "{letter:?}");
    check_list(stack, now.len(), redriven + 1)
}
