//! The binary `gateway`.

use std::process::ExitCode;
use std::sync::Arc;
use tapeline_gateway::auth::Authenticator;
use tapeline_gateway::config::Settings;
use tapeline_gateway::principal::Principal;
use tapeline_gateway::problem::Problem;
use tapeline_gateway::run;
use tapeline_kafka::app::{App, stop_on_signals};
use tapeline_runtime::serve::init_logs;

/// A gateway without users: market data is open, everything else is closed.
struct NoUsers;

impl Authenticator for NoUsers {
    fn authenticate(&self, _bearer: &str, _now_ms: i64) -> Result<Principal, Problem> {
        Err(Problem::new(401, "wrong_credentials", "Not logged in", "this gateway has no users"))
    }
}

fn main() -> ExitCode {
    init_logs();
    let started = Settings::from_env().and_then(|settings| {
        let app = App::from_env()?;
        stop_on_signals(&app.stop)?;
        run::start(&app, settings, Arc::new(NoUsers), axum::Router::new())
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
