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
use std::process::ExitCode;
use std::time::Duration;
use tapeline_cli::component::Component;
use tapeline_tests::gateway::start;
use tapeline_tests::market::Market;
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
    let users = "orders".contains(only).then(|| users::prepare(stack, &gateway)).transpose()?;
    let round = |users, rate| entry::measure(stack, &gateway, users, rate);
    if let Some(users) = &users {
        // Some rounds warm the broker and the processors up and are not shown.
        for (rate, is_shown) in [(2_000, false), (10_000, false), (2_000, false), (2_000, true), (10_000, true)] {
            let measured = round(users, rate)?;
            if is_shown {
                println!("without ClickHouse, {measured}");
            }
            stack.drain(&[TIMESCALE], PATIENCE)?;
        }
    }
    pipeline.start_again(CLICKHOUSE)?;
    pipeline.wait_ready()?;
    stack.drain(&DRAINING, PATIENCE)?;
    if let Some(users) = &users {
        for rate in [2_000, 10_000] {
            println!("with both views, {}", round(users, rate)?);
            stack.drain(&DRAINING, PATIENCE)?;
        }
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
    let market = Market {
        orders: audience.orders_per_s * PATIENCE.as_secs(),
        rate: audience.orders_per_s,
        instruments: INSTRUMENTS,
        accounts: 1_000,
        seed: SEED,
    };
    let names = market.symbols()?;
    let running = market.begin(stack)?;
    let is_known = |name: &String| Ok(gateway.get(&format!("/v1/instruments/{name}/depth"))?.0 == 200);
    for name in &names {
        wait_until("the gateway knows the book", PATIENCE, || is_known(name))?;
    }
    println!("{}", sockets::measure(stack, gateway, &names, audience)?);
    drop(running);
    stack.drain(&DRAINING, PATIENCE)
}
