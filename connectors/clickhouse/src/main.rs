//! The `clickhouse` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tapeline_kafka::app::main(tapeline_clickhouse::spawn)
}
