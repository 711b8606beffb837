//! Record batches in Kafka's message format 2 (<https://kafka.apache.org/documentation/#recordbatch>), as a transactional
//! producer writes them.
//!
//! What is absent: reading them, and any knowledge of topics.

use crate::protocol::{BEFORE_LENGTH_COUNTS, HEADER_BYTES, TRANSACTIONAL};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use std::io::Write;
use tapeline_runtime::port::OutView;

/// Most that one batch holds before compression, as librdkafka has it: a topic's `max.message.bytes` is compared with what is
/// left of it afterwards. A single record that is larger has a batch of its own.
const MAX_BYTES: usize = 1_000_000;
const MAX_RECORDS: i32 = 10_000;

const MAGIC: u8 = 2;
const UNKNOWN_LEADER_EPOCH: i32 = -1;
const LZ4: i16 = 3;
/// Where the checksum stands, and the bytes that it is of begin.
const CHECKSUM_AT: usize = 17;
const CHECKED_FROM: usize = CHECKSUM_AT + 4;

/// Who writes, in which life: its epoch grows with each transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
}

/// Records of one partition that are written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The records as they stand in a batch, one behind the other.
    records: Vec<u8>,
    count: i32,
}

impl Batch {
    /// Number of records.
    pub(super) fn count(&self) -> i32 {
        self.count
    }

    /// Whether `record` belongs in this batch, not in the next.
    pub(super) fn has_room_for(&self, record: &OutView<'_>) -> bool {
        let bytes = record.key.map_or(0, <[u8]>::len) + record.payload.map_or(0, <[u8]>::len);
        self.count == 0 || (self.count < MAX_RECORDS && self.records.len() + bytes <= MAX_BYTES)
    }

    /// Forgets its records, and keeps the memory for the next ones.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.count = 0;
    }

    /// Appends a record.
    pub(super) fn push(&mut self, record: &OutView<'_>) {
        /// Attributes and the difference to the batch's timestamp, a byte each: both are zero.
        const ALWAYS_THERE: usize = 2;
        let headers: usize = record.headers.iter().map(|(name, value)| sized(name.len()) + sized(value.len())).sum();
        let bytes = ALWAYS_THERE
            + varint_bytes(i64::from(self.count))
            + record.key.map_or(1, |key| sized(key.len()))
            + record.payload.map_or(1, |payload| sized(payload.len()))
            + varint_bytes(record.headers.len() as i64)
            + headers;
        let out = &mut self.records;
        varint(bytes as i64, out);
        out.extend_from_slice(&[0; ALWAYS_THERE]);
        varint(i64::from(self.count), out);
        optional(record.key, out);
        optional(record.payload, out);
        varint(record.headers.len() as i64, out);
        for (name, value) in record.headers {
            optional(Some(name.as_bytes()), out);
            optional(Some(value), out);
        }
        self.count += 1;
    }

    /// The batch as it goes to the broker. `sequence` is the number of records that `writer` has written to the partition
    /// before; `now_ms` is in milliseconds since the Unix epoch.
    pub(super) fn encode(&self, writer: Identity, sequence: i32, now_ms: i64) -> Vec<u8> {
        let compressed = compress(&self.records).filter(|compressed| compressed.len() < self.records.len());
        let (codec, body) = compressed.as_ref().map_or((0, &self.records), |compressed| (LZ4, compressed));
        let length = (HEADER_BYTES - BEFORE_LENGTH_COUNTS + body.len()) as i32;
        let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
        out.extend_from_slice(&0_i64.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&UNKNOWN_LEADER_EPOCH.to_be_bytes());
        out.push(MAGIC);
        out.extend_from_slice(&[0; CHECKED_FROM - CHECKSUM_AT]);
        out.extend_from_slice(&(TRANSACTIONAL | codec).to_be_bytes());
        out.extend_from_slice(&(self.count - 1).to_be_bytes());
        out.extend_from_slice(&now_ms.to_be_bytes());
        out.extend_from_slice(&now_ms.to_be_bytes());
        out.extend_from_slice(&writer.producer_id.to_be_bytes());
        out.extend_from_slice(&writer.epoch.to_be_bytes());
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(body);
        let checksum = crc32c::crc32c(&out[CHECKED_FROM..]);
        out[CHECKSUM_AT..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
        out
    }
}

/// One LZ4 frame of independent blocks, the only ones that Kafka's own reader takes. `None` if it can't be made.
fn compress(records: &[u8]) -> Option<Vec<u8>> {
    let frame = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::with_capacity(records.len() / 2));
    encoder.write_all(records).ok()?;
    encoder.finish().ok()
}

/// Length of a string with its own length before it.
fn sized(bytes: usize) -> usize {
    varint_bytes(bytes as i64) + bytes
}

/// A string with its length before it; −1 stands for none.
fn optional(string: Option<&[u8]>, out: &mut Vec<u8>) {
    match string {
        Some(string) => {
            varint(string.len() as i64, out);
            out.extend_from_slice(string);
        }
        None => varint(-1, out),
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint_bytes(value: i64) -> usize {
    (u64::BITS - (zigzag(value) | 1).leading_zeros()).div_ceil(7) as usize
}

/// As Protocol Buffers' `sint64`.
fn varint(value: i64, out: &mut Vec<u8>) {
    let mut left = zigzag(value);
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kafka_protocol::records::{Compression, RecordBatchDecoder, RecordSet};
    use std::io::Read;

    const WRITER: Identity = Identity { producer_id: 77, epoch: 12 };

    /// What kafka-protocol, which is not ours, reads of it.
    fn decoded(batch: &[u8]) -> RecordSet {
        let unpack = |bytes: &mut Bytes, compression: Compression| {
            if compression == Compression::None {
                return Ok(bytes.clone());
            }
            assert_eq!(compression, Compression::Lz4);
            let mut unpacked = Vec::new();
            lz4_flex::frame::FrameDecoder::new(&bytes[..]).read_to_end(&mut unpacked)?;
            Ok(Bytes::from(unpacked))
        };
        let mut bytes = Bytes::copy_from_slice(batch);
        RecordBatchDecoder::decode_with_custom_compression(&mut bytes, Some(unpack)).expect("it can be read")
    }

    fn view<'a>(key: Option<&'a [u8]>, payload: Option<&'a [u8]>, headers: &'a [(String, Vec<u8>)]) -> OutView<'a> {
        OutView { topic: "t", partition: None, key, payload, headers }
    }

    #[test]
    fn what_is_written_is_what_another_implementation_reads() {
        let headers = [("reason".to_owned(), b"none".to_vec()), (String::new(), Vec::new())];
        let long = vec![7; 70_000];
        let all = [
            view(Some(b"key"), Some(b"payload"), &[]),
            view(None, Some(b""), &headers),
            view(Some(b""), None, &[]),
            view(Some(&long[..128]), Some(&long), &headers[..1]),
        ];
        // A single small record does not get shorter by compression, many do.
        for count in [1, 4, 500] {
            let mut batch = Batch::default();
            all.iter().cycle().take(count).for_each(|record| batch.push(record));
            let set = decoded(&batch.encode(WRITER, 40, 1_700_000_000_000));
            assert_eq!(set.records.len(), count);
            for (place, (read, written)) in set.records.iter().zip(all.iter().cycle()).enumerate() {
                assert_eq!(read.key.as_deref(), written.key, "{place}");
                assert_eq!(read.value.as_deref(), written.payload, "{place}");
                let headers: Vec<_> =
                    read.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
                let expected: Vec<_> =
                    written.headers.iter().map(|(name, value)| (name.as_str(), Some(&value[..]))).collect();
                assert_eq!(headers, expected, "{place}");
                assert_eq!((read.offset, read.sequence), (place as i64, 40 + place as i32));
                assert_eq!((read.producer_id, read.producer_epoch, read.timestamp), (77, 12, 1_700_000_000_000));
                assert!(read.transactional && !read.control, "{place}");
            }
        }
    }

    #[test]
    fn a_damaged_batch_is_noticed() {
        let mut batch = Batch::default();
        batch.push(&view(Some(b"key"), Some(b"payload"), &[]));
        let encoded = batch.encode(WRITER, 0, 1);
        for place in CHECKED_FROM..encoded.len() {
            let mut damaged = encoded.clone();
            damaged[place] ^= 1;
            let read = RecordBatchDecoder::decode_all(&mut Bytes::from(damaged));
            assert!(read.is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_batch_is_full_at_its_number_of_records_and_at_its_bytes_but_never_too_small_for_one() {
        let big = vec![0; MAX_BYTES + 1];
        let mut batch = Batch::default();
        assert!(batch.has_room_for(&view(None, Some(&big), &[])));
        batch.push(&view(None, Some(&big), &[]));
        assert!(!batch.has_room_for(&view(None, None, &[])));
        batch.clear();
        for _ in 0..MAX_RECORDS {
            assert!(batch.has_room_for(&view(Some(b"k"), Some(b"v"), &[])));
            batch.push(&view(Some(b"k"), Some(b"v"), &[]));
        }
        assert!(!batch.has_room_for(&view(None, None, &[])));
    }

    #[test]
    fn varints_have_as_many_bytes_as_are_foretold() {
        for value in [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            varint(value, &mut out);
            assert_eq!(out.len(), varint_bytes(value), "{value}");
        }
    }
}
