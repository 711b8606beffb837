//! The `settler` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tapeline_kafka::app::main(|app, running| tapeline_settler::spawn(app, running, 1))
}
