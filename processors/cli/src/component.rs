//! One component as a process of its own: the real binary, its HTTP side, signals, and the ways in which it ends.
//!
//! What is absent: which components there are, and what they do to the topics.

use crate::wait::wait_until;
use anyhow::{Context, Result, bail, ensure};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

/// How long a process may take to open its HTTP side.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How long a process may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// Lines of a log that an error shows.
const TAIL_LINES: usize = 30;

/// Sends a signal to a process.
///
/// # Errors
/// If there is no such process.
pub fn signal(process_id: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(process_id).ok().and_then(Pid::from_raw);
    let pid = pid.with_context(|| format!("{process_id} is no process id"))?;
    kill_process(pid, signal).with_context(|| format!("sending {signal:?} to process {process_id}"))
}

/// A running component; dropping it kills it.
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its `TAPELINE_INSTANCE`.
    pub instance: String,
    child: Child,
    log: PathBuf,
    began_at: usize,
    http: Option<SocketAddr>,
}

impl Component {
    /// Starts `command` under the instance name `instance`, with its output at the end of `log`; waits for nothing.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn spawn(mut command: Command, name: &str, instance: &str, log: PathBuf) -> Result<Self> {
        let mut file = File::options().create(true).append(true).open(&log)?;
        writeln!(file, "---- {instance} begins a life ----")?;
        let began_at = file.metadata()?.len() as usize;
        // Colours would stand between a log's key and its value.
        command.env("TAPELINE_INSTANCE", instance).env("TAPELINE_HTTP", "127.0.0.1:0").env("NO_COLOR", "1");
        let child =
            command.stdout(file.try_clone()?).stderr(file).spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), instance: instance.to_owned(), child, log, began_at, http: None })
    }

    /// Waits until it answers over HTTP.
    ///
    /// # Errors
    /// If it does not; the error has its log.
    pub fn wait_http(&mut self) -> Result<()> {
        let address = |line: &str| line.split_once("http=")?.1.split_whitespace().next()?.parse().ok();
        self.http = Some(self.wait_line("serves HTTP", START_PATIENCE, address)?);
        Ok(())
    }

    /// Waits until it has said `line`.
    ///
    /// # Errors
    /// If it does not within `patience`, or if the process ends.
    pub fn wait_said(&mut self, line: &str, patience: Duration) -> Result<()> {
        self.wait_line(&format!("says `{line}`"), patience, |said| (said == line).then_some(()))
    }

    /// Waits until `find` finds something in a line of what it has logged in this life.
    fn wait_line<T>(&mut self, what: &str, patience: Duration, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let mut found = None;
        wait_until(&format!("{} {what}", self.name), patience, || {
            if let Some(status) = self.ended()? {
                bail!("{} ended with {status} at its start:\n{}", self.name, self.log_tail());
            }
            found = self.life()?.lines().find_map(&find);
            Ok(found.is_some())
        })?;
        found.context("it was found")
    }

    /// What it has logged in this life.
    fn life(&self) -> Result<String> {
        let bytes = fs::read(&self.log)?;
        Ok(String::from_utf8_lossy(bytes.get(self.began_at..).unwrap_or_default()).into_owned())
    }

    /// The end of what it has logged in this life.
    pub fn log_tail(&self) -> String {
        let life = self.life().unwrap_or_default();
        let lines: Vec<&str> = life.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Status code and body of a GET.
    ///
    /// # Errors
    /// If it does not answer, or [`Self::wait_http`] has not succeeded.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let http = self.http.with_context(|| format!("the HTTP address of {} is not known", self.name))?;
        let answer = client()?.get(format!("http://{http}{path}")).send()?;
        Ok((answer.status().as_u16(), answer.text()?))
    }

    /// Where it serves HTTP, once [`Self::wait_http`] has succeeded.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `/readyz` says 200.
    ///
    /// # Errors
    /// If it does not within `patience`, or if the process ends.
    pub fn wait_ready(&mut self, patience: Duration) -> Result<()> {
        let name = self.name.clone();
        wait_until(&format!("{name} is ready"), patience, || {
            if let Some(status) = self.ended()? {
                bail!("{name} ended with {status} before it was ready");
            }
            Ok(self.get("/readyz")?.0 == 200)
        })
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it had ended before.
    pub fn signal(&mut self, sent: Signal) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} was to be sent {sent:?} and had ended with {status}", self.name);
        }
        signal(self.child.id(), sent)
    }

    /// Ends it by SIGKILL: no chance to commit, abort or leave its group.
    ///
    /// # Errors
    /// If it had ended before.
    pub fn kill9(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        let status = self.child.wait()?;
        ensure!(status.signal() == Some(Signal::KILL.as_raw()), "{} was killed and ended with {status}", self.name);
        Ok(())
    }

    /// Ends it by SIGTERM and waits for its own end.
    ///
    /// # Errors
    /// If it does not end within `patience`, or with another code than 0.
    pub fn terminate(mut self, patience: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        match self.wait_end(patience)? {
            status if status.success() => Ok(()),
            other => bail!("{} ended on SIGTERM with {other}, not with code 0", self.name),
        }
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// If it does not within `patience`.
    pub fn wait_end(&mut self, patience: Duration) -> Result<ExitStatus> {
        let mut ended = None;
        wait_until(&format!("{} ends", self.instance), patience, || {
            ended = self.child.try_wait()?;
            Ok(ended.is_some())
        })?;
        ended.context("it has ended")
    }

    /// What it and its former lives have logged.
    ///
    /// # Errors
    /// If the log can't be read.
    pub fn logged(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }
}

/// One for all: to make a client reads the system's certificates, some milliseconds of work.
fn client() -> Result<&'static reqwest::blocking::Client> {
    static CLIENT: OnceLock<reqwest::blocking::Client> = OnceLock::new();
    match CLIENT.get() {
        Some(client) => Ok(client),
        None => {
            let client = reqwest::blocking::Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build()?;
            Ok(CLIENT.get_or_init(|| client))
        }
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        // Harmless if it has ended; else it must not outlive its owner.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A component's command: its binary in `folder`; for the clock `tapeline run clock`.
///
/// # Errors
/// If it is not built.
pub fn command(folder: &Path, name: &str) -> Result<Command> {
    let (binary, arguments): (_, &[&str]) =
        if name == crate::clock::NAME { ("tapeline", &["run", crate::clock::NAME]) } else { (name, &[]) };
    let path = folder.join(binary);
    ensure!(path.is_file(), "{} is not built: `cargo build --release --workspace` makes all", path.display());
    let mut command = Command::new(path);
    command.args(arguments);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tapeline_kafka::app::stop_on_signals;

    /// Without the order it would end this process: the thread that waits for signals need not have run yet.
    #[test]
    fn a_signal_right_after_the_start_stops_a_process_and_does_not_kill_it() -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        stop_on_signals(&stop)?;
        signal(std::process::id(), Signal::TERM)?;
        wait_until("the stop flag is set", ANSWER_PATIENCE, || Ok(stop.load(Ordering::Relaxed)))
    }
}
