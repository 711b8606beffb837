//! Dead letters: a record that could not be read, untouched, with headers that say why; and the marks that tell which
//! of them were redriven.
//!
//! A dead-letter topic holds letters, written by one reader of the source topic, and marks, written by `tapeline dlq
//! redrive` in the transaction that puts the letter's record back into the source topic. Letters end in the headers of
//! [`LETTER_HEADERS`], marks in those of [`MARK_HEADERS`]: headers that the record came with stand before them, whatever
//! their names, so that no publisher can pass a record off as something else.

use crate::port::{OutRecord, Record};
use crate::wall_clock::now_ms;

/// Header: topic that the record came from.
pub const SOURCE_TOPIC: &str = "tapeline.source.topic";
/// Header: its partition.
pub const SOURCE_PARTITION: &str = "tapeline.source.partition";
/// Header: its offset.
pub const SOURCE_OFFSET: &str = "tapeline.source.offset";
/// Header: short reason code.
pub const REASON: &str = "tapeline.reason";
/// Header: the reason as a sentence.
pub const REASON_TEXT: &str = "tapeline.reason.text";
/// Header: component that refused it.
pub const COMPONENT: &str = "tapeline.component";
/// Header: when, milliseconds since the Unix epoch, by that component's wall clock.
pub const TIME_MS: &str = "tapeline.time.ms";
/// What each letter ends in, in this order.
pub const LETTER_HEADERS: [&str; 7] =
    [SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, REASON, REASON_TEXT, COMPONENT, TIME_MS];

/// Header of a redriven record in its source topic: the dead letter that it was, as [`Place`] prints it.
pub const REDRIVE_OF: &str = "tapeline.redrive.of";
/// Header of a mark: offset of the letter that was redriven, in the mark's own partition.
pub const REDRIVEN_OFFSET: &str = "tapeline.redriven.offset";
/// Header of a mark: when, milliseconds since the Unix epoch, by the redriving machine's wall clock.
pub const REDRIVEN_TIME_MS: &str = "tapeline.redriven.time.ms";
/// What each mark ends in, in this order.
pub const MARK_HEADERS: [&str; 2] = [REDRIVEN_OFFSET, REDRIVEN_TIME_MS];

/// Reason code: the value can't be decoded.
pub const UNDECODABLE: &str = "undecodable";
/// Reason code: the schema id is not in the registry.
pub const UNKNOWN_SCHEMA: &str = "unknown_schema";
/// Reason code: the record has no key, or another one than its value says.
pub const BAD_KEY: &str = "bad_key";
/// Reason code: it decodes but can't be true.
pub const IMPOSSIBLE: &str = "impossible";
/// All reason codes.
pub const REASONS: [&str; 4] = [UNDECODABLE, UNKNOWN_SCHEMA, BAD_KEY, IMPOSSIBLE];

/// The dead letter for `record`: same key, value, headers and partition.
pub fn dead_letter(record: &Record, source: &str, target: &str, component: &str, code: &str, text: &str) -> OutRecord {
    let values = [
        source.to_owned(),
        record.partition.to_string(),
        record.offset.to_string(),
        code.to_owned(),
        text.to_owned(),
        component.to_owned(),
        now_ms().to_string(),
    ];
    let mut headers = record.headers.clone();
    headers.extend(LETTER_HEADERS.into_iter().zip(values).map(|(name, value)| (name.to_owned(), value.into_bytes())));
    OutRecord {
        topic: target.to_owned(),
        partition: Some(record.partition),
        key: record.key.clone(),
        payload: record.payload.clone(),
        headers,
    }
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// What a dead letter's headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where the record came from.
    pub source: Place,
    /// Short reason code.
    pub reason: String,
    /// The reason as a sentence.
    pub text: String,
    /// Component that refused it.
    pub component: String,
    /// When, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// How many of the headers, from the first, the record came with.
    pub own_headers: usize,
}

impl Letter {
    /// Whether its reader failed before the rules saw the record: such a letter is no part of the flow, even if a later
    /// version, or a registry that knows more, could read it.
    pub fn was_unreadable(&self) -> bool {
        self.reason != IMPOSSIBLE
    }
}

/// A record of a dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A dead letter.
    Letter(Letter),
    /// Says that the letter at this offset of the same partition was redriven.
    Mark {
        /// Offset of the letter.
        offset: i64,
    },
}

/// A record of a dead-letter topic that is neither a letter nor a mark: somebody else wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither a dead letter nor a mark of a redrive: {0}")]
pub struct Foreign(String);

impl Entry {
    /// Reads the headers of a record of a dead-letter topic.
    ///
    /// # Errors
    /// [`Foreign`] if they are not those that Tapeline writes.
    pub fn read(headers: &[(String, Vec<u8>)]) -> Result<Self, Foreign> {
        if let Some([topic, partition, offset, reason, text, component, time]) = ending(headers, &LETTER_HEADERS) {
            let source = Place {
                topic: words(topic),
                partition: number(SOURCE_PARTITION, partition)?,
                offset: number(SOURCE_OFFSET, offset)?,
            };
            return Ok(Self::Letter(Letter {
                source,
                reason: words(reason),
                text: words(text),
                component: words(component),
                time_ms: number(TIME_MS, time)?,
                own_headers: headers.len() - LETTER_HEADERS.len(),
            }));
        }
        match ending(headers, &MARK_HEADERS) {
            Some([offset, _]) => Ok(Self::Mark { offset: number(REDRIVEN_OFFSET, offset)? }),
            None => Err(Foreign("its last headers are not those that Tapeline writes".into())),
        }
    }
}

/// Values of the last headers, if they have these names in this order.
fn ending<'a, const N: usize>(headers: &'a [(String, Vec<u8>)], names: &[&str; N]) -> Option<[&'a [u8]; N]> {
    let (_, last) = headers.split_last_chunk::<N>()?;
    let named = last.iter().zip(names).all(|((name, _), wanted)| name == wanted);
    named.then(|| last.each_ref().map(|(_, value)| value.as_slice()))
}

fn words(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn number<T: std::str::FromStr>(name: &str, value: &[u8]) -> Result<T, Foreign> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.parse().map_err(|_| Foreign(format!("{name} is `{}`, not a number", words(value).escape_debug())))
}

/// The record to put back into the source topic for `record`, which holds `letter`, at `at` in the dead-letter topic; and
/// the mark that says so. Key, value and headers are those that came in, with [`REDRIVE_OF`] added; the partition is the
/// source's.
pub fn redrive(record: &Record, letter: &Letter, at: &Place) -> [OutRecord; 2] {
    let own = record.headers.iter().take(letter.own_headers).filter(|(name, _)| name != REDRIVE_OF);
    let mut headers: Vec<_> = own.cloned().collect();
    headers.push((REDRIVE_OF.to_owned(), at.to_string().into_bytes()));
    let again = OutRecord {
        topic: letter.source.topic.clone(),
        partition: Some(letter.source.partition),
        key: record.key.clone(),
        payload: record.payload.clone(),
        headers,
    };
    let values = [at.offset.to_string(), now_ms().to_string()];
    let headers = MARK_HEADERS.into_iter().zip(values).map(|(name, value)| (name.to_owned(), value.into_bytes()));
    let mark = OutRecord {
        topic: at.topic.clone(),
        partition: Some(at.partition),
        key: None,
        payload: None,
        headers: headers.collect(),
    };
    [again, mark]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, &str)]) -> Record {
        Record {
            partition: 2,
            offset: 17,
            key: Some(b"acc".to_vec()),
            payload: Some(b"garbage".to_vec()),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect(),
            ..Record::default()
        }
    }

    /// The letter as its reader finds it at `offset` of the dead-letter topic.
    fn letter_of(record: &Record, offset: i64) -> (Record, Letter) {
        let out = dead_letter(record, "orders", "orders.dlq", "validator", UNDECODABLE, "why");
        let found = Record {
            partition: 2,
            offset,
            key: out.key.clone(),
            payload: out.payload,
            headers: out.headers,
            ..Record::default()
        };
        match Entry::read(&found.headers).unwrap() {
            Entry::Letter(letter) => (found, letter),
            other => panic!("{other:?}"),
        }
    }

    fn place(offset: i64) -> Place {
        Place { topic: "orders.dlq".into(), partition: 2, offset }
    }

    #[test]
    fn a_letter_is_read_back_and_redriven_with_what_it_came_with() {
        let original = record(&[("trace", "7"), ("tapeline.reason", "my own")]);
        let (found, letter) = letter_of(&original, 5);
        assert_eq!(letter.source, Place { topic: "orders".into(), partition: 2, offset: 17 });
        assert_eq!((letter.reason.as_str(), letter.own_headers), (UNDECODABLE, 2));
        let [again, mark] = redrive(&found, &letter, &place(5));
        assert_eq!((again.topic.as_str(), again.partition), ("orders", Some(2)));
        assert_eq!((&again.key, &again.payload), (&original.key, &original.payload));
        assert_eq!(again.headers[..2], original.headers[..]);
        assert_eq!(again.headers[2..], [(REDRIVE_OF.to_owned(), b"orders.dlq/2/5".to_vec())]);
        assert_eq!((mark.topic.as_str(), mark.partition), ("orders.dlq", Some(2)));
        assert_eq!(Entry::read(&mark.headers), Ok(Entry::Mark { offset: 5 }));
    }

    #[test]
    fn a_second_redrive_refers_to_the_second_letter_only() {
        let (found, letter) = letter_of(&record(&[(REDRIVE_OF, "orders.dlq/2/5")]), 9);
        let [again, _] = redrive(&found, &letter, &place(9));
        assert_eq!(again.headers, [(REDRIVE_OF.to_owned(), b"orders.dlq/2/9".to_vec())]);
    }

    #[test]
    fn a_publisher_cannot_pass_a_record_off_as_a_mark_or_another_letter() {
        let spoofed = [(REDRIVEN_OFFSET, "3"), (REDRIVEN_TIME_MS, "4"), (SOURCE_OFFSET, "99"), (TIME_MS, "1")];
        let (_, letter) = letter_of(&record(&spoofed), 5);
        assert_eq!(letter.source.offset, 17);
        assert_eq!(letter.own_headers, spoofed.len());
    }

    #[test]
    fn what_tapeline_did_not_write_is_foreign() {
        let cases: [&[(&str, &str)]; 4] = [
            &[],
            &[("a", "b")],
            &[(REDRIVEN_TIME_MS, "4"), (REDRIVEN_OFFSET, "3")],
            &[(REDRIVEN_OFFSET, "three"), (REDRIVEN_TIME_MS, "4")],
        ];
        for headers in cases {
            assert!(Entry::read(&record(headers).headers).is_err(), "{headers:?}");
        }
    }
}
