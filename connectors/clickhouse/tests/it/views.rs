//! What must hold of the views, whatever happens to batches.

use crate::database::Database;
use crate::fixture::{batch, small};
use tapeline_runtime::sink::{Event, Sink, SinkBatch, SinkError};
use tapeline_schemas::wire;

/// The views after the small flow, written in batches of `size`.
fn written(database: &Database, size: usize) -> String {
    let mut sink = database.sink();
    for batch in small().batches(size) {
        sink.write(&batch).unwrap();
    }
    database.contents()
}

/// Takes back the offsets of the last batch, as if the sink had been killed before it stated them.
fn forget_offsets(database: &Database) {
    database.execute("TRUNCATE TABLE view_offsets_raw");
}

#[test]
fn apply_makes_everything_once() {
    let Some(database) = Database::empty("apply") else { return };
    let missing = |plan: Vec<tapeline_clickhouse::Migration>| plan.iter().filter(|step| !step.exists).count();
    let all = tapeline_clickhouse::plan(&database.url).unwrap().len();
    assert_eq!(missing(tapeline_clickhouse::plan(&database.url).unwrap()), all);
    assert_eq!(missing(tapeline_clickhouse::apply(&database.url).unwrap()), all);
    assert_eq!(missing(tapeline_clickhouse::apply(&database.url).unwrap()), 0);
    database.execute("CREATE OR REPLACE VIEW fill_ratio AS SELECT 1 COMMENT 'An older version. [definition 0]'");
    assert_eq!(missing(tapeline_clickhouse::apply(&database.url).unwrap()), 1);
    assert_eq!(missing(tapeline_clickhouse::plan(&database.url).unwrap()), 0);
    let bare = "SELECT table, name FROM system.columns WHERE database = currentDatabase() \
        AND (table LIKE '%_raw' OR table LIKE '%_by_%' OR table IN ('fill_ratio', 'view_offsets')) AND comment = ''";
    assert_eq!(database.ask(bare), "table\tname\n");
    let bare = "SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = ''";
    assert_eq!(database.ask(bare), "name\n");
}

#[test]
fn a_missing_table_beside_stated_offsets_is_refused() {
    let Some(database) = Database::new("hole") else { return };
    written(&database, 7);
    database.execute("DROP TABLE trades_raw");
    for result in [tapeline_clickhouse::plan(&database.url), tapeline_clickhouse::apply(&database.url)] {
        assert!(
            matches!(result, Err(SinkError::Fatal(why)) if why.contains("trades_raw") && why.contains("DROP DATABASE"))
        );
    }
}

#[test]
fn without_tables_the_sink_says_what_to_run() {
    let Some(database) = Database::empty("missing") else { return };
    let positions = database.sink().positions(&[("orders".into(), 0)]);
    assert!(matches!(positions, Err(SinkError::Fatal(why)) if why.contains("tapeline apply")));
}

#[test]
fn a_server_that_is_not_there_is_away() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let sink = tapeline_clickhouse::ClickhouseSink::connect(&url).unwrap();
    assert!(matches!(sink.positions(&[("orders".into(), 0)]), Err(SinkError::Away(_))));
}

#[test]
fn differently_split_batches_give_identical_views() {
    let Some(first) = Database::new("split_a") else { return };
    let Some(second) = Database::new("split_b") else { return };
    let expected = written(&first, usize::MAX);
    assert_eq!(written(&second, 1), expected);
    second.execute("OPTIMIZE TABLE postings_raw FINAL");
    second.execute("OPTIMIZE TABLE executions_raw FINAL");
    assert_eq!(second.contents(), expected);
}

#[test]
fn a_batch_written_twice_changes_nothing() {
    let Some(database) = Database::new("twice") else { return };
    let expected = written(&database, 9);
    // Otherwise the server might remove the repeated rows before the views are read.
    for table in ["commands", "verdicts", "executions", "trades", "settlements", "postings"] {
        database.execute(&format!("SYSTEM STOP MERGES {table}_raw"));
    }
    // By another sink; by the same again, so that the server knows the tokens; and in other batches.
    let mut sink = database.sink();
    for size in [9, 9, 16] {
        forget_offsets(&database);
        for batch in small().batches(size) {
            sink.write(&batch).unwrap();
        }
        assert_eq!(database.contents(), expected);
    }
    let repeated = database.ask(
        "SELECT sum(rows) > (SELECT count() FROM postings) FROM system.parts WHERE active \
        AND database = currentDatabase() AND table = 'postings_raw'",
    );
    assert!(repeated.ends_with("1\n"), "the tables held no repeated rows: the test tests nothing");
}

#[test]
fn a_batch_written_in_part_is_not_seen_and_then_completed() {
    let Some(database) = Database::new("part") else { return };
    let records = small().records;
    let (done, cut) = records.split_at(25);
    let mut sink = database.sink();
    sink.write(&batch(done)).unwrap();
    let before = database.contents();
    // The crash: some tables have the batch's rows, the offsets don't.
    let Some(elsewhere) = Database::new("part_elsewhere") else { return };
    let mut other = elsewhere.sink();
    other.write(&batch(done)).unwrap();
    other.write(&batch(cut)).unwrap();
    let name = elsewhere.url.rsplit('=').next().unwrap();
    for table in ["commands_raw", "trades_raw", "postings_raw"] {
        database.execute(&format!("INSERT INTO {table} SELECT * FROM {name}.{table} SETTINGS async_insert = 0"));
    }
    assert_eq!(database.contents(), before);
    sink.write(&batch(cut)).unwrap();
    assert_eq!(database.contents(), elsewhere.contents());
}

#[test]
fn an_emptied_database_is_filled_again_to_the_same_views() {
    let Some(database) = Database::new("refill") else { return };
    let expected = written(&database, 11);
    database.execute(&format!("DROP DATABASE {} SYNC", database.url.rsplit('=').next().unwrap()));
    tapeline_clickhouse::apply(&database.url).unwrap();
    assert_eq!(written(&database, 13), expected);
    // Rows deleted in place: the server keeps the tokens of what it deleted, and the batches are the same.
    for table in ["commands", "verdicts", "executions", "trades", "settlements", "postings", "view_offsets"] {
        database.execute(&format!("ALTER TABLE {table}_raw DELETE WHERE true SETTINGS mutations_sync = 2"));
    }
    assert_eq!(written(&database, 13), expected);
}

#[test]
fn positions_are_what_was_written_and_a_batch_from_elsewhere_is_refused() {
    let Some(database) = Database::new("moved") else { return };
    let records = small().records;
    let mut sink = database.sink();
    let first = batch(&records[..20]);
    let partitions: Vec<_> = first.spans.iter().map(|span| (span.topic.clone(), span.partition)).collect();
    assert_eq!(sink.positions(&partitions).unwrap(), vec![0; partitions.len()]);
    sink.write(&first).unwrap();
    let reached: Vec<_> = first.spans.iter().map(|span| span.next_offset).collect();
    assert_eq!(database.sink().positions(&partitions).unwrap(), reached);
    let before = database.contents();
    assert!(matches!(sink.write(&first), Err(SinkError::Moved(_))));
    assert!(matches!(sink.write(&batch(&records[40..])), Err(SinkError::Moved(_))));
    assert_eq!(database.contents(), before);
}

#[test]
fn skipped_records_move_the_offsets() {
    let Some(database) = Database::new("skipped") else { return };
    let mut sink = database.sink();
    let mut only_dead = batch(&small().records[..1]);
    only_dead.records.clear();
    sink.write(&only_dead).unwrap();
    assert_eq!(sink.positions(&[("orders".into(), 0)]).unwrap(), [1]);
    sink.write(&SinkBatch::default()).unwrap();
}

#[test]
fn every_example_of_every_topic_has_a_row() {
    let Some(database) = Database::new("examples") else { return };
    let mut flow = crate::fixture::Flow::default();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/examples");
    for topic in tapeline_clickhouse::TOPICS {
        let mut files: Vec<_> =
            std::fs::read_dir(format!("{root}/{topic}")).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for (at, file) in files.iter().enumerate() {
            let text = std::fs::read_to_string(file).unwrap();
            let event = match *topic {
                "orders" => serde_json::from_str::<wire::Command>(&text).map(Event::Command),
                "orders.validated" => serde_json::from_str(&text).map(Event::Validated),
                "orders.rejected" => serde_json::from_str(&text).map(Event::Rejected),
                "trades.executed" => serde_json::from_str(&text).map(Event::Executed),
                _ => serde_json::from_str(&text).map(Event::Settled),
            };
            flow.add(topic, (at % 3) as i32, crate::fixture::OPEN_MS, event.unwrap());
        }
    }
    let mut sink = database.sink();
    flow.batches(usize::MAX).iter().for_each(|batch| sink.write(batch).unwrap());
    let rows = database.ask(
        "SELECT (SELECT count() FROM commands), (SELECT countIf(accepted) FROM verdicts), \
         (SELECT countIf(NOT accepted) FROM verdicts), (SELECT count() FROM executions), (SELECT count() FROM settlements)",
    );
    let number =
        |name: &str| flow.records.iter().filter(|record| crate::fixture::topic_of(&record.event) == name).count();
    let expected: Vec<_> = tapeline_clickhouse::TOPICS.iter().map(|name| number(name).to_string()).collect();
    assert_eq!(rows.lines().last().unwrap(), expected.join("\t"));
    // The integers of the wire are the decimals of the table.
    let raw = "SELECT min(price), max(price), min(notional), max(notional), count() FROM trades";
    let (mut prices, mut notionals, mut trades) = (Vec::new(), Vec::new(), 0);
    for record in &flow.records {
        if let Event::Executed(execution) = &record.event
            && let (Some(price), Some(quantity)) = (execution.price, execution.quantity)
        {
            prices.push(price);
            notionals.push(tapeline_domain::money::notional(price, quantity).unwrap());
            trades += 1;
        }
    }
    let decimal = |units: Option<&i64>| tapeline_domain::money::decimal(*units.unwrap());
    let expected = [
        decimal(prices.iter().min()),
        decimal(prices.iter().max()),
        decimal(notionals.iter().min()),
        decimal(notionals.iter().max()),
        trades.to_string(),
    ];
    assert_eq!(database.ask(raw).lines().last().unwrap(), expected.join("\t"));
}
