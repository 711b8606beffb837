//! `book.depth`, both ways.

use super::{Unfit, need};
use crate::wire;
use tapeline_domain::depth::{DepthKind, DepthUpdate};
use tapeline_domain::execution::Level;

impl From<&wire::DepthLevel> for Level {
    fn from(level: &wire::DepthLevel) -> Self {
        Self { price: level.price, quantity: level.quantity }
    }
}

impl From<&DepthUpdate> for wire::BookDepth {
    fn from(update: &DepthUpdate) -> Self {
        let levels = |levels: &[Level]| -> Vec<wire::DepthLevel> {
            levels.iter().map(|level| wire::DepthLevel { price: level.price, quantity: level.quantity }).collect()
        };
        let (kind, part, parts, command_id, commanded_at_ms) = match update.kind {
            DepthKind::Delta { command_id, commanded_at_ms } => {
                (wire::DepthKind::Delta, 0, 1, Some(command_id), Some(commanded_at_ms))
            }
            DepthKind::Snapshot { part, parts } => (wire::DepthKind::Snapshot, part, parts, None, None),
        };
        Self {
            kind,
            instrument: update.instrument.clone(),
            sequence: update.sequence,
            part,
            parts,
            bids: levels(&update.bids),
            asks: levels(&update.asks),
            checksum: i64::from(update.checksum),
            command_id,
            commanded_at_ms,
            validated_at_ms: update.validated_at_ms,
        }
    }
}

impl TryFrom<wire::BookDepth> for DepthUpdate {
    type Error = Unfit;

    fn try_from(record: wire::BookDepth) -> Result<Self, Unfit> {
        let kind = match record.kind {
            wire::DepthKind::Delta => DepthKind::Delta {
                command_id: need("command_id", "DELTA", record.command_id)?,
                commanded_at_ms: need("commanded_at_ms", "DELTA", record.commanded_at_ms)?,
            },
            wire::DepthKind::Snapshot => DepthKind::Snapshot { part: record.part, parts: record.parts },
            wire::DepthKind::Unknown => {
                return Err(Unfit("DepthKind has a symbol that this version does not know".into()));
            }
        };
        let levels = |levels: Vec<wire::DepthLevel>| levels.iter().map(Level::from).collect();
        Ok(Self {
            instrument: record.instrument,
            kind,
            sequence: record.sequence,
            bids: levels(record.bids),
            asks: levels(record.asks),
            checksum: u32::try_from(record.checksum)
                .map_err(|_| Unfit("a checksum has 32 bits: from 0 to 4294967295".into()))?,
            validated_at_ms: record.validated_at_ms,
        })
    }
}
