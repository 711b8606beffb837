//! The names of the topics that code refers to. Partitions, keys and retention are in `topology.toml`.

/// Commands of accounts, keyed by account.
pub const ORDERS: &str = "orders";
/// Accepted commands, keyed by instrument (transfers: by account).
pub const VALIDATED: &str = "orders.validated";
/// Refused commands, keyed by account.
pub const REJECTED: &str = "orders.rejected";
/// What the book did, keyed by instrument (transfers: by account).
pub const EXECUTED: &str = "trades.executed";
/// Changes and snapshots of the displayed books, keyed by instrument.
pub const DEPTH: &str = "book.depth";
/// Ledger postings, keyed by account.
pub const SETTLED: &str = "trades.settled";
/// Reference data of instruments, compacted, keyed by symbol.
pub const INSTRUMENTS: &str = "reference.instruments";
/// Reference data of accounts, compacted, keyed by account.
pub const ACCOUNTS: &str = "reference.accounts";
/// Trades and quotes of outside venues, keyed by instrument.
pub const MARKET_TICKS: &str = "market.ticks";
/// Ticks that say that time passes, one to each partition.
pub const CLOCK: &str = "clock";
/// Users of the gateway, compacted, keyed by user id.
pub const IDENTITY_USERS: &str = "identity.users";
/// Families of refresh tokens, compacted, keyed by family id.
pub const IDENTITY_SESSIONS: &str = "identity.sessions";
/// API keys, compacted, keyed by key id.
pub const IDENTITY_KEYS: &str = "identity.keys";
/// Public halves of the gateways' signing keys, compacted, keyed by kid.
pub const IDENTITY_SIGNERS: &str = "identity.signers";
/// What was done with users, sessions and keys, keyed by user id or address.
pub const GATEWAY_AUDIT: &str = "gateway.audit";

/// Ending of a dead-letter topic's name: `orders.dlq` holds what could not be read from `orders`.
pub const DEAD_LETTER_SUFFIX: &str = ".dlq";

/// Key of the partition: Kafka's murmur2, as Java's default partitioner and librdkafka's `murmur2` compute it.
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions.max(1)
}

/// Kafka's variant of MurmurHash2 (seed 0x9747b28c), as in `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h: u32 = 0x9747_b28c ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * index);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from Apache Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_equals_kafkas_own_test_vectors() {
        let cases: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (input, expected) in cases {
            assert_eq!(murmur2(input) as i32, expected, "{input:?}");
        }
    }
}
