//! Headers of records in dead-letter topics.

use super::{Start, Target, kind_of};
use anyhow::Result;
use tapeline_runtime::dead_letter::{
    Entry, LETTER_HEADERS, MARK_HEADERS, Place, REDRIVE_OF, UNDECODABLE, dead_letter, redrive,
};
use tapeline_runtime::port::{OutRecord, Record};

/// An input is a list of headers: number of the name (or, beyond the known names, a name of one letter), length of the
/// value, value.
const NAMES: [&str; 10] = [
    LETTER_HEADERS[0],
    LETTER_HEADERS[1],
    LETTER_HEADERS[2],
    LETTER_HEADERS[3],
    LETTER_HEADERS[4],
    LETTER_HEADERS[5],
    LETTER_HEADERS[6],
    REDRIVE_OF,
    MARK_HEADERS[0],
    MARK_HEADERS[1],
];

pub(super) fn target() -> Target {
    Target { name: "dead_letter", is_text: false, weight: 8, seeds, start: || Ok(start()) }
}

fn seeds() -> Result<Vec<Vec<u8>>> {
    let record = Record { partition: 3, offset: 17, key: Some(b"acc".to_vec()), ..Record::default() };
    let plain = letter_of(&record);
    let again = letter_of(&Record { headers: vec![(REDRIVE_OF.into(), b"orders.dlq/3/5".to_vec())], ..record.clone() });
    let spoofed = letter_of(&Record { headers: plain.headers.clone(), ..record });
    let mark =
        [(8, "5"), (9, "1700000000000")].map(|(name, value)| (NAMES[name].to_owned(), value.as_bytes().to_vec()));
    Ok([&plain.headers[..], &again.headers, &spoofed.headers, &mark].map(packed).to_vec())
}

fn letter_of(record: &Record) -> OutRecord {
    dead_letter(record, "orders", "orders.dlq", "validator", UNDECODABLE, "the record has no value")
}

fn packed(headers: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        let number = NAMES.iter().position(|known| known == name).unwrap_or(NAMES.len());
        bytes.extend([number as u8, value.len() as u8]);
        bytes.extend(value);
    }
    bytes
}

fn unpacked(mut input: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut headers = Vec::new();
    while let [number, length, rest @ ..] = input {
        let (value, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let other = || char::from(b'a' + number % 26).to_string();
        headers.push((NAMES.get(usize::from(*number)).map_or_else(other, ToString::to_string), value.to_vec()));
        input = rest;
    }
    headers
}

/// Whatever the headers: a record that came with them becomes a letter that is read as that letter, and a redrive brings
/// them back.
fn start() -> Start {
    Box::new(|input| {
        let headers = unpacked(input);
        let record = Record { partition: 1, offset: 9, headers: headers.clone(), ..Record::default() };
        let letter = letter_of(&record);
        let found = Record { headers: letter.headers, ..Record::default() };
        match Entry::read(&found.headers) {
            Ok(Entry::Letter(read)) => {
                assert_eq!((read.source.partition, read.source.offset, read.own_headers), (1, 9, headers.len()));
                let place = Place { topic: "orders.dlq".into(), partition: 1, offset: 4 };
                let [again, mark] = redrive(&found, &read, &place);
                let own: Vec<_> = headers.iter().filter(|(name, _)| name != REDRIVE_OF).cloned().collect();
                assert_eq!(again.headers[..again.headers.len() - 1], own[..]);
                assert_eq!(Entry::read(&mark.headers), Ok(Entry::Mark { offset: 4 }));
            }
            other => assert!(matches!(other, Ok(Entry::Letter(_))), "a letter was read as {other:?}"),
        }
        match Entry::read(&headers) {
            Ok(Entry::Letter(_)) => "letter".into(),
            Ok(Entry::Mark { .. }) => "mark".into(),
            Err(foreign) => kind_of(&foreign.to_string()),
        }
    })
}
