//! `tapeline up`, `down`, `status`, `reset`: Kafka, registry, TimescaleDB and ClickHouse in a folder of their own.
//!
//! The work is done by the shell scripts in `deploy/local`. They are part of the binary, so that it works from any
//! folder: they are written to `$TAPELINE_HOME/scripts` and run there. Addresses, ports and the folder come from the
//! environment, which the scripts read themselves.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the parts.
const HOME_VARIABLE: &str = "TAPELINE_HOME";
const DEFAULT_HOME: &str = ".tapeline";

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
    /// Print what runs, and where.
    Status,
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
            Self::Status => &["status"],
            Self::Reset { yes: false } => &["reset"],
            Self::Reset { yes: true } => &["reset", "--yes"],
        }
    }
}

/// Does it; what happens is printed as it happens.
///
/// # Errors
/// If the scripts can't be written or run, and if they fail: they have said why by then. For [`Action::Status`] also
/// if a part is down.
pub fn run(action: Action) -> Result<()> {
    let home = home(std::env::var_os(HOME_VARIABLE))?;
    let scripts = home.join("scripts");
    write_scripts(&scripts)?;
    let status = Command::new("bash")
        .arg(scripts.join("parts.sh"))
        .args(action.arguments())
        .env(HOME_VARIABLE, &home)
        .status()
        .context("bash could not be started, which the parts' scripts need")?;
    match action {
        _ if status.success() => Ok(()),
        Action::Status => bail!("not all parts are up"),
        _ => bail!("`{}` failed ({status}); the lines above say why", action.arguments().join(" ")),
    }
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
