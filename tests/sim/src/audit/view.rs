//! Folds the log up to the offsets that a view states, and compares.

use super::{Checked, Decoders, Invariant, ensure};
use crate::broker::Broker;
use crate::sinks::{Database, Kind, Store};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use tapeline_runtime::port::Record;
use tapeline_runtime::sink::Event;
use tapeline_schemas::topic;
use tapeline_schemas::wire::Bucket;

/// What the auditor holds of one view.
#[derive(Default)]
pub(super) struct View {
    writes: u64,
    stated: BTreeMap<(SmolStr, i32), i64>,
    balances: BTreeMap<(SmolStr, SmolStr, bool), i128>,
    counts: BTreeMap<SmolStr, u64>,
}

/// What a sink must see in a record; `None` if nobody can read it.
fn event(decoders: &mut Decoders, name: &str, record: &Record) -> Option<Event> {
    let (key, payload) = (record.key.as_deref(), record.payload.as_deref());
    match name {
        topic::ORDERS => {
            let command = decoders.command.decode(payload).ok();
            command.filter(|command| key == Some(command.account.as_bytes())).map(Event::Command)
        }
        topic::VALIDATED => decoders.validated.decode(payload).ok().map(Event::Validated),
        topic::REJECTED => decoders.rejected.decode(payload).ok().map(Event::Rejected),
        topic::EXECUTED => decoders.executed.decode(payload).ok().map(Event::Executed),
        topic::SETTLED => decoders.settled.decode(payload).ok().map(Event::Settled),
        _ => {
            let tick = decoders.market.decode(payload).ok();
            tick.filter(|tick| key == Some(tick.instrument.as_bytes())).map(Event::Market)
        }
    }
}

impl View {
    /// Follows the view to what it states now.
    pub(super) fn follow(&mut self, decoders: &mut Decoders, broker: &Broker, store: &Store) -> Checked {
        let database = store.lock().map_err(|error| (Invariant::ViewIsFold, error.to_string()))?;
        if database.writes == self.writes {
            return Ok(());
        }
        self.writes = database.writes;
        for ((name, partition), to) in &database.stated {
            let from = self.stated.insert((name.clone(), *partition), *to).unwrap_or(0);
            let end = broker.stable_end(name, *partition);
            ensure(*to >= from && *to <= end, Invariant::ViewIsFold, || {
                format!("{name}, partition {partition}: the view goes from {from} to {to}, the log ends at {end}")
            })?;
            let mut at = from;
            while let Some(record) = broker.read(name, *partition, at, *to) {
                at = record.offset + 1;
                self.fold(decoders, &database, name, record)?;
            }
        }
        if database.kind == Kind::Transactional {
            ensure(self.counts == database.counts, Invariant::ViewIsFold, || {
                format!("rows by topic: the view has {:?}, the log {:?}", database.counts, self.counts)
            })?;
            ensure(self.balances == database.balances, Invariant::ViewIsFold, || {
                format!("balances: the view has {:?}, the log {:?}", database.balances, self.balances)
            })?;
        }
        Ok(())
    }

    fn fold(&mut self, decoders: &mut Decoders, database: &Database, name: &SmolStr, record: &Record) -> Checked {
        let expected = event(decoders, name, record);
        if database.kind == Kind::Replacing {
            let place = (name.clone(), record.partition, record.offset);
            let found = database.rows.get(&place);
            return ensure(found == expected.as_ref(), Invariant::ViewIsFold, || {
                format!("{place:?}: the view has {found:?}, the log {expected:?}")
            });
        }
        let Some(expected) = expected else { return Ok(()) };
        *self.counts.entry(name.clone()).or_default() += 1;
        if let Event::Settled(settlement) = expected {
            for line in settlement.postings {
                let place = (line.account, line.asset, line.bucket == Bucket::Reserved);
                *self.balances.entry(place).or_default() += i128::from(line.amount);
            }
        }
        Ok(())
    }

    /// The view stands at the end of its log and shows no row twice.
    pub(super) fn at_rest(&self, broker: &Broker, store: &Store) -> Checked {
        let database = store.lock().map_err(|error| (Invariant::ViewIsFold, error.to_string()))?;
        for ((name, partition), stated) in &database.stated {
            ensure(broker.is_drained(name, *partition, *stated), Invariant::Liveness, || {
                format!("{name}, partition {partition}: the view stands at {stated}")
            })?;
        }
        Ok(())
    }
}
