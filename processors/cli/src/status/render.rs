//! The status as text: parts, groups, members, partitions that lag, open transactions.

use super::{GroupStatus, MemberStatus, Status};
use crate::table::{Table, age};
use std::collections::BTreeMap;

/// `log_answers`: whether Kafka was there to be asked.
pub(super) fn render(status: &Status, log_answers: bool) -> String {
    let mut parts = Table::new(&["part", "state", "pid", "address", "version"]);
    for part in &status.parts {
        let (pid, version) = (part.pid.clone(), part.version.clone().unwrap_or_default());
        parts.row([part.part.clone(), part.state.clone(), pid, part.address.clone(), version]);
    }
    if !log_answers {
        return parts.to_string();
    }
    let sections = [parts.to_string(), groups(&status.groups), members(&status.groups), lagging(&status.groups)];
    let shown: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    format!("{}\n{}", shown.join("\n"), crate::tx::render(&status.open_transactions))
}

fn groups(groups: &[GroupStatus]) -> String {
    let mut table = Table::new(&["group", "state", "epoch", "members", "lag", "oldest unread", "snapshot"]);
    for group in groups {
        table.row([
            group.group.clone(),
            group.state.clone(),
            group.epoch.map_or_else(|| "-".into(), |epoch| epoch.to_string()),
            group.members.len().to_string(),
            group.lag_records.to_string(),
            age(group.oldest_unread_age_ms),
            age(group.snapshot_age_ms),
        ]);
    }
    table.to_string()
}

fn members(groups: &[GroupStatus]) -> String {
    let mut table = Table::new(&["member", "host", "epoch", "restoring", "holds"]);
    let all = groups.iter().flat_map(|group| &group.members);
    for member in all.clone() {
        table.row([
            member.instance_id.clone().unwrap_or_else(|| member.member_id.clone()),
            member.host.trim_start_matches('/').to_owned(),
            member.epoch.to_string(),
            restoring(member),
            holds(&member.partitions),
        ]);
    }
    if all.count() == 0 { String::new() } else { table.to_string() }
}

/// `2: 45 %`; `-` if nothing is being restored or the process does not say.
fn restoring(member: &MemberStatus) -> String {
    let one = |(partition, percent): (&i32, &u8)| format!("{partition}: {percent} %");
    let all: Vec<String> = member.restoring_percent.iter().flatten().map(one).collect();
    if all.is_empty() { "-".into() } else { all.join(", ") }
}

/// `0-3 of orders, trades.settled`: topics of which the same partitions are held come together.
fn holds(partitions: &BTreeMap<String, Vec<i32>>) -> String {
    let mut topics_of: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (topic, held) in partitions {
        let mut held: Vec<String> = held.iter().map(ToString::to_string).collect();
        held.sort();
        topics_of.entry(held.join(" ")).or_default().push(topic);
    }
    let lines: Vec<String> =
        topics_of.iter().map(|(held, topics)| format!("{held} of {}", topics.join(", "))).collect();
    if lines.is_empty() { "nothing".into() } else { lines.join("; ") }
}

fn lagging(groups: &[GroupStatus]) -> String {
    let mut table = Table::new(&["lags in", "group", "committed", "end", "lag", "oldest unread"]);
    let mut rows = 0;
    for group in groups {
        // What is left of a partition at rest is a transaction's marker: no record waits.
        for one in group.partitions.iter().filter(|one| one.oldest_unread_age_ms.is_some()) {
            rows += 1;
            table.row([
                format!("{}-{}", one.topic, one.partition),
                group.group.clone(),
                one.committed_offset.map_or_else(|| "-".into(), |offset| offset.to_string()),
                one.end_offset.to_string(),
                one.lag_records.to_string(),
                age(one.oldest_unread_age_ms),
            ]);
        }
    }
    if rows == 0 { String::new() } else { table.to_string() }
}
