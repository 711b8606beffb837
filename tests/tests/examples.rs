//! Every schema example goes through every reader of its topic: the processors' codings and rules, and the decoder that
//! feeds both sinks (whose own tests then fold the examples into the databases).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use tapeline_runtime::event_decoder::EventDecoder;
use tapeline_runtime::lane::{InputSpec, LaneSpec};
use tapeline_runtime::processor::{Coding, Draft, Position, Processor, Verdict};
use tapeline_runtime::topology::Topology;
use tapeline_schemas::codec::{Encoder, SchemaIds, Wire};
use tapeline_schemas::{topic, wire};
use tapeline_tests::memory_log::registry;

struct Example {
    file: String,
    topic: &'static str,
    key: String,
    payload: Vec<u8>,
}

fn examples<T: Wire>(topic: &'static str, ids: &Arc<dyn SchemaIds>, key: fn(&T) -> String) -> Vec<Example> {
    let folder = PathBuf::from("../schemas/examples").join(topic);
    let encoder = Encoder::<T>::new(ids.registered_id(topic, T::SCHEMA_JSON).unwrap());
    let mut examples = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let value: T = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut payload = Vec::new();
        encoder.encode(&value, &mut payload);
        examples.push(Example { file: path.display().to_string(), topic, key: key(&value), payload });
    }
    assert!(!examples.is_empty(), "{}", folder.display());
    examples
}

fn all(ids: &Arc<dyn SchemaIds>) -> Vec<Example> {
    let mut all = examples::<wire::Command>(topic::ORDERS, ids, |value| value.account.to_string());
    all.extend(examples::<wire::ValidatedCommand>(topic::VALIDATED, ids, |value| value.account.to_string()));
    all.extend(examples::<wire::Rejection>(topic::REJECTED, ids, |value| value.account.to_string()));
    all.extend(examples::<wire::Execution>(topic::EXECUTED, ids, |_| "any".into()));
    all.extend(examples::<wire::Settlement>(topic::SETTLED, ids, |value| value.account.to_string()));
    all.extend(examples::<wire::Instrument>(topic::INSTRUMENTS, ids, |value| value.symbol.to_string()));
    all.extend(examples::<wire::Account>(topic::ACCOUNTS, ids, |value| value.account.to_string()));
    all.extend(examples::<wire::MarketTick>(topic::MARKET_TICKS, ids, |value| value.instrument.to_string()));
    all.extend(examples::<wire::Tick>(topic::CLOCK, ids, |_| "0".into()));
    all
}

fn spec(topology: &Topology, name: &str) -> LaneSpec {
    let processor = topology.processor(name).unwrap();
    let topics = processor.inputs.iter().chain(&processor.broadcast);
    let input =
        |topic: &String| InputSpec { topic: topic.clone(), broadcast: false, reference: false, dead_letters: None };
    let inputs = topics.map(input).collect();
    LaneSpec { component: name.into(), inputs, journal: None, snapshots: None, max_batch_records: 1 }
}

/// Each example in a state of its own. Returns how many were read.
fn through<P: Processor, C: Coding<P>>(
    spec: &LaneSpec,
    examples: &[Example],
    (processor, mut coding): (P, C),
    may_be_impossible: bool,
) -> usize {
    let mut read = 0;
    for example in examples {
        let Some(input) = spec.inputs.iter().position(|input| input.topic == example.topic) else { continue };
        let event = coding.decode(input, Some(example.key.as_bytes()), Some(&example.payload));
        let event = event.unwrap_or_else(|error| panic!("{} in {}: {error:?}", example.file, spec.component));
        let at = Position { input, partition: 0, offset: 1, timestamp_ms: 1_700_000_000_000, partitions: 1 };
        let mut out = Vec::new();
        let verdict = processor.apply(&mut processor.new_state(0), &at, event, &mut out);
        if let (Verdict::Poison(why), false) = (&verdict, may_be_impossible) {
            panic!("{} in {}: {why}", example.file, spec.component);
        }
        for effect in &out {
            coding.encode(effect, &mut Draft::default());
        }
        read += 1;
    }
    read
}

#[test]
fn every_example_goes_through_every_processor_that_reads_its_topic() {
    let (ids, topology) = (registry(), Topology::embedded().unwrap());
    let examples = all(&ids);
    let validator = spec(&topology, "validator");
    // A settlement alone, without the deposit before it, overdraws an empty account: that is its right answer.
    assert!(through(&validator, &examples, tapeline_validator::make(&validator, &ids).unwrap(), true) > 20);
    let executor = spec(&topology, "executor");
    assert!(through(&executor, &examples, tapeline_executor::make(&executor, &ids).unwrap(), false) > 10);
    let settler = spec(&topology, "settler");
    assert!(through(&settler, &examples, tapeline_settler::make(&settler, &ids).unwrap(), false) > 10);
}

#[test]
fn every_example_of_a_topic_that_sinks_read_becomes_their_event() {
    let (ids, topology) = (registry(), Topology::embedded().unwrap());
    let mut decoder = EventDecoder::new(&ids).unwrap();
    let mut read = 0;
    for example in all(&ids) {
        if topology.sinks.iter().any(|sink| sink.inputs.iter().any(|input| input == example.topic)) {
            let event = decoder.decode(example.topic, Some(example.key.as_bytes()), Some(&example.payload));
            assert!(event.is_ok(), "{}: {event:?}", example.file);
            read += 1;
        }
    }
    assert!(read > 50, "{read}");
}
