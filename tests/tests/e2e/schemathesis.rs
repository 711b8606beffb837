//! The gateway answers as its OpenAPI document says, whatever it is asked: schemathesis makes up requests from the document,
//! right ones and wrong ones, and checks each answer. No 5xx, no status, media type or body that is not documented.
//!
//! `TAPELINE_E2E_SCHEMATHESIS` sets the requests for each operation; 200 is the full run.

use crate::foreign_client::interpreter;
use anyhow::Result;
use reqwest::blocking::Client;
use std::time::Duration;
use tapeline_tests::gateway::{api_key, base, sign_up, start};
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::Pipeline;
use tapeline_tests::reference::{instrument, list};

const PATIENCE: Duration = Duration::from_secs(120);
const SEED: &str = "7";
/// In CI.
const DEFAULT_REQUESTS: &str = "15";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth";
/// What only a session may do, not a key; the log-out comes last, in a run of its own, for it ends the session.
const OF_SESSIONS: &str = "^/v1/(api-keys|passkeys|second-factor|pipeline)";
const LOG_OUT: &str = "/v1/sessions/current";

#[test]
fn answers_are_as_documented_whatever_is_asked() -> Result<()> {
    with_stack("schemathesis", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        list(stack, &[instrument("ABC-USD", "ABC")], &[])?;
        let gateway = start(stack, "gateway-schemathesis", &[("TAPELINE_GATEWAY_OPERATORS", "olga")])?;
        let base = base(&gateway)?;
        // A listed book is known, though nobody has ordered in it.
        let book = format!("{base}/v1/instruments/ABC-USD/depth");
        wait_until("the book is known", PATIENCE, || Ok(reqwest::blocking::get(&book)?.status() == 200))?;
        let http = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let session = sign_up(&http, &base, "olga")?;
        // With all scopes; lives longer than an access token.
        let key = api_key(&http, &base, &session, &["read", "trade", "withdraw"])?;
        run(stack, &base, &key, &["--exclude-path-regex", OF_SESSIONS, "--exclude-path", LOG_OUT])?;
        run(stack, &base, &session, &["--include-path-regex", OF_SESSIONS])?;
        run(stack, &base, &session, &["--include-path", LOG_OUT])?;
        pipeline.rest(PATIENCE)?;
        stack.audit()?;
        gateway.terminate(PATIENCE)?;
        pipeline.stop()
    })
}

fn run(stack: &Stack, base: &str, token: &str, operations: &[&str]) -> Result<()> {
    let requests = std::env::var("TAPELINE_E2E_SCHEMATHESIS").unwrap_or_else(|_| DEFAULT_REQUESTS.into());
    let mut command = stack.command(interpreter()?);
    command.args(["-B", "-m", "schemathesis.cli", "run", &format!("{base}/v1/openapi.json")]);
    command.args(["--checks", CHECKS, "--max-examples", &requests, "--seed", SEED, "--continue-on-failure"]);
    // Fewer than an account may ask, so that answers are more than 429.
    command.args(["--rate-limit", "45/s", "--no-color", "--header", &format!("Authorization: Bearer {token}")]);
    command.args(operations).current_dir(stack.scratch(""));
    let printed = stack.run_to_end(&mut command, "schemathesis")?;
    let summary = printed.lines().skip_while(|line| !line.contains("SUMMARY"));
    summary.for_each(|line| println!("{line}"));
    Ok(())
}
