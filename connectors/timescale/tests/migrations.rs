//! What is missing is told and created; what is there is left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]

mod support;

use support::{TABLES, TestDatabase};
use tapeline_runtime::sink::SinkError;
use tapeline_timescale::{TimescaleSink, apply, plan};

#[test]
fn a_plan_changes_nothing_and_a_second_apply_finds_all_there() {
    let name = "a_plan_changes_nothing_and_a_second_apply_finds_all_there";
    let Some(database) = TestDatabase::named(name) else { return };
    let planned = plan(&database.url).unwrap();
    assert!(planned.iter().all(|part| !part.exists && !part.sql.is_empty()));
    assert_eq!(plan(&database.url).unwrap(), planned);
    let error = TimescaleSink::connect(&database.url).err().unwrap();
    assert!(matches!(&error, SinkError::Fatal(why) if why.contains("run `tapeline apply`")), "{error}");

    assert_eq!(apply(&database.url).unwrap(), planned);
    let after = apply(&database.url).unwrap();
    assert!(after.iter().all(|part| part.exists), "{after:?}");
    assert_eq!(after.len(), planned.len());
    let hypertables = "SELECT string_agg(hypertable_name, ',' ORDER BY hypertable_name)
                       FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'";
    assert_eq!(database.value(hypertables), "candles,trades");
}

#[test]
fn a_missing_table_is_created_and_rows_of_the_others_stay() {
    let Some(database) = TestDatabase::create("a_missing_table_is_created_and_rows_of_the_others_stay") else { return };
    database.query("DROP TABLE candles; INSERT INTO balances VALUES ('a', 'USD', 1, 2)");
    let before = apply(&database.url).unwrap();
    let missing: Vec<_> = before.iter().filter(|part| !part.exists).map(|part| part.name.as_str()).collect();
    assert_eq!(missing, ["table public.candles"]);
    assert_eq!(database.value("SELECT total FROM balance_totals"), "3.00000000");
}

#[test]
fn a_table_of_another_version_is_refused() {
    let Some(database) = TestDatabase::create("a_table_of_another_version_is_refused") else { return };
    database.query("ALTER TABLE trades ADD COLUMN extra int");
    for refused in [plan(&database.url), apply(&database.url)] {
        let error = refused.unwrap_err();
        assert!(matches!(&error, SinkError::Fatal(why) if why.contains("public.trades has the columns")), "{error}");
    }
}

#[test]
fn two_that_apply_at_once_both_succeed() {
    let Some(database) = TestDatabase::named("two_that_apply_at_once_both_succeed") else { return };
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| apply(&database.url)));
        both.into_iter().for_each(|one| drop(one.join().unwrap().unwrap()));
    });
    assert!(plan(&database.url).unwrap().iter().all(|part| part.exists));
}

#[test]
fn every_table_and_column_has_a_comment() {
    let Some(database) = TestDatabase::create("every_table_and_column_has_a_comment") else { return };
    let bare = "SELECT c.relname, a.attname FROM pg_class c
                LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
                  AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)";
    assert_eq!(database.query(bare), [""; 0]);
    let tables =
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1";
    let mut expected = TABLES;
    expected.sort_unstable();
    assert_eq!(database.query(tables), expected);
}
