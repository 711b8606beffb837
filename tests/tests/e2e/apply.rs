//! `tapeline apply` is idempotent and refuses what would lose or move data; so do the registry and the binaries.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Command;
use std::time::Duration;
use tapeline_kafka::admin::Admin;
use tapeline_schemas::codec::Wire;
use tapeline_schemas::wire;
use tapeline_tests::parts::{Stack, repository, with_stack};

#[test]
fn apply_is_idempotent_and_refuses_what_would_move_data() -> Result<()> {
    with_stack("apply", |stack| {
        let again = stack.tapeline(&["apply", "--yes"])?;
        ensure!(again.contains("nothing to do"), "a second apply has something to do:\n{again}");
        without_yes_and_terminal_nothing_is_changed(stack)?;
        other_partition_counts_are_refused(stack)?;
        breaking_schemas_are_refused(stack)?;
        let again = stack.tapeline(&["apply", "--yes"])?;
        ensure!(again.contains("nothing to do"), "a refusal left something behind:\n{again}");
        Ok(())
    })
}

/// Runs a command that must fail with `code`, and gives what it said.
fn refusal(command: &mut Command, code: i32) -> Result<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "it ended with {}, not with code {code}:\n{said}", output.status);
    Ok(said)
}

/// The topology with `from` replaced, in a file that `TAPELINE_TOPOLOGY` can name.
fn changed_topology(stack: &Stack, name: &str, header: &str, from: &str, to: &str) -> Result<String> {
    let text = fs::read_to_string(repository().join("topology.toml"))?;
    let (before, rest) = text.split_once(header).with_context(|| format!("the topology has no {header}"))?;
    let path = stack.scratch(name);
    fs::write(&path, format!("{before}{header}{}", rest.replacen(from, to, 1)))?;
    Ok(path.to_string_lossy().into_owned())
}

fn without_yes_and_terminal_nothing_is_changed(stack: &Stack) -> Result<()> {
    let header = "[topics.\"market.ticks\"]";
    let path = changed_topology(stack, "retention.toml", header, "schema = ", "retention = \"90d\"\nschema = ")?;
    let said = refusal(stack.tapeline_command(&["apply"])?.env("TAPELINE_TOPOLOGY", path), 1)?;
    ensure!(said.contains("~ topic market.ticks: retention.ms -1 -> 7776000000"), "the plan is not shown:\n{said}");
    ensure!(said.contains("--yes"), "the mend is not named:\n{said}");
    let topics = Admin::connect(&stack.app.addresses.kafka)?.topics()?;
    let retention = topics.get("market.ticks").and_then(|topic| topic.config.get("retention.ms"));
    ensure!(retention.map(String::as_str) == Some("-1"), "retention.ms is {retention:?}");
    Ok(())
}

fn other_partition_counts_are_refused(stack: &Stack) -> Result<()> {
    let header = "[topics.\"market.ticks\"]";
    let path = changed_topology(stack, "partitions.toml", header, "partitions = 4", "partitions = 8")?;
    let said = refusal(stack.tapeline_command(&["apply", "--yes"])?.env("TAPELINE_TOPOLOGY", &path), 1)?;
    for part in ["partitions.toml", "topics.\"market.ticks\".partitions is 8", "the broker has 4", "set it to 4"] {
        ensure!(said.contains(part), "`{part}` is not said:\n{said}");
    }
    let topics = Admin::connect(&stack.app.addresses.kafka)?.topics()?;
    ensure!(topics.get("market.ticks").is_some_and(|topic| topic.partitions == 4), "the topic was changed");

    // A processor that meets such a topic ends at once rather than tear keys from their state.
    let header = "[topics.\"trades.executed\"]";
    let path = changed_topology(stack, "settler.toml", header, "partitions = 4", "partitions = 8")?;
    let mut settler = stack.binary("settler")?;
    let said = refusal(settler.env("TAPELINE_TOPOLOGY", &path).env("TAPELINE_INSTANCE", "e2e-misfit"), 1)?;
    for part in ["settler.toml", "topics.\"trades.executed\".partitions is 8", "the broker has 4", "set it to 4"] {
        ensure!(said.contains(part), "`{part}` is not said:\n{said}");
    }
    let said = refusal(stack.binary("settler")?.env("TAPELINE_PORT_OFFSET", "many"), 2)?;
    ensure!(said.contains("TAPELINE_PORT_OFFSET is `many`"), "the variable is not named:\n{said}");
    Ok(())
}

fn breaking_schemas_are_refused(stack: &Stack) -> Result<()> {
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?;
    let url = format!("{}/subjects/orders-value/versions", stack.app.addresses.registry_url);
    let schema: serde_json::Value = serde_json::from_str(wire::Command::SCHEMA_JSON)?;
    let without = |name: &str| {
        let mut schema = schema.clone();
        if let Some(fields) = schema["fields"].as_array_mut() {
            fields.retain(|field| field["name"] != name);
        }
        schema
    };
    let with = |field: serde_json::Value| {
        let mut schema = schema.clone();
        if let Some(fields) = schema["fields"].as_array_mut() {
            fields.push(field);
        }
        schema
    };
    let breaking = [
        ("a field that has no default is gone", without("account")),
        ("a new field has no default", with(serde_json::json!({ "name": "desk", "type": "string" }))),
    ];
    for (what, schema) in breaking {
        let answer = client.post(&url).json(&serde_json::json!({ "schema": schema.to_string() })).send()?;
        ensure!(answer.status().as_u16() == 409, "{what}: {} instead of 409: {}", answer.status(), answer.text()?);
    }
    let versions: Vec<i64> = client.get(&url).send()?.json()?;
    ensure!(versions == [1], "versions of orders-value: {versions:?}");
    Ok(())
}
