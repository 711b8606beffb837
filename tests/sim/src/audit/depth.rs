//! The depth that is told, followed level by level: each change counts one on, each snapshot is what the changes have made, and
//! at rest it is what the orders show that the executions left in the books.

use super::flow::Flow;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use tapeline_schemas::wire::{BookDepth, DepthKind, DepthLevel};

/// What shows at each price.
type Levels = BTreeMap<i64, i64>;

#[derive(Default)]
struct Told {
    sequence: i64,
    bids: Levels,
    asks: Levels,
    /// Levels of the parts of a snapshot so far, and how many parts.
    coming: (Levels, Levels, i32),
}

/// All books as told.
#[derive(Default)]
pub(super) struct Depth(BTreeMap<SmolStr, Told>);

/// The checksum as the schema documents it.
fn checksum(bids: &Levels, asks: &Levels) -> i64 {
    let of = |side: u8, levels: &Levels| {
        let sum = |(price, quantity): (&i64, &i64)| {
            let bytes = [&[side][..], &price.to_be_bytes(), &quantity.to_be_bytes()].concat();
            i64::from(crc32fast::hash(&bytes))
        };
        levels.iter().map(sum).sum::<i64>()
    };
    (of(b'B', bids) + of(b'S', asks)) % (1 << 32)
}

impl Depth {
    pub(super) fn follow(&mut self, record: &BookDepth) -> Result<(), String> {
        let told = self.0.entry(record.instrument.clone()).or_default();
        let wrong = |what: &str| format!("depth of {}, sequence {}: {what}", record.instrument, record.sequence);
        match record.kind {
            DepthKind::Delta => {
                if record.sequence != told.sequence + 1 {
                    return Err(wrong(&format!("{} came before it", told.sequence)));
                }
                told.sequence = record.sequence;
                change(&mut told.bids, &record.bids).map_err(wrong)?;
                change(&mut told.asks, &record.asks).map_err(wrong)?;
            }
            DepthKind::Snapshot => {
                let (bids, asks, parts) = &mut told.coming;
                if record.sequence != told.sequence || record.part != *parts {
                    return Err(wrong("this part of a snapshot has another place"));
                }
                bids.extend(record.bids.iter().map(|level| (level.price, level.quantity)));
                asks.extend(record.asks.iter().map(|level| (level.price, level.quantity)));
                *parts += 1;
                if *parts == record.parts {
                    let (bids, asks, _) = std::mem::take(&mut told.coming);
                    if (&bids, &asks) != (&told.bids, &told.asks) {
                        return Err(wrong("the snapshot is not what the changes before it made"));
                    }
                }
            }
            DepthKind::Unknown => return Err(wrong("it is of no known kind")),
        }
        let found = checksum(&told.bids, &told.asks);
        if found != record.checksum {
            return Err(wrong(&format!("the checksum is {}, the levels have {found}", record.checksum)));
        }
        Ok(())
    }

    /// What was told is what shows.
    pub(super) fn at_rest(&self, flow: &Flow) -> Result<(), String> {
        let told: BTreeMap<&SmolStr, _> =
            self.0.iter().map(|(name, told)| (name, [told.bids.clone(), told.asks.clone()])).collect();
        for (instrument, shown) in flow.shown() {
            let told = told.get(instrument).cloned().unwrap_or_default();
            if told != shown {
                return Err(format!("depth of {instrument}: told {told:?}, the orders show {shown:?}"));
            }
        }
        Ok(())
    }
}

fn change(levels: &mut Levels, changes: &[DepthLevel]) -> Result<(), &'static str> {
    for DepthLevel { price, quantity } in changes {
        let before = if *quantity == 0 { levels.remove(price) } else { levels.insert(*price, *quantity) };
        if before.unwrap_or(0) == *quantity {
            return Err("a level is told that did not change");
        }
    }
    Ok(())
}
