//! What lies in partitions from given offsets on: whether a committed record is there, or only markers of transactions and
//! records of aborted ones, which no reader of committed records is shown. So it can be told whether a reader has all that
//! a partition held, although its offset stands below the partition's end.
//!
//! What is absent: the records themselves. The headers of their batches say enough.

use super::{Cluster, ProtocolError, accepted, present, topic_name};
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use std::collections::BTreeMap;

/// The last version that names topics.
const FETCH_VERSION: i16 = 12;
/// A request of a client, not of a replica.
const CLIENT: BrokerId = BrokerId(-1);
const READ_COMMITTED: i8 = 1;
/// No fetch session.
const NO_SESSION: i32 = -1;
/// Enough for many markers; a larger batch is asked for alone.
const PARTITION_MAX_BYTES: i32 = 64 << 10;
const MAX_BYTES: i32 = 16 << 20;

/// Sizes and places in the header of a batch (Kafka's message format 2).
pub(crate) const HEADER_BYTES: usize = 61;
const LENGTH_AT: usize = 8;
/// What the batch's length does not count: the base offset and the length.
pub(crate) const BEFORE_LENGTH_COUNTS: usize = 12;
const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const PRODUCER_ID_AT: usize = 43;
pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A partition from an offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Offset after the last record or marker, those of open transactions included.
    pub end: i64,
    /// First offset whose transaction is still open, else the end.
    pub last_stable: i64,
    /// The first committed record that was found.
    pub first_record: Option<i64>,
    /// Before this offset there is no other committed record than that.
    pub looked_to: i64,
}

impl Ahead {
    /// Whether no committed record lies before `offset`, as seen from where the look began.
    pub fn is_empty_before(&self, offset: i64) -> bool {
        self.first_record.map_or(self.looked_to >= offset, |first| first >= offset)
    }
}

/// Topic and partition.
type Place = (String, i32);

impl Cluster {
    /// What lies in each partition from an offset on.
    ///
    /// # Errors
    /// See [`ProtocolError`]; a partition that is not there is a refusal.
    pub fn ahead(&mut self, from: &BTreeMap<Place, i64>) -> Result<BTreeMap<Place, Ahead>, ProtocolError> {
        let mut topics: Vec<String> = from.keys().map(|(topic, _)| topic.clone()).collect();
        topics.dedup();
        let leaders = self.leaders(&topics)?;
        let mut by_leader: BTreeMap<String, BTreeMap<Place, i64>> = BTreeMap::new();
        for (place, offset) in from {
            let leader = present(leaders.get(place).cloned(), &place.0, place.1)?;
            by_leader.entry(leader).or_default().insert(place.clone(), *offset);
        }
        let mut found = BTreeMap::new();
        for (leader, from) in by_leader {
            let (mut of_leader, cut) = self.look(&leader, &from)?;
            // Of a batch that is larger than asked for the broker sends nothing, unless it comes first.
            for place in cut {
                let alone = BTreeMap::from([(place.clone(), from[&place])]);
                of_leader.extend(self.look(&leader, &alone)?.0);
            }
            found.extend(of_leader);
        }
        Ok(found)
    }

    /// As [`Self::ahead`] of one broker's partitions, and those of which it sent nothing although something is there.
    fn look(
        &mut self,
        leader: &str,
        from: &BTreeMap<Place, i64>,
    ) -> Result<(BTreeMap<Place, Ahead>, Vec<Place>), ProtocolError> {
        let answer = self.ask(leader, FETCH_VERSION, &request(from))?;
        accepted("a look ahead", answer.error_code)?;
        let (mut found, mut cut) = (BTreeMap::new(), Vec::new());
        for topic in &answer.responses {
            for data in &topic.partitions {
                let place = (topic.topic.to_string(), data.partition_index);
                accepted(format!("a look ahead in {}-{}", place.0, place.1), data.error_code)?;
                let Some(offset) = from.get(&place) else { continue };
                let ahead = ahead(data, *offset);
                if data.records.as_ref().is_none_or(|records| records.is_empty()) && *offset < ahead.last_stable {
                    cut.push(place.clone());
                }
                found.insert(place, ahead);
            }
        }
        Ok((found, cut))
    }
}

fn request(from: &BTreeMap<Place, i64>) -> FetchRequest {
    let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
    for ((topic, partition), offset) in from {
        let wanted = FetchPartition::default()
            .with_partition(*partition)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(*offset)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(PARTITION_MAX_BYTES);
        topics.entry(topic).or_default().push(wanted);
    }
    let topic =
        |(name, partitions): (&str, _)| FetchTopic::default().with_topic(topic_name(name)).with_partitions(partitions);
    FetchRequest::default()
        .with_replica_id(CLIENT)
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(MAX_BYTES)
        .with_isolation_level(READ_COMMITTED)
        .with_session_epoch(NO_SESSION)
        .with_topics(topics.into_iter().map(topic).collect())
}

fn ahead(data: &PartitionData, from: i64) -> Ahead {
    let aborted = data.aborted_transactions.iter().flatten();
    let aborted: Vec<(i64, i64)> = aborted.map(|one| (one.producer_id.0, one.first_offset)).collect();
    let (first_record, looked_to) = scan(data.records.as_deref().unwrap_or_default(), from, aborted);
    Ahead { end: data.high_watermark, last_stable: data.last_stable_offset, first_record, looked_to }
}

/// The first committed record at or after `from`, and how far the batches were looked at.
///
/// `aborted`: producer and first offset of each aborted transaction; each ends with its producer's next marker.
fn scan(mut records: &[u8], from: i64, mut aborted: Vec<(i64, i64)>) -> (Option<i64>, i64) {
    let mut looked_to = from;
    while let Some(batch) = Batch::read(records) {
        let at_producer = |(producer, first): &(i64, i64)| *producer == batch.producer_id && *first <= batch.last;
        let is_aborted = aborted.iter().position(at_producer);
        if batch.attributes & CONTROL != 0 {
            is_aborted.map(|place| aborted.swap_remove(place));
        } else if batch.last >= from && (batch.attributes & TRANSACTIONAL == 0 || is_aborted.is_none()) {
            return (Some(batch.base.max(from)), looked_to);
        }
        looked_to = looked_to.max(batch.last + 1);
        records = records.get(batch.bytes..).unwrap_or_default();
    }
    (None, looked_to)
}

/// What the header of a batch says.
struct Batch {
    base: i64,
    last: i64,
    attributes: i16,
    producer_id: i64,
    bytes: usize,
}

impl Batch {
    /// The header at the beginning of `records`; `None` if it is cut off.
    fn read(records: &[u8]) -> Option<Self> {
        let header = records.get(..HEADER_BYTES)?;
        let base = i64::from_be_bytes(at(header, 0)?);
        Some(Self {
            base,
            last: base + i64::from(i32::from_be_bytes(at(header, LAST_OFFSET_DELTA_AT)?)),
            attributes: i16::from_be_bytes(at(header, ATTRIBUTES_AT)?),
            producer_id: i64::from_be_bytes(at(header, PRODUCER_ID_AT)?),
            bytes: BEFORE_LENGTH_COUNTS + usize::try_from(i32::from_be_bytes(at(header, LENGTH_AT)?)).ok()?,
        })
    }
}

fn at<const BYTES: usize>(header: &[u8], place: usize) -> Option<[u8; BYTES]> {
    header.get(place..place + BYTES)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: i16 = 0;
    const IN_TRANSACTION: i16 = TRANSACTIONAL;
    const MARKER: i16 = TRANSACTIONAL | CONTROL;

    /// A batch whose records are 10 bytes of nothing.
    fn batch(base: i64, last: i64, attributes: i16, producer_id: i64) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + 10];
        let length = (bytes.len() - BEFORE_LENGTH_COUNTS) as i32;
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
        bytes[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
        bytes[LAST_OFFSET_DELTA_AT..LAST_OFFSET_DELTA_AT + 4].copy_from_slice(&((last - base) as i32).to_be_bytes());
        bytes[PRODUCER_ID_AT..PRODUCER_ID_AT + 8].copy_from_slice(&producer_id.to_be_bytes());
        bytes
    }

    #[test]
    fn markers_and_aborted_records_are_passed_over_and_committed_ones_found() {
        type Case = (&'static str, Vec<(i64, i64, i16, i64)>, Vec<(i64, i64)>, (Option<i64>, i64));
        let cases: [Case; 7] = [
            ("nothing", vec![], vec![], (None, 10)),
            ("a marker", vec![(10, 10, MARKER, 1)], vec![], (None, 11)),
            ("a record after a marker", vec![(10, 10, MARKER, 1), (11, 13, IN_TRANSACTION, 1)], vec![], (Some(11), 11)),
            ("a batch that begins before", vec![(8, 12, IN_TRANSACTION, 1)], vec![], (Some(10), 10)),
            ("a batch that ends before", vec![(8, 9, DATA, -1), (10, 10, MARKER, 1)], vec![], (None, 11)),
            (
                "an aborted transaction, then one of the same producer",
                vec![(10, 11, IN_TRANSACTION, 1), (12, 12, MARKER, 1), (13, 13, IN_TRANSACTION, 1)],
                vec![(1, 10)],
                (Some(13), 13),
            ),
            (
                "an aborted transaction around another's record",
                vec![
                    (10, 10, IN_TRANSACTION, 1),
                    (11, 11, IN_TRANSACTION, 2),
                    (12, 12, MARKER, 2),
                    (13, 13, MARKER, 1),
                ],
                vec![(1, 10)],
                (Some(11), 11),
            ),
        ];
        for (name, batches, aborted, expected) in cases {
            let bytes: Vec<u8> =
                batches.iter().flat_map(|(base, last, kind, id)| batch(*base, *last, *kind, *id)).collect();
            assert_eq!(scan(&bytes, 10, aborted), expected, "{name}");
        }
    }

    #[test]
    fn a_batch_that_is_cut_off_after_its_header_counts_and_one_cut_off_in_it_does_not() {
        let bytes = [batch(10, 10, MARKER, 1), batch(11, 20, DATA, -1)].concat();
        assert_eq!(scan(&bytes[..bytes.len() - 5], 10, vec![]), (Some(11), 11));
        assert_eq!(scan(&bytes[..bytes.len() - 20], 10, vec![]), (None, 11));
    }

    #[test]
    fn a_reader_below_the_end_has_all_if_no_record_is_between() {
        let ahead = |first_record, looked_to| Ahead { end: 20, last_stable: 20, first_record, looked_to };
        for (first_record, looked_to, before, expected) in [
            (None, 12, 12, true),
            (None, 12, 13, false),
            (Some(12), 12, 12, true),
            (Some(15), 13, 15, true),
            (Some(12), 12, 13, false),
        ] {
            assert_eq!(ahead(first_record, looked_to).is_empty_before(before), expected, "{first_record:?} {before}");
        }
    }
}
