//! A database for one test.

use clickhouse::Client;
use tapeline_clickhouse::ClickhouseSink;
use tokio::runtime::Runtime;

/// A database with all tables and views, dropped at the end.
pub(crate) struct Database {
    pub(crate) url: String,
    name: String,
    client: Client,
    runtime: Runtime,
}

impl Database {
    /// A new one, or none if no server is named.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let database = Self::empty(test)?;
        tapeline_clickhouse::apply(&database.url).unwrap();
        Some(database)
    }

    /// A name without a database behind it yet, or none if no server is named.
    pub(crate) fn empty(test: &str) -> Option<Self> {
        let Ok(server) = std::env::var("TAPELINE_TEST_CLICKHOUSE_URL") else {
            println!("skipped: TAPELINE_TEST_CLICKHOUSE_URL is not set");
            return None;
        };
        let name = format!("tapeline_test_{}_{test}", std::process::id());
        let url = format!("{}/?database={name}", server.trim_end_matches('/'));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Some(Self { url, client: Client::default().with_url(server), name, runtime })
    }

    pub(crate) fn sink(&self) -> ClickhouseSink {
        ClickhouseSink::connect(&self.url).unwrap()
    }

    /// The answer as lines of tab-separated values, the columns' names first.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let query = self.client.clone().with_database(&self.name).query_raw(sql);
        let answer =
            self.runtime.block_on(async { query.fetch_bytes("TabSeparatedWithNames").unwrap().collect().await });
        String::from_utf8(answer.unwrap_or_else(|error| panic!("{sql}: {error}")).to_vec()).unwrap()
    }

    pub(crate) fn execute(&self, sql: &str) {
        let query = self.client.clone().with_database(&self.name).query_raw(sql);
        self.runtime.block_on(query.execute()).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// All that all views show, offsets included.
    pub(crate) fn contents(&self) -> String {
        const VIEWS: [(&str, &str); 13] = [
            ("view_offsets", "ALL"),
            ("commands", "kafka_partition, kafka_offset"),
            ("verdicts", "topic, kafka_partition, kafka_offset"),
            ("executions", "kafka_partition, kafka_offset"),
            ("trades", "kafka_partition, kafka_offset"),
            ("settlements", "kafka_partition, kafka_offset"),
            ("postings", "kafka_partition, kafka_offset, line"),
            ("volume_by_minute", "ALL"),
            ("fill_ratio", "ALL"),
            ("turnover_by_account", "ALL"),
            ("rejects_by_reason", "ALL"),
            ("latency_by_stage", "ALL"),
            ("latency_by_minute", "ALL"),
        ];
        let show = |(view, order): &(&str, &str)| {
            format!("{view}\n{}", self.ask(&format!("SELECT * FROM {view} ORDER BY {order}")))
        };
        VIEWS.iter().map(show).collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let query = self.client.query_raw(&format!("DROP DATABASE IF EXISTS {}", self.name));
        if let Err(error) = self.runtime.block_on(query.execute()) {
            println!("{} is left behind: {error}", self.name);
        }
    }
}
