//! What a gateway carries, with the whole pipeline behind it and everything on this machine, the load included: orders by
//! REST until Kafka has them, until the trader's own stream tells of the fill, and books to many WebSocket clients.
//!
//! `tests/run` brings no stack for examples; see `docs/benchmarks.md` for the command. The gateway is the real binary with
//! users of its own, who keep to its limits: a hundred accounts from twenty addresses.
//!
//! What is absent: browsers' work, TLS, a network. Times of records and messages are whole milliseconds.

#![allow(clippy::print_stdout, reason = "it prints its figures")]

mod entry;
mod process;
mod sockets;
mod users;

use anyhow::Result;
use sockets::Audience;
use std::process::{Child, ExitCode};
use std::time::Duration;
use tapeline_cli::component::Component;
use tapeline_replay::generate::{Config, Generator};
use tapeline_tests::gateway::start;
use tapeline_tests::parts::{Stack, wait_until, with_stack};
use tapeline_tests::pipeline::{DRAINING, PROCESSORS, Pipeline};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);
const INSTRUMENTS: u32 = 20;
const SEED: u64 = 3;
/// The view that a private stream begins with.
const TIMESCALE: &str = "timescale";
const CLICKHOUSE: &str = "clickhouse";
/// The first argument of the process that holds the clients' sockets.
const SOCKETS: &str = "sockets";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == SOCKETS => sockets::hold(rest),
        Some((only, [])) => with_stack("edge", |stack| measure(stack, only)),
        None => with_stack("edge", |stack| measure(stack, "")),
        _ => {
            eprintln!("usage: edge [orders|books|clients]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(stack: &Stack, only: &str) -> Result<()> {
    let mut pipeline = Pipeline::start(stack, &[&PROCESSORS[..], &[TIMESCALE, "clock"]].concat())?;
    let gateway = start(stack, "gateway-edge", &[])?;
    if "orders".contains(only) {
        let users = users::prepare(stack, &gateway)?;
        let round = |rate| entry::measure(stack, &gateway, &users, rate);
        // Some rounds warm the broker and the processors up and are not shown.
        for rate in [2_000, 10_000, 2_000] {
            round(rate)?;
            stack.drain(&[TIMESCALE], PATIENCE)?;
        }
        for rate in [2_000, 10_000] {
            println!("without ClickHouse, {}", round(rate)?);
            stack.drain(&[TIMESCALE], PATIENCE)?;
        }
        pipeline.start_again(CLICKHOUSE)?;
        pipeline.wait_ready()?;
        stack.drain(&DRAINING, PATIENCE)?;
        for rate in [2_000, 10_000] {
            println!("with both views, {}", round(rate)?);
            stack.drain(&DRAINING, PATIENCE)?;
        }
    } else {
        pipeline.start_again(CLICKHOUSE)?;
        pipeline.wait_ready()?;
    }
    for (name, audiences) in [("books", &sockets::BOOKS[..]), ("clients", &sockets::CLIENTS[..])] {
        if name.contains(only) {
            audiences.iter().try_for_each(|audience| books(stack, &gateway, audience))?;
        }
    }
    pipeline.rest(PATIENCE)?;
    stack.audit()?;
    gateway.terminate(PATIENCE)?;
    pipeline.stop()
}

/// Lets a market go on before an audience.
fn books(stack: &Stack, gateway: &Component, audience: &Audience) -> Result<()> {
    let listed = Generator::new(Config { instruments: INSTRUMENTS, ..Config::new(SEED, 0) })?.instruments();
    let names: Vec<String> = listed.iter().map(|instrument| instrument.symbol.to_string()).collect();
    let mut market = Market::begin(stack, audience)?;
    let is_known = |name: &String| Ok(gateway.get(&format!("/v1/instruments/{name}/depth"))?.0 == 200);
    for name in &names {
        wait_until("the gateway knows the book", PATIENCE, || is_known(name))?;
    }
    println!("{}", sockets::measure(stack, gateway, &names, audience)?);
    market.end();
    stack.drain(&DRAINING, PATIENCE)
}

/// `tapeline generate`, which goes on until it is ended.
struct Market(Child);

impl Market {
    fn begin(stack: &Stack, audience: &Audience) -> Result<Self> {
        let mut command = stack.tapeline_command(&["generate"])?;
        for (option, value) in [
            ("--orders", audience.orders_per_s * PATIENCE.as_secs()),
            ("--rate", audience.orders_per_s),
            ("--instruments", INSTRUMENTS.into()),
            ("--accounts", 1_000),
            ("--seed", SEED),
        ] {
            command.arg(option).arg(value.to_string());
        }
        let log = std::fs::File::create(stack.scratch("market.log"))?;
        Ok(Self(command.stdout(log.try_clone()?).stderr(log).spawn()?))
    }

    fn end(&mut self) {
        // Harmless if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        self.end();
    }
}
