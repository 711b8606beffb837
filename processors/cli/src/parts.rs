//! `tapeline up`, `down`, `reset` and the parts of `status`: Kafka, registry, TimescaleDB and ClickHouse in a folder of their own.
//!
//! The work is done by the shell scripts in `deploy/local`. They are part of the binary, so that it works from any
//! folder: they are written to `$TAPELINE_HOME/scripts` and run there. Addresses, ports and the folder come from the
//! environment, which the scripts read themselves.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The variable that names the folder of the parts.
pub const HOME_VARIABLE: &str = "TAPELINE_HOME";
const DEFAULT_HOME: &str = ".tapeline";
const NO_BASH: &str = "bash could not be started, which the parts' scripts need";

macro_rules! scripts {
    ($($name:literal),+ $(,)?) => { [$(($name, include_str!(concat!("../../../deploy/local/", $name)))),+] };
}

/// The files of `deploy/local` that run the parts: name and contents.
const SCRIPTS: &[(&str, &str)] = &scripts![
    "parts.sh",
    "lib.sh",
    "kafka.sh",
    "registry.sh",
    "timescale.sh",
    "clickhouse.sh",
    "chserver.py",
    "checksums/kafka-4.3.1.sha256",
    "checksums/registry-3.0.9.sha256",
    "checksums/clickhouse-26.7.3.sha512",
];

/// What to do with the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Install what is missing and start what is down.
    Up,
    /// Stop all.
    Down,
    /// Stop all and delete the data.
    Reset {
        /// Without it nothing is deleted.
        yes: bool,
    },
}

impl Action {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Up => &["up"],
            Self::Down => &["down"],
            Self::Reset { yes: false } => &["reset"],
            Self::Reset { yes: true } => &["reset", "--yes"],
        }
    }
}

/// The parts' script with `arguments`, not yet started: for single parts, and where the output must go elsewhere.
///
/// # Errors
/// If the scripts can't be written.
pub fn command(home: &Path, arguments: &[&str]) -> Result<Command> {
    let scripts = home.join("scripts");
    write_scripts(&scripts)?;
    let mut command = Command::new("bash");
    command.arg(scripts.join("parts.sh")).args(arguments).env(HOME_VARIABLE, home);
    Ok(command)
}

/// Does it; what happens is printed as it happens.
///
/// # Errors
/// If the scripts can't be written or run, and if they fail: they have said why by then.
pub fn run(action: Action) -> Result<()> {
    let status = script(action.arguments())?.status().context(NO_BASH)?;
    if !status.success() {
        bail!("`{}` failed ({status}); the lines above say why", action.arguments().join(" "));
    }
    Ok(())
}

/// A part as `parts.sh status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartState {
    /// Its name.
    pub part: String,
    /// `up`, `down`, `no answer`; `external` or `unreachable` for a server of the user's.
    pub state: String,
    /// Process id, `-` if none is known.
    pub pid: String,
    /// Where it is, without passwords.
    pub address: String,
    /// Name and version, while it is up.
    pub version: Option<String>,
}

impl PartState {
    /// Whether it can be used.
    pub fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "up" | "external")
    }

    /// From a line of `parts.sh status`, whose columns two spaces or more keep apart.
    fn parse(line: &str) -> Result<Self> {
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let [part, state, pid, address, version @ ..] = cells.as_slice() else { bail!("a line of parts.sh: `{line}`") };
        let pid = pid.trim_start_matches("pid").trim();
        Ok(Self {
            part: (*part).to_owned(),
            state: (*state).to_owned(),
            pid: pid.to_owned(),
            address: (*address).to_owned(),
            version: version.first().map(ToString::to_string),
        })
    }
}

/// What runs, and where.
///
/// # Errors
/// If the scripts can't be written or run.
pub fn states() -> Result<Vec<PartState>> {
    let output = script(&["status"])?.stderr(Stdio::inherit()).output().context(NO_BASH)?;
    let states: Vec<PartState> =
        String::from_utf8_lossy(&output.stdout).lines().map(PartState::parse).collect::<Result<_>>()?;
    if states.is_empty() {
        bail!("`parts.sh status` failed ({}); the lines above say why", output.status);
    }
    Ok(states)
}

/// The parts' script with `arguments`, not yet started.
fn script(arguments: &[&str]) -> Result<Command> {
    command(&home_from_env()?, arguments)
}

/// The folder of the parts that the environment names, absolute.
///
/// # Errors
/// If the present folder can't be found out.
pub fn home_from_env() -> Result<PathBuf> {
    home(std::env::var_os(HOME_VARIABLE))
}

/// The folder of the parts, absolute.
fn home(named: Option<OsString>) -> Result<PathBuf> {
    let path = named.filter(|path| !path.is_empty()).map_or_else(|| PathBuf::from(DEFAULT_HOME), PathBuf::from);
    std::path::absolute(&path).with_context(|| format!("{HOME_VARIABLE}={}", path.display()))
}

/// Writes those that are missing or of another version.
fn write_scripts(folder: &Path) -> Result<()> {
    for (name, contents) in SCRIPTS {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|present| present == contents.as_bytes()) {
            continue;
        }
        replace(&path, contents).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// By a rename: bash reads a script while it runs it, so one that runs must not change under it.
fn replace(path: &Path, contents: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(name);
    fs::write(&new, contents)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests;
