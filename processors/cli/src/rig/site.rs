//! A stack of its own in a folder of its own, whose data is deleted, and the binaries that run on it.

use crate::component::{Signal, signal};
use crate::wait::wait_until;
use crate::{apply, parts};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tapeline_kafka::admin::Admin;
use tapeline_kafka::app::{App, load_topology_at};
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::topology::{EMBEDDED, TOPOLOGY_VARIABLE, Topology};

/// Variables that would lead the run to servers that are not its own.
const FOREIGN_ADDRESSES: [&str; 4] =
    ["TAPELINE_KAFKA", "TAPELINE_REGISTRY_URL", "TAPELINE_TIMESCALE_URL", "TAPELINE_CLICKHOUSE_URL"];

/// Brokers of the local parts; a stack of one has the first only.
pub(crate) const BROKERS: [&str; 3] = ["kafka", "kafka2", "kafka3"];
pub(crate) const REGISTRY: &str = "registry";
const OTHER_PARTS: [&str; 3] = [REGISTRY, "timescale", "clickhouse"];

/// Names of all servers of a stack with so many brokers.
pub(crate) fn servers(brokers: u16) -> impl Iterator<Item = &'static str> {
    BROKERS[..usize::from(brokers)].iter().chain(&OTHER_PARTS).copied()
}

/// How often a server's start is tried.
const START_ATTEMPTS: u32 = 5;

/// How long a killed server may take to be gone: the kernel has its memory to collect.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// A stack that may be wiped, and the binaries that run on it.
pub(crate) struct Site {
    /// Topology, addresses and registry, as the components see them.
    pub(crate) app: Arc<App>,
    /// Folder of the components' binaries.
    pub(crate) executables: PathBuf,
    home: PathBuf,
    logs: PathBuf,
    brokers: u16,
    /// The topology file of the components, if it is not theirs by default.
    topology: Option<PathBuf>,
}

impl Site {
    /// A stack in `home`, with the ports of this environment.
    pub(crate) fn new(home: &Path, executables: &Path, brokers: u16) -> Result<Self> {
        for name in FOREIGN_ADDRESSES {
            ensure!(
                std::env::var_os(name).is_none_or(|value| value.is_empty()),
                "{name} is set: this command kills servers and deletes their data, so it takes no foreign ones: unset it"
            );
        }
        ensure!(matches!(brokers, 1 | 3), "--brokers is {brokers}: set it to 1 or 3");
        let port_offset = match std::env::var("TAPELINE_PORT_OFFSET") {
            Ok(text) if !text.is_empty() => {
                text.parse().with_context(|| format!("TAPELINE_PORT_OFFSET is `{text}`"))?
            }
            _ => 0,
        };
        let logs = emptied(home.join("logs"))?;
        let app = App::at(Addresses::local(port_offset, brokers))?;
        let executables = executables.to_path_buf();
        Ok(Self { app, executables, home: home.to_path_buf(), logs, brokers, topology: None })
    }

    /// From the next [`Self::fresh`] on, topics of several partitions have `partitions` of them.
    pub(crate) fn partition(&mut self, partitions: i32) -> Result<()> {
        let text = match Topology::default_path() {
            Some(path) => fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?,
            None => EMBEDDED.to_owned(),
        };
        let path = self.home.join("topology.toml");
        fs::write(&path, partitioned(&text, partitions)).with_context(|| format!("writing {}", path.display()))?;
        self.app = App::with(load_topology_at(&path)?, self.app.addresses.clone())?;
        self.topology = Some(path);
        Ok(())
    }

    /// The file for the log `name`.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Gives a command this stack's environment.
    pub(crate) fn environment(&self, command: &mut Command) {
        command.env(parts::HOME_VARIABLE, &self.home).env("TAPELINE_BROKERS", self.brokers.to_string());
        if let Some(topology) = &self.topology {
            command.env(TOPOLOGY_VARIABLE, topology);
        }
        if std::env::var_os("TAPELINE_CACHE").is_none_or(|cache| cache.is_empty()) {
            // The downloads of the stack beside this one.
            command.env("TAPELINE_CACHE", self.home.with_file_name("cache"));
        }
        command.stdin(Stdio::null());
    }

    fn parts_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = parts::command(&self.home, arguments)?;
        self.environment(&mut command);
        let log = File::options().create(true).append(true).open(self.log("parts"))?;
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// Runs the parts' script to its end.
    pub(crate) fn parts(&self, arguments: &[&str]) -> Result<()> {
        run(&mut self.parts_command(arguments)?, arguments, &self.log("parts"))
    }

    /// Runs the parts' script several times, one after the other, on a thread of its own.
    pub(crate) fn parts_in_background(&self, all: Vec<Vec<&'static str>>) -> Result<JoinHandle<Result<()>>> {
        let log = self.log("parts");
        let commands: Result<Vec<_>> =
            all.into_iter().map(|arguments| Ok((self.parts_command(&arguments)?, arguments))).collect();
        let commands = commands?;
        Ok(std::thread::spawn(move || {
            commands.into_iter().try_for_each(|(mut command, arguments)| {
                // What can't start while another server is away is started again, as a supervisor would.
                let mut attempt = run(&mut command, &arguments, &log);
                for _ in 1..START_ATTEMPTS {
                    attempt = attempt.or_else(|_| run(&mut command, &arguments, &log));
                }
                attempt
            })
        }))
    }

    /// Empty servers with the topology applied.
    pub(crate) fn fresh(&self) -> Result<()> {
        self.parts(&["reset", "--yes"])?;
        self.parts(&["up"])?;
        self.apply()
    }

    /// All topics empty and no group's offsets kept, while the servers stay up; no component may run.
    pub(crate) fn empty(&self) -> Result<()> {
        let kafka = &self.app.addresses.kafka;
        let tool = |class: &str, arguments: &[&str]| {
            let class = format!("org.apache.kafka.tools.{class}");
            self.parts(&[&["kafka-tool", &class, "--bootstrap-server", kafka, "--delete"], arguments].concat())
        };
        tool("consumer.group.ConsumerGroupCommand", &["--all-groups"])?;
        // The registry keeps its schemas in a topic of its own.
        tool("TopicCommand", &["--topic", r"(?!__|kafkasql).*"])?;
        self.apply()
    }

    /// An empty folder for a run's own use.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf> {
        emptied(self.home.join(name))
    }

    /// Both databases empty, with their tables.
    pub(crate) fn wipe_views(&self) -> Result<()> {
        self.parts(&["reset", "--yes", "timescale", "clickhouse"])?;
        self.parts(&["up"])?;
        self.apply()
    }

    fn apply(&self) -> Result<()> {
        let plan = apply::plan(&self.app.topology, &self.app.addresses)?;
        apply::carry_out(&self.app.topology, &self.app.addresses, &plan, |_| {})
    }

    /// Name and process id of every server.
    pub(crate) fn servers(&self) -> Result<Vec<(String, u32)>> {
        servers(self.brokers).map(|part| Ok((part.to_owned(), self.process_of(part)?))).collect()
    }

    /// The process of a part.
    pub(crate) fn process_of(&self, part: &str) -> Result<u32> {
        noted_process_id(&self.home.join(part))
    }

    /// Kills a server and waits until its process is gone: before, `up` would take it for one that runs.
    pub(crate) fn kill(&self, part: &str) -> Result<()> {
        let process_id = self.process_of(part)?;
        signal(process_id, Signal::KILL)?;
        // One that has ended and that nobody has collected yet has an empty command line.
        wait_until(&format!("{part} is gone after SIGKILL"), END_PATIENCE, || {
            Ok(fs::read(format!("/proc/{process_id}/cmdline")).map_or(true, |line| line.is_empty()))
        })
    }

    /// The broker that leads the most partitions.
    pub(crate) fn leading_broker(&self) -> Result<&'static str> {
        let leaders = Admin::connect(&self.app.addresses.kafka)?.leaders()?;
        let mut counts = [0_u32; BROKERS.len()];
        for leader in leaders.values().flatten() {
            if let Some(count) = broker_index(*leader).and_then(|index| counts.get_mut(index)) {
                *count += 1;
            }
        }
        let most = (0..BROKERS.len()).max_by_key(|index| counts[*index]).unwrap_or_default();
        Ok(BROKERS[most])
    }
}

/// The folder, made, with nothing in it.
fn emptied(folder: PathBuf) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// A topology's text in which topics of several partitions have `partitions` of them.
fn partitioned(text: &str, partitions: i32) -> String {
    let several = |line: &str| line.strip_prefix("partitions = ").is_some_and(|count| count != "1");
    let replaced = |line: &str| if several(line) { format!("partitions = {partitions}") } else { line.to_owned() };
    text.lines().map(|line| replaced(line) + "\n").collect()
}

/// Which of [`BROKERS`] has this node id.
pub(crate) fn broker_index(node_id: i32) -> Option<usize> {
    usize::try_from(node_id - 1).ok().filter(|index| *index < BROKERS.len())
}

/// The process id that the parts' script has noted for a part.
fn noted_process_id(folder: &Path) -> Result<u32> {
    let path = folder.join("pid");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{} holds no process id", path.display()))
}

fn run(command: &mut Command, arguments: &[&str], log: &Path) -> Result<()> {
    let status = command.status().context("bash could not be started, which the parts' scripts need")?;
    if !status.success() {
        bail!("`parts.sh {}` failed ({status}): see {}", arguments.join(" "), log.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_is_partitioned_anew_where_it_has_several() {
        let text = partitioned(EMBEDDED, 2);
        let topology = Topology::parse(&text, "partitioned").map(|topology| (topology.check(), topology));
        let Ok((problems, topology)) = topology else { panic!("{topology:?}") };
        assert_eq!(problems, []);
        let of = |name: &str| topology.topic(name).map(|topic| topic.partitions);
        assert_eq!([of("orders"), of("validator.journal"), of("reference.instruments")], [Some(2), Some(2), Some(1)]);
    }
}
