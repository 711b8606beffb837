//! The `executor` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tapeline_kafka::app::main(|app, running| tapeline_executor::spawn(app, running, 1))
}
