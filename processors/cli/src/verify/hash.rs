//! PostgreSQL's `hashtextextended(text, 0)`, so that a row hashed in the database can be hashed here too.
//!
//! It is Bob Jenkins' lookup3 over the text's bytes, 64 bits of it (`hash_bytes_extended` in PostgreSQL's
//! `src/common/hashfn.c`). PostgreSQL can't change it: hash-partitioned tables are stored by it.

/// The hash with seed 0.
pub(super) fn text_hash(text: &[u8]) -> u64 {
    let start = 0x9e37_79b9_u32.wrapping_add(text.len() as u32).wrapping_add(3_923_095);
    let (mut a, mut b, mut c) = (start, start, start);
    let mut blocks = text.chunks_exact(12);
    for block in &mut blocks {
        a = a.wrapping_add(word(&block[..4]));
        b = b.wrapping_add(word(&block[4..8]));
        c = c.wrapping_add(word(&block[8..]));
        mix(&mut a, &mut b, &mut c);
    }
    let rest = blocks.remainder();
    let of = |from: usize, to: usize| word(&rest[from.min(rest.len())..to.min(rest.len())]);
    a = a.wrapping_add(of(0, 4));
    b = b.wrapping_add(of(4, 8));
    // The lowest byte of c is kept for the length.
    c = c.wrapping_add(of(8, 11) << 8);
    finish(&mut a, &mut b, &mut c);
    u64::from(b) << 32 | u64::from(c)
}

/// Up to four bytes, the first one lowest.
fn word(bytes: &[u8]) -> u32 {
    match bytes.try_into() {
        Ok(bytes) => u32::from_le_bytes(bytes),
        Err(_) => bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)),
    }
}

fn mix(a: &mut u32, b: &mut u32, c: &mut u32) {
    let step = |x: &mut u32, y: &mut u32, z: &mut u32, turn: u32| {
        *x = x.wrapping_sub(*z) ^ z.rotate_left(turn);
        *z = z.wrapping_add(*y);
    };
    step(a, b, c, 4);
    step(b, c, a, 6);
    step(c, a, b, 8);
    step(a, b, c, 16);
    step(b, c, a, 19);
    step(c, a, b, 4);
}

fn finish(a: &mut u32, b: &mut u32, c: &mut u32) {
    let step = |x: &mut u32, y: u32, turn: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(turn));
    step(c, *b, 14);
    step(a, *c, 11);
    step(b, *a, 25);
    step(c, *b, 16);
    step(a, *c, 4);
    step(b, *a, 14);
    step(c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from `SELECT hashtextextended(text, 0)` in PostgreSQL 17.
    #[test]
    fn hashes_are_those_of_postgresql() {
        let cases = [
            ("", -6_939_563_903_564_495_251),
            ("a", 3_591_986_179_850_072_241),
            ("abcd", -1_038_429_303_365_892_052),
            ("abcdefgh", -8_882_191_227_074_733_005),
            ("abcdefghijk", 3_112_909_444_737_856_467),
            ("abcdefghijkl", -7_556_637_188_122_330_412),
            ("abcdefghijklmnop", 878_954_068_520_307_163),
            ("zażółć gęślą jaźń, 12 bytes and more", -4_971_734_132_281_880_582),
        ];
        for (text, expected) in cases {
            assert_eq!(text_hash(text.as_bytes()) as i64, expected, "{text}");
        }
    }
}
