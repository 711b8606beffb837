//! Damages an input: blindly (bits, cuts, copies) and with the formats in mind (varints, lengths, frames, cells of text).

use crate::dice::Dice;

/// Inputs grow no further than this.
const MAX_BYTES: usize = 16_384;
/// Most changes to one input.
const MAX_CHANGES: usize = 4;
/// One in so many inputs is made of nothing but random bytes.
const RANDOM_EVERY: usize = 50;

/// Numbers at which readers go wrong.
const EXTREMES: [i64; 16] = [
    0,
    1,
    -1,
    2,
    63,
    64,
    127,
    128,
    8_192,
    1 << 20,
    i32::MAX as i64,
    i32::MIN as i64,
    1 << 44,
    1 << 62,
    i64::MAX,
    i64::MIN,
];
/// What such numbers, and things that are none, look like in text.
const WORDS: [&str; 14] = [
    "0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999",
    "1e9",
    "0.00000001",
    "0.000000001",
    ".",
    "",
    "NaN",
    "true",
    "\u{0}",
    "\u{fffd}\u{1f600}",
];

/// A case: one of `corpus`, damaged.
pub fn case(corpus: &[Vec<u8>], text: bool, dice: &mut Dice) -> Vec<u8> {
    if dice.below(RANDOM_EVERY) == 0 {
        return (0..dice.below(256)).map(|_| dice.byte()).collect();
    }
    let mut input = dice.one_of(corpus).clone();
    for _ in 0..=dice.below(MAX_CHANGES) {
        let other = dice.one_of(corpus);
        if text && dice.below(2) == 0 {
            change_text(&mut input, other, dice);
        } else {
            change_bytes(&mut input, other, dice);
        }
    }
    input.truncate(MAX_BYTES);
    input
}

fn change_bytes(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let at = dice.below(input.len() + 1);
    match dice.below(11) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = dice.byte();
            }
        }
        3 => input.truncate(at),
        4 => remove(input, at, dice),
        5 => {
            let copy = piece(input, dice);
            insert(input, at, &copy);
        }
        // Crossing two inputs keeps more of the structure than anything random would.
        6 => {
            input.truncate(at);
            input.extend_from_slice(&other[dice.below(other.len() + 1)..]);
        }
        7 => insert(input, at, &piece(other, dice)),
        8 => {
            let number = number(dice);
            replace(input, at, 1, &varint(number, dice.below(4) == 0));
        }
        9 => {
            let number = number(dice);
            insert(input, at, &varint(number, false));
        }
        // Another schema id: those that the targets know, and others.
        _ => {
            let id = [0, 0, 0, 0, dice.below(8) as u8];
            replace(input, 0, id.len(), &id);
        }
    }
}

fn change_text(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    match dice.below(5) {
        // One cell, word or number for another.
        0 | 1 => {
            let start = dice.below(input.len() + 1);
            let (from, to) = around(input, start, |byte| b",\n\r \"=.[]".contains(&byte));
            let word = if dice.below(3) == 0 { number(dice).to_string() } else { (*dice.one_of(&WORDS)).to_owned() };
            replace(input, from, to - from, word.as_bytes());
        }
        // A line once more, a line less, a line of another input.
        2 => {
            let line = line(input, dice);
            let at = line_start(input, dice);
            insert(input, at, &line);
        }
        3 => {
            let start = dice.below(input.len() + 1);
            let (from, to) = around(input, start, |byte| byte == b'\n');
            input.drain(from..(to + 1).min(input.len()));
        }
        _ => {
            let line = line(other, dice);
            let at = line_start(input, dice);
            insert(input, at, &line);
        }
    }
}

/// The stretch around `at` that `ends` bounds on both sides.
fn around(input: &[u8], at: usize, ends: impl Fn(u8) -> bool) -> (usize, usize) {
    let from = input[..at].iter().rposition(|byte| ends(*byte)).map_or(0, |end| end + 1);
    let to = input[at..].iter().position(|byte| ends(*byte)).map_or(input.len(), |end| at + end);
    (from, to)
}

fn line(input: &[u8], dice: &mut Dice) -> Vec<u8> {
    let (from, to) = around(input, dice.below(input.len() + 1), |byte| byte == b'\n');
    [&input[from..to], b"\n"].concat()
}

fn line_start(input: &[u8], dice: &mut Dice) -> usize {
    around(input, dice.below(input.len() + 1), |byte| byte == b'\n').0
}

fn number(dice: &mut Dice) -> i64 {
    if dice.below(4) == 0 { dice.bits().cast_signed() } else { *dice.one_of(&EXTREMES) }
}

/// Zigzag varint as in Avro; an overlong one has more bytes than any number needs.
fn varint(number: i64, overlong: bool) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    if overlong {
        bytes.iter_mut().for_each(|byte| *byte |= 0x80);
        bytes.extend([0x80, 0x80, 0x01]);
    }
    bytes
}

fn piece(input: &[u8], dice: &mut Dice) -> Vec<u8> {
    let from = dice.below(input.len() + 1);
    let length = dice.below((input.len() - from).min(64) + 1);
    input[from..from + length].to_vec()
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    replace(input, at, 0, bytes);
}

fn remove(input: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let length = dice.below((input.len() - at).min(64) + 1);
    input.drain(at..at + length);
}

fn replace(input: &mut Vec<u8>, at: usize, length: usize, bytes: &[u8]) {
    let to = (at + length).min(input.len());
    input.splice(at..to, bytes.iter().copied());
}
