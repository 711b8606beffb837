//! The view is the fold of the topics up to the offsets that it states, however the records come.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]

mod support;

use smol_str::SmolStr;
use support::stream::{batches, stream};
use support::{TABLES, TestDatabase};
use tapeline_runtime::sink::{Event, Sink, SinkBatch, SinkError, SinkRecord, Span};
use tapeline_schemas::{topic, wire};
use tapeline_timescale::{TOPICS, TimescaleSink};

fn fold_all(database: &TestDatabase, batches: &[SinkBatch]) -> String {
    let mut sink = TimescaleSink::connect(&database.url).unwrap();
    batches.iter().for_each(|batch| sink.write(batch).unwrap());
    database.dump()
}

#[test]
fn a_repeated_batch_is_refused_and_changes_nothing() {
    let Some(database) = TestDatabase::create("a_repeated_batch_is_refused_and_changes_nothing") else { return };
    let batches = batches(&stream(1, 200), 100);
    let before = fold_all(&database, &batches);
    let mut sink = TimescaleSink::connect(&database.url).unwrap();
    for batch in &batches {
        assert!(matches!(sink.write(batch), Err(SinkError::Moved(_))));
    }
    assert_eq!(database.dump(), before);
    assert!(before.contains("trades: ") && !before.contains("trades: 0 rows"), "{before}");
}

#[test]
fn however_the_stream_is_cut_the_tables_are_the_same() {
    let name = "however_the_stream_is_cut_the_tables_are_the_same";
    let stream = stream(2, 900);
    let mut dumps = Vec::new();
    for size in [1, 7, stream.len()] {
        let Some(database) = TestDatabase::create(name) else { return };
        dumps.push(fold_all(&database, &batches(&stream, size)));
    }
    for table in TABLES {
        assert!(!dumps[0].contains(&format!("{table}: 0 rows")), "{table} is empty");
    }
    assert_eq!(dumps[0], dumps[1]);
    assert_eq!(dumps[0], dumps[2]);
}

#[test]
fn an_emptied_view_is_filled_again_with_the_same_rows() {
    let Some(database) = TestDatabase::create("an_emptied_view_is_filled_again_with_the_same_rows") else { return };
    let stream = stream(3, 500);
    let before = fold_all(&database, &batches(&stream, 50));
    let mut running = TimescaleSink::connect(&database.url).unwrap();
    database.query(&format!("TRUNCATE {}", TABLES.join(", ")));

    // A sink that still runs finds out: its batch begins at an offset that the database no longer states.
    let partition = (SmolStr::from(topic::EXECUTED), 0);
    let late = Span { topic: partition.0.clone(), partition: 0, from_offset: 9_000, next_offset: 9_001 };
    let error = running.write(&SinkBatch { records: Vec::new(), spans: vec![late] }).unwrap_err();
    assert!(matches!(&error, SinkError::Moved(why) if why.contains("the database states 0")), "{error}");

    assert_eq!(running.positions(&[partition]).unwrap(), [0]);
    assert_eq!(fold_all(&database, &batches(&stream, 61)), before);
}

#[test]
fn positions_are_what_the_database_states() {
    let Some(database) = TestDatabase::create("positions_are_what_the_database_states") else { return };
    let mut sink = TimescaleSink::connect(&database.url).unwrap();
    // A span without a record: what was skipped or dead-lettered counts as applied.
    let span = Span { topic: topic::SETTLED.into(), partition: 3, from_offset: 0, next_offset: 42 };
    sink.write(&SinkBatch { records: Vec::new(), spans: vec![span] }).unwrap();
    let asked: Vec<(SmolStr, i32)> = TOPICS.iter().map(|topic| (SmolStr::from(*topic), 3)).collect();
    assert_eq!(sink.positions(&asked).unwrap(), [0, 0, 0, 42, 0]);
    assert_eq!(sink.positions(&[]).unwrap(), [0i64; 0]);
}

#[test]
fn of_two_sinks_with_the_same_batch_one_is_told_that_the_view_moved() {
    let name = "of_two_sinks_with_the_same_batch_one_is_told_that_the_view_moved";
    let Some(database) = TestDatabase::create(name) else { return };
    let batches = batches(&stream(4, 400), 40);
    let work = |mut sink: TimescaleSink| {
        let batches = &batches;
        move || batches.iter().map(|batch| sink.write(batch)).collect::<Vec<_>>()
    };
    let connect = || TimescaleSink::connect(&database.url).unwrap();
    let (first, second) = std::thread::scope(|scope| {
        let (first, second) = (scope.spawn(work(connect())), scope.spawn(work(connect())));
        (first.join().unwrap(), second.join().unwrap())
    });
    for results in first.iter().zip(&second) {
        assert!(
            matches!(results, (Ok(()), Err(SinkError::Moved(_))) | (Err(SinkError::Moved(_)), Ok(()))),
            "{results:?}"
        );
    }
    let competed = database.dump();
    let Some(alone) = TestDatabase::create(name) else { return };
    assert_eq!(competed, fold_all(&alone, &batches));
}

#[test]
fn two_sinks_with_a_partition_each_make_one_view() {
    let name = "two_sinks_with_a_partition_each_make_one_view";
    let Some(database) = TestDatabase::create(name) else { return };
    let stream = stream(5, 600);
    let part = |partition: i32| {
        let records: Vec<_> = stream.iter().filter(|(_, record)| record.partition == partition).cloned().collect();
        batches(&records, 20)
    };
    let connect = || TimescaleSink::connect(&database.url).unwrap();
    std::thread::scope(|scope| {
        for partition in [0, 1] {
            let (mut sink, batches) = (connect(), part(partition));
            scope.spawn(move || batches.iter().for_each(|batch| sink.write(batch).unwrap()));
        }
    });
    let Some(alone) = TestDatabase::create(name) else { return };
    assert_eq!(database.dump(), fold_all(&alone, &batches(&stream, 100)));
}

#[test]
fn a_lost_connection_is_reported_and_the_next_call_works() {
    let Some(database) = TestDatabase::create("a_lost_connection_is_reported_and_the_next_call_works") else { return };
    let batches = batches(&stream(6, 60), 20);
    let mut sink = TimescaleSink::connect(&database.url).unwrap();
    sink.write(&batches[0]).unwrap();
    let kill = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                WHERE application_name = 'tapeline-timescale' AND datname = current_database()";
    assert_eq!(database.value(kill), "1");
    assert!(matches!(sink.write(&batches[1]), Err(SinkError::Away(_))));
    sink.write(&batches[1]).unwrap();
    database.value(kill);
    assert!(matches!(sink.positions(&[]), Err(SinkError::Away(_))));
    sink.write(&batches[2]).unwrap();
}

#[test]
fn a_failing_batch_leaves_nothing_and_names_the_table() {
    let Some(database) = TestDatabase::create("a_failing_batch_leaves_nothing_and_names_the_table") else { return };
    let batches = batches(&stream(7, 100), 50);
    let before = fold_all(&database, &batches[..1]);
    let mut sink = TimescaleSink::connect(&database.url).unwrap();
    database.query("ALTER TABLE orders ADD CONSTRAINT refuse CHECK (updated_at < '2000-01-01') NOT VALID");
    let error = sink.write(&batches[1]).unwrap_err();
    assert!(
        matches!(&error, SinkError::Fatal(why) if why.starts_with("table orders, sql/merge/orders.sql")),
        "{error}"
    );
    database.query("ALTER TABLE orders DROP CONSTRAINT refuse");
    assert_eq!(database.dump(), before);
    sink.write(&batches[1]).unwrap();
}

#[test]
fn a_server_that_is_not_there_is_away_and_a_wrong_url_is_fatal() {
    let connect = |url| TimescaleSink::connect(url).err().unwrap();
    // Port 1 is reserved, nothing listens there.
    assert!(matches!(connect("postgres://postgres@127.0.0.1:1/tapeline"), SinkError::Away(_)));
    for url in ["127.0.0.1:5432", "postgres://postgres:secret@127.0.0.1:1"] {
        let error = connect(url);
        let says = "TAPELINE_TIMESCALE_URL is not a database's URL";
        assert!(matches!(&error, SinkError::Fatal(why) if why.starts_with(says) && !why.contains("secret")), "{error}");
    }
}

fn tick(at_us: i64, trade_id: i64, price: i64) -> wire::MarketTick {
    wire::MarketTick {
        venue: "binance".into(),
        instrument: "A-USD".into(),
        kind: wire::TickKind::Trade,
        at_us,
        trade_id: Some(trade_id),
        price: Some(price * 100_000_000),
        quantity: Some(150_000_000),
        taker_side: None,
        bid_price: None,
        bid_quantity: None,
        ask_price: None,
        ask_quantity: None,
    }
}

#[test]
fn ticks_out_of_order_make_the_same_candle() {
    let ticks = [(59_999_999, 9, 5), (1, 3, 4), (1, 2, 3), (30_000_000, 5, 8), (59_999_999, 8, 6), (2_000_000, 1, 1)];
    for (rotation, size) in (0..ticks.len()).flat_map(|rotation| [(rotation, 1), (rotation, 4)]) {
        let Some(database) = TestDatabase::create("ticks_out_of_order_make_the_same_candle") else { return };
        let mut ticks = ticks.map(|(at_us, id, price)| tick(at_us, id, price));
        ticks.rotate_left(rotation);
        let record = |(offset, tick): (i64, &wire::MarketTick)| {
            let event = Event::Market(tick.clone());
            (topic::MARKET_TICKS.into(), SinkRecord { partition: 0, offset, timestamp_ms: 0, event })
        };
        fold_all(&database, &batches(&(0..).zip(&ticks).map(record).collect::<Vec<_>>(), size));
        let minute = database.query(
            "SELECT open, high, low, close, volume, trades, first_seq, last_seq,
                    extract(epoch FROM bucket)::int, extract(epoch FROM last_at)
             FROM candles WHERE interval = '1m' AND venue = 'binance'",
        );
        let expected = "3.00000000|8.00000000|1.00000000|5.00000000|9.00000000|6|2|9|0|59.999999";
        assert_eq!(minute, [expected], "rotated by {rotation}, batches of {size}");
        if rotation >= 2 {
            break;
        }
    }
}

#[test]
fn a_rejected_order_has_unknown_terms_and_a_duplicate_leaves_the_first_alone() {
    let name = "a_rejected_order_has_unknown_terms_and_a_duplicate_leaves_the_first_alone";
    let Some(database) = TestDatabase::create(name) else { return };
    let rejection = wire::Rejection {
        command_id: 77,
        account: "x".repeat(70_000).into(),
        client_order_id: "same".into(),
        kind: wire::CommandKind::Place,
        commanded_at_ms: 1_000,
        instrument: Some("A-USD".into()),
        reason: wire::RejectReason::DuplicateClientOrderId,
        text: "Used before.".into(),
        original_command_id: Some(5),
        original_accepted: Some(true),
        original_reason: None,
    };
    let record = SinkRecord { partition: 1, offset: 0, timestamp_ms: 0, event: Event::Rejected(rejection) };
    fold_all(&database, &batches(&[(topic::REJECTED.into(), record)], 1));
    let row = database.query(
        "SELECT order_id, length(account), client_order_id, instrument, side, price, quantity, filled, leaves, status,
                reason, extract(epoch FROM updated_at)::int, position_partition, position_offset FROM orders",
    );
    let expected = "77|256|same|A-USD|NULL|NULL|NULL|0.00000000|0.00000000|rejected|duplicate_client_order_id|1|1|0";
    assert_eq!(row, [expected]);
}
