//! One component as a process of its own: the real binary, its HTTP side, and the ways in which it ends.
//!
//! What is absent: which components there are, and what they do to the topics.

use crate::parts::{Stack, executable, wait_until};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// How long a process may take to open its HTTP side.
const START_PATIENCE: Duration = Duration::from_secs(20);
const KILL: i32 = 9;

/// A running component; dropping it kills it.
pub struct Component {
    /// Its name; also the end of its instance name.
    pub name: String,
    child: Child,
    log: PathBuf,
    http: SocketAddr,
}

impl Component {
    /// Starts the binary `name` (for `clock`: `tapeline run clock`) and waits until it answers over HTTP.
    ///
    /// # Errors
    /// If it does not; the error has its log.
    pub fn start(stack: &Stack, name: &str) -> Result<Self> {
        let mut command = match name {
            "clock" => stack.tapeline_command(&["run", "clock"])?,
            _ => stack.command(executable(name)?),
        };
        let log = stack.log(name);
        let mut file = File::options().create(true).append(true).open(&log)?;
        writeln!(file, "---- {name} begins a life ----")?;
        let began_at = file.metadata()?.len() as usize;
        command.env("TAPELINE_INSTANCE", format!("e2e-{name}")).env("TAPELINE_HTTP", "127.0.0.1:0");
        let child = command.stdout(file.try_clone()?).stderr(file).spawn()?;
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut component = Self { name: name.to_owned(), child, log, http: any };
        wait_until(&format!("{name} serves HTTP"), START_PATIENCE, || {
            if let Some(status) = component.child.try_wait()? {
                bail!("{name} ended with {status} at its start:\n{}", component.life(began_at)?);
            }
            let life = component.life(began_at)?;
            let address =
                life.lines().find_map(|line| line.split_once("http=")?.1.split_whitespace().next()?.parse().ok());
            address.inspect(|address| component.http = *address);
            Ok(address.is_some())
        })?;
        Ok(component)
    }

    /// What it has logged since `began_at`.
    fn life(&self, began_at: usize) -> Result<String> {
        let bytes = fs::read(&self.log)?;
        Ok(String::from_utf8_lossy(bytes.get(began_at..).unwrap_or_default()).into_owned())
    }

    /// Status code and body of a GET.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let client = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let answer = client.get(format!("http://{}{path}", self.http)).send()?;
        Ok((answer.status().as_u16(), answer.text()?))
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

    /// Ends it by SIGKILL: no chance to commit, abort or leave its group.
    ///
    /// # Errors
    /// If it had ended before.
    pub fn kill9(mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} was to be killed and had ended with {status}", self.name);
        }
        self.child.kill()?;
        let status = self.child.wait()?;
        ensure!(status.signal() == Some(KILL), "{} was killed and ended with {status}", self.name);
        Ok(())
    }

    /// Ends it by SIGTERM and waits for its own end.
    ///
    /// # Errors
    /// If it does not end within `patience`, or with another code than 0.
    pub fn terminate(mut self, patience: Duration) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} was to be ended and had ended with {status}", self.name);
        }
        let sent = std::process::Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        ensure!(sent.context("the command `kill`")?.success(), "{} could not be sent SIGTERM", self.name);
        let mut ended = None;
        wait_until(&format!("{} ends on SIGTERM", self.name), patience, || {
            ended = self.child.try_wait()?;
            Ok(ended.is_some())
        })?;
        match ended {
            Some(status) if status.success() => Ok(()),
            other => bail!("{} ended on SIGTERM with {other:?}, not with code 0", self.name),
        }
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        // Harmless if it has ended; else it must not outlive its test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
