//! `topology.toml`: the one file that says which topics, processors, views and connectors there are.
//!
//! [`Topology::parse`] reads it, [`Topology::check`] says what does not fit together, [`Topology::topics_with_dlq`]
//! gives what the broker must have, [`Topology::mermaid`] and [`Topology::svg`] draw it. What is absent: any talk with
//! a broker, registry or database.

mod check;
mod graph;
mod layout;
mod mermaid;
mod model;
mod parse;
mod svg;

pub use model::{Cleanup, Component, ConnectorSpec, KafkaTopic, ProcessorSpec, Retention, SinkSpec, Topic};

use std::fmt;
use std::path::{Path, PathBuf};

/// Environment variable with the path of the topology file.
pub const TOPOLOGY_VARIABLE: &str = "TAPELINE_TOPOLOGY";

/// Name of the topology file in the working directory.
const FILE_NAME: &str = "topology.toml";

/// The topology that this build was made with, used where there is no file.
/// Text of the topology that this build was made with.
pub const EMBEDDED: &str = include_str!("../../../../topology.toml");

/// The parsed topology file; each list is in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The file that it came from, for messages.
    pub file_name: String,
    /// Topics as declared, dead-letter topics not among them.
    pub topics: Vec<Topic>,
    /// Processors.
    pub processors: Vec<ProcessorSpec>,
    /// Sinks and the views that they fill.
    pub sinks: Vec<SinkSpec>,
    /// Writers from outside, and readers that are no view.
    pub connectors: Vec<ConnectorSpec>,
}

/// Something in the topology file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File and key, for example `topology.toml: topics."orders".partitions`.
    pub at: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.at, self.what, self.mend)
    }
}

impl Topology {
    /// Reads the text of a topology file; `file_name` is for messages.
    ///
    /// # Errors
    /// All that can't be read: syntax, unknown or missing keys, values of the wrong kind.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Vec<Problem>> {
        parse::parse(text, file_name)
    }

    /// Reads a topology file.
    ///
    /// # Errors
    /// As [`Topology::parse`], and if the file can't be read.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let mend = format!("name a readable file in {TOPOLOGY_VARIABLE}, or unset it to use ./{FILE_NAME}");
            vec![Problem { at: name.clone(), what: format!("can't be read: {error}"), mend }]
        })?;
        Self::parse(&text, &name)
    }

    /// Where the topology file is: what the environment variable `TAPELINE_TOPOLOGY` says, else `./topology.toml` if
    /// there is one. `None`: nowhere, use the embedded copy.
    pub fn default_path() -> Option<PathBuf> {
        let named = std::env::var_os(TOPOLOGY_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        named.or_else(|| Some(PathBuf::from(FILE_NAME)).filter(|path| path.is_file()))
    }

    /// Reads the file at [`Topology::default_path`], or the embedded copy.
    ///
    /// # Errors
    /// As [`Topology::load`].
    pub fn load_default() -> Result<Self, Vec<Problem>> {
        match Self::default_path() {
            Some(path) => Self::load(&path),
            None => Self::embedded(),
        }
    }

    /// The topology that this build was made with.
    ///
    /// # Errors
    /// As [`Topology::parse`]; a test rules it out.
    pub fn embedded() -> Result<Self, Vec<Problem>> {
        Self::parse(EMBEDDED, "topology.toml (built in)")
    }

    /// All that does not fit together; empty if all is well.
    pub fn check(&self) -> Vec<Problem> {
        check::check(self)
    }

    /// A Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        mermaid::mermaid(self)
    }

    /// An SVG drawing, light or dark as the viewer's colour scheme.
    pub fn svg(&self) -> String {
        svg::svg(self)
    }

    /// `topology.toml: topics."orders".partitions`, or without a key the whole entry.
    fn at(&self, kind: &str, name: &str, key: &str) -> String {
        let dot = if key.is_empty() { "" } else { "." };
        format!("{}: {kind}.\"{name}\"{dot}{key}", self.file_name)
    }
}
