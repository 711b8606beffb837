//! A database for each test on the server of `TAPELINE_TEST_TIMESCALE_URL`, and a stream of records to fold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code")]
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod stream;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::sync::atomic::{AtomicU32, Ordering};

/// The tables that are folds of the topics.
pub(crate) const TABLES: [&str; 6] = ["view_offsets", "trades", "candles", "best_quotes", "orders", "balances"];

/// A database of its own, dropped at the end.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    name: String,
    admin_url: String,
}

impl TestDatabase {
    /// A name that no other test has, nothing created yet; `None` (and a printed line) if there is no server to test on.
    pub(crate) fn named(test: &str) -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let Some(base) = std::env::var("TAPELINE_TEST_TIMESCALE_URL").ok().filter(|url| !url.is_empty()) else {
            println!("{test} is skipped: set TAPELINE_TEST_TIMESCALE_URL, for example to postgres://user@host:port/");
            return None;
        };
        let base = base.trim_end_matches('/');
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tapeline_test_{}_{count}", std::process::id());
        Some(Self { url: format!("{base}/{name}"), admin_url: format!("{base}/postgres"), name })
    }

    /// A database with all tables.
    pub(crate) fn create(test: &str) -> Option<Self> {
        let database = Self::named(test)?;
        tapeline_timescale::apply(&database.url).unwrap();
        Some(database)
    }

    /// Runs SQL; rows as text, each column's value or NULL between bars.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        run(&self.url, sql)
    }

    /// The single value of a query.
    pub(crate) fn value(&self, sql: &str) -> String {
        self.query(sql).remove(0)
    }

    /// All rows of all tables.
    pub(crate) fn dump(&self) -> String {
        let table = |table: &str| {
            let rows = self.query(&format!("SELECT t::text FROM public.{table} AS t ORDER BY 1"));
            format!("{table}: {} rows\n{}\n", rows.len(), rows.join("\n"))
        };
        TABLES.iter().map(|name| table(name)).collect()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        run(&self.admin_url, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// Runs SQL on a connection of its own. Only the first column of a row is read if it is a text.
pub(crate) fn run(url: &str, sql: &str) -> Vec<String> {
    block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}\n{error}"));
        rows.iter().map(text).collect()
    })
}

fn text(row: &sqlx::postgres::PgRow) -> String {
    let column = |index| row.try_get_raw(index).unwrap().as_str().map_or("NULL".into(), str::to_owned);
    (0..row.len()).map(column).collect::<Vec<String>>().join("|")
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
