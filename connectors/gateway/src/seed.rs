//! Gives the feed what the view knows of the past: the running candles and the last 24 hours of each instrument, and in which
//! books nobody has ever ordered.
//!
//! The feed reads trades from a little before its start. What came earlier is in TimescaleDB, with the offsets up to which
//! it holds; the feed takes it over where its own trades begin at or before these.

use crate::feed::candle::{Candle, INTERVALS};
use crate::feed::hub::Hub;
use crate::feed::market::Past;
use crate::problem::Problem;
use crate::reads::views::Views;
use smol_str::SmolStr;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tapeline_schemas::topic;

/// Pause before another try: the view may be away, or behind what the feed reads.
const RETRY: Duration = Duration::from_secs(2);
/// Tries, after which candles and tickers begin with what the feed has read by itself.
const TRIES: u32 = 30;
/// Minutes of a day.
const MINUTE: &str = "1m";

/// The newest candle of each instrument and interval, then the minutes of the last 24 hours; of each interval the newest comes
/// last. A book that has quotes has a row in `best_quotes`, so that the candles need not be gone through for the instruments.
const CANDLES: &str = r#"
    WITH wanted AS (
        SELECT c.* FROM best_quotes q
        CROSS JOIN unnest(ARRAY['1s', '1m', '5m', '1h', '1d']) AS of("interval")
        CROSS JOIN LATERAL (
            SELECT * FROM candles n
            WHERE n.venue = q.venue AND n.instrument = q.instrument AND n."interval" = of."interval"
            ORDER BY bucket DESC LIMIT 1
        ) c
        WHERE q.venue = 'tapeline'
        UNION
        SELECT * FROM candles
        WHERE venue = 'tapeline' AND "interval" = '1m' AND bucket > now() - INTERVAL '24 hours'
    )
    SELECT instrument, "interval", (extract(epoch FROM bucket) * 1000)::bigint, (open * 100000000)::bigint,
           (high * 100000000)::bigint, (low * 100000000)::bigint, (close * 100000000)::bigint,
           trunc(volume * 100000000)::text, trades, (extract(epoch FROM first_at) * 1000)::bigint, first_seq,
           (extract(epoch FROM last_at) * 1000)::bigint, last_seq
    FROM wanted
    ORDER BY instrument, "interval", bucket"#;

/// Books that have ever shown a quote.
const QUOTED: &str = "SELECT instrument FROM best_quotes WHERE venue = 'tapeline'";

/// A row of [`CANDLES`]; the volume as a text, for it may need 128 bits.
type Row = (String, String, i64, i64, i64, i64, i64, String, i64, i64, i64, i64, i64);

/// Seeds all instruments of the view; those that appear later begin with their first trade.
pub async fn run(hub: Arc<Hub>, views: Views, partitions: i32) {
    for _ in 0..TRIES {
        tokio::time::sleep(RETRY).await;
        if !hub.metrics.not_ready().is_empty() {
            continue;
        }
        match seed(&hub, &views, partitions).await {
            Ok((seeded, 0)) => {
                tracing::info!(seeded, "candles and tickers go on from the view");
                return;
            }
            Ok((seeded, left)) => tracing::info!(seeded, left, "the view is behind the feed: trying again"),
            Err(problem) => tracing::warn!(why = problem.detail, "the past can't be read: trying again"),
        }
    }
    tracing::warn!("candles and tickers begin with what was traded since the start");
}

/// How many instruments were seeded, and how many could not be.
async fn seed(hub: &Hub, views: &Views, partitions: i32) -> Result<(usize, usize), Problem> {
    let (offsets, rows, quoted) = views
        .at_once(async |connection| {
            let offsets: Vec<(i32, i64)> =
                sqlx::query_as("SELECT \"partition\", next_offset FROM view_offsets WHERE topic = $1")
                    .bind(topic::EXECUTED)
                    .fetch_all(&mut *connection)
                    .await?;
            let rows: Vec<Row> = sqlx::query_as(CANDLES).fetch_all(&mut *connection).await?;
            let quoted: Vec<String> = sqlx::query_scalar(QUOTED).fetch_all(connection).await?;
            Ok((offsets, rows, quoted))
        })
        .await?;
    let offsets: HashMap<i32, i64> = offsets.into_iter().collect();
    let (mut seeded, mut left) = (0, 0);
    for (symbol, mut past) in pasts(rows)? {
        let partition = topic::partition_of(symbol.as_bytes(), partitions);
        past.next_offset = offsets.get(&partition).copied().unwrap_or(0);
        if hub.seed(&symbol, partition, past) { seeded += 1 } else { left += 1 }
    }
    // The topic tells nothing of them. (Should the view be far behind, the next change shows it, and a snapshot mends it.)
    let quoted: HashSet<SmolStr> = quoted.into_iter().map(SmolStr::from).collect();
    let listed = hub.instruments().into_iter().map(|instrument| instrument.symbol);
    listed.filter(|symbol| !quoted.contains(symbol)).for_each(|symbol| hub.begin_book(&symbol));
    hub.end_batch();
    Ok((seeded, left))
}

/// Rows as what the feed takes, without offsets.
fn pasts(rows: Vec<Row>) -> Result<HashMap<SmolStr, Past>, Problem> {
    let mut pasts: HashMap<SmolStr, Past> = HashMap::new();
    for (instrument, interval, bucket_ms, open, high, low, close, volume, trades, first_ms, first, last_ms, last) in
        rows
    {
        let empty = || Past { candles: Default::default(), minutes: Vec::new(), next_offset: 0 };
        let past = pasts.entry(instrument.into()).or_insert_with(empty);
        let candle = Candle {
            bucket_ms,
            open,
            high,
            low,
            close,
            volume: volume.parse().map_err(|_| {
                Problem::new(500, "internal", "A bug", format!("the view says that a volume is `{volume}`"))
            })?,
            trades,
            first: (first_ms, first),
            last: (last_ms, last),
        };
        if interval == MINUTE {
            past.minutes.push(candle.clone());
        }
        if let Some(place) = INTERVALS.iter().position(|(name, _)| *name == interval) {
            // The newest comes last.
            past.candles[place] = Some(candle);
        }
    }
    Ok(pasts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(interval: &str, bucket_ms: i64, close: i64) -> Row {
        let text = |text: &str| text.to_owned();
        let (at, id) = (bucket_ms + 5, 7);
        (text("X-USD"), text(interval), bucket_ms, 1, 3, 1, close, text("9"), 2, at, id, at, id)
    }

    #[test]
    fn the_newest_candle_of_each_interval_runs_on_and_minutes_make_the_day() {
        let mut pasts =
            pasts(vec![row("1h", 0, 2), row("1m", 0, 2), row("1m", 60_000, 3)]).expect("volumes are numbers");
        let past = pasts.remove("X-USD").expect("the instrument");
        assert_eq!(past.minutes.iter().map(|minute| minute.close).collect::<Vec<_>>(), [2, 3]);
        let running: Vec<Option<i64>> =
            past.candles.iter().map(|candle| candle.as_ref().map(|of| of.bucket_ms)).collect();
        assert_eq!(running, [None, Some(60_000), None, Some(0), None]);
    }
}
