//! One line that shows how far the stages are, from the process's own metrics.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tapeline_kafka::app::App;

const EVERY: Duration = Duration::from_millis(250);
/// Where no terminal is, a line now and then is enough.
const EVERY_WITHOUT_TERMINAL: Duration = Duration::from_secs(5);

/// A display at work until it is dropped.
pub(super) struct Progress {
    published: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    pub(super) fn start(app: &Arc<App>, total: u64) -> Self {
        let (published, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (app, count, ended) = (Arc::clone(app), Arc::clone(&published), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let terminal = std::io::stdout().is_terminal();
            let every = if terminal { EVERY } else { EVERY_WITHOUT_TERMINAL };
            let mut shown_at = Instant::now();
            while !ended.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
                if shown_at.elapsed() >= every {
                    show(&line(&app, count.load(Ordering::Relaxed), total), terminal);
                    shown_at = Instant::now();
                }
            }
            show(&line(&app, count.load(Ordering::Relaxed), total), terminal);
            if terminal {
                println!();
            }
        });
        Self { published, stop, thread: Some(thread) }
    }

    pub(super) fn published(&self, count: u64) {
        self.published.store(count, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn line(app: &App, published: u64, total: u64) -> String {
    let verdicts = app.metrics.outputs(tapeline_validator::NAME, None);
    let trades = app.metrics.outputs(tapeline_executor::NAME, Some("traded"));
    let settled = app.metrics.outputs(tapeline_settler::NAME, Some("TRADE")) / 2;
    let lag = |component| app.metrics.total_lag(component);
    format!(
        "sent {published}/{total} · verdicts {verdicts} · trades {trades} · settled {settled} · lag: timescale {}, \
         clickhouse {}",
        lag(tapeline_timescale::NAME),
        lag(tapeline_clickhouse::NAME)
    )
}

fn show(line: &str, terminal: bool) {
    if terminal {
        print!("\r\x1b[2K{line}");
        let _ = std::io::stdout().flush();
    } else {
        println!("{line}");
    }
}
