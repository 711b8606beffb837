//! The binary `gateway`.

use std::process::ExitCode;
use tapeline_gateway::config::Settings;
use tapeline_gateway::run;
use tapeline_kafka::app::{App, stop_on_signals};
use tapeline_runtime::serve::init_logs;

fn main() -> ExitCode {
    init_logs();
    let started = Settings::from_env().and_then(|settings| {
        let app = App::from_env()?;
        stop_on_signals(&app.stop)?;
        run::start_with_users(&app, settings)
    });
    match started {
        Ok(running) => {
            running.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}
