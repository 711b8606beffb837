//! `docs/timescale.md` tells the truth: its queries run, its commands do what they say, every column is in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]

mod support;

use support::TestDatabase;
use support::stream::{batches, stream};
use tapeline_runtime::sink::Sink;
use tapeline_timescale::{TimescaleSink, apply};

const PAGE: &str = include_str!("../../../docs/timescale.md");

/// What stands between ```` ```language ```` and ```` ``` ````.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    PAGE.split(begin.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn fill(database: &TestDatabase) {
    let mut sink = TimescaleSink::connect(&database.url).unwrap();
    batches(&stream(8, 400), 100).iter().for_each(|batch| sink.write(batch).unwrap());
}

#[test]
fn every_documented_query_runs_and_finds_rows() {
    let Some(database) = TestDatabase::create("every_documented_query_runs_and_finds_rows") else { return };
    fill(&database);
    let queries = blocks("sql");
    assert_eq!(queries.len(), 5);
    for query in queries {
        let rows = database.query(&query.replace("AAPL-USD", "I1-USD"));
        assert!(!rows.is_empty(), "no rows: {query}");
    }
}

#[test]
fn the_documented_ways_to_wipe_lead_to_the_same_view() {
    let Some(database) = TestDatabase::create("the_documented_ways_to_wipe_lead_to_the_same_view") else { return };
    fill(&database);
    let before = database.dump();
    let wipes = blocks("sh");
    assert_eq!(wipes.len(), 2);
    for wipe in wipes {
        database.query(wipe.split('\'').nth(1).unwrap());
        apply(&database.url).unwrap();
        fill(&database);
        assert_eq!(database.dump(), before);
    }
}

#[test]
fn every_table_and_column_is_documented() {
    let Some(database) = TestDatabase::create("every_table_and_column_is_documented") else { return };
    let columns = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'";
    for row in database.query(columns) {
        let (table, column) = row.split_once('|').unwrap();
        let named = |line: &&str| line.contains(&format!("`{table}`"));
        let section = PAGE.split("\n### ").find(|section| section.starts_with(&format!("`{table}`")));
        let place = section.or_else(|| PAGE.lines().find(|line| line.starts_with('|') && named(line)));
        assert!(
            place.is_some_and(|place| place.contains(&format!("`{column}`"))),
            "{table}.{column} is not documented"
        );
    }
}
