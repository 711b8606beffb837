//! The feed over a real broker: it begins before the end, sees committed records only, and passes over what it can't read.
//!
//! Needs `TAPELINE_TEST_KAFKA`, the address of a broker whose topics may be written to; says so and ends without it.

#![allow(clippy::unwrap_used, reason = "a test that fails says where by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapeline_gateway::feed::account::Source;
use tapeline_gateway::feed::book::{Level, Way};
use tapeline_gateway::feed::hub::{EVENT_RING_BYTES, Hub};
use tapeline_gateway::feed::metrics::FeedMetrics;
use tapeline_gateway::feed::run::{Feed, Sources};
use tapeline_kafka::admin::Admin;
use tapeline_kafka::tail::{Start, Tail};
use tapeline_kafka::transaction::TransactionalPublisher;
use tapeline_runtime::port::OutRecord;
use tapeline_schemas::codec::{Encoder, SchemaIds, SchemaSource, Wire};
use tapeline_schemas::topic;
use tapeline_schemas::wire::{
    BookDepth, DepthKind, DepthLevel, Execution, Instrument, Rejection, Settlement, ValidatedCommand,
};

const PATIENCE: Duration = Duration::from_secs(30);
const SCHEMA_ID: u32 = 1;

/// Every schema has the same id: each topic has its own decoder.
struct OneId;

impl SchemaSource for OneId {
    fn schema_json(&self, _: u32) -> Result<Option<String>, String> {
        Ok(None)
    }
}

impl SchemaIds for OneId {
    fn registered_id(&self, _: &str, _: &str) -> Result<u32, String> {
        Ok(SCHEMA_ID)
    }
}

fn record<T: Wire>(topic: &str, key: &str, value: &T) -> OutRecord {
    let mut payload = Vec::new();
    Encoder::new(SCHEMA_ID).encode(value, &mut payload);
    let (key, payload) = (Some(key.as_bytes().to_vec()), Some(payload));
    OutRecord { topic: topic.into(), partition: Some(0), key, payload, headers: Vec::new() }
}

fn example<T: serde::de::DeserializeOwned>(path: &str) -> T {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/examples").join(path);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// A change of a book of one bid.
fn change(sequence: i64) -> OutRecord {
    let bid = Level { price: 100, quantity: sequence };
    let change = BookDepth {
        kind: DepthKind::Delta,
        instrument: "AAPL-USD".into(),
        sequence,
        part: 0,
        parts: 1,
        bids: vec![DepthLevel { price: bid.price, quantity: bid.quantity }],
        asks: Vec::new(),
        checksum: i64::from(Way::Buy.checksum(bid)),
        command_id: None,
        commanded_at_ms: None,
        validated_at_ms: sequence,
    };
    record(topic::DEPTH, "AAPL-USD", &change)
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_feed_shows_what_is_committed_before_and_after_its_start() {
    let Ok(bootstrap) = std::env::var("TAPELINE_TEST_KAFKA") else {
        println!("skipped: TAPELINE_TEST_KAFKA is not set");
        return;
    };
    let admin = Admin::connect(&bootstrap).unwrap();
    let topics = [topic::DEPTH, topic::EXECUTED, topic::VALIDATED, topic::REJECTED, topic::SETTLED, topic::INSTRUMENTS];
    for topic in topics {
        admin.create_topic(topic, 2, 1, &[]).unwrap();
    }
    let mut publisher = TransactionalPublisher::open(&bootstrap, "gateway-test").unwrap();
    let mut unreadable = change(2);
    unreadable.payload = Some(b"garbage".to_vec());
    publisher.commit(&[change(1), unreadable, change(2)]).unwrap();
    let instrument: Instrument = example("reference.instruments/open.json");
    let trade: Execution = example("trades.executed/06_traded_taker_filled.json");
    let settled = Settlement { execution_id: 0, ..example("trades.settled/03_traded_taker_filled_taker.json") };
    publisher
        .commit(&[
            record(topic::INSTRUMENTS, &instrument.symbol, &instrument),
            record(topic::SETTLED, "acc-1", &settled),
            record(topic::EXECUTED, "AAPL-USD", &trade),
            record(
                topic::VALIDATED,
                "AAPL-USD",
                &example::<ValidatedCommand>("orders.validated/03_place_limit_gtc.json"),
            ),
            record(topic::REJECTED, "acc-1", &example::<Rejection>("orders.rejected/insufficient_funds.json")),
        ])
        .unwrap();

    let hub = Arc::new(Hub::new(FeedMetrics::new(&prometheus::Registry::new()).unwrap(), EVENT_RING_BYTES));
    let sources = Sources { bootstrap: bootstrap.clone(), schemas: Arc::new(OneId), hub: Arc::clone(&hub) };
    let feed = Feed::start(&sources).unwrap();
    wait_until("readiness", || hub.metrics.not_ready().is_empty());
    let market = hub.market("AAPL-USD").unwrap();
    let shows = |sequence: i64| {
        let quantity = format!("\"sequence\":{sequence},\"bids\":[[\"0.000001\",\"0.0000000{sequence}\"]]");
        market.depth_now(10).is_some_and(|frame| frame.contains(&quantity))
    };
    assert!(shows(2), "{:?}", market.depth_now(10));
    assert_eq!(market.instrument(), Some(instrument));
    assert!(market.ticker_now().contains("\"last\":\"585.1\""), "{}", market.ticker_now());
    wait_until("the settlement", || hub.accounts.position().next(Source::Settled, 0) == 1);
    assert_eq!(hub.metrics.unreadable.with_label_values(&[topic::DEPTH]).get(), 1);

    publisher.commit(&[change(3), change(4)]).unwrap();
    wait_until("the next changes", || shows(4));
    feed.stop();

    let mut tail = Tail::open_at(&bootstrap, topic::DEPTH, Start::Back { age: Duration::ZERO, records: 2 }).unwrap();
    assert_eq!(tail.next_offsets()[1], 0, "an empty partition begins where it ends");
    let mut offsets = Vec::new();
    wait_until("the end", || {
        tail.poll(Duration::from_millis(50), |record| offsets.push(record.offset)).unwrap();
        tail.caught_up()
    });
    // Offsets 0 to 2 and a marker, 4 and 5 and a marker; the last two before the end are a record and a marker.
    assert_eq!(offsets, [5]);
    assert!(Tail::open(&bootstrap, topic::DEPTH).unwrap().caught_up());
}
