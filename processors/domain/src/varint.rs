//! Integers as variable-length quantities: seven bits a byte, the lowest first, as in
//! [Avro](https://avro.apache.org/docs/1.12.0/specification/#binary-encoding); signed ones zigzag-coded before.
//!
//! Every record and every image is full of them, so up to eight bytes are read and written at once, without a loop.

/// Why there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misread {
    /// The bytes end within it.
    EndsEarly,
    /// It has more than 64 bits.
    TooLarge,
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// So many bits are in eight bytes.
const BITS_IN_WORD: u32 = 56;

/// Appends `value`.
#[inline]
pub fn write(value: u64, out: &mut Vec<u8>) {
    if value < 0x80 {
        out.push(value as u8);
    } else if value >> BITS_IN_WORD == 0 {
        let bytes = (u64::BITS - value.leading_zeros()).div_ceil(7);
        let word = to_sevens(value) | (HIGH_BITS & ((1 << (8 * (bytes - 1))) - 1));
        let end = out.len() + bytes as usize;
        out.extend_from_slice(&word.to_le_bytes());
        out.truncate(end);
    } else {
        let mut rest = value;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
}

/// Takes a number from the front of `bytes`, which is what follows afterwards.
///
/// # Errors
/// [`Misread`]; `bytes` is then anywhere.
#[inline]
pub fn read(bytes: &mut &[u8]) -> Result<u64, Misread> {
    if let Some(chunk) = bytes.first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let ends = !word & HIGH_BITS;
        if ends != 0 {
            *bytes = &bytes[ends.trailing_zeros() as usize / 8 + 1..];
            return Ok(of_sevens(word & (ends ^ (ends - 1))));
        }
    }
    read_by_byte(bytes)
}

/// A number near the end of the bytes, or of more than eight.
fn read_by_byte(bytes: &mut &[u8]) -> Result<u64, Misread> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Misread::EndsEarly)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if *byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Misread::TooLarge)
}

/// Small numbers of either sign as small ones.
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// What [`zigzag`] made `coded` of.
pub const fn unzigzag(coded: u64) -> i64 {
    (coded >> 1) as i64 ^ -((coded & 1) as i64)
}

/// The low seven bits of each byte, one behind the other.
const fn of_sevens(word: u64) -> u64 {
    let twos = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (twos & 0x0000_3fff_0000_3fff) | ((twos & 0x3fff_0000_3fff_0000) >> 2);
    (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4)
}

/// The other way.
const fn to_sevens(value: u64) -> u64 {
    let fours = (value & 0x0fff_ffff) | ((value & 0x00ff_ffff_f000_0000) << 4);
    let twos = (fours & 0x0000_3fff_0000_3fff) | ((fours & 0x0fff_c000_0fff_c000) << 2);
    (twos & 0x007f_007f_007f_007f) | ((twos & 0x3f80_3f80_3f80_3f80) << 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_come_back_and_leave_what_follows() {
        let around = |shift: u32| [(1_u64 << shift) - 1, 1 << shift, (1 << shift) + 1];
        for value in (0..64).flat_map(around).chain([u64::MAX]) {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            assert_eq!(bytes.len(), ((64 - value.leading_zeros()).div_ceil(7) as usize).max(1), "{value}");
            assert_eq!(read(&mut &bytes[..]), Ok(value));
            for follows in [0x00, 0xff] {
                let mut more = bytes.clone();
                more.extend([follows; 10]);
                let mut rest = &more[..];
                assert_eq!(read(&mut rest), Ok(value));
                assert_eq!(rest, &more[bytes.len()..]);
            }
        }
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!((zigzag(-1), zigzag(1), zigzag(i64::MIN)), (1, 2, u64::MAX));
    }

    #[test]
    fn what_ends_early_or_is_too_large_is_refused() {
        assert_eq!(read(&mut &[][..]), Err(Misread::EndsEarly));
        assert_eq!(read(&mut &[0xff; 3][..]), Err(Misread::EndsEarly));
        assert_eq!(read(&mut &[0xff; 9][..]), Err(Misread::EndsEarly));
        assert_eq!(read(&mut &[0xff; 10][..]), Err(Misread::TooLarge));
        assert_eq!(read(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]), Err(Misread::TooLarge));
        assert_eq!(read(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..]), Ok(u64::MAX));
    }
}
