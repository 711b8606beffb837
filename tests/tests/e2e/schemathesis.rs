//! The gateway answers as its OpenAPI document says, whatever it is asked: schemathesis makes up requests from the document,
//! right ones and wrong ones, and checks each answer. No 5xx, no status, media type or body that is not documented.
//!
//! `TAPELINE_E2E_SCHEMATHESIS` sets the requests for each operation; 200 is the full run.

use crate::foreign_client::interpreter;
use anyhow::{Context, Result, ensure};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::time::Duration;
use tapeline_cli::{drain, publish};
use tapeline_schemas::topic;
use tapeline_tests::gateway::{instrument, start};
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::Pipeline;

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
        let watch = drain::BroadcastWatch::begin(&stack.app.topology, &stack.app.addresses, "validator")?;
        publish::reference(&stack.app.addresses, &[instrument("ABC-USD", "ABC")], &[])?;
        watch.wait(topic::INSTRUMENTS, PATIENCE)?;
        let gateway = start(stack, "gateway-schemathesis", &[("TAPELINE_GATEWAY_OPERATORS", "olga")])?;
        let base = format!("http://{}", gateway.http().context("the gateway's address")?);
        // A listed book is known, though nobody has ordered in it.
        let book = format!("{base}/v1/instruments/ABC-USD/depth");
        wait_until("the book is known", PATIENCE, || Ok(reqwest::blocking::get(&book)?.status() == 200))?;
        let user = User::sign_up(&base)?;
        run(stack, &base, &user.key, &["--exclude-path-regex", OF_SESSIONS, "--exclude-path", LOG_OUT])?;
        run(stack, &base, &user.session, &["--include-path-regex", OF_SESSIONS])?;
        run(stack, &base, &user.session, &["--include-path", LOG_OUT])?;
        pipeline.rest(PATIENCE)?;
        stack.audit()?;
        gateway.terminate(PATIENCE)?;
        pipeline.stop()
    })
}

struct User {
    session: String,
    /// With all scopes; lives longer than an access token.
    key: String,
}

impl User {
    fn sign_up(base: &str) -> Result<Self> {
        let http = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let post = |path: &str, token: &str, body: Value| -> Result<Value> {
            let answer = http.post(format!("{base}{path}")).bearer_auth(token).json(&body).send()?;
            let (status, text) = (answer.status(), answer.text()?);
            ensure!(status.is_success(), "{path}: {status} {text}");
            Ok(serde_json::from_str(&text)?)
        };
        let credentials = json!({"login": "olga", "password": "correct horse battery"});
        post("/v1/users", "", credentials.clone())?;
        let session = post("/v1/sessions", "", credentials)?;
        let session = session["access_token"].as_str().context("a token")?.to_owned();
        let wanted = json!({"label": "all", "scopes": ["read", "trade", "withdraw"], "expires_in_days": 1});
        let key = post("/v1/api-keys", &session, wanted)?["api_key"].as_str().context("a key")?.to_owned();
        Ok(Self { session, key })
    }
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
