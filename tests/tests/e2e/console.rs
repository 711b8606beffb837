//! People at browsers: Playwright drives Chromium through the console of a real gateway, on the whole pipeline, beside a
//! generated market. What they do is in `connectors/console/e2e`.
//!
//! `TAPELINE_E2E_SHOTS` names a folder for pictures of all pages.

use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tapeline_tests::gateway::{origin, start};
use tapeline_tests::market::Market;
use tapeline_tests::parts::{Stack, repository, with_stack};
use tapeline_tests::pipeline::Pipeline;
use tapeline_tests::reference::{instrument, list};

const PATIENCE: Duration = Duration::from_secs(120);
/// Who sees the page of the pipeline.
const OPERATOR: &str = "olga";
/// More commands than the browsers take time for.
const MARKET: Market = Market { orders: 60_000, rate: 40, instruments: 3, accounts: 40, seed: 5 };

#[test]
fn people_trade_in_their_browsers() -> Result<()> {
    with_stack("console", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        // The instrument whose book only the browsers use.
        list(stack, &[instrument("ABC-USD", "ABC")], &[])?;
        let gateway = start(stack, "gateway-console", &[("TAPELINE_GATEWAY_OPERATORS", OPERATOR)])?;
        let market = MARKET.begin(stack)?;
        browse(stack, &origin(&gateway)?, MARKET.symbols()?.first().context("an instrument")?)?;
        drop(market);
        pipeline.rest(PATIENCE)?;
        stack.audit()?;
        gateway.terminate(PATIENCE)?;
        pipeline.stop()
    })
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
