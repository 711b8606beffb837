//! `tapeline demo --console`: all parts and components, a gateway with the web console, a user with funds, and a generated
//! market that goes on until Ctrl-C.

use super::{SEED, introduce, now_ms};
use crate::parts::home_from_env;
use crate::publish;
use crate::run;
use crate::wait::wait_until;
use anyhow::{Context, Result, bail, ensure};
use reqwest::StatusCode;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tapeline_gateway::config::Settings;
use tapeline_gateway::run as gateway;
use tapeline_kafka::app::{App, Running};
use tapeline_replay::generate::{Config, Generator};
use tapeline_replay::pace::Pace;
use tapeline_schemas::wire::Instrument;

/// Commands a second, unless it is told: a market that people can follow.
const RATE: u64 = 100;
/// How long the gateway may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);
/// Of the quote asset, and of each of the first few base assets, for the demo user.
const QUOTE_FUNDS: &str = "1000000";
const BASE_FUNDS: &str = "10000";
/// How many instruments the demo user has something of.
const FUNDED_INSTRUMENTS: usize = 5;
/// Where the demo user's login and password are kept between runs, in the folder of the parts.
const USER_FILE: &str = "demo-user.json";

/// Runs until Ctrl-C, or until a component ends by itself.
pub(super) fn on_running_parts(app: &Arc<App>, instruments: u32, accounts: u32, rate: Option<u64>) -> Result<ExitCode> {
    let mut running = Running::default();
    run::spawn(app, &mut running, &[], 1)?;
    let worked = show(app, &running, instruments, accounts, rate.unwrap_or(RATE));
    let ended = running.stop_and_join(&app.stop);
    worked?;
    ended.context("a component ended with an error")?;
    Ok(ExitCode::SUCCESS)
}

fn show(app: &Arc<App>, running: &Running, instruments: u32, accounts: u32, rate: u64) -> Result<()> {
    let config = Config { instruments, accounts, rate_per_second: rate.max(1), ..Config::new(SEED, now_ms()) };
    let generator = Generator::new(config)?;
    let listed = generator.instruments();
    let publisher = publish::commands(&app.addresses)?;
    println!("Funding {accounts} accounts, listing {instruments} instruments ...");
    introduce(&app.topology, &app.addresses, &publisher, &listed, generator.accounts())?;

    let user = DemoUser::of_home()?;
    let mut settings = Settings { demo: true, ..Settings::from_env()? };
    settings.operators.push(user.login.clone());
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let gateway = gateway::start_with_users(app, settings)?;
    let address = format!("{scheme}://localhost:{}", gateway.address.port());
    let introduced = introduce_user(&address, &user, &listed);
    if introduced.is_ok() {
        println!("\nThe console: {address}\n  log in as   {}\n  password    {}", user.login, user.password);
        println!("\nThe market goes on at {rate} commands a second. Ctrl-C ends it.");
        let pace = if rate == 0 { Pace::Max } else { Pace::Rate(rate) };
        let timed = pace.schedule(generator)?.map(|(due, timed)| Ok((due, timed.command)));
        // Not when a component has ended: nobody would see why.
        let timed = timed.take_while(|_| !running.any_ended());
        publish::paced(&publisher, timed, |command| &command.account, &app.stop, |_| {})?;
    }
    app.stop.store(true, Ordering::Relaxed);
    gateway.wait();
    introduced
}

/// Who tries the console.
struct DemoUser {
    login: String,
    password: String,
}

impl DemoUser {
    /// The one of the runs before, or a new one with a password of its own.
    fn of_home() -> Result<Self> {
        let path = home_from_env()?.join(USER_FILE);
        let wrong = || format!("{}: delete it, and a new demo user is made", path.display());
        if let Ok(text) = fs::read_to_string(&path) {
            let kept: Value = serde_json::from_str(&text).with_context(wrong)?;
            let field = |name: &str| kept[name].as_str().map(str::to_owned).with_context(wrong);
            return Ok(Self { login: field("login")?, password: field("password")? });
        }
        let user = Self { login: "demo".into(), password: random_text()? };
        user.keep(&path).with_context(|| path.display().to_string())?;
        Ok(user)
    }

    fn keep(&self, path: &PathBuf) -> Result<()> {
        let mut file = File::options().write(true).create_new(true).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(json!({"login": self.login, "password": self.password}).to_string().as_bytes())?;
        Ok(())
    }
}

/// 16 hexadecimal digits that nobody can guess.
fn random_text() -> Result<String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("/dev/urandom")?;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

/// Signs the user up, if that has not been done, and gives it funds, once.
fn introduce_user(address: &str, user: &DemoUser, instruments: &[Instrument]) -> Result<()> {
    let client = Client::builder().no_proxy().danger_accept_invalid_certs(true).timeout(ANSWER_PATIENCE).build()?;
    wait_until("the gateway is ready", PATIENCE, || {
        Ok(client.get(format!("{address}/readyz")).send().is_ok_and(|answer| answer.status() == StatusCode::OK))
    })?;
    let DemoUser { login, password } = user;
    let sign_up = json!({"login": login, "password": password, "display_name": "Demo"});
    let signed_up = client.post(format!("{address}/v1/users")).json(&sign_up).send()?;
    let is_new = match signed_up.status() {
        StatusCode::CREATED => true,
        StatusCode::CONFLICT => false,
        _ => bail!("signing the demo user up: {}", signed_up.text()?),
    };
    let logged_in =
        client.post(format!("{address}/v1/sessions")).json(&json!({"login": login, "password": password})).send()?;
    let answer: Value = logged_in.json()?;
    let token = answer["access_token"].as_str();
    let token =
        token.with_context(|| format!("the demo user can't log in: {answer}; `tapeline reset` makes a new one"))?;
    if !is_new {
        return Ok(());
    }
    let quote = instruments.first().map(|first| (first.quote_asset.as_str(), QUOTE_FUNDS));
    let bases = instruments.iter().take(FUNDED_INSTRUMENTS).map(|of| (of.base_asset.as_str(), BASE_FUNDS));
    for (number, (asset, amount)) in quote.into_iter().chain(bases).enumerate() {
        let deposit = json!({"asset": asset, "amount": amount, "client_order_id": format!("demo-funds-{number}")});
        let answer = client.post(format!("{address}/v1/deposits")).bearer_auth(token).json(&deposit).send()?;
        ensure!(answer.status() == StatusCode::ACCEPTED, "funding the demo user: {}", answer.text()?);
    }
    Ok(())
}
