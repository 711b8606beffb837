//! Are the documented queries quick on ten million rows in each table? Makes them in the server, runs each query of
//! `docs/clickhouse.md` five times, prints the median and exits with 1 if one takes a second or more.
//!
//!     TAPELINE_CLICKHOUSE_URL=http://127.0.0.1:18123 cargo run --release -p tapeline-clickhouse --example ten_million
//!
//! Works in a database of its own, `tapeline_ten_million`, which it makes anew and drops at its end (about 3 GB).
//! 50 instruments, 5,000 accounts, 4 partitions, three hours of flow; written in 20 inserts, parts unmerged as they come.

use clickhouse::Client;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const DOCUMENT: &str = include_str!("../../../docs/clickhouse.md");
const DATABASE: &str = "tapeline_ten_million";
const ROWS: u64 = 10_000_000;
const INSERTS: u64 = 20;
const LIMIT: Duration = Duration::from_secs(1);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the columns of all tables are made of; `n` is the row's number.
const COMMON: &str = "
    number AS n,
    toInt32(n % 4) AS kafka_partition,
    toInt64(intDiv(n, 4)) AS record,
    kafka_partition * 17592186044416 + record AS id,
    intHash32(n) AS chance,
    -- Half of all flow is in the first eight of fifty instruments, as in a market.
    if(chance % 2 = 0, chance % 8, intHash32(n + 1) % 50) AS book,
    if(book = 0, 'AAPL-USD', concat('S', toString(book), '-USD')) AS instrument,
    if(chance % 5000 = 0, 'ann', if(chance % 5000 = 1, 'cat', concat('account-', toString(chance % 5000)))) AS trader,
    if(intHash32(n + 2) % 5000 = 0, 'bob', concat('account-', toString(intHash32(n + 2) % 5000))) AS other_account,
    concat('c', toString(n)) AS client_order_id,
    toDateTime64('2026-01-02 09:30:00', 3, 'UTC') + toIntervalMillisecond(n + intDiv(n, 12)) AS commanded_at,
    commanded_at + toIntervalMillisecond(3 + chance % 20) AS validated_at,
    validated_at + toIntervalMillisecond(3 + intHash32(n + 3) % 30) AS executed_at,
    executed_at + toIntervalMillisecond(3 + intHash32(n + 4) % if(chance % 100 = 0, 2000, 50)) AS settled_at,
    toDecimal64(100 + intHash32(n + 5) % 10000 / 100, 8) AS price,
    toDecimal64(1 + chance % 100, 8) AS quantity,
    toDecimal64((100 + intHash32(n + 5) % 10000 / 100) * (1 + chance % 100), 8) AS notional";

/// Each table with its columns, `name: expression` or the name of one of the above. All begin with the position.
const TABLES: [(&str, &[&str]); 6] = [
    (
        "commands_raw",
        &[
            "command_id: id",
            "commanded_at",
            "account: trader",
            "client_order_id",
            "kind: ['PLACE', 'PLACE', 'PLACE', 'CANCEL', 'AMEND'][1 + chance % 5]",
            "instrument",
            "side: 'BUY'",
            "order_type: 'LIMIT'",
            "time_in_force: 'GTC'",
            "quantity",
            "price",
        ],
    ),
    (
        "verdicts_raw",
        &[
            "topic: if(chance % 10 = 0, 'orders.rejected', 'orders.validated')",
            "accepted: chance % 10 != 0",
            "command_id: id",
            "commanded_at",
            "decided_at: validated_at",
            "account: trader",
            "client_order_id",
            "kind: 'PLACE'",
            "instrument",
            "reason: if(accepted, '', concat('REASON_', toString(intHash32(n + 6) % 24)))",
            "text: if(accepted, '', 'A sentence that says what was wrong with it.')",
            "reserved_asset: if(accepted, 'USD', '')",
            "reserved_amount: if(accepted, notional, toDecimal64(0, 8))",
        ],
    ),
    (
        "executions_raw",
        &[
            "execution_id: id",
            // Two of a hundred are amends, of the order that was accepted 49 events before.
            "kind: if(record % 50 = 49, 'AMENDED', ['ACCEPTED', 'QUOTED', 'ACCEPTED', 'CANCELLED', 'TRADED', 'QUOTED', 'CANCELLED', 'ACCEPTED', 'QUOTED', 'ACCEPTED'][1 + record % 10])",
            "command_id: id",
            "commanded_at",
            "validated_at",
            "executed_at",
            "instrument",
            "account: trader",
            "client_order_id",
            "order_id: if(kind = 'AMENDED', id - 49, id)",
            "order_price: price",
            "order_quantity: quantity",
            "order_leaves: quantity",
            "order_status: 'OPEN'",
        ],
    ),
    (
        "trades_raw",
        &[
            "trade_id: id",
            "traded_at: validated_at",
            "commanded_at",
            "executed_at",
            "instrument",
            "base_asset: 'S'",
            "quote_asset: 'USD'",
            "price",
            "quantity",
            "notional",
            "command_id: id",
            "taker_side: 'BUY'",
            "taker_order_id: id",
            "taker_account: trader",
            "taker_client_order_id: client_order_id",
            "taker_filled: if(chance % 3 = 0, quantity + 1, quantity)",
            "taker_status: 'FILLED'",
            "maker_order_id: id - 5",
            "maker_account: other_account",
            "maker_client_order_id: concat('m', toString(n))",
            "maker_filled: quantity",
            "maker_status: 'PARTLY_FILLED'",
        ],
    ),
    (
        "settlements_raw",
        &[
            "kind: if(chance % 10 = 0, 'CANCELLED', 'TRADE')",
            "execution_id: id",
            "command_id: id",
            "account: trader",
            "instrument",
            "order_id: id",
            "trade_id: intDiv(id, 2)",
            "side: 'BUY'",
            "liquidity: if(n % 3 = 0, 'TAKER', 'MAKER')",
            "price",
            "quantity",
            "notional",
            "fee: toDecimal64(notional / 5000, 8)",
            "postings: 5",
            "commanded_at",
            "validated_at",
            "executed_at",
            "settled_at",
        ],
    ),
    (
        "postings_raw",
        &[
            // Five lines a record: the partition and offset of the record, not of the line.
            "line: record % 5",
            "account: multiIf(line = 3, '@clearing', line = 4, '@fees', trader)",
            "asset: if(line % 2 = 0, 'USD', concat('S', toString(book)))",
            "bucket: if(line = 0, 'RESERVED', 'AVAILABLE')",
            "amount: if(line % 2 = 0, 1, -1) * quantity",
            "kind: 'TRADE'",
            "execution_id: id",
            "command_id: id",
            "instrument",
            "order_id: id",
            "trade_id: id",
            "side: 'BUY'",
            "liquidity: 'TAKER'",
            "settled_at",
        ],
    ),
];

/// The statement that makes rows `from..from + count` of a table.
fn insert(table: &str, columns: &[&str], from: u64, count: u64) -> String {
    let position = [
        "kafka_partition",
        if table == "postings_raw" { "kafka_offset: intDiv(record, 5)" } else { "kafka_offset: record" },
    ];
    let columns: Vec<&str> = position.iter().chain(columns).copied().collect();
    let names: Vec<&str> =
        columns.iter().map(|column| column.split_once(": ").map_or(*column, |(name, _)| name)).collect();
    let expression = |column: &&str| match column.split_once(": ") {
        Some((name, expression)) => format!("{expression} AS {name}"),
        None => (*column).to_owned(),
    };
    let expressions: Vec<String> = columns.iter().map(expression).collect();
    format!(
        "INSERT INTO {table} ({}) WITH {COMMON} SELECT {} FROM numbers({from}, {count}) SETTINGS async_insert = 0",
        names.join(", "),
        expressions.join(", ")
    )
}

/// Each heading `###` with the sql block under it.
fn queries() -> Vec<(&'static str, &'static str)> {
    let section = |text: &'static str| {
        let (_, rest) = text.split_once("```sql\n")?;
        Some((text.lines().next()?, rest.split_once("```")?.0))
    };
    DOCUMENT.split("\n### ").skip(1).filter_map(section).collect()
}

async fn fill(client: &Client) -> Result<()> {
    let per_insert = ROWS / INSERTS;
    for (table, columns) in TABLES {
        let started_at = Instant::now();
        for at in 0..INSERTS {
            client.query_raw(&insert(table, columns, at * per_insert, per_insert)).execute().await?;
        }
        println!("{table}: {ROWS} rows in {:.1?}", started_at.elapsed());
    }
    let offsets = "INSERT INTO view_offsets_raw \
        SELECT arrayJoin(['orders', 'orders.validated', 'orders.rejected', 'trades.executed', 'trades.settled']), \
        number, 1000000000 FROM numbers(4) SETTINGS async_insert = 0";
    Ok(client.query_raw(offsets).execute().await?)
}

/// The median of five runs, results sent and thrown away.
async fn measure(client: &Client, sql: &str) -> Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..5 {
        let started_at = Instant::now();
        client.query_raw(sql).fetch_bytes("TabSeparated")?.collect().await?;
        took.push(started_at.elapsed());
    }
    took.sort();
    Ok(took[2])
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let server = std::env::var("TAPELINE_CLICKHOUSE_URL").unwrap_or_else(|_| "http://127.0.0.1:18123".into());
    let outside = Client::default().with_url(&server);
    let drop_it = format!("DROP DATABASE IF EXISTS {DATABASE} SYNC");
    outside.query_raw(&drop_it).execute().await?;
    let url = format!("{}/?database={DATABASE}", server.trim_end_matches('/'));
    tokio::task::spawn_blocking(move || tapeline_clickhouse::apply(&url)).await??;
    let client = outside.clone().with_database(DATABASE);
    fill(&client).await?;
    let mut slow = 0;
    for (title, sql) in queries() {
        let took = measure(&client, sql).await?;
        slow += u32::from(took >= LIMIT);
        println!("{:>5} ms  {title}{}", took.as_millis(), if took >= LIMIT { "  TOO SLOW" } else { "" });
    }
    outside.query_raw(&drop_it).execute().await?;
    Ok(if slow == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
