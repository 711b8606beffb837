//! When a view shows a settlement: as soon as the view states an offset beyond it, for rows and stated offsets belong
//! together (invariant 6). The view is asked again and again, as a client would do who waits for a row.

use crate::latency::{DueTimes, Latencies, Seen};
use anyhow::{Result, bail, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tapeline_kafka::app::App;
use tapeline_schemas::topic;
use tapeline_timescale::Session;

/// Pauses between two questions. They add to what is measured; ClickHouse's answers cost more.
const ASK_TIMESCALE_EVERY: Duration = Duration::from_millis(10);
const ASK_CLICKHOUSE_EVERY: Duration = Duration::from_millis(40);
/// How long the last rows may take to be seen after the pipeline has come to rest.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// Partition and offset up to which the view has all settlements.
type Stated = Vec<(i32, i64)>;

/// Watches a view on a thread of its own.
pub(super) struct ViewWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Latencies>>,
}

impl ViewWatch {
    /// Waits for the rows of what `seen` is told.
    pub(super) fn start(app: &App, view: &str, due: Arc<DueTimes>, seen: Arc<Seen>) -> Result<Self> {
        let (mut ask, every): (Box<dyn FnMut() -> Result<Stated> + Send>, _) = match view {
            tapeline_timescale::NAME => {
                let url = app.addresses.timescale_url.clone();
                let mut session = None;
                (Box::new(move || timescale(&mut session, &url)), ASK_TIMESCALE_EVERY)
            }
            tapeline_clickhouse::NAME => {
                let session = tapeline_clickhouse::Session::open(&app.addresses.clickhouse_url)?;
                (Box::new(move || clickhouse(&session)), ASK_CLICKHOUSE_EVERY)
            }
            other => bail!("there is no view {other}"),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let shall_end = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut latencies = Latencies::default();
            let mut ends_by = None;
            loop {
                let stated = ask()?;
                let now = due.now();
                for (partition, next_offset) in stated {
                    for due in seen.take_below(partition, next_offset)? {
                        latencies.add(due, now.saturating_sub(due))?;
                    }
                }
                if shall_end.load(Ordering::Relaxed) {
                    if seen.is_empty()? {
                        return Ok(latencies);
                    }
                    let deadline: &mut Instant = ends_by.get_or_insert_with(|| Instant::now() + END_PATIENCE);
                    ensure!(Instant::now() < *deadline, "a view lacked settlements after {END_PATIENCE:?}");
                }
                std::thread::sleep(every);
            }
        });
        Ok(Self { stop, thread })
    }

    /// Waits until the view has shown everything; end the watch over the topic first.
    pub(super) fn end(self) -> Result<Latencies> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the watch over a view panicked"))?
    }
}

fn timescale(session: &mut Option<Session>, url: &str) -> Result<Stated> {
    let session = match session {
        Some(session) => session,
        None => session.insert(Session::open(url)?),
    };
    let sql = format!(
        "SELECT \"partition\"::text, next_offset::text FROM public.view_offsets WHERE topic = '{}'",
        topic::SETTLED
    );
    session.query(&sql)?.into_iter().map(|row| stated(row.into_iter().flatten().collect())).collect()
}

fn clickhouse(session: &tapeline_clickhouse::Session) -> Result<Stated> {
    let sql = format!("SELECT kafka_partition, next_offset FROM view_offsets WHERE topic = '{}'", topic::SETTLED);
    session.query(&sql)?.into_iter().map(stated).collect()
}

fn stated(row: Vec<String>) -> Result<(i32, i64)> {
    let [partition, next_offset] = row.as_slice() else { bail!("view_offsets: {row:?}") };
    Ok((partition.parse()?, next_offset.parse()?))
}
