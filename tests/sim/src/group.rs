//! A consumer group of the simulated broker: members with epochs, a target assignment that keeps equal partitions of all
//! inputs together, partitions that move only when their owner lets go, committed and pending offsets.

use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use tapeline_runtime::port::InputPartition;

/// How long the group waits for a silent member, milliseconds.
pub(crate) const SESSION_TIMEOUT_MS: i64 = 45_000;

/// What a member learns when it polls.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// The group does not know the member any more.
    Lost,
    Assigned(Vec<InputPartition>),
    Revoked(Vec<InputPartition>),
}

#[derive(Debug, Default)]
struct Member {
    owned: BTreeSet<InputPartition>,
    target: BTreeSet<InputPartition>,
    last_seen_ms: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Partitions of each input that is assigned (broadcast inputs have none).
    partitions: Vec<i32>,
    /// Members in the order of the assignment.
    order: Vec<u64>,
    members: BTreeMap<u64, Member>,
    offsets: BTreeMap<InputPartition, i64>,
    /// How often partitions were given out anew.
    pub(crate) assignments: u64,
    /// Offsets of transactions that are not complete yet.
    pending: BTreeMap<u64, Vec<(InputPartition, i64)>>,
}

impl Group {
    pub(crate) fn new(partitions: Vec<i32>) -> Self {
        Self { partitions, ..Self::default() }
    }

    pub(crate) fn join(&mut self, member: u64, now_ms: i64) {
        self.members.insert(member, Member { last_seen_ms: now_ms, ..Member::default() });
        self.order.push(member);
        self.assign();
    }

    /// Whether the member was there.
    pub(crate) fn remove(&mut self, member: u64) -> bool {
        let known = self.members.remove(&member).is_some();
        self.order.retain(|other| *other != member);
        self.assign();
        known
    }

    /// Whether every member is one of `alive` and holds what it shall hold.
    pub(crate) fn is_settled(&self, alive: &[u64]) -> bool {
        let settled = |(id, member): (&u64, &Member)| alive.contains(id) && member.owned == member.target;
        !self.members.is_empty() && self.members.iter().all(settled)
    }

    pub(crate) fn knows(&self, member: u64) -> bool {
        self.members.contains_key(&member)
    }

    pub(crate) fn members(&self) -> &[u64] {
        &self.order
    }

    pub(crate) fn shuffle(&mut self, dice: &mut Dice) {
        dice.shuffle(&mut self.order);
        self.assign();
    }

    pub(crate) fn heartbeat(&mut self, member: u64, now_ms: i64) {
        if let Some(member) = self.members.get_mut(&member) {
            member.last_seen_ms = now_ms;
        }
    }

    /// A member that has been silent for too long.
    pub(crate) fn silent(&self, now_ms: i64) -> Option<u64> {
        let silent = |(_, member): &(&u64, &Member)| now_ms - member.last_seen_ms > SESSION_TIMEOUT_MS;
        self.members.iter().find(silent).map(|(member, _)| *member)
    }

    /// Partition p of all inputs goes to the same member, ranges of partitions to members in their order.
    fn assign(&mut self) {
        self.assignments += 1;
        for member in self.members.values_mut() {
            member.target.clear();
        }
        if self.order.is_empty() {
            return;
        }
        for (input, partitions) in self.partitions.iter().enumerate() {
            for partition in 0..*partitions {
                let place = partition as usize * self.order.len() / *partitions as usize;
                if let Some(member) = self.members.get_mut(&self.order[place]) {
                    member.target.insert((input, partition));
                }
            }
        }
    }

    /// Lets a member take part: it gives up first what others wait for, then gets what is free. `piece` cuts the change.
    pub(crate) fn poll(&mut self, id: u64, now_ms: i64, piece: impl FnOnce(&mut Vec<InputPartition>)) -> Change {
        let Some(member) = self.members.get_mut(&id) else { return Change::Lost };
        member.last_seen_ms = now_ms;
        let mut given_up: Vec<InputPartition> = member.owned.difference(&member.target).copied().collect();
        if !given_up.is_empty() {
            piece(&mut given_up);
            member.owned.retain(|at| !given_up.contains(at));
            return Change::Revoked(given_up);
        }
        if member.owned.len() == member.target.len() {
            return Change::Nothing;
        }
        let wanted: Vec<InputPartition> = member.target.difference(&member.owned).copied().collect();
        let mut free: Vec<InputPartition> =
            wanted.into_iter().filter(|at| !self.members.values().any(|other| other.owned.contains(at))).collect();
        if free.is_empty() {
            return Change::Nothing;
        }
        piece(&mut free);
        if let Some(member) = self.members.get_mut(&id) {
            member.owned.extend(free.iter().copied());
        }
        Change::Assigned(free)
    }

    /// The committed offset; `Err` while a transaction is open on it.
    pub(crate) fn committed(&self, at: InputPartition) -> Result<Option<i64>, ()> {
        let unstable = self.pending.values().flatten().any(|(pending, _)| *pending == at);
        if unstable { Err(()) } else { Ok(self.offsets.get(&at).copied()) }
    }

    pub(crate) fn hold(&mut self, transaction: u64, offsets: &[(InputPartition, i64)]) {
        self.pending.entry(transaction).or_default().extend_from_slice(offsets);
    }

    /// The marker of a transaction reaches the offsets.
    pub(crate) fn complete(&mut self, transaction: u64, commit: bool) {
        let held = self.pending.remove(&transaction).unwrap_or_default();
        if commit {
            self.offsets.extend(held);
        }
    }

    /// Offsets that are moved outside transactions, by sinks.
    pub(crate) fn set(&mut self, offsets: &[(InputPartition, i64)]) {
        self.offsets.extend(offsets.iter().copied());
    }
}
