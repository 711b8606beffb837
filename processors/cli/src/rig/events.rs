//! What a run says, as it happens; all of it also goes into a file.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Prints events with their time and keeps them in a file.
pub(crate) struct Events {
    file: File,
    path: PathBuf,
    started_at: Instant,
}

impl Events {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self { file, path: path.to_path_buf(), started_at: Instant::now() })
    }

    /// One line, with the seconds since the beginning.
    pub(crate) fn note(&mut self, text: &str) {
        let line = format!("[{:7.1} s] {text}", self.started_at.elapsed().as_secs_f64());
        println!("{line}");
        if let Err(error) = writeln!(self.file, "{line}") {
            tracing::warn!(%error, path = %self.path.display(), "the report can't be written");
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
