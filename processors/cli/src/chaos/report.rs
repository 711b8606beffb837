//! What a run says: its events as they happen, and what was compared in the end. All of it also goes into a file.

use anyhow::{Context, Result};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most differences that are kept: the first ones tell.
const KEPT_DIFFERENCES: usize = 5;

/// What was compared, and where it differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// What is equal to what.
    pub what: String,
    /// How many things were compared.
    pub compared: u64,
    /// How many differ.
    pub count: u64,
    /// The first few differences.
    pub differences: Vec<String>,
}

impl Comparison {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), compared: 0, count: 0, differences: Vec::new() }
    }

    pub(super) fn difference(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.differences.len() < KEPT_DIFFERENCES {
            self.differences.push(text());
        }
    }

    /// Whether nothing differs, and something was compared.
    pub fn holds(&self) -> bool {
        self.count == 0 && self.compared > 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds() { "equal" } else { "NOT EQUAL" };
        write!(f, "{verdict:9}  {}: {} compared, {} differ", self.what, self.compared, self.count)?;
        self.differences.iter().try_for_each(|difference| write!(f, "\n             - {difference}"))
    }
}

/// Prints events with their time and keeps them in a file.
pub(super) struct Events {
    file: File,
    path: PathBuf,
    started_at: Instant,
}

impl Events {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self { file, path: path.to_path_buf(), started_at: Instant::now() })
    }

    /// One line, with the seconds since the beginning.
    pub(super) fn note(&mut self, text: &str) {
        let line = format!("[{:7.1} s] {text}", self.started_at.elapsed().as_secs_f64());
        println!("{line}");
        if let Err(error) = writeln!(self.file, "{line}") {
            tracing::warn!(%error, path = %self.path.display(), "the report can't be written");
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
