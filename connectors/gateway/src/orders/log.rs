//! The log of commands: what is appended to it is taken.

use crate::position::CommandPosition;
use crate::problem::Problem;
use std::future::Future;
use std::pin::Pin;
use tapeline_schemas::wire::Command;

/// The place of a command, once it is known.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<CommandPosition, Problem>> + Send + 'a>>;

/// Where commands go.
pub trait CommandLog: Send + Sync {
    /// Appends a command and waits until it is known to be there.
    ///
    /// # Errors
    /// 503: not taken, or not known whether.
    fn append(&self, command: Command) -> Appending<'_>;
}
