//! People at browsers: Playwright drives Chromium through the console of a real gateway, on the whole pipeline, beside a
//! generated market. What they do is in `connectors/console/e2e`.
//!
//! `TAPELINE_E2E_SHOTS` names a folder for pictures of all pages.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::process::Child;
use std::time::Duration;
use tapeline_cli::{drain, publish};
use tapeline_replay::generate::{Config, Generator};
use tapeline_schemas::topic;
use tapeline_tests::gateway::{instrument, origin, start};
use tapeline_tests::parts::{Stack, repository, with_stack};
use tapeline_tests::pipeline::Pipeline;

const PATIENCE: Duration = Duration::from_secs(120);
/// Who sees the page of the pipeline.
const OPERATOR: &str = "olga";
const SEED: u64 = 5;
const INSTRUMENTS: u32 = 3;
const ACCOUNTS: u32 = 40;
/// Commands a second of the market, and how many there may be: more than the browsers take time for.
const RATE: &str = "40";
const COMMANDS: &str = "60000";

#[test]
fn people_trade_in_their_browsers() -> Result<()> {
    with_stack("console", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        list_instrument(stack)?;
        let gateway = start(stack, "gateway-console", &[("TAPELINE_GATEWAY_OPERATORS", OPERATOR)])?;
        let market = Market::begin(stack)?;
        browse(stack, &origin(&gateway)?, &market.instrument)?;
        drop(market);
        pipeline.rest(PATIENCE)?;
        stack.audit()?;
        gateway.terminate(PATIENCE)?;
        pipeline.stop()
    })
}

/// The instrument whose book only the browsers use.
fn list_instrument(stack: &Stack) -> Result<()> {
    let (topology, addresses) = (&stack.app.topology, &stack.app.addresses);
    let watch = drain::BroadcastWatch::begin(topology, addresses, "validator")?;
    publish::reference(addresses, &[instrument("ABC-USD", "ABC")], &[])?;
    watch.wait(topic::INSTRUMENTS, PATIENCE)
}

/// `tapeline generate` beside the browsers; dropping it ends it.
struct Market {
    child: Child,
    instrument: String,
}

impl Market {
    fn begin(stack: &Stack) -> Result<Self> {
        let config = Config { instruments: INSTRUMENTS, accounts: ACCOUNTS, ..Config::new(SEED, 0) };
        let listed = Generator::new(config)?.instruments();
        let instrument = listed.first().context("an instrument")?.symbol.to_string();
        let mut command = stack.tapeline_command(&["generate", "--rate", RATE, "--orders", COMMANDS])?;
        for (option, value) in
            [("--instruments", INSTRUMENTS.into()), ("--accounts", ACCOUNTS.into()), ("--seed", SEED)]
        {
            command.arg(option).arg(value.to_string());
        }
        let log = File::create(stack.scratch("market.log"))?;
        Ok(Self { child: command.stdout(log.try_clone()?).stderr(log).spawn()?, instrument })
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        // Harmless if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn browse(stack: &Stack, origin: &str, market: &str) -> Result<()> {
    let console = repository().join("connectors/console");
    ensure!(
        console.join("node_modules/@playwright/test").is_dir(),
        "Playwright is not installed: run tests by `tests/run`, which does that"
    );
    let mut command = stack.command("npm");
    command.args(["run", "--silent", "e2e"]).current_dir(console);
    command.env("TAPELINE_CONSOLE", origin).env("TAPELINE_MARKET", market).env("CI", "1");
    command.env("TAPELINE_E2E_OUT", stack.scratch("playwright"));
    if let Some(folder) = std::env::var_os("TAPELINE_E2E_SHOTS").filter(|folder| !folder.is_empty()) {
        command.env("TAPELINE_SHOTS", folder);
    }
    print!("{}", stack.run_to_end(&mut command, "playwright")?);
    Ok(())
}
