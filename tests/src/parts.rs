//! Real parts for the end-to-end tests: a stack of its own for each test, empty at its beginning.
//!
//! `tests/run` sets the environment: `TAPELINE_TEST_HOME`, the folder of a stack that may be wiped, and a port offset.
//! Where it is not set, a test says so and returns. Topic names are fixed by the topology, so tests take turns.
//! What is absent: the components ([`crate::component`]) and what is expected of them.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tapeline_cli::verify::{Audit, audit};
use tapeline_cli::{component, drain};
use tapeline_kafka::app::App;

pub use tapeline_cli::wait::wait_until;

/// The folder of the test stack; whoever sets it agrees that its data is deleted.
pub const HOME_VARIABLE: &str = "TAPELINE_TEST_HOME";
/// Where the market data is, if not beside the repository in `../shared/data`.
pub const DATA_VARIABLE: &str = "TAPELINE_DATA";

/// Variables that would lead a test to servers that are not its own.
const FOREIGN_ADDRESSES: [&str; 4] =
    ["TAPELINE_KAFKA", "TAPELINE_REGISTRY_URL", "TAPELINE_TIMESCALE_URL", "TAPELINE_CLICKHOUSE_URL"];
/// How many lines of each log a failing test shows.
const TAIL_LINES: usize = 40;

/// Held by the test whose turn it is.
static TURN: Mutex<()> = Mutex::new(());

/// Running parts with the topology applied and no data.
pub struct Stack {
    /// Topology, addresses and registry, as the components see them.
    pub app: Arc<App>,
    home: PathBuf,
    logs: PathBuf,
}

/// Runs `work` on a fresh stack; if it fails, prints the ends of all logs. Without a stack it says so and does nothing.
///
/// # Errors
/// What `work` says, or that the parts could not be started.
pub fn with_stack(test: &str, work: impl FnOnce(&Stack) -> Result<()>) -> Result<()> {
    in_turn(test, |stack| {
        stack.start_anew()?;
        work(stack)
    })
}

/// As [`with_stack`], for work that brings up stacks of its own in folders below this one's: this one is down meanwhile, and
/// is not emptied for it.
///
/// # Errors
/// What `work` says, or that the stack does not stop or start.
pub fn beside_stack(test: &str, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    in_turn(test, |stack| {
        stack.tapeline(&["down"])?;
        let outcome = work(&stack.home);
        stack.tapeline(&["up"])?;
        outcome
    })
}

fn in_turn(test: &str, work: impl FnOnce(&Stack) -> Result<()>) -> Result<()> {
    let Some(home) = std::env::var_os(HOME_VARIABLE).filter(|home| !home.is_empty()) else {
        println!("{test} is skipped: it needs real parts, which `tests/run` brings up");
        return Ok(());
    };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let logs = executables()?.parent().context("a target folder")?.join("e2e-logs").join(test);
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    fs::create_dir_all(&logs)?;
    let mut tails = TailsOnFailure { logs: logs.clone(), succeeded: false };
    work(&Stack::at(home.into(), logs)?)?;
    tails.succeeded = true;
    Ok(())
}

/// A file or folder of the market data, or `None`, said in a line, where it is absent.
pub fn market_data(test: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(DATA_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = named.unwrap_or_else(|| repository().join("../shared/data")).join(name);
    if !path.exists() {
        println!("{test} is skipped: there is no {} (set {DATA_VARIABLE} to where the data is)", path.display());
        return None;
    }
    Some(path)
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// The folder of the binaries, which is that of the running test.
///
/// # Errors
/// If the test does not run from a target folder.
pub fn executables() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test is not in a target folder")?;
    Ok(folder.to_path_buf())
}

/// Path of a binary of the workspace.
pub(crate) fn executable(name: &str) -> Result<PathBuf> {
    let path = executables()?.join(name);
    ensure!(path.is_file(), "{} is not built: run tests by `tests/run`, which builds all", path.display());
    Ok(path)
}

impl Stack {
    /// As it is: it may be down, or full.
    fn at(home: PathBuf, logs: PathBuf) -> Result<Self> {
        for name in FOREIGN_ADDRESSES {
            ensure!(
                std::env::var_os(name).is_none(),
                "{name} is set: tests wipe data, so they take no foreign servers"
            );
        }
        ensure!(
            std::env::var("TAPELINE_PORT_OFFSET")
                .is_ok_and(|offset| offset.parse::<u16>().is_ok_and(|ports| ports > 0)),
            "TAPELINE_PORT_OFFSET must keep the test's ports apart from others: run tests by `tests/run`"
        );
        Ok(Self { app: App::from_env()?, home, logs })
    }

    fn start_anew(&self) -> Result<()> {
        let started_at = Instant::now();
        self.tapeline(&["reset", "--yes"])?;
        self.tapeline(&["up"])?;
        self.tapeline(&["apply", "--yes"])?;
        println!("a fresh stack after {:.1} s", started_at.elapsed().as_secs_f64());
        Ok(())
    }

    /// The file for the log `name`.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Where a test may put files of its own.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.logs.join(name)
    }

    /// Every batch of `partitions` that the broker holds, aborted ones and markers included: topic, partition and the line
    /// that Kafka's `DumpLogSegments` prints for it.
    ///
    /// # Errors
    /// If the tool fails.
    pub fn batches<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a (String, i32)>,
    ) -> Result<Vec<(String, i32, String)>> {
        let mut files = Vec::new();
        for (topic, partition) in partitions {
            for entry in fs::read_dir(self.home.join(format!("kafka/data/{topic}-{partition}")))? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "log") {
                    files.push(path.display().to_string());
                }
            }
        }
        let tool = "org.apache.kafka.tools.DumpLogSegments";
        let printed = self.parts(&["kafka-tool", tool, "--files", &files.join(",")])?;
        let (mut batches, mut at) = (Vec::new(), None);
        for line in printed.lines() {
            if let Some(file) = line.strip_prefix("Dumping ") {
                let folder = Path::new(file).parent().and_then(Path::file_name).context("a partition's folder")?;
                let folder = folder.to_string_lossy().into_owned();
                let (topic, partition) = folder.rsplit_once('-').context("TOPIC-PARTITION")?;
                at = Some((topic.to_owned(), partition.parse::<i32>()?));
            } else if line.starts_with("baseOffset:") {
                let (topic, partition) = at.clone().context("a batch of no file")?;
                batches.push((topic, partition, line.to_owned()));
            }
        }
        Ok(batches)
    }

    /// A command with the stack's environment.
    pub fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        // Colours would stand between a log's key and its value.
        command.env("TAPELINE_HOME", &self.home).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs `tapeline` to its end and gives what it printed.
    ///
    /// # Errors
    /// If it fails; the error has its last lines.
    pub fn tapeline(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.tapeline_command(arguments)?;
        self.run_to_end(&mut command, &arguments[..1].join(" "))
    }

    /// `tapeline` with `arguments`, not yet started.
    ///
    /// # Errors
    /// If it is not built.
    pub fn tapeline_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.command(executable("tapeline")?);
        command.args(arguments);
        Ok(command)
    }

    /// A component with the stack's environment, not yet started.
    ///
    /// # Errors
    /// If it is not built.
    pub(crate) fn component_command(&self, name: &str) -> Result<Command> {
        let mut command = component::command(&executables()?, name)?;
        command.env("TAPELINE_HOME", &self.home).stdin(Stdio::null());
        Ok(command)
    }

    /// The folder of the stack's parts.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A component's binary, not yet started.
    ///
    /// # Errors
    /// If it is not built.
    pub fn binary(&self, name: &str) -> Result<Command> {
        Ok(self.command(executable(name)?))
    }

    /// Runs the parts' script, which can start and stop a single part and has the databases' clients.
    ///
    /// # Errors
    /// If it fails; the error has its last lines.
    pub fn parts(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(repository().join("deploy/local/parts.sh"));
        self.run_to_end(command.args(arguments), "parts.sh")
    }

    /// Runs `command` to its end and gives what it printed.
    ///
    /// # Errors
    /// If it fails; the error has its last lines.
    pub fn run_to_end(&self, command: &mut Command, name: &str) -> Result<String> {
        // Into files: a part that `up` starts would hold a pipe open for as long as it lives.
        let (out, log) = (self.scratch(&format!("{name}.out")), self.log(name));
        let (stdout, stderr) = (File::create(&out)?, File::options().create(true).append(true).open(&log)?);
        let status = command.stdout(stdout).stderr(stderr).status().with_context(|| format!("starting {name}"))?;
        let printed = fs::read_to_string(&out)?;
        if !status.success() {
            bail!("{name} ended with {status}\n{}{}", tail(&printed), tail(&fs::read_to_string(&log)?));
        }
        Ok(printed)
    }

    /// Waits until `components` have taken all that their topics hold.
    ///
    /// # Errors
    /// If that is not so after `patience`.
    pub fn drain(&self, components: &[&str], patience: Duration) -> Result<()> {
        drain::wait(&self.app.topology, &self.app.addresses, components, patience)
    }

    /// Audits the whole log and both databases, and shows what was found.
    ///
    /// # Errors
    /// If an invariant is broken.
    pub fn audit(&self) -> Result<Audit> {
        let audit = audit(&self.app)?;
        for finding in &audit.findings {
            println!("{}: {} violations in {}", finding.invariant, finding.count, finding.checked);
            finding.violations.iter().for_each(|violation| println!("  - {violation}"));
        }
        ensure!(audit.findings.len() == 7 && audit.holds(), "an invariant is broken, see above");
        Ok(audit)
    }
}

/// Prints the ends of the logs when a test ends in any other way than success.
struct TailsOnFailure {
    logs: PathBuf,
    succeeded: bool,
}

impl Drop for TailsOnFailure {
    fn drop(&mut self) {
        if self.succeeded {
            return;
        }
        let mut paths: Vec<PathBuf> =
            fs::read_dir(&self.logs).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
            let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
            println!("---- {}, its end ----\n{}", path.display(), tail(&text));
        }
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("{line}\n")).collect()
}
