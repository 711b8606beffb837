//! Traders with API keys, funds and an instrument of their own.

use crate::{INSTRUMENTS, PATIENCE};
use anyhow::Result;
use reqwest::blocking::Client;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use tapeline_cli::component::Component;
use tapeline_tests::gateway::{api_key, base, post, sign_up};
use tapeline_tests::parts::Stack;
use tapeline_tests::pipeline::PROCESSORS;
use tapeline_tests::reference::{instrument, list};

/// Half of them sell, half buy.
const USERS: usize = 100;
const USERS_OF_ADDRESS: usize = 5;
const FUNDS: &str = "1000000000";

/// A program that trades.
pub(crate) struct User {
    /// Where it asks from.
    pub(crate) address: IpAddr,
    /// Its API key.
    pub(crate) key: String,
}

/// The instrument that the users with this number trade.
pub(crate) fn symbol(number: usize) -> String {
    format!("EDGE{:02}-USD", number % INSTRUMENTS as usize)
}

/// Signs all up and gives them funds.
pub(crate) fn prepare(stack: &Stack, gateway: &Component) -> Result<Vec<User>> {
    let listed: Vec<_> =
        (0..INSTRUMENTS as usize).map(|number| instrument(&symbol(number), &format!("EDGE{number:02}"))).collect();
    list(stack, &listed, &[])?;

    let base = base(gateway)?;
    let mut users = Vec::new();
    for number in 0..USERS {
        let address = IpAddr::from(Ipv4Addr::new(127, 0, 3, u8::try_from(number / USERS_OF_ADDRESS)? + 1));
        let http = Client::builder().no_proxy().local_address(Some(address)).timeout(PATIENCE).build()?;
        let token = sign_up(&http, &base, &format!("edge{number}"))?;
        users.push(User { address, key: api_key(&http, &base, &token, &["read", "trade"])? });
    }
    stack.drain(&["validator"], PATIENCE)?;
    let http = Client::builder().no_proxy().timeout(PATIENCE).build()?;
    for (number, user) in users.iter().enumerate() {
        // Buyers have the quote asset, sellers the base asset of each instrument that they come to.
        let assets = if number % 2 == 1 {
            vec!["USD".to_owned()]
        } else {
            (0..INSTRUMENTS).map(|place| format!("EDGE{place:02}")).collect()
        };
        for asset in assets {
            let id = format!("funds-{asset}");
            let deposit = json!({"client_order_id": id, "asset": asset, "amount": FUNDS});
            post(&http, &format!("{base}/v1/deposits"), &user.key, deposit)?;
        }
    }
    stack.drain(&PROCESSORS, PATIENCE)?;
    Ok(users)
}
