//! The `validator` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tapeline_kafka::app::main(|app, running| tapeline_validator::spawn(app, running, 1))
}
