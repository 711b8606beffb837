//! The gateway as a process of its own, as operations run it, and what programs ask of any gateway over HTTP.

use crate::parts::Stack;
use anyhow::{Context, Result, ensure};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;
use tapeline_cli::component::Component;

/// The password of all users of the tests.
pub const PASSWORD: &str = "correct horse battery";
/// How long a gateway may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// Starts the binary, open for deposits, with more of its environment, and waits until it is ready.
///
/// # Errors
/// If it does not start.
pub fn start(stack: &Stack, instance: &str, environment: &[(&str, &str)]) -> Result<Component> {
    // Passkeys count for the origin that it is told, so the port must be known before. Nobody else takes it meanwhile:
    // the system gives free ports in turn.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = stack.binary("gateway")?;
    command.env("TAPELINE_GATEWAY", address.to_string()).env("TAPELINE_GATEWAY_DEMO", "1");
    command.envs(environment.iter().copied());
    let mut gateway = Component::spawn(command, "gateway", instance, stack.log(instance))?;
    gateway.wait_http()?;
    gateway.wait_ready(READY_PATIENCE)?;
    Ok(gateway)
}

/// Where a page of it begins, as browsers know it.
///
/// # Errors
/// If it was not started by [`start`].
pub fn origin(gateway: &Component) -> Result<String> {
    let address = gateway.http().context("the gateway's address")?;
    Ok(format!("http://localhost:{}", address.port()))
}

/// Where its interface is, by its address.
///
/// # Errors
/// If it was not started by [`start`].
pub fn base(gateway: &Component) -> Result<String> {
    Ok(format!("http://{}", gateway.http().context("the gateway's address")?))
}

/// Status and body of an answer, which is a text if it is no JSON. An empty token is not sent.
///
/// # Errors
/// If there is no answer.
pub fn ask(http: &Client, method: &str, url: &str, token: &str, body: Option<Value>) -> Result<(u16, Value)> {
    let mut request = http.request(method.parse()?, url);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().with_context(|| format!("{method} {url}"))?;
    let (status, text) = (answer.status().as_u16(), answer.text()?);
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// What a POST that must succeed is answered.
///
/// # Errors
/// If it does not succeed.
pub fn post(http: &Client, url: &str, token: &str, body: Value) -> Result<Value> {
    let (status, answer) = ask(http, "POST", url, token, Some(body))?;
    ensure!((200..300).contains(&status), "{url}: {status} {answer}");
    Ok(answer)
}

/// Signs a user up and logs it in; its access token.
///
/// # Errors
/// If the gateway at `base` refuses.
pub fn sign_up(http: &Client, base: &str, login: &str) -> Result<String> {
    let credentials = json!({"login": login, "password": PASSWORD});
    post(http, &format!("{base}/v1/users"), "", credentials.clone())?;
    let session = post(http, &format!("{base}/v1/sessions"), "", credentials)?;
    Ok(session["access_token"].as_str().context("a token")?.to_owned())
}

/// An API key of the user whose access token it is.
///
/// # Errors
/// If the gateway at `base` refuses.
pub fn api_key(http: &Client, base: &str, token: &str, scopes: &[&str]) -> Result<String> {
    let wanted = json!({"label": "test", "scopes": scopes, "expires_in_days": 1});
    let made = post(http, &format!("{base}/v1/api-keys"), token, wanted)?;
    Ok(made["api_key"].as_str().context("a key")?.to_owned())
}
